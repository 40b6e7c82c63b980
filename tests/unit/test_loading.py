"""Scenario files: what a valid one means, and how all else is refused: place, words, cure, status 65."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import tomllib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsound.disciplines import Discipline
from capsound.loading import (
    MAX_FILE,
    MAX_NUMBER,
    SHAPES,
    BadScenario,
    Problem,
    load_scenario,
    parse_scenario,
    scenario_schema,
    scenario_template,
)
from capsound.machine import compile_scenario
from capsound.positions import KeyPath, Place, Positions
from capsound.properties import ASSUMPTIONS, Property
from capsound.scenario import (
    ANY,
    Agents,
    Assume,
    CallKind,
    Ceiling,
    Estimator,
    Expect,
    Faults,
    Interval,
    Plain,
    Prices,
    Provider,
    Request,
    Scenario,
    Search,
    Slice,
    Stream,
    Window,
)
from capsound.tree import bottom_up, cycles, delegation_tree, depth, fan_out, parent, path_to, top_down
from capsound.verdict import Verdict

DISCIPLINES = ("racy-counter", "reserve-settle", "lock-whole-call")

RACE = """\
title = "three agents, one cap"
cap = 60
discipline = "racy-counter"
[[agents]]
name = "worker"
count = 3
[[calls]]
estimate = 31
bill = 23
"""

FULL = """\
schema = 1
title = "everything is said"
unit = "micro-USD"
cap = 1_000
discipline = "reserve-settle"
properties = ["cap", "truth"]

[expect]
verdict = "violated"
properties = { cap = "sound", truth = "violated" }
anomalies = ["dropped-overrun", "ledger-drift"]
flags = ["uninformative"]
overshoot = 9
steps = 12
margin = 1.875
overhead = 450

[[slices]]
name = "team"
grant = 600
[[slices]]
name = "night"
parent = "team"
grant = { min = 100, max = "any" }

[[agents]]
name = "swarm"
count = "any"
account = "night"
call = "nested-tools"
calls = 4
[[agents]]
name = "lead"
count = 2
call = "chat"
slice = { max = 50 }
[[agents]]
name = "relay"
call = "streamed"
program = [
    "delegate team 20 -> b",  # a comment, and "quotes"
    "call b -> c",
    "close c",
]

[[calls]]
name = "nested-tools"
bytes = 320
messages = 2
tools = 1
max_output = 256
input_tokens = 600
output_tokens = { min = 1, max = 256 }
growth = 40
[[calls]]
name = "chat"
estimate = { min = 10, max = 20 }
[[calls]]
name = "streamed"
chunk = { max = 3 }
chunks = 8

