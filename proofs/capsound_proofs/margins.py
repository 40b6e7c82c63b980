"""The smallest safe margin and the smallest safe overhead of an estimator, as closed formulas.

``capsound_proofs.estimator`` asks the solver for them; here they are computed, and the two must agree (theorem 10).

A request of s bytes needs n(s) estimated input tokens for its estimate to reach its largest bill. The estimator has
floor(m s) + o of them, so the smallest margin is the supremum of (n(s) - o) / s, and the smallest overhead is the
largest n(s) - floor(m s). After a period of P bytes the largest bill has grown by a fixed amount, whatever s is, so
n(s + P) is n(s) + q for a fixed q. Then along s, s + P, s + 2P, .. both gaps move in one direction: the quotient
towards q / P (it is a mediant), the difference by the same step each time. The first and the last period decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import lcm

from capsound.costs import BillBounds, CallCosts, costs_of
from capsound.scenario import Request, Scenario
from capsound.schedule import INTS
from capsound.steps import CallVars, Frame, Ledger


class _Unbounded(Exception):
    """The environment may choose any amount."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the largest bills of one kind of call ask of its estimate, as a function of the bytes."""

    costs: CallCosts

    @property
    def request(self) -> Request:
        """The call, which is given as a request."""
        assert isinstance(self.costs.cost, Request)
        return self.costs.cost

    @property
    def grows(self) -> Fraction:
        """How many more input tokens are needed per further byte, in the long run: q / P."""
        if self.request.input_tokens is not None:
            return Fraction(0)
        bounds = self.costs.bounds
        assert bounds.rise is not None
        assert bounds.repeats is not None
        return self.costs.provider.tokens_per_byte * bounds.rise * (1 + bounds.repeats)

    @property
    def period(self) -> int:
        """After how many bytes n(s) has grown by a fixed amount."""
        rise = self.costs.bounds.rise
        assert rise is not None
        return self.costs.provider.tokens_per_byte.denominator * self.costs.prices.per * rise.denominator

    def largest_bill(self, size: int) -> int | None:
        """Return the largest bill of a request of ``size`` bytes, None where it has no bound."""

        def draw(_name: str, lo: int, hi: int | None) -> int:
            if hi is None:
                raise _Unbounded
            return max(lo, hi)

        call = CallVars(size=size)
        frame = Frame(INTS, Ledger(), call, self.costs, draw, lambda *_: None)
        call.cover = self.costs.estimate(frame)
        try:
            return int(self.costs.draw_bill(frame))
        except _Unbounded:
            return None

    def needed(self, size: int) -> int:
        """Return n(s): the fewest estimated input tokens whose price reaches the largest bill; below 0 if none are.

        The estimate is ceil((tokens x input + max_output x output) / per), and the input price is positive.
        """
        bill = self.largest_bill(size)
        assert bill is not None
        prices = self.costs.prices
        least = (bill - 1) * prices.per + 1 - self.request.max_output * prices.output
        return -(-least // prices.input)

    @property
    def fixed(self) -> int:
        """The estimated input tokens that do not depend on the bytes."""
        return int(self.costs.estimated_input(self.request, INTS.floordiv, 0))

    def sizes(self, period: int) -> Iterator[int]:
        """Yield the sizes of the first period and, where there is one, of the last period."""
        low, high = self.request.bytes.lo, self.request.bytes.hi
        if high is None:
            yield from range(low, low + period)
            return
        yield from range(low, min(high + 1, low + period))
        yield from range(max(low + period, high + 1 - period), high + 1)


def demands(scenario: Scenario, call: str) -> tuple[Demand, ...]:
    """Return one demand for each call that an agent makes, without A1: with growth the later ones need more."""
    free = BillBounds.of(replace(scenario.assume, a1=False, shortfall=None))
    kind = scenario.call(call).cost
    assert isinstance(kind, Request)
    longest = max((a.calls for a in scenario.agents if a.call == call), default=1) if kind.growth else 1
    return tuple(Demand(replace(costs_of(scenario, call, n), bounds=free)) for n in range(longest))


def smallest_margin(asked: Iterable[Demand]) -> Fraction | None:
    """Return the smallest factor on bytes that leaves no request short, None where no factor is enough.

    The input price must be positive: where input is free, no number of tokens changes the estimate.
    """
    margin = Fraction(0)
    for demand in asked:
        if demand.largest_bill(demand.request.bytes.lo) is None:
            return None
        fixed = demand.fixed
        # A size of 0 is of no period: no factor of it is anything.
        if demand.request.bytes.lo == 0 and demand.needed(0) > fixed:
            return None
        low = max(1, demand.request.bytes.lo)
        bounded = replace(demand.request.bytes, lo=low)
        if bounded.hi is not None and bounded.hi < low:
            continue
        started = Demand(replace(demand.costs, cost=replace(demand.request, bytes=bounded)))
        margin = max([margin, *(Fraction(started.needed(s) - fixed, s) for s in started.sizes(started.period))])
        if bounded.hi is None:
            margin = max(margin, started.grows)
    return margin


def smallest_overhead(asked: Sequence[Demand]) -> int | None:
    """Return the fewest tokens that, added to the given margin, leave no request short; None where none do.

    The overhead that the estimator has is not counted: the answer takes its place. The input price must be positive.
    """
    overhead = 0
    for demand in asked:
        if demand.largest_bill(demand.request.bytes.lo) is None:
            return None
        margin = demand.costs.estimator.margin
        if demand.request.bytes.hi is None and demand.grows > margin:
            return None
        rest = demand.fixed - demand.costs.estimator.overhead
        period = lcm(demand.period, margin.denominator)
        overhead = max([overhead, *(demand.needed(s) - int(margin * s) - rest for s in demand.sizes(period))])
    return overhead
