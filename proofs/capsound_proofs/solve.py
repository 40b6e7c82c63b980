"""``solve``: from a scenario to a verdict on each property, with a proof or the shortest counterexample.

For each property, in this order: a proof for every amount, tree, schedule and number of agents; a proof with
the numbers of the scenario; a bounded search for the shortest counterexample, which the monitor replays before
it is believed. What none of them decides is ``unknown``, with what was established.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

import z3

from capsound.anomalies import ANOMALIES
from capsound.costs import CallCosts, costs_of
from capsound.disciplines import Retry, get_discipline
from capsound.errors import Disagreement
from capsound.machine import LEDGER_FIELDS, TOLD_APART, Config, Machine, compile_scenario
from capsound.monitor import Report, fold
from capsound.predicates import balances, default_properties, largest_number
from capsound.properties import Property
from capsound.scenario import (
    ANY,
    ROOT,
    Agents,
    CallKind,
    Interval,
    Plain,
    Request,
    Scenario,
    Stream,
)
from capsound.schedule import Schedule, Trace, run_schedule
from capsound.verdict import Verdict, merge
from capsound_proofs.aggregate import LOCALS, Abstraction, Options
from capsound_proofs.bmc import Lemma, Searched, most_overshoot, shortest
from capsound_proofs.estimator import EstimatorAnswer, judge_estimator
from capsound_proofs.invariants import Candidate, Invariant, find, goal
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.second import confirm
from capsound_proofs.terms import Term, integer
from capsound_proofs.worst import MANY_AGENTS, Worst, admits, attained, upper_bound

Progress = Callable[[str], None]

MAX_ACCOUNTS = 40
"""Scenarios with more accounts than this are only proved in general, not with every account told apart."""


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """The verdict on one property. ``bound`` says how far it reaches, ``method`` how it was reached."""

    property: Property
    verdict: Verdict
    bound: str
    method: str
    seconds: float
    trace: Trace | None = None
    report: Report | None = None
    invariant: tuple[str, ...] = ()
    anomaly: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that ``solve`` found out about a scenario."""

    scenario: Scenario
    machine: Machine
    verdict: Verdict
    results: tuple[PropertyResult, ...]
    estimators: tuple[EstimatorAnswer, ...]
    worst: Worst | None
    flags: tuple[str, ...]
    sentences: tuple[str, ...]
    seconds: float

    def result(self, prop: Property) -> PropertyResult:
        """Return the result for one property; raises ``KeyError`` when it was not asked."""
        for result in self.results:
            if result.property is prop:
                return result
        raise KeyError(prop)

    @property
    def anomalies(self) -> tuple[str, ...]:
        """The names of the anomalies in the counterexamples, in order of first appearance."""
        names: list[str] = []
        for result in self.results:
            if result.report is not None and result.verdict is Verdict.VIOLATED:
                names += result.report.anomalies()
            elif result.anomaly:
                names.append(result.anomaly)
        return tuple(dict.fromkeys(names))


@dataclass(slots=True)
class _Work:
    """A scenario being solved."""

    scenario: Scenario
    machine: Machine
    asked: list[Property]
    progress: Progress
    estimators: list[EstimatorAnswer] = field(default_factory=list)
    results: dict[Property, PropertyResult] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    numbers: Invariant | None = None

    @property
    def open(self) -> list[Property]:
        """The properties without a result."""
        return [prop for prop in self.asked if prop not in self.results]


def solve(scenario: Scenario, *, progress: Progress = lambda _: None) -> Outcome:
    """Return the verdicts on a scenario.

    Raises ``BadDiscipline`` for a scenario that its discipline cannot run, and ``Disagreement`` when two parts
    that must agree do not (status 70).
    """
    began = time.monotonic()
    machine = compile_scenario(scenario, limit=TOLD_APART)
    work = _Work(scenario, machine, list(scenario.properties or default_properties(machine)), progress)
    if machine.reuse is not None and Property.HANDLES in work.asked:
        _judge_handles(work)
        if machine.discipline.affine:
            # Rejected before it runs: nothing is spent, and nothing else can be said of it.
            return _outcome(work, None, (), began)
    elif Property.HANDLES in work.asked:
        work.results[Property.HANDLES] = PropertyResult(
            Property.HANDLES,
            Verdict.SOUND,
            "the linearity check accepts every program: no handle is used twice",
            "checked before running",
            0.0,
        )
    _judge_estimators(work)
    _prove_in_general(work)
    if work.open:
        _prove_with_numbers(work)
    for prop in work.open:
        _search(work, prop)
    flags = _flags(work)
    return _outcome(work, _worst(work), flags, began)


