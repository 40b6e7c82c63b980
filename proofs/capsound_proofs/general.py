"""The proof for every amount: all numbers of the scenario are forgotten, and so is who is who."""

from __future__ import annotations

from dataclasses import replace

from capsound.machine import compile_scenario, discipline_of
from capsound.properties import Property
from capsound.scenario import ANY, ROOT, Agents, CallKind, Interval, Plain, Scenario, Stream
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.calls import Fact
from capsound_proofs.children import Children, candidates, opens_as_granted
from capsound_proofs.conclusions import conclude
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.problem import Problem
from capsound_proofs.promises import conclude_of_accounts, of_any_tree

LOOPS = 3
"""A stream of so many chunks folds into a loop that may go round again, or end: into one of any length above one."""


def everywhere(scenario: Scenario) -> str:
    """Return how far a proof reaches in which no number of the scenario is left."""
    windows = [window for window in (scenario.window, *(c.window for c in scenario.ceilings)) if window is not None]
    if any(window.slides for window in windows):
        return "every cap, amount, schedule, length of the window, number of agents and calls"
    resets = bool(windows)
    return f"every cap, amount, schedule, number of agents{',' if resets else ' and'} calls{' and resets' * resets}"


def general_calls(scenario: Scenario) -> dict[str, CallKind]:
    """Return each kind of call with its numbers forgotten, by its name; kinds that are then alike are one.

    Of a stream, one length stands for all of which the proof is to speak (``_lengths``).
    """
    found: dict[str, CallKind] = {}
    for name in dict.fromkeys(agents.call for agents in scenario.agents):
        cost = scenario.call(name).cost
        alike: Plain | Stream = Stream(ANY, max(_lengths(scenario))) if isinstance(cost, Stream) else Plain(ANY, ANY)
        if isinstance(cost, Stream) and cost.chunks == 1:
            alike = Stream(ANY, 1)
        kind = f"stream{alike.chunks}" if isinstance(alike, Stream) else "call"
        found[name] = CallKind(kind, alike)
    return found


def _general(scenario: Scenario) -> Scenario:
    """Return the scenario with every number forgotten: any cap, any estimate, any bill the assumptions allow.

    Kinds of calls that differ only in what is forgotten become one.
    """
    used = dict.fromkeys(agents.call for agents in scenario.agents)
    costs: dict[Plain | Stream, None] = {}
    for name in used:
        cost = scenario.call(name).cost
        if isinstance(cost, Stream):
            costs |= dict.fromkeys(Stream(ANY, chunks) for chunks in _lengths(scenario))
        else:
            costs[Plain(ANY, ANY)] = None
    kinds = tuple(CallKind(f"{number}", cost) for number, cost in enumerate(costs))
    # Two calls of a turn stand for all: one that is checked, and one that is not.
    calls = min(2, discipline_of(scenario).turn)
    agents = tuple(Agents("agents" if len(kinds) == 1 else f"agents {k.name}", 1, ROOT, k.name, calls) for k in kinds)
    return replace(scenario, cap=Interval(scenario.spent, None), calls=kinds, agents=agents, slices=(), properties=())


def _lengths(scenario: Scenario) -> tuple[int, ...]:
    """Return the lengths of streams that stand for those of the scenario: one chunk, and a loop for all others."""
    chunks = {kind.cost.chunks for kind in scenario.calls if isinstance(kind.cost, Stream)}
    # Without A9, how much is billed after a cut depends on how many chunks were left.
    longest = LOOPS if scenario.assume.a9 else max(chunks)
    return tuple(sorted((chunks & {1}) | ({longest} if max(chunks) > 1 else set())))


def said_of_lengths(scenario: Scenario) -> str:
    """Return of which streams a proof speaks that forgot their lengths."""
    lengths = _lengths(scenario)
    if not scenario.assume.a9 or lengths == (1,):
        most = max(lengths)
        return f", for streams of up to {most} chunk{'s' * (most > 1)}"
    return ", for streams of any length" if len(lengths) > 1 else ", for streams of two or more chunks"


def prove_in_general(problem: Problem) -> None:
    """Prove what holds for every amount, schedule, number of agents and calls, and tree of slices."""
    here = problem.machine
    if here.alone and len(here.accounts) > 1:
        return  # ``ceilings`` has looked at each
    programs = any(agents.program for agents in problem.scenario.agents)
    if programs and here.reuse is not None:
        # Handles that are used twice are not accounts of a tree.
        return
    if any(agents.inherits for agents in problem.scenario.agents):
        # What a slice inherits is not taken out of its parent, as a tree of slices takes it.
        return
    # A program may use a slice of the scenario although its owner, who does not know, has closed it.
    sealed = not (programs and problem.scenario.slices)
    problem.progress("proof for all amounts")
    assume = problem.scenario.assume
    machine = compile_scenario(_general(problem.scenario))
    ratio = assume.shortfall if assume.a1 is not True else None
    where = everywhere(problem.scenario)
    trees = len(here.accounts) > 1
    lengths = said_of_lengths(problem.scenario) if machine.discipline.streams else ""
    open_ = [p for p in problem.undecided if p is not Property.WIDTH]
    if not trees:
        invariant = find(Abstraction(machine, Options(shortfall=ratio)), problem.ceiling)
        conclude(problem, invariant, open_, f"proved for {where}{lengths}")
        _overspend_sentence(problem, invariant)
        return
    if not opens_as_granted(machine.discipline):
        return

    # A slice of any tree may be granted anything, whatever is said of the cap of the root.
    anywhere = replace(machine, cap=ANY)

    def account(promise: tuple[Fact, ...]) -> Abstraction:
        slices = Children("slices", ANY, None, promise, moved=programs)
        return Abstraction(anywhere, Options(children=(slices,), slice=True, sealed=sealed, shortfall=ratio))

    any_account = of_any_tree(account, candidates(ANY, ratio, None, a1=assume.a1 is True), problem.ceiling)
    conclude_of_accounts(problem, [any_account], open_, f"proved for {where}, and every tree of slices{lengths}")
    _overspend_sentence(problem, any_account.invariant)


def _overspend_sentence(problem: Problem, invariant: Invariant) -> None:
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
        problem.sentences.append(
            f"For any number of agents: settled bills <= {r} x (cap - available - held - forfeited)."
        )
    problem.sentences.append(
        f"With bills at most {r} times the hold, true bills stay within {r} x cap: "
        f"the overspend is at most {shortfall - 1} x cap."
    )
