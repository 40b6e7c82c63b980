"""Inductive invariants of the counter abstraction: guessed from the vocabulary of budgets, then checked.

Candidates are conservation laws and bounds over the sums. Those that the initial state or some step breaks are
dropped until all that are left hold together, for every state (Houdini). Nothing here is trusted: what is left
is proved inductive again as one obligation, by z3 and by a second solver (``second``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import z3

from capsound.predicates import balance, billed_below
from capsound.properties import Property
from capsound.steps import Ledger
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.calls import Spot, cost_bounds
from capsound_proofs.terms import Term, integer, truth
from capsound_proofs.transitions import System
from capsound_proofs.work import Ceiling, Work

PROVE = 30_000_000
"""The work to find one invariant: what the shipped scenarios need is below a tenth of it."""

FACT = 100
"""The work that it counts for to assert one fact: about what z3 counts in the same time."""

IMPLY = 10_000_000
"""The work to see whether an invariant implies a property."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A formula over the sums, and how it reads."""

    text: str
    formula: Term


@dataclass(frozen=True, slots=True)
class Invariant:
    """Formulas that hold together in every state of an abstraction."""

    abstraction: Abstraction
    kept: tuple[Candidate, ...]
    seconds: float
    finished: bool
    ceiling: Ceiling | None = None

    def implies(self, goal: Term) -> bool:
        """Return whether every state that the invariant allows satisfies ``goal``."""
        solver = Work(IMPLY, self.ceiling).solver()
        solver.add(*self.abstraction.system.axioms, *[c.formula for c in self.kept], z3.Not(truth(goal)))
        return bool(solver.check() == z3.unsat)


def _spots_of(abstraction: Abstraction, account: int) -> list[Spot]:
    return [
        spot
        for spot in abstraction.spots
        if abstraction.machine.processes[spot.process].places[spot.at].account == account
    ]


def _phase(abstraction: Abstraction, spot: Spot) -> str:
    return abstraction.machine.processes[spot.process].places[spot.at].phase


def _label(abstraction: Abstraction, spot: Spot) -> str:
    block = abstraction.machine.processes[spot.process].places[spot.at].label
    return f"[{block}] of {spot.group}" + (", crashed" if spot.dead else "")


def _total(abstraction: Abstraction, spots: list[Spot], name: str) -> Term:
    total: Term = z3.IntVal(0)
    for spot in spots:
        total = total + abstraction.spots[spot].of[name]
    return total


def _count(abstraction: Abstraction, spots: list[Spot]) -> Term:
    total: Term = z3.IntVal(0)
    for spot in spots:
        total = total + abstraction.spots[spot].count
    return total


def candidates(abstraction: Abstraction) -> Iterator[Candidate]:
    """Yield what might hold of every state."""
    machine = abstraction.machine
    for index, info in enumerate(machine.accounts):
        yield from _of_account(abstraction, index, info.name)
    for spot, sums in abstraction.spots.items():
        yield Candidate(f"no call is ever at {_label(abstraction, spot)}", sums.count == 0)
    for index, started in abstraction.started.items():
        yield Candidate(f"{machine.processes[index].group}.started >= 0", started >= 0)
    for index, at in abstraction.slice_at.items():
        name = machine.processes[index].name
        yield Candidate(f"{name}.at >= 0", at >= 0)
        yield Candidate(f"{name}.at <= 2", at <= 2)
        for place in machine.processes[index].places:
            if place.kind in ("delegate", "move"):
                ledger = abstraction.ledgers[place.account]
                made = [p for p in machine.processes[index].places if p.kind != "call"].index(place)
                account = machine.accounts[place.account].name
                empty = z3.And(ledger.granted == 0, ledger.available == 0)
                yield Candidate(f"{account} has nothing before it is delegated", z3.Implies(at <= made, empty))


