"""Inductive invariants of the counter abstraction: guessed from the vocabulary of budgets, then checked.

Candidates are conservation laws and bounds over the sums. Those that the initial state or some step breaks are
dropped until all that are left hold together, for every state (Houdini). Nothing here is trusted: what is left
is proved inductive again as one obligation, by z3 and by a second solver (``second``).

One module, because what is guessed, how it is thinned out and what a property asks of it are read together: each line
of a proof that is printed is a candidate of this page.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import z3

from capsound.predicates import balance, billed_below, left_behind
from capsound.properties import Property
from capsound.steps import Ledger
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.building import all_of, any_of, as_truth, choice, constant, implies, no, proposition
from capsound_proofs.calls import Spot, cost_bounds, place_of
from capsound_proofs.children import PROMISED
from capsound_proofs.terms import TERMS, Term, integer, negation, truth
from capsound_proofs.transitions import System
from capsound_proofs.work import Ceiling, Work

PROVE = 30_000_000
"""The work to find one invariant: what the shipped scenarios need is below a tenth of it."""

FACT = 100
"""The work that it counts for to assert one fact: about what z3 counts in the same time."""

IMPLY = 10_000_000
"""The work to see whether an invariant implies a property."""


_GHOSTS = {
    "odd": "costs that differ from their bills",
    "short": "lost bills above what was written off",
    "unbooked": "costs that differ from what a sound ledger books",
    "unseen": "bills of which the ledger is never told",
}


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
    work: Work | None = field(default=None, compare=False, repr=False)

    def begun(self, limit: int) -> Work:
        """Return so much work, where the invariant was found: what was asked there is built already."""
        work = self.work or Work(limit, self.ceiling)
        work.left = limit
        return work

    def implies(self, goal: Term) -> bool:
        """Return whether every state that the invariant allows satisfies ``goal``."""
        return self.implied([goal])[0]

    def implied(self, goals: Sequence[Term]) -> list[bool]:
        """Return of each goal whether every state that the invariant allows satisfies it."""
        work = self.begun(IMPLY)
        solver = work.solver()
        solver.add(*self.abstraction.system.axioms, *[c.formula for c in self.kept])
        answers: list[bool] = []
        for goal in goals:
            work.left = IMPLY
            solver.push()
            solver.add(no(truth(goal)))
            answers.append(bool(solver.check() == z3.unsat))
            solver.pop()
        return answers


def _spots_of(abstraction: Abstraction, account: int) -> list[Spot]:
    return [
        spot
        for spot in abstraction.spots
        if abstraction.machine.processes[spot.process].places[spot.at].account == account
    ]


def _phase(abstraction: Abstraction, spot: Spot) -> str:
    return abstraction.machine.processes[spot.process].places[spot.at].phase


def _admitted(abstraction: Abstraction, spot: Spot) -> bool:
    """Return whether a call is admitted in the ledger that is looked at: of several ceilings, another may be first."""
    here = abstraction.machine.processes[spot.process].places[spot.at]
    return bool(here.admitted_on) or not abstraction.machine.alone


def _label(abstraction: Abstraction, spot: Spot) -> str:
    block = abstraction.machine.processes[spot.process].places[spot.at].label
    return f"[{block}] of {spot.group}" + (", crashed" if spot.dead else "")


def _total(abstraction: Abstraction, spots: list[Spot], name: str) -> Term:
    total: Term = constant(0)
    for spot in spots:
        total = total + abstraction.spots[spot].of[name]
    return total


def _count(abstraction: Abstraction, spots: list[Spot]) -> Term:
    total: Term = constant(0)
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
                made = [p for p in machine.processes[index].places if p.kind not in ("call", "more")].index(place)
                account = machine.accounts[place.account].name
                empty = all_of(ledger.granted == 0, ledger.available == 0)
                yield Candidate(f"{account} has nothing before it is delegated", implies(at <= made, empty))


def _of_account(abstraction: Abstraction, index: int, name: str) -> Iterator[Candidate]:
    ledger = abstraction.ledgers[index]
    info = abstraction.machine.accounts[index]
    spots = _spots_of(abstraction, index)
    holding = [s for s in spots if abstraction.holds[s]]
    sent = [s for s in spots if _phase(abstraction, s) == "sent"]
    unsent = [s for s in spots if _phase(abstraction, s) == "admitted" and _admitted(abstraction, s)]
    tried = [s for s in holding if _phase(abstraction, s) == "new"]
    a = f"{name}." if len(abstraction.ledgers) > 1 else ""
    in_flight = _total(abstraction, sent, "bill")
    planned = _total(abstraction, unsent, "cover")
    slices = {key: below(abstraction, key) for key in PROMISED} if index == 0 else dict.fromkeys(PROMISED, 0)

    yield Candidate(
        f"{a}available + held + charged + forfeited + delegated + returned = granted",
        balance(ledger) == ledger.granted,
    )
    for name_of in (
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
        yield Candidate(f"{a}{name_of} >= 0", getattr(ledger, name_of) >= 0)
    yield Candidate(f"{a}held = sum of holds", ledger.held == _total(abstraction, holding, "cover"))
    yield Candidate(f"{a}held = 0", ledger.held == 0)
    yield Candidate(
        f"{a}outstanding = sum of covers", ledger.outstanding == _total(abstraction, sent + unsent + tried, "cover")
    )
    yield Candidate(
        f"{a}billed = settled + lost + bills in flight",
        ledger.billed == ledger.settled + ledger.lost + in_flight,
    )
    if abstraction.machine.alone:
        yield from _in_windows(ledger, in_flight)
    for ghost, value in abstraction.sliding.of.items():
        yield Candidate(f"{_GHOSTS[ghost]} = 0", value == 0)
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
        ledger.billed + planned + slices["billed"] <= ledger.granted + ledger.window,
    )
    yield Candidate(
        f"{a}billed + unsent holds <= granted", ledger.billed + planned + slices["billed"] <= ledger.granted
    )
    if abstraction.faults is not None:
        yield from _with_few_faults(abstraction, spots, planned, _total(abstraction, sent, "over"))
    yield Candidate(f"{a}available <= granted", ledger.available <= ledger.granted)
    if index == 0 and (spent := abstraction.machine.scenario.spent):
        gone = abstraction.machine.scenario.told(spent)
        yield Candidate(f"{a}available <= granted - {gone} already spent", ledger.available <= ledger.granted - spent)
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
        granted = abstraction.machine.scenario.told(info.grant.hi)
        yield Candidate(f"{a}granted <= {granted}", ledger.granted <= info.grant.hi)
        yield Candidate(f"{a}available <= {granted}", ledger.available <= info.grant.hi)
    children = [i for i, other in enumerate(abstraction.machine.accounts) if other.parent == index]
    if children:
        out: Term = constant(0)
        for child in children:
            out = out + abstraction.ledgers[child].granted - abstraction.ledgers[child].returned
        yield Candidate(f"{a}delegated = grants of slices, less what they returned", ledger.delegated == out)
    if abstraction.options.slice or abstraction.below:
        yield from _in_a_tree(abstraction, planned, a)
    yield from _counted(abstraction, ledger, spots, a)


def _in_windows(ledger: Ledger, in_flight: Term) -> Iterator[Candidate]:
    """Yield what might hold of an account that is reset: a call may be billed in one window and settled in the next."""
    yield Candidate(
        "billed <= settled + lost + bills in flight", ledger.billed <= ledger.settled + ledger.lost + in_flight
    )
    yield Candidate("held <= granted", ledger.held <= ledger.granted)
    yield Candidate("held <= outstanding", ledger.held <= ledger.outstanding)


def _in_a_tree(abstraction: Abstraction, planned: Term, a: str) -> Iterator[Candidate]:
    """Yield what might hold of an account above others, or below one: ``planned`` is what unsent calls hold."""
    ledger, net, owed = abstraction.ledgers[0], below(abstraction, "net"), below(abstraction, "owed")
    own: Term = ledger.billed + planned
    left: Term = ledger.granted - ledger.delegated - ledger.returned
    debts: Term = owed + choice(ledger.returned < 0, ledger.returned, constant(0))
    yield Candidate(f"{a}delegated = grants of slices, less what they returned", ledger.delegated == net)
    yield Candidate(f"{a}billed + unsent holds <= granted - delegated - returned", own <= left)
    yield Candidate(
        f"{a}billed + unsent holds <= granted - delegated - returned + debts + window",
        own <= left + debts + ledger.window,
    )
    if abstraction.closed is not None:
        kept = implies(abstraction.closed == 0, ledger.returned == 0)
        yield Candidate(f"{a}returned = 0 until it is closed", kept)
    if (ratio := abstraction.options.shortfall) is not None:
        n, d = ratio.numerator, ratio.denominator
        yield Candidate(
            f"{a}billed + {ratio} x unsent holds <= {ratio} x (granted - delegated - returned)",
            ledger.billed * d + planned * n <= left * n,
        )


def _with_few_faults(abstraction: Abstraction, spots: list[Spot], planned: Term, over: Term) -> Iterator[Candidate]:
    """Yield what might hold of the only account of an abstraction that counts its faults: each loses one call."""
    ledger: Ledger = abstraction.ledgers[0]
    faults: Term = abstraction.faults
    yield Candidate("faults >= 0", faults >= 0)
    highest = largest_lost(abstraction, spots)
    for name, most in zip(("estimate", "bill"), highest, strict=True):
        if most is not None and name == "bill":
            yield Candidate("lost bills <= largest bill x faults", ledger.lost <= faults * most)
        if most is not None and name == "estimate":
            gone = faults * most
            yield Candidate(
                "lost bills <= largest estimate x faults + their deficits", ledger.lost <= gone + ledger.deficit - over
            )
            left: Term = ledger.granted - ledger.delegated - ledger.returned
            debts: Term = below(abstraction, "owed") + choice(ledger.returned < 0, ledger.returned, constant(0))
            yield Candidate(
                "billed + unsent holds <= granted - delegated - returned + debts + window + largest estimate x faults",
                ledger.billed + planned <= left + debts + ledger.window + gone,
            )


def largest_lost(abstraction: Abstraction, spots: Iterable[Spot]) -> tuple[int | None, int | None]:
    """Return the largest estimate and the largest bill of a call at one of the spots, None where there is no bound."""
    covers: list[int | None] = [0]
    bills: list[int | None] = [0]
    for spot in spots:
        highs = cost_bounds(place_of(abstraction.machine, spot))[1]
        covers.append(highs["cover"])
        bills.append(highs["bill"])
    return _most(covers), _most(bills)


def _most(amounts: list[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return max(known) if len(known) == len(amounts) else None


def _lock(abstraction: Abstraction, ledger: Ledger, spots: list[Spot], a: str) -> Iterator[Candidate]:
    """Yield what a lock does: it is held by exactly the calls between taking and freeing it."""
    inside = []
    for spot in spots:
        places = abstraction.machine.processes[spot.process].places
        here = places[spot.at]
        at = here.main if abstraction.machine.alone else spot.at
        steps = [step.name for place in places[here.start : at] for step in place.block]
        taken = next((i for i, step in enumerate(steps) if step in ("lock", "enter")), None)
        if taken is not None and not {"unlock", "leave"} & set(steps[taken:]):
            inside.append(spot)
    if not inside:
        yield Candidate(f"{a}lock = 0", ledger.lock == 0)
        return
    yield Candidate(f"{a}lock = calls inside it", ledger.lock == _count(abstraction, inside))
    most = max(1, abstraction.machine.discipline.slots)
    yield Candidate(f"{a}lock <= {most}", ledger.lock <= most)


def _counted(abstraction: Abstraction, ledger: Ledger, spots: list[Spot], a: str) -> Iterator[Candidate]:
    """Yield bounds by how many calls there are, where the numbers of the scenario give one."""
    machine = abstraction.machine
    total: Term = constant(machine.scenario.spent if ledger is abstraction.ledgers[0] else 0)
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
    if sum(abstraction.limits.values()) == 1 and (most := largest_lost(abstraction, spots)[0]) is not None:
        # Of one call, none is admitted after it, so that its deficit stays in the window.
        sent = sum(abstraction.started[i] for i in abstraction.limits) - _count(
            abstraction, [s for s in spots if _phase(abstraction, s) != "sent" and not s.dead]
        )
        yield Candidate(
            f"{a}billed <= largest estimate x calls sent + window", ledger.billed <= sent * most + ledger.window
        )


# ------------------------------------------------------------------------------------------- Houdini


def find(abstraction: Abstraction, ceiling: Ceiling | None = None, work: Work | None = None) -> Invariant:
    """Return the strongest invariant that the candidates contain.

    ``work`` is where it is found, if others like it were found there: what they have in common is kept once.
    """
    began = time.monotonic()
    system = abstraction.system
    work = work or Work(PROVE, ceiling)
    work.left = PROVE
    guesses = list(candidates(abstraction))
    if FACT * len(system.transitions) * (len(system.axioms) + 2 * len(guesses)) > PROVE:
        # One round over all steps is more than the work allows: nothing is found by beginning it.
        return Invariant(abstraction, (), time.monotonic() - began, finished=False, ceiling=ceiling)
    kept = _holds_at_start(system, guesses, work)
    finished = _drop_what_breaks(system, kept, work)
    return Invariant(abstraction, tuple(kept) if finished else (), time.monotonic() - began, finished, ceiling, work)


def _drop_what_breaks(system: System, kept: list[Candidate], work: Work) -> bool:
    """Drop every candidate that some step breaks, until all hold together; return whether the work was enough.

    What holds now is asserted once, each candidate under a mark: one that is dropped is no longer assumed. A step only
    adds what it does, and asks of the candidates that it touches.
    """
    solver = work.solver()
    solver.add(*system.axioms)
    marks = {c: proposition(f"keep.{i}") for i, c in enumerate(kept)}
    solver.add(*[implies(mark, c.formula) for c, mark in marks.items()])
    touched: dict[str, list[tuple[Candidate, Term]]] = {}
    changed = True
    while changed:
        changed = False
        for transition in system.transitions:
            work.spend(FACT * (len(system.axioms) + 2 * len(kept)))
            if transition.name not in touched:
                after = system.touched([c.formula for c in kept], transition)
                touched[transition.name] = [(kept[place], later) for place, later in after.items()]
            # What a step does not touch it cannot break.
            here = set(kept)
            asked = touched[transition.name] = [(c, later) for c, later in touched[transition.name] if c in here]
            if not asked:
                continue
            solver.push()
            solver.add(transition.guard, *system.axioms_after(transition))
            answer = z3.unknown
            while asked:
                broken = proposition("broken")
                solver.push()
                solver.add(implies(broken, any_of(*[no(later) for _, later in asked])))
                answer = solver.check(broken, *[marks[c] for c in kept])
                lost: set[Candidate] = set()
                if answer == z3.sat:
                    model = solver.model()
                    lost = {c for c, later in asked if not model.holds(later)}
                solver.pop()
                if not lost:
                    break
                kept[:] = [c for c in kept if c not in lost]
                asked = [(c, later) for c, later in asked if c not in lost]
                changed = True
            solver.pop()
            if asked and answer != z3.unsat:
                return False
    return True


def _holds_at_start(system: System, guesses: list[Candidate], work: Work) -> list[Candidate]:
    solver = work.solver()
    solver.add(*system.axioms, *system.start)
    return [
        Candidate(guess.text, truth(guess.formula))
        for guess in guesses
        if solver.check(no(truth(guess.formula))) == z3.unsat
    ]


# ---------------------------------------------------------------------------------------------- goals


def total_billed(abstraction: Abstraction) -> Term:
    """Return the true bills of the root, those of slices that are summed up included."""
    billed: Term = abstraction.ledgers[0].billed
    for ledger in abstraction.ledgers[1:]:
        billed = billed + ledger.billed
    return billed + below(abstraction, "billed")


def total_window(abstraction: Abstraction) -> Term:
    """Return the windows of all accounts, those of slices that are summed up included."""
    window: Term = abstraction.ledgers[0].window
    for ledger in abstraction.ledgers[1:]:
        window = window + ledger.window
    return window + below(abstraction, "window")


def below(abstraction: Abstraction, name: str) -> Term:
    """Return the sum of something over the accounts that are summed up."""
    total: Term = 0
    for _, sums in abstraction.below:
        total = total + sums.of.get(name, 0)
    return total


def goal(abstraction: Abstraction, prop: Property) -> Term | None:
    """Return what the property says of the sums, or None where the abstraction cannot say it."""
    root = abstraction.ledgers[0]
    billed = total_billed(abstraction)
    if prop is Property.CAP:
        return billed <= root.granted
    if prop is Property.SLICE:
        return _slice_goal(abstraction)
    if prop is Property.OVERRUN:
        return billed <= root.granted + total_window(abstraction)
    if prop is Property.TRUTH:
        return all_of(*[ledger.charged == ledger.settled for ledger in abstraction.ledgers])
    if prop is Property.CONSERVATION:
        if abstraction.machine.discipline.one_by_one:
            return all_of(balance(root) == root.granted, root.held <= root.outstanding)
        lost = [negation(left_behind(ledger, TERMS)) for ledger in abstraction.ledgers]
        kept = all_of(
            *[
                all_of(balance(ledger) == ledger.granted, ledger.carved == ledger.delegated)
                for ledger in abstraction.ledgers
            ]
        )
        return all_of(kept, *lost) if abstraction.machine.discipline.may_keep_holds else kept
    if prop is Property.PROGRESS:
        return _progress_goal(abstraction)
    return None


def _slice_goal(abstraction: Abstraction) -> Term | None:
    machine = abstraction.machine
    terms: list[Term] = []
    for index in range(1, len(machine.accounts)):
        ledger = abstraction.ledgers[index]
        billed = billed_below(machine, abstraction.ledgers, index)
        terms.append(billed <= ledger.granted - ledger.returned)
    return all_of(*terms) if terms else as_truth(True)


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
        terms.append(any_of(ledger.lock == 0, _count(abstraction, movable) >= 1))
    return all_of(*terms)
