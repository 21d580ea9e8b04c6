"""Floor 3: verbs, one file a phase. Services do not import services."""