def _outcome(work: _Work, worst: Worst | None, flags: tuple[str, ...], began: float) -> Outcome:
    results = tuple(work.results[prop] for prop in work.asked if prop in work.results)
    return Outcome(
        work.scenario,
        work.machine,
        merge(r.verdict for r in results),
        results,
        tuple(work.estimators),
        worst,
        flags,
        tuple(work.sentences),
        time.monotonic() - began,
    )


def _judge_handles(work: _Work) -> None:
    reuse = work.machine.reuse
    assert reuse is not None
    rejected = "rejected before it runs" if work.machine.discipline.affine else "not rejected"
    work.results[Property.HANDLES] = PropertyResult(
        Property.HANDLES,
        Verdict.VIOLATED,
        f"the program of {work.machine.reuse_agent} is {rejected}: {reuse.reason}",
        "checked before running",
        0.0,
        anomaly="use-after-move",
    )


# -------------------------------------------------------------------------------------- the estimator


def _judge_estimators(work: _Work) -> None:
    """Find out whether A1 follows from what is known of the requests, and let the rest rest on that."""
    requests = [kind for kind in work.scenario.calls if isinstance(kind.cost, Request)]
    used = {agents.call for agents in work.scenario.agents}
    requests = [kind for kind in requests if kind.name in used]
    if not requests:
        return
    work.progress("estimator")
    for kind in requests:
        work.estimators.append(judge_estimator(work.scenario, kind.name))
    if work.scenario.assume.a1 is None:
        earned = all(answer.earned for answer in work.estimators)
        ratios = [answer.shortfall for answer in work.estimators]
        shortfall = None if earned or any(r is None for r in ratios) else max(r for r in ratios if r is not None)
        if earned:
            work.sentences.append("A1 follows from the estimator: no request can be billed above its estimate.")
        elif shortfall is not None:
            work.sentences.append(
                f"A1 does not follow from the estimator: a bill can be {_ratio(shortfall)} times its estimate."
            )
        else:
            work.sentences.append("A1 does not follow from the estimator, and no factor bounds the bill.")
        _assume(work, a1=earned, shortfall=shortfall)


def _assume(work: _Work, *, a1: bool, shortfall: Fraction | None) -> None:
    """Let proofs use what the estimator has earned; the machine itself goes on choosing real requests."""
    work.scenario = replace(
        work.scenario, assume=replace(work.scenario.assume, a1=a1, shortfall=None if a1 else shortfall)
    )


def _ratio(value: Fraction) -> str:
    return str(value) if value.denominator == 1 or value.denominator > 1000 else f"{value} = {float(value):g}"


# ------------------------------------------------------------------------------------- proofs, general


def _general(scenario: Scenario) -> Scenario:
    """Return the scenario with every number forgotten: any cap, any estimate, any bill the assumptions allow."""
    kinds = []
    for kind in scenario.calls:
        cost = kind.cost
        if isinstance(cost, Stream):
            kinds.append(CallKind(kind.name, Stream(ANY, cost.chunks)))
        else:
            kinds.append(CallKind(kind.name, Plain(ANY, ANY)))
    used = dict.fromkeys(agents.call for agents in scenario.agents)
    agents = tuple(Agents(f"agents-{name}", 1, ROOT, name) for name in used)
    return replace(scenario, cap=ANY, calls=tuple(kinds), agents=agents, slices=(), properties=())


def _prove_in_general(work: _Work) -> None:
    """Prove what holds for every amount, schedule, number of agents and calls, and tree of slices."""
    if any(agents.program for agents in work.scenario.agents) and not work.machine.discipline.affine:
        return
    work.progress("proof for all amounts")
    assume = work.scenario.assume
    machine = compile_scenario(_general(work.scenario))
    trees = len(work.machine.accounts) > 1
    if trees and assume.a1 is not True:
        # The induction over slices needs every slice to keep its bills within its grant, which is A1.
        return
    options = Options(children=trees, shortfall=assume.shortfall if assume.a1 is not True else None)
    invariant = find(Abstraction(machine, options), seconds=work.scenario.search.seconds)
    where = "every cap, amount, schedule, number of agents and calls"
    if trees:
        where += ", and every tree of slices"
    if machine.discipline.streams:
        chunks = max(k.cost.chunks for k in work.scenario.calls if isinstance(k.cost, Stream))
        where += f", for streams of up to {chunks} chunks"
    _conclude(work, invariant, [p for p in work.open if p is not Property.WIDTH], f"proved for {where}")
    _overspend_sentence(work, invariant)


