"""Cohere's API, as providers speak it."""
