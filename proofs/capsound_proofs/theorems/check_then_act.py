"""Theorem 6: how far a counter that is read before the call and written after it can be overshot.

The steps are those of the shipped disciplines: ``racy-counter`` and ``record-after`` (``capsound.disciplines``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import z3

from capsound.costs import BillBounds, CallCosts
from capsound.disciplines import Block, get_discipline
from capsound.errors import Disagreement
from capsound.scenario import Interval, Plain
from capsound.steps import CallVars, Frame, IntAlgebra, Ledger
from capsound_proofs.terms import TERMS, Term, conj
from capsound_proofs.theorem import Fact, Kind, System, Theorem, Transition, Witness, run

AGENTS, LARGEST, SIZE, COVER, BILL = z3.Ints("agents largest size call.cover call.bill")
ALL = z3.Int("all")
"""The largest call, summed over all agents: ``agents`` times ``largest``, as a sum to stay linear."""

LEDGER = ("granted", "available", "charged", "billed", "outstanding")
V: dict[str, Term] = {
    name: z3.Int(name)
    for name in (
        *LEDGER,
        "room",
        "waiting.cover",
        "sent.cover",
        "sent.bill",
        "window",
        "waiting.count",
        "sent.count",
        "steps",
    )
}
"""The counter; the largest call, summed over the agents in flight; what their calls were admitted for and billed;
and what was in flight at the last admission. The last three count agents and steps of the run that attains it."""

COSTS = CallCosts(
    cost=Plain(Interval(0, None), Interval(0, None)),
    bounds=BillBounds(
        within_hold=True, shortfall=None, truthful=True, rise=Fraction(1), repeats=0, stops_within_chunk=True
    ),
)
"""Any estimate, and any bill within it: A1, A7 and A10."""


@dataclass(frozen=True, slots=True)
class Race:
    """A discipline, and what its check lets through: the others in flight, or they and itself less ``slack``."""

    discipline: str
    itself: bool
    slack: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The three blocks: check, send, debit."""
        return get_discipline(self.discipline).blocks


CHECKED = Race("racy-counter", itself=False, slack=0)
RECORDED = Race("record-after", itself=True, slack=1)


def run_block(block: Block, ledger: Ledger, call: CallVars, draw: Callable[..., Any], algebra: Any) -> Term:
    """Run one block of the discipline; return whether its guards let it through."""
    frame = Frame(algebra, ledger, call, COSTS, draw, lambda *_: None)
    guards = [step.guard(frame) for step in block if step.guard is not None]
    for step in block:
        step.effect(frame)
    return guards


def _on_terms(block: Block, call: CallVars) -> tuple[Term, dict[str, Term]]:
    ledger = Ledger(**{name: V[name] for name in LEDGER})
    guards = run_block(block, ledger, call, lambda *_: BILL, TERMS)
    return conj(guards), {name: getattr(ledger, name) for name in LEDGER}


def _plus(**changes: Term) -> dict[str, Term]:
    return {name.replace("_", "."): V[name.replace("_", ".")] + change for name, change in changes.items()}


ONE_WAITS = Fact("one call waits, beside the others", z3.And(COVER >= 0, V["waiting.cover"] - COVER >= 0))
ONE_IS_SENT = Fact(
    "one call was sent, beside the others",
    z3.And(
        COVER >= BILL,
        BILL >= 0,
        V["sent.bill"] - BILL >= 0,
        V["sent.cover"] - COVER >= V["sent.bill"] - BILL,
        V["outstanding"] - COVER <= V["room"] - LARGEST,
        V["room"] - LARGEST >= 0,
    ),
)
"""The others satisfy what one call satisfies, summed up: a bill within its cover, a cover within the largest."""

SIGNED = Fact("a call is not negative", SIZE >= 0)
SMALL = Fact("a call is at most the largest", SIZE <= LARGEST)
ONE_CALL_EACH = Fact("some agent has no call in flight", ALL - V["room"] >= LARGEST)
WITHIN = Fact("A1", z3.And(BILL >= 0, BILL <= COVER))


def _changed(after: Mapping[str, Term]) -> dict[str, Term]:
    return {name: term for name, term in after.items() if not term.eq(V[name])}


