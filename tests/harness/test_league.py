"""`capsound league`: a campaign is kept, goes on, repeats nothing, and says the same whoever does the work."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Any]

HEAD = """
from pathlib import Path
from capsound.adapter import Adapter, Gate

with Path(__file__).with_suffix(".loads").open("a") as loads:
    loads.write("loaded\\n")
"""
RACY = '''
class Counter(Adapter):
    """It checks before, and counts afterwards.

    >>> budget = Counter().open(1)
    >>> Counter().check(budget, 1), Counter().check(budget, 1)
    (True, True)
    """

    gate = Gate.CHECK

    def open(self, cap):
        return {"cap": cap, "spent": 0}

    def check(self, budget, amount):
        return budget["spent"] + amount <= budget["cap"]

    def record(self, budget, amount):
        budget["spent"] += amount

    def spent(self, budget):
        return budget["spent"]
'''
CAREFUL = '''
class Counter(Adapter):
    """It sets the estimate aside, and is told the bill."""

    def open(self, cap):
        return {"cap": cap, "spent": 0, "held": 0}

    def reserve(self, budget, amount):
        if type(amount) is not int or amount < 0:
            raise ValueError(amount)
        if budget["spent"] + budget["held"] + amount > budget["cap"]:
            raise PermissionError(amount)
        budget["held"] += amount
        return [budget, amount]

    def settle(self, hold, actual):
        budget, amount = hold
        if amount is None:
            raise LookupError(hold)
        budget["held"] -= amount
        budget["spent"] += actual
        hold[1] = None

    refused, rejected, stale = (PermissionError,), (ValueError,), (LookupError,)
'''
WAITS = """
import time
while not Path(__file__).with_name("go").exists():
    time.sleep(0.05)
