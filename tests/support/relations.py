"""Pairs of scenarios whose verdicts must go together, whatever the right verdict is.

A relation makes a second scenario of a first. Most of them hold because the second has every run of the first, and a
state that is broken in a run stays broken: an agent that never moves, a call that is never begun, a fault that never
hits, a bill that stays as small as before. Such a relation *keeps violations*. Others make the same scenario in other
words, and keep everything.

What does not hold, and why, is in ``test_metamorphic``, with a scenario that shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random
from typing import TypeVar

from capsound.disciplines import get_discipline
from capsound.properties import Property
from capsound.scenario import ROOT, Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Slice

SAFETY = (Property.CAP, Property.SLICE, Property.OVERRUN, Property.TRUTH, Property.CONSERVATION)
"""What one state breaks by its balances alone. ``progress`` also asks what everybody can do next."""

ALL = (*SAFETY, Property.PROGRESS)

FACTOR = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Relation:
    """``make`` returns the second scenario, None where the relation does not apply.

    ``same``: every verdict, length and overshoot is kept, the overshoot times ``factor``. Otherwise what is violated
    stays violated, in no more than ``longer`` steps more, and the largest overshoot does not shrink. ``kept`` is what
    the second scenario keeps, whatever the first does.
    """

    name: str
    make: Callable[[Scenario, Random], Scenario | None]
    same: bool = False
    properties: tuple[Property, ...] = SAFETY
    factor: int = 1
    longer: int = 0
    kept: tuple[Property, ...] = ()


# ---------------------------------------------------------------------------------------------- the same


def written_out(scenario: Scenario, random: Random) -> Scenario | None:
    """``count = 2`` equals two agents written out."""
    groups = [agents for agents in scenario.agents if (agents.count or 1) > 1]
    if not groups:
        return None
    chosen = random.choice(groups)
    single = [replace(chosen, name=name, count=1) for name in _fresh(scenario, "one", chosen.count or 1)]
    at = next(number for number, agents in enumerate(scenario.agents) if agents is chosen)
    return replace(scenario, agents=(*scenario.agents[:at], *single, *scenario.agents[at + 1 :]))


def shuffled(scenario: Scenario, random: Random) -> Scenario:
    """No table of a file depends on the order of its entries."""
    return replace(
        scenario,
        agents=tuple(random.sample(scenario.agents, len(scenario.agents))),
        slices=tuple(random.sample(scenario.slices, len(scenario.slices))),
        calls=tuple(random.sample(scenario.calls, len(scenario.calls))),
    )


STYLES: tuple[Callable[[int], str], ...] = (
    lambda n: "n" * 58 + f"{n:02}",  # as long as a name may be, and different at its end only
    lambda n: f"_{n}",
    lambda n: "a" + "-_."[n % 3] * (1 + n // 3) + "a",
    lambda n: ("billed", "cap", "count", "held", "Root", "lock", "spent", "at", "slice", "v0", "draw0", "any")[n],
    lambda n: f"step0.{n}",
)


def renamed(scenario: Scenario, random: Random) -> Scenario:
    """No verdict depends on a name, however much it looks like another one or like a word of the solver's."""
    style = random.choice(STYLES)
    old = [*(a.name for a in scenario.agents), *(s.name for s in scenario.slices), *(c.name for c in scenario.calls)]
    fresh = [style(number) for number in range(len(old))]
    random.shuffle(fresh)
    agents = [replace(a, name=fresh.pop()) for a in scenario.agents]
    slices = {s.name: fresh.pop() for s in scenario.slices}
    calls = {c.name: fresh.pop() for c in scenario.calls}
    return replace(
        scenario,
        agents=tuple(replace(a, account=slices.get(a.account, ROOT), call=calls[a.call]) for a in agents),
        slices=tuple(Slice(slices[s.name], slices.get(s.parent, ROOT), s.grant) for s in scenario.slices),
        calls=tuple(CallKind(calls[c.name], c.cost) for c in scenario.calls),
    )


def a_thousandfold(scenario: Scenario, random: Random) -> Scenario | None:
    """Nothing but the unit changes, if every amount is given exactly."""
    return scaled(scenario) if exact(scenario) else None


def a_thousandfold_in_ranges(scenario: Scenario, random: Random) -> Scenario | None:
    """A finer unit has all the old amounts, and new ones between them."""
    return None if exact(scenario) else scaled(scenario)


def exact(scenario: Scenario) -> bool:
    """Return whether the environment has no amount to choose."""
    kinds = [kind.cost for kind in scenario.calls if isinstance(kind.cost, Plain)]
    intervals = [i for cost in kinds for i in (cost.estimate, cost.bill)]
    return scenario.assume.a7 and all(interval.fixed for interval in intervals)


def scaled(scenario: Scenario) -> Scenario:
    def times(interval: Interval) -> Interval:
        return Interval(interval.lo * FACTOR, None if interval.hi is None else interval.hi * FACTOR)

    def cost(kind: CallKind) -> Plain:
        assert isinstance(kind.cost, Plain)
        return Plain(times(kind.cost.estimate), times(kind.cost.bill))

    return replace(
        scenario,
        cap=times(scenario.cap),
        calls=tuple(CallKind(kind.name, cost(kind)) for kind in scenario.calls),
        slices=tuple(replace(piece, grant=times(piece.grant)) for piece in scenario.slices),
        agents=tuple(a if a.own_slice is None else replace(a, own_slice=times(a.own_slice)) for a in scenario.agents),
    )


