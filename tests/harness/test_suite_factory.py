"""``suite(Adapter)`` in somebody's test file, run by their pytest: what is collected, skipped, and told of a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from capsound.anomalies import ANOMALIES

SOUND = '''
import asyncio

from capsound.adapter import Adapter, Gate


class Over(Exception):
    pass


class Wrong(Exception):
    pass


class Hold:
    def __init__(self, account, amount):
        self.account, self.amount = account, amount

    def __reduce_ex__(self, protocol):
        raise TypeError("a hold cannot be copied")


class Account:
    def __init__(self, cap):
        self.free, self.spent = cap, 0

    def __reduce_ex__(self, protocol):
        raise TypeError("an account cannot be copied")


def whole(value):
    if type(value) is not int or value < 0:
        raise Wrong(value)
    return value


class Mine(Adapter):
    """Reserves and settles, and no more."""

    refused = (Over,)
    rejected = (Wrong,)

    def open(self, cap):
        return Account(whole(cap))

    def reserve(self, scope, amount):
        if whole(amount) > scope.free:
            raise Over(amount)
        scope.free -= amount
        return Hold(scope, amount)

    def settle(self, hold, actual):
        if hold.account is None:
            raise Wrong("settled before")
        hold.account.spent += whole(actual)
        hold.account.free += hold.amount - actual
        hold.account = None

    def spent(self, scope):
        return scope.spent

    def remaining(self, scope):
        return scope.free


class Racy(Mine):
    """Sets nothing aside."""

    def reserve(self, scope, amount):
        if whole(amount) > scope.free:
            raise Over(amount)
        return Hold(scope, amount)

    def settle(self, hold, actual):
        hold.amount = 0
        super().settle(hold, actual)


class Nothing(Adapter):
    """Opens accounts, and that is all."""

    def open(self, cap):
        return whole(cap)


class App(Adapter):
    """Waits for a lock of asyncio: without a running event loop its second call cannot even wait."""

    gate = Gate.CALL
    refused = (Over,)

    def open(self, cap):
        return App.Books(whole(cap))

    class Books:
        def __init__(self, cap):
            self.cap, self.held, self.paid, self.lock = cap, 0, 0, asyncio.Lock()

        def __reduce_ex__(self, protocol):
            raise TypeError("books cannot be copied")

    async def call(self, scope, estimate, provider):
        async with scope.lock:
            await asyncio.sleep(0)
            if scope.paid + scope.held + estimate > scope.cap:
                raise Over(estimate)
            scope.held += estimate
        paid = estimate
        try:
            paid = await provider()
        finally:
            scope.held -= estimate
            scope.paid += paid

    def spent(self, scope):
        return scope.paid

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return max(0, scope.cap - scope.paid - scope.held)


class RacyApp(App):
    """Leaves the lock between the question and the reservation."""

    async def call(self, scope, estimate, provider):
        async with scope.lock:
            await asyncio.sleep(0)
            if scope.paid + scope.held + estimate > scope.cap:
                raise Over(estimate)
        await asyncio.sleep(0)
        scope.held += estimate
        paid = estimate
        try:
            paid = await provider()
        finally:
            scope.held -= estimate
            scope.paid += paid


class Unsaid(Mine):
    """Does not say what its exception means."""

    refused = ()
'''

TESTS = """
from hypothesis import settings
from capsound_checker.check import suites
from capsound_checker.check.suites import suite
from my_adapter import App, Mine, Nothing, Racy, RacyApp, Unsaid

settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True)
settings.load_profile("quick")
suites._SCHEDULES = 400  # a tenth: how many there are is not what is tested here

