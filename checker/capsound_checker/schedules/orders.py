"""What comes out of two operations one after the other: a race is what neither of the two orders explains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from capsound.adapter import Adapter, Answer, Gate, Kind, ask, offers
from capsound.amounts import Amount, CallId
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound_checker.programs.lockstep import Lockstep, account_id, hold_id
from capsound_checker.programs.program import Program, Step
from capsound_checker.schedules.races import SAFE

Outcome = tuple[tuple[str, ...], tuple[object, ...]]
"""How two operations ended, and what all open scopes say afterwards."""


class Orders(NamedTuple):
    """What comes out of two operations one after the other, in either order."""

    outcomes: frozenset[Outcome]
    journals: tuple[list[object], ...]
    """What the journal says of each, where one is offered."""

    @property
    def one_of_two(self) -> bool:
        """Whether only one of the two is admitted, whichever comes first: then a race at the gate would show."""
        return all(sorted(kinds) == ["done", "no"] for kinds, _ in self.outcomes)


def both_orders(adapter: type[Adapter], before: Program, one: Step, two: Step) -> Orders:
    """Do two operations one after the other, in either order."""
    (first, answers), (second, swapped) = _after(adapter, before, one, two), _after(adapter, before, two, one)
    journals = (journal_of(first), journal_of(second)) if "journal" in offers(adapter) else ()
    return Orders(frozenset({outcome_of(first, answers), outcome_of(second, swapped[::-1])}), journals)


def journal_of(run: Lockstep) -> list[object]:
    """Return what the journal says happened, without the names."""
    events = [json.loads(line) for line in run.journal(0)]
    return [(event["event"], event.get("amount")) for event in events]


def prepared(adapter: type[Adapter], before: Program) -> Lockstep:
    """Return a run after the steps of a program."""
    run = Lockstep(adapter())
    for step in before:
        run.do(step)
    return run


class _Unasked(Lockstep):
    """A run whose accounts are not asked what they say after each step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._observe = _nothing


def _nothing() -> None:
    pass


def bare(adapter: type[Adapter], before: Program) -> Lockstep:
    """Return a run after the steps of a program, for what was made in it: nobody has listened."""
    run = _Unasked(adapter())
    for step in before:
        run.do(step)
    return run


def _after(adapter: type[Adapter], before: Program, *steps: Step) -> tuple[Lockstep, list[Answer]]:
    """Do operations one after the other."""
    run = bare(adapter, before)
    return run, [do_step(run, step) for step in steps]


def is_there(run: Lockstep, step: Step) -> bool:
    """Whether what a step is about exists: what was refused before cannot be raced for."""
    if step.do in _ON_HOLD:
        return step.on in run.handles
    return step.on in run.scopes and (step.do != "merge" or step.new in run.scopes)


_ON_HOLD = frozenset({"settle", "release", "forfeit", "extend", "send"})


def do_step(run: Lockstep, step: Step) -> Answer:
    """Do the operation of a step on the implementation alone, as its gate does it."""
    adapter, scopes, handles = run.adapter, run.scopes, run.handles
    match step.do:
        case "begin":
            return _whole_call(run, step)
        case "reserve":
            return ask(adapter, "charge" if adapter.gate is Gate.CHARGE else "reserve", scopes[step.on], step.amount)
        case "settle" if adapter.gate in (Gate.CHECK, Gate.RECORD):
            return ask(adapter, "record", scopes[0], 1)
        case "delegate":
            return ask(adapter, "delegate", scopes[step.on], step.amount)
        case "close":
            return ask(adapter, "close", scopes[step.on])
        case "merge":
            return ask(adapter, "merge", scopes[step.on], scopes[step.new])
        case "settle":
            return ask(adapter, "settle", handles[step.on], 1)
        case "extend":
            return ask(adapter, "extend", handles[step.on], step.amount)
        case "send":
            return ask(adapter, "sent", handles[step.on])
        case _:
            return ask(adapter, step.do, handles[step.on])


def _whole_call(run: Lockstep, step: Step) -> Answer:
    """Make one call from its admission to its bill."""
    adapter, scope = run.adapter, run.scopes[step.on]
    if adapter.gate is Gate.CALL:

        async def provider() -> int:
            return step.bill

        return ask(adapter, "call", scope, step.amount, provider)
    answer = ask(adapter, "check", scope, step.amount)
    if answer.kind is not Kind.DONE:
        return answer
    return ask(adapter, "record", scope, step.bill) if answer.value else Answer(Kind.REFUSED, why="check says no")


def outcome_of(run: Lockstep, answers: Sequence[Answer]) -> Outcome:
    """Return how two operations ended: the kind only, since the words may tell of the moment."""
    kinds = tuple("done" if a.kind is Kind.DONE else "no" if a.kind is not Kind.HUNG else "hung" for a in answers)
    mine = offers(run.adapter)
    more = [sorted(run.adapter.balances(scope).items()) for scope in run.scopes.values() if "balances" in mine]
    return kinds, (*(run.adapter.observe(scope) for scope in run.scopes.values()), *map(tuple, more))


def anomaly_of(
    adapter: type[Adapter], before: Program, steps: tuple[Step, Step], answers: Sequence[Answer], raced: Lockstep
) -> tuple[str, str]:
    """Return the anomaly that the monitor sees when it is told what ``raced`` did, one operation after the other."""
    for order in ((0, 1), (1, 0)):
        run = prepared(adapter, before)
        later: list[Event] = []
        for which in order:
            if answers[which].kind is Kind.DONE:
                admitted, *rest = events_of(steps[which], run)
                run.tell(admitted)
                later += rest  # both were admitted before either had ended
            elif steps[which].do in ("reserve", "begin"):
                run.tell(_refusal(steps[which]))
        for event in later:
            run.tell(event)
        for number, scope in raced.scopes.items():
            spent, held, remaining = raced.adapter.observe(scope)
            if spent is not None and remaining is not None and not run.state.accounts[account_id(number)].closed:
                run.tell(Observe(account_id(number), spent, remaining, held))
        if wrong := run.wrong():
            worst = next((finding for finding in wrong if finding.anomaly not in SAFE), wrong[0])
            return worst.anomaly, worst.sentence
    return "ledger-drift", f"no order of the two explains {outcome_of(raced, answers)}"


def events_of(step: Step, run: Lockstep) -> tuple[Event, ...]:
    """Return the events that a step becomes where its operation was done."""
    if step.do != "begin":
        return (_event(step, run),)
    hold, sent = hold_id(step.new), CallId(f"raced {step.new}")
    admitted = Reserve(account_id(step.on), hold, Amount(step.amount))
    return admitted, Send(hold, sent), Bill(sent, Amount(step.bill)), Settle(hold, Amount(step.bill))


def _event(step: Step, run: Lockstep) -> Event:
    match step.do:
        case "reserve":
            return Reserve(account_id(step.on), hold_id(step.new), Amount(step.amount))
        case "delegate":
            return Delegate(account_id(step.on), account_id(step.new), Amount(step.amount))
        case "close":
            return Close(account_id(step.on))
        case "merge":
            return Merge(account_id(step.on), account_id(step.new))
        case "settle":
            return Settle(hold_id(step.on), Amount(run.state.hold(hold_id(step.on)).billed))
        case "extend":
            return Extend(hold_id(step.on), Amount(step.amount))
        case "send":
            return Send(hold_id(step.on), CallId("raced"))
        case "release":
            return Release(hold_id(step.on))
        case _:
            return Forfeit(hold_id(step.on))


def _refusal(step: Step) -> Event:
    return Refuse(account_id(step.on), Amount(step.amount))
