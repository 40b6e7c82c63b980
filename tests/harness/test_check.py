"""``capsound check``, ``smoke`` and ``replay`` of a target, from the command line: status, text, JSON, files."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import left_behind, until

from capsound.guarantees import Guarantee
from capsound.schedule import BadToken
from capsound_checker.check import checking
from capsound_checker.check.checking import check
from capsound_checker.check.plan import Plan, guarantee_named
from capsound_checker.check.recorded import FEWEST, RUNS
from capsound_checker.check.results import Checked
from capsound_checker.check.tokens import parse_race_token, parse_token, race_token, token
from capsound_checker.programs.program import Step

ROOT = Path(__file__).parents[2]
DESK = ROOT / "tests" / "docs" / "desk"
ZOO = ROOT / "tests" / "quality" / "zoo"
COUNTER = f"{DESK / 'counter_adapter.py'}:CounterAdapter"
BUDGET = f"{DESK / 'budget_adapter.py'}:BudgetAdapter"
PURSE = f"{DESK / 'purse_adapter.py'}:PurseAdapter"

Runs = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("check_once", "one_nursery")

TOGETHER = ("programs", "misuse", "precision")
"""Drivers that are asked for in several tests, so that they share a check."""

FEW = 12
"""Programs of each profile: the racy counter shows all that it does in them, and what more of them show is only made smaller."""


def test_a_racy_counter_is_violated(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--programs", FEW)
    assert ran.status == 1
    assert "stale-admit (3 steps)" in ran.out
    assert ran.out.splitlines()[-1].startswith("violated: strongest guarantee sequential · ")


def test_a_sound_budget_is_sound(capsound: Runs) -> None:
    ran = capsound("check", BUDGET, "--programs", 40)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("sound: nothing found; this is not a proof · ")
    assert "delegated        not offered it offers no delegate" in ran.out
    assert re.search(r"overrun-bounded  kept +\d+ programs, .* bills above their holds", ran.out)
    assert "programs longer than 24 steps" in ran.out


def test_the_template_is_sound(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    assert capsound("new", "adapter", path).status == 0
    smoked = capsound("smoke", f"{path}:MyBudget")
    assert smoked.status == 0
    assert "it works; next: capsound check" in smoked.out
    assert capsound("check", f"{path}:MyBudget", "--programs", 60).status == 0


def test_misuse_stands_apart() -> None:
    told = check(Plan(PURSE, programs=40))
    assert {s.anomaly for s in told.shown if s.misuse} >= {"minted", "bad-amount"}
    assert not [s for s in told.shown if not s.misuse]
    assert told.refuted_under(frozenset({"affine"})) is None
    assert told.strongest < Guarantee.OVERRUN_BOUNDED


@pytest.fixture(scope="module")
def counter(check_once: None) -> Checked:
    """A racy counter that was checked once, for whoever asks something of what was found."""
    return checking.check(Plan(COUNTER, programs=FEW, drivers=("programs",)))


@pytest.mark.parametrize(("require", "status"), [("sequential", 0), ("concurrent", 1), ("stops", 0)])
def test_what_is_required_decides_the_status(counter: Checked, require: str, status: int) -> None:
    assert replace(counter, plan=replace(counter.plan, require=guarantee_named(require))).exit_status == status


@pytest.mark.parametrize(("require", "status"), [("sequential", 0), ("concurrent", 1)])
def test_what_is_required_is_told_to_the_command(
    counter: Checked, require: str, status: int, capsound: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "check", lambda plan, _: replace(counter, plan=plan))
    options = ("--programs", FEW, "--require", require, "--driver", "programs")
    assert capsound("check", COUNTER, *options).status == status


def test_a_token_shows_the_same_again(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--programs", FEW, "--json")
    found = json.loads(ran.out)["found"]
    assert found[0]["anomaly"] == "stale-admit"
    for one in found:
        again = capsound("replay", COUNTER, one["token"])
        assert again.status == 1
        assert one["anomaly"] in again.out
        assert "\n".join(one["story"]) in again.out
    fixed = capsound("replay", BUDGET, found[0]["token"])
    assert (fixed.status, "nothing is wrong" in fixed.out) == (0, True)


def test_a_token_is_the_program() -> None:
    program = [Step("open", amount=10), Step("reserve", 10, 0, 0, 200), Step("send", 1, bill=1), Step("settle")]
    assert token(program) == "ck1:open.0.0.0.10/reserve.10.0.0.200/send.1.0.0.0.1/settle"
    assert parse_token(token(program)) == program


@pytest.mark.parametrize(
    "text", ["ck1:", "ck1:opn.1", "ck1:open.x", "cs1:60/0", "ck1:open.1.2.3.4.5.6", "ck1:open.-1", "open.1"]
)
def test_a_damaged_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        parse_token(text)


def test_a_token_of_two_operations_is_what_they_are() -> None:
    before, one, two = [Step("open", amount=6)], Step("reserve", new=7, amount=1), Step("settle")
    text = race_token("threads", 17, before, one, two)
    assert text == "ct1:threads.17/open.0.0.0.6/reserve.0.0.7.1/settle"
    assert parse_race_token(text) == {"job": "threads", "at": 17, "program": [*before, one, two]}


@pytest.mark.parametrize(
    "text", ["", "threads", "threads.0/open/settle/settle", "processes.1/open/settle/settle", "threads.1/open/settle"]
)
def test_a_damaged_token_of_two_operations_is_refused(text: str) -> None:
    with pytest.raises(BadToken, match="damaged"):
        parse_race_token("ct1:" + text)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nothing.py:X", "there is no file nothing.py"),
        ("no.such.module:X", "there is no module 'no.such.module'"),
        (str(DESK / "counter_adapter.py"), "does not name an adapter class"),
        (f"{DESK / 'counter_adapter.py'}:CounterAdaptor", "did you mean 'CounterAdapter'?"),
        (f"{DESK / 'counter_adapter.py'}:Counter", "is not a subclass of capsound.adapter.Adapter"),
    ],
)
def test_a_target_that_cannot_be_used_is_bad_input(capsound: Runs, target: str, says: str) -> None:
    ran = capsound("check", target)
    assert ran.status == 65
    assert says in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def broken(:\n", "broken.py:1: invalid syntax"),
        ("import no_such_library\n", "'no_such_library', which is not installed here"),
        ("\n1 / 0\n", "broken.py:2: importing"),
        ("from capsound.adapter import Adapter\nclass X(Adapter):\n    pass\n", "does not offer 'open'"),
        (
            "from capsound.adapter import Adapter\nclass X(Adapter):\n    def open(self, cap): return 1\n",
            "offers no way to admit a call: its gate is 'reserve'",
        ),
    ],
)
def test_a_broken_adapter_is_told_with_its_line(capsound: Runs, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    ran = capsound("check", f"{path}:X")
    assert ran.status == 65
    assert says in ran.err


def test_smoke_tells_an_adapter_that_does_not_work(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    base = f"import sys\nsys.path.insert(0, {str(DESK)!r})\nfrom budget_adapter import *\n"
    path.write_text(base + "class X(BudgetAdapter):\n    def spent(self, scope): return scope.spent + 1\n")
    ran = capsound("smoke", f"{path}:X")
    assert ran.status == 65
    assert re.search(r"it reports \d+ spent after a call that cost 2", ran.out)
    path.write_text(base + "class X(BudgetAdapter):\n    def open(self, cap): return Budget(1)\n")
    assert "it refused 3 of 9" in capsound("smoke", f"{path}:X").out


def test_what_was_not_exercised_is_unknown(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from capsound.adapter import Adapter, Rejected\n"
        "class X(Adapter):\n"
        "    def open(self, cap):\n"
        "        if type(cap) is not int or cap < 0: raise Rejected(cap)\n"
        "        return cap\n"
        "    def reserve(self, scope, amount): raise Rejected('not today')\n"
        "    def settle(self, hold, actual): pass\n"
    )
    ran = capsound("check", f"{path}:X", "--programs", 30)
    assert ran.status == 2
    assert "it was not exercised" in ran.out


def test_json_is_the_same_under_any_hash_seed(capsound_process: Runs) -> None:
    said = {
        capsound_process("check", COUNTER, "--programs", 5, "--json", env={"PYTHONHASHSEED": seed}).out
        for seed in ("1", "2")
    }
    assert len(said) == 1


@pytest.mark.parametrize("target", [PURSE, COUNTER, BUDGET])
def test_any_number_of_workers_says_the_same_byte_for_byte(capsound: Runs, target: str) -> None:
    drivers = [word for name in TOGETHER for word in ("--driver", name)]
    numbers = (1, 2, 5) if target == BUDGET else (1, 5)  # where something is found, most of the time goes into it
    one, *more = (capsound("check", target, "--programs", FEW, "--json", "--workers", n, *drivers) for n in numbers)
    assert one.out.startswith("{")
    assert {(other.out, other.status) for other in more} == {(one.out, one.status)}


def test_junit_and_annotation(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    ran = capsound("check", COUNTER, "--programs", FEW, "--junit", path, "--github", "--driver", "programs")
    suite = ET.parse(path).getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["concurrent"]  # one bug is one failure
    assert int(suite.get("failures", "0")) == len(failed)
    told = suite.find("testcase/failure")
    assert told is not None
    assert str(told.get("message")).startswith("overshoot: ")
    assert str(told.text).startswith("With it fall: delegated, fault-tolerant, overrun-bounded.")
    skipped = {case.get("name"): case[0].get("message") for case in suite if case.find("skipped") is not None}
    assert skipped["delegated"] == "refuted by overshoot, with concurrent: see there"
    last = ran.out.splitlines()[-1]
    assert last.startswith(f"::error file={DESK / 'counter_adapter.py'},title=capsound check::violated")


def test_what_is_not_required_does_not_fail_in_junit(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    drivers = [word for name in TOGETHER for word in ("--driver", name)]
    ran = capsound("check", COUNTER, "--junit", path, "--programs", FEW, "--require", "sequential", *drivers)
    assert ran.status == 0
    suite = ET.parse(path).getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    skipped = {case.get("name"): case[0].get("message") for case in suite if case.find("skipped") is not None}
    assert skipped["concurrent"] == "refuted by overshoot, but not required"
    assert str(skipped["misuse"]).endswith("(not required)")


@pytest.mark.parametrize("driver", ["threads", "handlers", "history"])
def test_a_driver_that_does_not_apply_is_a_usage_error(capsound: Runs, driver: str) -> None:
    ran = capsound("check", COUNTER, "--driver", driver)
    assert ran.status == 64
    assert "it can be checked with: programs, misuse" in ran.err


def test_drivers_and_times_are_checked(capsound: Runs) -> None:
    assert "did you mean 'threads'?" in capsound("check", COUNTER, "--driver", "thread").err
    assert "is not a time" in capsound("check", COUNTER, "--budget", "soon").err
    assert "did you mean 'concurrent'?" in capsound("check", COUNTER, "--require", "concurent").err


def test_a_short_budget_ends_soon_and_says_so(capsound: Runs) -> None:
    ran = capsound("check", BUDGET, "--programs", 1_000_000, "--budget", "2s")
    assert "time ran out before" in ran.out


def test_ctrl_c_prints_what_is_known_and_leaves_nothing(tmp_path: Path, process_env: dict[str, str]) -> None:
    path = tmp_path / "mine.py"
    mark = tmp_path / "running"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(DESK)!r})\nfrom pathlib import Path\nfrom budget_adapter import *\n"
        "class X(BudgetAdapter):\n"
        "    def reserve(self, scope, amount):\n"
        f"        Path({str(mark)!r}).touch()\n"
        "        return super().reserve(scope, amount)\n"
    )
    command = [
        sys.executable,
        "-m",
        "capsound_checker",
        "check",
        f"{path}:X",
        "--programs",
        "1000000",
        "--budget",
        "3600s",
    ]
    process = subprocess.Popen(command, env=process_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(mark.exists)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (130, b"")
    assert b"interrupted" in out
    assert out.splitlines()[-1].startswith(b"unknown")
    assert left_behind(process.pid) == []


def test_threads_and_histories_of_the_reference(capsound: Runs) -> None:
    reference = f"{ROOT / 'tests' / 'support' / 'reference_adapter.py'}:ReferenceAdapter"
    ran = capsound("check", reference, "--driver", "history", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["verdict"], told["found"]) == (2, "unknown", []), "what no history tries is not kept"
    assert list(told["schedules"]) == ["history"]
    assert FEWEST <= told["schedules"]["history"] <= RUNS


RACY = """\
import sys
sys.path.insert(0, {desk!r})
from purse_adapter import Purse, PurseAdapter, OverBudget

