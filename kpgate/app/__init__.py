"""Floor 4: assembly. Processes, transports, configuration, commands."""
