"""Cohere's dialect."""
