"""What a run was, as it goes from the process that ran it to the one that judges it: plain JSON data, compact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Any

from capsound_checker.wire.acting import Did, in_order
from capsound_checker.wire.billing import Bill
from capsound_checker.wire.dialects.shapes import Asked, Usage
from capsound_checker.wire.inside.session import Session
from capsound_checker.wire.schedule import Choice, Schedule
from capsound_checker.wire.stepping import Run


def run_to_data(session: Session, ended: str, *, followed: bool = True) -> dict[str, Any]:
    """Return what one schedule has shown."""
    acting = session.acting
    return {
        "did": [_did_to_data(did) for did in acting.did],
        "choices": [[choice.label, choice.act, held] for choice, held in acting.choices],
        "ended": ended,
        "status": session.status,
        "printed": session.printed,
        "strange": [[kind, *told] for kind, told in session.strange.of_run().items()],
        "followed": followed,
        "cut": session.waits_cut,
    }


def run_of_data(data: dict[str, Any], schedule: Schedule | None = None) -> Run:
    """Return the run that was told. Raises ``KeyError``, ``TypeError`` and ``ValueError`` where it is none.

    Without a ``schedule`` it gets the one that leads to it: what departs from answers in the order of names.
    """
    choices = tuple((Choice(str(label), str(act)), tuple(map(str, held))) for label, act, held in data["choices"])
    return Run(
        schedule if schedule is not None else schedule_of(choices),
        in_order([_did_of_data(did) for did in data["did"]]),
        choices,
        str(data["ended"]),
        int(data["status"]),
        tuple(map(str, data["printed"])),
        {str(kind): (int(n), str(example)) for kind, n, example in data["strange"]},
        bool(data["followed"]),
    )


def schedule_of(choices: Sequence[tuple[Choice, tuple[str, ...]]]) -> Schedule:
    """Return the schedule by which choices are made once more."""
    usual = Schedule()
    departures = [(at, one) for at, (one, held) in enumerate(choices) if one != usual.choose(at, held or ("",))[0]]
    return Schedule(departures=tuple(departures))


def _did_to_data(did: Did) -> list[Any]:
    bill = None
    if did.bill is not None:
        bill = [astuple(did.bill.usage), did.bill.amount, did.bill.ceiling, did.bill.bounded]
    asked = None if did.asked is None else [getattr(did.asked, name) for name in _ASKED]
    return [did.what, did.label, did.act, did.number, bill, asked, did.repeats, did.segment]


_ASKED = tuple(f.name for f in fields(Asked) if f.name not in ("schema", "default", "details"))
"""What is told of a request: all but what is needed to answer it."""


def _did_of_data(data: list[Any]) -> Did:
    what, label, act, number, bill, asked, repeats, segment = data
    made = None if bill is None else Bill(Usage(*bill[0]), bill[1], bill[2], bill[3])
    asks = None
    if asked is not None:
        told = dict(zip(_ASKED, asked, strict=True))
        asks = Asked(**{**told, "tools": tuple(told["tools"])})
    return Did(what, label, act, number, made, asks, repeats, 0, segment)
