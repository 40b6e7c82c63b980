"""The accounts below an account, as sums: how many there are, and what they were granted, can spend and were billed.

What is below an account is only known by what it *promises*: linear facts about its grant, balance, bills and window,
true from its opening on, for ever. A sum of accounts that are alike satisfies the same facts, with their constants
times their number; so a thousand of them are as many variables as one. Whoever uses a promise has to have it proved
of every account below (``promises``); here it is taken for granted, as the facts of a place are of its calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

from capsound.disciplines import Discipline
from capsound.scenario import Interval
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.building import all_of, implies, named
from capsound_proofs.calls import Fact, Sums
from capsound_proofs.terms import TERMS, Term, conj, truth

PROMISED = ("net", "owed", "available", "billed", "window")
"""What promises are about. ``net`` is the grant less what was given back. ``owed`` is by how much less than nothing an
account gave back that was closed in debt. ``billed`` and ``window`` are those of all accounts below, and its own."""

FAULTS = "faults"
"""How many faults there were in an account and below it: promised as well where their number is bounded."""

KEEPS = Fact((("net", 1), ("billed", -1)))
"""What the property ``slice`` says of an account: it is never billed more than it has kept of its grant."""


@dataclass(frozen=True, slots=True)
class Children:
    """Accounts below one that are alike: each is granted ``grant`` or nothing, and there are ``most`` (None: any).

    ``moved``: others come from programs that pass on all that a handle has. ``names`` is what they promise about.
    """

    name: str
    grant: Interval
    most: int | None
    promise: tuple[Fact, ...]
    moved: bool = False
    names: tuple[str, ...] = PROMISED


def candidates(
    grant: Interval, ratio: Fraction | None, bills: int | None, *, a1: bool, lost: int | None = None
) -> Iterator[Fact]:
    """Yield what an account might promise; ``bills`` is what it can be billed at most, where that is known.

    ``lost`` is the largest estimate that a fault may lose, where the number of faults is bounded.
    Under A1 no account is ever in debt by more than its calls in flight, so that debts and windows are left out.
    """
    yield from (Fact(((name, 1),)) for name in PROMISED)
    yield KEEPS
    yield Fact((("net", 1), ("billed", -1), ("available", -1)))
    if not a1:
        yield Fact((("net", 1), ("owed", -1), ("window", 1), ("billed", -1)))
        yield Fact((("net", 1), ("owed", -1), ("window", 1), ("billed", -1), ("available", -1)))
        yield Fact((("available", 1), ("window", 1)))
        yield from (Fact(((name, -1),)) for name in ("owed", "window"))
    if lost is not None:
        yield Fact(((FAULTS, 1),))
        yield Fact((("net", 1), ("owed", -1), ("window", 1), ("billed", -1), (FAULTS, lost)))
    if ratio is not None:
        yield Fact((("net", ratio.numerator), ("billed", -ratio.denominator)))
    if grant.hi is not None:
        yield from (Fact(((name, -1),), grant.hi) for name in ("net", "available"))
    if bills is not None:
        yield Fact((("billed", -1),), bills)


def state_of(account: Ledger, billed: Term, window: Term, faults: Term = 0) -> dict[str, Term]:
    """Return what promises are about, of an account with such bills, window and faults, those below it included."""
    return {
        "net": account.granted - account.returned,
        "owed": TERMS.ite(account.returned < 0, -account.returned, 0),
        "available": account.available,
        "billed": billed,
        "window": window,
        FAULTS: faults,
    }


def copied(ledger: Ledger, names: tuple[str, ...]) -> Ledger:
    """Return a ledger with the same terms, to be changed."""
    return Ledger(**{name: getattr(ledger, name) for name in names})


def slice_frame(parent: Ledger, child: Ledger, grant: Term) -> Frame:
    """Return the frame in which a slice is delegated or closed."""
    none: Any = None
    return Frame(
        algebra=TERMS,
        account=child,
        call=CallVars(),
        costs=none,
        draw=lambda *_: 0,
        emit=lambda *_: None,
        parent=parent,
        child=child,
        grant=grant,
    )


@dataclass(frozen=True, slots=True)
class ChildStep:
    """A step of one of the accounts below: what is then of the parent's ledger, and of the sums of its kind.

    ``opens``: whether it takes money out of the parent, which nobody does once that is closed.
    """

    name: str
    guard: Term
    parent: Ledger
    count: Term
    after: dict[str, Term]
    opens: bool = False


def child_steps(
    discipline: Discipline, parent: Ledger, names: tuple[str, ...], kind: Children, sums: Sums
) -> Iterator[ChildStep]:
    """Yield how an account below is opened, is refused and has nothing, spends, and is closed."""
    grant = named(f"{kind.name}.grant")
    bounds = [grant >= kind.grant.lo] + ([grant <= kind.grant.hi] if kind.grant.hi is not None else [])
    above, new = copied(parent, names), Ledger()
    frame = slice_frame(above, new, grant)
    fits = conj([step.guard(frame) for step in discipline.delegate if step.guard])
    for step in discipline.delegate:
        step.effect(frame)
    opened = {"net": new.granted, "available": new.available}
    after = {name: sums.of[name] + opened.get(name, 0) for name in kind.names}
    yield ChildStep("delegate a slice", conj([*bounds, fits]), above, sums.count + 1, after, opens=True)
    if kind.moved:
        above, new = copied(parent, names), Ledger()
        frame = slice_frame(above, new, 0)
        for step in discipline.move:
            step.effect(frame)
        moved = {"net": new.granted, "available": new.available}
        after = {name: sums.of[name] + moved.get(name, 0) for name in kind.names}
        yield ChildStep("move a handle", True, above, sums.count + 1, after, opens=True)
    yield ChildStep("a slice is refused", True, parent, sums.count + 1, dict(sums.of))

    one = {name: named(f"{kind.name}.one.{name}") for name in kind.names}
    rest = {name: sums.of[name] - one[name] for name in kind.names}
    chosen = [sums.count >= 1, *_kept(kind, one, 1), *_kept(kind, rest, sums.count - 1)]
    chosen.append(implies(sums.count == 1, all_of(*[v == 0 for v in rest.values()])))
    changing = [name for name in ("available", "billed", "window", FAULTS) if name in kind.names]
    later = one | {name: named(f"{kind.name}.next.{name}") for name in changing}
    spends = [*chosen, *_kept(kind, later, 1)]
    spends += [later[name] >= one[name] for name in ("billed", FAULTS) if name in kind.names]
    after = {name: rest[name] + later[name] for name in kind.names}
    yield ChildStep("a slice spends", conj(spends), parent, sums.count, after)

    if discipline.close:
        above, child = copied(parent, names), Ledger(available=one["available"], granted=one["net"])
        frame = slice_frame(above, child, 0)
        for step in discipline.close:
            step.effect(frame)
        closed = state_of(child, one["billed"], one["window"], one.get(FAULTS, 0))
        closed["owed"] = closed["owed"] + one["owed"]
        after = {name: rest[name] + closed[name] for name in kind.names}
        yield ChildStep("close a slice", conj(chosen), above, sums.count, after)


def _kept(kind: Children, values: dict[str, Term], count: Term) -> list[Term]:
    return [truth(fact.of(values, count)) for fact in kind.promise]


def opens_as_granted(discipline: Discipline) -> bool:
    """Return whether a new account has its grant available, and nothing else: as an account by itself begins."""
    for block in (discipline.delegate, discipline.move):
        new = Ledger()
        frame = slice_frame(Ledger(available=named("available")), new, named("grant"))
        for step in block:
            step.effect(frame)
        same = z3.simplify(truth(new.granted == new.available))
        if not z3.is_true(same) or new != Ledger(granted=new.granted, available=new.available):
            return False
    return True