class Slow(Purse):
    def look(self): return self.available

    def reserve(self, amount):
        seen = self.look()
        if amount > seen: raise OverBudget
        self.look()
        self.available = seen - amount
        self.held += amount
        return self, amount

class X(PurseAdapter):
    threads = handlers = True
    def open(self, cap): return Slow(cap)
"""


@pytest.fixture(scope="module")
def racy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("racy") / "racy.py"
    path.write_text(RACY.format(desk=str(DESK)))
    return path


@pytest.mark.parametrize("driver", ["threads", "handlers"])
def test_two_operations_at_once_are_found_and_replayed(capsound: Runs, racy: Path, tmp_path: Path, driver: str) -> None:
    saved = tmp_path / "found"
    ran = capsound("check", f"{racy}:X", "--driver", driver, "--json", "--save", saved)
    assert ran.status == 1
    told = json.loads(ran.out)
    assert told["strongest"] == "none", "threads and handlers say nothing of calls one after the other"
    states = {one["name"]: one["state"] for one in told["guarantees"]}
    assert (states["sequential"], states["concurrent"]) == ("not tried", "refuted")
    (found,) = told["found"]
    assert found["refutes"] == "concurrent"
    assert found["token"].startswith(f"ct1:{driver}.")
    again = capsound("replay", f"{racy}:X", found["token"])
    assert again.status == 1
    assert again.out.splitlines()[:-1] == found["story"]
    (file,) = saved.iterdir()
    assert file.name.endswith(f"-{driver}.json")
    assert capsound("replay", f"{racy}:X", file).out == again.out


def test_two_operations_that_are_done_right_by_now_are_not_accused(capsound: Runs, racy: Path, tmp_path: Path) -> None:
    """A token of an older version: its place shows nothing, and neither does any other."""
    told = json.loads(capsound("check", f"{racy}:X", "--driver", "handlers", "--json").out)
    fixed = tmp_path / "fixed.py"
    fixed.write_text(racy.read_text().replace("return Slow(cap)", "return Purse(cap)"))
    again = capsound("replay", f"{fixed}:X", told["found"][0]["token"])
    assert again.status == 0, again.out
    assert re.fullmatch(r"nothing went wrong in \d+ runs of the two operations at once\nsound\n", again.out)


def test_a_recorded_run_is_saved_and_judged_again(capsound: Runs, racy: Path, tmp_path: Path) -> None:
    ran = capsound("check", f"{racy}:X", "--driver", "history", "--save", tmp_path / "found")
    assert ran.status == 1
    assert "save it with --save FOLDER" in ran.out
    assert re.search(r"history: [a-z-]+ was seen in \d+ of \d+ recorded runs", ran.out)
    file = min((tmp_path / "found").iterdir())
    held = json.loads(file.read_text())
    again = capsound("replay", f"{racy}:X", file)
    assert again.status == 1
    anomaly, *window, last = again.out.splitlines()
    assert anomaly == f"{held['anomaly']}: {held['sentence']}"
    assert window == held["story"]
    assert re.fullmatch(r"violated: \d+ operations of 9 clients", last)


def test_another_interpreter(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--python", sys.executable, "--programs", 5, "--driver", "programs", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["strongest"], told["found"][0]["anomaly"]) == (1, "sequential", "stale-admit")


def test_a_recorded_history_is_checked(capsound: Runs, tmp_path: Path) -> None:
    from reference_adapter import ReferenceAdapter

    from capsound_checker.histories.recording import record

    lines = list(record(ReferenceAdapter, seed=1, operations=200).lines())
    path = tmp_path / "run.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert capsound("history", path).status == 0
    at = next(n for n, line in enumerate(lines) if '"do": "reserve"' in line and '"refused"' in line)
    lines[at] = lines[at].replace('"outcome": "refused"', '"outcome": "done", "new": 9999')
    path.write_text("\n".join(lines) + "\n")
    ran = capsound("history", path)
    assert ran.status == 1
    assert ran.out.splitlines()[-1].startswith("violated: ")
    path.write_text("no history\n")
    assert capsound("history", path).status == 65


# ------------------------------------------------------------------------------------------------- pytest


def plugin(tmp_path: Path, env: dict[str, str], *args: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "capsound_checker.plugin"]
    done = subprocess.run(
        [*command, *args],
        cwd=tmp_path,
        capture_output=True,
        timeout=900,
        check=False,
        env={**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_the_plugin_runs_the_suites(tmp_path: Path, process_env: dict[str, str]) -> None:
    status, said = plugin(tmp_path, process_env, "--capsound", COUNTER, "-k", "flat or stream")
    assert status == 1
    assert "stale-admit: admitted 1 on a0 although nothing was free" in said
    assert "CounterAdapter offers no extend, which 'streaming' tests" in said
    assert "Traceback" not in said


def test_an_expected_failure_that_passes_fails(tmp_path: Path, process_env: dict[str, str]) -> None:
    wanted = ("--capsound-xfail", "test_flat", "--capsound-xfail", "test_sequential", "-k", "flat or sequential")
    status, said = plugin(tmp_path, process_env, "--capsound", COUNTER, *wanted)
    assert status == 1
    assert "1 failed, 12 deselected, 1 xfailed" in said
    assert "expected to fail, but it passed" in said


def test_the_plugin_names_what_is_wrong_with_its_options(tmp_path: Path, process_env: dict[str, str]) -> None:
    assert "there is no file nothing.py" in plugin(tmp_path, process_env, "--capsound", "nothing.py:X")[1]
    assert (
        "there is no suite 'test_flt'"
        in plugin(tmp_path, process_env, "--capsound", COUNTER, "--capsound-xfail", "test_flt")[1]
    )


def test_the_plugin_is_silent_without_its_option(tmp_path: Path, process_env: dict[str, str]) -> None:
    assert plugin(tmp_path, process_env)[1].startswith("\nno tests ran")


# ----------------------------------------------------------------------- what it assumes, costs, and leaves

ASSUMING = """
import sys
sys.path[:0] = [{paths}]
from zoo import animal


