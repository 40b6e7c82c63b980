"""``capsound wire`` on the application that ``capsound new app`` writes, and on commands that are none."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from capsound_checker.display.schemas import schema_of
from capsound_checker.wire.money import parse_cap
from capsound_checker.wire.schedule import Choice, Schedule
from capsound_checker.wire.tokens import Kept, token

Runs = Callable[..., Any]
SMALL_GATEWAY = Path(__file__).parents[1] / "quality" / "wire" / "small_gateway.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from capsound_checker.wire.template import app_template

    path = tmp_path_factory.mktemp("wire")
    (path / "my_app.py").write_text(app_template())
    (path / "silent.py").write_text("print('nothing to ask')\n")
    (path / "elsewhere.py").write_text(
        "import os, urllib.request\n"
        "url = os.environ['OPENAI_BASE_URL'] + '/images/generations'\n"
        "try:\n    urllib.request.urlopen(url, data=b'{}')\nexcept Exception as error:\n    print(error)\n"
    )
    (path / "once.py").write_text((path / "my_app.py").read_text().replace("for one in agents:\n        one.start()", "agents[0].start()").replace("for one in agents:\n        one.join()", "agents[0].join()"))  # fmt: skip
    return path


def wire(capsound: Runs, place: Path, *words: str, cap: str = "600tokens", options: tuple[str, ...] = ()) -> Any:
    return capsound("wire", "--cap", cap, *options, "--", sys.executable, *words, cwd=place)


def test_the_racy_application_is_violated_and_says_why(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "my_app.py", "racy")
    assert ran.status == 1
    assert "check-then-act: 765 tokens billed of a cap of 600 tokens: 165 tokens over" in ran.out
    assert "violated: strongest guarantee stops · 2 runs" in ran.out


def test_the_cured_application_is_sound(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "my_app.py", "cured", options=("--runs", "14", "--json"))
    told = json.loads(ran.out)
    assert (ran.status, told["verdict"], told["strongest"]) == (0, "sound", "fault-tolerant")
    assert told["billed_at_most"] == 510


def test_faults_that_were_not_tried_are_not_kept(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "my_app.py", "cured", options=("--runs", "5"))
    assert ran.status == 2
    assert "fault-tolerant   not tried   nothing found, but more --runs are needed for half, no-usage" in ran.out


def test_what_replay_runs_is_the_same_run(capsound: Runs, place: Path) -> None:
    told = json.loads(wire(capsound, place, "my_app.py", "racy", options=("--json",)).out)
    (found,) = told["found"]
    again = capsound("replay", f"{sys.executable} my_app.py racy", found["token"], "--json", cwd=place)
    (same,) = json.loads(again.out)["found"]
    assert again.status == 1
    assert (same["events"], same["timeline"]) == (found["events"], found["timeline"])


CAPS = """\
[[cap]]
name = "calls"
limit = "3 requests"

[[cap]]
name = "tokens"
limit = "600tokens"
models = ["an*"]

