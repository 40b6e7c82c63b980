"""Several caps over one log, each with its window: compared with the definition, and by hand."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.verdict import Verdict
from capsound.windows import Every, Sliding, spent
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.capsfile import BadCaps, Ceiling, load_caps, read_caps
from capsound_checker.audit.ceilings import Capped
from capsound_checker.audit.mapping import load_mapping

START = datetime(2026, 11, 28, 22, 0, tzinfo=UTC)


def moment(minutes: int) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def call(name: str, minutes: int | None, used: int | None, **more: Any) -> dict[str, Any]:
    """Return a record of the recipe for an application of one's own: 100 tokens are allowed beside the input of 0."""
    told: dict[str, Any] = {"llm_call": name, "input_tokens": 1, "max_tokens": 99, "agent": "ann", "model": "m"}
    if used is not None:
        told["output_tokens"] = used - 1
    if minutes is not None:
        told |= {"began": moment(minutes), "ended": moment(minutes)}
    return {key: value for key, value in (told | more).items() if value is not None}


def judged(caps: str | tuple[Ceiling, ...], *records: dict[str, Any]) -> Audit:
    ceilings = read_caps(tomllib.loads(caps), "caps.toml", "tokens") if isinstance(caps, str) else caps
    lines = [json.dumps(record) + "\n" for record in records]
    return audit(lines, mapping=load_mapping("calls"), ceilings=ceilings)


def one(told: Audit) -> Capped:
    (capped,) = told.capped
    return capped


DAY = '[[cap]]\nname = "a day"\nlimit = 100\nwindow = "day"\n'


def test_a_day_is_exceeded_and_the_day_before_is_not() -> None:
    told = judged(DAY, call("a", 0, 90), call("b", 130, 60), call("c", 140, 60))
    assert told.verdict is Verdict.VIOLATED
    assert one(told).sentence("tokens") == "violated  a day: 120 of 100 on 2026-11-29; exceeded 1 time"
    assert "a day: 120 of 100 on 2026-11-29" in told.text()


def test_the_same_bills_around_midnight_fit_two_days_and_no_sliding_window() -> None:
    records = (call("a", 60, 60), call("b", 130, 60))
    assert judged(DAY, *records).verdict is Verdict.SOUND
    sliding = judged(DAY.replace('"day"', '"sliding 24h"'), *records)
    assert one(sliding).sentence("tokens") == (
        "violated  a day: 120 of 100 up to 2026-11-29T00:10:00Z; exceeded 1 time"
    )


def test_a_day_of_another_zone() -> None:
    told = judged(DAY + 'timezone = "Asia/Tokyo"\n', call("a", 60, 60), call("b", 130, 60))
    assert one(told).sentence("tokens") == "violated  a day: 120 of 100 on 2026-11-29 in Asia/Tokyo; exceeded 1 time"


def test_each_agent_has_its_own_and_the_worst_is_named() -> None:
    records = [call(f"{name}{n}", n, 40, agent=name) for name in ("ann", "bob") for n in range(2 + (name == "bob"))]
    assert one(judged(DAY + 'each = "agent"\n', *records)).sentence("tokens") == (
        "violated  a day: 120 of 100 by bob on 2026-11-28; exceeded 1 time; 1 of 2 agents exceeded it"
    )
    assert one(judged(DAY, *records)).low == 200


def test_models_and_agents_are_chosen_by_patterns() -> None:
    records = (call("a", 0, 90, model="gpt-4o"), call("b", 1, 90, model="claude-x"), call("c", 2, 5, agent="bob"))
    assert one(judged(DAY + 'models = "gpt-*"\n', *records)).low == 90
    assert one(judged(DAY + 'models = ["gpt-*", "m"]\nagents = "b*"\n', *records)).low == 5
    nobody = one(judged(DAY + 'models = "gemini-*"\n', *records))
    assert (nobody.verdict, nobody.why) == (Verdict.UNKNOWN, "nothing that the log tells counts under it")


def test_requests_are_counted_when_they_are_sent() -> None:
    told = judged('[[cap]]\nlimit = "2 requests"\nwindow = "every 1min"\n', *(call(f"c{n}", 0, 50) for n in range(3)))
    assert one(told).sentence("tokens") == (
        "violated  cap 1: 3 requests of 2 requests from 2026-11-28T22:00:00Z; exceeded 1 time"
    )


@pytest.mark.parametrize(
    ("record", "extra", "why"),
    [
        (call("b", 1, None), "", "some bills are told as a range"),
        (call("b", None, 20), "", "1 bill may count in any window"),
        (call("b", 1, 20, model=None), 'models = "m"\n', "1 bill may count in any window"),
        (call("b", 1, 20, agent=None), 'each = "agent"\n', "1 bill may count in any window"),
        (call("b", 1, 5, error="timeout"), "", "1 call has no upper end"),
        (call("b", 1, None, max_tokens=None), "", "1 call has no upper end"),
    ],
)
def test_what_is_not_told_keeps_no_cap(record: dict[str, Any], extra: str, why: str) -> None:
    """90 of 100 are billed for certain, and what the second call cost is not."""
    first = call("a", 0, 90)
    told = judged(DAY + extra, first, record)
    assert told.verdict is Verdict.UNKNOWN
    assert one(told).why.startswith(why)
    assert any(doubt.startswith("a day: ") for doubt in told.doubts)