class Once(animal("double_settle_moves_twice").Target):
    assumes = ("affine",)


class Within(animal("commit_above_hold_drops_excess").Target):
    assumes = ("A1",)


class Racy(animal("check_then_act").Target):
    assumes = ("A1", "affine")


class Odd(animal("check_then_act").Target):
    assumes = ("A2",)
"""


@pytest.fixture
def assuming(tmp_path: Path) -> Path:
    path = tmp_path / "assuming.py"
    path.write_text(ASSUMING.format(paths=f"{str(ZOO)!r}, {str(ROOT / 'tests/support')!r}"))
    return path


@pytest.mark.parametrize(
    ("name", "strongest", "left", "anomaly"),
    [
        ("Once", "overrun-bounded", {"affine": "stops"}, "double-settle"),
        ("Within", "fault-tolerant", {"A1": "fault-tolerant"}, "dropped-overrun"),  # what it assumes it does not keep
    ],
)
def test_a_verdict_is_relative_to_what_is_assumed_and_says_what_happens_without(
    capsound: Runs, assuming: Path, name: str, strongest: str, left: dict[str, str], anomaly: str
) -> None:
    ran = capsound("check", f"{assuming}:{name}", "--programs", 20, "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["verdict"], told["strongest"]) == (0, "sound", strongest)
    assert told["strongest_without"] == left
    assert told["found"][0]["anomaly"] == anomaly
    assert not any(found["counts"] for found in told["found"])


def test_what_needs_something_to_fail_is_told_apart(capsound: Runs, assuming: Path) -> None:
    text = capsound("check", f"{assuming}:Within", "--programs", 20, "--driver", "programs").out
    assert "only if an assumption fails (A1)" in text
    assert "If A1 fails (no bill exceeds its hold), the strongest guarantee is fault-tolerant." in text
    assert "sound: nothing found under A1; this is not a proof" in text


def test_a_fault_that_needs_nothing_to_fail_counts_whatever_is_assumed(capsound: Runs, assuming: Path) -> None:
    told = json.loads(capsound("check", f"{assuming}:Racy", "--programs", 20, "--json").out)
    assert (told["verdict"], told["strongest"]) == ("violated", "sequential")
    assert told["found"][0]["counts"]


def test_what_nobody_can_assume_is_an_error(capsound: Runs, assuming: Path) -> None:
    ran = capsound("check", f"{assuming}:Odd")
    assert ran.status == 65
    assert "names 'A2'" in ran.err
    assert "A1, affine" in ran.err


def test_precision_stands_beside_the_verdict(capsound: Runs) -> None:
    told = json.loads(capsound("check", BUDGET, "--programs", 20, "--json").out)
    assert told["precision"]["used"] == told["precision"]["reserve_settle"] > 0
    alone = capsound("check", BUDGET, "--driver", "precision")
    assert "stranded 0 units" in alone.out
    assert alone.status == 2  # a workload shows what the cap is used for, not that it holds


@pytest.fixture(scope="module")
def saved(
    check_once: None, capsound_once: Runs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Check the racy counter once, with everything written down; return the folder and the document."""
    folder = tmp_path_factory.mktemp("saved")
    written = ("--save", folder / "found" / "here", "--itf", folder / "run.itf.json")
    ran = capsound_once("check", COUNTER, "--programs", FEW, *written, "--json")
    assert ran.status == 1
    return folder, json.loads(ran.out)