def _of_account(abstraction: Abstraction, index: int, name: str) -> Iterator[Candidate]:
    ledger = abstraction.ledgers[index]
    info = abstraction.machine.accounts[index]
    spots = _spots_of(abstraction, index)
    holding = [s for s in spots if abstraction.holds[s]]
    sent = [s for s in spots if _phase(abstraction, s) == "sent"]
    unsent = [s for s in spots if _phase(abstraction, s) == "admitted"]
    a = f"{name}." if len(abstraction.ledgers) > 1 else ""
    in_flight = _total(abstraction, sent, "bill")
    planned = _total(abstraction, unsent, "cover")
    slices_billed: Term = abstraction.child.of["billed"] if abstraction.child is not None else z3.IntVal(0)

    yield Candidate(
        f"{a}available + held + charged + forfeited + delegated + returned = granted",
        balance(ledger) == ledger.granted,
    )
    for field in (
        "available",
        "held",
        "charged",
        "forfeited",
        "delegated",
        "returned",
        "granted",
        "billed",
        "settled",
        "lost",
        "booked",
        "outstanding",
        "carved",
        "deficit",
        "window",
    ):
        yield Candidate(f"{a}{field} >= 0", getattr(ledger, field) >= 0)
    yield Candidate(f"{a}held = sum of holds", ledger.held == _total(abstraction, holding, "cover"))
    yield Candidate(f"{a}held = 0", ledger.held == 0)
    yield Candidate(
        f"{a}outstanding = sum of covers", ledger.outstanding == _total(abstraction, sent + unsent, "cover")
    )
    yield Candidate(
        f"{a}billed = settled + lost + bills in flight",
        ledger.billed == ledger.settled + ledger.lost + in_flight,
    )
    yield Candidate(f"{a}charged = settled bills", ledger.charged == ledger.settled)
    yield Candidate(f"{a}charged >= settled bills", ledger.charged >= ledger.settled)
    yield Candidate(f"{a}lost bills <= forfeited", ledger.lost <= ledger.forfeited)
    yield Candidate(f"{a}nothing is lost", ledger.lost == 0)
    yield Candidate(f"{a}booked = charged + forfeited", ledger.booked == ledger.charged + ledger.forfeited)
    yield Candidate(f"{a}carved = delegated", ledger.carved == ledger.delegated)
    yield Candidate(f"{a}deficits of calls in flight are counted", ledger.deficit >= _total(abstraction, sent, "over"))
    yield Candidate(f"{a}deficit = 0", ledger.deficit == 0)
    yield Candidate(f"{a}window >= deficit", ledger.window >= ledger.deficit)
    yield Candidate(f"{a}window = 0", ledger.window == 0)
    yield Candidate(f"{a}debt <= window", ledger.available + ledger.window >= 0)
    yield Candidate(
        f"{a}lost bills <= forfeited + their deficits",
        ledger.lost <= ledger.forfeited + ledger.deficit - _total(abstraction, sent, "over"),
    )
    yield Candidate(
        f"{a}billed + unsent holds <= granted + window",
        ledger.billed + planned + slices_billed <= ledger.granted + ledger.window,
    )
    yield Candidate(f"{a}billed + unsent holds <= granted", ledger.billed + planned + slices_billed <= ledger.granted)
    yield Candidate(f"{a}available <= granted", ledger.available <= ledger.granted)
    yield Candidate(f"{a}nothing is billed", ledger.billed == 0)
    for spot in spots:
        cover = abstraction.spots[spot].of["cover"]
        yield Candidate(f"{a}available covers a call at {_label(abstraction, spot)}", ledger.available >= cover)
    yield from _lock(abstraction, ledger, spots, a)
    if (ratio := abstraction.options.shortfall) is not None:
        n, d = ratio.numerator, ratio.denominator
        r = f"{n}/{d}" if d != 1 else f"{n}"
        there = ledger.granted - ledger.available - ledger.held - ledger.forfeited - ledger.delegated - ledger.returned
        yield Candidate(
            f"{a}settled bills <= {r} x (granted - available - held - forfeited)",
            ledger.settled * d <= there * n,
        )
        yield Candidate(f"{a}settled bills <= {r} x charged", ledger.settled * d <= ledger.charged * n)
        yield Candidate(f"{a}lost bills <= {r} x forfeited", ledger.lost * d <= ledger.forfeited * n)
        yield Candidate(
            f"{a}billed + {r} x unsent holds <= {r} x granted",
            ledger.billed * d + planned * n <= ledger.granted * n,
        )
    if index and info.grant.hi is not None:
        yield Candidate(f"{a}granted <= {info.grant.hi}", ledger.granted <= info.grant.hi)
        yield Candidate(f"{a}available <= {info.grant.hi}", ledger.available <= info.grant.hi)
    children = [i for i, other in enumerate(abstraction.machine.accounts) if other.parent == index]
    if children:
        out: Term = z3.IntVal(0)
        for child in children:
            out = out + abstraction.ledgers[child].granted - abstraction.ledgers[child].returned
        yield Candidate(f"{a}delegated = grants of slices, less what they returned", ledger.delegated == out)
    if abstraction.child is not None:
        yield Candidate(
            f"{a}delegated = grants of slices, less what they returned",
            ledger.delegated == abstraction.child.of["granted"],
        )
    yield from _counted(abstraction, ledger, spots, a)