[estimator]
margin = "15/8"
overhead = 7
per_message = 3
per_tool = 100
history = true
[provider]
tokens_per_byte = 1.24
template = 5
per_message = 4
per_tool = 450
[prices]
input = 3
output = 15
per = 1_000_000
[assume]
A1 = true
A2 = false
A6 = true
A7 = false
A8 = false
A9 = true
A10 = false
width = 64
rise = 1.5
hidden_retries = 2
[faults]
cancel = 1
timeout = 2
crash = 3
[search]
steps = 30
seconds = 60
"""


def parse(text: str) -> Scenario:
    return parse_scenario(text, path="scenario.toml", known_disciplines=DISCIPLINES)


def refused(text: str) -> BadScenario:
    with pytest.raises(BadScenario) as caught:
        parse(text)
    return caught.value


def race(old: str = "", new: str = "", *, more: str = "") -> str:
    """The small race with one edit; ``more`` begins in line 10."""
    assert not old or RACE.count(old) == 1
    return RACE.replace(old, new) + more


NO_AGENTS = race('[[agents]]\nname = "worker"\ncount = 3\n')
ONE_SLICE = '[[slices]]\nname = "team"\ngrant = 40\n'
CYCLE = "".join(
    f'[[slices]]\nname = "{name}"\nparent = "{up}"\ngrant = 5\n' for name, up in zip("abc", "bca", strict=True)
)
REQUEST = race("estimate = 31\nbill = 23\n", "bytes = 320\n")

# fmt: off
# id: (text, line, column, words of the message, words of the hint)
MALFORMED: dict[str, tuple[str, int, int, str, str]] = {
    "empty": ("", 1, 1, "is empty", "capsound new scenario"),
    "only comments": ("# soon\n", 1, 1, "nothing but comments", "capsound new scenario"),
    "wrong type": (race("cap = 60", 'cap = "sixty"'), 2, 7,
        '"cap" is "sixty"', 'whole number of at least 1, or "any"'),
    "negative cap": (race("cap = 60", "cap = -5"), 2, 7, "-5, which is negative", "at least 1"),
    "cap of zero": (race("cap = 60", "cap = 0"), 2, 7, "0, less than 1", "at least 1"),
    "bool as cap": (race("cap = 60", "cap = true"), 2, 7, "true, a boolean", "whole number"),
    "float cap": (race("cap = 60", "cap = 60.0"), 2, 7, "60.0, a float", 'quote it, as in cap = "60.0"'),
    "date as cap": (race("cap = 60", "cap = 2026-01-01"), 2, 7, "2026-01-01", "whole number"),
    "table as cap": (race("cap = 60", "cap = { max = 60 }"), 2, 7, "a table", "whole number"),
    "huge cap": (race("cap = 60", f"cap = {MAX_NUMBER + 1}"), 2, 7, "too large", "larger unit"),
    "huge hexadecimal": (race("cap = 60", "cap = 0x" + "f" * 9000), 2, 7, "too large", "larger unit"),
    "5000 digits": (race("cap = 60", "cap = " + "9" * 5000), 2, 7, '"cap" is too large', "larger unit"),
    "huge negative": (race("cap = 60", f"cap = -{10**30}"), 2, 7,
        "negative, and far too large", "at least 0"),
    "bool as count": (race("count = 3", "count = false"), 6, 9, '"count" in [[agents]] number 1', '"any"'),
    "too many agents": (race("count = 3", "count = 1000001"), 6, 9, "more than 1000000", "from 1 to 1000000"),
    "NaN margin": (race(more="[estimator]\nmargin = nan\n"), 11, 10,
        "nan, which is not a number", "finite number"),
    "infinite bill": (race("bill = 23", "bill = -inf"), 9, 8, "-inf, which is not finite", '"any"'),
    "margin by zero": (race(more='[estimator]\nmargin = "3/0"\n'), 11, 10, "a division by zero", "finite"),
    "absurd exponent": (race(more="[estimator]\nmargin = 1e99999999999999999999\n"), 11, 10,
        "too large", "larger"),
    "too many decimals": (race(more="[estimator]\nmargin = 1e-400\n"), 11, 10, "too many digits", "18"),
    "negative margin": (race(more="[estimator]\nmargin = -0.5\n"), 11, 10,
        "-0.5, which is negative", "number"),
    "margin in words": (race(more='[estimator]\nmargin = "two"\n'), 11, 10, '"two"', '"3/2"'),
    "history as number": (race(more="[estimator]\nhistory = 1\n"), 11, 11, "is 1", "true or false"),
    "unknown discipline": (race("racy-counter", "racy-conter"), 3, 14,
        '"racy-conter"', 'did you mean "racy-counter"?'),
    "no discipline": (race('discipline = "racy-counter"\n'), 1, 1,
        '"discipline" is missing', "before the first [table]"),
    "no agents": (NO_AGENTS, 1, 1, "no agents", "[[agents]]"),
    "agents empty": ("agents = []\n" + NO_AGENTS, 1, 10, '"agents" is empty', "one [[agents]]"),
    "no calls": (RACE[: RACE.index("[[calls]]")], 1, 1, "no calls", "[[calls]]"),
    "single brackets": (race("[[calls]]", "[calls]"), 7, 1, "single table", "[[calls]]"),
    "double brackets": (race(more="[[faults]]\ncancel = 1\n"), 10, 1, "an array, not a table", "one bracket"),
    "unknown key": (race("cap = 60", "captokens = 60"), 2, 1,
        'unknown key "captokens"', 'did you mean "cap"?'),
    "unknown key below": (race("bill", "bil"), 9, 1, 'unknown key "bil" in [[calls]] number 1', '"bill"?'),
    "unknown inline key": (race("31", "{ mn = 3 }"), 8, 14, '"mn" in "estimate" of [[calls]]', '"min"?'),
    "misplaced key": (race(more="[faults]\ntitle = 'x'\n"), 11, 1, '"title" in [faults]', "top of the file"),
    "misplaced fault": (race("cap =", "cancel = 1\ncap ="), 2, 1, '"cancel"', "belongs in [faults]"),
    "unknown table": (race(more="[falts]\n"), 10, 2, '"falts"', '"faults"?'),
    "missing name": (race(more="[[slices]]\ngrant = 4\n"), 10, 1,
        '"name" is missing in [[slices]]', "add name"),
    "schema of the future": (race("title", "schema = 2\ntitle"), 1, 10, "schema 2", "schema 1"),
    "unknown property": (race("cap =", 'properties = ["cap", "caps"]\ncap ='), 2, 22, '"caps"', '"cap"?'),
    "property twice": (race("cap =", 'properties = ["cap", "cap"]\ncap ='), 2, 22, "twice", "once"),
    "bad verdict": (race("cap =", 'expect = "vilated"\ncap ='), 2, 10, '"vilated"', '"violated"?'),
    "verdict as number": (race("cap =", "expect = 1\ncap ="), 2, 10, '"expect" is 1', "table [expect]"),
    "unknown anomaly": (race(more='[expect]\nanomalies = ["oversht"]\n'), 11, 14,
        '"oversht"', '"overshoot"?'),
    "unknown flag": (race(more='[expect]\nflags = ["usless"]\n'), 11, 10, '"usless"', '"useless"?'),
    "verdict of nothing": (race(more='[expect.properties]\ncup = "sound"\n'), 11, 1,
        '"cup" in "properties"', '"cap"?'),
    "min above max": (race("31", "{ min = 30, max = 23 }"), 8, 20, "min 30 above max 23", "swap"),
    "empty range": (race("31", "{}"), 8, 12, "empty table", "min, max or both"),
    "negative min": (race("31", "{ min = -3 }"), 8, 20,
        '"estimate.min" in [[calls]] number 1 is -3', "at least 0"),
    "mixed shapes": (race("bill = 23", "bytes = 23"), 9, 1,
        '"bytes" belongs to a request call', "plain: estimate, bill"),
    "half a stream": (race("estimate = 31\nbill = 23", "chunk = 3"), 8, 1,
        "a stream needs chunks", "chunk, chunks"),
    "request without bytes": (race("estimate = 31\nbill", "tools"), 8, 1,
        "a request needs bytes", "bytes, messages"),
    "cycle": (
        race(more=CYCLE),
        12, 10, "cycle: a -> c -> b -> a", 'parent = "root"',
    ),
    "own parent": (race(more=ONE_SLICE + 'parent = "team"\n'), 13, 10,
        "cycle: team -> team", 'parent = "root"'),
    "slice above cap": (race(more=ONE_SLICE.replace("40", "61")), 12, 9,
        'granted 61, but its parent "root" has 60', "60 or less"),
    "slice above parent": (
        race(more=ONE_SLICE + '[[slices]]\nname = "b"\nparent = "team"\ngrant = { min = 41 }\n'),
        16, 9, 'slice "b" is granted 41, but its parent "team" has 40', "40 or less",
    ),
    "own slice above account": (race("count = 3", "slice = 61"), 6, 9,
        'each of "worker" is granted 61', "60 or less"),
    "too many own slices": (race("count = 3", "count = 1001\nslice = 1"), 7, 9, "1001 agents", 'count = "any"'),
    "unknown parent": (race(more=ONE_SLICE + 'parent = "roof"\n'), 13, 10, 'no account "roof"', '"root"?'),
    "duplicate slices": (race(more=ONE_SLICE * 2), 14, 8,
        'two [[slices]] are called "team"; the first is in line 11', "own"),
    "slice called root": (race(more=ONE_SLICE.replace("team", "root")), 11, 8,
        '"root" is taken', "name of its own"),
    "duplicate agents": (race(more='[[agents]]\nname = "worker"\n'), 11, 8,
        "two [[agents]]", "name of its own"),
    "duplicate calls": (race(more="[[calls]]\n"), 10, 1,
        'two [[calls]] are called "call"', "name of its own"),
    "unknown account": (race("count = 3", 'account = "rot"'), 6, 11, 'no account "rot"', '"root"?'),
    "unknown call": (race("count = 3", 'call = "cal"'), 6, 8, 'no kind of call "cal"', '"call"?'),
    "which call": (race(more='[[calls]]\nname = "b"\n'), 4, 1, 'which calls does "worker" make', "call = "),
    "name with spaces": (race('"worker"', '"a b"'), 5, 8, '"a b"', "a name: letters"),
    "name with newline": (race('"worker"', '"a\\n"'), 5, 8, '"a\\n"', "a name: letters"),
    "control characters": (race('"three agents, one cap"', '"\\u001b[31m"'), 1, 9,
        "\\u001b[31m", "without control"),
    "title too long": (race("three agents, one cap", "x" * 201), 1, 9, "201 characters", "shorten"),
    "bad program line": (race("count = 3", 'program = [\n  "call root",\n  "delegat root 20 -> b",\n]'), 8, 3,
        "line 2 of the program, 'delegat root 20 -> b', is not an operation", "delegate A 20 -> B"),
    "program without handle": (race("count = 3", 'program = ["call b"]'), 6, 12, "uses 'b'", "root"),
    "program above limits": (race("count = 3", f'program = ["delegate root {"9" * 30} -> b"]'), 6, 12,
        "too large", "unit"),
    "program and calls": (race("count = 3", 'calls = 2\nprogram = ["call root"]'), 6, 1,
        '"calls" has no meaning', "leave"),
    "A1 contradicted": (race("bill = 23", "bill = 32"), 9, 8, "bills at least 32", "A1 = false in [assume]"),
    "A1 with requests": (REQUEST + "[assume]\nA1 = false\n", 10, 6,
        "A1 = false does not go with requests", "leave A1 out"),
    "shortfall under A1": (race(more="[assume]\nshortfall = 2\n"), 11, 1, "A1 (a bill never", "A1 = false"),
    "shortfall of requests": (REQUEST + "[assume]\nshortfall = 2\n", 10, 1,
        "shortfall has no meaning", "leave it out"),
    "shortfall below 1": (race(more="[assume]\nA1 = false\nshortfall = 0.5\n"), 12, 13,
        "0.5, less than 1", "at least 1"),
    "shortfall as text": (race(more='[assume]\nA1 = false\nshortfall = "1/2"\n'), 12, 13,
        "less than 1", "at least 1"),
    "rise under A8": (race(more="[assume]\nrise = 2\n"), 11, 1, "while A8 is assumed", "A8 = false"),
    "retries under A10": (race(more="[assume]\nhidden_retries = 2\n"), 11, 1,
        "while A10 is assumed", "A10 = false"),
    "A2 without a width": (race(more="[assume]\nA2 = false\n"), 11, 6,
        "A2 = false needs a width", "add width = 64"),
    "the property width without a width": (race("cap =", 'properties = ["cap", "width"]\ncap ='), 2, 22,
        "the property width needs a width", "add width = 64"),
    "a name that one of several has": (race(more='[[agents]]\nname = "worker-3"\n'), 11, 8,
        'two agents are called "worker-3": the one of line 11, and number 3 of the 3 agents that line 5 calls "worker"',
        'the agents of "worker" are called "worker-1" to "worker-3"'),
    "a name that one of any number has": (
        race("count = 3", 'count = "any"').replace("[[agents]]", '[[agents]]\nname = "worker-70"\n[[agents]]'), 5, 8,
        'the one of line 5, and number 70 of the agents that line 7 calls "worker"',
        '"worker-1", "worker-2" and so on'),
    "width too small": (race(more="[assume]\nwidth = 4\n"), 11, 9, "4, less than 8", "from 8 to 256"),
    "too many faults": (race(more="[faults]\ncrash = 9\n"), 11, 9, "9, more than 8", "from 0 to 8"),
    "search without end": (race(more="[search]\nsteps = 61\n"), 11, 9, "61, more than 60", "from 1 to 60"),
    "syntax": (race("cap = 60", "cap = = 60"), 2, 7, "this is not TOML: invalid value", "quotes"),
    "text without quotes": (race('"racy-counter"', "racy-counter"), 3, 14,
        "this is not TOML", "text needs quotes"),
    "string not closed": (race('one cap"', "one cap"), 1, 31,
        "not TOML", "close the string"),
    "cut short": (race(more="[assume"), 10, 8, "this is not TOML", "header"),
    "key twice": (race("cap = 60", "cap = 60\ncap = 61"), 3, 9, "cannot overwrite", "keep one"),
    "table twice": (race(more="[faults]\n[faults]\n"), 11, 8,
        "cannot declare [faults] twice", "join the two"),
    "deep arrays": (race(more="[expect]\nflags = " + "[" * 50_000), 11, 24,
        "more than 16 deep", "depth of four"),
    "deep tables": (race(more="x = " + "{a=" * 5000), 10, 45, "more than 16 deep", "depth of four"),
    "deep keys": (race(more="[" + "a." * 200_000 + "b]"), 10, 34, "more than 16 deep", "depth of four"),
    "endless array": (race(more=f"[expect]\nflags = [{'0,' * 60_000}]"), 11, 99958,
        "50,000 keys and values", "count = N"),
    "many agents": (RACE + "[[agents]]\n" * 1001, 4, 3, "1,002 entries", "count = N"),
    "many slices": (RACE + "".join(f'[[slices]]\nname = "s{n}"\ngrant = 0\n' for n in range(201)), 10, 1,
        "201 entries; 200 is the most", "remove some"),
}
# fmt: on


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str, tmp_path: Path) -> None:
    text, line, column, message, hint = MALFORMED[case]
    file = tmp_path / "scenario.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadScenario) as caught:
        load_scenario(file, known_disciplines=DISCIPLINES)
    error = caught.value
    assert error.exit_status == 65
    first = error.problems[0]
    assert (first.line, first.column) == (line, column)
    assert error.where == f"{file}:{line}:{column}"
    assert message in first.message
    assert hint in first.hint
    assert len(error.problems) == 1, [problem.message for problem in error.problems]
    check_screen(error)


def check_screen(error: BadScenario) -> None:
    """What is shown fits a terminal, has no control characters, and points at the first place."""
    shown = error.render()
    assert len(shown.split("\n")) <= 24
    assert all(sign.isprintable() for sign in shown.replace("\n", ""))
    assert error.where in shown
    assert error.problems[0].hint in shown
    assert "[bad-scenario]" in str(error)


@pytest.mark.parametrize("case", ["cycle", "slice above parent", "5000 digits", "mixed shapes"])
def test_windows_line_ends_and_a_mark_at_the_start_move_nothing(case: str) -> None:
    text, line, column, message, _ = MALFORMED[case]
    error = refused("\ufeff" + text.replace("\n", "\r\n"))
    assert (error.problems[0].line, error.problems[0].column) == (line, column)
    assert message in error.message


# Files as a whole


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "race.toml").write_text(RACE)
    with pytest.raises(BadScenario, match="no such file") as caught:
        load_scenario(tmp_path / "rase.toml", known_disciplines=DISCIPLINES)
    assert caught.value.exit_status == 65
    assert caught.value.where == str(tmp_path / "rase.toml")
    assert caught.value.problems == (Problem("there is no such file", 0, 0, 'did you mean "race.toml"?'),)
    with pytest.raises(BadScenario, match="capsound new scenario"):
        load_scenario(tmp_path / "nowhere" / "x.toml", known_disciplines=DISCIPLINES)


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="directory, not a scenario file") as caught:
        load_scenario(str(tmp_path), known_disciplines=DISCIPLINES)
    assert caught.value.where == str(tmp_path)
    check_screen(caught.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "secret.toml"
    file.write_text(RACE)
    file.chmod(0)
    with pytest.raises(BadScenario, match="may not be read"):
        load_scenario(file, known_disciplines=DISCIPLINES)


@pytest.mark.parametrize("path", ["a\0b.toml", "x" * 5000, "\ud800.toml", "a\x1b[31mb.toml"])
def test_paths_that_no_file_can_have(path: str) -> None:
    with pytest.raises(BadScenario) as caught:
        load_scenario(path, known_disciplines=DISCIPLINES)
    assert str(caught.value).isprintable()


def test_ten_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "big.toml"
    file.write_bytes(b"#" * 10_000_000)
    with pytest.raises(BadScenario) as caught:
        load_scenario(file, known_disciplines=DISCIPLINES)
    assert "10,000,000 bytes" in caught.value.message
    assert caught.value.where == f"{file}:1:1"
    assert caught.value.exit_status == 65
    with pytest.raises(BadScenario, match="too large"):
        parse("# ä" * (MAX_FILE // 4 + 1))


def test_the_largest_file_that_is_read(tmp_path: Path) -> None:
    file = tmp_path / "full.toml"
    file.write_bytes((RACE + "#").encode().ljust(MAX_FILE, b"x"))
    assert load_scenario(file, known_disciplines=DISCIPLINES).cap == Interval.exactly(60)


@pytest.mark.parametrize(
    ("data", "line", "column", "words"),
    [
        (b"cap = 60\ntitle = '\xc3\xa4\xff'\n", 2, 11, "byte 0xff"),
        (b"\xef\xbb\xbf# \xe4", 1, 3, "byte 0xe4"),
        ("cap = 60".encode("utf-16"), 1, 1, "UTF-16"),
    ],
)
def test_not_utf8(tmp_path: Path, data: bytes, line: int, column: int, words: str) -> None:
    file = tmp_path / "scenario.toml"
    file.write_bytes(data)
    with pytest.raises(BadScenario) as caught:
        load_scenario(file, known_disciplines=DISCIPLINES)
    assert caught.value.where == f"{file}:{line}:{column}"
    assert words in caught.value.message
    assert caught.value.hint == "save the file as UTF-8"
    check_screen(caught.value)


# The rendered text, in full

GOLDEN = [
    (
        race("cap = 60", "captokens = 60"),
        """\