def test_every_counterexample_is_saved_and_replayed_from_its_file(
    capsound: Runs, saved: tuple[Path, dict[str, Any]]
) -> None:
    folder, told = saved
    found = {f"{one['anomaly']}.json": one for one in told["found"]}
    assert {path.name for path in (folder / "found/here").iterdir()} == set(found)
    path = folder / "found/here/overshoot.json"
    held = json.loads(path.read_text())
    assert held["token"] == found[path.name]["token"]
    again = capsound("replay", COUNTER, path, "--json")
    assert again.status == 1
    assert json.loads(again.out)["events"] == held["events"]


def test_the_events_of_a_counterexample_are_a_log(
    capsound: Runs, saved: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    events = json.loads((saved[0] / "found/here/overshoot.json").read_text())["events"]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    audited = capsound("audit", log)
    assert audited.status == 1
    assert "overshoot" in audited.out


def test_a_counterexample_is_written_as_an_itf_trace(saved: tuple[Path, dict[str, Any]]) -> None:
    itf_py = pytest.importorskip("itf_py")
    folder, told = saved
    data = json.loads((folder / "run.itf.json").read_text())
    assert data["#meta"]["description"].startswith(told["found"][0]["anomaly"])
    trace = itf_py.trace_from_json(data)
    actions = [state.values["mbt::actionTaken"] for state in trace.states]
    assert actions[:2] == ["init", "open"]
    assert actions.count("reserve") == 2
    for state in trace.states:
        for account in state.values["accounts"].values():
            parts = (account.available, account.held, account.charged, account.forfeited, account.delegated)
            assert sum(parts) + account.returned == account.granted


def test_where_nothing_is_found_no_trace_is_written(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    ran = capsound("check", BUDGET, "--driver", "precision", "--itf", path)
    assert ran.err.startswith("no counterexample")
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "[1]", '{"token": ""}', '{"token": "", "history": [1]}'])
def test_a_file_without_a_token_is_bad_input(capsound: Runs, tmp_path: Path, text: str) -> None:
    path = tmp_path / "saved.json"
    path.write_text(text)
    ran = capsound("replay", COUNTER, path)
    assert ran.status == 65
    assert "saved.json" in ran.err


def test_the_number_of_schedules_can_be_bounded() -> None:
    target = f"{ROOT / 'tests/support/reference_adapter.py'}:ReferenceAdapter"
    told = check(Plan(target, drivers=("threads",), schedules=25))
    assert 0 < told.schedules["threads"] <= 25
    assert any("not all pairs" in note for note in told.notes)
