"""What makes a log less than a witness: with any of it there is no `sound`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping, parse_mapping
from capsound_checker.audit.tree import Families

SPANS = Path(__file__).parents[1] / "support" / "spans"
BILLS: dict[str, dict[str, Any]] = json.loads((SPANS / "bills.json").read_text())
"""Of each file of spans, what was billed at least, and whether it may be more (`tests/support/spans`)."""

OTEL = load_mapping("otel-genai")
KNOWN = 100_000


def span(own: str, parent: str = "", *, trace: str = "t", at: int = 0, **attributes: Any) -> dict[str, Any]:
    values = {key.replace("__", "."): value for key, value in attributes.items()}
    begin = 1_700_000_000_000_000_000 + at
    return {
        "traceId": trace,
        "spanId": own,
        "parentSpanId": parent,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + 5),
        "attributes": [
            {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
            for k, v in values.items()
        ],
    }


def chat(own: str, used: int | None = 100, out: int | None = 50, **more: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {"gen_ai__usage__input_tokens": used, "gen_ai__usage__output_tokens": out}
    return span(own, gen_ai__operation__name="chat", **{k: v for k, v in usage.items() if v is not None}, **more)


def judged(*records: dict[str, Any], cap: int = 200) -> Audit:
    return audit([json.dumps(record) + "\n" for record in records], mapping=OTEL, cap=cap)


A10 = frozenset({"A10"})


def warned(told: Audit) -> dict[str, int]:
    return {w.name: w.count for w in told.warnings}


def beside(name: str) -> list[str]:
    known = chat("known", KNOWN - 1, 1, trace="known")
    return [json.dumps(known) + "\n", *(SPANS / name).read_text().splitlines(keepends=True)]


# ------------------------------------------------------------------------ spans of real instrumentations


@pytest.mark.parametrize("name", sorted(BILLS))
def test_no_spans_are_sound_below_their_true_bill(name: str) -> None:
    """Each case beside one known call, which brings the cap into play, and the cap one token below the bill."""
    told = audit(beside(name), mapping=OTEL, cap=KNOWN + BILLS[name]["bill"] - 1)
    assert told.verdict is not Verdict.SOUND
    if told.verdict is Verdict.UNKNOWN:
        assert told.doubts
        assert any(w.line for w in told.warnings) or told.roots[0].unknown_calls


@pytest.mark.parametrize("name", sorted(name for name, said in BILLS.items() if said.get("more")))
def test_what_may_have_cost_more_is_not_sound_at_what_is_known(name: str) -> None:
    told = audit(beside(name), mapping=OTEL, cap=KNOWN + BILLS[name]["bill"] + 1)
    assert told.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "name",
    [
        "empty-value.jsonl",
        "usage-repeated-by-a-sibling.jsonl",
        "told-twice-nested.jsonl",
        "recorded.openai-v2.chat-plain.jsonl",
        "recorded.pydantic-ai.pai-agent-2-calls.jsonl",
        "recorded.genai.anthropic-plain.jsonl",
        "recorded.traceloop.chat-stream-helper.jsonl",
    ],
)
def test_spans_that_say_all_are_sound_at_their_true_bill(name: str) -> None:
    told = audit(beside(name), mapping=OTEL, cap=KNOWN + BILLS[name]["bill"], assume=A10)
    assert (told.verdict, told.roots[0].billed) == (Verdict.SOUND, KNOWN + BILLS[name]["bill"])


def test_one_span_of_a_client_that_sends_again_in_silence_is_sound_under_an_assumption_only() -> None:
    """Nothing in these two files tells one request from three."""
    for name, bill in (
        ("recorded.openai-v2.chat-plain.jsonl", 150),
        ("recorded.openai-v2.chat-retry-timeout.jsonl", 450),
    ):
        told = audit(beside(name), mapping=OTEL, cap=KNOWN + bill)
        assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"retries": 1})
        assert "--assume A10" in told.doubts[0]
        assumed = audit(beside(name), mapping=OTEL, cap=KNOWN + bill, assume=A10)
        assert assumed.verdict is Verdict.SOUND
        assert "1 call counts once although nobody tells" in assumed.assumed[-1]


def test_whatever_is_taken_from_a_span_it_is_not_sound_below_the_bill() -> None:
    """Removing, emptying or zeroing any attribute, the times or the names of a span never gives a `sound`."""
    whole = chat("a", gen_ai__request__model="m", gen_ai__request__max_tokens=60, gen_ai__response__id="r")
    whole["status"] = {"code": 1}
    known = chat("known", KNOWN - 1, 1, trace="known")
    changed: list[dict[str, Any]] = []
    for n, pair in enumerate(whole["attributes"]):
        rest = [p for m, p in enumerate(whole["attributes"]) if m != n]
        empty = [{**pair, "value": {}}, {**pair, "value": {"intValue": "0"}}, {**pair, "key": f"other.{pair['key']}"}]
        changed += [{**whole, "attributes": rest}, *({**whole, "attributes": [*rest, new]} for new in empty)]
    changed += [{k: v for k, v in whole.items() if k != key} for key in whole if key not in ("traceId", "spanId")]
    changed += [{**whole, "status": {"code": 2}}, {**whole, "endTimeUnixNano": "0"}, {**whole, "attributes": {}}]
    for record in changed:
        told = judged(known, record, cap=KNOWN + 149)
        # A span without any attribute says nothing of a call at all: there is nothing to doubt.
        assert (told.verdict is not Verdict.SOUND) is bool(record.get("attributes")), record


# ------------------------------------------------------------------------------------- one kind each


def test_a_record_that_no_rule_takes_although_it_carries_usage_is_named() -> None:
    told = judged(chat("a"), span("b", llm__usage__total_tokens=150), span("c", gen_ai__request__model="m"), cap=250)
    assert told.verdict is Verdict.UNKNOWN
    assert warned(told) == {"left-out": 2}
    sentence = next(w.sentence for w in told.warnings)
    assert sentence.startswith("2 records have usage, name a model or lost attributes")
    assert "first in line 2: 'attributes/llm.usage.total_tokens'" in sentence
    assert told.doubts == (sentence,)
    # What carries nothing is left out without a word.
    assert (
        judged(chat("a"), span("b", http__method="POST"), span("c", llm__usage__total_tokens=0)).verdict
        is Verdict.SOUND
    )


def test_a_number_where_the_mapping_takes_its_amounts_is_usage_whatever_its_name() -> None:
    mapping = parse_mapping(
        'open = { root = "team", cap = 10 }\n[[rules]]\nwhen = { kind = "paid" }\n[[rules.emit]]\nevent = "record"\n'
        'account = { value = "team" }\namount = "value"\n[[rules]]\nwhen = { kind = "quote" }\nemit = []\n'
    )
    paid = '{"kind": "paid", "value": 6}\n'
    assert "left-out" in warned(audit([paid, '{"kind": "piad", "value": 6}\n'], mapping=mapping))
    assert warned(audit([paid, '{"kind": "other", "value": 0}\n'], mapping=mapping)) == {}


@pytest.mark.parametrize(
    "record",
    [
        {"attributes": [{"key": "usage", "value": {"stringValue": '{"input_tokens": 5}'}}]},
        {"events": [{"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}]}]},
        {"events": [{"attributes": [{"key": "gen_ai.request.model", "value": {"stringValue": "m"}}]}]},
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "gen_ai.client.token.usage"}]}]}]},
        {"resourceLogs": [{"logRecords": [{"body": {"usage": {"total": 5}}}]}]},
        {"cost": {"usd": "0.5"}},
        {"droppedAttributesCount": 46},
    ],
)
def test_usage_is_seen_wherever_a_record_has_it(record: dict[str, Any]) -> None:
    assert warned(judged(chat("a"), record)) == {"left-out": 1}


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai__usage__cache_read__input_tokens": 90, "gen_ai__usage__cache_creation__input_tokens": 20},
        {"gen_ai__usage__reasoning__output_tokens": 51},
        {"gen_ai__usage__total_tokens": 151},
        {"http__request__resend_count": 1},
    ],
)
def test_numbers_that_contradict_themselves_are_a_doubt(attributes: dict[str, int]) -> None:
    told = judged(chat("a", **attributes))
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"contradiction": 1})
    assert "line 1" in told.doubts[0]
    right = {key: value // 2 for key, value in attributes.items()}
    assert judged(chat("a", **right)).verdict is Verdict.SOUND


def test_times_that_cannot_be_read_are_a_doubt() -> None:
    told = judged({**chat("a"), "startTimeUnixNano": "yesterday"})
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"no-time": 2})
    backwards = judged({**chat("a"), "endTimeUnixNano": "1600000000000000000"})
    assert backwards.verdict is Verdict.UNKNOWN
    assert "backwards" in warned(backwards)
    pair = {**chat("a"), "startTimeUnixNano": None, "startTime": [1_700_000_000, 0], "endTime": [1_700_000_001, 5]}
    assert judged(pair).verdict is Verdict.SOUND


PATHS = """
[[rules]]
when = { kind = "answer" }
[[rules.emit]]
event = "reserve"
account = { value = "team" }
hold = "id"
amount = { field = "most", default = 5 }
at = "start"
[[rules.emit]]
event = "settle"
hold = "id"
amount = { sum = ["in", { field = "out", default = 0 }] }
"""


def test_a_path_of_the_mapping_that_never_occurs_is_a_doubt() -> None:
    record = {"kind": "answer", "id": "h1", "most": 5, "start": 1, "in": 2, "out": 3}

    def told(**changed: Any) -> Audit:
        kept = {k: v for k, v in {**record, **changed}.items() if v is not None}
        return audit([json.dumps(kept) + "\n"], mapping=parse_mapping(PATHS), cap=10)

    assert told().verdict is Verdict.SOUND
    for missing in ("most", "start", "out"):
        doubtful = told(**{missing: None})
        assert doubtful.verdict is Verdict.UNKNOWN
        assert f"{missing!r}" in doubtful.doubts[0]
        assert "line 1" in doubtful.doubts[0]
    # Once is enough: then it is a field that some records lack.
    mixed = [json.dumps({**record, "id": f"h{n}", "in": 0, **({} if n else {"out": 0})}) + "\n" for n in range(2)]
    del record["out"]
    mixed.append(json.dumps({**record, "id": "last"}) + "\n")
    assert "path" not in warned(audit(mixed, mapping=parse_mapping(PATHS), cap=10))


def test_an_agent_must_not_sum_up_more_than_its_requests() -> None:
    def agent(used: int) -> dict[str, Any]:
        return span("agent", gen_ai__operation__name="invoke_agent", gen_ai__usage__input_tokens=used)

    below = {**chat("a"), "parentSpanId": "tool"}
    tool = span("tool", "agent")
    assert judged(below, tool, agent(150)).verdict is Verdict.SOUND
    for cap, verdict in ((150, Verdict.UNKNOWN), (151, Verdict.SOUND)):  # the one that is missing is in no record
        more = judged(below, tool, agent(151), cap=cap)
        assert (more.verdict, warned(more)) == (verdict, {"sums-more": 1})
        assert (more.roots[0].billed, more.roots[0].at_most) == (150, 151)
        assert "it says 151, but the requests below it add up to 150" in more.warnings[0].sentence
    alone = judged(chat("a"), agent(0))
    assert "there is no request below it" in alone.doubts[0]


def test_what_is_there_twice_counts_once_and_what_may_be_counts_at_the_upper_end() -> None:
    once = chat("a", gen_ai__response__id="r")
    twice = judged(once, once)
    assert (twice.verdict, twice.roots[0].billed, warned(twice)) == (Verdict.SOUND, 150, {"repeated": 1})
    # One answer in two traces at one time is one answer.
    again = judged(once, {**once, "traceId": "u"})
    assert (again.verdict, again.roots[0].billed, warned(again)) == (Verdict.SOUND, 150, {"repeated": 1})
    # One name for two spans with other times: nobody knows.
    other = {**once, "endTimeUnixNano": "1700000000000000004"}
    told = judged(once, other)
    assert (told.verdict, told.roots[0].billed, told.roots[0].at_most) == (Verdict.UNKNOWN, 150, 300)
    assert judged(once, other, cap=300).verdict is Verdict.SOUND
    # Two calls one after the other are two calls, whatever they are called.
    later = chat("b", gen_ai__response__id="r", at=10)
    assert judged(once, later).roots[0].billed == 300


def test_a_request_inside_a_request_is_one_unless_their_answers_have_two_names() -> None:
    def inside(**more: Any) -> dict[str, Any]:
        return {**chat("b", **more), "parentSpanId": "a"}

    for inner, outer, billed in (
        ({}, {}, 150),
        ({"gen_ai__response__id": "r"}, {}, 150),
        ({"gen_ai__response__id": "r"}, {"gen_ai__response__id": "r"}, 150),
        ({"gen_ai__response__id": "r"}, {"gen_ai__response__id": "s"}, 300),
    ):
        for records in ((inside(**inner), chat("a", **outer)), (chat("a", **outer), inside(**inner))):
            assert judged(*records, cap=400).roots[0].billed == billed
    # What the outer one says beyond the inner ones may have been billed.
    more = judged(inside(), chat("a", out=60), cap=155)
    assert (more.verdict, more.roots[0].billed, more.roots[0].at_most) == (Verdict.UNKNOWN, 150, 160)


def test_an_interrupt_loses_nothing_that_was_read() -> None:
    """Records wait for their time: at an interrupt, as a log that is followed ends, they still count."""

    def interrupted() -> Iterator[str]:
        yield json.dumps(chat("a")) + "\n"
        yield json.dumps(span("b", llm__usage__total_tokens=1)) + "\n"
        raise KeyboardInterrupt

    told = audit(interrupted(), mapping=OTEL, cap=140)
    assert (told.interrupted, told.verdict, told.roots[0].billed) == (True, Verdict.VIOLATED, 150)
    assert warned(told) == {"left-out": 1}


def test_the_tree_of_records_is_forgotten_from_its_beginning() -> None:
    families = Families(memory=10)
    records = [chat(f"s{n}", trace=f"t{n}") for n in range(50)]
    for line, record in enumerate(records, 1):
        (made,) = OTEL.made(record)
        assert not isinstance(made, Exception)
        families.place(made, None, line)
    assert len(families.groups) <= 10


def test_calls_overlapped_is_said_only_where_it_was_seen() -> None:
    recorded = [{"event": "open", "root": "team", "cap": 6}, *[{"event": "record", "account": "team", "amount": 4}] * 2]
    told = audit([json.dumps(event) + "\n" for event in recorded])
    assert told.exercise.overlapped is False
    assert "overlapped" not in told.text()
    assert told.strongest.label == "sequential"  # they may have: it is not `sequential` that is refuted
    one_by_one = judged(chat("a"), chat("b", at=5), chat("c", at=10), cap=400)
    assert one_by_one.exercise.overlapped is False
    assert judged(chat("a"), chat("b", at=4), cap=400).exercise.overlapped is True


SUMS = """
[[rules]]
name = "a bucket"
when = { kind = "bucket" }
call = { id = { value = "bucket" }, sums = true, input = "input", allowed = "allowed", began = "at", ended = "at" }
"""


@pytest.mark.parametrize("order", ["", "[order]\nwindow = 5\n"])
def test_what_a_sum_may_have_cost_counts_at_the_upper_end_in_any_order(order: str) -> None:
    rows = [{"kind": "bucket", "input": 10, "allowed": 100, "at": 1}, {"kind": "bucket", "input": 10, "at": 2}]
    lines = [json.dumps(row) + "\n" for row in rows]
    bounded, unbounded = (audit(lines[:n], mapping=parse_mapping(order + SUMS), cap=50) for n in (1, 2))
    assert [(root.billed, root.at_most) for root in bounded.roots] == [(10, 110)]
    assert [(root.billed, root.at_most) for root in unbounded.roots] == [(20, None)]
