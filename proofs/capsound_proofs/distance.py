"""How far away a violation is at least: steps that are counted from the amounts, without a solver.

To overshoot an account, calls of more than its grant have to be billed. Each of them was sent, so it has taken the
steps up to its send; all but the last call of each agent are over, so they have taken the rest as well; and every
slice on the way had to be opened. Whatever the schedule, no run of fewer steps breaks the property.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capsound.costs import costs_of
from capsound.disciplines import Discipline, Retry
from capsound.machine import Machine
from capsound.properties import Property
from capsound.scenario import ROOT, Agents, Scenario
from capsound_proofs.ranges import largest_bill


@dataclass(frozen=True, slots=True)
class Caller:
    """The agents of one entry: how many there are, the largest bill of each of their calls, where they call."""

    count: int
    tops: tuple[int, ...]
    account: str
    own: bool

    @property
    def calls(self) -> int:
        """How many calls all of them make."""
        return self.count * len(self.tops)


def steps_away(machine: Machine, prop: Property) -> int | None:
    """Return a number of steps without which no run breaks ``prop``: None where bills cannot break it at all.

    It is 0 where nothing is known: for other properties than ``cap`` and ``slice``, for programs of handles, for
    ceilings and windows, and where a bill has no bound.
    """
    scenario = machine.scenario
    if machine.alone:
        return 0
    callers = callers_of(scenario)
    if callers is None or prop not in (Property.CAP, Property.SLICE):
        return 0
    if prop is Property.SLICE and any(agents.inherits for agents in scenario.agents):
        return 0
    if prop is Property.CAP:
        return _needed(machine, callers, machine.cap.lo - scenario.spent)
    # A slice that is refused is a slice of nothing, and what is given back no longer has to be exceeded.
    kept = admits_by_balance(machine.discipline) and scenario.assume.a1 is True and not machine.discipline.close
    away = [
        _needed(machine, below, grant if kept else 0, first=first) for below, grant, first in _slices(scenario, callers)
    ]
    return min((steps for steps in away if steps is not None), default=None)


def callers_of(scenario: Scenario) -> list[Caller] | None:
    """Return who calls, None where the largest bills are not known."""
    found = []
    for agents in scenario.agents:
        if agents.program:
            return None
        tops = [largest_bill(costs_of(scenario, agents.call, number)) for number in range(agents.calls)]
        bounded = tuple(top for top in tops if top is not None)
        if len(bounded) < len(tops):
            return None
        found.append(Caller(_count(agents), bounded, agents.account, agents.own_slice is not None))
    return found


MANY = 10**6
"""Stands for any number of agents."""


def _count(agents: Agents) -> int:
    return MANY if agents.count is None else agents.count


def admits_by_balance(d: Discipline) -> bool:
    """Return whether a call is only admitted where the balance has room for its estimate."""
    return d.turn == 1 and all(step.name == "check" for block in d.blocks for step in block if "admits" in step.tags)


def _slices(scenario: Scenario, callers: Sequence[Caller]) -> Iterator[tuple[list[Caller], int, int]]:
    """Yield, for each slice, who calls on it or below it, what it is granted at least, and how deep it lies."""
    parents = {item.name: item.parent for item in scenario.slices}

    def above(account: str) -> Iterator[str]:
        while account != ROOT:
            yield account
            account = parents[account]

    for item in scenario.slices:
        depth = len(list(above(item.name)))
        inside = [caller for caller in callers if item.name in above(caller.account)]
        yield inside, item.grant.lo, depth
    for agents, caller in zip(scenario.agents, callers, strict=True):
        if agents.own_slice is not None:
            depth = len(list(above(agents.account))) + 1
            yield [Caller(1, caller.tops, caller.account, own=False)], agents.own_slice.lo, depth


def _needed(machine: Machine, callers: Sequence[Caller], room: int, first: int = 0) -> int | None:
    """Return how many steps it takes at least until ``callers`` are billed more than ``room``, None for never.

    ``first`` is how many slices have to be opened before any of them can call.
    """
    d = machine.discipline
    scenario = machine.scenario
    sends = _sends(callers, scenario.faults.timeout if d.retry is not Retry.NEVER else 0, room)
    if sends is None:
        return None
    retried = min(sends, scenario.faults.timeout if d.retry is not Retry.NEVER else 0)
    calls = sends - retried
    agents = sum(caller.count for caller in callers)
    after = len(d.blocks) - 1 - d.sending
    over = max(0, calls - agents)
    ended = over * after - min(over, sum(machine.faults)) * max(0, after - 1)
    return calls * (d.sending + 1) + retried + ended + max(first, _openings(scenario, callers, calls))


def _sends(callers: Sequence[Caller], retried: int, room: int) -> int | None:
    """Return how many requests have to be sent at least until their bills are above ``room``."""
    tops: dict[int, int] = {}
    for caller in callers:
        for top in caller.tops:
            tops[top] = tops.get(top, 0) + caller.count
    highest = max(tops, default=0)
    if highest and retried:
        tops[highest] += retried
    sends = 0
    for top, count in sorted(tops.items(), reverse=True):
        if top and room < top * count:
            return sends + room // top + 1
        sends += count
        room -= top * count
    return None


def _openings(scenario: Scenario, callers: Sequence[Caller], calls: int) -> int:
    """Return how many slices have to be opened at least so that ``calls`` calls can be made."""
    on: dict[str, int] = {}
    own: list[tuple[int, int]] = []
    for caller in callers:
        if caller.own:
            own.append((len(caller.tops), caller.count))
        else:
            on[caller.account] = on.get(caller.account, 0) + caller.calls
    left = calls - on.pop(ROOT, 0)
    opened = 0
    for size, count in sorted([*own, *((size, 1) for size in on.values())], reverse=True):
        if left <= 0 or not size:
            break
        used = min(count, -(-left // size))
        opened += used
        left -= used * size
    if not opened or own:
        return opened
    # Slices that nobody calls on are opened besides: at least those above the one that lies least deep.
    parents = {item.name: item.parent for item in scenario.slices}

    def idle_above(account: str) -> int:
        idle = 0
        while account != ROOT:
            idle += account not in on
            account = parents[account]
        return idle

    return opened + min(idle_above(account) for account in on)