def _conclude(work: _Work, invariant: Invariant, open_: Iterable[Property], bound: str) -> None:
    """Record every property that the invariant implies, once the second solver has agreed."""
    if not invariant.finished:
        return
    began = time.monotonic()
    proved: dict[Property, Term] = {}
    for prop in open_:
        wanted = _width_goal(work, invariant) if prop is Property.WIDTH else goal(invariant.abstraction, prop)
        if wanted is not None and invariant.implies(wanted):
            proved[prop] = wanted
    if not proved:
        return
    together = z3.And(*proved.values())
    needed = _relevant(invariant, together)
    agreed = confirm(needed, together)
    seconds = (invariant.seconds + time.monotonic() - began) / len(proved)
    for prop in proved:
        work.results[prop] = PropertyResult(
            prop,
            Verdict.SOUND,
            bound,
            f"inductive invariant ({agreed})",
            seconds,
            invariant=tuple(c.text for c in needed.kept),
        )


def _width_goal(work: _Work, invariant: Invariant) -> Term:
    most = largest_number(work.machine)
    config = Config(invariant.abstraction.ledgers, [], [], [])
    return z3.And(*[value <= most for value in balances(config)])


def _relevant(invariant: Invariant, wanted: Term) -> Invariant:
    """Return a small part of the invariant that is inductive by itself and implies the goal.

    Start with what the goal needs, then add what each step needs, until it stands alone: unsatisfiable cores
    name the needed conjuncts.
    """
    system = invariant.abstraction.system
    everything = list(invariant.kept)
    needed = _core([*system.axioms, z3.Not(wanted)], everything) or everything
    while True:
        grown = list(needed)
        for transition in system.transitions:
            facts = [*system.axioms, *system.axioms_after(transition), transition.guard]
            for candidate in needed:
                after = system.after(candidate.formula, transition)
                if after.eq(candidate.formula):
                    continue
                broken = [*facts, z3.Not(after)]
                core = _core(broken, grown)
                if core is None:
                    core = _core(broken, everything) or everything
                grown += [c for c in core if c not in grown]
        if len(grown) == len(needed):
            return replace(invariant, kept=tuple(c for c in invariant.kept if c in grown))
        needed = grown


def _core(facts: list[Term], pool: list[Candidate]) -> list[Candidate] | None:
    """Return conjuncts of ``pool`` that contradict the facts, or None where even all of them do not."""
    solver = z3.SimpleSolver()
    solver.add(*facts)
    marks = {f"c{i}": c for i, c in enumerate(pool)}
    for name, candidate in marks.items():
        solver.assert_and_track(candidate.formula, name)
    if solver.check() != z3.unsat:
        return None
    return [marks[str(name)] for name in solver.unsat_core()]


def _overspend_sentence(work: _Work, invariant: Invariant) -> None:
    """Say how far an estimator that is short by a bounded factor can overshoot any cap, if that is proved."""
    shortfall = invariant.abstraction.options.shortfall
    if shortfall is None or not invariant.finished:
        return
    root = invariant.abstraction.ledgers[0]
    n, d = shortfall.numerator, shortfall.denominator
    if not invariant.implies(root.billed * d <= root.granted * n):
        return
    there = root.granted - root.available - root.held - root.forfeited
    r = str(shortfall)
    if invariant.implies(root.settled * d <= there * n):
        work.sentences.append(f"For any number of agents: settled bills <= {r} x (cap - available - held - forfeited).")
    work.sentences.append(
        f"With bills at most {r} times the hold, true bills stay within {r} x cap: "
        f"the overspend is at most {shortfall - 1} x cap."
    )


# -------------------------------------------------------------------------------- proofs, with numbers


def _counts(scenario: Scenario, machine: Machine) -> dict[str, int] | None:
    """Return how many calls each group starts at most; None where restarts would not be counted."""
    if machine.discipline.retry is Retry.NEW_HOLD and scenario.faults.timeout:
        return None
    counts: dict[str, int] = {}
    for agents in scenario.agents:
        if agents.count is None or agents.program or agents.own_slice is not None:
            continue
        counts[agents.name] = agents.count * agents.calls
    return counts


