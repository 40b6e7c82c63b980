"""What an estimator has to earn: A1, from A6, A8, A10 and a bound on input tokens (design section 2).

For a call that is given as a request, the solver is asked for the request whose bill is above its estimate;
for the smallest factor on bytes that leaves none; for the smallest additive overhead that does; and for the
largest ratio of bill to estimate, which bounds how far every cap can be overshot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import z3

from capsound.costs import BillBounds, CallCosts, costs_of
from capsound.scenario import Request, Scenario
from capsound.schedule import INTS
from capsound.steps import CallVars, Frame, Ledger
from capsound_proofs.building import as_truth, named
from capsound_proofs.margins import Demand
from capsound_proofs.terms import TERMS, Term, conj, integer, largest, value_of
from capsound_proofs.work import Ceiling, Model, Work

ESTIMATE = 10_000_000
"""The work for the questions about one request: what the shipped scenarios need is below a tenth of it."""
_LIMIT = 10**12


@dataclass(frozen=True, slots=True)
class Breaking:
    """A request whose bill is above its estimate: the one of fewest bytes, with its largest bill if that is bounded."""

    call: str
    number: int
    bytes: int
    estimate: int
    bill: int
    estimated_tokens: int
    needed_tokens: int


@dataclass(frozen=True, slots=True)
class EstimatorAnswer:
    """What the solver says of the estimator of one kind of call.

    ``earned`` is whether A1 follows. ``margin`` is the smallest safe factor, None where no factor is safe;
    ``overhead`` the smallest safe additive overhead in tokens beside the given margin, None where none is;
    ``shortfall`` the largest bill as a multiple of its estimate, None where it is not bounded.
    """

    call: str
    earned: bool | None
    breaking: Breaking | None
    margin: Fraction | None
    margin_why: str
    overhead: int | None
    shortfall: Fraction | None


class _Query:
    """One request as terms: its size, its estimate and its bill."""

    def __init__(self, costs: CallCosts, ceiling: Ceiling | None = None) -> None:
        self.costs = costs
        self.solver = Work(ESTIMATE, ceiling).solver()
        self.bounds: list[Term] = []
        call = CallVars()
        frame = Frame(TERMS, Ledger(), call, costs, self._draw, lambda *_: None)
        self.size = call.size = costs.draw_size(frame)
        self.estimate = call.cover = costs.estimate(frame)
        self.bill = costs.draw_bill(frame)
        self.solver.add(*[b for b in self.bounds if b is not True])

    def _draw(self, name: str, lo: Term, hi: Term | None) -> Term:
        if isinstance(lo, int) and isinstance(hi, int) and lo == hi:
            return lo
        amount = named(f"{name}{len(self.bounds)}")
        self.bounds.append(amount >= lo)
        if hi is not None:
            self.bounds.append(amount <= hi)
        return amount

    def find(self, *goals: Term) -> Model | bool | None:
        """Return a model, None when there is none, False when the work was not enough."""
        goal = conj(list(goals))
        if isinstance(goal, bool):
            goal = as_truth(goal)
        answer = self.solver.check(goal)
        if answer == z3.sat:
            return self.solver.model()
        return None if answer == z3.unsat else False

    def least(self, term: Term, *goals: Term) -> Model | None:
        """Return a model of the goals in which ``term`` is smallest."""
        model = self.find(*goals)
        best: Model | None = None
        low = 0
        while isinstance(model, Model):
            best = model
            high = value_of(model, term)
            if high <= low:
                break
            middle = (low + high) // 2
            model = self.find(*goals, integer(term) <= middle, integer(term) >= low)
            if not isinstance(model, Model):
                low = middle + 1
                model = self.find(*goals, integer(term) >= low, integer(term) < high) if low < high else None
        return best


def _short(query: _Query) -> Term:
    return query.bill > query.estimate


def _with(costs: CallCosts, *, margin: Fraction | None = None, overhead: int | None = None) -> CallCosts:
    estimator = costs.estimator
    if margin is not None:
        estimator = replace(estimator, margin=margin)
    if overhead is not None:
        estimator = replace(estimator, overhead=overhead)
    return replace(costs, estimator=estimator)


def _needed(costs: CallCosts, bill: int) -> int:
    """Return how many input tokens have to be estimated for the estimate to reach ``bill``."""
    assert isinstance(costs.cost, Request)
    p = costs.prices
    rest = (
        (bill - 1) * p.per + 1 - costs.cost.max_output * p.output
        if p.per > 1
        else bill - costs.cost.max_output * p.output
    )
    if p.cached is not None and costs.estimator.cached:
        # Found by bisection: the estimate grows with its tokens, cached ones included.
        return largest(lambda tokens: _priced(costs, tokens) < bill, 0) + 1 if _priced(costs, 0) < bill else 0
    bounds = () if costs.estimator.tier == "first" else p.tiers
    last = 0
    for price, over in zip(p.inputs, [*(tier.over for tier in bounds), None], strict=False):
        needed = max(last, -(-rest // max(1, price)))
        if over is None or needed <= over:
            return max(0, needed)
        last = over + 1
    raise AssertionError(bill)


def _priced(costs: CallCosts, tokens: int) -> int:
    """Return the estimate for so many input tokens."""
    plain = replace(costs.estimator, margin=Fraction(1), overhead=0, per_message=0, per_tool=0, history=False)
    counted = replace(costs, estimator=plain)
    frame = Frame(INTS, Ledger(), CallVars(size=tokens), counted, lambda *_: 0, lambda *_: None)
    return int(counted.estimate(frame))


def _fixed(costs: CallCosts) -> int:
    """Return the estimated tokens that do not depend on the bytes."""
    assert isinstance(costs.cost, Request)
    return int(costs.estimated_input(costs.cost, lambda value, by: value // by, 0))


def _breaking(query: _Query, call: str, number: int) -> Breaking | bool | None:
    first = query.find(_short(query))
    if not isinstance(first, Model):
        return first
    model = query.least(query.size, _short(query)) or first
    size = value_of(model, query.size)
    worst = _most(query, size, model)
    bill = value_of(model, query.bill) if worst is None else worst
    shown = query.find(_short(query), integer(query.size) == size, integer(query.bill) == bill)
    if not isinstance(shown, Model):
        return shown
    costs = query.costs
    assert isinstance(costs.cost, Request)
    return Breaking(
        call,
        number,
        size,
        value_of(shown, query.estimate),
        bill,
        int(costs.estimated_input(costs.cost, lambda value, by: value // by, size)),
        _needed(costs, bill),
    )


def _smallest_margin(all_costs: list[CallCosts], ceiling: Ceiling | None) -> tuple[Fraction | None, str]:
    """Return the smallest factor on bytes that leaves no request short, and why there is none."""
    margin = Fraction(0)
    for costs in all_costs:
        for _ in range(64):
            query = _Query(_with(costs, margin=margin), ceiling)
            model = query.least(query.size, _short(query))
            if model is None:
                if query.find(_short(query)) is False:
                    return None, "the solver reached its limit"
                break
            size = value_of(model, query.size)
            top = query.find(_short(query), integer(query.size) == size)
            bill = _most(query, size, top)
            if bill is None:
                return None, "the bill of one request is not bounded"
            needed = _needed(costs, bill) - _fixed(costs)
            if size == 0:
                return (
                    None,
                    f"a payload of 0 bytes is billed {_needed(costs, bill)} tokens, and any factor of 0 is 0",
                )
            margin = max(margin, Fraction(needed, size))
        else:
            if costs.prices.tiers or costs.prices.cached is not None:
                return None, "no factor was enough within 64 refinements"
            # From size to size the factor may approach a limit that no size attains: what a further byte needs
            # (theorem 10). The limit is the answer if it leaves no request short.
            margin = max(margin, Demand(costs).grows)
            query = _Query(_with(costs, margin=margin), ceiling)
            if query.find(_short(query)) is not None:
                return None, "no factor was enough within 64 refinements"
    return margin, ""


def _most(query: _Query, size: int, model: Model | bool | None) -> int | None:
    """Return the largest bill of a request of ``size`` bytes, None where it is not bounded."""
    if not isinstance(model, Model):
        return None
    fixed = integer(query.size) == size
    low = value_of(model, query.bill)
    if isinstance(query.find(fixed, integer(query.bill) >= _LIMIT), Model):
        return None
    return largest(lambda x: isinstance(query.find(fixed, integer(query.bill) >= x), Model), low)


def _smallest_overhead(all_costs: list[CallCosts], ceiling: Ceiling | None) -> int | None:
    """Return the smallest overhead in tokens, beside the given margin, that leaves no request short."""
    overhead = 0
    # The last call of an agent needs most: asked first, it leaves one question to each of the others.
    for costs in reversed(all_costs):

        def short(tokens: int, costs: CallCosts = costs) -> bool:
            query = _Query(_with(costs, overhead=tokens), ceiling)
            return query.find(_short(query)) is not None

        if short(_LIMIT):
            return None
        if short(overhead):
            overhead = largest(short, overhead) + 1
    return overhead


def _largest_ratio(all_costs: list[CallCosts], ceiling: Ceiling | None) -> Fraction | None:
    """Return the largest bill as a multiple of its estimate (Dinkelbach's iteration), None if unbounded."""
    ratio = Fraction(1)
    for costs in reversed(all_costs):
        query = _Query(costs, ceiling)
        if query.find(integer(query.estimate) <= 0, query.bill > 0) is not None:
            return None
        if query.find(integer(query.bill) >= _LIMIT) is not None:
            return None
        for _ in range(64):
            n, d = ratio.numerator, ratio.denominator
            gap = integer(query.bill) * d - integer(query.estimate) * n
            first = query.find(gap > 0)
            if first is None:
                break
            least = value_of(first, gap) if isinstance(first, Model) else 1
            best = largest(lambda x, q=query, g=gap: isinstance(q.find(g >= x), Model), least)  # type: ignore[misc]
            model = query.find(gap >= best)
            if not isinstance(model, Model):
                return None
            ratio = Fraction(value_of(model, query.bill), value_of(model, query.estimate))
        else:
            return None
    return ratio


def judge_estimator(scenario: Scenario, call: str, ceiling: Ceiling | None = None) -> EstimatorAnswer:
    """Return what the solver says of the estimator for one kind of call, over every call of every agent."""
    free = replace(scenario.assume, a1=False, shortfall=None)
    longest = max((a.calls for a in scenario.agents if a.call == call), default=1)
    kind = scenario.call(call).cost
    assert isinstance(kind, Request)
    numbers = range(longest) if kind.growth else range(1)
    all_costs = [replace(costs_of(scenario, call, n), bounds=BillBounds.of(free)) for n in numbers]
    breaking: Breaking | None = None
    earned: bool | None = True
    for number, costs in enumerate(all_costs):
        found = _breaking(_Query(costs, ceiling), call, number)
        if isinstance(found, Breaking):
            breaking, earned = found, False
            break
        if found is False:
            earned = None
    margin, why = _smallest_margin(all_costs, ceiling)
    return EstimatorAnswer(
        call,
        earned,
        breaking,
        margin,
        why,
        _smallest_overhead(all_costs, ceiling),
        Fraction(1) if earned else _largest_ratio(all_costs, ceiling),
    )
