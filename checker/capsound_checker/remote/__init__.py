"""Implementations outside this interpreter: a child process that speaks JSON lines, and the adapter over it."""