def _numbers_invariant(scenario: Scenario, machine: Machine) -> Invariant:
    shortfall = scenario.assume.shortfall if scenario.assume.a1 is not True else None
    options = Options(counts=_counts(scenario, machine), shortfall=shortfall)
    return find(Abstraction(machine, options), seconds=scenario.search.seconds)


def _prove_with_numbers(work: _Work) -> None:
    """Prove what holds with the numbers of the scenario, for its agents under every schedule."""
    machine = work.machine
    if len(machine.accounts) > MAX_ACCOUNTS:
        return
    work.progress("proof with these numbers")
    work.numbers = _numbers_invariant(work.scenario, machine)
    many = any(agents.count is None for agents in work.scenario.agents)
    if any(a.own_slice is not None and a.count is not None and a.count > TOLD_APART for a in work.scenario.agents):
        # Their slices are not all accounts of this machine, so that it does not speak for all of them.
        return
    who = "any number of agents" if many else "these agents and calls"
    _conclude(work, work.numbers, work.open, f"proved for these amounts, {who}, every schedule")


def lemma_of(scenario: Scenario, invariant: Invariant, machine: Machine) -> Lemma | None:
    """Return the invariant as facts about the states of a machine in which agents are told apart.

    Its sums become sums over the agents that are at a place, so it may be asserted at every step.
    """
    if not invariant.finished:
        return None
    abstraction = invariant.abstraction
    uncounted = machine.discipline.retry is not Retry.NEVER and scenario.faults.timeout > 0

    def facts(config: Config) -> list[Term]:
        pairs: list[tuple[Term, Term]] = []
        for ledger, mine in zip(config.ledgers, abstraction.ledgers, strict=True):
            pairs += [(getattr(mine, name), integer(getattr(ledger, name))) for name in LEDGER_FIELDS]
        for spot, sums in abstraction.spots.items():
            members = [i for i, p in enumerate(machine.processes) if p.group == spot.group]
            place = -1 - spot.at if spot.dead else spot.at
            here = [config.running[i].at == place for i in members]
            pairs.append((sums.count, _sum([_if(h, 1) for h in here])))
            for name in LOCALS:
                values = [_local(config, i, name) for i in members]
                pairs.append((sums.of[name], _sum([_if(h, v) for h, v in zip(here, values, strict=True)])))
        for group, variable in abstraction.started.items():
            pairs.append((variable, _started(machine, config, group)))
        for index, variable in abstraction.slice_at.items():
            pairs.append((variable, _slice_position(machine, config, index)))
        kept = [c for c in invariant.kept if not (uncounted and "calls sent" in c.text)]
        return [z3.substitute(c.formula, *pairs) for c in kept]

    return facts


def _if(condition: Term, value: Term) -> Term:
    if isinstance(condition, bool):
        return integer(value if condition else 0)
    return z3.If(condition, integer(value), z3.IntVal(0))


def _sum(terms: list[Term]) -> Term:
    total: Term = z3.IntVal(0)
    for term in terms:
        total = total + term
    return total


def _local(config: Config, index: int, name: str) -> Term:
    call = config.running[index].call
    if name != "over":
        return getattr(call, name)
    over = call.bill - call.cover
    condition = call.bill > call.cover
    if isinstance(condition, bool):
        return over if condition else 0
    return z3.If(condition, integer(over), z3.IntVal(0))


def _started(machine: Machine, config: Config, group: str) -> Term:
    total: Term = z3.IntVal(0)
    for index, process in enumerate(machine.processes):
        if process.group != group:
            continue
        position = _position(config.running[index].at)
        for at, place in enumerate(process.places):
            if place.kind == "call" and place.draws_size:
                total = total + _if(position > at, 1)
    return total


def _slice_position(machine: Machine, config: Config, index: int) -> Term:
    position = _position(config.running[index].at)
    others = [at for at, p in enumerate(machine.processes[index].places) if p.kind != "call"]
    return _sum([_if(position > at, 1) for at in others])


def _position(at: Term) -> Term:
    if isinstance(at, int):
        return at if at >= 0 else -1 - at
    return z3.If(at >= 0, at, -1 - at)


# ------------------------------------------------------------------------------------- counterexamples


