"""Callers for tests: each vendor's own client, asking for the same things in its own way."""
