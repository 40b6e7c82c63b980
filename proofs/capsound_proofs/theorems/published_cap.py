"""Theorem 13: in the published aggregate model, cap soundness is conservation again."""

from __future__ import annotations

import z3

from capsound.published import State
from capsound_proofs.terms import Term
from capsound_proofs.theorem import (
    Answer,
    Fact,
    Kind,
    Obligation,
    System,
    Theorem,
    Transition,
    Values,
    Witness,
    run,
)

BUDGET = z3.Int("budget")
POOLS: dict[str, Term] = {name: z3.Int(name) for name in State._fields}
R, C, BILL, BILLED = z3.Ints("r c bill billed")

CONSERVED = Fact("the pools sum to the budget", z3.Sum(*POOLS.values()) == BUDGET)
SIGNED = tuple(Fact(f"{name} is not negative", pool >= 0) for name, pool in POOLS.items())
CHARGED_WITHIN_RESERVE = Fact("the cost is chosen within the reserve", C <= R)
ZERO_OR_MORE = Fact("the cost is not negative", C >= 0)


def transition(name: str, source: str, costly: tuple[str, str] | None = None, target: str = "") -> Transition:
    """Return the action that takes ``r`` from a pool: into ``target``, or ``c`` and the rest into two pools."""
    guard = [Fact("the reserve is positive", R >= 1), Fact(f"the reserve fits into {source}", POOLS[source] >= R)]
    after = {source: POOLS[source] - R}
    if costly is None:
        after[target] = POOLS[target] + R
    else:
        guard += [ZERO_OR_MORE, CHARGED_WITHIN_RESERVE]
        after[costly[0]] = POOLS[costly[0]] + C
        after[costly[1]] = POOLS[costly[1]] + R - C
    return Transition(name, tuple(guard), after)


ACTIONS = (
    transition("spend_success", "live", ("charged", "unrecoverable")),
    transition("consume", "live", target="released"),
    transition("reserve", "live", target="receipts"),
    transition("confirm_with_refund", "receipts", ("charged", "refunds")),
    transition("forfeit", "receipts", target="unrecoverable"),
    transition("refund_to", "refunds", target="live"),
)
"""The six actions of ``capsound.published`` that change something; a test compares the two on every small state."""

SYSTEM = System(
    variables=POOLS,
    start=(
        Fact("all is live", POOLS["live"] == BUDGET),
        *(Fact(f"{name} is empty", pool == 0) for name, pool in POOLS.items() if name != "live"),
    ),
    transitions=ACTIONS,
    invariant=(CONSERVED, *SIGNED),
    always=(Fact("the budget is not negative", BUDGET >= 0),),
)


def _shown(value: Values) -> Witness:
    """Return the run of a call that the published model books within its reserve, whatever it was billed."""
    cap, reserve, cost, bill = (value(term) for term in (BUDGET, R, C, BILL))
    return Witness(
        "a bill above its reserve, booked at the reserve",
        run(
            ("open", "root", cap),
            ("reserve", "root", "R1", reserve),
            ("send", "R1", "C1"),
            ("bill", "C1", bill),
            ("settle", "R1", cost),
        ),
        anomalies=("overshoot", "ledger-drift"),
        overshoot={"root": bill - cap},
    )


def _build() -> tuple[Obligation, ...]:
    spend = ACTIONS[0]
    after = tuple(
        Fact(f"{f.name}, after it", SYSTEM.after(f.term, spend))
        for f in (CONSERVED, *SIGNED, Fact("charged is within the budget", POOLS["charged"] <= BUDGET))
    )
    bills = Obligation(
        "every invariant of the published model holds after a spend, and the bill is above the budget",
        (*SYSTEM.start, *spend.guard, Fact("the cost is booked at the reserve", C == R), *after, OVER),
        wanted=Answer.SAT,
        shown=_shown,
        cures=(Fact("A1", BILL <= R), Fact("the ledger is told the bill", C == BILL)),
    )
    return (ALONE, bills)


OVER = Fact("the bill is above the budget", BILL > BUDGET)
ALONE = Obligation(
    "charged is within the budget in every conserving state, reachable or not, whatever the actions are",
    (CONSERVED, *SIGNED),
    POOLS["charged"] <= BUDGET,
)


THEOREM = Theorem(
    number=13,
    name="published-cap-is-conservation",
    kind=Kind.PROVED,
    statement="In the published aggregate model the cap follows from conservation alone, and bills are not in it.",
    mathematics="(live + receipts + refunds + charged + unrecoverable + released = B0 and all >= 0) => charged <= B0",
    assumptions=(),
    bound="all budgets, all states that conserve, any actions",
    idea="Six amounts that are not negative and sum to B0 are each at most B0; no action is needed for that. The true "
    "bill is no variable of that model: one above B0 agrees with all of its invariants, and the monitor sees it.",
    build=_build,
    systems=lambda: (SYSTEM,),
    equivalent={
        "*, without: the reserve is positive": "a reserve of 0 moves nothing, and the cost is not above the reserve",
        "*, without: charged is not negative": "only pools other than charged have to be",
    },
)
