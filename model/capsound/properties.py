"""The properties that a verdict is given for, and the assumptions under which it is given (design section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Property(StrEnum):
    """One thing that can be asked of a run. Each has one sentence in ``MEANING``."""

    CAP = "cap"
    SLICE = "slice"
    OVERRUN = "overrun"
    TRUTH = "truth"
    CONSERVATION = "conservation"
    ADMISSION = "admission"
    HANDLES = "handles"
    ARGUMENTS = "arguments"
    PROGRESS = "progress"
    PRECISION = "precision"
    WIDTH = "width"


MEANING: dict[Property, str] = {
    Property.CAP: "the true bills of a root never exceed its cap",
    Property.SLICE: "the true bills below an account never exceed what it was granted",
    Property.OVERRUN: "overshoot is at most the summed deficits of calls in flight or lost",
    Property.TRUTH: "the ledger says as spent what settled calls were billed",
    Property.CONSERVATION: "capacity neither appears from nothing nor disappears",
    Property.ADMISSION: "a call is admitted before it is sent, and only if it fits beside all that is outstanding",
    Property.HANDLES: "a handle is used once",
    Property.ARGUMENTS: "only non-negative whole numbers are accepted as amounts",
    Property.PROGRESS: "while work is left, some step is possible",
    Property.WIDTH: "every balance fits a signed integer of the given width",
    Property.PRECISION: "no call is refused that fits, and no free capacity is out of reach",
}


JUDGED_ON_RUNS = frozenset({Property.ADMISSION, Property.ARGUMENTS, Property.PRECISION})
"""What only the monitor judges, run by run: a scenario cannot ask for a proof of it."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """One statement about the world that a verdict may rest on; ``name`` is its id in scenarios."""

    name: str
    statement: str
    when_off: str


ASSUMPTIONS: dict[str, Assumption] = {
    a.name: a
    for a in (
        Assumption(
            "A1",
            "the bill of a call never exceeds its hold",
            "a bill may be any amount, or at most `shortfall` times the hold where that factor is given",
        ),
        Assumption(
            "A2",
            "no arithmetic overflow",
            "amounts live in signed machine integers of `width` bits, and every balance must fit",
        ),
        Assumption(
            "A6",
            "billed output never exceeds max_output",
            "billed output is whatever `output` of the call allows, any amount where it says nothing",
        ),
        Assumption(
            "A7",
            "the usage that the provider reports equals what it bills",
            "the ledger may be told any amount from 0 to the true bill",
        ),
        Assumption(
            "A8",
            "prices stay fixed during a session",
            "prices may rise by the factor `rise` between estimate and bill",
        ),
        Assumption(
            "A9",
            "a stream that is aborted stops being billed within one chunk",
            "an aborted stream may be billed for all the chunks that were left",
        ),
        Assumption(
            "A10",
            "one request is billed once",
            "one request may be billed up to 1 + `hidden_retries` times",
        ),
    )
}
