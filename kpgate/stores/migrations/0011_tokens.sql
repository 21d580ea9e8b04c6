-- Party tokens: signed, never kept themselves. Each has a budget of kind 2, of whose numbers one serves one token after
-- the other: the tag says which, in the region, in the journal, and in budget_uses, where period 3's window is the tag.

CREATE TABLE tokens (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    key        INTEGER NOT NULL REFERENCES keys (number),
    budget     INTEGER NOT NULL,
    tag        INTEGER NOT NULL,
    cap        INTEGER NOT NULL,
    models     TEXT NOT NULL,
    label      TEXT NOT NULL,
    signer     INTEGER NOT NULL,
    made_us    INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER NOT NULL DEFAULT 0,
    content    BLOB NOT NULL
) STRICT;

CREATE INDEX tokens_of_key ON tokens (key, expires_us);
CREATE INDEX tokens_by_end ON tokens (expires_us);

-- Which of the keys that come from the pepper and the log sign, and until when those before it are believed; 0 is for ever.
CREATE TABLE token_signers (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    made_us  INTEGER NOT NULL,
    until_us INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO token_signers (made_us) VALUES (0);

-- free_us: from when on the number may be given to another token.
ALTER TABLE budgets ADD COLUMN tag INTEGER NOT NULL DEFAULT 0;
ALTER TABLE budgets ADD COLUMN free_us INTEGER NOT NULL DEFAULT 0;

CREATE INDEX budgets_free ON budgets (free_us) WHERE kind = 2;

-- Nobody has to read a key anew because of its tokens.
DROP TRIGGER budget_opened;
CREATE TRIGGER budget_opened AFTER INSERT ON budgets WHEN new.kind < 2 BEGIN
    INSERT INTO changes (kind, number) VALUES (new.kind, new.owner);
END;

-- kind 17 is a token that was revoked, 18 a change of who signs.
CREATE TRIGGER token_revoked AFTER UPDATE OF revoked_us ON tokens BEGIN
    INSERT INTO changes (kind, number) VALUES (17, new.number);
END;
CREATE TRIGGER token_signer_made AFTER INSERT ON token_signers BEGIN
    INSERT INTO changes (kind, number) VALUES (18, new.number);
END;
