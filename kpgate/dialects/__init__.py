"""Floor 2: pure translation, one room a vendor's API. No I/O."""