scenario.toml has 1 problem [bad-scenario]

scenario.toml:2:1: unknown key "captokens"
    2 | captokens = 60
      | ^
      = did you mean "cap"?""",
    ),
    (
        race(
            "cap = 60",
            "cap = -5",
            more="[estimator]\nmargin = nan\noverheads = 3\n[assume]\nA1 = 1\nwidht = 8\n",
        ),
        """\
scenario.toml has 5 problems [bad-scenario]

scenario.toml:2:7: "cap" is -5, which is negative
    2 | cap = -5
      |       ^
      = give a whole number of at least 1

scenario.toml:11:10: "margin" in [estimator] is nan, which is not a number
   11 | margin = nan
      |          ^
      = give a finite number; for an amount, a cap or a count, "any" says that there is no limit

scenario.toml:12:1: unknown key "overheads" in [estimator]
   12 | overheads = 3
      | ^
      = did you mean "overhead"?

scenario.toml:14:6: "A1" in [assume] is 1; give true or false
scenario.toml:15:1: unknown key "widht" in [assume]; did you mean "width"?""",
    ),
    (
        race('"three agents, one cap"', f'"{"費" * 60}"; cap = 60 {"#" * 60}'),
        f"""\
scenario.toml has 1 problem [bad-scenario]

scenario.toml:1:71: this is not TOML: expected newline or end of document after a statement
    1 | …{"費" * 47}"; cap = 60 {"#" * 37}…
      | {" " * (1 + 2 * 47 + 1)}^
      = one key = value on each line""",
    ),
    (
        race("count = 3", 'call = "call"') + "".join(f"[[calls]]\nname = 'c{n}'\nestimat{n} = 1\n" for n in range(12)),
        """\
