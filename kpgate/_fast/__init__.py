"""The compiled ground: synchronous leaves and protocol callbacks. Imports nothing of kpgate, logs nothing."""
