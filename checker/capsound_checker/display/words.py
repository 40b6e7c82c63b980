"""The argument of a counterexample, as data first and in words second.

``Let R1 = ..; R1 fits, because ..; R2 was admitted although ..; hence ..``: what an engineer needs in order to
believe the violation without reading the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from capsound.accounts import State, move
from capsound.anomalies import ANOMALIES, implied_by
from capsound.events import (
    Bill,
    Cancel,
    Crash,
    Event,
    Expire,
    Extend,
    Forfeit,
    Refuse,
    Release,
    Reserve,
    Reset,
    Settle,
    Timeout,
)
from capsound.guarantees import Guarantee
from capsound.machine import LEDGER_FIELDS, Machine, thaw
from capsound.moments import spoken
from capsound.monitor import Finding, Report
from capsound.predicates import largest_number
from capsound.properties import Property
from capsound.scenario import ROOT
from capsound.schedule import Trace
from capsound.sliding import windows_of

FEW = 20
"""As many holds, and lines of an argument that are left out, are shown one by one."""

EDGE = 3
"""So many lines are kept at each end of what is left out."""


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
        out += [f"- {line}." for line in self._shown()]
        out.append(f"Hence {self.hence}.")
        return out

    def _shown(self) -> Iterator[str]:
        """Yield the reasons; of a long run, only the first and the last of those before anything is wrong."""
        wrong = next((n for n, line in enumerate(self.because) if line.endswith(")")), len(self.because))
        left = wrong - 2 * EDGE
        for number, line in enumerate(self.because):
            if left <= FEW or not EDGE <= number < wrong - EDGE:
                yield line
            elif number == EDGE:
                yield f"And so on: {left} more such lines before anything is wrong"


def is_echo(event: Event) -> bool:
    """Return whether an event tells of a further ceiling what another tells of the first that a call counts in."""
    return "@" in str(getattr(event, "hold", None) or getattr(event, "call", None) or "")


def argue(machine: Machine, trace: Trace, report: Report, prop: Property) -> Argument:
    """Return why the run of the machine breaks the property."""
    holds: list[Reserve] = []
    because: list[str] = []
    unit = machine.scenario.in_unit
    by_step: dict[int, list[Finding]] = {}
    for finding in report.findings:
        by_step.setdefault(finding.step, []).append(finding)
    state = State()
    last = _conclusion(report, prop)
    passing = _passing(machine, trace)
    for number, event in enumerate(trace.events, start=1):
        because += passing.pop(number, ())
        findings = [f for f in by_step.get(number, []) if f is not last]
        if isinstance(event, Reserve) and not (is_echo(event) and holds and holds[-1].amount == event.amount):
            holds.append(event)
        quiet = is_echo(event) and not isinstance(event, Reserve | Extend)
        line = "" if quiet else _line(state, event, findings, timed=bool(trace.moments))
        if line:
            because.append(unit(line, _account(state, event)))
        if not isinstance(event, Reserve | Extend):
            because += [f"{unit(f.sentence, account_of(f))} ({f.anomaly})" for f in findings]
        state = move(state, event)
        if last is not None and number == last.step:
            break
    if prop is Property.WIDTH:
        hence = _too_wide(machine, trace)
    elif last is not None:
        hence = f"{unit(last.sentence, account_of(last))} ({last.anomaly})"
    else:
        hence = unit(_overrun(report))
    names = dict.fromkeys(f.anomaly for f in report.findings)
    also = tuple(dict.fromkeys(i for n in names for i in implied_by(n) if i not in names))
    refuted = report.refuted.label if report.refuted is not None else ""
    told = machine.scenario.told_of
    caps = [f"{info.name} = {told(info.name, info.grant)}" for info in machine.accounts[1:]] if machine.alone else []
    lets = (f"cap = {told(ROOT, trace.schedule.cap)}", *caps, *_lets(holds, told))
    return Argument(lets, tuple(because), hence, refuted, also)


def account_of(finding: Finding) -> str:
    """Return the account that a finding is about, the root where it names none."""
    return str(finding.numbers.get("account", ROOT))


def _account(state: State, event: Event) -> str:
    """Return the account that an event is about, the root where it is about none."""
    if isinstance(event, Bill):
        return state.hold_of(event.call).account
    hold = getattr(event, "hold", None)
    held = state.holds.get(hold) if hold is not None else None
    return str(getattr(event, "account", ROOT if held is None else held.account))


def _lets(holds: list[Reserve], told: Callable[[str, int], str]) -> Iterator[str]:
    """Yield what each hold is; of many, those in a row that are alike together."""
    if len(holds) <= FEW:
        yield from (f"{hold.hold} = {told(hold.account, hold.amount)} for {hold.agent}" for hold in holds)
        return
    for amount, row in groupby(holds, key=lambda hold: told(hold.account, hold.amount)):
        alike = list(row)
        first, last = alike[0].hold, alike[-1].hold
        yield f"{first} = {amount}" if first == last else f"{first} to {last} = {amount} each"


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


def _passing(machine: Machine, trace: Trace) -> dict[int, list[str]]:
    """Return what is said of time before an event, by its number: of steps in which something leaves a window."""
    if not trace.moments:
        return {}
    window = next(w.written.removeprefix("sliding").strip() for w in windows_of(machine) if w is not None and w.slides)
    said: dict[int, list[str]] = {}
    number = len(trace.opening) + 1
    for step, at in zip(trace.steps, trace.moments, strict=True):
        if step.action == "leave window":
            said.setdefault(number, []).append(f"at {spoken(at)}, what is {window} old leaves the window")
        elif step.action == "drop bucket":
            said.setdefault(number, []).append(f"at {spoken(at)}, a bucket that began {window} ago is forgotten")
        number += len(step.events)
    return said


def _line(state: State, event: Event, findings: list[Finding], *, timed: bool = False) -> str:
    """Return what one event contributes to the argument; nothing where it only follows from others.

    ``timed``: what was free then is not in the state, which knows no time.
    """
    match event:
        case Reserve(account=account, hold=hold, amount=amount):
            if findings:
                return f"{hold}: {findings[0].sentence} ({findings[0].anomaly})"
            if timed:
                return f"{hold} fits: {amount} on {account}"
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
        case Expire(hold=hold_id):
            return "" if findings else f"{hold_id} is let go, although its call goes on"
        case Reset(root=root, forgotten=forgotten):
            lost = f", and {', '.join(forgotten)} is forgotten" if forgotten else ""
            return f"a new window of {root} begins: nothing is spent in it{lost}"
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