scenario.toml has 12 problems [bad-scenario]

scenario.toml:12:1: unknown key "estimat0" in [[calls]] number 2
   12 | estimat0 = 1
      | ^
      = did you mean "estimate"?

scenario.toml:15:1: unknown key "estimat1" in [[calls]] number 3
   15 | estimat1 = 1
      | ^
      = did you mean "estimate"?

scenario.toml:18:1: unknown key "estimat2" in [[calls]] number 4
   18 | estimat2 = 1
      | ^
      = did you mean "estimate"?

scenario.toml:21:1: unknown key "estimat3" in [[calls]] number 5; did you mean "estimate"?
scenario.toml:24:1: unknown key "estimat4" in [[calls]] number 6; did you mean "estimate"?
scenario.toml:27:1: unknown key "estimat5" in [[calls]] number 7; did you mean "estimate"?
scenario.toml:30:1: unknown key "estimat6" in [[calls]] number 8; did you mean "estimate"?
scenario.toml:33:1: unknown key "estimat7" in [[calls]] number 9; did you mean "estimate"?
and 4 more""",
    ),
]


@pytest.mark.parametrize(("text", "rendered"), GOLDEN, ids=["one", "five", "long line", "many"])
def test_rendered(text: str, rendered: str) -> None:
    error = refused(text)
    assert error.render() == rendered
    check_screen(error)


def test_in_one_line() -> None:
    error = refused(GOLDEN[0][0])
    assert str(error) == 'unknown key "captokens" at scenario.toml:2:1; did you mean "cap"? [bad-scenario]'
    assert "(and 4 more problems) [bad-scenario]" in str(refused(GOLDEN[1][0]))


def test_errors_travel_between_processes() -> None:
    error = refused(GOLDEN[1][0])
    copy = pickle.loads(pickle.dumps(error))
    assert copy.render() == error.render()
    assert copy.where == error.where


def test_every_sense_problem_is_found_at_once() -> None:
    error = refused(
        race("racy", "lazy", more='[[agents]]\naccount = "rot"\ncall = "cal"\n[assume]\nrise = 2\n')
        + ONE_SLICE.replace("40", "70")
    )
    assert [problem.line for problem in error.problems] == [3, 11, 12, 14, 17]


@pytest.mark.parametrize("name", ["worker-0", "worker-03", "worker-4", "worker-1-1", "worker-x", "worker-", "a-1"])
def test_a_name_that_no_agent_of_a_group_has(name: str) -> None:
    """The three agents called worker are worker-1, worker-2 and worker-3."""
    scenario = parse(race(more=f'[[agents]]\nname = "{name}"\n'))
    names = [process.name for process in compile_scenario(scenario).processes]
    assert names == ["worker-1", "worker-2", "worker-3", name]


def test_groups_of_several_never_share_a_name() -> None:
    scenario = parse(race(more='[[agents]]\nname = "worker-1"\ncount = 2\n'))
    names = [process.name for process in compile_scenario(scenario).processes]
    assert names == ["worker-1", "worker-2", "worker-3", "worker-1-1", "worker-1-2"]


# Valid files


def test_the_small_race() -> None:
    assert parse(RACE) == Scenario(
        name="scenario",
        title="three agents, one cap",
        cap=Interval(60, 60),
        discipline="racy-counter",
        agents=(Agents("worker", 3, "root", "call"),),
        calls=(CallKind("call", Plain(Interval(31, 31), Interval(23, 23))),),
        path="scenario.toml",
    )


def test_everything_said() -> None:
    assert parse(FULL) == Scenario(
        name="scenario",
        title="everything is said",
        unit="micro-USD",
        cap=Interval(1000, 1000),
        discipline="reserve-settle",
        properties=(Property.CAP, Property.TRUTH),
        expect=Expect(
            verdict=Verdict.VIOLATED,
            properties={Property.CAP: Verdict.SOUND, Property.TRUTH: Verdict.VIOLATED},
            anomalies=("dropped-overrun", "ledger-drift"),
            flags=("uninformative",),
            overshoot=9,
            steps=12,
            margin=Fraction(15, 8),
            overhead=450,
        ),
        slices=(Slice("team", "root", Interval(600, 600)), Slice("night", "team", Interval(100, None))),
        agents=(
            Agents("swarm", None, "night", "nested-tools", calls=4),
            Agents("lead", 2, "root", "chat", own_slice=Interval(0, 50)),
            Agents("relay", 1, "root", "streamed", program=("delegate team 20 -> b", "call b -> c", "close c")),
        ),
        calls=(
            CallKind(
                "nested-tools",
                Request(
                    Interval.exactly(320),
                    messages=2,
                    tools=1,
                    max_output=256,
                    input_tokens=Interval.exactly(600),
                    output_tokens=Interval(1, 256),
                    growth=40,
                ),
            ),
            CallKind("chat", Plain(Interval(10, 20), ANY)),
            CallKind("streamed", Stream(Interval(0, 3), 8)),
        ),
        estimator=Estimator(Fraction(15, 8), 7, 3, 100, history=True),
        provider=Provider(Fraction(31, 25), 5, 4, 450),
        prices=Prices(3, 15, 1_000_000),
        assume=Assume(a1=True, a7=False, a8=False, a10=False, width=64, rise=Fraction(3, 2), hidden_retries=2),
        faults=Faults(1, 2, 3),
        search=Search(30, 60),
        path="scenario.toml",
    )


@pytest.mark.parametrize(
    ("text", "a1", "shortfall"),
    [
        (RACE, True, None),
        (race(more="[assume]\nA1 = false\n"), False, None),
        (race(more="[assume]\nA1 = false\nshortfall = 1.5\n"), False, Fraction(3, 2)),
        (race("bill = 23", "bill = 32", more="[assume]\nA1 = false\nshortfall = '2'\n"), False, Fraction(2)),
        (REQUEST, None, None),
        (REQUEST + "[assume]\nA1 = true\n", True, None),
        (race("estimate = 31\nbill = 23", "chunk = 3\nchunks = 2"), True, None),
    ],
)
def test_when_a1_is_assumed(text: str, a1: bool | None, shortfall: Fraction | None) -> None:
    assume = parse(text).assume
    assert (assume.a1, assume.shortfall) == (a1, shortfall)


@pytest.mark.parametrize(
    "edit",
    [
        ("cap = 60", 'cap = "any"'),
        ("cap = 60", f"cap = {MAX_NUMBER}"),
        ("count = 3", 'count = "any"'),
        ("count = 3", "count = 1_000_000"),
        ("count = 3", "count = 64\nslice = 0"),
        ("count = 3", 'count = "any"\nslice = 0'),
        ("estimate = 31", "estimate = 'any'"),
        ("bill = 23", ""),
        ("bill = 23", "bill = { min = 31 }"),
        ("cap = 60", "'cap' = 0x3c"),
        ("cap = 60", 'expect = "sound"\n"c\\u0061p" = 60'),
    ],
)
def test_the_edges_of_what_is_valid(edit: tuple[str, str]) -> None:
    parse(race(*edit))


def test_no_slice_is_too_large_under_any_cap() -> None:
    assert parse(race("cap = 60", 'cap = "any"', more=ONE_SLICE)).cap == ANY


@pytest.mark.parametrize("text", ["1", "1.0", '"1"', '"2/2"', '"1.0"', "1e0", "10e-1", "0.1e1"])
def test_a_ratio_is_read_exactly(text: str) -> None:
    assert parse(race(more=f"[estimator]\nmargin = {text}\n")).estimator.margin == 1


def test_no_ratio_passes_through_a_float() -> None:
    margin = parse(race(more="[estimator]\nmargin = 1.1\n")).estimator.margin
    assert margin == Fraction(11, 10) != Fraction(1.1)
    assert parse(race(more="[estimator]\nmargin = 0e999999999\n")).estimator.margin == 0


def test_the_name_is_that_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "fan-out.race.toml"
    file.write_bytes(b"\xef\xbb\xbf" + RACE.encode())
    scenario = load_scenario(file, known_disciplines=DISCIPLINES)
    assert (scenario.name, scenario.path) == ("fan-out.race", str(file))
    assert parse_scenario(RACE, known_disciplines=DISCIPLINES).name == "text"


def test_the_template() -> None:
    scenario = parse(scenario_template())
    assert scenario.discipline == "racy-counter"
    assert scenario.expect == Expect(verdict=Verdict.VIOLATED)
    assert (scenario.cap, scenario.agents[0].count) == (Interval(60, 60), 3)


def test_what_the_template_shows_in_comments_is_valid() -> None:
    scenario = parse(re.sub(r"(?m)^# (?=\[|\w+ = )", "", scenario_template()))
    assert scenario.slices == (Slice("research", "root", Interval(40, 40)),)
    assert (scenario.agents[0].account, scenario.agents[0].own_slice) == ("research", Interval(20, 20))
    assert (scenario.estimator.margin, scenario.prices) == (Fraction(2), Prices(3, 15, 1_000_000))


# The tree


def tree_of(*slices: tuple[str, str]) -> Any:
    text = "".join(f'[[slices]]\nname = "{name}"\nparent = "{up}"\ngrant = 5\n' for name, up in slices)
    return delegation_tree(parse(race(more=text)))


def test_the_delegation_tree() -> None:
    tree = tree_of(("b2", "b"), ("a", "root"), ("b", "root"), ("b1", "b"), ("deep", "b2"), ("b3", "b"))
    assert tree.nodes["root"]["grant"] == Interval(60, 60)
    assert tree.nodes["deep"]["grant"] == Interval(5, 5)
    assert (depth(tree), fan_out(tree)) == (3, 3)
    assert top_down(tree) == ("root", "b", "b2", "a", "b1", "deep", "b3")
    assert bottom_up(tree) == top_down(tree)[::-1]
    assert path_to(tree, "deep") == ("root", "b", "b2", "deep")
    assert parent(tree, "root") is None


def test_a_root_alone() -> None:
    tree = tree_of()
    assert (depth(tree), fan_out(tree), top_down(tree)) == (0, 0, ("root",))


def test_cycles_are_found_in_the_order_of_the_file() -> None:
    five = Interval.exactly(5)
    pairs = [("e", "d"), ("x", "y"), ("d", "e"), ("y", "x"), ("f", "f"), ("a", "r"), ("g", "root")]
    slices = [Slice(name, up, five) for name, up in pairs]
    assert cycles(slices) == (("e", "d"), ("x", "y"), ("f",))


# The schema, the dataclasses and the loader say the same


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_the_schema_is_one_and_explains_every_key() -> None:
    schema = scenario_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    tables = [part for part in objects(schema) if part.get("type") == "object"]
    assert len(tables) == 16
    for table in tables:
        assert table["additionalProperties"] is False
        for key, rule in table["properties"].items():
            assert {"title", "description"} <= set(rule), key
            assert rule["description"].strip(), key
    scenario_schema()["properties"].clear()
    assert scenario_schema()["properties"]


@pytest.mark.parametrize("text", [RACE, FULL, REQUEST, scenario_template()])
def test_the_schema_alone_accepts_valid_files(text: str) -> None:
    jsonschema.Draft202012Validator(scenario_schema()).validate(tomllib.loads(text))


TABLES = {
    "estimator": Estimator,
    "provider": Provider,
    "prices": Prices,
    "faults": Faults,
    "search": Search,
}


@pytest.mark.parametrize("name", TABLES)
def test_sections_agree_with_their_dataclasses(name: str) -> None:
    rules = scenario_schema()["properties"][name]["properties"]
    fields = {field.name: field.default for field in dataclasses.fields(TABLES[name])}
    fields.pop("tiers", None)  # the file says them in the price of the input
    assert {key: rule["default"] for key, rule in rules.items()} == fields


def test_the_rest_agrees_with_its_dataclasses() -> None:
    def names(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    schema = scenario_schema()
    kinds = schema["$defs"]
    kept = names(Scenario) - {"name", "path", "table", "digits", "places"}
    window = names(Window) - {"written", "keeps", "slides"} | {"window", "in_flight"}
    assert set(schema["properties"]) == kept | {"schema"} | window
    assert set(kinds["ceiling"]["properties"]) == names(Ceiling) | window
    assert set(kinds["expect"]["properties"]) == names(Expect)
    own = {field.replace("_", "-") for field in names(Discipline) - {"one_by_one"}} | {"ceilings"}
    assert set(kinds["discipline"]["properties"]) == own
    assert set(kinds["slice"]["properties"]) == names(Slice)
    assert set(kinds["agents"]["properties"]) == names(Agents) - {"own_slice", "inherits", "up_to"} | {"slice"}
    assert set(SHAPES["plain"]) == names(Plain)
    assert set(SHAPES["request"]) == names(Request)
    assert set(SHAPES["stream"]) == names(Stream)
    assert set(kinds["call"]["properties"]) == {"name"}.union(*SHAPES.values())
    for shape in kinds["call"]["oneOf"]:
        assert set(shape["properties"]) == set().union(*SHAPES.values()) - set(SHAPES[shape["title"]])
    assume = schema["properties"]["assume"]["properties"]
    assert {key.lower() for key in assume} - {"a2"} == names(Assume)
    assert {key for key in assume if key.startswith("A")} == set(ASSUMPTIONS)


def test_names_agree_with_their_enums() -> None:
    schema = scenario_schema()
    assert set(schema["properties"]["properties"]["items"]["enum"]) == set(Property)
    assert set(schema["$defs"]["expect"]["properties"]["properties"]["properties"]) == set(Property)
    assert schema["$defs"]["expect"]["properties"]["verdict"]["enum"] == list(Verdict)


# Places

NASTY = '''\
# [[agents]]
top = 1
"quoted key" . 'and.another' = """
[not.a.table]
cap = \\"""60 "" \\
"""   # comment ] }
inline = { a = 1, b.c = [ "x,]", { d = '}' } ], e = {} }
many = [
  1,   # one
  [ 2, 3 ],
  \'\'\'
four = 4
\'\'\' ,
]
when = 1979-05-27 07:32:00

