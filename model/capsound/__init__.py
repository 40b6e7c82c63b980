"""capsound: a formal model of budgets for LLM agents, and of what a cap can promise.

The model answers one question: *can the true bill ever exceed the cap?* It is pure (no I/O beyond reading
a scenario), exact (integers of one unit, never floats) and imports neither z3 nor hypothesis.
"""

__version__ = "0.1.0"