def test_what_is_not_told_and_fits_all_the_same_is_no_doubt() -> None:
    told = judged(DAY.replace("100", "200"), call("a", 0, 99), call("b", 1, None))
    assert (told.verdict, one(told).low, one(told).high) == (Verdict.SOUND, 100, 199)


def test_a_clock_that_counts_from_nothing_in_a_unit_is_read_in_it() -> None:
    told = judged(
        DAY.replace('"day"', '"every 1min"'),
        call("a", None, 60, began=58, ended=59),
        call("b", None, 60, began=60, ended=61),
    )
    assert (one(told).verdict, one(told).windows, one(told).where) == (Verdict.SOUND, 2, "from 1970-01-01T00:00:00Z")


NATIVE = [
    {"event": "open", "root": "team", "cap": 1000},
    {"event": "delegate", "parent": "team", "child": "ann", "amount": 100},
    {"event": "delegate", "parent": "team", "child": "bob", "amount": 100},
    *(
        {"event": kind, **fields, "at": START.isoformat()}
        for who in ("ann", "bob")
        for kind, fields in (
            ("reserve", {"account": who, "hold": who, "amount": 60}),
            ("send", {"hold": who, "call": who}),
            ("bill", {"call": who, "amount": 60}),
            ("settle", {"hold": who, "amount": 60}),
        )
    ),
]


def test_a_clock_that_began_with_its_log_knows_no_days() -> None:
    lines = [json.dumps(event | ({"at": 5} if "at" in event else {})) + "\n" for event in NATIVE]
    for caps, verdict, where in (
        (DAY, Verdict.UNKNOWN, ""),
        (DAY.replace("100", "120"), Verdict.SOUND, ""),  # in whatever day it was
        (DAY.replace('"day"', '"sliding 1h"'), Verdict.VIOLATED, "up to 1970-01-01T00:00:05Z"),
    ):
        capped = one(audit(lines, ceilings=read_caps(tomllib.loads(caps), "caps.toml", "units")))
        assert (capped.verdict, capped.where) == (verdict, where)


@pytest.mark.parametrize("window", ["day", "week", "month", "every 1h", "sliding 1h"])
def test_a_time_that_no_calendar_has_may_be_any_day(window: str) -> None:
    lines = [json.dumps(event | ({"at": 10**30} if "at" in event else {})) + "\n" for event in NATIVE]
    capped = one(audit(lines, ceilings=read_caps({"cap": [{"limit": 100, "window": window}]}, "caps.toml", "units")))
    of_a_calendar = window in ("day", "week", "month")
    assert capped.verdict is (Verdict.UNKNOWN if of_a_calendar else Verdict.VIOLATED)
    assert capped.where == ("" if of_a_calendar else capped.ceiling.window.named(capped.ceiling.window.place(10**30)))


@pytest.mark.parametrize(
    ("caps", "low", "who"),
    [
        ("", 120, ""),
        ('accounts = "team"\n', 120, ""),
        ('accounts = "ann"\n', 60, ""),
        ('each = "account"\n', 120, "team"),
    ],
)
def test_what_a_slice_spends_counts_in_all_above_it(caps: str, low: int, who: str) -> None:
    ceilings = read_caps(tomllib.loads(DAY + caps), "caps.toml", "units")
    told = audit([json.dumps(event) + "\n" for event in NATIVE], ceilings=ceilings)
    assert (one(told).low, one(told).who) == (low, who)


