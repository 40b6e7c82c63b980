"""The published aggregate model: its figures, its two explorations, and what it notices when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from math import comb

import pytest

from capsound.errors import BadAmount, BadDiscipline
from capsound.published import (
    INVARIANTS,
    Action,
    Counts,
    Move,
    State,
    Step,
    actions_of,
    confirm_with_refund,
    explore,
    initial,
    is_non_negative,
    refuse_spend,
    spend_success,
)
from capsound.published_fast import explore_fast

PINNED = [
    (5, False, 252, 1_921),
    (5, True, 252, 4_267),  # the published figure
    (10, False, 3_003, 52_911),
    (10, True, 3_003, 103_390),  # the published figure
]
ONLY_CAP = {"cap-soundness": INVARIANTS["cap-soundness"]}


def closed_form(budget: int, *, published_actions: bool) -> tuple[int, int]:
    """Distinct and generated states by counting compositions, without any exploration."""
    states = comb(budget + 5, 5)
    pool = comb(budget + 5, 6)  # every r of one pool, in every state
    pair = pool + comb(budget + 6, 7)  # every (r, c) of one pool, in every state
    generated = 1 + 4 * pool + 2 * pair
    if published_actions:
        refused = 5 * pool + states  # r - live ranges over the five other pools, and B0 + 1
        generated += refused + pair + 2 * states
    return states, generated


@pytest.mark.parametrize("search", [explore, explore_fast])
@pytest.mark.parametrize(("budget", "published_actions", "distinct", "generated"), PINNED)
def test_pinned_counts(
    search: Callable[..., Counts], budget: int, published_actions: bool, distinct: int, generated: int
) -> None:
    counts = search(budget, published_actions=published_actions)
    assert counts == Counts(distinct, generated, depth=4, complete=True)


@pytest.mark.parametrize("published_actions", [False, True])
def test_budget_of_twenty(published_actions: bool) -> None:
    counts = explore_fast(20, published_actions=published_actions)
    generated = 4_257_991 if published_actions else 2_378_201
    assert counts == Counts(53_130, generated, depth=4, complete=True)
    assert closed_form(20, published_actions=published_actions) == (53_130, generated)


def test_budget_of_thirty_in_closed_form() -> None:
    assert closed_form(30, published_actions=False)[0] == 324_632


@pytest.mark.parametrize("published_actions", [False, True])
@pytest.mark.parametrize("budget", range(8))
def test_readable_and_fast_agree(budget: int, published_actions: bool) -> None:
    counts = explore(budget, published_actions=published_actions)
    assert counts == explore_fast(budget, published_actions=published_actions)
    assert (counts.distinct, counts.generated) == closed_form(budget, published_actions=published_actions)


def test_the_other_four_actions_reach_nothing_new() -> None:
    six, ten = explore(6), explore(6, published_actions=True)
    assert (six.distinct, six.depth) == (ten.distinct, ten.depth)
    assert list(actions_of(6)) == list(actions_of(6, published_actions=True))[:6]


def test_a_refusal_reaches_one_beyond_the_budget() -> None:
    assert [move.amount for move in refuse_spend(5, initial(5))] == [6]
    spent = initial(5)._replace(live=3, charged=2)
    assert [(move.amount, move.after) for move in refuse_spend(5, spent)] == [(r, spent) for r in (4, 5, 6)]


def test_two_counts_do_not_fix_the_other_actions() -> None:
    def blocks(budget: int) -> tuple[int, ...]:
        pool, partial_pair = comb(budget + 5, 6), comb(budget + 6, 7)
        return comb(budget + 5, 5), pool, partial_pair, pool + partial_pair, 5 * pool

    at_5, at_10 = blocks(5), blocks(10)
    assert at_5 == (252, 210, 330, 540, 1_050)
    surplus = (4_267 - 1_921, 103_390 - 52_911)
    assert surplus == (2_346, 50_479)
    # Every multiplicity that fits at B0 = 5, so the list of decompositions is complete.
    ranges = [range(surplus[0] // block + 1) for block in at_5]
    fits = [
        many
        for many in product(*ranges)
        if sum(n * block for n, block in zip(many, at_5, strict=True)) == surplus[0]
        and sum(n * block for n, block in zip(many, at_10, strict=True)) == surplus[1]
    ]
    #               stutter, pool, pair with c >= 1, pair, refused up to B0
    assert fits == [(3, 0, 0, 1, 1), (3, 1, 1, 0, 1), (3, 5, 0, 1, 0), (3, 6, 1, 0, 0)]


def refund_all(state: State) -> Iterator[Move]:
    """``confirm_with_refund`` with its bug: the whole receipt is refunded, whatever the call cost."""
    for move in confirm_with_refund(state):
        yield move._replace(after=move.after._replace(refunds=state.refunds + move.amount))


@pytest.mark.parametrize("published_actions", [False, True])
def test_a_wrong_refund_breaks_conservation_in_two_steps(published_actions: bool) -> None:
    counts = explore(5, published_actions=published_actions, replacing={"confirm_with_refund": refund_all})
    assert not counts.complete
    assert counts.depth == 2
    assert counts.violation is not None
    assert counts.violation.invariant == "conservation"
    assert counts.violation.steps == (
        Step("reserve", 1, None, State(4, 1, 0, 0, 0, 0)),
        Step("confirm_with_refund", 1, 1, State(4, 0, 1, 1, 0, 0)),
    )


@pytest.mark.parametrize("budget", [1, 2, 5])
def test_a_wrong_refund_breaks_the_cap_two_steps_later(budget: int) -> None:
    counts = explore(budget, replacing={"confirm_with_refund": refund_all}, invariants=ONLY_CAP)
    assert counts.violation is not None
    assert counts.violation.invariant == "cap-soundness"
    assert [(step.action, step.amount, step.cost) for step in counts.violation.steps] == [
        ("reserve", 1, None),
        ("confirm_with_refund", 1, 1),
        ("refund_to", 1, None),
        ("spend_success", budget, budget),
    ]
    assert counts.violation.steps[-1].after.charged == budget + 1


def bill_one_more(state: State) -> Iterator[Move]:
    """``spend_success`` without its assumption: the provider may charge one more than the reserve."""
    yield from spend_success(state)
    for r in range(1, state.live + 1):
        yield Move(r, r + 1, state._replace(live=state.live - r, charged=state.charged + r + 1))


def bill_from_the_lost(state: State) -> Iterator[Move]:
    """The same, with the missing unit taken from ``unrecoverable`` so that the sum still holds."""
    for move in bill_one_more(state):
        assert move.cost is not None
        lost = state.unrecoverable + move.amount - move.cost
        yield move._replace(after=move.after._replace(unrecoverable=lost))


@pytest.mark.parametrize(
    ("spend", "invariants", "broken", "first"),
    [
        (bill_one_more, INVARIANTS, "conservation", (1, 2)),
        (bill_from_the_lost, INVARIANTS, "non-negative", (1, 2)),
        (bill_one_more, ONLY_CAP, "cap-soundness", (5, 6)),
    ],
)
def test_a_bill_above_the_reserve_breaks_the_model_at_once(
    spend: Action, invariants: Mapping[str, Callable[[State, int], bool]], broken: str, first: tuple[int, int]
) -> None:
    counts = explore(5, replacing={"spend_success": spend}, invariants=invariants)
    assert counts.violation is not None
    assert counts.violation.invariant == broken
    assert [(step.amount, step.cost) for step in counts.violation.steps] == [first]


def test_the_initial_state_is_checked_too() -> None:
    counts = explore(5, invariants={"never": lambda state, budget: False})
    assert counts.violation is not None
    assert (counts.violation.invariant, counts.violation.steps) == ("never", ())
    assert counts == Counts(1, 1, 0, complete=False, violation=counts.violation)


def test_a_limit_of_states_ends_an_endless_exploration() -> None:
    endless = explore(
        1,
        replacing={"confirm_with_refund": refund_all},
        invariants={"non-negative": is_non_negative},
        max_states=500,
    )
    assert (endless.distinct, endless.complete, endless.violation) == (500, False, None)
    assert explore(5, max_states=252) == explore(5)
    assert explore(5, max_states=251).complete is False
    assert explore(5, max_states=0).distinct == 1


def test_an_unknown_action_cannot_be_replaced() -> None:
    with pytest.raises(BadDiscipline, match="split"):
        explore(5, replacing={"split": spend_success})
    assert explore(2, published_actions=True, replacing={"split": spend_success}).complete


@pytest.mark.parametrize("search", [explore, explore_fast])
@pytest.mark.parametrize("budget", [-1, True, False, 5.0, float("nan"), "5", None])
def test_a_budget_is_an_amount(search: Callable[..., Counts], budget: object) -> None:
    with pytest.raises(BadAmount):
        search(budget)


@pytest.mark.parametrize("limit", [-1, True, 5.0])
def test_a_limit_is_an_amount(limit: int) -> None:
    with pytest.raises(BadAmount):
        explore(5, max_states=limit)
