"""Renderings of an outcome for people: a function of the data, on a terminal or not."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from capsound.events import (
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Expire,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
    Stall,
    Timeout,
    event_to_dict,
)
from capsound.guarantees import Guarantee
from capsound.machine import LEDGER_FIELDS, Config, Machine, thaw
from capsound.moments import spoken
from capsound.properties import MEANING, Property
from capsound.scenario import BUCKET, FIRST, HELD, MONEY, ROOT, SETTLED, Ceiling, Scenario, Window
from capsound.schedule import Trace, TraceStep
from capsound.verdict import Verdict
from capsound_checker.display.printing import printable
from capsound_checker.display.repeats import shape, summed_up
from capsound_checker.display.words import argue, is_echo, what_is_lost

if TYPE_CHECKING:
    from capsound_proofs.estimator import EstimatorAnswer
    from capsound_proofs.solve import Outcome, PropertyResult

STYLE = {Verdict.SOUND: "bold green", Verdict.VIOLATED: "bold red", Verdict.UNKNOWN: "bold yellow"}

FLAGS = {
    "useless": "no run admits any call: safe, but useless",
    "uninformative": "all calls together fit under the cap, so no schedule could overshoot",
    "over-granted": "the slices of an account add up to more than it can hold: they cannot all be open at once",
    "idle-agent": "some agents can never call",
    "unaffordable": "a call that must be affordable can be refused",
}

_SHOWN = ("available", "held", "charged", "forfeited", "delegated", "returned", "billed")


def render_outcome(console: Console, outcome: Outcome, *, verbose: bool = False) -> None:
    """Print everything that ``solve`` found out."""
    scenario = outcome.scenario
    head = printable(scenario.title or scenario.name)
    console.print(Text(head, style="bold"), highlight=False)
    where = printable(scenario.path or scenario.name)
    console.print(escape(f"{where}: {describe(scenario)}"), highlight=False, style="dim")
    console.print(escape(f"{scenario.discipline}: {outcome.machine.discipline}"), highlight=False, style="dim")
    console.print()
    for answer in outcome.estimators:
        _estimator(console, answer, scenario)
    shown: set[str] = set()
    for result in outcome.results:
        _result(console, outcome, result, shown, verbose=verbose)
    for sentence in outcome.sentences:
        console.print(f"  {escape(sentence)}", highlight=False)
    _worst(console, outcome)
    for flag in outcome.flags:
        console.print(f"  [bold yellow]{flag}[/]: {FLAGS[flag]}", highlight=False)
    console.print(f"[{STYLE[outcome.verdict]}]{outcome.verdict.value}[/] in {outcome.seconds:.1f} s", highlight=False)


def _pasted(path: str) -> str:
    """Return a path as it can be pasted into a shell: quoted, and never mistaken for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def describe(scenario: Scenario) -> str:
    """Return one line on who spends what."""
    spent = f", {scenario.told(scenario.spent)} of it spent" if scenario.spent else ""
    parts = [f"cap {scenario.told(scenario.cap)} {scenario.unit}{spent}{_anew(scenario.window)}"]
    for agents in scenario.agents:
        count = "any number of" if agents.count is None else str(agents.count)
        plural = "" if agents.count == 1 else "s"
        each = f", {agents.calls} calls each" if agents.calls > 1 else ""
        under = " and ".join(agents.ceilings) or agents.account
        parts.append(f"{count} agent{plural} on {under}{each}")
    parts += [_ceiling(ceiling, scenario) for ceiling in scenario.ceilings]
    faults = scenario.faults
    for name in ("cancel", "timeout", "crash", "expire"):
        if most := getattr(faults, name):
            parts.append(f"up to {most} {name}")
    return " · ".join(parts)


def _ceiling(ceiling: Ceiling, scenario: Scenario) -> str:
    counted = scenario.unit if ceiling.dimension == MONEY else ceiling.dimension
    above = "" if ceiling.parent == ROOT else f", below {ceiling.parent}"
    return f"{ceiling.name} {scenario.told_of(ceiling.name, ceiling.cap)} {counted}{_anew(ceiling.window)}{above}"


_AGES = {
    SETTLED: "",
    HELD: ", costs age from the hold",
    FIRST: ", all costs forgotten with the first",
    BUCKET: ", costs forgotten by the bucket",
}


def _anew(window: Window | None) -> str:
    """Return when a cap begins anew, and with what; nothing where it does not."""
    if window is None:
        return ""
    forgets = "" if window.keeps else ", calls in flight forgotten"
    if window.slides:
        in_steps = f" in {window.buckets} buckets" if window.buckets else ""
        return f" in any {window.written.removeprefix('sliding').strip()}{in_steps}{_AGES[window.forgets]}{forgets}"
    when = window.written if window.written.startswith("every") else f"each {window.written}"
    most = "" if window.resets is None else f", up to {window.resets} reset{'s' * (window.resets != 1)}"
    return f" {when}{forgets}{most}"


