"""The OpenAI API: what its requests ask for, what its replies say, how it spells errors."""
