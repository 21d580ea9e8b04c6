"""Measurements: what kpgate costs, beside what it is measured against."""