def _transitions(race: Race) -> tuple[Transition, ...]:
    check, send, debit = race.blocks
    lets, after = _on_terms(check, CallVars(size=SIZE))
    cover = after["outstanding"] - V["outstanding"]
    admit = Transition(
        "check",
        (SIGNED, SMALL, ONE_CALL_EACH, Fact("the check", lets)),
        {
            **_changed(after),
            **_plus(room=LARGEST, waiting_cover=cover),
            "window": V["outstanding"] + (cover if race.itself else 0),
        },
    )
    _, after = _on_terms(send, CallVars(size=COVER, cover=COVER))
    leave = Transition(
        "send",
        (ONE_WAITS, WITHIN),
        {
            **_changed(after),
            **_plus(waiting_cover=-COVER, sent_cover=COVER, sent_bill=BILL),
        },
    )
    _, after = _on_terms(debit, CallVars(size=COVER, cover=COVER, bill=BILL, told=BILL))
    book = Transition(
        "debit",
        (ONE_IS_SENT,),
        {
            **_changed(after),
            **_plus(room=-LARGEST, sent_cover=-COVER, sent_bill=-BILL),
        },
    )
    return (admit, leave, book)


def overshot(race: Race) -> System:
    """Return any number of agents, each with any number of calls one after the other."""
    zero = z3.And(*[term == 0 for name, term in V.items() if name not in ("granted", "available")])
    return System(
        variables=V,
        start=(
            Fact("nothing has happened", zero),
            Fact("all of the cap is free", z3.And(V["available"] == V["granted"], V["granted"] >= 1)),
        ),
        transitions=_transitions(race),
        invariant=(
            Fact("what is not charged is available", V["available"] == V["granted"] - V["charged"]),
            Fact("bills are charged or in flight", V["billed"] == V["charged"] + V["sent.bill"]),
            Fact("covers are waiting or sent", V["outstanding"] == V["waiting.cover"] + V["sent.cover"]),
            Fact("sent calls cover their bills", V["sent.bill"] <= V["sent.cover"]),
            Fact("nothing is negative", z3.And(*[V[n] >= 0 for n in V if n not in ("available", "window")])),
            Fact("no more agents are in flight than there are", V["room"] <= ALL),
            Fact("calls in flight are within the largest of their agents", V["outstanding"] <= V["room"]),
            Fact("the window has one call of each agent, or of each other one", V["window"] <= _most(race)),
            Fact(
                "what is charged and in flight is within the cap and the window",
                V["charged"] + V["outstanding"] <= V["granted"] - race.slack + V["window"],
            ),
        ),
        always=(Fact("there is an agent, and the largest call is not negative", z3.And(LARGEST >= 0, ALL >= LARGEST)),),
        goal=(
            Fact(
                "the overshoot is within the calls that were in flight at the last admission",
                V["billed"] - V["granted"] <= V["window"] - race.slack,
            ),
            Fact("the overshoot is within the largest calls", V["billed"] - V["granted"] <= _most(race) - race.slack),
        ),
    )


def _most(race: Race) -> Term:
    return ALL if race.itself else ALL - LARGEST


