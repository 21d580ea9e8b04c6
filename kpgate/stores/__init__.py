"""Floor 2: where state rests. Protocols and their engines; no business rules."""
