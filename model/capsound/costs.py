"""What one call may cost: the estimate that admits it, and the bills that the environment may choose.

``A1`` follows from ``A6``, ``A8``, ``A10`` and a bound on input tokens (design section 2). Here each of them
is one clause of the choice, so that switching one off lets exactly the bills through that it forbids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from capsound.errors import BadDiscipline
from capsound.frames import Algebra, Costs, Frame, Num
from capsound.scenario import (
    MONEY,
    REQUESTS,
    Assume,
    Estimator,
    Interval,
    Plain,
    Prices,
    Provider,
    Request,
    Scenario,
    Stream,
)


@dataclass(frozen=True, slots=True)
class BillBounds:
    """The clauses about bills that do not depend on the shape of the call.

    ``within_hold`` is A1; ``shortfall`` bounds a bill by that many times what it was admitted for;
    ``truthful`` is A7; ``rise`` and ``repeats`` are how much A8 and A10 may fail (None: without bound).
    """

    within_hold: bool
    shortfall: Fraction | None
    truthful: bool
    rise: Fraction | None
    repeats: int | None
    stops_within_chunk: bool

    @classmethod
    def of(cls, assume: Assume) -> BillBounds:
        """Return the clauses that the assumptions of a scenario leave in force."""
        return cls(
            within_hold=assume.a1 is True,
            shortfall=None if assume.a1 else assume.shortfall,
            truthful=assume.a7,
            rise=Fraction(1) if assume.a8 else assume.rise,
            repeats=0 if assume.a10 else assume.hidden_retries,
            stops_within_chunk=assume.a9,
        )


@dataclass(frozen=True, slots=True)
class CallCosts:
    """The costs of one call; ``earlier`` is how many calls the same agent has made before it."""

    cost: Plain | Request | Stream
    bounds: BillBounds
    estimator: Estimator = Estimator()
    provider: Provider = Provider()
    prices: Prices = Prices()
    a6: bool = True
    earlier: int = 0

    # ------------------------------------------------------------------------------------ the estimate

    @property
    def size(self) -> Interval:
        """What the environment chooses of the request: its estimate, its bytes, or its chunk."""
        match self.cost:
            case Plain(estimate=estimate):
                return estimate
            case Request(bytes=size):
                return size
            case Stream(chunk=chunk):
                return chunk

    def draw_size(self, frame: Frame) -> Num:
        """Choose what the estimate is made from."""
        return frame.draw("size", self.size.lo, self.size.hi)

    def estimate(self, frame: Frame) -> Num:
        """Return the estimate of the frame's call, in units of money."""
        return self._estimate_of(frame, frame.call.size)

    def _estimate_of(self, frame: Frame, size: Num) -> Num:
        match self.cost:
            case Plain():
                return size
            case Stream():
                # One chunk may be under way when the stream is aborted (A9): two chunks cover the first.
                return size + size
            case Request() as request:
                tokens = self.estimated_input(request, frame.algebra.floordiv, size)
                cached = self.estimator.cached
                cached = frame.minimum(cached, tokens) if cached else 0
                first = self.estimator.tier == "first"
                return self._price(frame.algebra, tokens, request.max_output, cached, first=first)

    def estimated_input(self, request: Request, floordiv: object, size: Num) -> Num:
        """Return the input tokens that the estimator expects of a request of ``size`` bytes."""
        margin = self.estimator.margin
        fixed = (
            self.estimator.overhead
            + self.estimator.per_message * request.messages
            + self.estimator.per_tool * request.tools
            + (request.growth * self.earlier if self.estimator.history else 0)
        )
        return floordiv(size * margin.numerator, margin.denominator) + fixed  # type: ignore[operator]

    def _price(self, algebra: Algebra, tokens_in: Num, tokens_out: Num, cached: Num = 0, *, first: bool = False) -> Num:
        """Return the cost of so many tokens, rounded up to a whole unit; ``first``: as if there were one tier."""
        prices = self.prices
        read = cached if prices.cached is not None else 0
        cost = (tokens_in - read) * prices.input
        for tier in () if first else prices.tiers:
            cost = algebra.ite(tokens_in > tier.over, (tokens_in - read) * tier.price, cost)
        cost = cost + read * (prices.cached or 0) + tokens_out * prices.output
        return cost if prices.per == 1 else algebra.floordiv(cost + (prices.per - 1), prices.per)

    # ---------------------------------------------------------------------------------------- the bill

    def draw_bill(self, frame: Frame) -> Num:
        """Choose what the provider bills for one request."""
        match self.cost:
            case Plain(bill=bill) as plain:
                return self._draw_within(frame, bill.lo, plain.highest(frame.algebra, frame.call.size))
            case Request() as request:
                return self._draw_request(frame, request)
            case Stream():
                return self.draw_chunk(frame)

    def _draw_request(self, frame: Frame, request: Request) -> Num:
        counted = self._input_bound(frame, request)
        tokens_in = frame.draw("input", counted[0], counted[1])
        cached: Num = 0
        if self.prices.cached is not None and request.cached.hi != 0:
            low, high = frame.minimum(request.cached.lo, tokens_in), tokens_in
            high = high if request.cached.hi is None else frame.minimum(request.cached.hi, tokens_in)
            cached = frame.draw("cached", low, high)
        output = request.output_tokens or Interval(0, request.max_output)
        most = output.hi
        if self.a6:
            most = request.max_output if most is None else min(most, request.max_output)
        tokens_out = frame.draw("output", min(output.lo, most) if most is not None else output.lo, most)
        base = self._price(frame.algebra, tokens_in, tokens_out, cached)
        if self.bounds.rise == 1 and self.bounds.repeats == 0 and not self._capped:
            return base
        if self.bounds.rise is None or self.bounds.repeats is None:
            return self._draw_within(frame, base, None)
        rise = self.bounds.rise
        raised = frame.algebra.floordiv(base * rise.numerator + (rise.denominator - 1), rise.denominator)
        return self._draw_within(frame, base, raised * (1 + self.bounds.repeats), scaled=True)

    def _input_bound(self, frame: Frame, request: Request) -> tuple[Num, Num | None]:
        """Return the fewest and the most input tokens that the provider may count."""
        history = request.growth * self.earlier
        if request.input_tokens is not None:
            hi = request.input_tokens.hi
            return request.input_tokens.lo + history, None if hi is None else hi + history
        ratio = self.provider.tokens_per_byte
        most = (
            frame.algebra.floordiv(frame.call.size * ratio.numerator, ratio.denominator)
            + self.provider.template
            + self.provider.per_message * request.messages
            + self.provider.per_tool * request.tools
            + history
        )
        return 0, most

    @property
    def _capped(self) -> bool:
        return self.bounds.within_hold or self.bounds.shortfall is not None

    def _draw_within(self, frame: Frame, lo: Num, hi: Num | None, *, scaled: bool = False) -> Num:
        """Choose a bill from ``lo`` to ``hi`` that the clauses allow."""
        if hi is not None and not scaled:
            if self.bounds.repeats is None or self.bounds.rise is None:
                hi = None
            else:
                rise = self.bounds.rise * (1 + self.bounds.repeats)
                hi = frame.algebra.floordiv(hi * rise.numerator + (rise.denominator - 1), rise.denominator)
        if self.bounds.within_hold:
            hi = frame.call.cover if hi is None else frame.minimum(hi, frame.call.cover)
        elif self.bounds.shortfall is not None:
            ratio = self.bounds.shortfall
            most = frame.algebra.floordiv(frame.call.cover * ratio.numerator, ratio.denominator)
            hi = most if hi is None else frame.minimum(hi, most)
        return frame.draw("bill", lo, hi)

    def draw_told(self, frame: Frame, bill: Num) -> Num:
        """Choose what the provider reports of a bill: all of it under A7."""
        return bill if self.bounds.truthful else frame.draw("told", 0, bill)

    def counted_in(self, dimension: str) -> Costs:
        """Return the costs in tokens or requests. Raises ``BadDiscipline`` where the tokens are not known."""
        if dimension == MONEY:
            return self
        if dimension == REQUESTS and not isinstance(self.cost, Stream):
            return ONE
        if dimension == REQUESTS or not isinstance(self.cost, Request):
            what = "a stream" if isinstance(self.cost, Stream) else "a call of estimate and bill"
            raise BadDiscipline(
                f"{what} is not counted in {dimension}",
                hint="give the call as a request: bytes, max_output, input_tokens, output_tokens",
            )
        # A token is a token, whatever becomes of its price.
        return replace(self, prices=Prices(), bounds=replace(self.bounds, rise=Fraction(1)))

    # ---------------------------------------------------------------------------------------- streams

    def chunk(self, frame: Frame) -> Num:
        """Return the largest bill of one chunk."""
        return frame.call.size

    def draw_chunk(self, frame: Frame) -> Num:
        """Choose what one further chunk is billed."""
        return frame.draw("chunk", 0, frame.call.size)

    def draw_tail(self, frame: Frame, left: int) -> Num:
        """Choose what an aborted stream is still billed: one chunk under A9, else all that was ``left``."""
        most = frame.call.size if self.bounds.stops_within_chunk else frame.call.size * max(1, left)
        return frame.draw("tail", 0, most)


