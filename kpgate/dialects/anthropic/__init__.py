"""The Anthropic Messages API, inbound and outbound."""
