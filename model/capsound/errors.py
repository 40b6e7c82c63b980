"""Every error of capsound: a stable name, a message, a cause, a cure, and the exit status that it stands for.

Exit statuses (docs/exit-codes.md): 0 sound, 1 violated, 2 unknown, 64 usage, 65 bad input, 70 our own bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

EXIT_SOUND = 0
EXIT_VIOLATED = 1
EXIT_UNKNOWN = 2
EXIT_USAGE = 64
EXIT_BAD_INPUT = 65
EXIT_OUR_BUG = 70


class CapsoundError(Exception):
    """Base of all expected errors.

    ``message`` says what is wrong, ``cause`` why that is a problem here, ``hint`` how to cure it; ``where``
    is ``file:line`` when a file is to blame.
    """

    name: ClassVar[str] = "capsound-error"
    exit_status: ClassVar[int] = EXIT_OUR_BUG

    def __init__(self, message: str, *, cause: str = "", hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} [{self.name}]"


class BadAmount(CapsoundError):
    """A value that is not an exact, non-negative number was given as an amount."""

    name = "bad-amount"
    exit_status = EXIT_BAD_INPUT

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(
            f"{value!r} is not an amount: {reason}",
            hint="give whole numbers of the smallest unit, for example micro-USD instead of dollars",
        )
        self.value = value


class BadTrace(CapsoundError):
    """A sequence of events refers to something that it never introduced, or introduces it twice."""

    name = "bad-trace"
    exit_status = EXIT_BAD_INPUT


class BadToken(CapsoundError):
    """A replay token that cannot be read, or that does not fit the scenario."""

    name = "bad-token"
    exit_status = EXIT_BAD_INPUT


class BadDiscipline(CapsoundError):
    """A discipline is not a well-formed list of atomic blocks."""

    name = "bad-discipline"
    exit_status = EXIT_BAD_INPUT


class Disagreement(CapsoundError):
    """Two parts of capsound that must agree did not: the verdict is withheld (design section 1)."""

    name = "disagreement"
    exit_status = EXIT_OUR_BUG


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a cure for a misspelt ``word``: the nearest known name, or the list of all of them."""
    from difflib import get_close_matches  # only who errs needs it

    names = list(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else ""


def printable(text: str) -> str:
    """Return ``text`` with an escape for each character that a terminal would act upon, or cannot show."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
