-- Tiers, and which party is of which. Limits and models are JSON, the price factor is basis points.

CREATE TABLE tiers (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE,
    limits       TEXT NOT NULL,
    models       TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    price_factor INTEGER NOT NULL
) STRICT;

ALTER TABLE parties ADD COLUMN tier INTEGER REFERENCES tiers (number);

CREATE INDEX parties_of_tier ON parties (tier) WHERE tier IS NOT NULL;

-- One change, however many parties are of the tier: kind 16.
CREATE TRIGGER tier_changed AFTER UPDATE ON tiers BEGIN
    INSERT INTO changes (kind, number) VALUES (16, new.number);
END;
