"""A schedule: which request is answered next, and how.

A schedule is a rule for all steps (in which order requests are answered) and the steps that depart from it. So it says
something for every run, also one that goes another way, and a shorter one is one with fewer departures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ACTS = {
    "answer": "an answer whose bill is the largest that the request permits, or the one that `--replies` decide",
    "most": "an answer whose bill is the largest that the request permits, whatever `--replies` say",
    "low": "an answer of one token",
    "cached": "an answer, with all of the input read from a cache",
    "no-usage": "an answer that does not tell its usage",
    "500": "an error after the provider has billed it",
    "500-free": "an error that is not billed",
    "503": "an error, overloaded, after billing",
    "529": "an error, overloaded, after billing",
    "429": "a refusal of the rate limit, not billed, to be tried again at once",
    "drop": "no answer: the connection is closed after billing",
    "half": "half of the body, then the connection is closed; billed",
    "stall": "no answer until the client gives up; billed",
    "over": "an answer whose bill is twice what the request permits (`--overruns` only)",
    "wait": "nothing, while time passes",
    "cancel": "no answer: who waits for it is cancelled (tasks inside, and clients of a gateway); billed",
}
"""What can happen to a request, and what it means."""

FAULTS = ("500", "drop", "half", "no-usage", "cached", "429", "stall", "500-free", "503", "529")
"""The acts that an answer is never expected to be, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One step: what happens to the request of a name."""

    label: str
    act: str = "answer"

    def __str__(self) -> str:
        return f"{self.label}:{self.act}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule for all steps, and the steps that depart from it, by number."""

    order: str = "first"
    """``first``: by name, ``last``: by name, backwards."""
    act: str = "answer"
    """What happens to a request where nothing else is said."""
    departures: tuple[tuple[int, Choice], ...] = ()

    def choose(self, step: int, held: Sequence[str]) -> tuple[Choice, bool]:
        """Return what happens at a step, and whether it could be done as it was said; ``held`` are sorted names."""
        for at, choice in self.departures:
            if at == step:
                if choice.label in held:
                    return choice, True
                return Choice(held[0], choice.act), False
        return Choice(held[0] if self.order == "first" else held[-1], self.act), True

    def without(self, at: int) -> Schedule:
        """Return the schedule without one of its departures."""
        return Schedule(self.order, self.act, self.departures[:at] + self.departures[at + 1 :])

    def then(self, step: int, choice: Choice) -> Schedule:
        """Return the schedule with one more departure."""
        return Schedule(self.order, self.act, (*self.departures, (step, choice)))