"""
TERMS = "[league]\nprograms = 3\nschedules = 3\n"


def target(name: str, more: str = "") -> str:
    return (
        f'[[target]]\nname = "{name}"\nkind = "counter"\nregistry = "local"\nadapter = "{name}.py:Counter"\n'
        f'promise = "It stops <b>at</b> the cap | always."\nsource = "README.md:1"\n{more}'
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, body in {"racy": RACY, "careful": CAREFUL, "broken": "raise RuntimeError('out of order')"}.items():
        (tmp_path / f"{name}.py").write_text(HEAD + body)
    league = TERMS + target("racy") + target("careful") + target("broken", 'unknown = ["out of order"]\n')
    (tmp_path / "league.toml").write_text(league)
    return tmp_path


def loads(place: Path, name: str) -> int:
    path = place / f"{name}.loads"
    return len(path.read_text().splitlines()) if path.exists() else 0


DAY = {"SOURCE_DATE_EPOCH": "1793000000"}


def test_each_is_judged_once_and_only_what_changed_again(place: Path, capsound: Runs) -> None:
    command = ("league", "league.toml", "--environments", "kept")
    first = capsound(*command, "--json", "--workers", 2, cwd=place, env=DAY)
    rows = {row["name"]: row for row in json.loads(first.out)["targets"]}
    assert first.status == 0  # what is unknown is accepted
    assert rows["racy"]["strongest"] == "sequential"
    assert {"stale-admit", "overshoot"} <= {found["anomaly"] for found in rows["racy"]["found"]}
    assert rows["racy"]["fates"]["abandoned"] == "never recorded"
    assert rows["careful"]["fates"]["overrun"].startswith("charged in full, judging by what it still admits")
    assert "out of order" in rows["broken"]["doubts"][0]
    assert {row["judged_on"] for row in rows.values()} == {"2026-10-26"}
    assert str(place) not in first.out

    known = {name: loads(place, name) for name in ("racy", "careful")}
    assert all(known.values())
    again = capsound(*command, cwd=place, env=DAY)
    assert {name: loads(place, name) for name in known} == known
    assert "since the last campaign" not in again.out

    path = place / "racy.py"
    path.write_text(path.read_text().replace('budget["spent"] + amount <= budget["cap"]', "True"))
    (place / "league.toml").write_text(
        TERMS + target("racy", 'strongest = "sequential"\n') + target("careful") + target("broken")
    )
    changed = capsound(*command, cwd=place, env=DAY)
    assert loads(place, "racy") > known["racy"]
    assert loads(place, "careful") == known["careful"]
    assert "since the last campaign: strongest sequential, now none" in changed.out
    assert "not as expected: the strongest guarantee is none, not sequential" in changed.out
    assert changed.status == 1


def test_the_same_bytes_whatever_the_workers(place: Path, capsound: Runs) -> None:
    told = {
        capsound(
            "league",
            "league.toml",
            "--environments",
            f"kept{workers}",
            "--workers",
            workers,
            "--json",
            cwd=place,
            env=DAY,
        ).out
        for workers in (1, 2)
    }
    assert len(told) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_campaign_that_is_ended_goes_on_where_it_was(
    how: signal.Signals, place: Path, process_env: dict[str, str], capsound: Runs
) -> None:
    (place / "careful.py").write_text(HEAD + WAITS + CAREFUL)
    (place / "league.toml").write_text(TERMS + target("racy") + target("careful"))
    command = [sys.executable, "-m", "capsound_checker", "league", "league.toml", "--environments", "kept"]
    process = subprocess.Popen(command, cwd=place, env=process_env, stdout=subprocess.PIPE, text=True)
    kept = f"file:{place}/kept/results.sqlite3?immutable=1"  # nobody else may read it meanwhile
    for _ in range(2_000):
        time.sleep(0.1)
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(kept, uri=True)) as results:
            if results.execute("select count(*) from row").fetchone()[0] and loads(place, "careful"):
                break
    process.send_signal(how)
    told, _ = process.communicate(timeout=200)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted: 1 are left; the same command goes on there" in told
    known = loads(place, "racy")
    assert known
    (place / "go").touch()
    ran = capsound("league", "league.toml", "--environments", "kept", "--json", cwd=place)
    assert loads(place, "racy") == known
    assert [row["strongest"] != "" for row in json.loads(ran.out)["targets"]] == [True, True]


def test_what_cannot_be_installed_is_unknown_with_the_reason(place: Path, capsound: Runs) -> None:
    pinned = target("racy").replace(
        'registry = "local"', 'registry = "pypi"\npackage = "x"\nversion = "1"\npython = "3.99"'
    )
    (place / "league.toml").write_text(TERMS + pinned)
    ran = capsound("league", "league.toml", "--environments", "kept", cwd=place)
    assert ran.status == 2
    assert "unknown: there is no Python 3.99 here" in ran.out


NPM = """#!/bin/sh
[ "$1" = --version ] && echo v20.0.0 && exit
[ "$2" = --prefix ] || exit 1
echo "$@" >>"$3/asked"
echo '{"packages": {"": {}, "node_modules/guard": {"version": "1.2.3"}}}' >"$3/package-lock.json"
"""


def test_an_environment_of_npm_is_made_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from capsound_checker.league.environments import environment, laid_out
    from capsound_checker.league.leaguefile import Target

    for name in ("npm", "node"):
        (place / "bin").mkdir(exist_ok=True)
        (place / "bin" / name).write_text(NPM)
        (place / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:/usr/bin:/bin")
    (place / "guard.mjs").write_text('import "./shared.mjs";\n')
    (place / "shared.mjs").write_text("")
    one = Target("guard", "counter", "npm", "guard.mjs:Guard", "", "", package="guard", version="1.2.3", folder=place)
    made = [environment(one, place / "kept", threading.Event()) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].folder is not None
    assert (made[0].version, made[0].installed) == ("20.0.0", ("guard@1.2.3",))
    asked = (made[0].folder / "asked").read_text().splitlines()
    assert len(asked) == 1
    assert "--ignore-scripts" in asked[0]
    assert asked[0].endswith("guard@1.2.3")
    script = laid_out(one, made[0])
    assert sorted(path.name for path in script.parent.iterdir()) == ["guard.mjs", "shared.mjs"]
    before = one.digest()
    (place / "shared.mjs").write_text("// changed\n")
    assert one.digest() != before


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (("kind", "kynd"), "unknown field 'kynd'"),
        (('"counter"', '"clock"'), "there is no kind 'clock'"),
        (('"racy.py:Counter"', '"none.py:Counter"'), "there is no file none.py"),
        (('"racy.py:Counter"', '"racy.py"'), "adapter is 'racy.py'"),
        (('"local"', '"pypi"\npackage = "-r x"\nversion = "1"'), "package is '-r x'"),
        (('"local"', '"pypi"\npackage = "x"\nversion = ">=1"'), "version is '>=1'"),
        (('"local"', '"pypi"\npackage = "x"\nversion = "1"\npins = ["y>=2"]'), "'y>=2' is no pin"),
    ],
)
def test_a_league_that_cannot_be_used(spoil: tuple[str, str], message: str, place: Path, capsound: Runs) -> None:
    (place / "league.toml").write_text(TERMS + target("racy").replace(*spoil))
    ran = capsound("league", "league.toml", "--environments", "kept", cwd=place)
    assert ran.status == 65
    assert message in ran.err


def test_an_unknown_name_is_told_with_the_nearest(place: Path, capsound: Runs) -> None:
    ran = capsound("league", "league.toml", "--environments", "kept", "--only", "raci", cwd=place)
    assert ran.status == 65
    assert "did you mean 'racy'?" in ran.err


def test_pages_badges_and_plot(place: Path, capsound: Runs) -> None:
    (place / "page.md").write_text("# Ours\n\n<!-- league: begin -->\nold\n<!-- league: end -->\n\nThe end.\n")
    (place / "league.toml").write_text(TERMS + target("racy"))
    files = ("--markdown", "page.md", "--html", "page.html", "--badges", "badges", "--plot", "plot.svg")
    ran = capsound("league", "league.toml", "--environments", "kept", "--twice", *files, cwd=place)
    assert ran.status == 0
    page = (place / "page.md").read_text()
    assert page.startswith("# Ours\n\n<!-- league: begin -->\n| target |")
    assert page.endswith("<!-- league: end -->\n\nThe end.\n")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1  # what is quoted ends no cell
    html = (place / "page.html").read_text()
    assert "<b>at</b>" not in html
    assert "&lt;b&gt;at&lt;/b&gt;" in html
    assert "<script" not in html
    assert "sequential" in (place / "badges" / "racy.svg").read_text()
    assert (place / "plot.svg").read_bytes().startswith(b"<?xml")
    assert "capsound league league.toml --only racy" in page


def test_results_of_something_else_are_left_alone(place: Path, capsound: Runs) -> None:
    (place / "results").write_text("something else, and long enough to be no empty file\n" * 40)
    ran = capsound("league", "league.toml", "--environments", "kept", "--results", "results", cwd=place)
    assert ran.status == 65
    assert "holds no results" in ran.err
    assert (place / "results").read_text().startswith("something else")


def test_an_example_that_fails_makes_it_unknown(place: Path, capsound: Runs) -> None:
    path = place / "racy.py"
    path.write_text(path.read_text().replace("(True, True)", "(True, False)"))
    (place / "league.toml").write_text(TERMS + target("racy"))
    ran = capsound("league", "league.toml", "--environments", "kept", "--json", cwd=place)
    (row,) = json.loads(ran.out)["targets"]
    assert ran.status == 2
    assert (row["verdict"], row["strongest"]) == ("unknown", "")
    assert row["doubts"][0].startswith("racy.py fails by itself")
    assert {"stale-admit"} <= {found["anomaly"] for found in row["found"]}


def test_what_is_not_seen_is_not_told(place: Path) -> None:
    """Of a gate that ignores amounts, a call that it admits says nothing of what it has counted."""
    from capsound_checker.check.children import describe
    from capsound_checker.check.plan import Plan
    from capsound_checker.league.fates import fates

    blind = RACY.replace('budget["spent"] + amount <= budget["cap"]', 'budget["spent"] < budget["cap"]')
    (place / "blind.py").write_text(HEAD + blind.partition("    def spent")[0])
    plan = Plan(f"{place / 'blind.py'}:Counter")
    told = fates(plan, describe(plan))
    assert told["overrun"] == (
        "not known: it does not report what is spent, and its gate ignores amounts; "
        "above the cap: no further call is admitted"
    )
    assert told["cancelled"] == "never recorded"
