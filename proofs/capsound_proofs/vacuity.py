"""Contradictions: what can never happen is proved of everything, so a call that can never be billed is refused.

An estimate of 1, a bill of 3 and bills of at most 3/2 times the estimate cannot all be true. No request is ever sent
then, and every property holds of a scenario that nobody meant.
"""

from __future__ import annotations

from typing import ClassVar

import z3

from capsound.costs import CallCosts
from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound.scenario import Request
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.building import named
from capsound_proofs.problem import Problem
from capsound_proofs.terms import TERMS, Term
from capsound_proofs.work import Work

POSSIBLE = 10_000_000
"""The work to find one bill of one call."""


class Contradiction(CapsoundError):
    """What a scenario says of a call and what it assumes cannot both be true."""

    name: ClassVar[str] = "contradiction"
    exit_status: ClassVar[int] = EXIT_BAD_INPUT


def refuse_contradictions(problem: Problem) -> None:
    """Raise ``Contradiction`` where some call of some agent can never be sent and billed."""
    judged: set[CallCosts] = set()
    for process in problem.machine.processes:
        for place in process.places:
            if not place.draws_size or place.costs is None or place.costs in judged:
                continue
            judged.add(place.costs)
            if not possible(place.costs, problem):
                call = problem.scenario.agents[process.entry].call
                raise _contradiction(call, place.costs)


def possible(costs: CallCosts, problem: Problem, *, above: bool = False) -> bool:
    """Return whether some request of these costs can be billed under the assumptions; True where it is not known.

    With ``above``: whether it can be billed more than it was admitted for.
    """
    solver = Work(POSSIBLE, problem.ceiling).solver()
    drawn = 0

    def draw(_name: str, lo: Term, hi: Term | None) -> Term:
        nonlocal drawn
        drawn += 1
        amount = named(f"amount{drawn}")
        solver.add(amount >= lo)
        if hi is not None:
            solver.add(amount <= hi)
        return amount

    call = CallVars()
    frame = Frame(TERMS, Ledger(), call, costs, draw, lambda *_: None)
    call.size = costs.draw_size(frame)
    call.cover = costs.estimate(frame)
    bill = costs.draw_bill(frame)
    costs.draw_told(frame, bill)
    if above:
        solver.add(bill > call.cover)
    return bool(solver.check() != z3.unsat)


def _contradiction(call: str, costs: CallCosts) -> Contradiction:
    bounds = costs.bounds
    later = f" (call number {costs.earlier + 1} of an agent)" if costs.earlier else ""
    said = "`bytes` and `input_tokens`" if isinstance(costs.cost, Request) else "`estimate` and `bill`"
    if bounds.within_hold:
        cause = f"under A1 no bill exceeds its estimate, and {said} leave no bill that does not"
        hint = "set A1 = false in [assume], or correct what the call says"
    elif bounds.shortfall is not None:
        cause = f"no bill exceeds {bounds.shortfall} times its estimate, and {said} leave no bill that does not"
        hint = "raise `shortfall` in [assume] or leave it out, or correct what the call says"
    else:
        cause = f"{said} leave no bill at all"
        hint = "correct what the call says"
    return Contradiction(f"call {call!r} can never be billed{later}", cause=cause, hint=hint)
