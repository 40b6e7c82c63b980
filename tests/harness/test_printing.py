"""What others wrote is shown, and never acted upon: markup, escapes of terminals, commands of workflows, broken lines."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound_checker.display.printing import SCREEN, clean, printable, screen

Runs = Callable[..., Any]

WICKED = "[bold]w[/] \x1b[31mred\x1b]0;t\x07\r\n::error::x\n  ##[error]y\u202e\x85\u2028::warning::z"
"""Markup, colours, a title of the terminal, ends of lines of every kind, commands, and text from right to left."""

NAME = "[bold]n\x1b[31m\r::error::x\n::error::y##[error]z"
"""The same as the name of a file."""


def harmless(text: str) -> bool:
    return all(
        line.isprintable() and not line.lstrip().startswith("::") and "##[" not in line for line in text.split("\n")
    )


def shown(ran: Any, *parts: str) -> None:
    """Nothing is acted upon, and the words are there to be read."""
    assert harmless(ran.out), ran.out
    assert harmless(ran.err), ran.err
    together = "".join((ran.out + ran.err).split())
    for part in parts:
        assert part in together, ran.out + ran.err


def adapter(**bodies: str) -> str:
    said = {
        "open": "return {'cap': cap, 'spent': 0}",
        "check": "return True",
        "spent": "return budget['spent']",
    } | bodies
    return (
        "from capsound.adapter import Adapter, Gate, NotOffered, Rejected\n"
        f"TEXT = {WICKED!r}\n"
        f"{said.pop('top', '')}\n\n"
        "class Counter(Adapter):\n"
        "    gate = Gate.CHECK\n"
        f"    def open(self, cap):\n        {said['open']}\n"
        f"    def check(self, budget, amount):\n        {said['check']}\n"
        "    def record(self, budget, amount):\n        budget['spent'] += amount\n"
        f"    def spent(self, budget):\n        {said['spent']}\n"
        "    def remaining(self, budget):\n        return budget['cap'] - budget['spent']\n"
    )


@pytest.mark.parametrize("command", ["check {} --programs 20 --driver programs --budget 20s", "smoke {}"])
@pytest.mark.parametrize(
    "bodies",
    [
        {"top": "raise RuntimeError(TEXT)"},
        {"top": "raise SyntaxError(TEXT)"},
        {"top": "raise ModuleNotFoundError(TEXT, name=TEXT)"},
        {"top": "print(TEXT, flush=True); raise SystemExit(3)"},
        {"top": "print(TEXT, flush=True); import os; os._exit(3)"},
        {"check": "raise RuntimeError(TEXT)"},
        {"open": "raise type(TEXT, (Exception,), {})(TEXT)"},
        {"spent": "raise RuntimeError(TEXT)"},
        {"spent": "return TEXT"},
        {"check": "raise NotOffered(TEXT)"},
        {"check": "print(TEXT, flush=True); import os; os._exit(3)"},
    ],
    ids=lambda bodies: "".join(f"{name} {body}" for name, body in bodies.items())[:40],
)
def test_what_an_adapter_says(command: str, bodies: dict[str, str], tmp_path: Path, capsound: Runs) -> None:
    (tmp_path / "mine.py").write_text(adapter(**bodies))
    ran = capsound(*command.format("mine.py:Counter").split(), cwd=tmp_path)
    assert ran.status in (1, 2, 65)
    shown(ran)
    assert len(ran.err.splitlines()) <= SCREEN + 4


@pytest.mark.parametrize("name", ["check", "smoke", "solve", "audit", "history", "replay", "ratio"])
@pytest.mark.parametrize("there", [True, False])
def test_the_name_of_a_file(name: str, there: bool, tmp_path: Path, capsound: Runs, source: dict[str, str]) -> None:
    files = {
        "check": (f"{NAME}.py", adapter(), ":Counter", ["--programs", 5, "--driver", "programs"]),
        "smoke": (f"{NAME}.py", adapter(), ":Counter", []),
        "solve": (f"{NAME}.toml", source["race"], "", ["--workers", 1]),
        "replay": (f"{NAME}.toml", source["race"], "", ["cs1:60/0.0"]),
        "audit": (f"{NAME}.jsonl", '{"event": "open", "root": "r", "cap": 5}\n', "", []),
        "history": (f"{NAME}.jsonl", '{"history": 1}\n', "", []),
        "ratio": (f"{NAME}.csv", "input_tokens,output_tokens\n1,\n", "", []),
    }
    file, content, more, options = files[name]
    if there:
        (tmp_path / file).write_text(content)
    shown(capsound(name, f"{file}{more}", *options, cwd=tmp_path))


def test_names_in_a_scenario(tmp_path: Path, capsound: Runs, source: dict[str, str]) -> None:
    title = json.dumps(WICKED)
    text = source["race"].replace("cap = 60", f"title = {title}\ncap = 60\nunit = {title}", 1)
    lines = [line for line in text.split("\n") if not line.startswith(("title", "unit")) or title in line]
    (tmp_path / "s.toml").write_text("\n".join(lines))
    shown(capsound("solve", "s.toml", "--workers", 1, cwd=tmp_path))
    (tmp_path / "t.toml").write_text(source["race"].replace('name = "worker"', f"name = {title}"))
    shown(capsound("solve", "t.toml", "--workers", 1, cwd=tmp_path))


def test_names_in_a_log(tmp_path: Path, capsound: Runs) -> None:
    events = [
        {"event": "open", "root": WICKED, "cap": 5},
        {"event": "reserve", "account": WICKED, "hold": WICKED, "amount": 5, "agent": WICKED},
        {"event": "send", "hold": WICKED, "call": WICKED},
        {"event": "bill", "call": WICKED, "amount": 9},
        {"event": WICKED, WICKED: WICKED},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for more in ([], ["--lenient"]):
        shown(capsound("audit", "log.jsonl", *more, cwd=tmp_path), "[bold]w[/]")


def test_keys_of_a_mapping(tmp_path: Path, capsound: Runs) -> None:
    key = json.dumps(WICKED).replace("\\/", "/")
    (tmp_path / "log.jsonl").write_text('{"a": 1}\n')
    for text in (
        f"{key} = 1\n",
        f"[[rules]]\nname = {key}\n[rules.when]\n{key} = {key}\n[[rules.emit]]\nevent = {key}\n",
        f'[[rules]]\nname = {key}\n[[rules.emit]]\nevent = "open"\nroot = {key}\ncap = {key}\n',
    ):
        (tmp_path / "map.toml").write_text(text)
        shown(capsound("audit", "log.jsonl", "--mapping", "map.toml", cwd=tmp_path))
        shown(capsound("audit", "log.jsonl", "--mapping", "map.toml", "--lenient", cwd=tmp_path))


def test_what_hung_in_a_history(tmp_path: Path, capsound: Runs) -> None:
    opened = {"client": 0, "do": "open", "on": 0, "amount": 9, "called": 1, "returned": 2}
    head = {"history": 1, "hung": [WICKED]}
    (tmp_path / "run").write_text("".join(json.dumps(line) + "\n" for line in (head, opened)))
    ran = capsound("history", "run", cwd=tmp_path)
    assert ran.status == 2
    shown(ran, "[bold]w[/]")


@pytest.mark.parametrize(
    "token", [WICKED, "cs1:" + WICKED, "ck1:" + WICKED, "ca1:" + WICKED, "ct1:threads.1/" + WICKED]
)
def test_tokens(token: str, tmp_path: Path, capsound: Runs, source: dict[str, str]) -> None:
    (tmp_path / "race.toml").write_text(source["race"])
    ran = capsound("replay", "race.toml", "--", token, cwd=tmp_path)
    assert ran.status == 65
    shown(ran)


def test_options(capsound: Runs) -> None:
    for command in (["solve", "--" + WICKED], ["explain", WICKED], ["schema", WICKED], [WICKED], ["prove", WICKED]):
        shown(capsound(*command))


def test_what_a_harness_prints(tmp_path: Path, capsound: Runs) -> None:
    (tmp_path / "harness.py").write_text(f"import sys\nsys.stderr.write({WICKED!r} * 100)\nprint({WICKED!r})\n")
    for command in ("smoke", "check"):
        ran = capsound(command, f"cmd:{sys.executable} harness.py", cwd=tmp_path)
        assert ran.status == 65
        shown(ran)
        assert len(ran.err.splitlines()) <= SCREEN + 4


def test_reports_for_machines(tmp_path: Path, capsound: Runs) -> None:
    """The annotation is one line, which begins with the one command that is ours; the XML can be read."""
    (tmp_path / "mine,x:y%.py").write_text(adapter(check="raise RuntimeError(TEXT)"))
    options = ["--programs", "5", "--driver", "programs", "--budget", "20s", "--junit", "report.xml", "--github"]
    ran = capsound("check", "mine,x:y%.py:Counter", *options, cwd=tmp_path)
    commands = [line for line in ran.out.split("\n") if line.lstrip().startswith("::") or "##[" in line]
    assert len(commands) == 1
    assert commands[0].startswith("::warning file=mine%2Cx%3Ay%25.py,title=capsound check::")
    assert commands[0].isprintable()
    ET.parse(tmp_path / "report.xml")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("a::b", "a::b"),
        ("::error::x", "\\x3a:error::x"),
        (" \t::error::x", " \\t::error::x"),
        ("  ::error::x", "  \\x3a:error::x"),
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("x##[group]", "x#\\x23[group]"),
        ("\ud800", "\\ud800"),
        ("\u202e", "\\u202e"),
    ],
)
def test_printable(text: str, wanted: str) -> None:
    assert printable(text) == wanted
    assert printable(wanted) == wanted


def test_colours_of_ours_stay_where_they_are_wanted() -> None:
    text = "\x1b[31mred\x1b[0m\x1b]0;title\x07\n\x1b[1m::error::x"
    assert clean(text, colour=True) == "\x1b[31mred\x1b[0m\\x1b]0;title\\x07\n\x1b[1m\\x3a:error::x"
    assert clean(text) == "\\x1b[31mred\\x1b[0m\\x1b]0;title\\x07\n\\x1b[1m::error::x"


def test_a_screen_keeps_the_beginning_and_the_end() -> None:
    lines = screen("\n".join(f"line {n}" for n in range(1_000))).split("\n")
    assert len(lines) == SCREEN
    assert (lines[0], lines[-1]) == ("line 0", "line 999")
    assert "  ... (961 lines)" in lines
    assert len(screen("x" * 10_000)) < 500
