"""An implementation's journal against the run that wrote it: the same accounts, the same holds, the same balances.

A journal is our vocabulary of events, one JSON object a line, with names of its own. It holds no bills: those
are the provider's, and are put in here after each ``send``, in the order in which the calls left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from capsound.accounts import Account, State
from capsound.errors import BadTrace, CapsoundError
from capsound.events import Bill, Delegate, Event, Open, Send, event_from_dict
from capsound.monitor import Monitor
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_checker.programs.lockstep import Lockstep, account_id


@dataclass(frozen=True, slots=True)
class Replayed:
    """A journal folded through the monitor, together with the bills of the provider."""

    events: tuple[Event, ...]
    monitor: Monitor


def read(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of a journal. Raises ``BadTrace`` or ``BadAmount`` for a line that is none."""
    for line in lines:
        data = json.loads(line)
        if not isinstance(data, dict):
            raise BadTrace(f"a line of the journal is {line.strip()!r}, which is no event")
        yield event_from_dict(data)


def replay(lines: Iterable[str], bills: Iterable[int]) -> Replayed:
    """Fold a journal; each ``send`` is followed by the next of the ``bills``."""
    monitor = Monitor()
    events: list[Event] = []
    rest = iter(bills)
    for event in read(lines):
        events.append(event)
        monitor.feed(event)
        if isinstance(event, Send):
            bill = Bill(event.call, next(rest))  # type: ignore[arg-type]  # a plain int is an Amount at run time
            events.append(bill)
            monitor.feed(bill)
    return Replayed(tuple(events), monitor)


def problems(run: Lockstep) -> list[str]:
    """Return in words what in the journals of a run is not as it happened; nothing when they are right."""
    out: list[str] = []
    roots = [n for n in run.scopes if run.state.accounts[account_id(n)].parent is None]
    for root in roots:
        ours = _of_root(run.state, account_id(root))
        names = {account.id for account in ours}
        bills = [
            event.amount
            for event in run.events
            if isinstance(event, Bill) and run.state.hold_of(event.call).account in names
        ]
        try:
            replayed = replay(run.journal(root), bills)
        except (CapsoundError, ValueError, StopIteration) as error:
            out.append(f"the journal of {account_id(root)} cannot be read: {error}")
            continue
        out += _compared(ours, replayed, run, {h.id for h in run.state.holds.values() if h.account in names})
    return out


def _of_root(state: State, root: str) -> list[Account]:
    return [account for account in state.accounts.values() if account.root == root]


def _compared(ours: list[Account], replayed: Replayed, run: Lockstep, holds: set[object]) -> Iterator[str]:
    """Compare accounts and holds by the order in which they were created, since their names differ."""
    created = [e.root if isinstance(e, Open) else e.child for e in replayed.events if isinstance(e, Open | Delegate)]
    theirs = [replayed.monitor.state.accounts[name] for name in created]
    if len(theirs) != len(ours):
        yield f"the journal of {ours[0].id} knows {len(theirs)} accounts, {len(ours)} were created"
        return
    for mine, replayed_account in zip(ours, theirs, strict=True):
        if _balances(mine) != _balances(replayed_account):
            leads_to = f"{_balances(replayed_account)} for {replayed_account.id}"
            yield f"the journal leads to {leads_to}, and {mine.id} has {_balances(mine)}"
    mine_holds = [(h.amount, h.state.value, h.billed) for h in run.state.holds.values() if h.id in holds]
    replayed_holds = [(h.amount, h.state.value, h.billed) for h in replayed.monitor.state.holds.values()]
    if mine_holds != replayed_holds:
        yield f"the journal leads to the holds {replayed_holds}, and there are {mine_holds}"
    report = replayed.monitor.report()
    excused = report.exercise.overran and report.verdicts[Property.OVERRUN] is not Verdict.VIOLATED
    for finding in report.findings:
        if not (excused and finding.anomaly in ("overshoot", "slice-overshoot")):
            yield f"the journal shows {finding.anomaly}: {finding.sentence}"


def _balances(account: Account) -> dict[str, int | bool]:
    names = ("granted", "available", "held", "charged", "forfeited", "delegated", "returned", "billed", "closed")
    return {name: getattr(account, name) for name in names}
