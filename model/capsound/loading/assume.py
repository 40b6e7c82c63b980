"""The section ``[assume]``: what is assumed of the provider, and what the other sections say against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capsound.clients import known_clients
from capsound.loading.values import Values
from capsound.loading.words import guess, show
from capsound.positions import KeyPath
from capsound.scenario import Assume, CallKind, Plain, Request


def read_assume(values: Values, calls: Sequence[CallKind]) -> Assume:
    """Return the assumptions, judged beside the calls that they are about."""
    table = values.get(("assume",), {})
    has_requests = any(isinstance(kind.cost, Request) for kind in calls)
    a1: bool | None = table.get("A1", None if has_requests else True)
    if a1 is False and has_requests:
        values.notes.value(
            ("assume", "A1"),
            "A1 = false does not go with requests: whether A1 holds has to follow from the estimator",
            "leave A1 out and capsound finds out whether it holds; A1 = true assumes it",
        )
    elif "shortfall" in table and a1 is not False:
        why = "A1 (a bill never exceeds its hold) is assumed" if a1 else "the requests say what is billed"
        cure = "leave it out" if has_requests else "set A1 = false in [assume], or leave shortfall out"
        values.notes.key(("assume", "shortfall"), f"shortfall has no meaning: {why}", cure)
    if "client" in table:
        table = _of_client(values, table)
    for key, name in (("rise", "A8"), ("hidden_retries", "A10")):
        if key in table and table.get(name, True):
            message = f"{key} has no meaning while {name} is assumed"
            values.notes.key(("assume", key), message, f"set {name} = false in [assume]")
    if table.get("A2") is False and "width" not in table:
        values.notes.value(
            ("assume", "A2"),
            "A2 = false needs a width: without one amounts are unbounded, and nothing can overflow",
            "add width = 64 (or how many bits an amount has) to [assume], or leave A2 out",
        )
    if a1:
        for number, kind in enumerate(calls):
            _affordable(values, ("calls", number, "bill"), kind)
    said: dict[str, Any] = {key.lower(): value for key, value in table.items() if key not in ("A1", "A2")}
    said |= {key: values.ratio(("assume", key), 1) for key in ("shortfall", "rise") if key in table}
    return Assume(a1=a1, **said)


def _of_client(values: Values, table: dict[str, Any]) -> dict[str, Any]:
    """Return the assumptions with what was measured of a client in the place of its name."""
    path: KeyPath = ("assume", "client")
    client = known_clients().get(table["client"])
    if client is None:
        close = guess(table["client"], known_clients())
        values.notes.value(
            path, f"no client is called {show(table['client'])}", close or "`capsound clients` lists all"
        )
        return table
    for key in ("A10", "hidden_retries"):
        if key in table:
            values.notes.key(("assume", key), f"{key} follows from the client", f"leave {key} out, or the client")
    again = client.hidden_retries
    kept = {key: value for key, value in table.items() if key not in ("A10", "hidden_retries")}
    return kept | ({"A10": False, "hidden_retries": again} if again else {"A10": True})


def _affordable(values: Values, path: KeyPath, kind: CallKind) -> None:
    cost = kind.cost
    if isinstance(cost, Plain) and cost.estimate.hi is not None and cost.bill.lo > cost.estimate.hi:
        values.notes.value(
            path,
            f"{show(kind.name)} bills at least {values.told(cost.bill.lo)} and is estimated at "
            f"{values.told(cost.estimate.hi)} at most, although A1 (a bill never exceeds its hold) is assumed",
            "set A1 = false in [assume], or estimate more",
        )
