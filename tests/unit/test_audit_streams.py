"""Two records of one request: one when its stream begins, and one with its usage when the stream has ended."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.verdict import Verdict
from capsound_checker.audit import streams
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import BadMapping, load_mapping, parse_mapping
from capsound_checker.audit.resuming import keeping

SECOND = 10**9
BEGIN = 1_767_225_600 * SECOND
TEMPLATE = "streaming response from {request_data[model]!r} took {duration:.2f}s"


def record(n: int, begin: float, end: float, what: str, **attributes: Any) -> tuple[int, str]:
    """Return a line of Logfire, with the time at which it is written."""
    values = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.input.messages": f'[{{"content": "{what}"}}]',
        "request_data": '{"model":"gpt-4o"}',
        **attributes,
    }
    span = {
        "traceId": f"t{n}",
        "spanId": f"s{n}",
        "startTimeUnixNano": str(BEGIN + int(begin * SECOND)),
        "endTimeUnixNano": str(BEGIN + int(end * SECOND)),
        "attributes": [
            {
                "key": key,
                "value": {"intValue": str(value)}
                if isinstance(value, int)
                else {"doubleValue": value}
                if isinstance(value, float)
                else {"stringValue": value},
            }
            for key, value in values.items()
        ],
    }
    scopes = [{"scope": {"name": "logfire.openai"}, "spans": [span]}]
    return BEGIN + int(end * SECOND), json.dumps({"resourceSpans": [{"scopeSpans": scopes}]}) + "\n"


def request(n: int, at: float, what: str = "hi") -> tuple[int, str]:
    return record(n, at, at + 0.5, what, **{"logfire.span_type": "span", "gen_ai.request.max_tokens": 400})


def stream(
    n: int, began: float, ended: float, used: int | None, what: str = "hi", left: bool = False
) -> tuple[int, str]:
    usage = {} if used is None else {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": used}
    reason = {} if left else {"gen_ai.response.finish_reasons": '["stop"]'}
    more = {"logfire.span_type": "log", "logfire.msg_template": TEMPLATE, "duration": float(ended - began)}
    return record(1000 + n, ended, ended, what, **more, **usage, **reason)


def judged(records: list[tuple[int, str]], cap: int = 10**6) -> Audit:
    lines = [line for _, line in sorted(records, key=lambda one: one[0])]
    return audit(lines, mapping=load_mapping("otel-genai"), cap=cap, assume=frozenset({"A10"}))


def test_a_request_and_its_stream_are_one_call_from_the_beginning_of_the_request() -> None:
    told = judged([request(0, 1), stream(0, 2, 9, 50)], cap=200)
    assert (told.verdict, told.exercise.admitted, told.roots[0].billed) == (Verdict.SOUND, 1, 150)
    assert told.ignored == 1
    both = judged([request(0, 1), stream(0, 2, 9, 50), request(1, 5, "other"), stream(1, 6, 7, 50, "other")])
    assert both.exercise.overlapped, "the second began while the first was under way"


@pytest.mark.parametrize(
    "records",
    [
        [request(0, 1)],
        [request(0, 1), stream(0, 2, 9, None)],
        [request(0, 1), stream(0, 2, 9, 1, left=True)],
        [request(0, 1), stream(0, 2, 9, 50, "another")],
        [request(0, 1), stream(0, 1.2, 9, 50)],
        [request(0, 1), request(1, 3), stream(0, 2, 9, 50)],
    ],
    ids=["left at once", "no usage", "left", "of another request", "began before its request ended", "one of two"],
)
def test_what_is_not_known_of_a_stream_stays_unknown(records: list[tuple[int, str]]) -> None:
    told = judged(records, cap=300)
    assert told.verdict is Verdict.UNKNOWN
    assert any("no known bill" in doubt for doubt in told.doubts)


def test_a_stream_without_its_request_is_a_call_by_itself() -> None:
    told = judged([stream(0, 2, 9, 50)], cap=200)
    assert (told.verdict, told.roots[0].billed, told.roots[0].unknown_calls) == (Verdict.SOUND, 150, 0)


def test_a_request_that_failed_waits_for_no_stream() -> None:
    at, line = request(0, 1)
    failed = line.replace('"attributes"', '"status": {"code": 2}, "attributes"', 1)
    told = judged([(at, failed), stream(0, 2, 9, 50)])
    assert (told.exercise.admitted, told.roots[0].unknown_calls) == (2, 1)


def test_a_request_whose_stream_never_ends_takes_its_turn_in_time() -> None:
    """It is let go before its turn is over: no record is late because of it."""
    later = [record(n, 100.0 * n, 100.0 * n + 1, f"{n}", **{"gen_ai.usage.input_tokens": 1}) for n in range(1, 30)]
    told = judged([request(0, 1), *later])
    assert (told.exercise.admitted, [w.name for w in told.warnings]) == (30, [])


def test_those_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MEMORY", 5)
    told = judged([request(n, n / 100) for n in range(40)])
    assert (told.exercise.admitted, told.roots[0].unknown_calls) == (40, 40)


CALLS = st.lists(
    st.tuples(
        st.integers(0, 300), st.integers(1, 60), st.sampled_from("ab"), st.sampled_from(["ended", "left", "silent"])
    ),
    min_size=1,
    max_size=12,
)


@given(CALLS, st.randoms())
def test_each_stream_is_counted_once_whatever_was_under_way_beside_it(
    calls: list[tuple[int, int, str, str]], rnd: random.Random
) -> None:
    """Equal requests cannot be told apart: the sum, and how many are unknown, are the same for each way to pair them."""
    records, known, unknown = [], 0, 0
    for n, (at, length, what, how) in enumerate(calls):
        records.append(request(n, at, what))
        if how == "silent":
            unknown += 1
            continue
        used = rnd.randrange(1, 90)
        records.append(stream(n, at + 0.6, at + 0.6 + length, used, what, left=how == "left"))
        known += 100 + used
        unknown += how == "left"
    told = judged(records)
    root = told.roots[0]
    assert (root.billed, root.unknown_calls, told.exercise.admitted) == (known, unknown, len(calls))


def test_what_waits_for_its_stream_is_in_a_state(tmp_path: Path) -> None:
    path, lines = tmp_path / "log.jsonl", [request(0, 1)[1], request(1, 2)[1], stream(0, 3, 9, 50)[1]]
    for line in lines:
        with path.open("a") as file:
            file.write(line)
        with keeping(path, tmp_path / "state", "1") as keeper:
            keeper.tail.stop = lambda: True
            keeper.bind({}, mapping := load_mapping("otel-genai"))
            told = audit(keeper.taken(mapping).lines, mapping=mapping, cap=1000, keeper=keeper)
    assert (told.roots[0].billed, told.roots[0].unknown_calls, told.exercise.admitted) == (150, 1, 2)


def test_the_two_sides_go_with_a_call() -> None:
    for side in ("awaits", "answers"):
        text = f'[[rules]]\nname = "r"\nemit = []\n{side} = "id"\n'
        with pytest.raises(BadMapping, match="goes with `call`"):
            parse_mapping(text)
