"""The fewest steps in which agents with slices of their own can break a cap, and a run that takes so many.

A slice alone is proved to be billed at most so much (``accounts``), however many calls are made on it: often less than
its calls could be billed one by one. So the calls that are needed are counted anew (``distance`` only adds up their
largest bills): each agent has a first call, which opens its slice, and further ones, of which each can add no more than
is left of that bound. Whoever makes them in the order of what they add makes the fewest. What is counted is also a
plan: how many calls each agent makes. A run that is played after it, and breaks the cap in so many steps, is a shortest
one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from capsound.machine import Config, Machine, initial
from capsound.predicates import violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, Schedule
from capsound_proofs.choosing import SAVING, Extremes, extremes_of
from capsound_proofs.distance import Caller, callers_of
from capsound_proofs.playing import Order, in_step, play_on

WAYS = 20_000
"""A plan is looked for where first calls of agents can be combined in at most so many ways."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many steps a run that breaks the cap takes at least; ``calls``: of each agent of each entry, if known."""

    steps: int
    calls: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True)
class _Item:
    """One more call of an agent of an entry, ``number`` from 0: by how much more its account can be billed."""

    adds: int
    entry: int
    number: int


def can_be_planned(machine: Machine) -> bool:
    """Return whether calls are counted: none is lost, sent again or shared, and slices are those of the agents."""
    scenario = machine.scenario
    odd = machine.alone or any(machine.faults) or machine.discipline.turn > 1
    odd = odd or any(agents.inherits or agents.up_to for agents in scenario.agents)
    return not odd and not scenario.slices and scenario.cap.fixed and callers_of(scenario) is not None


def plan_of(machine: Machine, most: Mapping[int, int]) -> Plan | None:
    """Return the plan of the fewest steps that break the cap, None where none is known, or none can break it.

    ``most`` is what the slice of each agent of an entry is billed at most. Nothing is counted where there are very many
    agents, or it cannot be (``can_be_planned``).
    """
    scenario, d = machine.scenario, machine.discipline
    callers = callers_of(scenario)
    if callers is None or not can_be_planned(machine):
        return None
    own = [caller.own for caller in callers]
    first: tuple[list[_Item], list[_Item]] = ([], [])
    later: list[_Item] = []
    for entry, caller in enumerate(callers):
        if caller.count > WAYS:
            return None
        items = _items(entry, caller, most.get(entry))
        first[own[entry]].extend(items[:1] * caller.count)
        for item in items[1:]:
            later.extend([item] * (caller.count if item.adds else 0))
    ways = (len(first[0]) + 1) * (len(first[1]) + 1)
    if ways > WAYS:
        return None
    on_root, on_own, further = (sorted(items, key=lambda i: (-i.adds, i.entry, i.number)) for items in (*first, later))
    call = d.sending + 1
    after = len(d.blocks) - 1 - d.sending
    found = _cheapest((on_root, on_own, further), (call, call + 1, call + after), machine.cap.lo - scenario.spent)
    if found is None:
        return None
    taken = [item for items, count in zip((on_root, on_own, further), found[1], strict=True) for item in items[:count]]
    return Plan(found[0], _calls(callers, taken))


def _items(entry: int, caller: Caller, most: int | None) -> list[_Item]:
    """Return what each further call of an agent adds at most to what its account is billed: less and less."""
    billed, items = 0, []
    for number, top in enumerate(sorted(caller.tops, reverse=True)):
        there = billed + top if most is None or not caller.own else min(billed + top, most)
        items.append(_Item(there - billed, entry, number))
        billed = there
    return items


def _cheapest(
    items: Sequence[list[_Item]], costs: tuple[int, int, int], room: int
) -> tuple[int, tuple[int, int, int]] | None:
    """Return the least cost of items that add up to more than ``room``, and how many of each list; None for never.

    Each list is in descending order, and its items cost the same. That an agent makes its first call first is not
    asked: what is counted is never more than what has to be taken.
    """
    sums = [[0, *accumulate(item.adds for item in each)] for each in items]
    best: tuple[int, int, tuple[int, int, int]] | None = None
    for roots, by_roots in enumerate(sums[0]):
        for owns, by_owns in enumerate(sums[1]):
            others = bisect_right(sums[2], room - by_roots - by_owns)
            if others == len(sums[2]):
                continue
            cost = roots * costs[0] + owns * costs[1] + others * costs[2]
            total = by_roots + by_owns + sums[2][others]
            if best is None or (cost, -total) < best[:2]:
                best = (cost, -total, (roots, owns, others))
    return None if best is None else (best[0], best[2])


def _calls(callers: Sequence[Caller], taken: Sequence[_Item]) -> tuple[tuple[int, ...], ...] | None:
    """Return how many calls each agent of each entry makes, None where a further call would be made without a first."""
    found: list[tuple[int, ...]] = []
    for entry, caller in enumerate(callers):
        made = [sum((i.entry, i.number) == (entry, number) for i in taken) for number in range(len(caller.tops))]
        if made != sorted(made, reverse=True):
            return None
        found.append(tuple(sum(count > agent for count in made) for agent in range(caller.count)))
    return tuple(found)


def planned_run(machine: Machine, plan: Plan) -> Schedule | None:
    """Return a run that breaks the cap in as many steps as were counted, after the plan; None where none is found."""
    if plan.calls is None:
        return None
    agents = [i for i, process in enumerate(machine.processes) if process.is_agent]
    if len(agents) != len(machine.processes) or len(agents) != sum(len(calls) for calls in plan.calls):
        return None
    ends: list[int] = []
    for process in machine.processes:
        calls = plan.calls[process.entry][process.number - 1]
        begins = [at for at, place in enumerate(process.places) if place.draws_size]
        begins += [process.done]
        ends.append(begins[calls] if calls else 0)

    def order(machine: Machine, config: Config) -> list[int]:
        return [i for i in in_step(machine, config) if _goes_on(machine, config, i, ends[i])]

    for extremes in (SAVING, *extremes_of(machine)):
        run = _played(machine, replace(extremes, ends=tuple(ends)), order, plan.steps)
        if run is not None:
            return run
    return None


def _goes_on(machine: Machine, config: Config, index: int, end: int) -> bool:
    """Return whether a process has a step to take before it has sent the last call that it makes."""
    places, at = machine.processes[index].places, config.running[index].at
    if at >= end or places[at].kind == "close":
        return False
    return places[at].phase != "sent" or any(place.draws_size for place in places[at + 1 : end])


def _played(machine: Machine, extremes: Extremes, order: Order, steps: int) -> Schedule | None:
    config, choices = initial(machine, machine.cap.lo), list[Choice]()
    for _ in play_on(machine, config, choices, order, extremes):
        if len(choices) == steps:
            broken = violates(machine, config, Property.CAP, INTS)
            return Schedule(machine.cap.lo, tuple(choices)) if broken else None
    return None