def _lock(abstraction: Abstraction, ledger: Ledger, spots: list[Spot], a: str) -> Iterator[Candidate]:
    """Yield what a lock does: it is held by exactly the calls between taking and freeing it."""
    inside = []
    for spot in spots:
        places = abstraction.machine.processes[spot.process].places
        here = places[spot.at]
        steps = [step.name for place in places[here.start : spot.at] for step in place.block]
        if "lock" in steps and "unlock" not in steps[steps.index("lock") :]:
            inside.append(spot)
    if not inside:
        yield Candidate(f"{a}lock = 0", ledger.lock == 0)
        return
    yield Candidate(f"{a}lock = calls inside it", ledger.lock == _count(abstraction, inside))
    yield Candidate(f"{a}lock <= 1", ledger.lock <= 1)


def _counted(abstraction: Abstraction, ledger: Ledger, spots: list[Spot], a: str) -> Iterator[Candidate]:
    """Yield bounds by how many calls there are, where the numbers of the scenario give one."""
    machine = abstraction.machine
    total: Term = z3.IntVal(0)
    for index in abstraction.groups.values():
        mine = [s for s in spots if s.process == index]
        if not mine:
            continue
        places = machine.processes[index].places
        tops = [cost_bounds(p)[1]["bill"] for p in places if p.kind == "call" and p.draws_size]
        if any(top is None for top in tops):
            return
        top = max(int(t) for t in tops if t is not None)
        waiting = [s for s in mine if _phase(abstraction, s) != "sent" and not s.dead]
        total = total + (abstraction.started[index] - _count(abstraction, waiting)) * top
    yield Candidate(f"{a}billed <= largest bill x calls sent", ledger.billed <= integer(total))


# ------------------------------------------------------------------------------------------- Houdini


def find(abstraction: Abstraction, ceiling: Ceiling | None = None) -> Invariant:
    """Return the strongest invariant that the candidates contain."""
    began = time.monotonic()
    system = abstraction.system
    work = Work(PROVE, ceiling)
    guesses = list(candidates(abstraction))
    if FACT * len(system.transitions) * (len(system.axioms) + 2 * len(guesses)) > PROVE:
        # One round over all steps is more than the work allows: nothing is found by beginning it.
        return Invariant(abstraction, (), time.monotonic() - began, finished=False, ceiling=ceiling)
    kept = _holds_at_start(system, guesses, work)
    changed = True
    finished = True
    while changed and finished:
        changed = False
        for transition in system.transitions:
            work.spend(FACT * (len(system.axioms) + 2 * len(kept)))
            solver = work.solver()
            solver.add(*system.axioms, transition.guard)
            solver.add(*system.axioms_after(transition))
            marks = {c: z3.Bool(f"keep.{i}") for i, c in enumerate(kept)}
            solver.add(*[z3.Implies(mark, c.formula) for c, mark in marks.items()])
            after = dict(zip(kept, system.after_all([c.formula for c in kept], transition), strict=True))
            # What a step does not touch it cannot break.
            touched = [c for c in kept if not after[c].eq(c.formula)]
            while touched:
                assumed = [marks[c] for c in kept]
                broken = z3.Bool("broken")
                solver.push()
                solver.add(z3.Implies(broken, z3.Or(*[z3.Not(after[c]) for c in touched])))
                answer = solver.check(broken, *assumed)
                if answer == z3.sat:
                    model = solver.model()
                    lost = [c for c in touched if not model.holds(after[c])]
                    solver.pop()
                    kept = [c for c in kept if c not in lost]
                    touched = [c for c in touched if c not in lost]
                    changed = True
                    continue
                solver.pop()
                if answer == z3.unknown:
                    finished = False
                break
            if not finished:
                break
    return Invariant(abstraction, tuple(kept) if finished else (), time.monotonic() - began, finished, ceiling)


