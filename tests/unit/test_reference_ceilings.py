"""The ceilings of the reference implementation: what they refuse, what a period forgets, and how a block ends."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime

import pytest

from capsound_reference import BadAmount, BudgetRefused, Ceiling, CopyRefused, HoldSent, HoldUsed, today


class Days:
    """A period that is moved by hand."""

    def __init__(self) -> None:
        self.day = 1

    def __call__(self) -> int:
        return self.day


def test_a_call_holds_in_all_of_its_ceilings_or_in_none() -> None:
    team = Ceiling(10, "team")
    one, two = Ceiling(8, "one", team), Ceiling(8, "two", team)
    one.reserve(6)
    with pytest.raises(BudgetRefused, match="team has 4 available, and 5 was asked for") as refused:
        two.reserve(5)
    assert (refused.value.account, refused.value.amount) == ("team", 5)
    assert two.balances == (8, 0, 0)
    two.reserve(4).settle(3)
    assert (team.balances, two.balances) == ((1, 6, 3), (5, 0, 3))


def test_a_period_forgets_what_was_spent_and_nothing_that_is_held() -> None:
    days = Days()
    team = Ceiling(10, "team", period=days)
    with team.call(4) as hold:
        hold.sent()
        hold.settle(3)
    flight = team.reserve(6)
    days.day = 2
    assert team.balances == (4, 6, 0)
    with pytest.raises(BudgetRefused):
        team.reserve(5)
    flight.settle(8)  # it counts where it is settled, in full: into debt
    assert team.balances == (2, 0, 8)
    days.day = 1  # a clock that goes back frees nothing
    assert team.balances == (2, 0, 8)
    days.day = 3
    assert team.balances == (10, 0, 0)


def test_ceilings_may_have_periods_of_their_own() -> None:
    days = Days()
    project = Ceiling(5, "project")
    daily = Ceiling(3, "daily", project, period=days)
    daily.reserve(3).settle(3)
    days.day = 2
    assert (daily.balances, project.balances) == ((3, 0, 0), (2, 0, 3))
    with pytest.raises(BudgetRefused, match="project has 2"):
        daily.reserve(3)


def test_a_block_resolves_its_hold_by_what_is_known() -> None:
    ceiling = Ceiling(10)
    with pytest.raises(ConnectionError), ceiling.call(4):
        raise ConnectionError
    assert ceiling.balances == (10, 0, 0)
    with ceiling.call(4) as hold:
        hold.sent()
    assert ceiling.balances == (6, 0, 4)


def test_misuse_is_refused_and_changes_nothing() -> None:
    ceiling = Ceiling(10)
    hold = ceiling.reserve(4)
    hold.sent()
    for wrong in (lambda: ceiling.reserve(-1), lambda: ceiling.reserve(1.0), lambda: hold.settle(True)):  # type: ignore[arg-type]
        with pytest.raises(BadAmount):
            wrong()
    with pytest.raises(HoldSent):
        hold.release()
    hold.settle(1)
    for again in (hold.sent, hold.release, hold.forfeit, lambda: hold.settle(1)):
        with pytest.raises(HoldUsed):
            again()
    for handle in (ceiling, hold):
        with pytest.raises(CopyRefused):
            copy.copy(handle)
    assert ceiling.balances == (9, 0, 1)


def test_today_is_that_of_utc() -> None:
    before = datetime.now(UTC).date()
    assert before <= today() <= datetime.now(UTC).date()
    assert type(today()) is date
