-- What was put into lots and taken out but by charges, whose own entries say what they took: with these a lot's amount
-- follows from what is kept for ever, whatever was trimmed of the journal. A part below 0 is what a lot had when this
-- began to be written down: charges from its LSN on count.

CREATE TABLE lot_moves (
    lsn        INTEGER NOT NULL,
    part       INTEGER NOT NULL,
    account    INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    delta      INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (lsn, part)
) STRICT, WITHOUT ROWID;

INSERT INTO lot_moves
    SELECT (SELECT cursor FROM ledger), -row_number() OVER (ORDER BY account, slot), account, slot, amount, expires_us
    FROM lots;

CREATE TRIGGER lot_moves_stay BEFORE UPDATE ON lot_moves BEGIN
    SELECT raise(ABORT, 'what moved a lot is never changed');
END;
CREATE TRIGGER lot_moves_last BEFORE DELETE ON lot_moves BEGIN
    SELECT raise(ABORT, 'what moved a lot is never taken back');
END;
