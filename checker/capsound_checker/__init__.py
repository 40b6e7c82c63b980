"""The tool: the command line, and every rendering of an outcome."""
