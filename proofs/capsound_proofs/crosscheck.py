"""A guard against verdicts that nobody earned: concrete runs, found without a solver, must agree with them.

Where the amounts of a scenario are few, the explorer visits every state that it can. Where they are many, a few runs
are played at random. What these runs break was not proved, and what they do not break in all states is no violation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random

from capsound.errors import Disagreement
from capsound.explorer import Exploration, Scope, explore
from capsound.machine import TOLD_APART, Branch, Config, Env, Machine, fire, initial
from capsound.predicates import STATE_PROPERTIES, violates
from capsound.properties import Property
from capsound.scenario import Interval, Request, Stream
from capsound.schedule import INTS, settled
from capsound.verdict import Verdict
from capsound_proofs.problem import Problem
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.search import population, violated_by

STATES = 3_000
"""How many states the explorer visits at most."""

CHECKED = 1_000_000
"""The work of a bounded search beside the states: a second opinion, where the first knows the answer."""

PROCESSES = 8
"""Machines of more processes are not explored: they have more states than that."""

CHOICES = 8
"""Scenarios in which the environment chooses one amount among more are not explored."""

PLAYED = 1_200
"""How many steps are played at random, in all runs together."""

RUNS = 32
"""How many runs that is at most: those of few agents are short, and soon all alike."""


Draw = Callable[[str, int, int | None], int]
"""How the environment chooses an amount."""


# --------------------------------------------------------------------------------------- small scopes


def explore_scope(problem: Problem) -> Exploration | None:
    """Return what the explorer finds in a scenario of few amounts and agents, None for others."""
    if not _few(problem.machine):
        return None
    problem.progress("exploring")
    asked = [prop for prop in problem.asked if prop in STATE_PROPERTIES]
    return explore(problem.machine, asked, Scope(states=STATES))


def _few(machine: Machine) -> bool:
    """Return whether all agents are told apart, and the environment never has many amounts to choose from."""
    if len(machine.processes) > PROCESSES:
        return False
    if any(a.count is None or a.count > TOLD_APART for a in machine.scenario.agents):
        return False
    intervals = [machine.cap]
    for process in machine.processes:
        for place in process.places:
            intervals.append(place.grant)
            if place.costs is None:
                continue
            if isinstance(place.costs.cost, Request):
                return False
            intervals.append(place.costs.size)
            bill = cost_ranges(place.costs)[1]
            if isinstance(place.costs.cost, Stream) or not place.costs.bounds.truthful:
                bill = Interval(0, bill.hi)
            intervals.append(bill)
    return all(interval.hi is not None and interval.hi - interval.lo < CHOICES for interval in intervals)


def decide_by_states(problem: Problem, explored: Exploration | None) -> None:
    """Decide what is still unknown by the states of a small scope: all of them, or the first that breaks it."""
    if explored is None:
        return
    agents, calls = population(problem.machine)
    for prop, result in list(problem.results.items()):
        if result.verdict is not Verdict.UNKNOWN or prop not in STATE_PROPERTIES:
            continue
        found = explored.found.get(prop)
        if found is not None and len(found.choices) <= problem.scenario.search.steps:
            problem.results[prop] = violated_by(
                problem.machine, found, prop, "every shorter run explored", result.seconds
            )
        elif found is None and explored.complete:
            bound = f"complete: all {explored.distinct} states of {agents} agents and {calls} calls"
            problem.results[prop] = replace(result, verdict=Verdict.SOUND, bound=bound, method="every state explored")


def agree_with_states(problem: Problem, explored: Exploration | None) -> None:
    """Raise ``Disagreement`` where a verdict is not what the explorer has seen."""
    if explored is None:
        return
    for prop, result in problem.results.items():
        if prop not in STATE_PROPERTIES:
            continue
        found = explored.found.get(prop)
        if result.verdict is Verdict.SOUND and found is not None:
            raise _disagreement(problem, prop, f"schedule {found.token} breaks it")
        if result.verdict is Verdict.VIOLATED:
            assert result.trace is not None
            steps = len(result.trace.schedule.choices)
            if found is None and explored.complete:
                raise _disagreement(problem, prop, f"none of all {explored.distinct} states breaks it")
            if found is not None and len(found.choices) != steps:
                raise _disagreement(problem, prop, f"the shortest run takes {len(found.choices)} steps, not {steps}")


def _disagreement(problem: Problem, prop: Property, seen: str) -> Disagreement:
    return Disagreement(
        f"{prop.value!r} is {problem.results[prop].verdict.value} for the solver, and not for concrete runs",
        cause=seen,
        hint="please report the scenario: the encoding or the explorer is wrong",
    )


# ---------------------------------------------------------------------------------------- large scopes


def agree_with_runs(problem: Problem, explored: Exploration | None = None) -> None:
    """Raise ``Disagreement`` where a run played at random breaks what is proved, or is longer than the longest.

    Where every state was explored, what is proved was seen to hold in each of them.
    """
    if explored is not None and explored.complete and not any(r.longest for r in problem.results.values()):
        return
    sound = [p for p, r in problem.results.items() if r.verdict is Verdict.SOUND and p in STATE_PROPERTIES]
    longest = min((r.longest for r in problem.results.values() if r.longest is not None), default=None)
    machine = problem.machine
    if not sound or any(a.count is not None and a.count > TOLD_APART for a in machine.scenario.agents):
        return
    ways: dict[tuple[int, int], list[Branch]] = {}
    for branch in machine.branches():
        ways.setdefault((branch.process, branch.place), []).append(branch)
    left, seed = PLAYED, 0
    while left > 0 and seed < RUNS and not problem.ceiling.over():
        steps = 0
        for before, config in _played(machine, ways, Random(seed), left):
            steps += 1
            for prop in sound:
                if _breaks(machine, before, config, prop):
                    raise _disagreement(problem, prop, f"a run of {steps} steps breaks it (seed {seed})")
        if longest is not None and steps > longest:
            raise Disagreement(
                f"every run of up to {longest} steps was searched, and there is one of {steps}",
                cause=f"a run played at random (seed {seed})",
                hint="please report the scenario: the encoding is wrong",
            )
        left -= max(1, steps)
        seed += 1


def _breaks(machine: Machine, before: Config, after: Config, prop: Property) -> bool:
    """Return whether a step breaks a property that held before it: of accounts that it shares nothing is asked."""
    if prop in (Property.TRUTH, Property.CONSERVATION):
        changed = [mine for mine, old in zip(after.ledgers, before.ledgers, strict=True) if mine is not old]
        after = replace(after, ledgers=changed)
    return violates(machine, after, prop, INTS) is True


def _played(
    machine: Machine, branches: Mapping[tuple[int, int], list[Branch]], random: Random, most: int
) -> Iterator[tuple[Config, Config]]:
    """Yield the steps of one run in which a random process takes its next block, with random amounts.

    A step is the states before it and after it; what they share is unchanged.
    """
    cap = _chosen(random, machine.cap.lo, machine.cap.hi)
    config = initial(machine, cap)
    generous = random.random() < 0.5  # half of the runs make every bill as large as it can be

    def draw(name: str, lo: int, hi: int | None) -> int:
        if generous:
            return lo if hi is None or name in ("size", "told") else max(lo, hi)
        return _chosen(random, lo, hi)

    def goes_on(index: int) -> bool:
        return bool(0 <= config.running[index].at < machine.processes[index].done)

    live = list(filter(goes_on, range(len(machine.processes))))
    for _ in range(most):
        if all(machine.processes[i].clock for i in live):
            return  # nobody is left who could spend in the next window
        waiting = list(live)
        while waiting:
            # One after the other, in random order: mostly the first can move, and the others need no place in it.
            chosen = random.randrange(len(waiting))
            index, waiting[chosen] = waiting[chosen], waiting[-1]
            waiting.pop()
            after = _stepped(machine, config, branches[index, config.running[index].at], random, draw)
            if after is not None:
                yield config, after
                before, config = config, after
                # Of hundreds mostly one has moved.
                live = [i for i in live if config.running[i] is before.running[i] or goes_on(i)]
                break
        else:
            return


def _stepped(machine: Machine, config: Config, ways: list[Branch], random: Random, draw: Draw) -> Config | None:
    faults = [branch for branch in ways if branch.kind not in ("run", "refuse")]
    own = [branch for branch in ways if branch.kind in ("run", "refuse")]
    order = [*faults, *own] if faults and random.random() < 0.1 else own
    for branch in order:
        after = config.fork(machine, branch)
        if settled(fire(machine, after, branch, Env(INTS, draw))):
            return after
    return None


def _chosen(random: Random, lo: int, hi: int | None) -> int:
    """Return an amount of a range: one of its ends as often as any other."""
    if hi is None:
        return lo + random.choice((0, 1, random.randrange(1000)))
    if hi <= lo:
        return lo
    return random.choice((lo, hi, random.randint(lo, hi)))