TestMine = suite(Mine, programs=100)
TestRacy = suite(Racy, programs=100)
TestNothing = suite(Nothing, programs=20)
TestUnsaid = suite(Unsaid, programs=20)
TestApp = suite(App, programs=20)
TestRacyApp = suite(RacyApp, programs=20)
"""

NAMES = {
    "test_asyncio",
    "test_sequential",
    "test_flat",
    "test_delegation_trees",
    "test_faults",
    "test_overruns",
    "test_streaming",
    "test_bad_amounts",
    "test_handlers",
    "test_handles",
    "test_journal",
    "test_many_programs",
    "test_small_scope",
    "test_threads",
}
NO = "offers no way to admit a call"
SKIPPED = {
    "Mine": {
        "test_delegation_trees": "Mine offers no delegate, which 'delegated' tests",
        "test_faults": "Mine offers no forfeit or cancel or fail, which 'faults' tests",
        "test_streaming": "Mine offers no extend, which 'streaming' tests",
        "test_journal": "Mine offers no journal",
        "test_small_scope": "Mine does not offer reserve, spent, held and remaining",
        "test_threads": "Mine does not claim to be safe under threads",
        "test_handlers": "Mine does not claim to be safe in signal handlers",
        "test_asyncio": "Mine has nothing to await",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "my_adapter.py").write_text(SOUND)
    (folder / "test_mine.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


def pytest_in(
    folder: Path, env: Mapping[str, str], *args: str, cwd: Path | None = None, safe: bool = False
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, *(["-P"] if safe else []), "-m", "pytest", "-p", "no:cacheprovider", "-rA", *args],
        cwd=cwd or folder,
        env={**{k: v for k, v in env.items() if not k.startswith("PYTEST")}, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def ran(folder: Path, process_env: dict[str, str]) -> tuple[int, str, str]:
    return pytest_in(folder, process_env, "-vv", "-p", "no:capsound-bugs", str(folder / "test_mine.py"))


def outcomes(out: str, cls: str) -> dict[str, str]:
    """Return how each test of a class ended; what was skipped is not among them."""
    found = re.findall(rf"^(PASSED|FAILED|ERROR) \S*::{cls}::(\w+)", out, re.MULTILINE)
    return {name: how for how, name in found}


def test_all_suites_are_collected(folder: Path, process_env: dict[str, str]) -> None:
    status, out, err = pytest_in(folder, process_env, "--collect-only", "-q", "test_mine.py")
    assert (status, err) == (0, "")
    for cls in ("TestMine", "TestRacy", "TestNothing", "TestUnsaid"):
        assert set(re.findall(rf"::{cls}::(\w+)", out)) == NAMES


def test_a_sound_adapter_passes_and_what_is_missing_is_skipped_by_name(ran: tuple[int, str, str]) -> None:
    status, out, err = ran
    assert status == 1
    assert err == "", "nothing of ours is written to standard error"
    said = outcomes(out, "TestMine")
    assert said == dict.fromkeys(NAMES - set(SKIPPED["Mine"]), "PASSED")
    for reason in SKIPPED["Mine"].values():
        assert re.search(rf"^SKIPPED .*{re.escape(reason)}$", out, re.MULTILINE), reason


def test_an_adapter_that_admits_nothing_is_skipped(ran: tuple[int, str, str]) -> None:
    _, out, _ = ran
    assert f"Nothing {NO}" in out
    assert set(outcomes(out, "TestNothing").values()) <= {"PASSED"}


def test_what_needs_an_event_loop_is_driven_by_one_and_never_fails_for_want_of_it(ran: tuple[int, str, str]) -> None:
    said = outcomes(ran[1], "TestApp")
    assert set(said.values()) == {"PASSED"}, section(ran[1], "TestApp.test_flat")
    assert said["test_asyncio"] == "PASSED"
    needs = r"App needs a running event loop: test_asyncio drives it$"
    skipped = re.findall(rf"^SKIPPED .*{needs}", ran[1], re.MULTILINE)
    assert len(skipped) >= 2
    said = outcomes(ran[1], "TestRacyApp")
    assert {name for name, how in said.items() if how != "PASSED"} == {"test_asyncio"}
    assert re.search(r"^(stale-admit|overshoot): ", section(ran[1], "TestRacyApp.test_asyncio"), re.MULTILINE)


def section(out: str, name: str) -> str:
    """Return what pytest says of one failed test."""
    found = re.search(rf"^_+ {re.escape(name)} _+$(.*?)(?=^_+ \S+ _+$|^=+ )", out, re.MULTILINE | re.DOTALL)
    assert found, name
    return found[1]


FAILING = ("test_flat", "test_overruns", "test_many_programs", "test_handles")


def message(out: str, name: str) -> str:
    """Return the message of a violation as pytest shows it, without its margin."""
    return re.split(r"^-+ Captured ", section(out, f"TestRacy.{name}"), maxsplit=1, flags=re.MULTILINE)[0].strip("\n")


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_is_told_by_a_program_and_its_trace(name: str, ran: tuple[int, str, str]) -> None:
    said = message(ran[1], name)
    head, program, story = re.split(r"\n\n# a program that shows it:\n|\n# what happens in it:\n", said)
    assert re.match(r"[a-z-]+: \S", head)
    anomaly = head.split(":")[0]
    assert program.startswith("from capsound_checker.lockstep import Lockstep\nfrom my_adapter import Racy\n")
    assert f"   ** {head}" in story
    assert anomaly in ANOMALIES
    assert story.startswith("[1] open(new=0, amount=")


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_begins_with_its_anomaly_and_has_no_frame_of_ours(name: str, ran: tuple[int, str, str]) -> None:
    said = message(ran[1], name)
    (line,) = re.findall(rf"^FAILED \S*::TestRacy::{name} - (.*)$", ran[1], re.MULTILINE)
    assert said.startswith(line)
    assert line.partition(":")[0] in ANOMALIES
    assert "capsound_checker/" not in said


def test_one_bug_is_one_failure_with_the_tests_that_show_it(folder: Path, process_env: dict[str, str]) -> None:
    words = ["test_mine.py", "-k", "TestRacy and (flat or overruns or many_programs)", "--junitxml", "out.xml"]
    status, out, _ = pytest_in(folder, process_env, "-ra", *words)
    assert status == 1
    assert re.search(r"\b1 failed\b", out)
    assert set(outcomes(out, "TestRacy").values()) == {"FAILED"}
    named = "my_adapter.Racy: shown by test_flat, and in the same way by test_overruns, test_many_programs"
    assert f"stale-admit of {named}" in out
    assert "shows stale-admit as well, like test_flat" in out
    assert 'failures="1"' in (folder / "out.xml").read_text(encoding="utf-8")


def test_a_sequential_run_of_a_racy_counter_passes(ran: tuple[int, str, str]) -> None:
    said = outcomes(ran[1], "TestRacy")
    assert said["test_sequential"] == "PASSED"
    assert {said[name] for name in FAILING} == {"FAILED"}


@pytest.mark.parametrize("name", FAILING)
def test_the_pasted_program_runs_and_shows_the_same(
    name: str, ran: tuple[int, str, str], folder: Path, process_env: dict[str, str]
) -> None:
    said = message(ran[1], name)
    program, story = said.split("# a program that shows it:\n")[1].split("# what happens in it:\n")
    env = {**process_env, "PYTHONPATH": os.pathsep.join([str(folder), process_env.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=env, cwd=Path("/"), capture_output=True, timeout=900, check=False
    )
    assert done.stderr == b""
    assert done.stdout.decode().rstrip("\n") == story.rstrip("\n")
    assert f"** {said.split(':')[0]}: " in done.stdout.decode()


def test_the_smallest_program_of_a_race_has_three_steps(ran: tuple[int, str, str]) -> None:
    steps = re.findall(r"^run\.(\w+)\(", message(ran[1], "test_flat"), re.MULTILINE)
    assert steps == ["open", "reserve", "reserve"]


def test_an_exception_that_is_not_classified_is_told_with_its_cure(ran: tuple[int, str, str]) -> None:
    text = section(ran[1], "TestUnsaid.test_flat")
    assert "Unsaid.reserve raised Over:" in text
    assert "adapter-failed" in text
    assert "`refused`, `rejected` or `stale`" in text


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "capsound.py").write_text("raise RuntimeError('the wrong capsound')\n")
    return tmp_path


def test_it_runs_from_another_folder_and_with_a_safe_path(
    folder: Path, elsewhere: Path, process_env: dict[str, str]
) -> None:
    """A file named like the package lies in the current folder: ``python -P`` does not look there."""
    status, out, err = pytest_in(
        folder, process_env, "-q", str(folder / "test_mine.py"), "-k", "TestMine and flat", cwd=elsewhere, safe=True
    )
    assert (status, err) == (0, ""), out
    assert outcomes(out, "TestMine") == {"test_flat": "PASSED"}
    assert list(elsewhere.glob("capsound.py")) != []


def test_each_suite_says_what_it_did(ran: tuple[int, str, str]) -> None:
    assert re.search(r"Mine, concurrent: \d+ runs, \d+ steps, [\d,]+ steps a second$", ran[1], re.MULTILINE)
    assert re.search(r"Mine, many programs: \d+ operations, [\d,]+ a second$", ran[1], re.MULTILINE)
