"""The runs in a ``--json`` document, event by event, with the balances that each of them changed.

Balances are the model's: what is drawn is what ``capsound.accounts`` computes, and no second way of counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capsound.accounts import Account, State, move
from capsound.errors import CapsoundError
from capsound.events import Event, event_from_dict

BALANCES = ("available", "held", "charged", "forfeited", "delegated", "returned", "billed")
"""What is shown of an account, in this order."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One event: the step it belongs to (0 before the first, None where that is not told), and who acted.

    ``changes`` are the balances before and after it.
    """

    step: int | None
    actor: str
    action: str
    event: Mapping[str, Any]
    changes: tuple[tuple[str, str, int, int], ...]
    """Account, balance, before, after."""
    billed: tuple[tuple[str, int], ...]
    """What was truly billed below each root so far."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run to be drawn. ``findings`` name their events from 1; ``replay`` is the command that runs it again."""

    title: str
    verdict: str
    moments: tuple[Moment, ...]
    findings: tuple[Mapping[str, Any], ...]
    argument: tuple[str, ...]
    replay: str
    caps: tuple[tuple[str, int], ...]
    reach: str = ""
    """How far the verdict reaches, and how it was found, in words."""

    def data(self) -> dict[str, Any]:
        """Return it for the script of the page."""
        data: dict[str, Any] = {
            "title": self.title,
            "verdict": self.verdict,
            "argument": list(self.argument),
            "replay": self.replay,
            "caps": [list(cap) for cap in self.caps],
            "findings": [{k: f[k] for k in ("anomaly", "event", "sentence")} for f in self.findings],
            "moments": [
                {
                    "step": m.step,
                    "actor": m.actor,
                    "action": m.action,
                    "event": dict(m.event),
                    "changes": [list(change) for change in m.changes],
                    "billed": dict(m.billed),
                }
                for m in self.moments
            ],
        }
        exact: dict[str, Any] = _exact(data)
        return exact


_EXACT = 2**53 - 1


def _exact(value: Any) -> Any:
    """Return data with integers as texts that a script would round."""
    if isinstance(value, dict):
        return {key: _exact(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_exact(one) for one in value]
    return str(value) if type(value) is int and abs(value) > _EXACT else value


def runs_of(document: Any, path: str = "") -> list[Run]:
    """Return the runs in a document of ``solve`` or ``replay``; ``path`` is what the command was given."""
    documents: Sequence[Mapping[str, Any]] = document if isinstance(document, list) else [document]
    out: list[Run] = []
    for one in documents:
        if "events" in one:
            out.append(_replayed(one, path))
        out += [_solved(one, result) for result in one.get("properties", ()) if "steps" in result]
    return out


def _replayed(document: Mapping[str, Any], path: str) -> Run:
    token = str(document.get("token", ""))
    events = [(None, "", "", event) for event in document["events"]]
    argument = [f"{f['anomaly']}: {f['sentence']}" for f in document["findings"]]
    title = f"Replay of {path}" if path else "Replay"
    return _run(title, str(document["verdict"]), events, document["findings"], argument, _command(path, token))


def _solved(document: Mapping[str, Any], result: Mapping[str, Any]) -> Run:
    events: list[tuple[int | None, str, str, Mapping[str, Any]]] = [
        (0, "", "", event) for event in result.get("opening", ())
    ]
    for step in result["steps"]:
        events += [(step["step"], step["actor"], step["action"], event) for event in step["events"]]
    title = f"{document.get('scenario', '')}: {result['property']}"
    replay = _command(str(document.get("path", "")), str(result["token"]))
    run = _run(title, str(result["verdict"]), events, result["findings"], result["argument"], replay)
    return replace(run, reach="; ".join(str(result[key]) for key in ("bound", "method") if result.get(key)))


def _command(path: str, token: str) -> str:
    return f"capsound replay {path} {token}" if path and token else ""


def _run(
    title: str,
    verdict: str,
    events: Iterable[tuple[int | None, str, str, Mapping[str, Any]]],
    findings: Sequence[Mapping[str, Any]],
    argument: Sequence[str],
    replay: str,
) -> Run:
    moments = tuple(_moments(events))
    caps = tuple(
        (str(m.event["root"]), int(m.event["cap"])) for m in moments if m.event["event"] == "open" and "cap" in m.event
    )
    return Run(title, verdict, moments, tuple(findings), tuple(argument), replay, caps)


def _moments(events: Iterable[tuple[int | None, str, str, Mapping[str, Any]]]) -> Iterator[Moment]:
    state = State()
    owners: dict[str, str] = {}
    for step, actor, action, data in events:
        event = event_from_dict(data)
        after = _moved(state, event)
        who = actor or _actor(data, owners)
        yield Moment(step, who, action, data, tuple(_changes(state, after)), tuple(_billed(after)))
        state = after


def _moved(state: State, event: Event) -> State:
    try:
        return move(state, event)
    except CapsoundError:  # what names nothing known moves no money
        return state


def _actor(data: Mapping[str, Any], owners: dict[str, str]) -> str:
    """Return whose event it is: that of the agent who made the hold, or sent the call."""
    names = [str(data[key]) for key in ("hold", "call") if key in data]
    who = str(data.get("agent") or next((owners[name] for name in names if name in owners), ""))
    for name in names:
        owners.setdefault(name, who)
    return who


def _changes(before: State, after: State) -> Iterator[tuple[str, str, int, int]]:
    for name, account in after.accounts.items():
        old: Account | None = before.accounts.get(name)
        if old is account:
            continue
        for balance in BALANCES:
            was, now = 0 if old is None else int(getattr(old, balance)), int(getattr(account, balance))
            if was != now:
                yield str(name), balance, was, now


def _billed(state: State) -> Iterator[tuple[str, int]]:
    totals: dict[str, int] = {}
    for account in state.accounts.values():
        totals[str(account.root)] = totals.get(str(account.root), 0) + int(account.billed)
    yield from totals.items()
