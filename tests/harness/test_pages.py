"""Commands write pages: what is drawn is the document that the command prints, and in a workflow it is summed up."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser

from capsound_checker.wire.template import app_template

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIO = REPOSITORY / "scenarios" / "race-a-racy-counter.toml"
TOKEN = "cs1:60/0.0.1.1.2.2"
PROGRAM = "ck1:open.0.0.0.1/reserve.0.0.0.1/reserve.0.0.1.1/send.0.0.0.0.1/send.0.1.0.0.1"

Runs = Callable[..., Any]

RACY = (
    "from capsound.adapter import Adapter, Gate\n\n\n"
    "class Counter(Adapter):\n"
    "    gate = Gate.CHECK\n\n"
    "    def open(self, cap):\n        return {'cap': cap, 'spent': 0}\n\n"
    "    def check(self, budget, amount):\n        return budget['spent'] + amount <= budget['cap']\n\n"
    "    def record(self, budget, amount):\n        budget['spent'] += amount\n"
)

LOG = [
    {"event": "open", "root": "team", "cap": 60},
    {"event": "reserve", "account": "team", "hold": "R1", "amount": 31, "agent": "a"},
    {"event": "send", "hold": "R1", "call": "C1"},
    {"event": "reserve", "account": "team", "hold": "R2", "amount": 31, "agent": "b"},
    {"event": "send", "hold": "R2", "call": "C2"},
    {"event": "bill", "call": "C1", "amount": 30},
    {"event": "bill", "call": "C2", "amount": 46},
    {"event": "settle", "hold": "R1", "amount": 30},
]

HISTORY = [
    {"history": 1},
    {"client": 0, "do": "open", "on": 0, "amount": 1, "called": 1, "returned": 2},
    {"client": 0, "do": "reserve", "on": 0, "new": 0, "amount": 1, "called": 3, "returned": 4},
    {"client": 1, "do": "reserve", "on": 0, "new": 1, "amount": 1, "called": 3, "returned": 4},
]


def lines(path: Path, told: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in told), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages")
    (path / "racy.py").write_text(RACY, encoding="utf-8")
    (path / "app.py").write_text(app_template(), encoding="utf-8")
    lines(path / "log.jsonl", LOG)
    lines(path / "run.history", HISTORY)
    return path


COMMANDS = {
    "solve": f"solve {SCENARIO} --workers 1",
    "replay": f"replay {SCENARIO} {TOKEN}",
    "replay-check": f"replay racy.py:Counter {PROGRAM}",
    "check": "check racy.py:Counter --driver programs --programs 20 --budget 20s",
    "wire": "wire --cap 600tokens -- python3 app.py racy",
    "audit": "audit log.jsonl",
    "history": "history run.history",
}


def embedded(file: Path, name: str) -> Any:
    return json.loads(LexborHTMLParser(file.read_text(encoding="utf-8")).css_first(f"script#{name}").text())


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_write_the_page_of_their_document(name: str, capsound: Runs, place: Path) -> None:
    command, _, rest = COMMANDS[name].partition(" -- ")
    html, pasted = place / f"{name}.html", place / f"{name}.md"
    after = ["--", *rest.split()] if rest else []
    ran = capsound(*command.split(), "--json", "--html", html, "--markdown", pasted, *after, cwd=place)
    assert ran.status == 1, ran.err
    document = embedded(html, "document")
    assert (document[0] if isinstance(document, list) else document) == json.loads(ran.out)
    shown = embedded(html, "shown")
    assert shown["verdict"] == "violated"
    pane = shown["runs"][0]["panes"][0]
    assert any(step[5] for step in pane["steps"])
    text = pasted.read_text(encoding="utf-8")
    assert "**violated**" in text
    assert "sequenceDiagram" in text
    assert "The likely cure" in text
    if name != "history":
        (_, cap, _), over = pane["caps"][0], sum(bill[2] for bill in pane["bills"])
        assert over > cap
        assert "Run it again" in text


def test_a_twin_is_led_through_the_same_steps_and_is_proved(capsound: Runs, tmp_path: Path) -> None:
    capsound("solve", SCENARIO, "--workers", 1, "--html", tmp_path / "run.html")
    document = embedded(tmp_path / "run.html", "document")[0]
    twin = document["properties"][0]["twin"]
    assert (twin["discipline"], twin["verdict"]) == ("reserve-settle", "sound")
    told = [(step["actor"], step["action"]) for step in twin["steps"]]
    assert told[:4] == [
        ("worker-1", "check+reserve"),
        ("worker-1", "send"),
        ("worker-2", "check+reserve: refused"),
        ("worker-2", "nothing left to do"),
    ]
    replayed = tmp_path / "twin.toml"
    replayed.write_text(SCENARIO.read_text(encoding="utf-8").replace('"racy-counter"', '"reserve-settle"'))
    ran = capsound("replay", replayed, twin["token"], "--json")
    assert json.loads(ran.out)["findings"] == []
    assert sum(e["amount"] for e in json.loads(ran.out)["events"] if e["event"] == "bill") == 23


def test_a_sound_scenario_needs_no_twin_and_has_a_page(capsound: Runs, tmp_path: Path) -> None:
    sound = REPOSITORY / "scenarios" / "race-b-reserve-settle.toml"
    ran = capsound("solve", sound, "--workers", 1, "--html", tmp_path / "x.html", "--badge", tmp_path / "x.svg")
    assert ran.status == 0
    assert embedded(tmp_path / "x.html", "shown")["runs"] == []
    assert "cap-sound: proved" in (tmp_path / "x.svg").read_text(encoding="utf-8")


def test_the_excerpt_of_a_long_log_has_the_balances_of_the_whole(capsound: Runs, tmp_path: Path) -> None:
    log: list[dict[str, Any]] = [{"event": "open", "root": root, "cap": 10_000} for root in ("other", "team")]
    for number in range(600):
        root = "team" if number % 2 else "other"
        names = {"hold": f"h{number}", "call": f"c{number}"}
        log += [
            {"event": "reserve", "account": root, "hold": names["hold"], "amount": 33, "agent": f"a{number % 3}"},
            {"event": "send", **names},
            {"event": "bill", "call": names["call"], "amount": 34},
            {"event": "settle", "hold": names["hold"], "amount": 34},
        ]
    ran = capsound("audit", lines(tmp_path / "day.jsonl", log), "--json", "--html", tmp_path / "day.html")
    excerpt = json.loads(ran.out)["excerpt"]
    first = next(f for f in json.loads(ran.out)["findings"] if f["anomaly"] == "overshoot")
    assert excerpt["root"] in ("other", "team")
    assert len(excerpt["events"]) <= 184
    assert excerpt["left_out"] > 1_000
    (account,) = excerpt["before"]["accounts"]
    assert account["billed"] % 34 == 0
    bills = [
        one["event"]["amount"]
        for one in excerpt["events"]
        if one["event"]["event"] == "bill" and one["line"] <= first["line"]
    ]
    assert account["billed"] + sum(bills) == first["numbers"]["billed"]
    pane = embedded(tmp_path / "day.html", "shown")["runs"][0]["panes"][0]
    assert pane["begin"] == {excerpt["root"]: account["billed"]}
    assert [step[0] for step in pane["steps"] if step[5]]


def test_the_excerpt_of_a_slice_has_the_events_of_its_root(capsound: Runs, tmp_path: Path) -> None:
    log = [
        {"event": "open", "root": "team", "cap": 100},
        {"event": "reserve", "account": "team", "hold": "h0", "amount": 10, "agent": "a"},
        {"event": "delegate", "parent": "team", "child": "slice", "amount": 20},
        {"event": "reserve", "account": "slice", "hold": "h1", "amount": 20, "agent": "b"},
        {"event": "send", "hold": "h1", "call": "c1"},
        {"event": "bill", "call": "c1", "amount": 25},
        {"event": "settle", "hold": "h1", "amount": 20},
    ]
    ran = capsound("audit", lines(tmp_path / "x.jsonl", log), "--json", "--html", tmp_path / "x.html")
    excerpt = json.loads(ran.out)["excerpt"]
    assert excerpt["root"] == "team"
    assert [one["line"] for one in excerpt["events"]] == list(range(1, 8))


def test_costs_that_stand_for_bills_are_drawn_as_bills(capsound: Runs, tmp_path: Path) -> None:
    log = [
        {"event": "reserve", "account": "team", "hold": "h", "amount": 40, "agent": "a"},
        {"event": "settle", "hold": "h", "amount": 70},
    ]
    ran = capsound("audit", lines(tmp_path / "x.jsonl", log), "--cap", 60, "--json", "--html", tmp_path / "x.html")
    told = [one["event"]["event"] for one in json.loads(ran.out)["excerpt"]["events"]]
    assert told == ["open", "reserve", "send", "bill", "settle"]
    (pane,) = embedded(tmp_path / "x.html", "shown")["runs"][0]["panes"]
    assert [bill[2] for bill in pane["bills"]] == [70]


def test_what_can_be_read_only_once_has_no_excerpt(capsound_process: Runs, tmp_path: Path) -> None:
    ran = capsound_process("audit", "-", "--cap", 60, "--json", "--html", tmp_path / "x.html")
    assert ran.status == 65  # nothing on standard input
    log = [{"event": "open", "root": "r", "cap": 5}, {"event": "refuse", "account": "r", "amount": 9}]
    quiet = capsound_process("audit", lines(tmp_path / "q.jsonl", log), "--json", "--html", tmp_path / "q.html")
    assert "excerpt" not in json.loads(quiet.out)
    assert (tmp_path / "q.html").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_read_once(capsound: Runs, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lines, args=(pipe, LOG), daemon=True)
    writer.start()
    ran = capsound("audit", pipe, "--json", "--html", tmp_path / "x.html")
    writer.join(timeout=60)
    assert ran.status == 1
    assert "excerpt" not in json.loads(ran.out)
    shown = embedded(tmp_path / "x.html", "shown")
    assert shown["runs"] == []
    assert "Findings" in [table[0] for table in shown["tables"]]


def test_a_badge_of_check_names_what_is_kept(capsound: Runs, place: Path) -> None:
    capsound(*COMMANDS["check"].split(), "--badge", place / "check.svg", cwd=place)
    assert 'aria-label="cap-sound: ' in (place / "check.svg").read_text(encoding="utf-8")


def test_a_workflow_gets_a_summary_without_being_asked(capsound: Runs, place: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    for name in ("audit", "history"):
        ran = capsound(*COMMANDS[name].split(), cwd=place, env={"GITHUB_STEP_SUMMARY": str(summary)})
        assert ran.status == 1
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n**violated**: log.jsonl: team")
    assert text.count("sequenceDiagram") == 2
    asked = capsound("audit", "log.jsonl", "--markdown", summary, cwd=place, env={"GITHUB_STEP_SUMMARY": str(summary)})
    assert asked.status == 1
    assert summary.read_text(encoding="utf-8").count("sequenceDiagram") == 1  # it is written once, as was asked


def test_a_summary_that_cannot_be_written_is_said_and_changes_no_verdict(capsound: Runs, place: Path) -> None:
    ran = capsound("audit", "log.jsonl", cwd=place, env={"GITHUB_STEP_SUMMARY": str(place / "none" / "x.md")})
    assert "cannot write" in ran.err
    assert "VIOLATED" in ran.out
    assert ran.status == 1


def test_a_page_that_cannot_be_written_is_said_before_the_work(capsound: Runs, place: Path) -> None:
    for name in COMMANDS:
        command, _, rest = COMMANDS[name].partition(" -- ")
        after = ["--", *rest.split()] if rest else []
        ran = capsound(*command.split(), "--html", place / "none" / "x.html", *after, cwd=place)
        assert ran.status == 64
        assert not ran.out
