"""Which strategies earn A1: proved under stated premises, or refuted with a request that breaks it.

A1 of a call follows from three statements, each an obligation of its own:

* *input*: the expected input tokens are never fewer than those that the provider may count;
* *output*: the tokens that money is held for are never fewer than those that may be billed;
* *price*: more tokens never cost less, rounding included.

The first two run the functions of ``capsound.strategies`` on solver terms, so that what is proved is the code that the
lab replays. A rule that learns is judged with the memory in which it expects least: nothing learned, where learning
only raises what is expected; for the conformal rule, the fewest and smallest bills that give it a quantile. Proofs are
decided again by cvc5, witnesses are computed again with plain integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import z3

from capsound.catalog import PROVIDER
from capsound.errors import Disagreement
from capsound.scenario import Prices, Provider
from capsound.strategies import (
    NOTHING,
    Conformal,
    Counted,
    EarlySettle,
    Memory,
    OutputRule,
    Strategy,
    Stream,
    ahead,
    conformal_share,
    estimated_tokens,
    learn,
    plan,
)
from capsound.verdict import Verdict
from capsound.workload import Call, Seen, input_bound, overhead_bound
from capsound_proofs.second import decide, smt_text
from capsound_proofs.terms import TERMS, Term, integer, largest, value_of
from capsound_proofs.work import Solver, Work

WORK = 10_000_000
"""How much work z3 may do for one question (``capsound_proofs.work``)."""

OUTPUT = 100
"""The output that the request of a witness asks for and is billed, in tokens: that of the published rows."""

PRICES = Prices(3, 15)
INPUT = "input bound"
COUNTER = "counter bound"
NO_HISTORY = "no history outside the bytes"
_FAR = 10**9


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that is billed more than was reserved for it, after the calls that were learned from, if any."""

    learned: tuple[Call, ...]
    call: Call
    reserved: int

    @property
    def sentence(self) -> str:
        """The witness in words."""
        seen, call = self.call.seen, self.call
        parts = [_some(seen.bytes, "byte"), _some(seen.messages, "message")]
        parts += [_some(seen.tools, "tool")] if seen.tools else []
        parts += [f"{_some(seen.history, 'token')} of history"] if seen.history else []
        parts += [f"counted as {_some(seen.counted, 'token')}"] if seen.counted is not None else []
        after = f", after {_some(len(self.learned), 'small bill')}" if self.learned else ""
        return (
            f"{', '.join(parts)}: billed {call.input_tokens} + {call.output_tokens} tokens, which cost {call.bill}, "
            f"where {self.reserved} was reserved{after}"
        )


