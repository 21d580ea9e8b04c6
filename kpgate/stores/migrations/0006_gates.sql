-- What a party must hold to be served by its tier's terms, in microKPT; and credit lines are a part of what callers are.

ALTER TABLE tiers ADD COLUMN holding_min INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER line_drawn AFTER UPDATE OF floor ON accounts WHEN new.kind = 'spend' AND new.floor <> old.floor BEGIN
    INSERT INTO changes (kind, number) VALUES (1, new.party);
END;