def _search(work: _Work, prop: Property) -> None:
    """Search for the shortest counterexample, and believe it only when the monitor has seen it too."""
    scenario = work.scenario
    began = time.monotonic()
    original = work.machine.scenario

    def machine_for(agents: int) -> Machine:
        return compile_scenario(original, limit=agents)

    def lemma_for(machine: Machine) -> Lemma | None:
        invariant = work.numbers
        if invariant is None:
            return None
        mine = invariant.abstraction.machine
        if [a.name for a in mine.accounts] != [a.name for a in machine.accounts]:
            invariant = _numbers_invariant(scenario, machine)
        return lemma_of(scenario, invariant, machine)

    most = max((agents.count or scenario.search.steps) for agents in scenario.agents)

    def agents_at(steps: int) -> int:
        # For progress and width an agent matters from its first step on; for a bill once it has sent.
        everybody = prop in (Property.PROGRESS, Property.WIDTH)
        return min(most, steps if everybody else _needed_agents(scenario, steps))

    found = shortest(
        machine_for,
        prop,
        max_steps=scenario.search.steps,
        seconds=scenario.search.seconds,
        lemma_for=lemma_for,
        agents_at=agents_at,
        progress=lambda steps: work.progress(f"{prop.value}: runs of {steps} steps"),
    )
    if isinstance(found, Searched):
        work.results[prop] = _not_found(work, prop, found, time.monotonic() - began)
        return
    schedule = renumbered(found.schedule, found.machine, work.machine)
    trace, report = believe(work.machine, schedule, prop)
    anomaly = next((f.anomaly for f in report.findings if ANOMALIES[f.anomaly].breaks is prop), "")
    steps = len(schedule.choices)
    work.results[prop] = PropertyResult(
        prop,
        Verdict.VIOLATED,
        f"no schedule of fewer than {steps} step{'s' * (steps != 1)} breaks it",
        "bounded search, replayed by the monitor",
        time.monotonic() - began,
        trace=trace,
        report=report,
        anomaly=anomaly,
    )