# ------------------------------------------------------------------------------- more of what may happen


def another_agent(scenario: Scenario, random: Random) -> Scenario | None:
    """An agent that never moves changes nothing, except where the close of a slice waits for it."""
    accounts = [ROOT, *(piece.name for piece in scenario.slices)]
    account = ROOT if closes(scenario) else random.choice(accounts)
    grown = [a for a in scenario.agents if not closes(scenario) or a.account == ROOT]
    (name,) = _fresh(scenario, "more", 1)  # the old name with a number may be the name of another entry
    if grown and random.random() < 0.5:
        chosen = random.choice(grown)
        more = tuple(replace(a, name=name, count=(a.count or 1) + 1) if a is chosen else a for a in scenario.agents)
        return replace(scenario, agents=more)
    room = next((piece.grant.lo for piece in scenario.slices if piece.name == account), scenario.cap.lo)
    own = random.choice((None, None, Interval.exactly(random.randint(0, room))))
    entry = Agents(name, 1, account, random.choice(scenario.agents).call, own_slice=own)
    return replace(scenario, agents=_inserted(scenario.agents, entry, random))


def another_call(scenario: Scenario, random: Random) -> Scenario | None:
    """A call that is never begun changes nothing, except where the close of a slice waits for its agent."""
    able = [a for a in scenario.agents if not closes(scenario) or (a.account == ROOT and a.own_slice is None)]
    if not able:
        return None
    chosen = random.choice(able)
    more = tuple(replace(a, calls=a.calls + 1) if a is chosen else a for a in scenario.agents)
    return replace(scenario, agents=more)


def closes(scenario: Scenario) -> bool:
    """Return whether slices are closed when all who use them are done."""
    return bool(get_discipline(scenario.discipline).close)


def another_fault(scenario: Scenario, random: Random) -> Scenario:
    """A fault may happen, and need not."""
    faults = scenario.faults
    more = {
        "cancel": Faults(faults.cancel + 1, faults.timeout, faults.crash),
        "timeout": Faults(faults.cancel, faults.timeout + 1, faults.crash),
        "crash": Faults(faults.cancel, faults.timeout, faults.crash + 1),
    }
    return replace(scenario, faults=more[random.choice(list(more))])


def without_an_assumption(scenario: Scenario, random: Random) -> Scenario | None:
    """What is assumed only forbids runs."""
    assume = scenario.assume
    weaker: list[Assume] = []
    if assume.a1:
        weaker += [replace(assume, a1=False), replace(assume, a1=False, shortfall=Fraction(3, 2))]
    elif assume.shortfall is not None:
        weaker += [replace(assume, shortfall=None), replace(assume, shortfall=assume.shortfall + 1)]
    if assume.a7:
        weaker.append(replace(assume, a7=False))
    weaker.append(replace(assume, a8=False, rise=Fraction(random.choice((3, 4)), 2)))
    weaker.append(replace(assume, a10=False, hidden_retries=1))
    return replace(scenario, assume=random.choice(weaker))


def room_for_one_more(scenario: Scenario, random: Random) -> Scenario:
    """Raise the cap by k, and add an agent whose one call is estimated at k and billed k.

    It can go first and be done, and then everything is as before. The reverse does not hold: it need not go first.
    """
    amount = random.randint(1, 4)
    agent, call = _fresh(scenario, "first", 2)
    kind = CallKind(call, Plain(Interval.exactly(amount), Interval.exactly(amount)))
    return replace(
        scenario,
        cap=Interval(scenario.cap.lo + amount, scenario.cap.lo + amount),
        calls=_inserted(scenario.calls, kind, random),
        agents=_inserted(scenario.agents, Agents(agent, 1, ROOT, call), random),
    )


def with_room_for_all(scenario: Scenario, random: Random) -> Scenario | None:
    """Raise the cap to all that can ever be billed, a lost reply's call once more: ``cap`` must be kept.

    A larger cap alone promises nothing: it admits calls that the smaller one refused. None where bills have no bound.
    """
    tops: dict[str, int] = {}
    for kind in scenario.calls:
        assert isinstance(kind.cost, Plain)
        if kind.cost.bill.hi is None:
            return None
        tops[kind.name] = kind.cost.bill.hi
    everything = sum(tops[agents.call] * agents.calls * (agents.count or 1) for agents in scenario.agents)
    everything += scenario.faults.timeout * max(tops[agents.call] for agents in scenario.agents)
    room = max(scenario.cap.lo, everything)
    return replace(scenario, cap=Interval(room, room))


