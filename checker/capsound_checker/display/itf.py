"""Runs in Apalache's Informal Trace Format (ADR-015): integers as ``#bigint``, keys sorted, no nulls.

Written here rather than with ``itf-py``, whose writer emits ``null`` and orders sets by hash; the tests read
what is written here back with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from capsound.accounts import State, move
from capsound.events import Event

if TYPE_CHECKING:
    from capsound.machine import Machine
    from capsound.schedule import Trace

_BALANCES = ("available", "held", "charged", "forfeited", "delegated", "returned", "granted", "billed")

DESCRIPTION = "https://apalache-mc.org/docs/adr/015adr-trace.html"


def trace_to_itf(machine: Machine, trace: Trace, *, source: str = "", status: str = "violation") -> dict[str, Any]:
    """Return a run as an ITF trace: one state before the first step and one after every step.

    The action is the variable ``mbt::actionTaken``, since the format has no field for it.
    """
    states = [_state(machine, 0, "init", "", trace.initial)]
    for number, step in enumerate(trace.steps, start=1):
        states.append(_state(machine, number, step.action, step.actor, step.values))
    return {
        "#meta": {
            "description": f"schedule {trace.schedule.token}",
            "format": "ITF",
            "format-description": DESCRIPTION,
            "source": source,
            "status": status,
        },
        "states": states,
        "vars": sorted(["accounts", "actor", "mbt::actionTaken", "processes"]),
    }


def events_to_itf(events: Iterable[Event], *, description: str, source: str = "") -> dict[str, Any]:
    """Return a run of events as an ITF trace: one state before the first event and one after each.

    The states are the books of the reference semantics, whatever the implementation said of itself.
    """
    state = State()
    states = [_books(state, 0, "init")]
    for number, event in enumerate(events, start=1):
        state = move(state, event)
        states.append(_books(state, number, event.kind))
    return {
        "#meta": {
            "description": description,
            "format": "ITF",
            "format-description": DESCRIPTION,
            "source": source,
            "status": "violation",
        },
        "states": states,
        "vars": sorted(["accounts", "holds", "mbt::actionTaken"]),
    }


def _books(state: State, number: int, action: str) -> dict[str, Any]:
    accounts = [
        [name, {balance: _integer(getattr(account, balance)) for balance in sorted(_BALANCES)}]
        for name, account in sorted(state.accounts.items())
    ]
    holds = [
        [name, {"amount": _integer(hold.amount), "billed": _integer(hold.billed), "state": hold.state.value}]
        for name, hold in sorted(state.holds.items())
    ]
    return {
        "#meta": {"index": number},
        "accounts": {"#map": accounts},
        "holds": {"#map": holds},
        "mbt::actionTaken": action,
    }


def _integer(value: int) -> dict[str, str]:
    return {"#bigint": str(value)}


def _state(machine: Machine, number: int, action: str, actor: str, values: tuple[int, ...]) -> dict[str, Any]:
    from capsound.machine import thaw  # a check, which has no machine, writes its events

    config = thaw(machine, values)
    accounts = [
        [info.name, {name: _integer(getattr(ledger, name)) for name in sorted(_BALANCES)}]
        for info, ledger in sorted(zip(machine.accounts, config.ledgers, strict=True), key=lambda pair: pair[0].name)
    ]
    processes = [
        [process.name, _integer(running.at)]
        for process, running in sorted(
            zip(machine.processes, config.running, strict=True), key=lambda pair: pair[0].name
        )
    ]
    return {
        "#meta": {"index": number},
        "accounts": {"#map": accounts},
        "actor": actor,
        "mbt::actionTaken": action,
        "processes": {"#map": processes},
    }
