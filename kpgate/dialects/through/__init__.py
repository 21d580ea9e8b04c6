"""Whatever else a provider has, as its callers ask for it. Pure."""
