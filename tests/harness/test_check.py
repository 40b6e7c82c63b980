"""``capsound check``, ``smoke`` and ``replay`` of a target, from the command line: status, text, JSON, files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import left_behind

from capsound.guarantees import Guarantee
from capsound.schedule import BadToken
from capsound_checker.checking import Plan, check
from capsound_checker.programs import Step
from capsound_checker.tokens import parse_token, token

ROOT = Path(__file__).parents[2]
DESK = ROOT / "tests" / "docs" / "desk"
ZOO = ROOT / "tests" / "quality" / "zoo"
COUNTER = f"{DESK / 'counter_adapter.py'}:CounterAdapter"
BUDGET = f"{DESK / 'budget_adapter.py'}:BudgetAdapter"
PURSE = f"{DESK / 'purse_adapter.py'}:PurseAdapter"

Runs = Callable[..., Any]


def test_a_racy_counter_is_violated(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--programs", 60)
    assert ran.status == 1
    assert "stale-admit (3 steps)" in ran.out
    assert ran.out.splitlines()[-1].startswith("violated: strongest guarantee sequential · ")


def test_a_sound_budget_is_sound(capsound: Runs) -> None:
    ran = capsound("check", BUDGET, "--programs", 60)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("sound: nothing was found, which is no proof · ")
    assert "delegated        not tried" in ran.out


def test_the_template_is_sound(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    assert capsound("new", "adapter", path).status == 0
    smoked = capsound("smoke", f"{path}:MyBudget")
    assert smoked.status == 0
    assert "it works; next: capsound check" in smoked.out
    assert capsound("check", f"{path}:MyBudget", "--programs", 60).status == 0


def test_misuse_stands_apart() -> None:
    told = check(Plan(PURSE, programs=60))
    assert {s.anomaly for s in told.shown if s.misuse} >= {"minted", "bad-amount"}
    assert not [s for s in told.shown if not s.misuse]
    assert told.refuted_properly is None
    assert told.strongest < Guarantee.OVERRUN_BOUNDED


@pytest.mark.parametrize(("require", "status"), [("sequential", 0), ("concurrent", 1), ("stops", 0)])
def test_what_is_required_decides_the_status(capsound: Runs, require: str, status: int) -> None:
    assert capsound("check", COUNTER, "--programs", 40, "--require", require, "--driver", "programs").status == status


def test_a_token_shows_the_same_again(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--programs", 40, "--json")
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


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nothing.py:X", "there is no file nothing.py"),
        ("no.such.module:X", "there is no module 'no.such.module'"),
        (str(DESK / "counter_adapter.py"), "does not name an adapter class"),
        (f"{DESK / 'counter_adapter.py'}:CounterAdaptor", "did you mean 'CounterAdapter'?"),
        (f"{DESK / 'counter_adapter.py'}:Counter", "is no subclass of capsound.adapter.Adapter"),
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
            "offers no way to admit a call by its gate 'reserve'",
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
    assert "1 is told as spent" in ran.out or "is told as spent after a call that cost 2" in ran.out
    path.write_text(base + "class X(BudgetAdapter):\n    def open(self, cap): return Budget(1)\n")
    assert "of 9 is refused" in capsound("smoke", f"{path}:X").out


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
        capsound_process("check", COUNTER, "--programs", 30, "--json", env={"PYTHONHASHSEED": seed}).out
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_workers_find_the_same_anomalies(capsound: Runs) -> None:
    one, two = (json.loads(capsound("check", PURSE, "--programs", 40, "--json", "--workers", n).out) for n in (1, 2))
    assert one["strongest"] == two["strongest"]
    assert {f["anomaly"] for f in one["found"]} == {f["anomaly"] for f in two["found"]}


def test_junit_and_annotation(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    ran = capsound("check", COUNTER, "--programs", 40, "--junit", path, "--github", "--driver", "programs")
    suite = ET.parse(path).getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["concurrent", "delegated", "fault-tolerant", "overrun-bounded"]
    assert int(suite.get("failures", "0")) == len(failed)
    last = ran.out.splitlines()[-1]
    assert last.startswith(f"::error file={DESK / 'counter_adapter.py'},title=capsound check::violated")


@pytest.mark.parametrize("driver", ["threads", "handlers", "history"])
def test_a_driver_that_does_not_apply_is_a_usage_error(capsound: Runs, driver: str) -> None:
    ran = capsound("check", COUNTER, "--driver", driver)
    assert ran.status == 64
    assert "it can be checked with: programs, misuse" in ran.err


def test_drivers_and_times_are_checked(capsound: Runs) -> None:
    assert "did you mean 'threads'?" in capsound("check", COUNTER, "--driver", "thread").err
    assert "is no time" in capsound("check", COUNTER, "--budget", "soon").err
    assert "did you mean 'concurrent'?" in capsound("check", COUNTER, "--require", "concurent").err


def test_a_short_budget_ends_soon_and_says_so(capsound: Runs) -> None:
    ran = capsound("check", BUDGET, "--programs", 1_000_000, "--budget", "2s")
    assert "the time was over before" in ran.out


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
    command = [sys.executable, "-m", "capsound_checker", "check", f"{path}:X", "--programs", "1000000"]
    process = subprocess.Popen(command, env=process_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.05)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=40)
    assert time.monotonic() - begin < 8  # the budget is a minute
    assert (process.returncode, err) == (130, b"")
    assert b"interrupted" in out
    assert out.splitlines()[-1].startswith(b"unknown")
    assert left_behind(process.pid) == []


def test_threads_and_histories_of_the_reference(capsound: Runs) -> None:
    reference = f"{ROOT / 'tests' / 'support' / 'reference_adapter.py'}:ReferenceAdapter"
    ran = capsound("check", reference, "--driver", "history", "--json")
    assert ran.status == 0
    assert json.loads(ran.out)["schedules"] == {"history": 3}


def test_a_racy_budget_is_found_by_each_driver_of_threads(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "racy.py"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(DESK)!r})\nfrom purse_adapter import Purse, PurseAdapter, OverBudget\n"
        "class Slow(Purse):\n"
        "    def look(self): return self.available\n"
        "    def reserve(self, amount):\n"
        "        seen = self.look()\n"
        "        if amount > seen: raise OverBudget\n"
        "        self.look()\n"
        "        self.available = seen - amount\n"
        "        self.held += amount\n"
        "        return self, amount\n"
        "class X(PurseAdapter):\n"
        "    threads = handlers = True\n"
        "    def open(self, cap): return Slow(cap)\n"
    )
    for driver in ("threads", "handlers", "history"):
        ran = capsound("check", f"{path}:X", "--driver", driver, "--json")
        assert ran.status == 1, driver
        assert json.loads(ran.out)["strongest"] == "sequential", driver


def test_another_interpreter(capsound: Runs) -> None:
    ran = capsound("check", COUNTER, "--python", sys.executable, "--programs", 20, "--driver", "programs", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["strongest"], told["found"][0]["anomaly"]) == (1, "sequential", "stale-admit")


def test_a_recorded_history_is_checked(capsound: Runs, tmp_path: Path) -> None:
    from reference_adapter import ReferenceAdapter

    from capsound_checker.history import record

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
        timeout=120,
        check=False,
        env={**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_the_plugin_runs_the_suites(tmp_path: Path, process_env: dict[str, str]) -> None:
    status, said = plugin(tmp_path, process_env, "--capsound", COUNTER, "-k", "flat or stream")
    assert status == 1
    assert "stale-admit: 1 was admitted on a0, where 0 was free" in said
    assert "CounterAdapter offers no extend, which 'streaming' is about" in said
    assert "Traceback" not in said


def test_an_expected_failure_that_passes_fails(tmp_path: Path, process_env: dict[str, str]) -> None:
    wanted = ("--capsound-xfail", "test_flat", "--capsound-xfail", "test_sequential", "-k", "flat or sequential")
    status, said = plugin(tmp_path, process_env, "--capsound", COUNTER, *wanted)
    assert status == 1
    assert "1 failed, 11 deselected, 1 xfailed" in said
    assert "it was expected to fail and passes" in said


def test_the_plugin_names_what_is_wrong_with_its_options(tmp_path: Path, process_env: dict[str, str]) -> None:
    assert "there is no file nothing.py" in plugin(tmp_path, process_env, "--capsound", "nothing.py:X")[1]
    assert (
        "there is no suite 'test_flt'"
        in plugin(tmp_path, process_env, "--capsound", COUNTER, "--capsound-xfail", "test_flt")[1]
    )


def test_the_plugin_is_silent_without_its_option(tmp_path: Path, process_env: dict[str, str]) -> None:
    assert plugin(tmp_path, process_env)[1].startswith("\nno tests ran")
