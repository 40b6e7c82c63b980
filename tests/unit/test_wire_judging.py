"""What a run shows: the rule of the requests that leave too late against an obvious version of it, caps, and tokens."""

from __future__ import annotations

import base64
import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.schedule import BadToken
from capsound.windows import SECOND, Buckets, Every, Sliding, Whole, Window, spent
from capsound_checker.prices.pricing import PICO
from capsound_checker.wire.acting import Did
from capsound_checker.wire.billing import Bill
from capsound_checker.wire.dialects.shapes import Asked, Usage
from capsound_checker.wire.judge import TELLING, after_cap, judge, most_in_flight
from capsound_checker.wire.money import BadCap, Cap, Unit, parse_cap
from capsound_checker.wire.running import Run
from capsound_checker.wire.schedule import ACTS, Choice, Schedule
from capsound_checker.wire.tokens import PREFIX, Kept, parse_token, token

TOKENS = Unit("tokens")


def run_of(did: Sequence[Did]) -> Run:
    return Run(Schedule(), tuple(did), (), "exit", 0, (), {})


def bill(amount: int, most: int = 0) -> Bill:
    return Bill(Usage(0, amount), amount, max(amount, most), bounded=True)


def arrived(number: int, repeats: str = "") -> Did:
    asked = Asked("openai-chat", "m", f"request {number}")
    return Did("arrived", f"r{number}", "", number, None, asked, repeats)


def answered(number: int, amount: int, act: str = "answer") -> list[Did]:
    return [Did(what, f"r{number}", act, number, bill(amount)) for what in ("billed", "answered")]


@st.composite
def histories(draw: st.DrawFn) -> list[Did]:
    did: list[Did] = []
    flying: list[int] = []
    number = 0
    for _ in range(draw(st.integers(0, 14))):
        if not flying or draw(st.booleans()):
            number += 1
            did.append(arrived(number, "r0" if draw(st.integers(0, 4)) == 0 else ""))
            flying.append(number)
            continue
        one = flying.pop(draw(st.integers(0, len(flying) - 1)))
        how = draw(st.sampled_from(["answer", "low", "cached", "no-usage", "500", "left"]))
        if how == "left":
            did.append(Did("left", f"r{one}", "", one))
        else:
            did += answered(one, draw(st.integers(0, 3)), how)
    return did


def late(did: Sequence[Did], cap: int) -> list[int]:
    """Say it again, slowly: look back from each request to the last answer before it."""
    found = []
    for at, one in enumerate(did):
        if one.what != "arrived" or one.repeats:
            continue
        answers = [i for i in range(at) if did[i].what == "answered"]
        last = answers[-1] if answers else -1
        gone = {did[i].number for i in range(max(last, 0)) if did[i].what in ("answered", "left")}
        others = {did[i].number for i in range(max(last, 0)) if did[i].what == "arrived"} - gone
        if answers and others - {did[last].number}:
            answers.pop()  # its sender may not have heard of the last one
        told = sum(did[i].bill.amount or 0 for i in answers if did[i].act in TELLING)  # type: ignore[union-attr]
        if told >= cap:
            found.append(one.number)
    return found


@given(histories(), st.integers(1, 6))
def test_what_leaves_too_late_is_what_an_obvious_version_says(did: list[Did], cap: int) -> None:
    assert [one.number for one in after_cap(run_of(did), Cap(cap, TOKENS))] == late(did, cap)


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 10_000))
def test_agents_that_look_before_each_request_are_not_accused(agents: int, cap: int, seed: int) -> None:
    """However many of them there are, and in whatever order they are answered: each looks at what was told."""
    chance = random.Random(seed)
    did: list[Did] = []
    flying: list[int] = []
    told = number = 0
    free = agents
    for _ in range(30):
        while free and told < cap:
            free, number = free - 1, number + 1
            did.append(arrived(number))
            flying.append(number)
        if not flying:
            break
        one = flying.pop(chance.randrange(len(flying)))
        amount = chance.randrange(4)
        did += answered(one, amount)
        told, free = told + amount, free + 1
    assert after_cap(run_of(did), Cap(cap, TOKENS)) == ()
    assert most_in_flight(did) <= agents


def test_one_that_goes_on_is_accused() -> None:
    did = [arrived(1), *answered(1, 5), arrived(2), *answered(2, 5)]
    judged = judge(run_of(did), Cap(5, TOKENS))
    assert [one.number for one in judged.after_cap] == [2]
    assert judged.overshoot == 5


def test_a_repeat_is_counted_as_billed_again_and_not_as_sent_too_late() -> None:
    did = [arrived(1), *answered(1, 5, "500"), arrived(2, "r1"), *answered(2, 5)]
    judged = judge(run_of(did), Cap(5, TOKENS))
    assert (judged.retries, judged.retries_billed, judged.after_cap) == (1, 5, ())
    assert judged.overshoot == 5


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("0.60usd", 6 * PICO // 10, "usd"),
        ("$5", 5 * PICO, "usd"),
        ("5", 5 * PICO, "usd"),
        (" 1_000 Dollars ", 1_000 * PICO, "usd"),
        ("0.000000000001usd", 1, "usd"),
        ("20000tokens", 20_000, "tokens"),
        ("1 token", 1, "tokens"),
        ("10requests", 10, "requests"),
        ("3 calls", 3, "requests"),
        ("2.0tokens", 2, "tokens"),
    ],
)
def test_a_cap_is_read(text: str, amount: int, unit: str) -> None:
    assert parse_cap(text) == Cap(amount, Unit(unit))