def attained(race: Race) -> System:
    """Return the run that attains it: every agent is admitted, then every one is billed in full."""
    check, send, _ = race.blocks
    cap = z3.IntVal(1) if race.itself else LARGEST
    lets, after = _on_terms(check, CallVars(size=LARGEST))
    waits = Fact("an agent has not asked yet", V["waiting.count"] < AGENTS)
    asked = {**_counted(after), **_plus(waiting_count=z3.IntVal(1), steps=z3.IntVal(1))}
    _, after = _on_terms(send, CallVars(size=LARGEST, cover=LARGEST))
    unsent = Fact("an admitted call was not sent yet", V["sent.count"] < V["waiting.count"])
    billed = {**_counted(after), **_plus(sent_count=z3.IntVal(1), steps=z3.IntVal(1))}
    done = V["steps"] == 2 * AGENTS
    whole: Term = LARGEST * AGENTS
    most = whole - 1 if race.itself else whole - LARGEST
    return System(
        variables=V,
        start=(
            Fact("nothing has happened", z3.And(*[V[n] == 0 for n in ("billed", "waiting.count", "sent.count")])),
            Fact("the cap is that of one call, or of one unit", z3.And(V["granted"] == cap, V["available"] == cap)),
            Fact("no step was taken", V["steps"] == 0),
        ),
        transitions=(
            Transition("one more agent asks", (waits,), asked),
            Transition("one more call is billed in full", (unsent,), billed),
        ),
        invariant=(
            Fact("nobody has debited anything, so the check lets everyone through", z3.And(lets, V["granted"] == cap)),
            Fact("each call in full", V["billed"] == LARGEST * V["sent.count"]),
            Fact("the counter stands still", V["available"] == V["granted"]),
            Fact("no more than asked", z3.And(V["sent.count"] <= V["waiting.count"], V["waiting.count"] <= AGENTS)),
            Fact("a step is a question or a bill", V["steps"] == V["waiting.count"] + V["sent.count"]),
        ),
        always=(Fact("there are agents and calls", z3.And(AGENTS >= 1, LARGEST >= 1)),),
        goal=(
            Fact(
                "until two steps for each agent were taken, there is another",
                z3.Implies(V["steps"] < 2 * AGENTS, z3.Or(waits.term, unsent.term)),
            ),
            Fact("then the overshoot is exact", z3.Implies(done, V["billed"] - V["granted"] == most)),
        ),
        logic="QF_NIA",
    )


def _counted(after: Mapping[str, Term]) -> dict[str, Term]:
    """Return what the counter and the provider see of a block, with a bill in full."""
    seen = {name: term for name, term in _changed(after).items() if name != "outstanding"}
    return {name: z3.substitute(term, (BILL, LARGEST)) for name, term in seen.items()}


def _systems() -> tuple[System, ...]:
    return (overshot(CHECKED), overshot(RECORDED), attained(CHECKED), attained(RECORDED))


def race_of(race: Race, agents: int, largest: int) -> Witness:
    """Return the run of ``agents`` agents, each step let through by the discipline itself on whole numbers."""
    cap = 1 if race.itself else largest
    ledger = Ledger(available=cap, granted=cap)
    calls = [CallVars(size=largest) for _ in range(agents)]
    rows: list[tuple[Any, ...]] = [("open", "root", cap)]
    for block, kinds in zip(race.blocks[:2], (("reserve",), ("send", "bill")), strict=True):
        for number, call in enumerate(calls, start=1):
            if not all(run_block(block, ledger, call, lambda *_: largest, IntAlgebra())):
                raise Disagreement(f"{race.discipline} refuses call {number} of the run that attains the bound")
            row: dict[str, tuple[Any, ...]] = {
                "reserve": ("reserve", "root", f"R{number}", call.cover, f"agent-{number}"),
                "send": ("send", f"R{number}", f"C{number}"),
                "bill": ("bill", f"C{number}", call.bill),
            }
            rows += [row[kind] for kind in kinds]
    over = agents * largest - cap
    seen = ("over-admit" if race.itself else "stale-admit", "overshoot")
    name = f"{race.discipline}, {agents} agent{'s' * (agents > 1)}"
    return Witness(name, run(*rows), seen if over else (), {"root": over})


def _witnesses() -> tuple[Witness, ...]:
    return tuple(race_of(race, agents, 31) for race in (CHECKED, RECORDED) for agents in (1, 2, 3, 8, 40))


THEOREM = Theorem(
    number=6,
    name="check-then-act",
    kind=Kind.BOTH,
    statement="Check, call, debit overshoots by n - 1 calls of n agents and no more; "
    "recording after the fact by one call of each agent, less one unit.",
    mathematics="bills - cap <= e (n - 1) for racy-counter, <= e n - 1 for record-after, with calls of at most e; "
    "both are attained for every n >= 1 and e >= 1",
    assumptions=("A1", "A7", "no call is given up"),
    bound="all amounts, numbers of agents, calls and schedules",
    idea="The blocks of the two disciplines are run on terms; calls in flight are summed up. A call is admitted where "
    "it fits beside what is charged, so whatever is billed later is within the cap and the calls that were in flight "
    "at the last admission: one of each other agent. It is attained when all agents ask before anyone debits. A check "
    "of recorded spend alone lets the last call through as well, and needs one unit to do so",
    systems=_systems,
    witnesses=_witnesses,
    equivalent={"debit, room not updated": "an agent that is still counted as in flight only asks less"},
)