def test_a_name_that_is_used_again_brings_no_model_with_it() -> None:
    """A hold that was forgotten had one: the call that has its name now tells none, and may count."""

    def whole(hold: str, amount: int, **told: str) -> list[dict[str, Any]]:
        call = f"{hold}{amount}"
        return [
            {"event": "reserve", "account": "team", "hold": hold, "amount": amount, **told},
            {"event": "send", "hold": hold, "call": call},
            {"event": "bill", "call": call, "amount": amount},
            {"event": "settle", "hold": hold, "amount": amount},
        ]

    calls = [*whole("h", 10, model="m"), *whole("i", 60, model="n"), *whole("j", 1, model="n"), *whole("h", 50)]
    lines = [json.dumps(event) + "\n" for event in (NATIVE[0], *calls)]
    ceilings = read_caps({"cap": [{"limit": 100, "models": "n"}]}, "caps.toml", "units")
    told = one(audit(lines, ceilings=ceilings, memory=1))
    assert (told.verdict, told.low, told.high) == (Verdict.UNKNOWN, 61, 111)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), min_size=1, max_size=10),
    st.one_of(st.builds(Every, st.integers(1, 9)), st.builds(Sliding, st.integers(1, 9))),
    st.integers(1, 60),
)
def test_it_agrees_with_the_definition(bills: list[tuple[int, int]], minutes: Every | Sliding, limit: int) -> None:
    """However the records are ordered: the calls are told by when they ended."""
    window = type(minutes)(minutes.length * 60 * 10**9)
    ceiling = Ceiling("one", limit, False, window)
    told = judged((ceiling,), *(call(f"c{n}", at, used) for n, (at, used) in enumerate(bills)))
    start = int(START.timestamp()) * 10**9
    exact = [(start + at * 60 * 10**9, used) for at, used in bills]
    most = max(spent(window, exact, now) for now, _ in exact)
    if isinstance(window, Sliding):
        assert one(told).low == most
    assert one(told).low == max(
        spent(window, exact, max(at for at, _ in exact if window.place(at) == window.place(now))) for now, _ in exact
    )
    assert (one(told).verdict is Verdict.VIOLATED) == (one(told).low > limit)


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "cap: there is none", "[[cap]]"),
        ("cap = 3", "cap: there is none", "[[cap]]"),
        ("[[caps]]\nlimit = 3", "caps: is not known here", "did you mean 'cap'?"),
        ("[[cap]]", "cap[1].limit: None is no limit", 'limit = "$50"'),
        ("[[cap]]\nlimit = -3", "cap[1].limit: -3 is no limit", ""),
        ('[[cap]]\nlimit = "much"', "cap[1].limit: 'much' is no cap", "a whole number"),
        ('[[cap]]\nlimit = "$5"', "cap[1].limit: a cap of $5 needs a log that is counted in dollars", "--prices"),
        ('[[cap]]\nlimit = 3\nwindow = "dya"', "cap[1].window: 'dya' is no window", "did you mean 'day'?"),
        ('[[cap]]\nlimit = 3\nwindow = "24h"', "cap[1].window: '24h' is no window", "sliding 24h"),
        ('[[cap]]\nlimit = 3\nwindow = "every 0h"', "cap[1].window: 'every 0h' has no length", ""),
        ('[[cap]]\nlimit = 3\nwindow = "day"\ntimezone = "Mars"', "cap[1].timezone: 'Mars' is no time zone", "UTC"),
        ('[[cap]]\nlimit = 3\ntimezone = "UTC"', "cap[1].timezone: only days, weeks and months have one", ""),
        ('[[cap]]\nlimit = 3\nwindow = "day"\nbuckets = 2', "cap[1].buckets: only a sliding window", ""),
        ('[[cap]]\nlimit = 3\nwindow = "sliding 1h"\nbuckets = 7', "cap[1].buckets: 7 does not divide", "24"),
        ('[[cap]]\nlimit = 3\neach = "agents"', "cap[1].each: 'agents' is none of", "did you mean 'agent'?"),
        ('[[cap]]\nlimit = 3\nagent = "x"', "cap[1].agent: is no key of a cap", "did you mean 'agents'?"),
        ("[[cap]]\nlimit = 3\nmodels = 3", "cap[1].models: 3 is no pattern", ""),
        (
            '[[cap]]\nlimit = 3\nname = "a"\n[[cap]]\nlimit = 3\nname = "a"',
            "cap[2].name: 'a' is the name of another",
            "",
        ),
        ("[[cap]\nlimit = 3", "not TOML", "[[cap]]"),
    ],
)
def test_a_file_that_says_no_caps(text: str, says: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "caps.toml"
    path.write_text(text)
    with pytest.raises(BadCaps) as caught:
        load_caps(path, "units")
    assert says in str(caught.value)
    assert hint in (caught.value.hint or "")
    assert str(path) in str(caught.value)


def test_a_window_in_steps_is_read() -> None:
    (ceiling,) = read_caps({"cap": [{"limit": 3, "window": "sliding 24h", "buckets": 24}]}, "caps.toml", "units")
    assert (ceiling.window.length, ceiling.window.number) == (3600 * 10**9, 24)  # type: ignore[union-attr]


def test_the_command_tells_the_caps_and_its_status(capsound: Callable[..., Any], tmp_path: Path) -> None:
    log, caps = tmp_path / "calls.jsonl", tmp_path / "caps.toml"
    log.write_text("".join(json.dumps(call(f"c{n}", n, 60)) + "\n" for n in range(2)))
    caps.write_text(DAY)
    ran = capsound("audit", str(log), "--caps", str(caps))
    assert ran.status == 1
    assert ran.out.startswith(f"VIOLATED  {log}: a day: 120 of 100 on 2026-11-28; exceeded 1 time\n")
    assert "root: billed 120 tokens, spent 120\n" in ran.out
    told = json.loads(capsound("audit", str(log), "--caps", str(caps), "--json").out)
    assert (told["roots"][0]["cap"], told["caps"][0]["exceeded"][0]["largest"]["billed"]) == (None, 120)
