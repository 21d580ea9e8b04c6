-- Plans, and which party is of which. What a month's grant was made for is in the ledger: operation plan:<party>:<month>.

CREATE TABLE plans (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    grant_amount INTEGER NOT NULL,
    line         INTEGER NOT NULL,
    tier         TEXT NOT NULL
) STRICT;

ALTER TABLE parties ADD COLUMN plan INTEGER REFERENCES plans (number);

CREATE INDEX parties_of_plan ON parties (plan) WHERE plan IS NOT NULL;
CREATE INDEX parties_with_plans ON parties (number) WHERE plan IS NOT NULL;
