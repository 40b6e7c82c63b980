"""Running an implementation and the model in lock step.

In: an adapter and a program, which is a sequence of steps. Out: events, and the monitor's findings in them.
Who chooses the steps (a Hypothesis machine, the fast driver, an exhaustive search, shrinking) is here as well.
"""

from capsound_checker.programs.program import AMOUNTS, MISUSE, PROFILES, Step

__all__ = ["AMOUNTS", "MISUSE", "PROFILES", "Step"]
