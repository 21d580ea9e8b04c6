-- What a refusal names of what was asked, so that asking again is answered the same; and whose lots an entry moved, for
-- refunds ask what a call was paid from.

ALTER TABLE operations ADD COLUMN param TEXT;

CREATE INDEX lot_moves_of ON lot_moves (account, lsn);
