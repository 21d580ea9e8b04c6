"""kpgate: an AI gateway. One address for every model provider, governed at speed."""

__version__ = "0.1.0"
