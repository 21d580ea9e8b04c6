"""The Responses API: OpenAI's other way to ask, with items in place of messages. State stays with the provider.

What it shares with chat completions (errors, limits, what tools and images count for) is the openai room's.
"""
