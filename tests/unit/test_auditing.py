"""`capsound audit`: what is said of a log, of its gaps, and of what it leaves out."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit, Shown
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.following import Tail
from capsound_checker.audit.logreading import BadLog, open_log
from capsound_checker.audit.mapping import BadMapping, load_mapping, moment, parse_mapping
from capsound_reference import Budget


def lines(*events: dict[str, Any]) -> list[str]:
    return [json.dumps(event) + "\n" for event in events]


def opened(cap: int = 60) -> dict[str, Any]:
    return {"event": "open", "root": "root", "cap": cap}


def call(n: int, held: int, bill: int | None, *, told: int | None = None) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = [
        {"event": "reserve", "account": "root", "hold": f"h{n}", "amount": held},
        {"event": "send", "hold": f"h{n}", "call": f"c{n}"},
    ]
    if bill is not None:
        out.append({"event": "bill", "call": f"c{n}", "amount": bill})
    return [*out, {"event": "settle", "hold": f"h{n}", "amount": bill if told is None else told}]


def warned(told: Audit) -> dict[str, int]:
    return {w.name: w.count for w in told.warnings}


# ------------------------------------------------------------------------------------------- verdicts


def test_a_log_in_which_the_cap_held_is_sound() -> None:
    told = audit(lines(opened(), *call(1, 31, 23), *call(2, 31, 30)))
    assert (told.verdict, told.findings, told.exit_status) == (Verdict.SOUND, (), 0)
    assert [(r.cap, r.billed, r.spent, r.held) for r in told.roots] == [(60, 53, 53, 0)]


def test_a_race_is_told_by_the_lines_that_show_it() -> None:
    parts = [call(n, 31, 23) for n in range(3)]
    told = audit(lines(opened(), *[p[0] for p in parts], *[e for p in parts for e in p[1:]]))
    assert told.verdict is Verdict.VIOLATED
    assert [(f.line, f.anomaly) for f in told.findings] == [(3, "stale-admit"), (4, "stale-admit"), (12, "overshoot")]
    assert told.strongest.label == "sequential"
    assert told.roots[0].overshoot == 9


def test_a_log_that_shows_nothing_is_unknown() -> None:
    told = audit(lines(opened(1000), *call(1, 31, 23)))
    assert (told.verdict, told.exit_status) == (Verdict.UNKNOWN, 2)
    assert "never came into play" in told.doubts[0]


def test_findings_are_counted_and_the_first_few_shown() -> None:
    late = [{"event": "record", "account": "root", "amount": 1}, *call(99, 40, 40)]
    told = audit(lines(opened(60), *[e for n in range(9) for e in call(n, 40, 40)], *late), show=2)
    assert told.counts["over-admit"] == 9
    assert sum(f.anomaly == "over-admit" for f in told.findings) == 2
    assert audit(lines(opened(60), *call(1, 61, 1)), show=0).findings == ()


def test_what_is_found_is_told_at_once() -> None:
    heard: list[Shown] = []
    source = iter(lines(opened(60), *call(1, 61, 61), *call(2, 1, 1)))
    before: list[int] = []

    def watched() -> Iterator[str]:
        for line in source:
            before.append(len(heard))
            yield line

    audit(watched(), tell=heard.append)
    assert before[:3] == [0, 0, 1]  # the admission of line 2 was told before line 3 was read


# ------------------------------------------------------------------------- where the true bills are


def test_where_no_bill_is_logged_what_was_settled_stands_for_it_and_that_is_said() -> None:
    told = audit(lines(opened(), *call(1, 31, None, told=40), *call(2, 20, None, told=25)))
    assert told.bills == "settled"
    assert [(f.line, f.anomaly) for f in told.findings] == [(7, "overshoot")]
    assert told.roots[0].billed == 65
    assert "2 amounts" in told.assumed[0]
    assert "A7" in told.assumed[0]


def test_with_bills_logged_a_settlement_without_a_bill_is_drift() -> None:
    told = audit(lines(opened(), *call(1, 31, None, told=23)), bills="logged")
    assert [f.anomaly for f in told.findings] == ["ledger-drift"]


def test_a_bill_after_bills_were_assumed_is_an_error_with_its_cure() -> None:
    log = lines(opened(), *call(1, 31, None, told=23), *call(2, 31, 23))
    with pytest.raises(BadLog) as error:
        audit(log, name="log.jsonl")
    assert error.value.where == "log.jsonl:7"
    assert "since line 4" in error.value.message
    assert "--bills logged" in error.value.hint


def test_what_was_sent_and_forfeited_is_said_to_rest_on_a1() -> None:
    lost = [*call(2, 20, None, told=1)[:2], {"event": "forfeit", "hold": "h2"}]
    told = audit(lines(opened(), *call(1, 31, None, told=23), *lost))
    assert told.assumed[1] == "1 call has no known bill: each counts as between 0 and its hold (A1)"
    assert told.roots[0].spent == 43


def test_spending_recorded_without_a_call_counts_as_billed() -> None:
    told = audit(lines(opened(), *[{"event": "record", "account": "root", "amount": 23}] * 3))
    assert told.roots[0].overshoot == 9
    assert [f.anomaly for f in told.findings] == ["overshoot"]


def test_a_cap_given_opens_what_the_log_did_not() -> None:
    told = audit(lines(*call(1, 31, 23), *call(2, 31, 30)), cap=60)
    assert [(r.name, r.cap, r.billed) for r in told.roots] == [("root", 60, 53)]
    with pytest.raises(BadLog, match="was never opened") as error:
        audit(lines(*call(1, 31, 23)))
    assert "--cap" in error.value.hint


# ------------------------------------------------------------------------------- what is wrong with a log


def test_an_empty_log_is_an_error() -> None:
    for source in ([], ["\n", "  \n"]):
        with pytest.raises(BadLog, match="the log is empty") as error:
            audit(source, name="log.jsonl")
        assert (error.value.where, error.value.exit_status) == ("log.jsonl", 65)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{nonsense\n", "the line is not JSON"),
        ("[1, 2]\n", "not an object"),
        ("[" * 100_000 + "\n", "nested too deeply"),
        ('{"event": "reserve", "account": "root", "hold": "x"}\n', "incomplete"),
        ('{"event": "reserve", "account": "root", "hold": "x", "amount": 1.5}\n', "1.5"),
        ('{"event": "reserve", "account": "root", "hold": "x", "amount": -1}\n', "-1"),
        ('{"event": "reserve", "account": "root", "hold": "x", "amount": true}\n', "True"),
        ('{"event": "reserve", "account": "root", "hold": "x", "amount": NaN}\n', "nan"),
        ('{"event": "reserve", "account": "root", "hold": "x", "amount": 1, "amout": 2}\n', "amout"),
        ('{"event": "reserved"}\n', "unknown event 'reserved'"),
        ('{"event": "settle", "hold": "x", "amount": 1}\n', "hold 'x' was never reserved"),
        ('{"event": "open", "root": "root", "cap": 5}\n', "is created twice"),
        ('{"event": ["a"], "hold": {}}\n', "unknown event"),
        ('{"event": "settle", "hold": {}, "amount": 1}\n', "is {}"),
    ],
)
def test_a_bad_line_is_named_and_lenience_leaves_it_out(line: str, message: str) -> None:
    log = [*lines(opened(), *call(1, 31, 23)), line, *lines(*call(2, 31, 30))]
    with pytest.raises(BadLog) as error:
        audit(log, name="log.jsonl")
    assert message in error.value.message
    assert error.value.where == "log.jsonl:6"
    assert "--lenient" in error.value.hint
    told = audit(log, lenient=True)
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"skipped": 1})
    assert told.roots[0].billed == 53


def test_the_rest_of_a_line_that_was_cut_by_a_crash_is_left_out() -> None:
    told = audit([*lines(opened(), *call(1, 31, 23), *call(2, 31, 30)), '{"event": "rese'])
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"truncated": 1})  # it may have been a bill
    assert told.roots[0].billed == 53


def test_gaps_and_disorder_are_reported_and_a_gap_leaves_no_verdict() -> None:
    events = [opened(), *call(1, 31, 23), *call(2, 31, 30)]
    whole = [{**e, "seq": n, "at": n} for n, e in enumerate(events)]
    assert warned(audit(lines(*whole))) == {}
    del whole[4]["seq"]
    whole[5]["at"] = 2
    told = audit(lines(*whole))
    assert told.verdict is Verdict.UNKNOWN
    assert warned(told) == {"seq-gap": 1, "clock": 1}
    swapped = [{**e, "seq": 0 if n == 5 else n} for n, e in enumerate(events)]
    assert set(warned(audit(lines(*swapped)))) == {"seq-order", "seq-gap"}


def test_iso_times_are_compared_across_zones() -> None:
    events = [
        {**opened(), "at": "2026-01-01T12:00:00+02:00"},
        {**call(1, 31, 23)[0], "at": "2026-01-01T10:00:01Z"},
        {**call(1, 31, 23)[1], "at": "2026-01-01T10:00:00.5Z"},
        {**call(1, 31, 23)[2], "at": "yesterday"},
    ]
    told = audit(lines(*events))
    assert warned(told) == {"clock": 1, "no-time": 1}
    assert "10:00:00.5Z" in told.warnings[0].sentence


def test_memory_does_not_grow_with_the_log() -> None:
    def peak(count: int) -> int:
        log = (line for n in range(count) for line in lines(*call(n, 2, 1)))
        tracemalloc.start()
        told = audit(chain(lines(opened(10**9)), log), memory=50)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert told.events == 1 + 4 * count
        return size

    assert peak(6_000) < peak(1_000) + 50_000


def test_what_was_forgotten_is_a_warning_and_not_a_verdict() -> None:
    many = [e for n in range(20) for e in call(n, 3, 3)]
    told = audit(lines(opened(60), *many, {"event": "settle", "hold": "h0", "amount": 3}), memory=5)
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"unknown-handle": 1})
    assert audit(lines(opened(60), *many, {"event": "settle", "hold": "h19", "amount": 3}), memory=5).counts == {
        "double-settle": 1
    }


def test_an_interrupt_ends_the_log_and_keeps_what_is_known() -> None:
    def interrupted() -> Iterator[str]:
        yield from lines(opened(60), *call(1, 61, 61))
        raise KeyboardInterrupt

    told = audit(interrupted())
    assert (told.interrupted, told.verdict, told.events) == (True, Verdict.VIOLATED, 5)


# ----------------------------------------------------------------------------------- where lines come from


def test_the_journal_of_the_reference_is_a_log(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("w") as file:
        budget = Budget(60, journal=file.write)
        first = budget.reserve(31)
        first.sent()
        first.settle(23)
        share = budget.delegate(20, "share")
        second = share.reserve(20)
        second.sent()
        second.settle(20)
        share.close()
    with open_log(path) as log:
        told = audit(log, name="journal.jsonl")
    assert told.verdict is Verdict.SOUND
    assert (told.roots[0].spent, told.slice_count, told.bills) == (43, 1, "settled")


def test_compressed_logs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    text = "".join(lines(opened(), *call(1, 31, 23), *call(2, 31, 30)))
    path.write_bytes(gzip.compress(text.encode()))
    with open_log(path) as log:
        assert audit(log).verdict is Verdict.SOUND
    path.write_bytes(gzip.compress(text.encode())[:-9])
    with pytest.raises(BadLog, match="cannot be decompressed"), open_log(path) as log:
        audit(log)


def test_a_byte_that_is_no_text_spoils_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    text = "".join(lines(opened(), *call(1, 31, 23), *call(2, 31, 30))).encode()
    path.write_bytes(text.replace(b'"h2"', b'"h\xff"'))
    with open_log(path) as log:
        told = audit(log)
    assert told.verdict is Verdict.SOUND
    json.dumps(told.data()).encode()
    told.text().encode()


def test_a_log_that_is_still_written_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    parts = lines(opened(), *call(1, 31, 23))
    path.write_text(parts[0] + parts[1][:9])
    written = iter([parts[1][9:] + parts[2], "rotate", parts[3], "truncate", parts[4]])
    got: deque[str] = deque()
    seen: list[int] = []

    def writes(_seconds: float) -> None:
        seen.append(len(got))
        now = next(written, "")
        if now == "rotate":
            path.rename(tmp_path / "log.jsonl.1")
            path.write_text("")
        elif now == "truncate":
            path.write_text("")
        else:
            with path.open("a") as file:
                file.write(now)

    got.extend(Tail(path, sleep=writes, stop=lambda: len(seen) > 9).lines())
    assert list(got) == parts
    assert seen[:2] == [1, 3]  # half a line is not yielded before its end is there


# ---------------------------------------------------------------------------------------------- mappings

OTEL = load_mapping("otel-genai")


def span(n: int, begin: int, end: int, **attributes: Any) -> dict[str, Any]:
    values = {"gen_ai.operation.name": "chat", **{k.replace("__", "."): v for k, v in attributes.items()}}
    pairs = [
        {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
        for k, v in values.items()
    ]
    return {
        "traceId": "t",
        "spanId": f"s{n}",
        "startTimeUnixNano": str(begin * 10**9),
        "endTimeUnixNano": str(end * 10**9),
        "attributes": pairs,
    }


def used(into: int, out: int, most: int | None = None, **more: Any) -> dict[str, Any]:
    limit = {} if most is None else {"gen_ai__request__max_tokens": most}
    return {"gen_ai__usage__input_tokens": into, "gen_ai__usage__output_tokens": out, **limit, **more}


def exported(*spans: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}) + "\n"


def test_spans_of_the_genai_conventions_are_put_in_order_and_judged() -> None:
    # Written as they ended: the second began first, and both were under way at once.
    log = [exported(span(2, 5, 8, **used(20, 10, 20))), exported(span(1, 1, 9, **used(20, 15, 20)))]
    told = audit(log, mapping=OTEL, cap=60)
    assert [(f.line, f.anomaly, f.numbers.get("amount")) for f in told.findings] == [
        (1, "stale-admit", 40),
        (2, "overshoot", None),
    ]
    assert (told.roots[0].billed, told.unit, told.ignored) == (65, "tokens", 0)


def test_a_failed_request_has_no_known_bill_and_other_spans_are_ignored() -> None:
    failed = span(1, 1, 2, gen_ai__request__max_tokens=30, error__type="timeout")
    agent = span(2, 0, 9, **used(500, 500)) | {
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "invoke_agent"}}]
    }
    told = audit([exported(failed, agent, span(3, 3, 4, **used(10, 5)))], mapping=OTEL, cap=60)
    root = told.roots[0]
    assert (root.billed, root.at_most, root.unknown_calls, told.ignored) == (15, None, 1, 1)
    assert told.verdict is Verdict.UNKNOWN
    assert told.exercise.overlapped is False


def test_a_span_that_is_older_than_the_window_is_reported() -> None:
    log = [exported(span(n, at, at + 1, **used(10, 5))) for n, at in enumerate([0, 10_000, 20_000, 1])]
    assert "late" in warned(audit(log, mapping=OTEL, cap=60))


def test_a_mapping_that_fits_nothing_says_where_to_look() -> None:
    with pytest.raises(BadLog, match="no rule of the mapping applies to any of the 3 records") as error:
        audit(lines(opened(), {"a": 1}, {"b": 2}), mapping=OTEL, cap=60)
    assert "when" in error.value.hint


DOLLARS = """
unit = "micro-USD"
open = { root = "team", cap = 1000000 }

