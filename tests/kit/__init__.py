"""The only place that builds things for tests."""
