-- The ledger: what the journal amounts to, up to a cursor. Amounts are microKPT, instants microseconds since 1970.
-- Numbers of accounts and budgets are indexes in the region: never reused, from 1.

CREATE TABLE accounts (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,
    party   INTEGER REFERENCES parties (number),
    balance INTEGER NOT NULL DEFAULT 0,
    floor   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX account_of_party ON accounts (party, kind) WHERE party IS NOT NULL;

-- Parts of a balance that end at an instant.
CREATE TABLE lots (
    account    INTEGER NOT NULL REFERENCES accounts (number),
    slot       INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (account, slot)
) STRICT, WITHOUT ROWID;

-- Nothing else changes a balance. A row is a part of the journal entry at its LSN.
CREATE TABLE transfers (
    lsn     INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    debit   INTEGER NOT NULL,
    credit  INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    call    INTEGER NOT NULL DEFAULT 0,
    memo    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (lsn, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX transfers_of_debit ON transfers (debit, lsn);
CREATE INDEX transfers_of_credit ON transfers (credit, lsn);

-- Calls that were charged, as their HOLD and POST said. leaf is the index in the log.
CREATE TABLE charges (
    call     INTEGER PRIMARY KEY,
    lsn      INTEGER NOT NULL,
    party    INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    refunded INTEGER NOT NULL DEFAULT 0,
    leaf     INTEGER NOT NULL,
    hold     BLOB NOT NULL,
    post     BLOB NOT NULL
) STRICT;

-- Holds that were open at the cursor: the bodies of their entries, extensions added, and what was last metered.
CREATE TABLE open_holds (
    call    INTEGER PRIMARY KEY,
    body    BLOB NOT NULL,
    metered INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Management operations on money: asked twice, done once; refused once, refused for good.
CREATE TABLE operations (
    id      TEXT PRIMARY KEY,
    content BLOB NOT NULL,
    lsn     INTEGER NOT NULL DEFAULT 0,
    code    TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- kind 0 is a key's, 1 a party's. A cap of 0 is none.
CREATE TABLE budgets (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   INTEGER NOT NULL,
    owner  INTEGER NOT NULL,
    day    INTEGER NOT NULL DEFAULT 0,
    month  INTEGER NOT NULL DEFAULT 0,
    total  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, owner)
) STRICT;

-- period 0 is a day, 1 a month, 2 the whole; the window is the day's or month's number.
CREATE TABLE budget_uses (
    budget INTEGER NOT NULL REFERENCES budgets (number),
    period INTEGER NOT NULL,
    window INTEGER NOT NULL,
    used   INTEGER NOT NULL,
    PRIMARY KEY (budget, period, window)
) STRICT, WITHOUT ROWID;

-- cursor: up to where the journal is posted. start: how often the node has started.
CREATE TABLE ledger (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    cursor  INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    last_us INTEGER NOT NULL
) STRICT;

INSERT INTO ledger VALUES (1, 0, 0, 0);
INSERT INTO accounts (name, kind) VALUES
    ('house:issued', 'house'), ('house:revenue', 'house'), ('house:overrun', 'house'), ('house:expired', 'house');

CREATE TRIGGER account_opened AFTER INSERT ON accounts WHEN new.kind = 'spend' BEGIN
    INSERT INTO changes (kind, number) VALUES (1, new.party);
END;
CREATE TRIGGER budget_opened AFTER INSERT ON budgets BEGIN
    INSERT INTO changes (kind, number) VALUES (new.kind, new.owner);
END;
CREATE TRIGGER transfers_stay BEFORE UPDATE ON transfers BEGIN
    SELECT raise(ABORT, 'a transfer is never changed');
END;
CREATE TRIGGER transfers_last BEFORE DELETE ON transfers BEGIN
    SELECT raise(ABORT, 'a transfer is never taken back');
END;
