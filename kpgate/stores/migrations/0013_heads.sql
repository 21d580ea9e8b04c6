-- How many heads were signed: one that is taken away is missed.
ALTER TABLE logs ADD COLUMN heads INTEGER NOT NULL DEFAULT 0;
UPDATE logs SET heads = (SELECT count(*) FROM heads WHERE log = logs.number);
CREATE TRIGGER head_kept AFTER INSERT ON heads BEGIN
    UPDATE logs SET heads = heads + 1 WHERE number = new.log;
END;
CREATE TRIGGER heads_stay BEFORE UPDATE ON heads BEGIN
    SELECT raise(ABORT, 'a head is never changed');
END;
CREATE TRIGGER heads_last BEFORE DELETE ON heads BEGIN
    SELECT raise(ABORT, 'a head is never taken back');
END;
