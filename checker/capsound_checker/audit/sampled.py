"""Whether a log is only a sample of what happened: what was not kept was billed like the rest, and is in no record.

A sampler says so in the state of the trace, or leaves only its mark: which trace it keeps depends on a number that it
takes out of the identifier, and the numbers of all that were kept lie in one part of their range. Measured:
opentelemetry-sdk 1.45.2 and logfire 5.4.0 (Python), @opentelemetry/sdk-trace-node 2.12.1 and
@opentelemetry/sampler-composite 0.223.0 (npm).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

LEAST, MOST = 20, 256
"""From how few trace identifiers something is concluded, and how many are looked at."""
DOUBT = Fraction(1, 10**9)
"""How rarely identifiers that were not chosen may look chosen: once in so many logs, for each kind of sampler."""

_HEX = re.compile(r"[0-9a-f]{32}")
_THRESHOLD = re.compile(r"(?:^|,)\s*ot=(?:[^,]*;)?th:0*([1-9a-f][0-9a-f]*)(?:[;,\s]|$)", re.IGNORECASE)


def told(record: Mapping[str, Any]) -> str:
    """Return what a record says of a sampler that has dropped others; empty where it says nothing.

    It is the threshold of consistent probability sampling in the state of the trace; 0 means that all were kept.
    """
    for name in ("traceState", "trace_state"):
        state = record.get(name)
        if isinstance(state, str) and (found := _THRESHOLD.search(state)):
            return f"th:{found[1].lower()} in {name!r}"
    return ""


def _low(number: int) -> int:
    return number & (2**64 - 1)


def _signed(number: int) -> int:
    low = _low(number)
    return min(low, 2**64 - low)


def _folded(number: int) -> int:
    return (number ^ number >> 32 ^ number >> 64 ^ number >> 96) & (2**32 - 1)


def _threshold(number: int) -> int:
    return 2**56 - 1 - (number & (2**56 - 1))


_NUMBERS: tuple[tuple[Callable[[int], int], int, bool], ...] = (
    (_low, 2**64, True),  # Python, Go, Ruby, Rust: the last eight bytes
    (_signed, 2**63 + 1, True),  # Java: the same, with a sign
    (_folded, 2**32, False),  # JavaScript: four parts of four bytes, by exclusive or
    (_threshold, 2**56, False),  # consistent sampling: the last seven bytes, of which the largest are kept
)
"""The number that a sampler compares with a bound, how many there are, and whether it begins with the ninth byte.

In a UUID two bits of that byte are fixed, and some writers whose identifiers have eight bytes leave its first bit out.
"""


@dataclass(slots=True)
class Traces:
    """The identifiers of the first traces of a log."""

    seen: dict[str, None] = field(default_factory=dict)

    def add(self, trace: str) -> None:
        """Take the identifier of a trace; one that is not 32 hexadecimal digits shows nothing."""
        if len(self.seen) < MOST and trace not in self.seen and _HEX.fullmatch(trace):
            self.seen[trace] = None

    def chosen(self) -> str:
        """Return in words in which part of their range all identifiers lie; empty where that may be chance."""
        if len(self.seen) < LEAST:
            return ""
        numbers = [int(trace, 16) for trace in self.seen]
        if not _drawn(numbers):
            return ""
        uuids, short = all(trace[16] in "89ab" for trace in self.seen), all(number < 2**64 for number in numbers)
        return next(_parts(numbers, uuids or short), "")


def _parts(numbers: list[int], bound: bool) -> Iterator[str]:
    for take, count, high in _NUMBERS:
        part = Fraction(max(map(take, numbers)) + 1, count)
        if not (bound and high) and part ** len(numbers) < DOUBT:
            yield f"all {len(numbers)} lie in {float(part):.2g} of the range"


def _drawn(numbers: list[int]) -> bool:
    """Return whether the last four bytes look drawn by lot, as they do with every sampler: a counter's do not."""
    ones = sum((number & (2**32 - 1)).bit_count() for number in numbers)
    return 2 * len(numbers) * 32 < 5 * ones < 3 * len(numbers) * 32
