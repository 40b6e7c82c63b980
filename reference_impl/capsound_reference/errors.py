"""Every way in which a budget says no: a class each, with the amount, the account and the cure."""

from __future__ import annotations


class BudgetError(Exception):
    """Base of all errors: ``amount`` that was asked for, ``account`` (its path), and ``cure``."""

    def __init__(self, message: str, amount: object, account: str, cure: str) -> None:
        super().__init__(message, amount, account, cure)
        self.message, self.amount, self.account, self.cure = message, amount, account, cure

    def __str__(self) -> str:
        return f"{self.message}; {self.cure}"


class BadAmount(BudgetError):
    """Something that is not a whole, non-negative number of units was given as an amount."""


class BadName(BudgetError):
    """A name that cannot be told from another one: of a budget, or of a call."""


class BudgetRefused(BudgetError):
    """The amount does not fit into what is available; nothing has changed."""


class BudgetClosed(BudgetError):
    """The budget was used after it had been closed or merged; the message says into what."""


class BudgetBusy(BudgetError):
    """The budget cannot end yet: a hold is unresolved or a slice is open."""


class MergeRefused(BudgetError):
    """A budget was to be merged with itself, with a budget of another root, or with something else."""


class HoldSent(BudgetError):
    """A hold cannot be released once its request may have been billed."""


class HoldUsed(BudgetError):
    """A hold was used after it had been resolved; the message says how it was resolved first."""


class BlockUsed(BudgetError):
    """What ``call`` or ``slice`` returned was entered a second time; the message says how the first one went."""


class CopyRefused(BudgetError, TypeError):
    """A handle was copied or pickled: two handles of one capacity could both be spent."""


class JournalFailed(BudgetError):
    """A journal line could not be written: what is held may still be resolved, nothing more is admitted."""


def shown(value: object) -> str:
    """Return ``value`` for a message; an error must not turn into another because a number is too long to print."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  whatever a stranger's repr raises
        size = f" of {value.bit_length()} bits" if isinstance(value, int) else ""
        return f"<{type(value).__name__}{size}>"


def as_amount(value: object, account: str) -> int:
    """Return ``value`` as an exact int if it is a whole, non-negative number; a bool is not, nor is 3.0."""
    cure = "give a whole number of the smallest unit, for example micro-USD instead of dollars"
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadAmount(f"{shown(value)} is not a whole number", value, account, cure)
    # A subclass of int may add and compare as it likes: the books keep its plain value.
    amount = int.__index__(value)
    if amount < 0:
        raise BadAmount(f"{shown(value)} is negative", value, account, cure)
    return amount
