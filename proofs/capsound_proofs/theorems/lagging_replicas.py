"""Theorem 15: how far a counter can be overshot whose replicas write back late.

The blocks are those that a scenario writes as ``[["check-local", "keep", "flush"], ["send"], ["correct", "flush"]]``
with a ``lag`` (``capsound.stores``): each replica counts at once for itself, and tells the others once it has kept
more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import z3

from capsound.costs import BillBounds, CallCosts
from capsound.disciplines import Block
from capsound.errors import Disagreement
from capsound.scenario import Interval, Plain
from capsound.steps import SEND, CallVars, Frame, IntAlgebra, Ledger
from capsound.stores import CHECK_LOCAL, CORRECT, KEEP, flush
from capsound_proofs.terms import TERMS, Term, conj
from capsound_proofs.theorem import Fact, Kind, Mutant, System, Theorem, Transition, Witness, run

REPLICAS, LAG, SIZE, COVER, BILL, MINE = z3.Ints("replicas lag size call.cover call.bill call.kept")
ALL = z3.Int("all")
"""The lag, summed over all replicas: ``replicas`` times ``lag``, as a sum to stay linear."""

LEDGER = ("granted", "available", "billed", "outstanding", "settled")
V: dict[str, Term] = {
    name: z3.Int(name)
    for name in (*LEDGER, "kept", "waiting.cover", "sent.cover", "sent.bill", "waiting.count", "sent.count", "steps")
}
"""The counter that all share; what its replicas keep, summed up; what calls were admitted for and billed. The last
three count replicas and steps of the run that attains the bound."""

COSTS = CallCosts(
    cost=Plain(Interval(0, None), Interval(0, None)),
    bounds=BillBounds(
        within_hold=True, shortfall=None, truthful=True, rise=Fraction(1), repeats=0, stops_within_chunk=True
    ),
)
"""Any estimate, and any bill within it: A1, A7 and A10."""


def blocks_of(lag: Any) -> tuple[Block, Block, Block]:
    """Return the blocks of a replica that keeps at most ``lag``: a number, or a term."""
    late = flush.__wrapped__(lag)  # a term is no key of a cache
    return ((CHECK_LOCAL, KEEP, late), (SEND,), (CORRECT, late))


def run_block(block: Block, ledger: Ledger, call: CallVars, draw: Callable[..., Any], algebra: Any) -> list[Term]:
    """Run one block of a replica; return whether its guards let it through."""
    frame = Frame(algebra, ledger, call, COSTS, draw, lambda *_: None)
    guards = [step.guard(frame) for step in block if step.guard is not None]
    for step in block:
        step.effect(frame)
    return guards


def _on_terms(block: Block, call: CallVars) -> tuple[Term, dict[str, Term]]:
    ledger = Ledger(**{name: V[name] for name in LEDGER})
    guards = run_block(block, ledger, call, lambda *_: BILL, TERMS)
    after = {name: getattr(ledger, name) for name in LEDGER}
    changed = {name: term for name, term in after.items() if not (term is V[name] or term.eq(V[name]))}
    return conj(guards), changed | {"kept": V["kept"] - MINE + call.kept}


def _plus(**changes: Term) -> dict[str, Term]:
    return {name.replace("_", "."): V[name.replace("_", ".")] + change for name, change in changes.items()}


SIGNED = Fact("a call is not negative", SIZE >= 0)
THE_OTHERS = Fact("the others keep at most the lag each", V["kept"] - MINE <= ALL - LAG)
"""The others satisfy what one replica satisfies, summed up."""
ONE_WAITS = Fact("one call waits, beside the others", z3.And(COVER >= 0, V["waiting.cover"] - COVER >= 0))
ONE_IS_SENT = Fact(
    "one call was sent, beside the others",
    z3.And(
        COVER >= BILL,
        BILL >= 0,
        V["sent.bill"] - BILL >= 0,
        V["sent.cover"] - COVER >= V["sent.bill"] - BILL,
    ),
)
WITHIN = Fact("A1", z3.And(BILL >= 0, BILL <= COVER))


def _transitions(blocks: tuple[Block, Block, Block]) -> tuple[Transition, ...]:
    check, send, settle = blocks
    lets, after = _on_terms(check, CallVars(size=SIZE, kept=MINE))
    admit = Transition(
        "check",
        (SIGNED, THE_OTHERS, Fact("the check", lets)),
        {**after, **_plus(waiting_cover=after["outstanding"] - V["outstanding"])},
    )
    _, after = _on_terms(send, CallVars(size=COVER, cover=COVER, kept=MINE))
    leave = Transition(
        "send",
        (ONE_WAITS, WITHIN),
        {"billed": after["billed"], **_plus(waiting_cover=-COVER, sent_cover=COVER, sent_bill=BILL)},
    )
    _, after = _on_terms(settle, CallVars(size=COVER, cover=COVER, bill=BILL, told=BILL, kept=MINE))
    book = Transition(
        "correct",
        (ONE_IS_SENT,),
        {**after, **_plus(sent_cover=-COVER, sent_bill=-BILL)},
    )
    return (admit, leave, book)


def overshot(blocks: tuple[Block, Block, Block]) -> System:
    """Return any number of replicas, each with any number of calls one after the other."""
    zero = z3.And(*[term == 0 for name, term in V.items() if name not in ("granted", "available")])
    return System(
        variables=V,
        start=(
            Fact("nothing has happened", zero),
            Fact("all of the cap is free", z3.And(V["available"] == V["granted"], V["granted"] >= 1)),
        ),
        transitions=_transitions(blocks),
        invariant=(
            Fact(
                "what is written back and kept is what was settled or admitted",
                V["granted"] - V["available"] + V["kept"] == V["settled"] + V["outstanding"],
            ),
            Fact("bills are settled or in flight", V["billed"] == V["settled"] + V["sent.bill"]),
            Fact("covers are waiting or sent", V["outstanding"] == V["waiting.cover"] + V["sent.cover"]),
            Fact("sent calls cover their bills", V["sent.bill"] <= V["sent.cover"]),
            Fact("no cover waits that is negative", V["waiting.cover"] >= 0),
            Fact("no more is kept than the lag of all", V["kept"] <= ALL),
            Fact(
                "what is settled and admitted is within the cap and the lag of all but one",
                V["settled"] + V["outstanding"] <= V["granted"] + ALL - LAG,
            ),
        ),
        always=(Fact("there is a replica, and the lag is not negative", z3.And(LAG >= 0, ALL >= LAG)),),
        goal=(Fact("the overshoot is within the lag of all but one", V["billed"] - V["granted"] <= ALL - LAG),),
    )


def attained() -> System:
    """Return the run that attains it: every replica admits a call of its lag, then every one is billed in full."""
    check, send, _ = blocks_of(LAG)
    fresh = CallVars(size=LAG, kept=z3.IntVal(0))
    lets, after = _on_terms(check, fresh)
    waits = Fact("a replica has not asked yet", V["waiting.count"] < REPLICAS)
    asked = {**_counted(after), **_plus(waiting_count=z3.IntVal(1), steps=z3.IntVal(1))}
    _, after = _on_terms(send, CallVars(size=LAG, cover=LAG, kept=z3.IntVal(0)))
    unsent = Fact("an admitted call was not sent yet", V["sent.count"] < V["waiting.count"])
    billed = {**_counted(after), **_plus(sent_count=z3.IntVal(1), steps=z3.IntVal(1))}
    done = V["steps"] == 2 * REPLICAS
    return System(
        variables=V,
        start=(
            Fact("nothing has happened", z3.And(*[V[n] == 0 for n in ("billed", "waiting.count", "sent.count")])),
            Fact("the cap is that of one lag", z3.And(V["granted"] == LAG, V["available"] == LAG)),
            Fact("no step was taken", V["steps"] == 0),
        ),
        transitions=(
            Transition("one more replica asks", (waits,), asked),
            Transition("one more call is billed in full", (unsent,), billed),
        ),
        invariant=(
            Fact("nobody has written anything back, so each lets a call through", z3.And(lets, V["granted"] == LAG)),
            Fact("each call in full", V["billed"] == LAG * V["sent.count"]),
            Fact("the counter stands still", V["available"] == V["granted"]),
            Fact("no more than asked", z3.And(V["sent.count"] <= V["waiting.count"], V["waiting.count"] <= REPLICAS)),
            Fact("a step is a question or a bill", V["steps"] == V["waiting.count"] + V["sent.count"]),
        ),
        always=(Fact("there are replicas, and a lag", z3.And(REPLICAS >= 1, LAG >= 1)),),
        goal=(
            Fact(
                "until two steps for each replica were taken, there is another",
                z3.Implies(V["steps"] < 2 * REPLICAS, z3.Or(waits.term, unsent.term)),
            ),
            Fact(
                "then the overshoot is exact",
                z3.Implies(done, V["billed"] - V["granted"] == LAG * REPLICAS - LAG),
            ),
        ),
        logic="QF_NIA",
    )


def _counted(after: Mapping[str, Term]) -> dict[str, Term]:
    """Return what the counter and the provider see of a block, with a bill in full."""
    seen = {name: term for name, term in after.items() if name in ("available", "billed")}
    return {name: z3.substitute(term, (BILL, LAG)) for name, term in seen.items()}


def _systems() -> tuple[System, ...]:
    return (overshot(blocks_of(LAG)), attained())


def replicas(number: int, lag: int) -> Witness:
    """Return the run of so many replicas, each step let through by the blocks themselves on whole numbers."""
    ledger = Ledger(available=lag, granted=lag)
    calls = [CallVars(size=lag) for _ in range(number)]
    rows: list[tuple[Any, ...]] = [("open", "root", lag)]
    for block, kinds in zip(blocks_of(lag)[:2], (("reserve",), ("send", "bill")), strict=True):
        for index, call in enumerate(calls, start=1):
            if not all(run_block(block, ledger, call, lambda *_: lag, IntAlgebra())):
                raise Disagreement(f"replica {index} of the run that attains the bound refuses its call")
            row: dict[str, tuple[Any, ...]] = {
                "reserve": ("reserve", "root", f"R{index}", call.cover, f"replica-{index}"),
                "send": ("send", f"R{index}", f"C{index}"),
                "bill": ("bill", f"C{index}", call.bill),
            }
            rows += [row[kind] for kind in kinds]
    over = (number - 1) * lag
    seen = ("stale-admit", "overshoot") if over else ()
    return Witness(f"{number} replicas that keep {lag}", run(*rows), seen, {"root": over})


def _witnesses() -> tuple[Witness, ...]:
    return tuple(replicas(number, lag) for number in (1, 2, 3, 8) for lag in (1, 31))


def _altered() -> tuple[Mutant, ...]:
    """Return replicas that flush above twice their lag only, that do not at admission, or do not count their own."""
    check, send, settle = blocks_of(LAG)
    blind = (CHECK_LOCAL, check[2])
    designs = {
        "flushed at twice the lag": ((CHECK_LOCAL, KEEP, blocks_of(2 * LAG)[0][2]), send, settle),
        "never flushed at admission": ((CHECK_LOCAL, KEEP), send, settle),
        "the estimate is not kept": (blind, send, settle),
    }
    return tuple(Mutant(name, tuple(overshot(blocks).obligations())) for name, blocks in designs.items())


THEOREM = Theorem(
    number=18,
    name="lagging-replicas",
    kind=Kind.BOTH,
    statement="n replicas of a counter that keep up to k to themselves overshoot by at most (n - 1) k, and can.",
    mathematics="bills - cap <= (n - 1) k, where each replica writes back what it has kept once that is more than k; "
    "attained for every n >= 1 and k >= 1",
    assumptions=("A1", "A7", "no call is given up", "a replica is not lost with what it has kept"),
    bound="all amounts, numbers of replicas and calls, lags and schedules",
    idea="The blocks of a replica are run on terms; what replicas keep is summed up. What is written back and kept is "
    "what was settled and admitted. A replica admits beside the counter and what it keeps itself; it does not see "
    "what the others keep, which is at most k each. It is attained when each admits a call of k before anyone writes "
    "back",
    systems=_systems,
    witnesses=_witnesses,
    altered=_altered,
    equivalent={"one more replica asks, available not updated": "nobody writes anything back in that run"},
)
