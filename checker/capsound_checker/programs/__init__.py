"""Running an implementation and the model in lock step.

In: an adapter and a program, which is a sequence of steps. Out: events, and the monitor's findings in them.
Who chooses the steps (a Hypothesis machine, the fast driver, an exhaustive search, shrinking) is here as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capsound_checker.programs.program import AMOUNTS, MISUSE, PROFILES, Step

__all__ = ["AMOUNTS", "MISUSE", "PROFILES", "Step"]


def __getattr__(name: str) -> object:
    """Return a public name of ``program``: who only watches a process does without the model."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from capsound_checker.programs import program

    return getattr(program, name)
