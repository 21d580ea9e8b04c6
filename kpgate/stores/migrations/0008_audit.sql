-- Who did what. Each row's hash covers the one before it: domain/audit.link.

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    via     TEXT NOT NULL,
    role    TEXT NOT NULL,
    key     TEXT NOT NULL,
    party   TEXT NOT NULL,
    peer    TEXT NOT NULL,
    request TEXT NOT NULL,
    act     TEXT NOT NULL,
    about   TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;

CREATE INDEX audit_of_party ON audit (party, number);
CREATE INDEX audit_of_key ON audit (key, number);

CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;

CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;