def _result(console: Console, outcome: Outcome, result: PropertyResult, shown: set[str], *, verbose: bool) -> None:
    style = STYLE[result.verdict]
    label = result.verdict.value.upper() if result.verdict is Verdict.VIOLATED else result.verdict.value
    console.print(f"[{style}]{label}[/]  {result.property.value}: {MEANING[result.property]}", highlight=False)
    if result.trace is None:
        console.print(f"  {escape(result.bound)}", highlight=False, style="dim")
        if verbose:
            console.print(f"  by {escape(result.method)}, {result.seconds:.2f} s", highlight=False, style="dim")
            for line in result.invariant:
                console.print(f"    {escape(line)}", highlight=False, style="dim")
        return
    token = result.trace.schedule.token
    if token in shown:
        console.print("  broken by the same run", highlight=False, style="dim")
    else:
        shown.add(token)
        console.print()
        if result.trace.steps:
            render_trace(console, outcome.machine, result.trace)
            console.print()
        _argument(console, outcome.machine, result)
        console.print(
            f"  replay: capsound replay {escape(_pasted(outcome.scenario.path or 'scenario.toml'))} {token}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"  {escape(result.bound)}; {escape(result.method)}", highlight=False, style="dim")
    console.print()


def _argument(console: Console, machine: Machine, result: PropertyResult) -> None:
    assert result.trace is not None
    assert result.report is not None
    argument = argue(machine, result.trace, result.report, result.property)
    for line in argument.lines():
        console.print(f"  {escape(line)}", highlight=False)
    broken, stronger = what_is_lost(result.report)
    if broken:
        weaker = [g.label for g in Guarantee if g > Guarantee.NONE and g.label not in (broken, *stronger)]
        told = f"This run rules out: {broken}"
        if stronger:
            told += f" (and so {', '.join(stronger)})"
        if weaker:
            told += f". It does not rule out: {', '.join(weaker)}"
        console.print(f"  {told}.", highlight=False)


def render_trace(console: Console, machine: Machine, trace: Trace) -> None:
    """Print a run as numbered steps: who did what, and only what changed. What repeats itself is summed up."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False, pad_edge=False)
    for _column in range(5):
        table.add_column(no_wrap=False, overflow="fold")
    before = thaw(machine, trace.initial)
    for shown in summed_up([shape(step) for step in trace.steps]):
        step, number = trace.steps[shown.last], shown.last + 1
        at = f"  at {spoken(trace.moments[shown.last])}" if trace.moments else ""
        after = thaw(machine, step.values)
        changed = escape(", ".join(changes(machine, before, after)))
        if shown.times:
            first = f"[{shown.first + 1}] to [{number}]".replace("[", r"\[")
            what = "the step before" if shown.period == 1 else f"the {shown.period} steps before"
            table.add_row(f"  {first}", "", "", f"{shown.times} times more: {what}", changed)
        else:
            place = f"  [{number}]{at}".replace("[", r"\[")
            told = escape(_told(step, machine, before, after))
            table.add_row(place, escape(step.actor), escape(step.action), told, changed)
        before = after
    console.print(table, highlight=False)


def changes(machine: Machine, before: Config, after: Config) -> list[str]:
    """Return what changed between two states: ``charged 0 -> 23``, by account where there are several."""
    out = []
    several = len(machine.accounts) > 1
    for info, old, new in zip(machine.accounts, before.ledgers, after.ledgers, strict=True):
        for name in LEDGER_FIELDS:
            was, now = getattr(old, name), getattr(new, name)
            if name in _SHOWN and was != now:
                label = f"{info.name}.{name}" if several else name
                note = " (true bill)" if name == "billed" else ""
                then, at = (machine.scenario.told_of(info.name, amount) for amount in (was, now))
                out.append(f"{label} {then} -> {at}{note}")
    return out


_PASSES = {"leave window": "what is as old as the window leaves it", "drop bucket": "a bucket is forgotten"}


def _told(step: TraceStep, machine: Machine, before: Config, after: Config) -> str:
    """Return what happened in one step; a check that reserves nothing is told as the question that it asks."""
    told = [_PASSES[step.action]] if machine.slides and step.action in _PASSES else []
    for event in step.events:
        if is_echo(event) and not isinstance(event, Reserve):
            continue
        if isinstance(event, Reserve) and (free := _only_asked(event, machine, before, after)) is not None:
            amount, room = (machine.scenario.told_of(event.account, amount) for amount in (event.amount, free))
            question = "is anything left" if "check-spent" in step.action else f"does {amount} fit"
            whom = f" {event.account}" if machine.alone and len(machine.accounts) > 1 else ""
            told.append(f"asks{whom}: {question}? yes, {room} free")
        elif text := _event(event):
            told.append(machine.scenario.in_unit(text, getattr(event, "account", ROOT)))
    return "; ".join(told)


def _only_asked(event: Reserve, machine: Machine, before: Config, after: Config) -> int | None:
    """Return what the ledger called free if it admitted a call and set nothing aside; None if it did."""
    place = next(n for n, info in enumerate(machine.accounts) if info.name == event.account)
    was, now = before.ledgers[place], after.ledgers[place]
    return None if now.held > was.held else int(was.available)


def _event(event: Event) -> str:
    match event:
        case Reserve(account=account, hold=hold, amount=amount):
            return f"{hold} reserves {amount} on {account}"
        case Settle(hold=hold, amount=amount):
            return f"{hold} settled at {amount}"
        case Refuse(account=account, amount=amount):
            return f"{amount} refused on {account}"
        case Extend(hold=hold, amount=amount):
            return f"{hold} extended by {amount}"
        case Release(hold=hold):
            return f"{hold} released"
        case Forfeit(hold=hold):
            return f"{hold} forfeited"
        case Cancel(hold=hold):
            return f"{hold} cancelled"
        case Expire(hold=hold):
            return f"{hold} let go, its call goes on"
        case Reset(root=root, forgotten=forgotten):
            return f"a new window of {root}" + (f" forgets {', '.join(forgotten)}" if forgotten else "")
        case Timeout(call=call):
            return f"{call} timed out"
        case Delegate(parent=parent, child=child, amount=amount):
            return f"{amount} delegated from {parent} to {child}"
        case Close(child=child):
            return f"{child} closed"
        case Merge(target=target, source=source):
            return f"{source} merged into {target}"
        case Observe():
            return ""
        case Send(hold=hold, call=call):
            return f"{call} under {hold}"
        case Crash():
            return "crash"
        case Accept(operation=operation, value=value):
            return f"{operation} accepted {value}"
        case Stall(agents=agents):
            return f"stall: {', '.join(agents)} cannot go on"
        case Bill(call=call, amount=amount):
            return f"{call} billed {amount}"
        case _:
            data = event_to_dict(event)
            kind = data.pop("event")
            data.pop("agent", None)
            data.pop("reason", None)
            return f"{kind} {' '.join(str(v) for v in data.values())}"


def _worst(console: Console, outcome: Outcome) -> None:
    worst = outcome.worst
    if worst is None:
        return
    told = outcome.scenario.told
    least = f"{told(worst.least)} {escape(outcome.scenario.unit)}"
    if worst.exact:
        text = f"largest overshoot: {least} (exact: a run reaches it, and no run exceeds it)"
    elif worst.most is not None:
        text = f"largest overshoot: at least {least} (a run), at most {told(worst.most)} (proved)"
    else:
        text = f"largest overshoot: at least {least}; no upper bound was proved"
    console.print(f"  {text}", highlight=False)


def _estimator(console: Console, answer: EstimatorAnswer, scenario: Scenario) -> None:
    margin = scenario.estimator.margin
    if answer.earned:
        console.print(f"estimator, {escape(answer.call)}: no request is billed above its estimate", highlight=False)
    elif answer.breaking is not None:
        b = answer.breaking
        console.print(
            f"estimator, {escape(answer.call)}: a request of {b.bytes} bytes is estimated at "
            f"{scenario.told(b.estimate)} and billed {scenario.told(b.bill)} {escape(scenario.unit)} "
            f"({b.estimated_tokens} input tokens estimated, "
            f"{b.needed_tokens} needed)",
            highlight=False,
        )
    else:
        console.print(f"estimator, {escape(answer.call)}: the solver could not decide", highlight=False)
    if answer.margin is not None:
        ratio = str(answer.margin)
        decimal = f" = {float(answer.margin):g}" if answer.margin.denominator > 1 else ""
        console.print(f"  smallest safe factor on bytes: {ratio}{decimal} (given: {float(margin):g})", highlight=False)
    else:
        console.print(f"  no factor on bytes is safe: {escape(answer.margin_why)}", highlight=False)
    again = scenario.assume.hidden_retries
    if not scenario.assume.a10 and answer.earned is False:
        times = "any number of times" if again is None else f"up to {again + 1} times"
        why = "A10 is off" if scenario.assume.client is None else f"those of {escape(scenario.assume.client)}"
        console.print(
            f"  the cause may be hidden retries ({why}): a request is billed {times}. "
            "Turn off the client's own retries, or reserve for each",
            highlight=False,
        )
    if answer.overhead is not None:
        console.print(
            f"  smallest safe overhead beside the factor {float(margin):g}: {answer.overhead} tokens",
            highlight=False,
        )
    else:
        console.print("  no additive overhead is safe: the bill of a request is not bounded", highlight=False)
    console.print()


__all__ = ["Property", "describe", "render_outcome", "render_trace"]
