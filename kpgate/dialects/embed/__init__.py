"""Embeddings as OpenAI asks for them, in the words of other vendors. Pure."""
