-- Parties, their keys, and what became of them. Numbers are indexes in the region: never reused, from 1.
-- Instants are microseconds since the epoch, 0 for never. Lists and limits are JSON.

CREATE TABLE parties (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name   TEXT NOT NULL UNIQUE,
    limits TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE keys (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    party      INTEGER NOT NULL REFERENCES parties (number),
    role       TEXT NOT NULL,
    label      TEXT NOT NULL,
    models     TEXT NOT NULL,
    networks   TEXT NOT NULL,
    limits     TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX keys_of_party ON keys (party, number);

-- Keyed hashes of all secrets that a key ever had. A secret that was rotated out ends at until_us.
CREATE TABLE secrets (
    digest   BLOB PRIMARY KEY,
    key      INTEGER NOT NULL REFERENCES keys (number),
    until_us INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX secrets_of_key ON secrets (key);

CREATE TABLE numbers (
    kind   TEXT NOT NULL,
    number INTEGER NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (kind, number),
    UNIQUE (kind, name)
) STRICT, WITHOUT ROWID;

-- What readers must read anew: kind 0 is a key, 1 a party. Triggers write it, so that nobody can forget to.
CREATE TABLE changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     INTEGER NOT NULL,
    number   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER key_changed AFTER UPDATE ON keys BEGIN
    INSERT INTO changes (kind, number) VALUES (0, new.number);
END;
CREATE TRIGGER secret_added AFTER INSERT ON secrets BEGIN
    INSERT INTO changes (kind, number) VALUES (0, new.key);
END;
CREATE TRIGGER secret_changed AFTER UPDATE ON secrets BEGIN
    INSERT INTO changes (kind, number) VALUES (0, new.key);
END;
CREATE TRIGGER secret_removed AFTER DELETE ON secrets BEGIN
    INSERT INTO changes (kind, number) VALUES (0, old.key);
END;
CREATE TRIGGER party_changed AFTER UPDATE ON parties BEGIN
    INSERT INTO changes (kind, number) VALUES (1, new.number);
END;

-- Requests that were carried out: asked twice, done once. An answer here holds no secret.
CREATE TABLE receipts (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    content  BLOB NOT NULL,
    answer   BLOB NOT NULL
) STRICT;
