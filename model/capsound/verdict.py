"""Three verdicts, never two, and the bound that every "sound" carries (design section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from capsound.errors import EXIT_SOUND, EXIT_UNKNOWN, EXIT_VIOLATED


class Verdict(StrEnum):
    """The answer to one question; merged as violated > unknown > sound."""

    SOUND = "sound"
    VIOLATED = "violated"
    UNKNOWN = "unknown"

    @property
    def exit_status(self) -> int:
        """The exit status of a run with this verdict."""
        return {Verdict.SOUND: EXIT_SOUND, Verdict.VIOLATED: EXIT_VIOLATED, Verdict.UNKNOWN: EXIT_UNKNOWN}[self]


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict of the whole: violated if any is, else unknown if any is.

    Nothing asked is nothing known: the merge of no verdicts is ``UNKNOWN``.
    """
    found = set(verdicts)
    for verdict in (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.SOUND):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
