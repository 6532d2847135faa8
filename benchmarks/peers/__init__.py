"""The others, each in its file and in a process of its own. Fair terms: see each docstring."""
