"""The steps in which the embedded store got its shape: numbered SQL files, each run once."""
