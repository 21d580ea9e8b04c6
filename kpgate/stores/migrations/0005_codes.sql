-- Redemption codes: keyed hashes, never the codes. Whether one was redeemed, by whom and when, is in the ledger: its
-- operation is code:<id>:<n>, where n counts the tries that were refused. Codes that were made together share a batch.

CREATE TABLE codes (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    digest           BLOB NOT NULL UNIQUE,
    amount           INTEGER NOT NULL,
    memo             TEXT NOT NULL,
    created_us       INTEGER NOT NULL,
    expires_us       INTEGER NOT NULL,
    grant_expires_us INTEGER NOT NULL,
    revoked_us       INTEGER NOT NULL DEFAULT 0,
    batch            TEXT NOT NULL,
    content          BLOB NOT NULL
) STRICT;

CREATE INDEX codes_of_batch ON codes (batch);