[[rules]]
when = { type = "spend", "meta/dry" = { not = true } }
[[rules.emit]]
event = "record"
account = { value = "team" }
amount = { field = "usd", scale = 1000000, round = "up" }
at = "time"
"""


def test_amounts_are_converted_exactly_and_never_through_a_float() -> None:
    mapping = parse_mapping(DOLLARS)
    log = ['{"type": "spend", "usd": 0.1}\n'] * 7 + ['{"type": "spend", "usd": "0.3000001"}\n', '{"type": "x"}\n']
    told = audit(log, mapping=mapping)
    assert told.roots[0].billed == 700_000 + 300_001
    assert told.roots[0].overshoot == 1
    assert told.ignored == 1


def test_an_amount_that_is_no_whole_number_of_units_is_an_error_unless_rounded() -> None:
    mapping = parse_mapping(DOLLARS.replace(', round = "up"', ""))
    with pytest.raises(BadLog, match="no whole number of units") as error:
        audit(['{"type": "spend", "usd": 0.0000001}\n'], mapping=mapping)
    assert "round" in error.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rules", "ruels"), "ruels"),
        (('event = "record"', 'event = "recrod"'), "record"),
        (('account = { value = "team" }\n', ""), "account: is missing"),
        (("scale = 1000000", "scale = 0"), "0 makes every amount 0"),
        (('round = "up"', 'round = "nearest"'), "no way to round"),
        (('field = "usd"', 'feild = "usd"'), "feild"),
        (("cap = 1000000", "cap = -1"), "cap"),
        (("{ not = true }", "{ not = true, present = true }"), "two things at once"),
        (('unit = "micro-USD"', "unit = 3"), "unit"),
        (("[[rules]]", "[[rules"), "not TOML"),
    ],
)
def test_a_mapping_that_says_what_no_mapping_can_say_is_refused(change: tuple[str, str], message: str) -> None:
    assert change[0] in DOLLARS
    with pytest.raises(BadMapping) as error:
        parse_mapping(DOLLARS.replace(change[0], change[1]), path="my.toml")
    assert message in f"{error.value.message} {error.value.hint}"
    assert error.value.where == "my.toml"


def test_a_mapping_is_found_by_name_or_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(DOLLARS)
    assert load_mapping(path).unit == "micro-USD"
    with pytest.raises(BadMapping) as error:
        load_mapping("otel")
    assert "otel-genai" in error.value.hint


@pytest.mark.parametrize("value", [True, None, "soon", "1" * 80, float("nan"), [1]])
def test_what_is_no_time_is_none(value: object) -> None:
    assert moment(value) is None


def test_times_are_numbers_or_iso_texts() -> None:
    assert moment(5) == 5
    assert moment("1970-01-01T00:00:01Z") == moment("1970-01-01T01:00:01+01:00") == 10**9
    assert moment("1767225600000000000") == 1767225600000000000
