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
    Property.SLICE: "the true bills below an account never exceed its grant",
    Property.OVERRUN: "overshoot never exceeds the summed deficits of calls in flight or lost",
    Property.TRUTH: "the ledger's spend equals what the settled calls were billed",
    Property.CONSERVATION: "capacity is neither created nor lost",
    Property.ADMISSION: "a call is admitted before it is sent, and only if it fits alongside everything outstanding",
    Property.HANDLES: "each handle is used only once",
    Property.ARGUMENTS: "only non-negative whole numbers are accepted as amounts",
    Property.PROGRESS: "while work is left, some step is possible",
    Property.WIDTH: "every balance fits a signed integer of the given width",
    Property.PRECISION: "no call that fits is refused, and all free capacity can be used",
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
            "a bill may be any amount, or at most `shortfall` times the hold if that factor is given",
        ),
        Assumption(
            "A2",
            "no arithmetic overflow",
            "amounts live in signed machine integers of `width` bits, and every balance must fit",
        ),
        Assumption(
            "A6",
            "billed output never exceeds max_output",
            "billed output is whatever `output` of the call allows, or any amount if it is not given",
        ),
        Assumption(
            "A7",
            "the provider bills exactly the usage that it reports",
            "the provider may report any amount from 0 to the true bill",
        ),
        Assumption(
            "A8",
            "prices stay fixed during a session",
            "prices may rise by the factor `rise` between estimate and bill",
        ),
        Assumption(
            "A9",
            "an aborted stream stops being billed within one chunk",
            "an aborted stream may be billed for all its remaining chunks",
        ),
        Assumption(
            "A10",
            "one request is billed once",
            "one request may be billed up to 1 + `hidden_retries` times",
        ),
    )
}