def _holds_at_start(system: System, guesses: list[Candidate], work: Work) -> list[Candidate]:
    solver = work.solver()
    solver.add(*system.axioms, *system.start)
    return [
        Candidate(guess.text, truth(guess.formula))
        for guess in guesses
        if solver.check(z3.Not(truth(guess.formula))) == z3.unsat
    ]


# ---------------------------------------------------------------------------------------------- goals


def total_billed(abstraction: Abstraction) -> Term:
    """Return the true bills of the root, those of slices that are summed up included."""
    billed: Term = abstraction.ledgers[0].billed
    for ledger in abstraction.ledgers[1:]:
        billed = billed + ledger.billed
    return billed if abstraction.child is None else billed + abstraction.child.of["billed"]


def goal(abstraction: Abstraction, prop: Property) -> Term | None:
    """Return what the property says of the sums, or None where the abstraction cannot say it."""
    root = abstraction.ledgers[0]
    billed = total_billed(abstraction)
    if prop is Property.CAP:
        if abstraction.child is not None:
            # By induction over the depth of the tree: the account obeys the bound that its slices obey.
            return z3.And(billed + root.available <= root.granted, root.available >= 0)
        return billed <= root.granted
    if prop is Property.SLICE:
        return _slice_goal(abstraction)
    if prop is Property.OVERRUN:
        if abstraction.child is not None:
            return None
        window: Term = root.window
        for ledger in abstraction.ledgers[1:]:
            window = window + ledger.window
        return billed <= root.granted + window
    if prop is Property.TRUTH:
        return z3.And(*[ledger.charged == ledger.settled for ledger in abstraction.ledgers])
    if prop is Property.CONSERVATION:
        return z3.And(
            *[
                z3.And(balance(ledger) == ledger.granted, ledger.carved == ledger.delegated)
                for ledger in abstraction.ledgers
            ]
        )
    if prop is Property.PROGRESS:
        return _progress_goal(abstraction)
    return None


def _slice_goal(abstraction: Abstraction) -> Term | None:
    if abstraction.child is not None:
        return goal(abstraction, Property.CAP)
    machine = abstraction.machine
    terms: list[Term] = []
    for index in range(1, len(machine.accounts)):
        ledger = abstraction.ledgers[index]
        billed = billed_below(machine, abstraction.ledgers, index)
        terms.append(billed <= ledger.granted - ledger.returned)
    return z3.And(*terms) if terms else z3.BoolVal(True)


def _progress_goal(abstraction: Abstraction) -> Term:
    """Say that a taken lock is always held by a live call whose next block waits for nothing.

    Locks are the only thing that a step of a discipline waits for; slices wait for their parents, which are
    above them in a tree, and closing waits for agents that can finish.
    """
    terms: list[Term] = []
    for index, ledger in enumerate(abstraction.ledgers):
        movable = [
            spot
            for spot in _spots_of(abstraction, index)
            if not spot.dead
            and not any(step.waits for step in abstraction.machine.processes[spot.process].places[spot.at].block)
        ]
        terms.append(z3.Or(ledger.lock == 0, _count(abstraction, movable) >= 1))
    return z3.And(*terms)