def _some(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


@dataclass(frozen=True, slots=True)
class StrategyVerdict:
    """Whether A1 follows for every request under ``premises``.

    ``witness`` breaks A1; where that is proved, but only without history outside the bytes, it has such history.
    """

    strategy: str
    verdict: Verdict
    premises: tuple[str, ...] = ()
    witness: Witness | None = None
    solvers: str = ""

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict is Verdict.SOUND:
            return f"proved under {', '.join(self.premises)} ({self.solvers})"
        return f"refuted by {self.witness.sentence}" if self.witness else f"not decided: {self.solvers}"


@dataclass(frozen=True, slots=True)
class Obligation:
    """Terms that must have no model for A1 to follow; ``logic`` is that of SMT-LIB."""

    name: str
    terms: tuple[Term, ...]
    logic: str = "QF_LIA"

    @property
    def text(self) -> str:
        """The obligation as SMT-LIB 2."""
        return smt_text(list(self.terms)).replace("QF_LIA", self.logic, 1)


def judge_strategy(strategy: Strategy, provider: Provider = PROVIDER) -> StrategyVerdict:
    """Return what the solvers say of a strategy against every provider within the bounds of ``provider``.

    Raises ``Disagreement`` where the two solvers do not agree, or the solver and the code.
    """
    if isinstance(strategy.input, Conformal):
        return _judge_conformal(strategy, strategy.input, provider)
    base = COUNTER if isinstance(strategy.input, Counted) else INPUT
    broken: Witness | None = None
    for grows in (True, False):
        premises = (base, *_assumed(strategy.output), *(() if grows else (NO_HISTORY,)))
        request = _Request(strategy, provider, grows)
        todo = [request.obligation(), *output_obligations(strategy.output), *price_obligations()]
        answers = [_answer(obligation) for obligation in todo]
        if all(answer == "unsat" for answer in answers):
            return StrategyVerdict(strategy.name, Verdict.SOUND, premises, broken, _confirmed(todo))
        if answers[0] == "sat":
            broken = request.witness()
            continue
        open_ones = [obligation.name for obligation, answer in zip(todo, answers, strict=True) if answer != "unsat"]
        verdict = Verdict.VIOLATED if "sat" in answers else Verdict.UNKNOWN
        return StrategyVerdict(strategy.name, verdict, solvers=f"z3 leaves {', '.join(open_ones)} open")
    return StrategyVerdict(strategy.name, Verdict.VIOLATED, (), broken, "z3, computed again")


def _assumed(output: OutputRule) -> tuple[str, ...]:
    """Return the assumptions (docs/assumptions.md) that the rule for the output rests on."""
    match output:
        case Stream():
            return ("A6", "A8", "A9", "A10")
        case EarlySettle():
            return ("A6", "A7", "A8", "A10")
        case _:
            return ("A6", "A8", "A10")


# --------------------------------------------------------------------------------------------- obligations


class _Request:
    """One request as terms, and how many input tokens the provider counts for it."""

    def __init__(self, strategy: Strategy, provider: Provider, grows: bool) -> None:
        self.strategy = strategy
        names: Any = z3.Ints("bytes messages tools history counted")
        size, messages, tools, history, counted = names
        self.free = [size, messages, tools, *([history] if grows else []), counted]
        self.seen = Seen(size, messages, tools, history if grows else 0, OUTPUT, PRICES, counted)
        self.input: Any = z3.Int("input")
        self.expected = estimated_tokens(strategy.input, self.seen, NOTHING, TERMS)
        self.counts = isinstance(strategy.input, Counted)
        most = (
            counted + overhead_bound(self.seen, provider)
            if self.counts
            else input_bound(self.seen, provider, algebra=TERMS)
        )
        self.axioms = [*(term >= 0 for term in self.free), messages >= 1, self.input >= 0, self.input <= most]

    def obligation(self) -> Obligation:
        return Obligation("input", (*self.axioms, self.expected < self.input))

    def witness(self) -> Witness:
        """Return the smallest request that is short, computed again: bytes first, then the rest, in order."""
        solver = Work(WORK).solver()
        solver.add(*self.obligation().terms)
        # A request of no bytes is no request that anybody sends: leave it out where one of a byte is short as well.
        if solver.check(self.seen.bytes >= 1) == z3.sat:
            solver.add(self.seen.bytes >= 1)
        for term in self.free:
            solver.add(term == _least(solver, term))
        solver.add(self.input == largest(lambda x: solver.check(self.input >= x) == z3.sat, 0))
        solver.check()
        model = solver.model()
        size, messages, tools, history, counted = (
            value_of(model, term)
            for term in (self.seen.bytes, self.seen.messages, self.seen.tools, self.seen.history, self.seen.counted)
        )
        seen = Seen(size, messages, tools, history, OUTPUT, PRICES, counted if self.counts else None)
        return computed_witness(self.strategy, (), Call(seen, value_of(model, self.input), OUTPUT))


def _least(solver: Solver, term: Term) -> int:
    """Return the least value of a term that is never negative."""
    return largest(lambda x: solver.check(integer(term) < x) != z3.sat, 0)


def input_obligation(strategy: Strategy, provider: Provider, *, grows: bool = True) -> Obligation:
    """Return what says that a strategy never expects fewer input tokens than the provider may count.

    ``grows`` allows history that is not among the bytes.
    """
    return _Request(strategy, provider, grows).obligation()


def output_obligations(output: OutputRule) -> list[Obligation]:
    """Return what says that the output that may be billed is covered.

    Without a stream that is A6: no more is billed than was asked for, and money is held for that. With one, what is
    held covers what arrived and two chunks: so it is planned, and so it stays from chunk to chunk. And when a stream
    is aborted since a further chunk cannot be paid for, the tail of one more (A9) is covered still.
    """
    names: Any = z3.Ints("billed asked received held step tail")
    billed, asked, received, held, step, tail = names
    if not isinstance(output, Stream):
        return [Obligation("output", (asked >= 0, billed >= 0, billed <= asked, billed > asked))]
    chunk = output.chunk
    before = (asked >= 0, received >= 0, received <= asked, held >= ahead(chunk, received, asked, TERMS))
    arrived = (step >= 0, step <= chunk, received + step <= asked)
    wanted = ahead(chunk, received + step, asked, TERMS)
    extended = z3.If(wanted > held, wanted, held)
    ended = (tail >= 0, tail <= chunk, received + step + tail <= asked)
    return [
        Obligation("output: step", (*before, *arrived, extended < wanted)),
        Obligation("output: abort", (*before, *arrived, *ended, received + step + tail > held)),
    ]


def price_obligations() -> list[Obligation]:
    """Return what says that more tokens never cost less, for any prices, and that rounding up keeps the order."""
    names: Any = z3.Reals("price_in price_out in_held in_billed out_held out_billed")
    price_in, price_out, in_held, in_billed, out_held, out_billed = names
    axioms = [term >= 0 for term in (price_in, price_out)]
    axioms += [in_held >= in_billed, out_held >= out_billed]
    held, billed = price_in * in_held + price_out * out_held, price_in * in_billed + price_out * out_billed
    units: Any = z3.Reals("per cost_held cost_billed up_held up_billed")
    per, cost_held, cost_billed, up_held, up_billed = units
    return [
        Obligation("price", (*axioms, held < billed), "QF_NRA"),
        Obligation(
            "price: rounded up",
            (
                per >= 1,
                cost_held >= cost_billed,
                up_held * per >= cost_held,
                (up_billed - 1) * per < cost_billed,
                up_held <= up_billed - 1,
            ),
            "QF_NRA",
        ),
    ]


def _answer(obligation: Obligation) -> str:
    solver = Work(WORK).solver(obligation.logic)
    solver.add(*obligation.terms)
    return str(solver.check())


def _confirmed(todo: list[Obligation]) -> str:
    """Decide every obligation again with cvc5; return what to say of it."""
    undecided = 0
    for obligation in todo:
        answer = decide(obligation.text)
        if answer == "sat":
            raise Disagreement(f"z3 proved {obligation.name!r} and cvc5 refutes it", cause="the solvers disagree")
        undecided += answer != "unsat"
    return "z3 and cvc5" if not undecided else f"z3; cvc5 confirmed {len(todo) - undecided} of {len(todo)}"


# ----------------------------------------------------------------------------------------------- witnesses


def computed_witness(strategy: Strategy, learned: tuple[Call, ...], call: Call) -> Witness:
    """Return a witness after computing it with plain integers; raises ``Disagreement`` where it is none."""
    memory: Memory = reduce(lambda known, seen: learn(strategy, known, seen), learned, NOTHING)
    reserved = plan(strategy, call.seen, memory, _FAR).amount
    if reserved >= call.bill:
        raise Disagreement(
            f"the solver says that {strategy.name} is short where it reserves {reserved} for a bill of {call.bill}",
            cause="what was proved is not the code",
        )
    return Witness(learned, call, reserved)


def _judge_conformal(strategy: Strategy, rule: Conformal, provider: Provider) -> StrategyVerdict:
    """Return the witness that every quantile below 1 has: small bills, then one at the bound."""
    small = Call(Seen(OUTPUT, max_output=OUTPUT, prices=PRICES), 1, 1)
    learned: list[Call] = []
    memory = NOTHING
    while conformal_share(rule, memory) == 1:
        learned.append(small)
        memory = learn(strategy, memory, small)
    seen = Seen(1, max_output=OUTPUT, prices=PRICES)
    witness = computed_witness(strategy, tuple(learned), Call(seen, input_bound(seen, provider), OUTPUT))
    return StrategyVerdict(strategy.name, Verdict.VIOLATED, (), witness, "computed")


def cheaper_from(sound: Strategy, other: Strategy) -> int | None:
    """Return from how many bytes on ``sound`` never expects more input than ``other`` does before it has learned.

    For one message without tools or history. None where there is no such size: then the margin of ``other`` is no
    larger than what ``sound`` expects of a byte.
    """
    size: Any = z3.Int("bytes")
    seen = Seen(size)
    solver = Work(WORK).solver()
    solver.add(size >= 0)
    solver.add(
        estimated_tokens(sound.input, seen, NOTHING, TERMS) > estimated_tokens(other.input, seen, NOTHING, TERMS)
    )
    if solver.check(size >= _FAR) == z3.sat:
        return None
    if solver.check() != z3.sat:
        return 0
    return largest(lambda x: solver.check(size >= x) == z3.sat, 0) + 1
