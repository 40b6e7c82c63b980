"""Tokens, through the real output: what ``solve`` prints, ``replay`` reads."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Any]

VIOLATED = {
    "race": ("cap",),
    "cancel-release": ("cap",),
    "tools": ("cap",),
    "dropped": ("cap", "overrun", "truth"),
    "hang": ("progress",),
}
"""The scenarios with counterexamples, and the properties that these are for."""

BROKEN = [(name, prop) for name, properties in VIOLATED.items() for prop in properties]


@pytest.fixture(scope="module")
def solved(capsound_once: Runs, shared: Path) -> Callable[[str, str], dict[str, Any]]:
    """Return what ``solve --json`` says of one property of a scenario."""

    def result(name: str, prop: str) -> dict[str, Any]:
        data = json.loads(capsound_once("solve", f"{name}.toml", "--json", cwd=shared).out)
        return next(r for r in data["properties"] if r["property"] == prop)

    return result


@pytest.mark.parametrize(("name", "prop"), BROKEN)
def test_a_token_shows_the_same_violation_again(
    name: str, prop: str, solved: Callable[[str, str], dict[str, Any]], capsound: Runs, shared: Path
) -> None:
    told = solved(name, prop)
    ran = capsound("replay", f"{name}.toml", told["token"], "--json", cwd=shared)
    again = json.loads(ran.out)
    assert ran.status == 1
    assert again["token"] == told["token"]
    assert again["verdicts"][prop] == "violated"
    assert [f["sentence"] for f in again["findings"]] == [f["sentence"] for f in told["findings"]]
    assert [e for step in told["steps"] for e in step["events"]] == again["events"][1:]
    assert (again["refuted"] or "") == told["refuted"]


def test_every_counterexample_is_covered(capsound_once: Runs, shared: Path) -> None:
    for name, properties in VIOLATED.items():
        data = json.loads(capsound_once("solve", f"{name}.toml", "--json", cwd=shared).out)
        assert tuple(r["property"] for r in data["properties"] if "token" in r) == properties


def test_no_property_is_called_sound_that_a_shown_run_breaks(capsound_once: Runs, capsound: Runs, shared: Path) -> None:
    """What ``solve`` proves of a scenario, the monitor must not refute on a run of that very scenario."""
    wrong = []
    for name in VIOLATED:
        results = json.loads(capsound_once("solve", f"{name}.toml", "--json", cwd=shared).out)["properties"]
        sound = {r["property"] for r in results if r["verdict"] == "sound"}
        for token in (r["token"] for r in results if "token" in r):
            again = json.loads(capsound("replay", f"{name}.toml", token, "--json", cwd=shared).out)
            wrong += [(name, prop) for prop in sorted(sound) if again["verdicts"][prop] == "violated"]
    assert wrong == []


def test_the_printed_line_can_be_pasted(capsound_once: Runs, process_env: dict[str, str], shared: Path) -> None:
    printed = capsound_once("solve", "race.toml", cwd=shared).out
    line = next(line for line in printed.splitlines() if line.startswith("  replay: "))
    program, *arguments = shlex.split(line.partition(": ")[2])
    assert program == "capsound"
    done = subprocess.run(
        [sys.executable, "-m", "capsound_checker", *arguments],
        cwd=shared,
        env=process_env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 1
    assert "overshoot: root was billed 69 of a cap of 60: 9 over" in done.stdout
    steps = [re.sub(r"\s+", " ", step) for step in printed.splitlines() if re.match(r"  \[\d", step)]
    assert [re.sub(r"\s+", " ", step) for step in done.stdout.splitlines()[: len(steps)]] == steps


@pytest.mark.parametrize(
    "name",
    [
        "sp ace.toml",
        "qu'ote;.toml",
        "-dash.toml",
        "$(HOME).toml",
        "日本.toml",
    ],
)
def test_the_printed_line_can_be_pasted_whatever_the_name(
    name: str, tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    (tmp_path / name).write_text(source["quick"])
    printed = capsound("solve", f"./{name}", cwd=tmp_path).out
    line = next(line for line in printed.splitlines() if line.startswith("  replay: "))
    pasted = line.partition(": ")[2]
    assert "$" not in pasted or "'$" in pasted
    ran = capsound(*shlex.split(pasted)[1:], cwd=tmp_path)
    assert ran.status == 1
    assert "overshoot: " in ran.out


BAD = {
    "garbage": ("race", "garbage", "is not a replay token", "cs1:60/"),
    "nothing": ("race", "", "is not a replay token", "cs1:60/"),
    "no steps": ("race", "cs1:60", "is not a replay token", "cs1:60/"),
    "no cap": ("race", "cs1:/0.0", "is not a replay token", "cs1:60/"),
    "negative cap": ("race", "cs1:-60/0.0", "is not a replay token", "cs1:60/"),
    "an older version": ("race", "cs0:60/0.0", "made by format cs0, this is cs1", "solve the scenario again"),
    "a newer version": ("race", "cs17:60/0.0", "made by format cs17, this is cs1", "solve the scenario again"),
    "unreadable part": ("race", "cs1:60/0.x.1", "part 2 of the token, 'x', cannot be read", ""),
    "unknown fault": ("race", "cs1:60/0z", "part 1 of the token, '0z', cannot be read", ""),
    "empty part": ("race", "cs1:60/0..0", "part 2 of the token, '', cannot be read", ""),
    "an agent that is not there": ("race", "cs1:60/0.7", "step 2 names process 7, and the last one is 2", ""),
    "an agent that is done": ("race", "cs1:60/0.0.0.0", "step 4 is not possible: worker-1 cannot move", "was changed"),
    "a fault that is not allowed": (
        "race",
        "cs1:60/0c",
        "step 1 is not possible: worker-1 cannot cancel",
        "was changed",
    ),
    "a fault too many": ("hang", "cs1:60/0.0k.1.1k", "step 3 is not possible: worker-2 cannot move", "was changed"),
    "another scenario": ("sound", "cs1:60/0.0.1.1.2.2", "step 4 is not possible", "another scenario"),
    "missing amount": ("dropped", "cs1:60/0.0", "step 2 needs an amount that the token does not give", ""),
    "impossible amount": ("dropped", "cs1:60/0.0:46", "46 is not a possible amount here: 31..45", ""),
}
"""The scenario, the token, what is wrong, and the cure where there is one."""


@pytest.mark.parametrize("case", BAD)
def test_a_bad_token_is_bad_input(case: str, capsound: Runs, shared: Path) -> None:
    name, token, wrong, cure = BAD[case]
    ran = capsound("replay", f"{name}.toml", token, cwd=shared)
    assert ran.status == 65
    assert ran.out == ""
    assert wrong in ran.err
    assert cure in ran.err
    assert "[bad-token]" in ran.err


UNCURED = ("unreadable part", "an agent that is not there", "missing amount", "impossible amount")


@pytest.mark.parametrize("case", UNCURED)
def test_every_bad_token_has_a_cure(case: str, capsound: Runs, shared: Path) -> None:
    name, token, *_ = BAD[case]
    assert "  cure: " in capsound("replay", f"{name}.toml", token, cwd=shared).err


def test_an_impossible_amount_is_named_with_its_step(capsound: Runs, shared: Path) -> None:
    assert "step 2" in capsound("replay", "dropped.toml", "cs1:60/0.0:46", cwd=shared).err


LENIENT = {
    "another cap": ("race", "cs1:61/0.0"),
    "an absurd cap": ("race", f"cs1:{10**30}/0.0"),
    "an amount too many": ("dropped", "cs1:60/0:5.0:31"),
    "an amount that is fixed": ("race", "cs1:60/0.0:22"),
    "other digits": ("race", "cs1:٦٠/0.0"),
}


@pytest.mark.parametrize("case", LENIENT)
def test_what_a_token_says_is_not_ignored(case: str, capsound: Runs, shared: Path) -> None:
    """A run that differs from what its token says would be believed to be that of the token."""
    name, token = LENIENT[case]
    assert capsound("replay", f"{name}.toml", token, cwd=shared).status == 65


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("cs1:60/" + ".".join(["0"] * 50_000), id="one agent"),
        pytest.param("cs1:60/" + ".".join(["0.1.2"] * 16_000), id="three agents"),
        pytest.param("x" * 100_000, id="letters"),
        pytest.param("cs1:" + "9" * 100_000 + "/0", id="cap"),
        pytest.param("cs1:60/0:" + "9" * 100_000, id="amount"),
        pytest.param("cs1:60/" + "9" * 100_000, id="process"),
    ],
)
def test_a_huge_token_is_refused_quickly_and_in_few_words(token: str, capsound: Runs, shared: Path) -> None:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        ran = capsound("replay", "race.toml", token, cwd=shared)
    finally:
        sys.setprofile(before)
    assert calls < 20 * len(token)  # they come to seven for a letter, with each return
    assert ran.status == 65
    assert len(ran.err) < 1_000


def test_a_token_for_a_program_that_is_rejected_is_refused(capsound: Runs, shared: Path) -> None:
    """``solve`` says that this program is rejected before it runs."""
    assert capsound("replay", "handles.toml", "cs1:60/0.0", cwd=shared).status == 65


def test_a_harmless_run_ends_with_0(capsound: Runs, shared: Path) -> None:
    ran = capsound("replay", "sound.toml", "cs1:60/0.0.0.1.1.1", cwd=shared)
    assert ran.status == 0
    assert "the monitor found nothing wrong with this run" in ran.out


def test_a_run_without_a_step_says_that_it_shows_nothing(capsound: Runs, shared: Path) -> None:
    ran = capsound("replay", "sound.toml", "cs1:60/", cwd=shared)
    assert ran.status == 2
    assert "unknown" in ran.out


def test_the_same_counterexample_is_found_whatever_was_solved_before(
    tmp_path: Path, process_env: dict[str, str], source: dict[str, str]
) -> None:
    """Bills that can trade against each other: 30 + 31, 31 + 30, 34 + 27 all break the cap in as many steps."""
    (tmp_path / "ties.toml").write_text(source["dropped"].replace("{ min = 31,", "{ min = 0,"))
    program = (
        "from capsound_checker.solve.running import Request, solve_file\n"
        "from pathlib import Path\n"
        "for _ in range(2): print(solve_file(Path('ties.toml'), Request()).data['properties'][0]['token'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=process_env, capture_output=True, text=True, check=True
    )
    first, second = done.stdout.split()
    assert first == second