@dataclass(frozen=True, slots=True)
class OneRequest:
    """A call as it is counted in requests: one, whatever it costs."""

    def draw_size(self, frame: Frame) -> Num:  # noqa: ARG002 - as of every call
        """Return one."""
        return 1

    def estimate(self, frame: Frame) -> Num:  # noqa: ARG002 - as of every call
        """Return one."""
        return 1

    def draw_bill(self, frame: Frame) -> Num:  # noqa: ARG002 - as of every call
        """Return one."""
        return 1

    def draw_told(self, frame: Frame, bill: Num) -> Num:  # noqa: ARG002 - as of every call
        """Return all of it."""
        return bill

    def chunk(self, frame: Frame) -> Num:  # noqa: ARG002 - as of every call
        """Raise ``BadDiscipline``: streams are not counted in requests."""
        raise BadDiscipline("a stream is not counted in requests", hint='give the ceiling dimension = "money"')

    def draw_chunk(self, frame: Frame) -> Num:
        """Raise ``BadDiscipline``."""
        return self.chunk(frame)

    def draw_tail(self, frame: Frame, left: int) -> Num:  # noqa: ARG002 - as of every call
        """Raise ``BadDiscipline``."""
        return self.chunk(frame)


ONE = OneRequest()


def counted(costs: CallCosts, dimension: str) -> CallCosts:
    """Return the costs of a call in one dimension, as the costs of a call. Raises ``BadDiscipline``."""
    found = costs.counted_in(dimension)
    if isinstance(found, CallCosts):
        return found
    return replace(costs, cost=Plain(Interval.exactly(1), Interval.exactly(1)), bounds=ONE_REQUEST)


ONE_REQUEST = BillBounds(
    within_hold=True, shortfall=None, truthful=True, rise=Fraction(1), repeats=0, stops_within_chunk=True
)


def costs_of(scenario: Scenario, call: str, earlier: int = 0) -> CallCosts:
    """Return the costs of the ``earlier``-th call (from 0) of an agent, under the scenario's assumptions."""
    return CallCosts(
        cost=scenario.call(call).cost,
        bounds=BillBounds.of(scenario.assume),
        estimator=scenario.estimator,
        provider=scenario.provider,
        prices=scenario.prices,
        a6=scenario.assume.a6,
        earlier=earlier,
    )
