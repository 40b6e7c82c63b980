"""The argument of a counterexample, as data first and in words second.

``Let R1 = ..; R1 fits, because ..; R2 was admitted although ..; hence ..``: what an engineer needs in order to
believe the violation without reading the trace.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsound.accounts import State, move
from capsound.anomalies import ANOMALIES, implied_by
from capsound.events import (
    Bill,
    Cancel,
    Crash,
    Event,
    Extend,
    Forfeit,
    Refuse,
    Release,
    Reserve,
    Settle,
    Timeout,
)
from capsound.guarantees import Guarantee
from capsound.machine import LEDGER_FIELDS, Machine, thaw
from capsound.monitor import Finding, Report
from capsound.predicates import largest_number
from capsound.properties import Property
from capsound.schedule import Trace


@dataclass(frozen=True, slots=True)
class Argument:
    """What is named, what happened because of what, and what follows."""

    lets: tuple[str, ...]
    because: tuple[str, ...]
    hence: str
    refuted: str
    also_not: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the argument as lines of text."""
        out = [f"Let {', '.join(self.lets)}."] if self.lets else []
        out += [f"- {line}." for line in self.because]
        out.append(f"Hence {self.hence}.")
        return out


def argue(machine: Machine, trace: Trace, report: Report, prop: Property) -> Argument:
    """Return why the run of the machine breaks the property."""
    lets = [f"cap = {trace.schedule.cap}"]
    because: list[str] = []
    by_step: dict[int, list[Finding]] = {}
    for finding in report.findings:
        by_step.setdefault(finding.step, []).append(finding)
    state = State()
    last = _conclusion(report, prop)
    for number, event in enumerate(trace.events, start=1):
        findings = [f for f in by_step.get(number, []) if f is not last]
        if isinstance(event, Reserve):
            lets.append(f"{event.hold} = {event.amount} for {event.agent}")
        line = _line(state, event, findings)
        if line:
            because.append(line)
        if not isinstance(event, Reserve | Extend):
            because += [f"{finding.sentence} ({finding.anomaly})" for finding in findings]
        state = move(state, event)
        if last is not None and number == last.step:
            break
    if prop is Property.WIDTH:
        hence = _too_wide(machine, trace)
    else:
        hence = f"{last.sentence} ({last.anomaly})" if last is not None else _overrun(report)
    names = dict.fromkeys(f.anomaly for f in report.findings)
    also = tuple(dict.fromkeys(i for n in names for i in implied_by(n) if i not in names))
    refuted = report.refuted.label if report.refuted is not None else ""
    return Argument(tuple(lets), tuple(because), hence, refuted, also)


def _conclusion(report: Report, prop: Property) -> Finding | None:
    """Return the first finding that is evidence against the property."""
    return next((f for f in report.findings if ANOMALIES[f.anomaly].breaks is prop), None)


def _too_wide(machine: Machine, trace: Trace) -> str:
    """Return which balance is the first that does not fit, what it is, and the largest number that does."""
    most = largest_number(machine)
    names = LEDGER_FIELDS[: LEDGER_FIELDS.index("lock")]
    found = (
        (number, info.name, name, value)
        for number, values in enumerate([trace.initial, *(step.values for step in trace.steps)])
        for info, ledger in zip(machine.accounts, thaw(machine, values).ledgers, strict=True)
        for name in names
        if (value := getattr(ledger, name)) > most
    )
    number, account, name, value = next(found)
    width = machine.scenario.assume.width
    when = f"after step {number}" if number else "before any step"
    return (
        f"{account}.{name} is {value:,} {when}: {value - most:,} more than {most:,}, the largest signed number of "
        f"{width} bits"
    )


def _overrun(report: Report) -> str:
    over = ", ".join(f"{name} is {over} over its cap" for name, over in report.overshoot.items() if over)
    return f"{over}: more than the deficits of calls in flight explain"


def _line(state: State, event: Event, findings: list[Finding]) -> str:
    """Return what one event contributes to the argument; nothing where it only follows from others."""
    match event:
        case Reserve(account=account, hold=hold, amount=amount):
            if findings:
                return f"{hold}: {findings[0].sentence} ({findings[0].anomaly})"
            return f"{hold} fits: {amount} of the {state.account(account).available} available on {account}"
        case Extend(hold=hold, amount=amount):
            if findings:
                return f"{hold}: {findings[0].sentence} ({findings[0].anomaly})"
            return f"{hold} is extended by {amount}"
        case Bill(call=call, amount=amount):
            under = state.hold_of(call)
            excess = under.billed + amount - under.amount
            if excess > 0:
                return f"{call} is billed {amount}: {excess} over its hold {under.id} of {under.amount}"
            return f"{call} is billed {amount} under {under.id}"
        case Cancel(hold=hold_id):
            sent = "after" if state.hold(hold_id).state.value == "sent" else "before"
            return f"{hold_id} is cancelled {sent} its call was sent"
        case Timeout(call=call):
            return f"the reply to {call} never arrives, although it was billed"
        case Crash(agent=agent):
            return f"{agent} crashes"
        case Forfeit(hold=hold_id):
            return f"{hold_id} is forfeited: its {state.hold(hold_id).amount} counts as spent"
        case Release(hold=hold_id):
            return "" if findings else f"{hold_id} is released before it was sent"
        case Settle(hold=hold_id, amount=amount):
            return "" if findings else f"{hold_id} is settled at {amount}"
        case Refuse(amount=amount, agent=agent):
            return f"{agent} is refused {amount}"
        case _:
            return ""


def what_is_lost(report: Report) -> tuple[str, tuple[str, ...]]:
    """Return the weakest guarantee that the run refutes, and the stronger ones that fall with it."""
    if report.refuted is None:
        return "", ()
    stronger = tuple(g.label for g in Guarantee if g > report.refuted)
    return report.refuted.label, stronger
