"""Building a PEX around the state of projects, with the tools that are installed."""
