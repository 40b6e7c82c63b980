"""The smallest and the largest estimate and bill of a call, by evaluating its costs at their extremes.

Estimates and bills are monotone in every choice of the environment, so the extremes of the choices give the
extremes of the results; a choice without an upper bound gives a result without one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from capsound.costs import CallCosts
from capsound.scenario import Interval, Plain, Several, Stream
from capsound.schedule import INTS
from capsound.steps import CallVars, Frame, Ledger

_HUGE = 10**40
"""Stands for "no upper bound": no scenario amount reaches it, and sums of it stay recognisable."""


def cost_ranges(costs: CallCosts) -> tuple[Interval, Interval]:
    """Return the ranges of the estimate and of one bill of a call, None where there is no upper bound."""
    if isinstance(costs.cost, Several):
        each = [cost_ranges(replace(costs, cost=kind)) for kind in costs.cost.kinds]
        return _hull(estimate for estimate, _ in each), _hull(bill for _, bill in each)
    low = _evaluate(costs, top=False)
    high = _evaluate(costs, top=True)
    estimate = Interval(low[0], None if high[0] >= _HUGE else high[0])
    bill = Interval(low[1], None if high[1] >= _HUGE else high[1])
    return estimate, bill


def largest_bill(costs: CallCosts) -> int | None:
    """Return what one call can be billed at most, None where there is no bound."""
    match costs.cost:
        case Stream(chunk=chunk, chunks=chunks):
            return None if chunk.hi is None else chunk.hi * (chunks + 1)
        case Plain(estimate=Interval(hi=hi)) if costs.bounds.within_hold:
            bill = cost_ranges(costs)[1].hi
            return hi if bill is None else bill if hi is None else min(hi, bill)
        case _:
            return cost_ranges(costs)[1].hi


def _hull(ranges: Iterable[Interval]) -> Interval:
    found = list(ranges)
    tops = [interval.hi for interval in found]
    most = max((top for top in tops if top is not None), default=0)
    return Interval(min(interval.lo for interval in found), None if None in tops else most)


def _evaluate(costs: CallCosts, *, top: bool) -> tuple[int, int]:
    # Of tokens that are cheaper to read from a cache, fewest make the largest bill.
    cheaper = costs.prices.cached is not None and costs.prices.cached <= costs.prices.input

    def draw(name: str, lo: int, hi: int | None) -> int:
        largest = not top if name == "cached" and cheaper else top
        return (_HUGE if hi is None else max(lo, hi)) if largest else lo

    call = CallVars()
    frame = Frame(INTS, Ledger(), call, costs, draw, lambda *_: None)
    call.size = costs.draw_size(frame)
    call.cover = costs.estimate(frame)
    return call.cover, costs.draw_bill(frame)