def _needed_agents(scenario: Scenario, steps: int) -> int:
    """Return how many agents can matter for a bill in so many steps: those that get as far as sending."""
    return max(1, steps // (get_discipline(scenario.discipline).sending + 1))


def renumbered(schedule: Schedule, here: Machine, there: Machine) -> Schedule:
    """Return the schedule with its processes numbered as in another machine of the same scenario."""
    index = {process.name: number for number, process in enumerate(there.processes)}
    choices = (replace(c, process=index[here.processes[c.process].name]) for c in schedule.choices)
    return Schedule(schedule.cap, tuple(choices))


def believe(machine: Machine, schedule: Schedule, prop: Property) -> tuple[Trace, Report]:
    """Return the run of a schedule and what the monitor says of it.

    Raises ``Disagreement`` when the monitor does not find the property broken (status 70).
    """
    trace = run_schedule(machine, schedule)
    report = fold(trace.events)
    if prop is not Property.WIDTH and report.verdicts[prop] is not Verdict.VIOLATED:
        raise Disagreement(
            f"the solver found a run that breaks {prop.value!r}, and the monitor does not",
            cause=f"schedule {schedule.token}",
            hint="please report the scenario: the encoding or the monitor is wrong",
        )
    return trace, report


def _not_found(work: _Work, prop: Property, searched: Searched, seconds: float) -> PropertyResult:
    agents = sum(1 for p in work.machine.processes if p.is_agent)
    if searched.complete:
        calls = sum(1 for p in work.machine.processes for place in p.places if place.draws_size)
        return PropertyResult(
            prop,
            Verdict.SOUND,
            f"complete: every run of {agents} agents and {calls} calls, up to {searched.steps - 1} steps",
            "bounded search to the end of every run",
            seconds,
        )
    why = "time ran out" if searched.timed_out else "the bound on steps was reached"
    return PropertyResult(
        prop,
        Verdict.UNKNOWN,
        f"no counterexample of up to {searched.steps} steps; {why}",
        "bounded search",
        seconds,
    )


# ----------------------------------------------------------------------------- what the verdict is worth


def _flags(work: _Work) -> tuple[str, ...]:
    """Return ``useless`` where no call can ever be admitted, ``uninformative`` where the cap cannot bind."""
    flags = []
    if not _admits(work):
        flags.append("useless")
    if _cannot_overshoot(work):
        flags.append("uninformative")
    return tuple(flags)


def _admits(work: _Work) -> bool:
    """Return whether some run admits a call: the vacuity check of every proof."""
    for result in work.results.values():
        if result.report is not None and result.report.exercise.admitted:
            return True
    machine = work.machine
    cap = machine.cap.hi if machine.cap.hi is not None else max(machine.cap.lo, 10**6)
    if admits(machine, cap):
        return True
    if work.numbers is None and len(machine.accounts) <= MAX_ACCOUNTS:
        work.numbers = _numbers_invariant(work.scenario, machine)
    if work.numbers is None or not work.numbers.finished:
        return True
    spots = work.numbers.abstraction.spots
    return not work.numbers.implies(z3.And(*[s.count == 0 for s in spots.values()])) if spots else False


def _cannot_overshoot(work: _Work) -> bool:
    """Return whether the bills of all calls together, all admitted, stay within the cap."""
    scenario = work.machine.scenario
    if scenario.faults.timeout or any(a.count is None or a.program for a in scenario.agents):
        return False
    total = 0
    for agents in scenario.agents:
        for number in range(agents.calls):
            top = _largest_bill(costs_of(scenario, agents.call, number))
            if top is None or agents.count is None:
                return False
            total += top * agents.count
    return total <= scenario.cap.lo


def _largest_bill(costs: CallCosts) -> int | None:
    match costs.cost:
        case Stream(chunk=chunk, chunks=chunks):
            return None if chunk.hi is None else chunk.hi * (chunks + 1)
        case Plain(estimate=Interval(hi=hi)) if costs.bounds.within_hold:
            bill = cost_ranges(costs)[1].hi
            return hi if bill is None else bill if hi is None else min(hi, bill)
        case _:
            return cost_ranges(costs)[1].hi


def _worst(work: _Work) -> Worst | None:
    """Return the largest overshoot, where the cap can be overshot."""
    result = work.results.get(Property.CAP)
    if result is None or result.verdict is not Verdict.VIOLATED or result.trace is None:
        return None
    work.progress("largest overshoot")
    cap = result.trace.schedule.cap
    assert result.report is not None
    least, run = max(result.report.overshoot.values()), result.trace.schedule
    scenario = work.machine.scenario
    if _no_bound(work):
        return Worst(least, None, run)
    most: int | None = None
    if work.numbers is not None and work.numbers.finished:
        most = upper_bound(work.numbers, cap)
    whole = _whole_machine(work)
    if whole is not None and not any(agents.count is None for agents in scenario.agents):
        better, longer = attained(whole, cap, result.trace.schedule)
        if better > least and longer is not None:
            least, run = better, longer
    if most is None or least < most:
        more = _more(work, cap, least, most)
        if more is not None:
            least, run = more
    return Worst(least, most, run)


def _more(work: _Work, cap: int, least: int, most: int | None) -> tuple[int, Schedule] | None:
    """Search for a run with more overshoot than is known, of a few more steps than the shortest."""
    original = work.machine.scenario
    agents = [a.count for a in original.agents]
    found = work.results[Property.CAP].trace
    steps = len(found.schedule.choices) if found is not None else 1
    limit = min(_needed_agents(original, steps + 2), max(c or steps for c in agents))
    machine = compile_scenario(original, limit=limit)
    lemma = None
    if work.numbers is not None and len(work.numbers.abstraction.machine.accounts) == len(machine.accounts):
        lemma = lemma_of(work.scenario, work.numbers, machine)
    return most_overshoot(machine, cap=cap, least=least, most=most, steps=steps, lemma=lemma, seconds=2.0)


def _whole_machine(work: _Work) -> Machine | None:
    """Return the machine with every agent that the scenario names, if that many can be run."""
    if sum(agents.count or 1 for agents in work.scenario.agents) > MANY_AGENTS:
        return None
    return compile_scenario(work.machine.scenario)


def _no_bound(work: _Work) -> bool:
    """Return whether a single bill can be as large as you like."""
    for agents in work.machine.scenario.agents:
        for number in range(agents.calls):
            costs = costs_of(work.machine.scenario, agents.call, number)
            free = not isinstance(costs.cost, Stream) and not costs.bounds.within_hold
            if free and cost_ranges(costs)[1].hi is None and costs.bounds.shortfall is None:
                return True
    return False
