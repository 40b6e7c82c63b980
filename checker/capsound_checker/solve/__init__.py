"""Deciding designs: scenario files and the library of theorems.

In: scenario files, tokens, names of theorems. Out: verdicts with proofs or replayed counterexamples, rendered.
"""
