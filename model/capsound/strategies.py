"""Strategies: how much to reserve for a call whose bill is not known yet, and what to learn from the bill.

A strategy is a rule for the input, which says how many tokens to expect, and a rule for the output, which says for how
many tokens to hold money and when. Both are data; ``plan``, ``extension`` and ``learn`` are pure functions of them.
``capsound_proofs.strategies`` runs ``estimated_tokens`` on solver terms: that is why it asks an algebra.

``capsound.catalog`` names them. Which of them earn A1, and under what premises, is in docs/ratio.md.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from capsound.costs import BillBounds, CallCosts
from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound.frames import Algebra, Num
from capsound.scenario import ANY, Assume, Estimator, Request
from capsound.workload import INTS, Call, Seen, price


class NoCount(CapsoundError):
    """A strategy that needs a token count was given a request without one."""

    name = "no-count"
    exit_status = EXIT_BAD_INPUT


# ------------------------------------------------------------------------------------------ rules for input


@dataclass(frozen=True, slots=True)
class ByBytes:
    """Expect what an ``Estimator`` makes of bytes, messages, tools and, if it counts it, history."""

    estimator: Estimator


@dataclass(frozen=True, slots=True)
class Counted:
    """Expect what a token counter said, and the overhead of the estimator for what the counter does not see."""

    estimator: Estimator


@dataclass(frozen=True, slots=True)
class RunningMaximum:
    """Expect bytes x (max(``floor``, the largest ratio observed) + ``epsilon``).

    The published "adaptive" estimator (arXiv 2606.04056) is floor 1, epsilon 0.1. A ratio is input tokens per byte.
    """

    epsilon: Fraction
    floor: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class RollingQuantile:
    """Expect bytes x max(``floor``, the ``share``-quantile of the last ``window`` observed ratios)."""

    share: Fraction
    window: int = 50
    floor: Fraction = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Expect the larger of what was learned and what a bound on the provider says: never below the bound."""

    learner: RunningMaximum
    bound: Estimator


@dataclass(frozen=True, slots=True)
class Conformal:
    """Reserve the quantile of past bills, as shares of their bounds, that a new one exceeds with probability ``risk``.

    With n bills known, the ceil((n + 1)(1 - risk))-th smallest share; the whole bound while that is above n. The
    probability holds for exchangeable calls (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*,
    2005): an average over calls, not a promise for any one of them. Money, not tokens: output is learned as well.
    Only the first ``calls`` bills are learned from, which takes nothing from that.
    """

    risk: Fraction
    bound: Estimator
    calls: int = 1_000


InputRule = ByBytes | Counted | RunningMaximum | RollingQuantile | Fallback | Conformal

# ----------------------------------------------------------------------------------------- rules for output


