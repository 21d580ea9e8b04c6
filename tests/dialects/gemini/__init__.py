"""Google's Gemini API: what is read, what is sent, and that nothing is lost between."""
