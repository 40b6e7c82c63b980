"""The arithmetic of a budget: pure functions on integers, called by the budget itself, so that they can be proved.

None of them judges: whether a step is allowed is decided before. Each keeps the sum of the balances that it is
given, so that ``available + held + charged + forfeited + delegated + returned = granted`` outlives every step.
"""

from __future__ import annotations


def fits(available: int, amount: int) -> bool:
    """Whether ``amount`` may be admitted; in debt (``available`` below 0) nothing fits, not even 0."""
    return amount <= available


def hold(available: int, held: int, amount: int) -> tuple[int, int]:
    """Set ``amount`` aside: return the new ``available`` and ``held``."""
    return available - amount, held + amount


def settle(available: int, held: int, charged: int, amount: int, cost: int) -> tuple[int, int, int]:
    """End a hold of ``amount`` at ``cost``, charged in full: return ``available``, ``held``, ``charged``."""
    return available + amount - cost, held - amount, charged + cost


def release(available: int, held: int, amount: int) -> tuple[int, int]:
    """End a hold of ``amount`` unused: return the new ``available`` and ``held``."""
    return available + amount, held - amount


def forfeit(held: int, forfeited: int, amount: int) -> tuple[int, int]:
    """Write a hold of ``amount`` off: return the new ``held`` and ``forfeited``."""
    return held - amount, forfeited + amount


def delegate(available: int, delegated: int, amount: int) -> tuple[int, int]:
    """Move ``amount`` into a slice: return the new ``available`` and ``delegated`` of its parent."""
    return available - amount, delegated + amount


def reset(available: int, held: int, spent: int) -> tuple[int, int, int]:
    """Begin a new period: what was ``spent`` is free again, what is ``held`` stays held. Return the three."""
    return available + spent, held, 0


def give_back(available: int) -> int:
    """Return what an account that ends gives back: all that is free; a debt stays where it was made."""
    return max(0, available)