@dataclass(frozen=True, slots=True)
class Whole:
    """Hold money for max_output tokens until the bill is known."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Ask for fewer output tokens where max_output does not fit into what is left, but for at least ``least``."""

    least: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Hold two chunks of ``chunk`` tokens ahead of what has arrived; abort when that cannot be extended (A9)."""

    chunk: int


@dataclass(frozen=True, slots=True)
class EarlySettle:
    """Hold input and output apart, and settle the input as soon as the provider tells its usage, before the output."""


OutputRule = Whole | Fit | Stream | EarlySettle


@dataclass(frozen=True, slots=True)
class Strategy:
    """A rule for the input and a rule for the output, under one name."""

    name: str
    input: InputRule
    output: OutputRule = Whole()


# ------------------------------------------------------------------------------------------------- learning


@dataclass(frozen=True, slots=True)
class Memory:
    """What has been learned: ``peak`` and ``recent`` tokens per byte; ``scores``, bills as shares of their bounds."""

    peak: Fraction = Fraction(0)
    recent: tuple[Fraction, ...] = ()
    scores: tuple[Fraction, ...] = ()


NOTHING: Final = Memory()


def learn(strategy: Strategy, memory: Memory, call: Call) -> Memory:
    """Return the memory after the bill of ``call``; rules that do not learn leave it as it was.

    A request of no bytes has no ratio, and one whose bound is 0 no score: nothing is learned from them.
    """
    match strategy.input:
        case RunningMaximum() | Fallback() if call.seen.bytes:
            return replace(memory, peak=max(memory.peak, Fraction(call.input_tokens, call.seen.bytes)))
        case RollingQuantile(window=window) if call.seen.bytes:
            return replace(memory, recent=(*memory.recent, Fraction(call.input_tokens, call.seen.bytes))[-window:])
        case Conformal(bound=bound, calls=calls) if len(memory.scores) < calls:
            whole = _whole(call.seen, estimate_of(bound, call.seen))
            if whole:
                scores = list(memory.scores)
                insort(scores, Fraction(call.bill, whole))
                return replace(memory, scores=tuple(scores))
        case _:
            pass
    return memory


# ----------------------------------------------------------------------------------------------- estimating

_BOUNDS: Final = BillBounds.of(Assume())


def estimate_of(estimator: Estimator, seen: Seen, size: Num | None = None, algebra: Algebra = INTS) -> Num:
    """Return the input tokens that an estimator expects, of ``size`` where that is not the bytes of the request."""
    request = Request(ANY, messages=seen.messages, tools=seen.tools, growth=seen.history)
    costs = CallCosts(request, _BOUNDS, estimator, earlier=1)
    return costs.estimated_input(request, algebra.floordiv, seen.bytes if size is None else size)


def estimated_tokens(rule: InputRule, seen: Seen, memory: Memory = NOTHING, algebra: Algebra = INTS) -> Num:
    """Return the input tokens that a rule expects of a request; ``Conformal`` starts from those of its bound.

    Raises ``NoCount`` where the rule needs a count that the request does not carry.
    """
    match rule:
        case ByBytes(estimator=estimator):
            return estimate_of(estimator, seen, algebra=algebra)
        case Counted(estimator=estimator):
            if seen.counted is None:
                raise NoCount(
                    "there is no token count for this request",
                    cause="the strategy reserves what a token counter says",
                    hint="give the workload a column `counted`, or leave the strategies that count tokens out",
                )
            return estimate_of(estimator, seen, seen.counted, algebra)
        case RunningMaximum(epsilon=epsilon, floor=floor):
            margin = max(floor, memory.peak) + epsilon
            return algebra.floordiv(seen.bytes * margin.numerator, margin.denominator)
        case RollingQuantile(share=share, floor=floor):
            margin = max(floor, quantile(sorted(memory.recent), share)) if memory.recent else floor
            return algebra.floordiv(seen.bytes * margin.numerator, margin.denominator)
        case Fallback(learner=learner, bound=bound):
            learned = estimated_tokens(learner, seen, memory, algebra)
            sound = estimate_of(bound, seen, algebra=algebra)
            return algebra.ite(learned >= sound, learned, sound)
        case Conformal(bound=bound):
            return estimate_of(bound, seen, algebra=algebra)


def conformal_share(rule: Conformal, memory: Memory) -> Fraction:
    """Return the share of its bound that is reserved for the next call: 1 until enough bills are known."""
    rank = -((-(len(memory.scores) + 1) * (1 - rule.risk)) // 1)
    return Fraction(1) if rank > len(memory.scores) else memory.scores[max(rank, 1) - 1]


def quantile(ordered: list[Fraction], share: Fraction) -> Fraction:
    """Return a quantile of sorted values, between two of them by linear interpolation.

    That is type 7 of Hyndman and Fan (1996): the median of an even number of values is the mean of the middle two.
    """
    place = (len(ordered) - 1) * share
    below = place.numerator // place.denominator
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


# ------------------------------------------------------------------------------------------------- planning


@dataclass(frozen=True, slots=True)
class Plan:
    """How a call is made: what is reserved first, for how many tokens of input, and the output that is asked for.

    ``apart`` is the part of ``amount`` that is held, and settled, for the input alone.
    """

    amount: int
    input_tokens: int
    max_output: int
    chunk: int | None = None
    apart: int | None = None


def plan(strategy: Strategy, seen: Seen, memory: Memory, free: int) -> Plan:
    """Return how to make a call when ``free`` is what is left of the cap.

    Raises ``NoCount`` as ``estimated_tokens`` does.
    """
    tokens, most = estimated_tokens(strategy.input, seen, memory), seen.max_output
    if isinstance(strategy.input, Conformal):
        share = conformal_share(strategy.input, memory)
        whole = _whole(seen, tokens) * share
        return Plan(-(-whole.numerator // whole.denominator), tokens, most)
    match strategy.output:
        case Fit(least=least) if price(seen.prices, tokens, most) > free:
            most = max(min(least, most), _affordable(seen, tokens, free))
        case Stream(chunk=chunk):
            return Plan(price(seen.prices, tokens, ahead(chunk, 0, most)), tokens, most, chunk=chunk)
        case EarlySettle():
            apart = price(seen.prices, tokens, 0)
            return Plan(apart + price(seen.prices, 0, most), tokens, most, apart=apart)
        case _:
            pass
    return Plan(price(seen.prices, tokens, most), tokens, most)


def ahead(chunk: Num, received: Num, most: Num, algebra: Algebra = INTS) -> Num:
    """Return for how many output tokens a stream holds money once ``received`` have arrived: two chunks ahead.

    Why two: the next chunk may be on its way already when the stream is aborted (A9), so that one chunk must be
    covered while the decision on the one after it is taken.
    """
    wanted = received + chunk + chunk
    return algebra.ite(wanted >= most, most, wanted)


def extension(made: Plan, seen: Seen, received: int) -> int:
    """Return what a stream has to hold once ``received`` output tokens have arrived, in units of money."""
    assert made.chunk is not None
    return price(seen.prices, made.input_tokens, ahead(made.chunk, received, made.max_output))


def _whole(seen: Seen, tokens: int) -> int:
    return price(seen.prices, tokens, seen.max_output)


def _affordable(seen: Seen, tokens: int, free: int) -> int:
    """Return the most output tokens that fit into ``free`` beside so many input tokens, at most max_output."""
    if not seen.prices.output:
        return seen.max_output
    return min(seen.max_output, (free * seen.prices.per - tokens * seen.prices.input) // seen.prices.output)
