"""Floor 1: nouns. Frozen structs and pure functions; no I/O, no clock, no vendor's spelling."""
