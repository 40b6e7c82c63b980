"""Theorem 10: the smallest safe margin and the smallest safe overhead, as formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import z3

from capsound.costs import BillBounds, CallCosts
from capsound.scenario import Agents, Assume, CallKind, Estimator, Interval, Provider, Request, Scenario
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.estimator import judge_estimator
from capsound_proofs.margins import Demand, demands, smallest_margin, smallest_overhead
from capsound_proofs.terms import TERMS, Term, ints, reals
from capsound_proofs.theorem import Answer, Computation, Fact, Kind, Obligation, Theorem, Values, Witness
from capsound_proofs.theorems.tokens_per_byte import short_call

# -------------------------------------------------------------------------------- the formula, in symbols

SIZE, LOW, GAP, ABOVE = reals("size low gap above")
"""Bytes, the fewest bytes, tokens that the provider adds and the estimator does not, and margin minus ratio."""

PRODUCT, COUNTED = reals("margin.size ratio.size")
"""The margin on the bytes and the ratio on the bytes, before they are rounded down."""

ADDED = z3.Int("added")
TOKENS, NEED, PERIOD, SLOPE, AT = ints("tokens need period slope at")
"""Tokens that the provider counts of ``at`` bytes, what is needed beyond, and the growth ``slope`` in ``period``."""

SLACK = Fact("the margin is safe at the smallest request", ABOVE * LOW >= GAP)


def _formula() -> Iterator[Obligation]:
    yield Obligation(
        "ratio + gap / low is enough for every size",
        (
            Fact("the smallest request is not empty", LOW > 0),
            Fact("requests are no smaller", SIZE >= LOW),
            Fact("the provider adds more than the estimator", GAP >= 0),
            SLACK,
        ),
        ABOVE * SIZE >= GAP,
        logic="QF_NRA",
    )
    yield Obligation(
        "rounding both down keeps it",
        (Fact("the margin is enough before rounding", COUNTED + z3.ToReal(ADDED) <= PRODUCT),),
        z3.ToInt(PRODUCT) >= z3.ToInt(COUNTED) + ADDED,
        logic="QF_LIRA",
    )
    yield Obligation(
        "below it the smallest request is short, where the provider counts a whole number",
        (
            Fact("the provider counts a whole number", z3.ToReal(z3.ToInt(COUNTED)) == COUNTED),
            Fact("the margin is too small", COUNTED + z3.ToReal(ADDED) > PRODUCT),
        ),
        z3.ToInt(PRODUCT) < z3.ToInt(COUNTED) + ADDED,
        logic="QF_LIRA",
    )
    quotient = TOKENS + NEED
    above = Fact("the gap per byte is above the growth", quotient * PERIOD >= SLOPE * AT)
    below = Fact("the gap per byte is below the growth", quotient * PERIOD <= SLOPE * AT)
    yield Obligation(
        "a period later a gap per byte above the growth is smaller",
        (above,),
        (quotient + SLOPE) * AT <= quotient * (AT + PERIOD),
        logic="QF_NIA",
    )
    yield Obligation(
        "and is above the growth still",
        (above,),
        (quotient + SLOPE) * PERIOD >= SLOPE * (AT + PERIOD),
        logic="QF_NIA",
    )
    yield Obligation(
        "a period later a gap per byte below the growth is larger",
        (below,),
        (quotient + SLOPE) * AT >= quotient * (AT + PERIOD),
        logic="QF_NIA",
    )
    yield Obligation(
        "and is below the growth still",
        (below,),
        (quotient + SLOPE) * PERIOD <= SLOPE * (AT + PERIOD),
        logic="QF_NIA",
    )


# --------------------------------------------------------------------------- the model's own costs, on terms


TEMPLATE, OVERHEAD, BYTES = ints("template overhead bytes")

MAX_OUTPUT = 100
"""Output is estimated at its maximum, so it cancels out; the model takes a number here and no term."""

SHORTER = Fact("the reply is a token below its maximum", z3.Int("drawn.output") < MAX_OUTPUT)


class _Call:
    """One request of the model as terms: its bytes, its estimate and its bill."""

    def __init__(self, costs: CallCosts) -> None:
        self.least: list[Fact] = []
        self.most: list[Fact] = []
        call = CallVars(size=BYTES)
        frame = Frame(TERMS, Ledger(), call, costs, self._draw, lambda *_: None)
        self.estimate = call.cover = costs.estimate(frame)
        self.bill = costs.draw_bill(frame)

    def _draw(self, name: str, lo: Term, hi: Term | None) -> Term:
        drawn = z3.Int(f"drawn.{name}")
        self.least.append(Fact(f"the {name} is at least its least", drawn >= lo))
        if hi is not None:
            self.most.append(Fact(f"the {name} is at most its most", drawn <= hi))
        return drawn


def costs(margin: Fraction, ratio: Fraction, low: int, high: int | None, **other: Term) -> CallCosts:
    """Return the costs of requests of so many bytes; ``other`` replaces the template and the overhead."""
    return CallCosts(
        Request(Interval(low, high), max_output=MAX_OUTPUT),
        BillBounds.of(Assume(a1=False)),
        Estimator(margin, overhead=other.get("overhead", 0)),
        Provider(ratio, template=other.get("template", 0)),
    )


CASES = (
    (Fraction(1), Fraction(1), 1, None),
    (Fraction(2), Fraction(1), 0, None),
    (Fraction(3, 2), Fraction(1), 13, 320),
    (Fraction(21, 20), Fraction(31, 25), 1, 400),
    (Fraction(2), Fraction(15, 8), 0, None),
    (Fraction(1), Fraction(11), 0, 64),
)
"""Margin, tokens a byte, and bytes from .. to; each with any template."""


def excess(margin: Fraction, ratio: Fraction, low: int, high: int | None) -> int:
    """Return the largest floor(ratio s) - floor(margin s): the overhead that is needed beside that for the template.

    It may be negative; a template larger than that is counted, so that ``smallest_overhead`` shows it.
    """
    large = 10**6
    found = smallest_overhead([Demand(costs(margin, ratio, low, high, template=large))])
    assert found is not None
    return found - large


def _overheads() -> Iterator[Obligation]:
    for margin, ratio, low, high in CASES:
        call = _Call(costs(margin, ratio, low, high, template=TEMPLATE, overhead=OVERHEAD))
        where = f"margin {margin}, {ratio} tokens a byte, {Interval(low, high)} bytes"
        smaller, larger = (
            Fact("requests are no smaller", low <= BYTES),
            Fact("requests are no larger", (high or 0) >= BYTES),
        )
        sizes = [smaller] if high is None else [smaller, larger]
        # Where the provider counts less a byte than is estimated, the smallest request decides, else the largest.
        decisive = [smaller] if margin > ratio else [larger] if margin < ratio else []
        least = TEMPLATE + excess(margin, ratio, low, high)
        yield Obligation(
            f"{where}: the template and {excess(margin, ratio, low, high)} tokens are enough",
            (*decisive, *call.most, Fact("the overhead is the formula's", least <= OVERHEAD)),
            call.bill <= call.estimate,
        )
        yield Obligation(
            f"{where}: one token less is not",
            (
                Fact("nothing is negative", z3.And(TEMPLATE >= 0, OVERHEAD >= 0)),
                *sizes,
                *call.least,
                *call.most,
                Fact("one token less", least - 1 == OVERHEAD),
                Fact("the bill is above the estimate", call.bill > call.estimate),
                Fact("a cap that one call can overshoot", call.bill >= 2),
            ),
            wanted=Answer.SAT,
            shown=_shown(f"{where}, an overhead one token too small", call),
            cures=(
                Fact("one token more", least <= OVERHEAD),
                SHORTER,
            ),
        )


def _shown(name: str, call: _Call) -> Callable[[Values], Witness]:
    def shown(value: Values) -> Witness:
        return short_call(name, value(call.estimate), value(call.bill))

    return shown


TABLE = ((Fraction(15, 8), 320, 600), (Fraction(7), 1, 7), (Fraction(600, 13), 13, 600))
"""The smallest margin, for a payload of so many bytes that is billed so many tokens (arXiv 2606.04056)."""


def _margins() -> Iterator[Obligation]:
    for margin, size, tokens in TABLE:
        measured = Request(Interval.exactly(size), input_tokens=Interval(0, tokens), max_output=MAX_OUTPUT)
        safe = _Call(replace(costs(margin, Fraction(1), size, size), cost=measured))
        less = margin - Fraction(1, 10**6)
        short = _Call(replace(costs(less, Fraction(1), size, size), cost=measured))
        exactly = Fact("the request is that one", size == BYTES)
        yield Obligation(
            f"{size} bytes billed at most {tokens} tokens: {margin} is enough",
            (exactly, *safe.most),
            safe.bill <= safe.estimate,
        )
        yield Obligation(
            f"{size} bytes billed at most {tokens} tokens: a millionth less is not",
            (exactly, *short.least, *short.most, Fact("the bill is above the estimate", short.bill > short.estimate)),
            wanted=Answer.SAT,
            shown=_shown(f"{size} bytes billed {tokens} tokens, a margin a millionth too small", short),
            cures=(SHORTER, Fact("one token fewer is counted", z3.Int("drawn.input") < tokens)),
        )


def _build() -> tuple[Obligation, ...]:
    return (*_formula(), *_overheads(), *_margins())


def compare_with_solver() -> str:
    """Ask the solver for the margin and the overhead of some scenarios; return where the formulas say otherwise."""
    wrong = []
    for margin, ratio, low, high in CASES:
        for template in (0, 7):
            found = scenario(costs(margin, ratio, low, high, template=template))
            answer = judge_estimator(found, "call")
            formula = (smallest_margin(demands(found, "call")), smallest_overhead(demands(found, "call")))
            if (answer.margin, answer.overhead) != formula:
                wrong.append(f"{found.name}: {answer.margin} and {answer.overhead}, the formulas {formula}")
    return "; ".join(wrong)


def scenario(call: CallCosts) -> Scenario:
    """Return a scenario of one agent that makes one call of these costs."""
    kind = CallKind("call", call.cost)
    agents = (Agents("agent", 1, "root", "call"),)
    return Scenario(
        f"{call.estimator.margin} on bytes, {call.provider.tokens_per_byte} tokens a byte and {call.provider.template}",
        Interval.exactly(1000),
        "reserve-settle",
        agents,
        (kind,),
        estimator=call.estimator,
        provider=call.provider,
        prices=call.prices,
        assume=Assume(a1=None),
    )


THEOREM = Theorem(
    number=10,
    name="smallest-margin",
    kind=Kind.PROVED,
    statement="The smallest safe margin is the largest gap per byte, the smallest safe overhead the largest gap, and "
    "the first and the last period of sizes decide both.",
    mathematics="m* = sup over s of (n(s) - o) / s; o* = max over s of n(s) - floor(m s); n(s + P) = n(s) + q; "
    "for whole r and d >= 0: m* = r + d / low",
    assumptions=("A6", "A8", "A10", "a bound on input tokens"),
    bound="formula: all sizes, gaps and periods; the model's costs: any template and overhead at given "
    "ratios; a property test compares formulas and solver on drawn scenarios",
    idea="A gap per byte moves towards the growth per byte with every period and never past it, as a mediant does, so "
    "it is largest at the start, at the end, or in the limit. The model's own estimate and bill on terms are safe at "
    "the formula's overhead for every template, and one token below it the solver finds the request that is short.",
    build=_build,
    computations=(Computation("formulas and solver", compare_with_solver),),
)
