-- Alerts about budgets: made once by their id, kept until they were taken in, or given up.

CREATE TABLE alerts (
    id      TEXT PRIMARY KEY,
    period  INTEGER NOT NULL,
    body    TEXT NOT NULL,
    made_us INTEGER NOT NULL,
    tries   INTEGER NOT NULL DEFAULT 0,
    next_us INTEGER NOT NULL,
    ended   TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX alerts_to_send ON alerts (next_us) WHERE ended = '';
