"""The stream of theorem 12: the steps of ``stream-extend``, run on terms, for any number of chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import z3

from capsound.costs import BillBounds, CallCosts
from capsound.scenario import Assume, Interval, Stream
from capsound.steps import CHECK, EXTEND, NEXT_CHUNK, RESERVE, SEND_STREAM, TAIL, CallVars, Frame, Ledger, Step
from capsound_proofs.terms import TERMS, Term, integer
from capsound_proofs.theorem import Answer, Fact, Mutant, Obligation, System, Transition, Values, Witness, run

STREAM: dict[str, Term] = {
    name: z3.Int(name) for name in ("available", "held", "charged", "cover", "billed", "told_so_far", "full", "phase")
}
AVAILABLE, HELD, CHARGED, COVER, STREAMED, SAID, FULL, PHASE = STREAM.values()
CHUNK, GRANTED = z3.Ints("chunk granted")
"""The largest bill of a chunk, and the grant of the account. ``full`` is ``chunk`` times the chunks that arrived."""

ARRIVED, EXTENDED = 1, 2
"""Phases: the last chunk has arrived; or one more has been reserved, and has not arrived."""

A9 = BillBounds.of(Assume(a9=True))
NOT_A9 = BillBounds.of(Assume(a9=False))


@dataclass(slots=True)
class _Played:
    """Steps of ``stream-extend`` run on terms: the guards, the bounds of what the environment chose, the state."""

    guards: list[Fact]
    least: list[Fact]
    most: list[Fact]
    account: Ledger
    call: CallVars

    def after(self, **other: Term) -> dict[str, Term]:
        """Return what the steps made of the variables, without those that stayed."""
        found = {
            "available": self.account.available,
            "held": self.account.held,
            "charged": self.account.charged,
            "cover": self.call.cover,
            "billed": self.call.bill,
            "told_so_far": self.call.told,
            **other,
        }
        return {name: term for name, term in found.items() if not z3.eq(integer(term), STREAM[name])}


def play(steps: tuple[Step, ...], *, new: bool = False, bounds: BillBounds = A9, left: int = 1) -> _Played:
    """Run steps of the model on the variables of ``STREAM``, or on an account in which no call was made yet."""
    account = Ledger(available=AVAILABLE) if new else Ledger(available=AVAILABLE, held=HELD, charged=CHARGED)
    call = CallVars(size=CHUNK) if new else CallVars(size=CHUNK, cover=COVER, bill=STREAMED, told=SAID)
    played = _Played([], [], [], account, call)

    def draw(name: str, lo: Term, hi: Term) -> Term:
        drawn = z3.Int(f"drawn.{name}")
        played.least.append(Fact(f"the {name} is not negative", drawn >= lo))
        played.most.append(Fact(f"the {name} is at most its most", drawn <= hi))
        return drawn

    costs = CallCosts(Stream(Interval(0, None), 1), bounds)
    frame = Frame(TERMS, account, call, costs, draw, lambda *_: None, chunks_left=left)
    for step in steps:
        if step.guard is not None:
            played.guards.append(Fact(f"{step.name} is not refused", step.guard(frame)))
        step.effect(frame)
    return played


def _start() -> tuple[Fact, ...]:
    """Return the state after the first chunk: what ``check``, ``reserve`` and ``send-stream`` make of a new account."""
    begun = play((CHECK, RESERVE, SEND_STREAM), new=True)
    now = {**STREAM, **begun.after(full=CHUNK, phase=z3.IntVal(ARRIVED))}
    return (
        *(
            Fact(f.name, z3.substitute(f.term, (AVAILABLE, GRANTED)))
            for f in (*begun.guards, *begun.least, *begun.most)
        ),
        *(
            Fact(f"{name} after the first chunk", STREAM[name] == z3.substitute(integer(term), (AVAILABLE, GRANTED)))
            for name, term in now.items()
        ),
    )


def _transitions() -> tuple[Transition, ...]:
    extended, arrived = play((EXTEND,)), play((NEXT_CHUNK,))
    return (
        Transition(
            "one more chunk is reserved",
            (Fact("the last one has arrived", PHASE == ARRIVED), *extended.guards),
            extended.after(phase=z3.IntVal(EXTENDED)),
        ),
        Transition(
            "one more chunk arrives",
            (Fact("it was reserved", PHASE == EXTENDED), *arrived.least, *arrived.most),
            arrived.after(full=FULL + CHUNK, phase=z3.IntVal(ARRIVED)),
        ),
    )


AHEAD = Fact(
    "one chunk is covered beyond those that have arrived, two before the next arrives",
    z3.And(
        z3.Implies(PHASE == ARRIVED, COVER == FULL + CHUNK),
        z3.Implies(PHASE == EXTENDED, COVER == FULL + CHUNK + CHUNK),
    ),
)
WITHIN = Fact("chunks are billed within their most", z3.And(STREAMED >= 0, STREAMED <= FULL))
STANDING = Fact("the last chunk has arrived", PHASE == ARRIVED)
ENDED = Fact("each chunk was billed at its most", STREAMED == FULL)


def streaming() -> System:
    """Return a stream that extends its hold, of any number of chunks, on an account with any grant."""
    return System(
        variables=STREAM,
        start=_start(),
        transitions=_transitions(),
        invariant=(
            AHEAD,
            WITHIN,
            Fact("a phase", z3.Or(PHASE == ARRIVED, PHASE == EXTENDED)),
            Fact("all that was billed is told (A7)", SAID == STREAMED),
            Fact("what is held is the cover of the call", HELD == COVER),
            Fact("the account is not in debt", AVAILABLE >= 0),
            Fact("nothing is charged yet", CHARGED == 0),
            Fact("the account is conserved", AVAILABLE + HELD + CHARGED == GRANTED),
        ),
        always=(Fact("a chunk is not negative", CHUNK >= 0),),
        goal=(
            Fact("the bills are within the hold", STREAMED <= HELD),
            Fact("one chunk beyond them is held", z3.Implies(PHASE == ARRIVED, HELD >= STREAMED + CHUNK)),
            Fact(
                "and no more, where chunks are billed at their most",
                z3.Implies(z3.And(PHASE == ARRIVED, STREAMED == FULL), HELD - STREAMED == CHUNK),
            ),
        ),
        codes=("phase",),
    )


def _cut_short(bounds: BillBounds, left: int) -> tuple[tuple[Fact, ...], Term]:
    """Return what is known of a stream that is cut, and the claim that its bills are within its hold."""
    cut = play((TAIL,), bounds=bounds, left=left)
    return (AHEAD, WITHIN, STANDING, *cut.most), cut.call.bill <= cut.call.cover


def _cut_run(value: Values) -> Witness:
    """Return the run of a stream of two chunks that is cut after the first, and billed on."""
    held, chunk, tail = value(COVER), value(STREAMED), value(z3.Int("drawn.tail"))
    over = chunk + tail - held
    return Witness(
        "a stream that is cut short, and billed on (A9 off)",
        run(
            ("open", "root", held),
            ("reserve", "root", "R1", held),
            ("send", "R1", "C1"),
            ("bill", "C1", chunk),
            ("bill", "C1", tail),
            ("settle", "R1", chunk + tail),
        ),
        ("overshoot",),
        {"root": over},
        {"root": over},
    )


def stream_obligations() -> tuple[Obligation, ...]:
    """Return what is to be shown of a stream that is cut: covered, and by no unit too much; without A9 not covered."""
    facts, within = _cut_short(A9, 3)
    late, _ = _cut_short(NOT_A9, 3)
    tail = z3.Int("drawn.tail")
    return (
        Obligation("a stream that is cut is billed within its hold (A9)", facts, within),
        Obligation(
            "with one unit less in hold, the chunk that is under way is not covered",
            (
                STANDING,
                ENDED,
                Fact("a chunk costs something", CHUNK >= 1),
                Fact("one unit less is held", COVER == FULL + CHUNK - 1),
                Fact("something was billed", FULL >= 1),
                Fact("the chunk under way is billed at its most", tail == CHUNK),
                Fact("the bills are above the hold", STREAMED + tail > COVER),
            ),
            wanted=Answer.SAT,
            shown=_cut_run,
            cures=(Fact("one chunk is held beyond the bills", COVER >= STREAMED + CHUNK),),
        ),
        Obligation(
            "without A9 a stream that is cut is billed above its hold",
            (
                *late,
                ENDED,
                Fact("chunks cost something", z3.And(CHUNK >= 1, FULL == CHUNK)),
                Fact("above", z3.Not(within)),
            ),
            wanted=Answer.SAT,
            shown=_cut_run,
            cures=(Fact("A9", tail <= CHUNK),),
        ),
    )


def stream_run(chunks: int, chunk: int, *, cut: bool) -> Witness:
    """Return a stream whose chunks are billed at their most; the ledger says what it holds after the last one.

    Where it is ``cut``, one more extension is refused, and the chunk that was under way is billed.
    """
    rows: list[tuple[Any, ...]] = [
        ("open", "root", chunk * (chunks + 1)),
        ("reserve", "root", "R1", 2 * chunk),
        ("send", "R1", "C1"),
        ("bill", "C1", chunk),
    ]
    for _ in range(chunks - 1):
        rows += [("extend", "R1", chunk), ("bill", "C1", chunk)]
    rows.append(("observe", "root", 0, 0, chunk * (chunks + 1)))
    if cut:
        rows += [("refuse", "root", chunk), ("bill", "C1", chunk)]
    rows.append(("settle", "R1", chunk * (chunks + cut)))
    ends = "cut, and billed for the chunk under way" if cut else "one chunk held above its bill"
    return Witness(f"a stream of {chunks} chunks of {chunk}, {ends}", run(*rows), (), {"root": 0}, {"root": 0})


def stream_mutants() -> tuple[Mutant, ...]:
    """Two streams of other disciplines: one that holds one chunk at the start, one that does not extend."""
    system = streaming()
    one = tuple(Fact(f.name, COVER == CHUNK) if f.name == "cover after the first chunk" else f for f in system.start)
    whole = z3.And(*[f.term for f in system.invariant])
    free = Transition("a chunk arrives that was not reserved", (STANDING,), system.transitions[1].after)
    return (
        Mutant("one chunk is held at the start", (Obligation("start", (*system.always, *one), whole),)),
        Mutant("chunks arrive without an extension", (system.step(free),)),
        Mutant("a stream that is cut is billed two chunks on", (_longer(),)),
    )


def _longer() -> Obligation:
    facts, within = _cut_short(NOT_A9, 2)
    return Obligation("a stream that is cut is billed within its hold", facts, within)