RELATIONS = (
    Relation("count = 2 equals two agents written out", written_out, same=True, properties=ALL),
    Relation("the order of entries means nothing", shuffled, same=True, properties=ALL),
    Relation("names mean nothing", renamed, same=True, properties=ALL),
    Relation("a finer unit, exact amounts", a_thousandfold, same=True, properties=ALL, factor=FACTOR),
    Relation("a finer unit, ranges", a_thousandfold_in_ranges, factor=FACTOR),
    Relation("another agent never repairs", another_agent),
    Relation("another call never repairs", another_call),
    Relation("another fault never repairs", another_fault),
    Relation("an assumption less never repairs", without_an_assumption),
    Relation("room for one more never repairs", room_for_one_more, longer=4),
    Relation("a cap with room for all is kept", with_room_for_all, properties=(), kept=(Property.CAP,)),
)


# ------------------------------------------------------------------------------------------------ instances


def instance_of(scenario: Scenario, random: Random, *, within: bool, trees: bool) -> Scenario:
    """Return a small scenario of the same shape with other numbers: a claim for every cap and amount covers it.

    ``within``: bills are within their estimates, ``trees``: the claim is about every tree of slices as well.
    """
    cap = random.randint(1, 6)
    kinds = []
    for kind in scenario.calls:
        estimate = random.randint(0, 4)
        most = estimate if within else 5
        if not within and scenario.assume.shortfall is not None:
            most = estimate * scenario.assume.shortfall.numerator // scenario.assume.shortfall.denominator
        lo = random.randint(0, most)
        kinds.append(CallKind(kind.name, Plain(Interval.exactly(estimate), Interval(lo, random.choice((lo, most))))))
    slices: list[Slice] = []
    for name in ("outer", "inner")[: random.randint(0, 2) if trees else 0]:
        parent = random.choice([ROOT, *(piece.name for piece in slices)])
        slices.append(Slice(name, parent, Interval.exactly(random.randint(0, cap))))
    agents = []
    used = [agents.call for agents in scenario.agents]
    for number in range(random.randint(1, 3 if not slices else 2)):
        account = random.choice([ROOT, *(piece.name for piece in slices)])
        own = Interval.exactly(random.randint(0, cap)) if trees and random.random() < 0.3 else None
        agents.append(Agents(f"agent{number}", 1, account, random.choice(used), random.choice((1, 1, 2)), own))
    exactly = Interval.exactly(cap)
    return replace(scenario, cap=exactly, calls=tuple(kinds), slices=tuple(slices), agents=tuple(agents))


# ------------------------------------------------------------------------------------------------ writing


def written(scenario: Scenario) -> str:
    """Return a scenario of plain calls as a file: a second scenario passes the reader as the first one did."""
    lines = [f"cap = {_amount(scenario.cap)}", f'discipline = "{scenario.discipline}"']
    if scenario.properties:
        lines.append(f"properties = {[prop.value for prop in scenario.properties]}")
    for kind in scenario.calls:
        assert isinstance(kind.cost, Plain)
        lines += ["[[calls]]", f'name = "{kind.name}"']
        lines += [f"estimate = {_amount(kind.cost.estimate)}", f"bill = {_amount(kind.cost.bill)}"]
    for piece in scenario.slices:
        lines += ["[[slices]]", f'name = "{piece.name}"', f'parent = "{piece.parent}"']
        lines.append(f"grant = {_amount(piece.grant)}")
    for agents in scenario.agents:
        lines += ["[[agents]]", f'name = "{agents.name}"', f"count = {agents.count or 1}"]
        lines += [f'account = "{agents.account}"', f'call = "{agents.call}"', f"calls = {agents.calls}"]
        lines += [f"slice = {_amount(agents.own_slice)}"] if agents.own_slice is not None else []
    assume = scenario.assume
    lines.append("[assume]")
    for name, holds in (("A1", assume.a1), ("A7", assume.a7), ("A8", assume.a8), ("A10", assume.a10)):
        lines.append(f"{name} = {str(holds).lower()}")
    lines += [f'shortfall = "{assume.shortfall}"'] if assume.shortfall is not None else []
    lines += [f'rise = "{assume.rise}"'] if assume.rise is not None else []
    lines += [f"hidden_retries = {assume.hidden_retries}"] if assume.hidden_retries is not None else []
    faults = scenario.faults
    lines += ["[faults]", f"cancel = {faults.cancel}", f"timeout = {faults.timeout}", f"crash = {faults.crash}"]
    return "\n".join(lines) + "\n"


def _amount(interval: Interval) -> str:
    if interval.fixed:
        return str(interval.lo)
    if interval.hi is None:
        return '"any"' if interval.lo == 0 else f"{{ min = {interval.lo} }}"
    return f"{{ min = {interval.lo}, max = {interval.hi} }}"


def _fresh(scenario: Scenario, stem: str, count: int) -> list[str]:
    """Return names that the generator never uses."""
    taken = {*(a.name for a in scenario.agents), *(s.name for s in scenario.slices), *(c.name for c in scenario.calls)}
    return [name for name in (f"{stem}{number}" for number in range(count + len(taken))) if name not in taken][:count]


def _inserted(entries: tuple[T, ...], entry: T, random: Random) -> tuple[T, ...]:
    at = random.randint(0, len(entries))
    return (*entries[:at], entry, *entries[at:])
