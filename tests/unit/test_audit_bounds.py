"""What calls without a known bill may have cost: `sound` needs the cap at the upper end, `violated` at the lower."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.logreading import BadLog

OPENED = {"event": "open", "root": "team", "cap": 10}


def log(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) + "\n" for event in events]


def sent(n: int, held: int = 6, account: str = "team") -> list[dict[str, Any]]:
    return [
        {"event": "reserve", "account": account, "hold": f"h{n}", "amount": held},
        {"event": "send", "hold": f"h{n}", "call": f"c{n}"},
    ]


def bill(n: int, amount: int, **more: Any) -> dict[str, Any]:
    return {"event": "bill", "call": f"c{n}", "amount": amount, **more}


def settle(n: int, amount: int) -> dict[str, Any]:
    return {"event": "settle", "hold": f"h{n}", "amount": amount}


def forfeit(n: int) -> dict[str, Any]:
    return {"event": "forfeit", "hold": f"h{n}"}


def ends(told: Audit) -> tuple[int, int | None, int]:
    root = told.roots[0]
    return root.billed, root.at_most, root.unknown_calls


PAID = [*sent(2), bill(2, 6), settle(2, 6)]


@pytest.mark.parametrize(
    "lost",
    [
        [*sent(1), {"event": "timeout", "call": "c1"}, forfeit(1)],  # written off
        [*sent(1)],  # never resolved
        [*sent(1), settle(1, 0)],  # settled at nothing, beside bills that are logged
    ],
    ids=["forfeited", "open", "settled at 0"],
)
def test_a_call_without_a_bill_costs_up_to_its_hold(lost: list[dict[str, Any]]) -> None:
    told = audit(log(OPENED, *lost, *PAID))
    assert (told.verdict, told.exit_status) == (Verdict.UNKNOWN, 2)
    assert ends(told) == (6, 12, 1)
    assert told.doubts[0] == "at least 6 and at most 12 billed of a cap of 10 on team: 1 call has no known bill"
    assert Verdict.SOUND not in told.verdicts.values()
    assert "billed 6 to 12 (1 without a known bill)" in told.text()
    data = told.data()["roots"][0]
    assert (data["billed"], data["billed_at_most"], data["unknown_calls"]) == (6, 12, 1)
    # With room for both ends the same log is sound, under A1, which is said.
    roomy = audit(log({**OPENED, "cap": 12}, *lost, *PAID))
    assert roomy.verdict is Verdict.SOUND
    assert "1 call has no known bill" in roomy.assumed[-1]
    assert "A1" in roomy.assumed[-1]


def test_the_same_holds_where_told_costs_stand_for_bills() -> None:
    told = audit(log(OPENED, *sent(1), forfeit(1), *sent(2), settle(2, 6)))
    assert (told.verdict, ends(told)) == (Verdict.UNKNOWN, (6, 12, 1))
    # What is settled at nothing is told, there: A7.
    assert audit(log(OPENED, *sent(1), settle(1, 0), *sent(2), settle(2, 6))).verdict is Verdict.SOUND


def test_the_cap_is_violated_at_the_lower_end_whatever_is_unknown() -> None:
    told = audit(log(OPENED, *sent(1), forfeit(1), *sent(2), bill(2, 11), settle(2, 11)))
    assert told.verdict is Verdict.VIOLATED
    # A bill above its hold refutes A1: what the other call cost has no upper end then.
    assert ends(told) == (11, None, 1)
    assert told.data()["roots"][0]["billed_at_most"] is None


def test_a_hold_is_no_bound_once_a_bill_was_above_its_hold() -> None:
    overran = [*sent(2, 2), bill(2, 3), settle(2, 3)]
    told = audit(log({**OPENED, "cap": 20}, *sent(1, 10), forfeit(1), *overran))
    assert told.verdict is Verdict.UNKNOWN
    assert "nothing bounds" in told.doubts[0]
    assert (
        audit(log({**OPENED, "cap": 20}, *sent(1, 10), bill(1, 10), settle(1, 10), *overran)).verdict is Verdict.SOUND
    )


def test_a_bill_that_comes_late_ends_the_doubt() -> None:
    told = audit(log(OPENED, *sent(1), forfeit(1), *PAID, bill(1, 4)))
    assert (told.verdict, ends(told)) == (Verdict.SOUND, (10, 10, 0))
    told = audit(log(OPENED, *sent(1), settle(1, 0), *PAID, bill(1, 0)))
    assert ends(told) == (6, 6, 0)


def test_of_two_calls_under_one_hold_each_needs_its_bill() -> None:
    retried = [*sent(1, 4), {"event": "send", "hold": "h1", "call": "again"}]
    told = audit(log(OPENED, *retried, bill(1, 4), settle(1, 4), *sent(2, 5), bill(2, 5), settle(2, 5)))
    assert ends(told) == (9, 13, 1)
    assert told.verdict is not Verdict.SOUND


def test_a_log_that_does_not_say_what_is_sent_leaves_open_holds_in_doubt() -> None:
    held = {"event": "reserve", "account": "team", "hold": "h1", "amount": 6}
    paid = [{**held, "hold": "h2"}, settle(2, 6)]
    for lost in ([held], [held, forfeit(1)]):
        told = audit(log(OPENED, *lost, *paid))
        assert (told.verdict, ends(told)) == (Verdict.UNKNOWN, (6, 12, 1))
    given_back = audit(log(OPENED, held, {"event": "release", "hold": "h1"}, *paid))
    assert (given_back.verdict, ends(given_back)) == (Verdict.SOUND, (6, 6, 0))


def test_a_bill_may_be_a_range() -> None:
    told = audit(log(OPENED, *sent(1), bill(1, 2, at_most=5), settle(1, 2), *PAID))
    assert (told.verdict, ends(told)) == (Verdict.UNKNOWN, (8, 11, 1))
    assert audit(log(OPENED, *sent(1), bill(1, 2, at_most=4), settle(1, 2), *PAID)).verdict is Verdict.SOUND
    unbounded = audit(log({**OPENED, "cap": 15}, *sent(1), bill(1, 2, at_most=None), settle(1, 2), *PAID))
    assert (unbounded.verdict, ends(unbounded)) == (Verdict.UNKNOWN, (8, None, 1))


def test_a_range_that_ends_before_it_begins_is_an_error() -> None:
    with pytest.raises(BadLog, match="a bill of 5 cannot be at most 4"):
        audit(log(OPENED, *sent(1), bill(1, 5, at_most=4)))
    with pytest.raises(BadLog, match="not an amount"):
        audit(log(OPENED, *sent(1), bill(1, 5, at_most="many")))


def test_costs_that_are_recorded_beside_bills_count_at_the_upper_end() -> None:
    told = audit(log(OPENED, *PAID, {"event": "record", "account": "team", "amount": 5}))
    assert (told.verdict, ends(told)) == (Verdict.UNKNOWN, (6, 11, 1))


def test_a_slice_needs_its_upper_end_too() -> None:
    share = {"event": "delegate", "parent": "team", "child": "share", "amount": 7}
    lost = [*sent(1, 3, "share"), forfeit(1)]
    paid = [*sent(2, 4, "share"), bill(2, 4), settle(2, 4), *sent(3, 3), bill(3, 3), settle(3, 3)]
    assert audit(log(OPENED, share, *lost, *paid)).verdict is Verdict.SOUND
    told = audit(log(OPENED, {**share, "amount": 6}, *lost, *paid))
    assert told.verdict is Verdict.UNKNOWN
    assert "of a slice of 6 on share" in told.doubts[0]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["bill", "forfeit", "open", "nothing"]))),
    st.integers(0, 40),
)
def test_no_bills_that_the_log_allows_are_outside_what_it_says(calls: list[tuple[int, int, str]], cap: int) -> None:
    """Whatever the unknown calls cost within their holds, `sound` means that the cap holds."""
    events: list[dict[str, Any]] = [{**OPENED, "cap": cap}]
    least = most = 0
    for n, (held, cost, how) in enumerate(calls):
        paid = min(held, cost)
        if how == "nothing":
            events += [sent(n, held)[0], {"event": "release", "hold": f"h{n}"}]
            continue
        events += sent(n, held)
        least, most = (least + paid, most + paid) if how == "bill" else (least, most + held)
        events += [bill(n, paid), settle(n, paid)] if how == "bill" else [forfeit(n)] if how == "forfeit" else []
    told = audit(log(*events))
    if any(how == "bill" for *_, how in calls):
        assert (told.roots[0].billed, told.roots[0].at_most) == (least, most)
    assert told.verdict is not Verdict.SOUND or most <= cap
    assert least <= cap or told.verdict is Verdict.VIOLATED