[[cap]]
name = "others"
limit = "600tokens"
models = "claude-*"
"""


def test_several_caps_are_judged_one_by_one_and_the_worst_decides(capsound: Runs, place: Path) -> None:
    (place / "caps.toml").write_text(CAPS)
    words = ("--runs", "4", "--", sys.executable, "my_app.py", "racy")
    ran = capsound("wire", "--caps", "caps.toml", "--json", *words, cwd=place)
    told = json.loads(ran.out)
    Draft202012Validator(schema_of("wire")).validate(told)
    assert (ran.status, told["name"], told["verdict"]) == (1, "tokens", "violated")
    assert [(one["name"], one["verdict"], one["billed_at_most"]) for one in told["caps"]] == [
        ("calls", "unknown", 3),
        ("tokens", "violated", 765),
        ("others", "unknown", 0),
    ]
    assert told["caps"][2]["doubts"] == ["no request to claude-* came"]
    assert told["found"][0]["cause"] == "check-then-act"


def test_a_cap_with_a_window_is_judged_by_the_moments_of_the_bills(capsound: Runs, place: Path) -> None:
    (place / "hourly.toml").write_text('[[cap]]\nlimit = "600tokens"\nwindow = "sliding 30 d"\n')
    words = ("wire", "--caps", "hourly.toml", "--runs", "3", "--json", "--", sys.executable, "my_app.py")
    racy, cured = (capsound(*words, how, cwd=place) for how in ("racy", "cured"))
    told = json.loads(racy.out)
    Draft202012Validator(schema_of("wire")).validate(told)
    assert (racy.status, told["verdict"], told["caps"][0]["window"]) == (1, "violated", "sliding 30 d")
    assert (told["found"][0]["overshoot"], told["found"][0]["cause"]) == (165, "check-then-act")
    # Nothing has left a window of 30 days: what it does then was not tried.
    tried = json.loads(cured.out)
    assert (cured.status, tried["verdict"], tried["strongest"]) == (2, "unknown", "none")
    reasons = {one["why"] for one in tried["guarantees"] if one["state"] == "not tried"}
    assert "no bill left the window (sliding 30 d) in a run that came near the cap" in reasons


def test_windows_are_not_judged_inside(capsound: Runs, place: Path) -> None:
    (place / "hourly.toml").write_text('[[cap]]\nlimit = "600tokens"\nwindow = "sliding 30 d"\n')
    ran = capsound("wire", "--caps", "hourly.toml", "--inside", "my_app.py:main", cwd=place)
    assert ran.status == 64
    assert "caps with a window cannot be judged --inside" in ran.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('limit = "$5"\neach = "agent"', "fine is about accounts or agents"),
        ('limit = "$5"\naccounts = "team-*"', "fine is about accounts or agents"),
        ("limit = 5", "5 of what?"),
        ('limit = "5"', "'5' of what?"),
        ('limit = "five"', "'five' is no cap"),
        ('limit = "$5"\nwindow = "hourly"', "'hourly' is no window"),
    ],
)
def test_a_cap_that_the_wire_cannot_judge_is_refused_by_name(
    capsound: Runs, place: Path, more: str, words: str
) -> None:
    (place / "bad.toml").write_text(f'[[cap]]\nname = "fine"\n{more}\n')
    ran = capsound("wire", "--caps", "bad.toml", "--", sys.executable, "my_app.py", "racy", cwd=place)
    assert ran.status == 65
    assert words in ran.err


@pytest.mark.parametrize(
    "options", [(), ("--cap", "5usd", "--caps", "caps.toml"), ("--caps", "caps.toml", "--replay", "x")]
)
def test_one_cap_or_a_file_of_them_is_given(capsound: Runs, place: Path, options: tuple[str, ...]) -> None:
    assert capsound("wire", *options, "--", sys.executable, "my_app.py", cwd=place).status == 64


def test_the_log_of_a_run_is_violated_for_audit_too(capsound: Runs, place: Path) -> None:
    wire(capsound, place, "my_app.py", "racy", options=("--log", "run.jsonl"))
    ran = capsound("audit", "run.jsonl", cwd=place)
    assert ran.status == 1
    assert "billed 765 of a cap of 600" in ran.out


def test_what_the_model_says_and_uses_can_be_decided(capsound: Runs, place: Path) -> None:
    rule = {"when": {"said": "What does it cost"}, "text": "Ten crowns.", "usage": {"input": 5, "output": 10}}
    (place / "rules.json").write_text(json.dumps([rule]))
    ran = wire(capsound, place, "my_app.py", "racy", options=("--replies", "rules.json"))
    assert ran.status == 1  # the usage that was decided is no limit: all permitted bills are tried too
    assert "concurrent       refuted     765 tokens billed of 600 tokens" in ran.out
    assert "up to 2 requests of a run matched none of --replies" in ran.out


def test_what_is_written_says_what_is_printed(capsound: Runs, place: Path) -> None:
    files = ("--save", "runs", "--junit", "report.xml")
    ran = wire(capsound, place, "my_app.py", "racy", options=files)
    assert ran.status == 1
    (file,) = (place / "runs").iterdir()
    assert file.name == "check-then-act-concurrent.json"
    saved = json.loads(file.read_text())
    Draft202012Validator(schema_of("run")).validate(saved)
    again = capsound("replay", f"{sys.executable} my_app.py racy", "runs/check-then-act-concurrent.json", cwd=place)
    assert again.status == 1
    suite = ET.parse(place / "report.xml").getroot()
    assert {case.get("name"): [one.tag for one in case] for case in suite} == {
        "stops": [],
        "sequential": ["error"],
        "concurrent": ["failure"],
        "delegated": ["skipped"],  # it falls with `concurrent`: one fault is one failure
        "fault-tolerant": ["skipped"],
        "overrun-bounded": ["skipped"],
        "verdict": [],
    }
    told = suite.find("testcase/failure")
    assert told is not None
    assert str(told.get("message")).startswith("check-then-act: ")
    assert str(told.text).startswith("With it fall: delegated, fault-tolerant, overrun-bounded.")


def test_an_application_that_never_comes_near_its_cap_is_not_sound(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "once.py", "cured", options=("--runs", "2"))
    assert ran.status == 2
    assert "at most 255 tokens of 600 tokens was billed" in ran.out


def test_an_application_that_asks_nothing_is_unknown(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "silent.py", options=("--runs", "1"))
    assert ran.status == 2
    assert "the application sent no request" in ran.out


def test_what_an_application_printed_before_it_failed_is_shown(capsound: Runs, place: Path) -> None:
    (place / "broken.py").write_text("import no_such_module\n")
    ran = wire(capsound, place, "broken.py", options=("--runs", "1"))
    assert ran.status == 2
    assert "without any fault it ended with status 1; it printed:" in ran.out
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ran.out


def test_a_path_that_is_not_served_is_named(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "elsewhere.py", options=("--runs", "1"))
    assert ran.status == 2
    assert "unknown path: POST /v1/images/generations" in ran.out


def test_a_price_that_is_not_known_is_a_doubt(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "my_app.py", "cured", cap="0.60usd", options=("--runs", "1"))
    assert ran.status == 2
    assert "no price is known for any: give --price MODEL=IN/OUT" in ran.out


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--cap", "600tokens", "--", "no-such-command"), 65, "there is no command 'no-such-command'"),
        (("--cap", "much", "--", "true"), 64, "'much' is no cap"),
        (("--cap", "1.5tokens", "--", "true"), 64, "a part of a token"),
        (("--cap", "1usd", "--price", "gpt", "--", "true"), 64, "'gpt' is no price"),
        (("--cap", "1usd", "--require", "most", "--", "true"), 64, "there is no guarantee 'most'"),
        (("--", "true"), 64, "give the cap with --cap"),
        (("--cap", "1usd"), 64, "give a command after --, or a coroutine function with --inside"),
        (("--cap", "1usd", "--through", "nowhere", "--", "true"), 64, "'nowhere' is no address"),
        (("--cap", "1usd", "--through", "http://x", "--header", "no", "--", "true"), 64, "'no' is no header"),
        (
            ("--cap", "1usd", "--through", "http://127.0.0.1:9", "--", "true"),
            65,
            "it ended with status 0 before it listened",
        ),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], status: int, says: str, capsound: Runs) -> None:
    ran = capsound("wire", *words)
    assert ran.status == status
    assert says in ran.err


def test_a_gateway_that_looks_and_then_counts_is_violated(capsound: Runs) -> None:
    ran = gateway(capsound, "racy", "--runs", "3")
    assert ran.status == 1
    assert "check-then-act: 1,016 tokens billed of a cap of 600 tokens: 416 tokens over" in ran.out
    assert "× client 3, call 2  gets nothing through the gateway: 402" in ran.out


def test_a_gateway_that_holds_what_a_call_permits_is_sound(capsound: Runs) -> None:
    ran = gateway(capsound, "cured", "--runs", "14", "--patience", "2s", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["strongest"], told["billed_at_most"]) == (0, "fault-tolerant", 508)
    (row,) = (row for row in told["guarantees"] if row["name"] == "fault-tolerant")
    assert "cancel" in row["why"]


def test_the_run_of_a_gateway_is_done_again_by_its_token(capsound: Runs) -> None:
    first = json.loads(gateway(capsound, "racy", "--runs", "1", "--json").out)
    (found,) = first["found"]
    ran = gateway(capsound, "racy", "--replay", found["token"], "--json")
    (again,) = json.loads(ran.out)["found"]
    assert ran.status == 1
    # What the provider got and answered is in the same order. Refusals of the gateway's own are nobody's to schedule: on a
    # busy machine a client hears of one a step later.
    orders = [[line for line in run["timeline"] if line[0] in "→←"] for run in (found, again)]
    assert orders[0] == orders[1]
    assert sorted(again["timeline"]) == sorted(found["timeline"])
    assert json.loads(ran.out)["runs"] == 1
    told = gateway(capsound, "racy", "--runs", "1").out
    assert f"replay: the same command with --replay {found['token']}" in told


def test_a_client_that_leaves_belongs_to_a_gateway(capsound: Runs, place: Path) -> None:
    kept = Kept(Schedule(departures=((0, Choice("x", "cancel")),)), parse_cap("600tokens"))
    for words in (
        ("replay", "true", token(kept)),
        ("wire", "--cap", "600tokens", "--replay", token(kept), "--", "true"),
    ):
        ran = capsound(*words, cwd=place)
        assert ran.status == 65
        assert "a client of a gateway left" in ran.err


def gateway(capsound: Runs, way: str, *options: str) -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    through = ("--through", f"http://127.0.0.1:{port}/v1", "--header", "X-Session: {run}")
    command = (sys.executable, str(SMALL_GATEWAY), str(port), way)
    return capsound("wire", "--cap", "600tokens", *through, *options, "--", *command)


@pytest.mark.parametrize("damaged", ["cw1:", "cw1:AAAA", "cw1:W10", "cw1:" + "x" * 9_999])
def test_a_damaged_token_is_bad_input(damaged: str, capsound: Runs) -> None:
    ran = capsound("replay", "true", damaged)
    assert ran.status == 65
    assert "the token is damaged" in ran.err
