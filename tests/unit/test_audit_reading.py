"""What an audit reads: documents, lines and records of any shape, and never more than it can take."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from capsound.errors import CapsoundError
from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.following import Tail
from capsound_checker.audit.logreading import BadLog, open_log
from capsound_checker.audit.mapping import BadMapping, load_mapping, parse_mapping
from capsound_checker.intake.limits import DIGITS, LINE, NAME, TooMuch, check_data, cut, exact
from capsound_checker.intake.lines import LongLine, Splitter, split_lines

CALLS: list[dict[str, Any]] = [
    {"event": "open", "root": "team", "cap": 10},
    {"event": "reserve", "account": "team", "hold": "h1", "amount": 6},
    {"event": "send", "hold": "h1", "call": "c1"},
    {"event": "bill", "call": "c1", "amount": 6},
    {"event": "settle", "hold": "h1", "amount": 6},
]
JSONL = "".join(json.dumps(event) + "\n" for event in CALLS)


def tried(source: list[str], **how: Any) -> Audit | CapsoundError:
    """Return the report, or the error: anything else that comes of it is a bug."""
    try:
        return audit(source, **how)
    except CapsoundError as error:
        return error


def split(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def of(told: Audit) -> tuple[Verdict, int, int]:
    return told.verdict, told.events, told.roots[0].billed


# -------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CALLS),
        json.dumps(CALLS, indent=2) + "\n",
        "\ufeff" + json.dumps(CALLS, indent=2),
        "[\n" + ",\n".join(json.dumps(event) for event in CALLS) + "\n]\n",
        "\n".join(json.dumps(event, indent=1) for event in CALLS),
    ],
    ids=["one line", "pretty", "mark", "one a line", "objects"],
)
def test_a_document_is_read_as_the_lines_of_its_objects(text: str) -> None:
    assert of(audit(split(text))) == of(audit(split(JSONL))) == (Verdict.SOUND, 5, 6)


def test_what_is_wrong_in_a_document_is_named_by_its_line() -> None:
    broken = [*CALLS, {"event": "settle", "hold": "h9", "amount": 1}]
    with pytest.raises(BadLog, match="h9") as error:
        audit(split("[\n" + ",\n".join(json.dumps(event) for event in broken) + "\n]"), name="log.json")
    assert error.value.where == "log.json:7"
    with pytest.raises(BadLog) as error:
        audit(split("\n\n[\n" + ",\n".join(json.dumps(event) for event in broken) + "\n]"), name="log.json")
    assert error.value.where == "log.json:9"
    with pytest.raises(BadLog, match="a member of the array is 3, not an object"):
        audit(split(json.dumps([*CALLS, 3])))


@pytest.mark.parametrize("text", ["[\n" + JSONL.replace("\n", ",\n"), "{\n" + JSONL, '[\n{"a": 1},\n{"a": }\n]'])
def test_a_document_that_does_not_end_says_what_to_do(text: str) -> None:
    with pytest.raises(BadLog) as error:
        audit(split(text))
    assert "jq" in error.value.hint


def test_a_first_line_that_is_cut_spoils_only_itself_under_lenience() -> None:
    told = audit(split('{"event": "open",\n' + JSONL), lenient=True)
    assert of(told) == (Verdict.UNKNOWN, 5, 6)
    assert [w.name for w in told.warnings] == ["skipped"]


def test_a_document_is_read_by_a_mapping_too() -> None:
    mapping = parse_mapping(
        'records = ["data", "rows"]\n[[rules]]\nwhen = { paid = { present = true } }\n[[rules.emit]]\n'
        'event = "record"\naccount = { value = "team" }\namount = "paid"\n'
    )
    page = {"data": [{"rows": [{"paid": 4}, {"paid": 5}]}, {"rows": [{"paid": 1}]}]}
    assert audit(split(json.dumps(page, indent=1)), mapping=mapping, cap=9).roots[0].billed == 10


def test_an_unknown_event_names_the_mappings() -> None:
    with pytest.raises(BadLog, match="unknown event") as error:
        audit(['{"type": "answer", "cost": 5}\n'])
    assert "--mapping" in error.value.hint
    assert "otel-genai" in error.value.hint


# -------------------------------------------------------------------------------- records are left out whole

WHOLE = """
open = { root = "team", cap = 10 }
[[rules]]
when = { id = { present = true } }
[[rules.emit]]
event = "reserve"
account = { value = "team" }
hold = "id"
amount = "cost"
[[rules.emit]]
event = "settle"
hold = { field = ["settles", "id"] }
amount = "cost"
"""
ORDERED = WHOLE.replace('"cost"\n[[', '"cost"\nat = "from"\n[[').replace('amount = "cost"\n', 'amount = "cost"\n', 1)
ORDERED = ORDERED.rstrip() + '\nat = "to"\n[order]\nwindow = 100\n'


def rows(*costs: tuple[str, Any], **more: Any) -> list[str]:
    return [json.dumps({"id": i, "cost": c, "from": n, "to": n + 1, **more}) + "\n" for n, (i, c) in enumerate(costs)]


@pytest.mark.parametrize("mapping", [WHOLE, ORDERED], ids=["as written", "in order"])
@pytest.mark.parametrize(
    "bad",
    [
        {"id": "r1", "cost": 6, "from": 5, "to": 6},  # there already
        {"id": "r9", "cost": 3, "settles": "nobody", "from": 5, "to": 6},  # its second event cannot be
        {"id": "r9", "cost": -1, "from": 5, "to": 6},
        {"id": "r9", "cost": "1e9999999999999999999", "from": 5, "to": 6},
    ],
)
def test_lenience_leaves_out_a_record_whole(mapping: str, bad: dict[str, Any]) -> None:
    parsed = parse_mapping(mapping)
    good = rows(("r1", 6), ("r2", 3))
    told = audit([good[0], json.dumps(bad) + "\n", good[1]], mapping=parsed, lenient=True)
    alone = audit(good, mapping=parsed)
    assert (told.events, told.roots[0]) == (alone.events, alone.roots[0])
    assert told.counts == alone.counts == {}
    assert (told.verdict, alone.verdict) == (Verdict.UNKNOWN, Verdict.SOUND)
    assert [(w.name, w.count, w.line) for w in told.warnings] == [("skipped", 1, 2)]


def test_a_record_that_ends_before_it_begins_keeps_its_events_together() -> None:
    told = audit(rows(("r1", 6), to=-50), mapping=parse_mapping(ORDERED))
    assert (told.events, told.roots[0].billed, told.verdict) == (2, 6, Verdict.UNKNOWN)


# --------------------------------------------------------------------------------------- limits of the door


@pytest.mark.parametrize(
    "line",
    [
        "[" * 5_000 + "\n",
        '{"event": ' + "[" * 900 + "]" * 900 + "}\n",
        '{"event": "open", "root": "x", "cap": ' + "9" * 100_000 + "}\n",
        '{"event": "open", "root": "x", "cap": ' + "9" * 4_000 + "}\n",
        '{"event": "open", "root": "x", "cap": 1e99999999999999999999}\n',
        '{"event": "open", "root": "x", "cap": 1e999}\n',
        json.dumps({"event": "open", "root": "x" * 100_000, "cap": 5}) + "\n",
        json.dumps({"event": "open", "root": "x", "cap": 5, "k" * 100_000: 1}) + "\n",
        json.dumps({"event": "x" * 100_000}) + "\n",
        '{"event": "refuse", "account": "team", "amount": 1, "reason": "\\u001b[31m\\n::error::"}\n\x00\n',
        LongLine("\0\n"),
    ],
    ids=range(11),
)
def test_a_hostile_line_is_an_error_of_one_screen(line: str) -> None:
    source = [*split(JSONL), line] if isinstance(line, LongLine) else split(JSONL) + split(line)
    for mapping in (None, load_mapping("otel-genai")):
        error = tried(source, name="log.jsonl", mapping=mapping, cap=5 if mapping else None)
        assert isinstance(error, CapsoundError)
        text = f"{error} {error.hint} {error.cause}"
        assert error.exit_status == 65
        assert len(text) < 1_500
        assert text.isprintable()
    told = audit(source, lenient=True)
    assert told.verdict is not Verdict.SOUND
    assert told.roots[0].billed == 6
    assert len(told.text()) < 4_000
    json.dumps(told.data())


COST = """
open = { root = "team", cap = 10 }
[[rules]]
when = { type = "answer" }
[[rules.emit]]
event = "record"
account = { value = "team" }
amount = "cost"
at = "time"
[order]
window = 10
"""


@pytest.mark.parametrize(
    "cost",
    ["1e99999999999999999999", '"1e99999999999999999999"', "1e100000", "9" * 200, '"' + "1" * 100_000 + '"', "NaN",
     "0." + "1" * 5_000, '"sNaN"', '{"a": 1}', "Infinity"],
)  # fmt: skip
def test_a_number_that_is_none_spoils_its_record_only(cost: str) -> None:
    line = f'{{"type": "answer", "cost": {cost}, "time": 2}}\n'
    good = '{"type": "answer", "cost": 6, "time": 1}\n'
    mapping = parse_mapping(COST)
    with pytest.raises(BadLog) as error:
        audit([good, line], mapping=mapping, name="log")
    assert error.value.where == "log:2"
    told = audit([good, line, good], mapping=mapping, lenient=True)
    assert (told.roots[0].billed, [w.count for w in told.warnings]) == (12, [1])


@pytest.mark.parametrize(
    "time",
    ["1e400000", "1e999999999", "-1e-999999999", "9" * 80, '"' + "9" * 300 + '"', "[1, 2, 3]", '"9999-12-31T23:59:59-23:59"',
     '"0001-01-01T00:00:00+23:59"', "{}", "true"],
)  # fmt: skip
def test_a_time_that_is_none_is_a_doubt_and_no_crash(time: str) -> None:
    line = f'{{"type": "answer", "cost": 6, "time": {time}}}\n'
    good = '{"type": "answer", "cost": 4, "time": 1}\n'
    told = audit([good, line, good.replace("1", "2.5")], mapping=parse_mapping(COST))
    assert told.roots[0].billed == 14


@pytest.mark.parametrize(
    "text",
    [
        COST.replace('"cost"', '{ field = "cost", scale = 1e99999999 }'),
        COST.replace('"cost"', '{ field = "cost", scale = "1e99999999" }'),
        COST.replace('"cost"', '{ field = "cost", scale = "1/' + "9" * 10_000 + '" }'),
        COST.replace('"cost"', '{ field = "cost", scale = 1e99999999999999999999 }'),
        COST.replace("cap = 10", "cap = 1" + "0" * 10_000),
        COST.replace("cap = 10", "cap = 1" + "0" * 1_000),
        "x = " + "[" * 5_000 + "]" * 5_000,
        "x = " + "[" * 100 + "]" * 100,
        COST.replace("[order]", '["\\u001b[31mred\\n::error::"]'),
        COST.replace('"record"', '"' + "r" * 100_000 + '"'),
    ],
    ids=range(10),
)
def test_a_hostile_mapping_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(BadMapping) as error:
        parse_mapping(text)
    told = f"{error.value} {error.value.hint}"
    assert error.value.exit_status == 65
    assert len(told) < 1_000
    assert told.isprintable()


def test_a_mapping_as_long_as_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("#" * (2 << 20))
    with pytest.raises(BadMapping, match="more than 1 MiB"):
        load_mapping(tmp_path / "m.toml")


def test_lines_are_cut_out_of_bytes_whatever_the_chunks() -> None:
    text = ("a\nbc\r\n\n" + "\u2028é\n" + "x" * 30 + "\nend").encode() + b"\xff"
    whole = text.decode("utf-8", "surrogateescape").split("\n")
    for size in range(1, 40):
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        assert "".join(split_lines(chunks)).split("\n") == whole
        limited = list(split_lines(chunks, limit=20))
        assert [type(line) is LongLine for line in limited] == [False] * 4 + [True, False]
    splitter = Splitter()
    assert list(splitter.feed(b"ab")) == []
    assert (splitter.unfinished, list(splitter.rest()), splitter.unfinished) == (True, ["ab"], False)


def test_a_bomb_of_one_line_is_not_unpacked_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    with gzip.open(path, "wb") as out:
        out.write(JSONL.encode())
        for _ in range(8):
            out.write(b"[" * LINE)
        out.write(b"\n" + json.dumps({"event": "refuse", "account": "team", "amount": 5}).encode() + b"\n")
    tracemalloc.start()
    with open_log(path) as log, pytest.raises(BadLog, match="longer than 16 MiB") as error:
        audit(log, name="log")
    with open_log(path) as log:
        told = audit(log, lenient=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.value.where == "log:6"
    assert (told.events, told.exercise.refused) == (6, 1)
    assert peak < 6 * LINE


class Piece(bytes):
    """Bytes that count how many are copied where they are added to others."""

    copied = 0

    def __radd__(self, other: bytes) -> bytes:
        Piece.copied += len(other) + len(self)
        return Piece(bytes(other) + bytes(self))


def test_a_long_line_that_is_followed_is_joined_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came before is not copied again for each piece that comes: 200 pieces, and no sum of them all."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"")
    pieces = [b'{"a": "', *[b"x" * 1_000] * 200, b'"}\n']
    polls = iter(range(1_000))
    got: list[bytes] = []

    class Pieces(io.FileIO):
        def read(self, _size: int | None = -1) -> bytes:
            got.append(super().read(-1))
            return Piece(got[-1])

    opens = Path.open
    monkeypatch.setattr(Path, "open", lambda name, mode: Pieces(name) if mode == "rb" else opens(name, mode))

    def sleep(_seconds: float) -> None:
        if (n := next(polls)) < len(pieces):
            with opens(path, "ab") as file:
                file.write(pieces[n])

    Piece.copied = 0
    (line,) = Tail(path, sleep=sleep, stop=lambda: path.stat().st_size >= sum(map(len, pieces))).lines()
    assert len(line) == sum(map(len, pieces))
    assert pieces[1] in got
    assert Piece.copied <= 2 * len(line)


def test_limits_are_where_they_are_said_to_be() -> None:
    assert exact("1e60") == 10**60
    assert exact(10**DIGITS - 1) == 10**DIGITS - 1
    for beyond in ("1e61", 10**61, "1" * 1_000, "1e999999999999999999999"):
        with pytest.raises(TooMuch):
            exact(beyond)
    assert exact("NaN") is None
    assert exact("one") is None
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    check_data(deep)
    with pytest.raises(TooMuch, match="nested too deeply"):
        check_data([deep])
    assert cut("a" * NAME) == "a" * 197 + "..."
    assert cut("\x1b[31m\n") == "\\x1b[31m\\n"


def test_no_spoilt_log_is_a_bug() -> None:
    """Bytes of good logs are changed, dropped and doubled; whatever comes of it is a report or an error with a line."""
    rnd = random.Random(18)
    otel = load_mapping("otel-genai")
    cost = parse_mapping(COST)
    spans = (Path(__file__).parents[1] / "support" / "spans" / "told-twice-nested.jsonl").read_text()
    paid = "".join(f'{{"type": "answer", "cost": {n}.0, "time": {n}}}\n' for n in range(4))
    bits = ["{", "}", "[", "]", '"', ",", ":", "0", "-", "1e", "\\u0000", "null", "\n", "\ud800", "9" * 70, "true", " "]
    for turn in range(1_500):
        text, mapping = [(JSONL, None), (spans, otel), (paid, cost)][turn % 3]
        for _ in range(rnd.randrange(1, 5)):
            at, end = sorted(rnd.randrange(len(text) + 1) for _ in range(2))
            end = min(end, at + rnd.choice([0, 1, 3, 80]))
            text = text[:at] + rnd.choice([*bits, text[at:end] * 2]) + text[end:]
        told = tried(split(text), mapping=mapping, cap=200 if mapping else None, lenient=turn % 2 == 0)
        if isinstance(told, CapsoundError):
            assert told.exit_status == 65, text
            assert str(told).isprintable(), text
        else:
            told.text()
            json.dumps(told.data())


def test_no_spoilt_mapping_is_a_bug() -> None:
    """Mappings are mutated as the logs are: what comes of them is a report, or an error of one line."""
    rnd = random.Random(18)
    folder = Path(load_mapping.__code__.co_filename).parent / "mappings"
    spans = split((Path(__file__).parents[1] / "support" / "spans" / "told-twice-nested.jsonl").read_text())
    cases = [((folder / "otel-genai.toml").read_text(), spans), (WHOLE, rows(("a", 4))), (ORDERED, rows(("a", 4)))]
    bits = [
        "[",
        "]",
        "{",
        "}",
        '"',
        "=",
        "\n",
        "1e99999999",
        "9" * 5_000,
        "-",
        "true",
        "\x00",
        "0",
        "1.5",
        "inf",
        "[[" * 90,
    ]
    bits += ['{ value = "unbounded" }', 'default = "unbounded"', "{ field = [] }", "{ sum = [] }", "1979-05-27"]
    for turn in range(1_000):
        text, log = cases[turn % 3]
        for _ in range(rnd.randrange(1, 4)):
            at = rnd.randrange(len(text))
            end = min(len(text), at + rnd.choice([0, 1, 5, 30]))
            text = text[:at] + rnd.choice([*bits, text[at:end] * 2]) + text[end:]
        try:
            told = tried(log, mapping=parse_mapping(text), cap=100, lenient=turn % 2 == 0)
        except BadMapping as error:
            told = error
        if isinstance(told, CapsoundError):
            assert told.exit_status == 65, text
            assert f"{told}{told.hint}".isprintable(), text
        else:
            told.text()
            json.dumps(told.data())
