"""What the language of mappings can say: keys, parents, times, usage, prices, credits, JSON inside a text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import BadMapping, parse_mapping
from capsound_checker.audit.money import in_money
from capsound_checker.audit.times import as_datetime, moment, span_of
from capsound_checker.audit.units import BadCap, amount, cap_in, sentence

ROWS = '[[rules]]\n[[rules.emit]]\nevent = "record"\naccount = { value = "root" }\namount = "n"\n'
CALL = 'call = { id = "id", began = "a", ended = "b", input = "in", output = "out", allowed = "most", cached = "cached"'


def judged(mapping: str, *records: object, cap: int = 1000, **options: Any) -> Audit:
    lines = [record if isinstance(record, str) else json.dumps(record) + "\n" for record in records]
    return audit(lines, mapping=parse_mapping(mapping), cap=cap, **options)


def warned(told: Audit) -> dict[str, int]:
    return {w.name: w.count for w in told.warnings}


def billed(told: Audit) -> tuple[int, int | None]:
    return told.roots[0].billed, told.roots[0].at_most


# ---------------------------------------------------------------------------------------------- keys


def keyed(keep: str, within: int = 1000) -> str:
    return f'key = {{ of = "k", keep = "{keep}", within = {within} }}\n{ROWS}'


@pytest.mark.parametrize(
    ("keep", "expected", "warnings"),
    [
        ("first", (3 + 1, 4), {"repeated": 2}),
        ("last", (5 + 1, 6), {"repeated": 2}),
        ("largest", (9 + 1, 10), {"repeated": 2}),
        ("equal", (3 + 1, 18), {"told-twice": 2}),
    ],
)
def test_records_of_one_key_are_one_bill(keep: str, expected: tuple[int, int], warnings: dict[str, int]) -> None:
    rows = [{"k": "a", "n": 3}, {"k": "b", "n": 1}, {"k": "a", "n": 9}, {"k": "a", "n": 5}]
    told = judged(keyed(keep), *rows)
    assert billed(told) == expected
    assert warned(told) == warnings


def test_a_record_without_its_key_is_a_bill_of_its_own() -> None:
    told = judged(keyed("first"), {"k": "a", "n": 3}, {"n": 4}, {"n": 4}, {"k": None, "n": 1})
    assert billed(told) == (12, 12)


def test_a_key_that_comes_back_late_is_not_counted_again() -> None:
    others = [{"k": f"o{n}", "n": 0} for n in range(5)]
    same = judged(keyed("last", within=2), {"k": "a", "n": 3}, *others, {"k": "a", "n": 3})
    assert (billed(same), warned(same)) == ((3, 3), {"repeated": 1})
    # The bill was taken: what comes now may be a better account of it.
    more = judged(keyed("last", within=2), {"k": "a", "n": 3}, *others, {"k": "a", "n": 7})
    assert (billed(more), warned(more)) == ((3, 10), {"told-twice": 1})
    assert judged(keyed("last", within=2), {"k": "a", "n": 3}, *others, {"k": "a", "n": 7}, cap=9).verdict is (
        Verdict.UNKNOWN
    )


def test_at_an_interrupt_what_waits_for_its_key_counts() -> None:
    def lines() -> Any:
        yield '{"k": "a", "n": 3}\n'
        raise KeyboardInterrupt

    told = audit(lines(), mapping=parse_mapping(keyed("last")), cap=10)
    assert (told.interrupted, billed(told)) == (True, (3, 3))


# ------------------------------------------------------------------------------------------- parents


def test_a_record_finds_what_encloses_it() -> None:
    mapping = (
        'records = ["resource", "scopes", "spans"]\nattributes = ["^/^/labels"]\n'
        '[[rules]]\nwhen = { "^/^/labels/env" = "prod" }\n[[rules.emit]]\nevent = "record"\n'
        'account = { join = ["^/^/labels/team", "^/scope"] }\namount = "n"\nat = { field = "^/at", unit = "s" }\n'
    )

    def line(env: str) -> dict[str, Any]:
        spans = [{"n": 5}, {"n": 6}]
        labels = [{"key": "env", "value": {"stringValue": env}}, {"key": "team", "value": {"stringValue": "t"}}]
        return {"resource": [{"labels": labels, "scopes": [{"scope": "s", "at": 1, "spans": spans}]}]}

    told = judged(mapping, line("prod"), line("test"))
    assert {root.name: root.billed for root in told.roots} == {"t/s": 11}
    assert told.ignored == 2


def test_what_is_no_list_of_records_is_no_silence() -> None:
    mapping = f'records = ["rows"]\n{ROWS}'
    good = {"rows": [{"n": 1}]}
    for bad in ({"rows": {"n": 1}}, {"rows": "x"}, {"rows": [5]}, {"rows": [{"n": 1}, None]}):
        with pytest.raises(BadLog, match="rows"):
            judged(mapping, good, bad)
        told = judged(mapping, good, bad, lenient=True)
        assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"skipped": 1})
    # What stands in place of the list may have usage that no rule takes.
    nested = judged(
        'records = ["a", "rows"]\n' + ROWS.replace("[[rules]]\n", "[[rules]]\nwhen = { ok = true }\n"),
        {"a": [{"rows": [{"n": 1, "ok": True}]}, {"usage": 7}]},
    )
    assert warned(nested) == {"left-out": 1}


# --------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("raw", "unit", "nanoseconds"),
    [
        (1_700_000_000, "s", 1_700_000_000 * 10**9),
        (1_700_000_000.5, "s", 1_700_000_000_500_000_000),
        ("1700000000123", "ms", 1_700_000_000_123 * 10**6),
        (1_700_000_000_000_001, "us", 1_700_000_000_000_001_000),
        (1_700_000_000_000_000_001, "ns", 1_700_000_000_000_000_001),
        ([1_700_000_000, 5], "s", 1_700_000_000_000_000_005),
        ("2023-11-14T22:13:20Z", "s", 1_700_000_000 * 10**9),
        ("2023-11-14T23:13:20+01:00", "ms", 1_700_000_000 * 10**9),
    ],
)
def test_times_of_any_unit_are_nanoseconds(raw: object, unit: str, nanoseconds: int) -> None:
    units = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    assert moment(raw, units[unit]) == nanoseconds
    assert as_datetime(moment(raw, units[unit])) is not None


def test_lengths_of_time_are_never_negative() -> None:
    assert (span_of("1.5", 10**9), span_of(3, 10**6), span_of(-1, 1), span_of("x", 1), span_of(None, 1)) == (
        1_500_000_000,
        3_000_000,
        None,
        None,
        None,
    )
    assert as_datetime(10**40) is None


TIMED = (
    'order = { window = 60, unit = "s" }\n[[rules]]\n'
    'call = { id = "id", began = { field = "end", unit = "%s", minus = { field = "took", unit = "ms" } }, ended = { field = "end", unit = "%s" }, input = "in", output = "out" }\n'
)


@pytest.mark.parametrize(
    ("unit", "ends"), [("s", (100, 101)), ("ms", (100_000, 101_000)), ("us", (10**8, 101 * 10**6))]
)
def test_a_call_begins_its_length_before_it_ends(unit: str, ends: tuple[int, int]) -> None:
    """Two calls that end one second apart overlap if the second took more than that, and do not if it took less."""
    for took, overlapped in ((1500, True), (500, False)):
        rows = [
            {"id": n, "end": end, "took": t, "in": 60, "out": 0}
            for n, end, t in zip((1, 2), ends, (10, took), strict=True)
        ]
        told = judged(TIMED % (unit, unit), *rows, cap=100)
        assert told.exercise.overlapped is overlapped
        assert told.verdict is Verdict.VIOLATED


@pytest.mark.parametrize("bad", [{"took": "soon"}, {"took": -5}, {"end": "never"}, {"end": {}}, {"took": [1, 2, 3]}])
def test_a_time_that_cannot_be_computed_is_a_doubt(bad: dict[str, Any]) -> None:
    row = {"id": 1, "end": 100, "took": 5, "in": 6, "out": 0}
    assert warned(judged(TIMED % ("s", "s"), row, cap=10)) == {}
    told = judged(TIMED % ("s", "s"), {**row, **bad}, cap=10)
    assert (told.verdict, set(warned(told))) == (Verdict.UNKNOWN, {"no-time"})


# --------------------------------------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("record", "ends"),
    [
        ({"in": 100, "out": 50}, (150, 150)),
        ({"in": 100, "out": 50, "most": 400}, (150, 150)),
        ({"in": 100, "most": 400}, (100, 500)),
        ({"in": 100}, (100, None)),
        ({"out": 50}, (50, None)),
        ({}, (0, None)),
        ({"in": 0, "out": 50}, (50, None)),
        ({"in": 100, "out": 0, "most": 400}, (100, 500)),
        ({"in": 100, "out": 50, "error": "x"}, (150, None)),
        ({"in": 100, "out": 50, "cache": "hit"}, (0, 0)),
        ({"in": "100", "out": "50"}, (150, 150)),
        ({"in": 100, "out": None, "most": 0}, (100, 100)),
    ],
)
def test_what_a_record_does_not_tell_is_no_zero(record: dict[str, Any], ends: tuple[int, int | None]) -> None:
    mapping = f'[[rules]]\n{CALL}, unknown_zero = ["input", "output"], failed = [{{ error = {{ present = true }} }}], free = [{{ cache = "hit" }}] }}\n'
    told = judged(mapping, {"id": 1, "in": 500, "out": 1}, {"id": 2, **record}, cap=100_000)
    assert billed(told) == (501 + ends[0], None if ends[1] is None else 501 + ends[1])


@pytest.mark.parametrize(
    "bad", [{"in": -1}, {"in": 1.5}, {"out": "many"}, {"out": [5]}, {"in": True}, {"id": {}}, {"id": None}]
)
def test_what_is_no_number_of_tokens_is_named(bad: dict[str, Any]) -> None:
    good = {"id": 1, "in": 500, "out": 1}
    with pytest.raises(BadLog):
        judged(f"[[rules]]\n{CALL} }}\n", good, {"id": 2, "in": 1, "out": 1, **bad})
    told = judged(f"[[rules]]\n{CALL} }}\n", good, {"id": 2, "in": 1, "out": 1, **bad}, lenient=True)
    assert (told.verdict, warned(told), told.roots[0].billed) == (Verdict.UNKNOWN, {"skipped": 1}, 501)


def test_cache_tokens_are_inside_the_input_or_beside_it() -> None:
    record = {"id": 1, "in": 100, "cached": 80, "out": 5}
    for cache, total in (("inside", 105), ("beside", 185)):
        assert billed(judged(f'[[rules]]\n{CALL}, cache = "{cache}" }}\n', record)) == (total, total)


# --------------------------------------------------------------------------------------------- money

PRICED = f'[[rules]]\n{CALL}, written = "w", model = "model", cost = "usd" }}\n'


def priced(*records: dict[str, Any], mapping: str = PRICED, cap: int = 10**12) -> Audit:
    money = in_money(parse_mapping(mapping), ["a=1/2/0.5", "b=10/20"], table=False)
    return audit([json.dumps(record) + "\n" for record in records], mapping=money, cap=cap)


@pytest.mark.parametrize(
    ("record", "ends"),
    [
        ({"model": "a", "in": 100, "cached": 80, "out": 10}, (20 + 40 + 20, 80)),
        ({"model": "b", "in": 100, "out": 10}, (1200, 1200)),
        ({"model": "a", "in": 100, "most": 50}, (100, 200)),
        ({"model": "a", "in": 100}, (100, None)),
        ({"model": "c", "in": 100, "out": 10}, (0, None)),
        ({"model": "c", "in": 100, "out": 10, "usd": 0.0005}, (500, 500)),
        ({"model": "a", "in": 100, "out": 10, "usd": 0.0005}, (120, 120)),
        ({"model": "c", "in": 100, "out": 10, "usd": 0}, (0, None)),
        ({"in": 100, "out": 10}, (0, None)),
        ({"model": "b", "in": 100, "cached": 1, "out": 10}, (0, None)),
        ({"model": "a", "in": 10, "cached": 11, "out": 10}, (0, None)),
        ({"model": "a", "in": 10, "w": 1, "out": 10}, (0, None)),
    ],
)
def test_calls_are_priced_in_micro_dollars(record: dict[str, Any], ends: tuple[int, int | None]) -> None:
    told = priced({"id": 1, **record})
    low, high = ends
    assert billed(told) == (low * 10**6, None if high is None else high * 10**6)
    assert told.unit == "pico-USD"
    assert ("unpriced" in warned(told)) is (low == 0)
    assert not (low == 0 and told.verdict is Verdict.SOUND)


def test_a_sum_of_many_calls_is_no_call() -> None:
    mapping = '[[rules]]\ncall = { id = { value = "-" }, sums = true, input = "in", output = "out", model = "model" }\n'
    told = priced({"model": "a", "in": 10**6, "out": 0}, {"model": "a", "in": 10**6, "out": 10**6}, mapping=mapping)
    assert billed(told) == (4 * 10**12, 4 * 10**12)
    assert told.exercise.admitted == 0
    unknown = priced({"model": "a", "in": 10**6, "out": 0}, {"model": "x", "in": 10**6, "out": 0}, mapping=mapping)
    assert billed(unknown) == (10**12, None)


def test_a_mapping_that_emits_amounts_cannot_be_priced() -> None:
    with pytest.raises(BadMapping, match="cannot be priced"):
        in_money(parse_mapping(ROWS), ["a=1/2"], table=False)
    assert in_money(parse_mapping(ROWS), [], table=False).unit == "units"


def test_a_credit_is_told_and_not_subtracted() -> None:
    mapping = '[[rules]]\nwhen = { kind = "refund" }\ncredit = "n"\n' + ROWS
    told = judged(mapping, {"n": 110}, {"kind": "refund", "n": -20}, {"kind": "refund", "n": -5}, cap=100)
    assert (told.verdict, told.roots[0].billed) == (Verdict.VIOLATED, 110)
    assert warned(told) == {"credit": 2}
    assert "first in line 2: 20" in told.warnings[0].sentence


@pytest.mark.parametrize(
    ("text", "unit", "cap"),
    [
        ("10", "tokens", 10),
        ("$10", "pico-USD", 10**13),
        ("0.5usd", "pico-USD", 5 * 10**11),
        ("$ 1,000.25", "pico-USD", 1_000_250_000_000_000),
        ("$4.27", "micro-USD", 4_270_000),
        ("12 USD", "nano-USD", 12 * 10**9),
    ],
)
def test_a_cap_may_be_in_dollars(text: str, unit: str, cap: int) -> None:
    assert cap_in(text, unit) == cap


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("10", "pico-USD"),
        ("$10", "tokens"),
        ("-1", "tokens"),
        ("1.5", "tokens"),
        ("$0.0000001", "micro-USD"),
        ("", "tokens"),
        ("$", "pico-USD"),
        ("$1.2.3", "pico-USD"),
        ("nan", "tokens"),
        ("$-1", "pico-USD"),
        ("9" * 99, "tokens"),
    ],
)
def test_a_cap_that_means_nothing_is_refused(text: str, unit: str) -> None:
    with pytest.raises(BadCap) as caught:
        cap_in(text, unit)
    assert caught.value.exit_status == 64


def test_amounts_are_written_as_people_write_them() -> None:
    assert (amount(4_270_000_000_000, "pico-USD"), amount(12345, "tokens")) == ("$4.27", "12,345")
    assert (amount(1, "pico-USD"), amount(0, "pico-USD")) == ("$0.000000000001", "$0.00")
    text = "admitted 2500000000000 on r5 although 1,000,000,000,000 was free"
    assert (
        sentence(text, [2_500_000_000_000, 10**12, "x"], "pico-USD") == "admitted $2.50 on r5 although $1.00 was free"
    )
    assert sentence(text, [2_500_000_000_000], "tokens") == text


# ------------------------------------------------------------------------------------- JSON in a text


def test_json_inside_a_text_is_read() -> None:
    mapping = 'json = ["meta", "note?"]\n' + ROWS.replace('"n"', '"meta/usage/n"')
    told = judged(mapping, {"meta": '{"usage": {"n": 0.5}, "x": [1]}'.replace("0.5", "5"), "note": "[not JSON"})
    assert billed(told) == (5, 5)
    with pytest.raises(BadLog, match="'meta' holds no JSON"):
        judged(mapping, {"meta": '{"usage": {"n": 5}'})
    with pytest.raises(BadLog):
        judged(mapping, {"meta": "none"})
    with pytest.raises(BadLog, match="holds no JSON"):
        judged(mapping, {"meta": "[" * 5000})


# ----------------------------------------------------------------------------------- what is no mapping


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('key = { of = "k" }\n' + ROWS, "key.keep: is missing"),
        ('key = { of = "k", keep = "best" }\n' + ROWS, "first, last, largest, equal"),
        ('key = { of = "k", keep = "last", within = 0 }\n' + ROWS, "key.within"),
        ('order = { window = 5, unit = "h" }\n' + ROWS, "order.unit"),
        ('values = { x = "a" }\n' + ROWS.replace('"n"', '"$y"'), "there is no value '$y'"),
        ('records = [["a"], "b"]\n' + ROWS, "records"),
        ("counts = 'euros'\n" + ROWS, "counts"),
        (f'[[rules]]\n{CALL}, cache = "none" }}\n', "cache"),
        (f'[[rules]]\n{CALL}, unknown_zero = ["written"] }}\n', "unknown_zero"),
        (f"[[rules]]\n{CALL}, failed = {{ a = 1 }} }}\n", "failed"),
        (f"[[rules]]\n{CALL}, sums = 1 }}\n", "sums"),
        (f"[[rules]]\n{CALL} }}\nemit = []\n", "in place of"),
        ('[[rules]]\ncall = { input = "in" }\n', "call.id: is missing"),
        ('order = { window = 5 }\n[[rules]]\ncall = { id = "i", input = "in" }\n', "call.began: is missing"),
        ('[[rules]]\ncredit = "n"\nemit = []\n', "credit"),
        (ROWS + 'at = { field = "t", minus = { field = "d", unit = "ms" } }\n', "at.unit: is missing"),
        (ROWS + 'at = { field = "t", unit = "s", minus = { field = "d" } }\n', "at.minus.unit: is missing"),
        ("recognise = 5\n" + ROWS, "recognise"),
    ],
)
def test_a_mistake_in_a_mapping_is_named_by_its_key(text: str, says: str) -> None:
    with pytest.raises(BadMapping) as caught:
        parse_mapping(text)
    assert says in f"{caught.value.message} {caught.value.hint}"
