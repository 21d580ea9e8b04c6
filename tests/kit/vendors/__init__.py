"""Providers of other vendors for tests: real servers that speak each wire shape and keep what they received."""