@pytest.mark.parametrize(
    "text",
    ["", "usd", "-1usd", "1e9usd", "nan", "1.5tokens", "0.0000000000001usd", "1eur", "٣usd", "1,5usd", "9" * 10_000],
)
def test_what_is_no_cap_is_refused(text: str) -> None:
    with pytest.raises(BadCap):
        parse_cap(text)


@given(st.integers(0, 10**18))
def test_a_cap_that_was_written_is_read_again(amount: int) -> None:
    cap = Cap(amount, Unit("usd"))
    assert parse_cap(str(cap).replace(",", "_").replace("$", "") + "usd") == cap


labels = st.text(min_size=1, max_size=20)
kept = st.builds(
    Kept,
    st.builds(
        Schedule,
        st.sampled_from(["first", "last"]),
        st.sampled_from(sorted(ACTS)),
        st.lists(
            st.tuples(st.integers(0, 300), st.builds(Choice, labels, st.sampled_from(sorted(ACTS)))), max_size=5
        ).map(tuple),
    ),
    st.builds(Cap, st.integers(0, 10**15), st.sampled_from([Unit("usd"), Unit("tokens"), Unit("requests")])),
    st.lists(st.text(max_size=12), max_size=2).map(tuple),
    st.integers(1, 10**6),
)


@given(kept)
def test_a_token_is_read_as_it_was_written(kept: Kept) -> None:
    assert parse_token(token(kept)) == kept
    assert parse_token(f"\n {token(kept)} ") == kept


@given(kept, st.data())
def test_a_damaged_token_is_refused_or_says_something_else(kept: Kept, data: st.DataObject) -> None:
    text = token(kept)
    at = data.draw(st.integers(len(PREFIX), len(text) - 1))
    damaged = text[:at] + data.draw(st.sampled_from(["", "A", "~", "é"])) + text[at + 1 :]
    with contextlib.suppress(BadToken):
        parse_token(damaged)


@pytest.mark.parametrize(
    "data", [b"null", b"[]", b"[1,2,3,4,5,6,7]", b'["first","boo",[],1,"usd",[],1]', b"[" * 50_000, b"\xff\xfe"]
)
def test_a_token_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadToken) as caught:
        parse_token(PREFIX + base64.urlsafe_b64encode(data).decode())
    assert caught.value.exit_status == 65


# ---------------------------------------------------------------------------------------------- windows


def timed(moments: Sequence[tuple[float, float, int]]) -> list[Did]:
    """Return requests one after the other: when each arrives, when it is billed, in seconds, and how much."""
    did: list[Did] = []
    for number, (arrives, billed, amount) in enumerate(moments, start=1):
        request, told = arrived(number), answered(number, amount)
        did.append(replace(request, at=int(arrives * SECOND)))
        did += [replace(told[0], at=int(billed * SECOND)), told[1]]
    return did


@pytest.mark.parametrize(
    ("window", "moments", "over", "passed"),
    [
        (Sliding(2 * SECOND), [(1, 1, 60), (3, 3, 60)], 0, True),
        (Sliding(2 * SECOND), [(1, 1.5, 60), (3, 3, 60)], 60, False),
        (Sliding(2 * SECOND), [(1, 1.5, 60), (3, 3, 60), (3.6, 3.6, 10)], 60, True),
        (Every(2 * SECOND), [(1, 1.9, 60), (2, 2, 60)], 0, True),
        (Every(2 * SECOND), [(1, 1.9, 60), (2, 2, 30), (3, 3.9, 31)], 1, True),
        (Buckets(SECOND, 2), [(1, 1.9, 60), (3, 3, 60)], 0, True),
        (Buckets(SECOND, 2), [(1, 1.9, 60), (2, 2.9, 60)], 60, False),
        (Whole(), [(1, 1, 60), (9, 9, 60)], 60, True),
    ],
)
def test_a_cap_is_judged_in_each_window_by_the_moments_of_the_bills(
    window: Window, moments: list[tuple[float, float, int]], over: int, passed: bool
) -> None:
    judged = judge(run_of(timed(moments)), Cap(60, TOKENS), window=window)
    assert (judged.overshoot, judged.passed) == (over, passed)
    assert (judged.refuted is not None) == bool(over)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), max_size=8),
    st.sampled_from([Sliding(2 * SECOND), Every(3 * SECOND), Buckets(SECOND, 2)]),
)
def test_what_is_over_in_a_window_is_what_the_definition_says(
    steps: list[tuple[int, int, int]], window: Window
) -> None:
    moments, now = [], 0
    for wait, takes, amount in steps:
        moments.append((now + wait, now + wait + takes, amount))
        now += wait + takes
    judged = judge(run_of(timed(moments)), Cap(10, TOKENS), window=window)
    bills = [(billed * SECOND, amount) for _, billed, amount in moments]
    most = max((spent(window, bills, at) for at, _ in bills), default=0)
    assert judged.billed == most
    assert judged.overshoot == max(0, most - 10)


def test_a_request_that_leaves_when_the_told_usage_has_left_the_window_is_not_late() -> None:
    early = run_of(timed([(1, 1, 60), (2, 2, 1)]))
    later = run_of(timed([(1, 1, 60), (3, 3, 1)]))
    window = Sliding(2 * SECOND)
    assert [one.number for one in after_cap(early, Cap(60, TOKENS), window)] == [2]
    assert after_cap(later, Cap(60, TOKENS), window) == ()
    assert [one.number for one in after_cap(later, Cap(60, TOKENS))] == [2]
