"""Targets in another process or language: the protocol, its two ends, and what keeps them apart.

In: an address or a function to run elsewhere. Out: an adapter that asks over a pipe, or the function's result.
"""
