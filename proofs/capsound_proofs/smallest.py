"""Of all counterexamples of a length, the one that is shown: fewest agents, smallest amounts, then first in order.

It is the same whichever model the solver happened to find first. Which one it is, is decided amount by amount, and then
step by step: each is fixed at its smallest before the next is asked for.
"""

from __future__ import annotations

import z3

from capsound.schedule import Schedule
from capsound_proofs.building import choice, constant
from capsound_proofs.terms import Term, disj, integer, negation, truth, value_of
from capsound_proofs.unrolling import Unrolling
from capsound_proofs.work import Model

SHRINK = 10_000_000
"""The work that is always left to make a counterexample small."""


def smallest(unrolling: Unrolling, goal: Term) -> Schedule:
    """Return the counterexample of this length with fewest agents, then smallest amounts; the last query found one.

    Questions to a plain solver: ``Optimize`` times out where this takes tenths of a second.
    """
    model = unrolling.solver.model()
    unrolling.work.left = max(unrolling.work.left, SHRINK)
    final = unrolling.last
    moved = z3.Sum([choice(truth(negation(r.at == 0)), constant(1), constant(0)) for r in final.running])
    amounts: list[Term] = [moved]
    if not isinstance(unrolling.cap, int):
        amounts.append(unrolling.cap)
    used = _chosen_amounts(unrolling)
    if used:
        amounts.append(z3.Sum(used))
    amounts.append(unrolling.overshoot())
    fixed = [goal]
    for amount in amounts:
        model = _lowest(unrolling, fixed, integer(amount), model)
    return unrolling.schedule(_first_in_order(unrolling, fixed, model))


def _chosen_amounts(unrolling: Unrolling) -> list[Term]:
    """Return every amount that the environment chooses, as zero in the branches that do not use it."""
    out: list[Term] = []
    for taken in unrolling.steps:
        users: dict[int, tuple[Term, list[Term]]] = {}
        for t in taken:
            for amount in t.draws:
                if z3.is_expr(amount) and amount.decl().name().startswith("draw"):
                    users.setdefault(amount.get_id(), (amount, []))[1].append(t.literal)
        out += [choice(truth(disj(literals)), amount, constant(0)) for amount, literals in users.values()]
    return out


def _first_in_order(unrolling: Unrolling, fixed: list[Term], model: Model) -> Model:
    """Return the model whose schedule comes first: at each step the lowest process that leads there.

    Of all the shortest schedules that is the one with the fewest changes of agent at the front, and it is the
    same whichever model the solver happened to find.
    """
    for taken in unrolling.steps:
        chosen = next(t for t in taken if model.holds(t.literal))
        for earlier in taken:
            if earlier is chosen:
                break
            if unrolling.ask(*fixed, earlier.literal) == z3.sat:
                model = unrolling.solver.model()
                chosen = earlier
                break
        fixed.append(chosen.literal)
    for taken in unrolling.steps:
        chosen = next(t for t in taken if model.holds(t.literal))
        for amount in chosen.draws:
            model = _lower(unrolling, fixed, integer(amount), model, 0)
            fixed.append(amount == value_of(model, integer(amount)))
    return model


def _lowest(unrolling: Unrolling, fixed: list[Term], amount: Term, model: Model) -> Model:
    """Return a model in which ``amount`` is smallest, and keep it there: ``fixed`` grows by its value.

    To ask of all paths at once is hard, the more so the closer the amount is to the smallest; along one path it is
    easy. So the amount is first made small along the path of the model. Then one question is often the last one:
    whether any other path leads lower. Where one does, that path is gone in turn, and what is left is halved.
    """
    low, halve = 0, False
    model = _along(unrolling, fixed, amount, model)
    high = value_of(model, amount)
    while low < high:
        middle = (low + high) // 2 if halve else high - 1
        answer = unrolling.ask(*fixed, amount <= middle)
        if answer == z3.unknown:
            break
        if answer == z3.sat:
            model = _along(unrolling, fixed, amount, unrolling.solver.model(), low)
            high = value_of(model, amount)
        else:
            low = middle + 1
        halve = not halve
    fixed.append(amount == high)
    return model


def _along(unrolling: Unrolling, fixed: list[Term], amount: Term, model: Model, low: int = 0) -> Model:
    """Return a model of the same path in which ``amount`` is smallest."""
    path = [next(t for t in taken if model.holds(t.literal)).literal for taken in unrolling.steps]
    return _lower(unrolling, [*fixed, *path], amount, model, low)


def _lower(unrolling: Unrolling, fixed: list[Term], amount: Term, model: Model, low: int) -> Model:
    """Return a model in which ``amount``, at least ``low``, is smallest, by bisection."""
    high = value_of(model, amount)
    middle = high - 1  # often nothing is smaller, and one query says so
    while low < high:
        answer = unrolling.ask(*fixed, amount <= middle)
        if answer == z3.unknown:
            break
        if answer == z3.sat:
            model = unrolling.solver.model()
            high = value_of(model, amount)
        else:
            low = middle + 1
        middle = (low + high) // 2
    return model
