"""Theorem 16: reserve and settle over any set of ceilings keeps each of them, for any number of agents.

What a call does in two ceilings is run as the machine runs it (``capsound.ceilings``), on terms. One of them stands for
any ceiling, the other for all others: what is proved of a set is then proved of one more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import z3

from capsound.charging import only
from capsound.machine import Branch, Config, Env, Machine, Running, compile_scenario, fire
from capsound.scenario import ANY, Agents, CallKind, Ceiling, Faults, Interval, Plain, Scenario
from capsound.steps import CallVars, Ledger
from capsound_proofs.terms import TERMS, Term, conj, integer, truth
from capsound_proofs.theorem import Fact, Kind, Mutant, Obligation, System, Theorem, Witness, run
from capsound_proofs.theorems.books import of
from capsound_proofs.theorems.calls_in_flight import (
    FIELDS,
    GOAL,
    INVARIANT,
    LATE_UNSENT,
    LET_GO,
    START,
    VARIABLES,
    life,
)

NAMES = ("a", "b")
CAP = Interval(1, None)


def _machine(discipline: str = "reserve-settle") -> Machine:
    """Return the machine of one call that counts in two ceilings, of any amounts."""
    return compile_scenario(
        Scenario(
            "two",
            CAP,
            discipline,
            (Agents("agent", 1, "a", "call"),),
            (CallKind("call", Plain(ANY, ANY)),),
            ceilings=(Ceiling("a", "root", Interval.exactly(1)),),
            faults=Faults(cancel=1),
        )
    )


def _fired(machine: Machine, branch: Branch, names: tuple[str, ...]) -> tuple[Term, dict[str, Term], Term]:
    """Return when a branch is possible, what it makes of the ledgers, and where the call goes."""
    ledgers = [Ledger(**{field: of(name, field) for field in FIELDS}) for name in names]
    call = CallVars(*(z3.Int(f"call.{field}") for field in ("size", "cover", "bill", "told", "seen")))
    running = [Running(branch.place, call)]
    config = Config(ledgers, [1] * len(names), running, [1, 1, 1])
    drawn: list[Term] = []

    def draw(name: str, lo: Term, hi: Term | None) -> Term:
        amount = z3.Int(f"draw.{name}")
        drawn.append(amount >= lo)
        if hi is not None:
            drawn.append(amount <= hi)
        return amount

    possible = conj([*fire(machine, config, branch, Env(TERMS, draw)), *drawn])
    after = {
        f"{n}.{f}": integer(getattr(ledger, f)) for n, ledger in zip(names, config.ledgers, strict=True) for f in FIELDS
    }
    return truth(possible), after, integer(config.running[0].at)


def _alike(machine: Machine, branch: Branch) -> Obligation:
    """Return the obligation that a step over both ceilings is, in each, a step over that one alone."""
    possible, after, at = _fired(machine, branch, NAMES)
    claims: list[Term] = []
    for index, name in enumerate(NAMES):
        alone = only(machine, index, replace(machine.scenario, ceilings=()))
        mine, changed, there = _fired(alone, branch, (name,))
        claims += [mine, at == there, *(after[key] == value for key, value in changed.items())]
    label = machine.processes[0].places[branch.place].label
    facts = () if z3.is_true(z3.simplify(possible)) else (Fact("it is possible", possible),)
    return Obligation(f"{branch.kind} {label} is in each ceiling what it is in that alone", facts, z3.And(*claims))


def _branches(machine: Machine) -> list[Branch]:
    return [b for b in machine.branches() if b.process == 0]


def _build() -> tuple[Obligation, ...]:
    machine = _machine()
    admits = Branch(0, 0, "run")
    possible, after, _ = _fired(machine, admits, NAMES)
    both = Obligation(
        "a call is admitted where it fits into both, and held in both",
        (Fact("it is admitted", possible),),
        z3.And(
            *[z3.Int("draw.size") <= of(name, "available") for name in NAMES],
            *[after[f"{name}.held"] == of(name, "held") + z3.Int("draw.size") for name in NAMES],
        ),
    )
    refused, nothing, _ = _fired(machine, Branch(0, 0, "refuse"), NAMES)
    none = Obligation(
        "where it is refused, it does not fit into both, and neither holds anything",
        (Fact("it is refused", refused),),
        z3.And(
            z3.Or(*[z3.Int("draw.size") > of(name, "available") for name in NAMES]),
            *[nothing[f"{name}.{field}"] == of(name, field) for name in NAMES for field in FIELDS],
        ),
    )
    late = Obligation(
        "where no hold is let go, the bills are within the cap",
        (Fact("no call is late", z3.And(LET_GO == 0, LATE_UNSENT == 0)), *GOAL),
        of("a", "billed") <= of("a", "granted"),
    )
    return (both, none, *(_alike(machine, branch) for branch in _branches(machine)), late)


def _systems() -> tuple[System, ...]:
    return (System(VARIABLES, START, life(), INVARIANT, GOAL),)


def _altered() -> tuple[Mutant, ...]:
    """Return blocks that change one of the two ceilings only, or ask one of them only."""
    machine = _machine()
    found = []
    for branch in _branches(machine):
        place = machine.processes[0].places[branch.place]
        if branch.kind != "run":
            continue
        for index in (0, 1):
            fewer = replace(place, ledgers=tuple(i for i in place.ledgers if i != index))
            process = machine.processes[0]
            places = tuple(fewer if p is place else p for p in process.places)
            spoilt = replace(machine, processes=(replace(process, places=places), *machine.processes[1:]))
            possible, after, at = _fired(spoilt, branch, NAMES)
            whole, wanted, there = _fired(machine, branch, NAMES)
            claim = z3.And(whole, at == there, *[after[key] == value for key, value in wanted.items()])
            obligation = Obligation("it is the whole block", (Fact("it is possible", possible),), claim)
            found.append(Mutant(f"{place.label} without {NAMES[index]}", (obligation,)))
    return tuple(found)


def _witnesses() -> tuple[Witness, ...]:
    rows: list[tuple[Any, ...]] = [("open", "team", 100), ("open", "user-a", 60), ("open", "user-b", 60)]
    for number, user in enumerate(("user-a", "user-a", "user-b"), start=1):
        for ceiling, mark in ((user, ""), ("team", "@team")):
            rows.append(("reserve", ceiling, f"R{number}{mark}", 30, f"agent {number}"))
    rows.append(("refuse", "team", 30, "does not fit", "agent 4"))
    for number in (1, 2, 3):
        for mark in ("", "@team"):
            rows += [("send", f"R{number}{mark}", f"C{number}{mark}"), ("bill", f"C{number}{mark}", 30)]
            rows += [("settle", f"R{number}{mark}", 30)]
    name = "two users of 60 under a team of 100: the fourth call of 30 is refused by the team"
    return (Witness(name, run(*rows), (), {"team": 0, "user-a": 0, "user-b": 0}),)


THEOREM = Theorem(
    number=16,
    name="conjunction",
    kind=Kind.PROVED,
    statement="Reserve and settle over any set of ceilings keeps each of them.",
    mathematics="for every set S of ceilings over a call, admitted where its estimate fits into all of S: for each s "
    "in S, sum of true bills under s <= cap(s)",
    assumptions=("A1, in what each ceiling counts", "A7", "a call is admitted by all its ceilings in one block"),
    bound="all sets of ceilings, amounts, agents, calls and schedules",
    idea="A step over two ceilings is, in each of them, a step over that one alone: the machine's own code is run on "
    "both. So each sees a run of reserve and settle in which some calls are refused although they fit, and that keeps "
    "its cap. One of the two stands for any ceiling, the other for all others: what holds of a set holds of one more",
    build=_build,
    systems=_systems,
    altered=_altered,
    witnesses=_witnesses,
)
