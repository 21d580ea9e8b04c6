"""Putting documents in order of relevance, in the words of those who offer it. Pure."""