[[row]]
n = 0
[row.sub]
k = 1
[[row]]
[[row.deep]]
x = 0
[[row.deep]]
  x = 1
[a."b.c".d]
z = +1_0
[a]
y = 0.5
'''


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from leaves(child, (*path, key))


def test_places_in_a_nasty_file() -> None:
    places = Positions(NASTY)
    assert places.too_much is None
    assert set(places.paths()) == set(leaves(tomllib.loads(NASTY)))
    assert places.key(("quoted key", "and.another")) == Place(3, 16)
    assert places.value(("quoted key", "and.another")) == Place(3, 32)
    assert places.key(("inline", "b", "c")) == Place(7, 21)
    assert places.value(("inline", "b", "c", 1, "d")) == Place(7, 40)
    assert places.value(("many", 1, 1)) == Place(10, 8)
    assert places.value(("many", 2)) == Place(11, 3)
    assert places.value_text(("when",)) == "1979-05-27 07:32:00\n"
    assert places.key(("row", 1)) == Place(21, 1)
    assert places.value(("row", 1, "deep", 1, "x")) == Place(25, 7)
    assert places.key(("row", 0, "sub", "k")) == Place(20, 1)
    assert places.value(("a", "b.c", "d", "z")) == Place(27, 5)
    assert places.key(("a", "b.c")) == Place(26, 4)
    assert places.key(("row", 1, "deep", 7, "missing")) == Place(22, 7)
    assert places.key(("nowhere",)) == Place(1, 1)


SIGNS: dict[type, str] = {dict: "{[x", list: "[", bool: "t", str: "\"'", float: "1i"}
KEYS = st.sampled_from(["a", "b-c", '"d.e"', "'f g'", '"\\u00e4"', "7"])
SCALARS = st.sampled_from(
    [
        "1",
        "0x1F",
        "1.5",
        "inf",
        "true",
        '"]#"',
        "'}'",
        '"""a\n"b""\n"""',
        "'''\n[x]'''",
        "07:32:00",
        '"\\""',
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[ {','.join(items)}\n # c ]\n]")
        | st.lists(st.tuples(KEYS, inner), max_size=3, unique_by=lambda pair: pair[0]).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        )
    ),
    max_leaves=6,
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES, st.sampled_from(["", "[[t]]\n", "[[t.u]]\n", "# x\n"])), max_size=6))
def test_places_agree_with_tomllib(lines: list[tuple[str, str, str]]) -> None:
    first = "[[t]]\n" if any(header == "[[t.u]]\n" for _, _, header in lines) else ""
    body = (f"{header}x{number}.{key} = {value}\n" for number, (key, value, header) in enumerate(lines))
    text = first + "".join(body)
    places = Positions(text)
    data = tomllib.loads(text)
    assert set(places.paths()) == set(leaves(data))
    for path in places.paths():
        value: Any = data
        for step in path:
            value = value[step]
        assert places.value_text(path)[0] in SIGNS.get(type(value), "01")


# One error hides no other

SEVERAL = """\
cap = 90
spent = 4
unit = "USD"
discipline = "reserve-settle"
properties = ["cap", "progress"]

[[slices]]
name = "team"
grant = 40

[[slices]]
name = "user"
parent = "team"
grant = 20

[[agents]]
name = "a"
account = "user"
count = 2
call = "short"

[[agents]]
name = "b"
account = "root"
call = "long"
program = ["delegate root 5 -> b", "call b"]

[[calls]]
name = "short"
estimate = 3
bill = 2

[[calls]]
name = "long"
estimate = { min = 1, max = 9 }
bill = "any"

[assume]
A1 = true

[search]
steps = 9

[expect]
verdict = "sound"
anomalies = ["overshoot"]
"""

SLIPS = (
    ("cap = 90", "cap = 90.5"),
    ("cap = 90", "cap = -1"),
    ("spent = 4", "spent = 95"),
    ("spent = 4", "spent = 4.5"),
    ('unit = "USD"', "unit = 3"),
    ('"reserve-settle"', '"resrve-settle"'),
    ('"progress"', '"progres"'),
    ('"progress"', '"admission"'),
    ("grant = 40", "grant = 95"),
    ("grant = 40", 'grant = "$40"'),
    ("grant = 20", "grant = 45"),
    ('parent = "team"', 'parent = "teem"'),
    ('account = "user"', 'account = "usr"'),
    ("count = 2", "count = 0"),
    ("count = 2", "cuont = 2"),
    ('call = "short"', 'call = "shrot"'),
    ('"call b"', '"cal b"'),
    ('account = "root"', 'acount = "root"'),
    ("estimate = 3", "estimate = 3.5"),
    ("estimate = 3", "estimate = 1"),
    ("bill = 2", "bill = nan"),
    ("min = 1, max = 9", "min = 9, max = 1"),
    ("min = 1, max = 9", "min = -1, max = 9"),
    ("min = 1, max = 9", "min = 1, most = 9"),
    ("A1 = true", "A1 = true\nrise = 2"),
    ("A1 = true", 'A1 = "yes"'),
    ("steps = 9", "step = 9"),
    ("steps = 9", "steps = 1e30"),
    ('"overshoot"', '"overshot"'),
    ('verdict = "sound"', 'verdict = "true"'),
)
"""Independent slips of the pen: none of them explains another, unless both are in one value."""

EXPLAINED = {
    frozenset(pair)
    for pair in (
        ("cap = -1", "spent = 95"),
        ("cap = 90.5", "spent = 95"),
        ("cap = -1", "grant = 95"),
        ("cap = 90.5", "grant = 95"),
        ('grant = "$40"', "grant = 45"),
        ("grant = 95", "grant = 45"),
        ("grant = 45", 'parent = "teem"'),
        ("bill = nan", "estimate = 1"),
        ('A1 = "yes"', "estimate = 1"),
    )
}
"""What is only wrong beside a value that is a stand-in now, or beside another: it is told when that is right."""


def problems(slips: Iterable[tuple[str, str]]) -> set[tuple[str, int, int, str]]:
    text = SEVERAL
    for right, wrong in slips:
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    error = refusal(text)
    found = () if error is None else error.problems
    return {(problem.message, problem.line, problem.column, problem.hint) for problem in found}


def test_every_slip_is_one() -> None:
    assert problems([]) == set()
    assert all(problems([slip]) for slip in SLIPS)


def test_one_error_hides_no_other_and_makes_none() -> None:
    alone = {slip: problems([slip]) for slip in SLIPS}
    for one, two in combinations(SLIPS, 2):
        together = frozenset((one[1], two[1]))
        if one[0] == two[0] or together in EXPLAINED or "\n" in one[1] + two[1]:
            continue
        assert problems([one, two]) == alone[one] | alone[two], (one, two)


def test_many_errors_are_told_together() -> None:
    slips = [slip for slip in SLIPS if slip[1] in MANY]
    assert len(slips) == len(MANY)
    assert problems(slips) == set().union(*(problems([slip]) for slip in slips))


MANY = (
    "cap = 90.5",
    '"resrve-settle"',
    '"admission"',
    'parent = "teem"',
    'account = "usr"',
    "cuont = 2",
    'call = "shrot"',
    '"cal b"',
    "estimate = 3.5",
    "min = 9, max = 1",
    "step = 9",
    '"overshot"',
)

# Whatever is done to a file, the answer is a scenario or BadScenario


def answer(text: str) -> None:
    error = refusal(text)
    if error is not None:
        assert error.exit_status == 65
        check_screen(error)
        lines = text.replace("\r\n", "\n").count("\n") + 1
        assert all(1 <= problem.line <= lines for problem in error.problems)


def refusal(text: str) -> BadScenario | None:
    try:
        parse(text)
    except BadScenario as error:
        return error
    return None


def mutated(text: str) -> st.SearchStrategy[str]:
    lines = text.split("\n")
    spots = st.integers(0, len(lines) - 1)
    signs = st.sampled_from(list("[]{}=\"'#.,-\\ \n\t\x00\x1bé0a"))
    change = st.one_of(
        st.tuples(st.just("delete"), spots, st.just(0), st.just("")),
        st.tuples(st.just("double"), spots, spots, st.just("")),
        st.tuples(st.just("cut"), spots, st.integers(0, 30), st.just("")),
        st.tuples(st.just("insert"), spots, st.integers(0, 30), signs),
        st.tuples(st.just("uncomment"), spots, st.just(0), st.just("")),
    )

    def apply(changes: list[tuple[str, int, int, str]]) -> str:
        result: list[str] = list(lines)
        for verb, spot, other, sign in changes:
            at = spot % len(result)
            line = result[at]
            if verb == "delete" and len(result) > 1:
                del result[at]
            elif verb == "double":
                result.insert(other % len(result), line)
            elif verb == "cut":
                result[at] = line[:other]
            elif verb == "insert":
                result[at] = line[:other] + sign + line[other:]
            elif verb == "uncomment":
                result[at] = line.removeprefix("# ")
        return "\n".join(result)

    return st.lists(change, min_size=1, max_size=6).map(apply)


@settings(max_examples=400, deadline=None)
@given(st.one_of(mutated(scenario_template()), mutated(FULL)))
def test_mutated_files(text: str) -> None:
    answer(text)


STRANGE = [
    *(
        "true",
        "-1",
        "0",
        "1",
        "9",
        "1.5",
        "nan",
        "-inf",
        "1e400",
        "-1e-400",
        str(MAX_NUMBER),
        str(MAX_NUMBER + 1),
    ),
    *(
        "0x" + "f" * 9000,
        "9" * 5000,
        '""',
        '"any"',
        '"x"',
        '"root"',
        '"3/2"',
        '"0/0"',
        "1979-05-27",
        "07:32:00",
    ),
    *(
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "[1, 'x', true]",
        "{ min = 1 }",
        "{ min = 2, max = 1 }",
        "{ max = {} }",
        "{ x.y = [nan] }",
    ),
    *("['call root']", "['delegate root 5 -> b', 'call b']", '"\\u0000\\u2028"', "'''\n'''"),
]


def confused() -> st.SearchStrategy[str]:
    """Valid files in which some keys have values of any kind."""
    schema = scenario_schema()
    tables = {"": schema["properties"]}
    tables |= {f"[{name}]": r["properties"] for name, r in schema["properties"].items() if "properties" in r}
    lists = {"[[agents]]": "agents", "[[calls]]": "call", "[[slices]]": "slice", "[expect]": "expect"}
    tables |= {header: schema["$defs"][name]["properties"] for header, name in lists.items()}
    keys = [(header, key) for header, rules in tables.items() for key in rules]

    def write(changes: list[tuple[tuple[str, str], str]]) -> str:
        said: dict[str, dict[str, str]] = {
            "": {"cap": "60", "discipline": '"racy-counter"'},
            "[[agents]]": {},
            "[[calls]]": {},
        }
        for (header, key), value in changes:
            said.setdefault(header, {"name": '"s"', "grant": "1"} if header == "[[slices]]" else {})[key] = value
        written = [header + "\n" + "\n".join(f"{k} = {v}" for k, v in keys.items()) for header, keys in said.items()]
        return "\n".join(written)

    return st.lists(st.tuples(st.sampled_from(keys), st.sampled_from(STRANGE)), min_size=1, max_size=4).map(write)


@settings(max_examples=500, deadline=None)
@given(confused())
def test_confused_types(text: str) -> None:
    answer(text)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab=[]{}\".,'#\n \\0", max_size=60))
def test_noise(text: str) -> None:
    answer(text)


@pytest.mark.parametrize("name", ["admission", "arguments", "precision"])
def test_a_property_that_is_judged_on_runs_cannot_be_asked_of_a_scenario(name: str) -> None:
    text = scenario_template().replace(
        'discipline = "racy-counter"', f'discipline = "racy-counter"\nproperties = ["{name}"]'
    )
    with pytest.raises(BadScenario) as error:
        parse_scenario(text, known_disciplines=["racy-counter"])
    assert "judged on single runs" in error.value.problems[0].message
    assert "cap" in error.value.problems[0].hint
