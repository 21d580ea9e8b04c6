-- The log of receipts: a Merkle tree of RFC 6962, kept as tiles of 256 hashes. Leaves are in the order of LSNs.

CREATE TABLE logs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL UNIQUE,
    size   INTEGER NOT NULL DEFAULT 0,
    before TEXT NOT NULL DEFAULT ''
) STRICT;

-- Level 0 holds leaves' hashes, level n the roots of 256 tiles of level n - 1. The last tile of a level may be short.
CREATE TABLE tiles (
    log    INTEGER NOT NULL REFERENCES logs (number),
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, number)
) STRICT;

-- Signed heads, stored before they are shown.
CREATE TABLE heads (
    log       INTEGER NOT NULL REFERENCES logs (number),
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    time_us   INTEGER NOT NULL,
    key       TEXT NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (log, size, time_us)
) STRICT;

-- Public keys of signers; each but the first is endorsed by the one before it.
CREATE TABLE signers (
    id          TEXT PRIMARY KEY,
    public      BLOB NOT NULL,
    created_us  INTEGER NOT NULL,
    endorsed_by TEXT NOT NULL DEFAULT '',
    endorsement BLOB NOT NULL DEFAULT x''
) STRICT;
