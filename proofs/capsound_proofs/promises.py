"""One account at a time: each is proved to keep its promise, given that those below it keep theirs.

A slice takes its grant out of its parent, and gives back what it has left when it is closed. In between only its own
calls and its own slices touch it. So it can be looked at as a root of its own, whose cap is the grant, or nothing where
it was refused. What holds of every state of that root, closing it included, is its promise: linear facts, which the
accounts above may use (``children``). So the proof of a tree is one small proof for each account, from the leaves to
the root, and accounts that are alike are proved once. By induction over the steps of a run, every account has kept its
promise so far; the next step is one of a single account, or opens or closes one below another, and keeps it.

In a tree of any depth the accounts below promise what the account itself is proved to: from all candidates, those that
do not follow are dropped until the rest do. That is an induction over the depth: a leaf has nothing below it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.building import all_of, as_truth
from capsound_proofs.calls import Fact
from capsound_proofs.children import FAULTS, KEEPS, state_of
from capsound_proofs.conclusions import small_part
from capsound_proofs.invariants import PROVE, Invariant, below, find, goal, total_billed, total_window
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem
from capsound_proofs.second import confirm_all
from capsound_proofs.terms import Term, truth
from capsound_proofs.work import Ceiling, Work


@dataclass(frozen=True, slots=True)
class Account:
    """An account that was proved: its invariant, and what it promises. ``label`` is for people.

    ``owners`` are the entries of agents whose own slices it stands for.
    """

    label: str
    invariant: Invariant
    promise: tuple[Fact, ...]
    owners: tuple[int, ...] = ()

    @property
    def promised(self) -> Term:
        """The promise, as a formula over the states of the account."""
        kept = [keeping(self.invariant.abstraction, fact) for fact in self.promise]
        return all_of(*kept) if kept else as_truth(True)


def keeping(abstraction: Abstraction, fact: Fact) -> Term:
    """Return that the account keeps a promise, as a formula over its states."""
    faults = (0 if abstraction.faults is None else abstraction.faults) + below(abstraction, FAULTS)
    state = state_of(abstraction.ledgers[0], total_billed(abstraction), total_window(abstraction), faults)
    return truth(fact.of(state, 1))


def promise_of(invariant: Invariant, candidates: Iterable[Fact]) -> tuple[Fact, ...]:
    """Return those of the candidates that follow from the invariant of an account."""
    facts = tuple(candidates)
    kept = invariant.implied([keeping(invariant.abstraction, fact) for fact in facts])
    return tuple(fact for fact, keeps in zip(facts, kept, strict=True) if keeps)


def of_any_tree(
    abstraction_for: Callable[[tuple[Fact, ...]], Abstraction],
    candidates: Iterable[Fact],
    ceiling: Ceiling | None,
) -> Account:
    """Return what every account of every tree keeps: the largest promise that follows from itself.

    ``abstraction_for`` is an account whose children keep a promise. Where the work is used up, nothing is promised.
    """
    promise = tuple(candidates)
    work = Work(PROVE, ceiling)
    while True:
        invariant = find(abstraction_for(promise), ceiling, work)
        kept = promise_of(invariant, promise) if invariant.finished else ()
        if kept == promise or not invariant.finished:
            return Account("", invariant, kept)
        promise = kept


def conclude_of_accounts(problem: Problem, accounts: list[Account], open_: Iterable[Property], bound: str) -> None:
    """Record every property of which all accounts imply their part, once the second solver has agreed.

    The last account is the root. One alone in the list stands for all of a tree: it has to imply both parts. What the
    accounts promise is proved together with it.
    """
    if not all(account.invariant.finished for account in accounts):
        return
    began = time.monotonic()
    proved: dict[Property, list[Term]] = {}
    for prop in open_:
        parts = _parts(accounts, prop)
        if parts is not None and all(a.invariant.implies(part) for a, part in zip(accounts, parts, strict=True)):
            proved[prop] = parts
    if not proved:
        return
    proofs: list[tuple[Invariant, Term]] = []
    lines: list[str] = []
    for number, account in enumerate(accounts):
        together = all_of(account.promised, *[parts[number] for parts in proved.values()])
        needed = small_part(account.invariant, together)
        proofs.append((needed, together))
        lines += [f"{account.label}{candidate.text}" for candidate in needed.kept]
    agreed = confirm_all(proofs, problem.ceiling)
    each = f" of each account, {len(accounts)} kinds" if len(accounts) > 1 else ""
    seconds = (sum(a.invariant.seconds for a in accounts) + time.monotonic() - began) / len(proved)
    for prop in proved:
        method = f"inductive invariant{each} ({agreed})"
        problem.results[prop] = PropertyResult(prop, Verdict.SOUND, bound, method, seconds, invariant=tuple(lines))


def _parts(accounts: list[Account], prop: Property) -> list[Term] | None:
    """Return what has to hold of each account for the property to hold; None where it cannot be said."""
    parts: list[Term] = []
    for account in accounts:
        is_root, is_slice = account is accounts[-1], account is not accounts[-1] or len(accounts) == 1
        part = _part(account, prop, is_root=is_root, is_slice=is_slice)
        if part is None:
            return None
        parts.append(part)
    return parts


def _part(account: Account, prop: Property, *, is_root: bool, is_slice: bool) -> Term | None:
    abstraction = account.invariant.abstraction
    match prop:
        case Property.CAP | Property.OVERRUN:
            return goal(abstraction, prop) if is_root else as_truth(True)
        case Property.SLICE:
            return keeping(abstraction, KEEPS) if is_slice else as_truth(True)
        case _:
            return goal(abstraction, prop)
