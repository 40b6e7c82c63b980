"""Implementations outside this interpreter: Python of another version, Node, and harnesses that misbehave."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from zoo import FOLDER, animal

from capsound.adapter import Gate, Granted, Kind, NotOffered, ask, offers
from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.judging import Judgement, judge
from capsound_checker.check.plan import Plan
from capsound_checker.check.suites import suite
from capsound_checker.programs.evidence import gate_evidence
from capsound_checker.programs.exhaust import Opaque, shortest
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.program import CONCURRENT
from capsound_checker.programs.watch import limit, patience
from capsound_checker.remote import process
from capsound_checker.remote.client import (
    HarnessDiverged,
    HarnessErrored,
    Remote,
    close_all,
    remote,
    remote_adapter,
)
from capsound_checker.remote.process import Address, CannotStart, HarnessDied, HarnessHung, python_address
from capsound_checker.remote.protocol import BadMessage

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
node = pytest.mark.skipif(NODE is None, reason="there is no node")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    close_all()


def here(target: str, **limits: float) -> type[Remote]:
    """Return the adapter over a target that the same interpreter runs in a process of its own."""
    return remote(python_address(sys.executable, target, **limits))


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    return any(not alive(pid) or time.sleep(0.01) is not None for _ in range(60_000))


def pid_of(adapter: type[Remote]) -> int:
    child = adapter.connection._child
    assert child is not None
    return child.pid


# -------------------------------------------------------------------------- the same verdict as in process


def gist(said: Judgement) -> dict[str, Any]:
    return {
        "first": said.first and (said.first.name, said.first.program),
        "found": {name: shown.program for name, shown in said.found.items()},
        "strongest": said.strongest,
        "profiles": said.profiles,
    }


SAME = [
    "merge_across_roots",  # accounts
    "second_settle_ignored",  # used-up handles, sound
    "commit_above_hold_drops_excess",  # overruns
    "nan_accepted",  # amounts that JSON has no word for
    "check_then_act",  # gate check
    "charge_before_call",  # gate charge
    "float_drift",  # numbers
    "timeout_error_refunds",  # gate call: the provider's error
    "slice_taken_at_admission",  # sound
    "refused_spend_restores_balance",  # sound
    "overrun_into_debt",  # sound
]


@pytest.mark.parametrize("name", SAME)
def test_a_target_of_the_zoo_gets_the_same_verdict_over_the_pipe(name: str) -> None:
    there = here(str(FOLDER / f"{name}.py:Target"))
    in_process = animal(name).Target
    assert offers(there) == offers(in_process)
    assert (there.gate, there.strict, there.complete) == (in_process.gate, in_process.strict, in_process.complete)
    said = judge(there, programs=30, enough=1)
    assert (said.first and said.first.name) == animal(name).ANOMALY
    assert said.strongest.label == animal(name).KEEPS
    assert gist(said) == gist(judge(in_process, programs=30, enough=1))


def test_a_hang_is_found_over_the_pipe() -> None:
    run = Lockstep(here(str(FOLDER / "self_merge_deadlock.py:Target"))())
    run.open(new=0, amount=3)
    with patience(0.5):
        found = run.merge(on=0, new=0)
    assert [finding.anomaly for finding in found] == ["hang"]


ASYNC = """
import sys
sys.path.insert(0, {folder!r})
import asyncio
from {module} import Target as Plain


class Target(Plain):
    async def reserve(self, scope, amount):
        await asyncio.sleep(0)
        return super().reserve(scope, amount)

    async def settle(self, hold, actual):
        await asyncio.sleep(0)
        super().settle(hold, actual)


class Endless(Plain):
    async def reserve(self, scope, amount):
        while True:
            await asyncio.sleep(0)
"""


@pytest.mark.parametrize("module", ["double_settle_moves_twice", "second_settle_ignored"])
def test_operations_may_be_coroutines(module: str, tmp_path: Path) -> None:
    path = tmp_path / "waits.py"
    path.write_text(ASYNC.format(folder=str(FOLDER), module=module))
    there, local = here(f"{path}:Target"), loaded(path).Target
    # Coroutines are stepped over there, so that the fast driver takes this one: same verdict, other programs.
    mine, theirs = (judge(adapter, programs=10, enough=1) for adapter in (local, there))
    assert (theirs.first and theirs.first.name) == (mine.first and mine.first.name) == animal(module).ANOMALY
    assert theirs.strongest is mine.strongest


def test_a_coroutine_that_never_ends_hangs(tmp_path: Path) -> None:
    path = tmp_path / "waits.py"
    path.write_text(ASYNC.format(folder=str(FOLDER), module="second_settle_ignored"))
    there = here(f"{path}:Endless")()
    answer = ask(there, "reserve", there.open(5), 1)
    assert answer.kind is Kind.HUNG
    assert "reserve was suspended 1000 times" in answer.why
    assert there.connection.restarts == 0


def test_the_suites_run_over_the_pipe() -> None:
    tests = suite(here(str(FOLDER / "refuse_when_total_reached_only.py:Target")), programs=40)
    with pytest.raises(AssertionError, match=r"over-admit|overshoot|stale-admit"):
        tests().test_many_programs()
    sound = suite(here(str(FOLDER / "second_settle_ignored.py:Target")), programs=10)()
    sound.test_many_programs()
    with pytest.raises(Exception, match="does not claim to be safe under threads"):
        sound.test_threads()


# ----------------------------------------------------------------------------------------- more than one run


def test_runs_do_not_disturb_each_other() -> None:
    there = here(str(FOLDER / "second_settle_ignored.py:Target"))
    one, two = Lockstep(there()), Lockstep(there())
    for run, cap in ((one, 5), (two, 7)):
        run.open(new=0, amount=cap)
    for run in (one, two, one):
        run.reserve(on=0, new=len(run.handles), amount=2)
    assert [there.observe(run.adapter, run.scopes[0]) for run in (one, two)] == [(0, 4, 1), (0, 2, 5)]
    assert one.findings == two.findings == []
    assert one.story().endswith("nothing is wrong")
    assert one.settle(on=1) == ()


def test_calls_of_two_runs_are_suspended_at_the_same_time() -> None:
    there = here(str(FOLDER / "call_reserved_before_await.py:Target"))
    one, two = Lockstep(there()), Lockstep(there())
    for run in (one, two):
        run.open(new=0, amount=6)
        run.begin(on=0, new=0, amount=3, bill=2)
        run.begin(on=0, new=1, amount=3, bill=3)
        assert run.at_provider == [0, 1]
    one.reply(on=1)
    two.cancel(on=0)
    one.fail(on=0)
    assert (one.finish(), two.finish()) == ((), ())
    assert [run.findings for run in (one, two)] == [[], []]


def test_a_crash_is_the_same_as_in_process() -> None:
    stories = []
    for adapter in (
        here(str(FOLDER / "hang_lock_not_released_on_cancel.py:Target")),
        animal("hang_lock_not_released_on_cancel").Target,
    ):
        run = Lockstep(adapter())
        run.open(new=0, amount=6)
        run.begin(on=0, new=0, amount=3, bill=2)
        run.begin(on=0, new=1, amount=3, bill=3)
        assert (run.at_provider, run.waiting) == ([0], [1])
        run.crash(on=0)
        run.finish()
        stories.append(run.story())
    assert stories[0] == stories[1]
    assert "** hang" in stories[0]


def test_a_copy_of_a_handle_is_made_on_the_other_side() -> None:
    there = here(str(FOLDER / "copied_hold_resolves_twice.py:Target"))
    run = Lockstep(there())
    run.open(new=0, amount=5)
    run.reserve(on=0, new=0, amount=2)
    run.clone_hold(on=0, amount=1)
    assert list(run.clones) == [0]
    assert run.clones[0] != run.handles[0]
    assert not there.threads
    assert not there.handlers


def test_states_on_the_other_side_are_not_taken_for_equal() -> None:
    with pytest.raises(Opaque):
        shortest(here(str(FOLDER / "second_settle_ignored.py:Target")), lambda _: False)


# ---------------------------------------------------------------------------------- another interpreter

ADAPTER = """
import sys
from capsound.adapter import Adapter, Granted, Refused
print("a stray print at import")


class Mine(Adapter):
    refused = (ValueError,)
    complete = True

    def open(self, cap):
        print("a stray print in an operation")
        return [cap, 0]

    def reserve(self, scope, amount):
        if amount > scope[0]:
            raise ValueError("too much")
        scope[0] -= amount
        return scope, amount

    def settle(self, hold, actual):
        scope, amount = hold
        scope[0] += amount - actual
        scope[1] += actual

    def delegate(self, scope, amount):
        scope[0] -= amount // 2
        return Granted([amount // 2, 0], amount // 2)

    def spent(self, scope):
        return scope[1]

    def remaining(self, scope):
        return scope[0]

    def journal(self, scope):
        return [sys.version.split()[0], str([m for m in sys.modules if m.startswith("capsound")])]
"""


def interpreters() -> dict[int, list[str]]:
    """Return where other interpreters may be, by their minor version: those of pyenv, and from PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {}
    for minor in range(9, 16):
        there = [*map(str, sorted(pyenv.glob(f"3.{minor}.*/bin/python"))), shutil.which(f"python3.{minor}") or ""]
        found[minor] = [path for path in there if path]
    return {minor: there for minor, there in found.items() if there and minor != sys.version_info[1]}


def works(interpreter: str) -> bool:
    """Return whether it is one: what pyenv has put into PATH may only say that no version is chosen."""
    return subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("minor", interpreters() or [pytest.param(0, marks=pytest.mark.skip("only one Python"))])
def test_an_empty_environment_of_another_python_is_enough(minor: int, tmp_path: Path) -> None:
    interpreter = next(filter(works, interpreters()[minor]), None)
    if interpreter is None:
        pytest.skip(f"no Python 3.{minor} works here")
    subprocess.run([interpreter, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (tmp_path / "mine.py").write_text(ADAPTER)
    there = remote(python_address(str(tmp_path / "env/bin/python"), str(tmp_path / "mine.py:Mine")))
    run = Lockstep(there())
    run.open(new=0, amount=9)
    run.reserve(on=0, new=0, amount=2)
    run.send(on=0, bill=1)
    run.settle(on=0)
    run.delegate(on=0, new=1, amount=4)
    assert run.findings == []
    assert run.state.account("a1").granted == 2
    version, modules = run.journal()
    assert version.startswith(f"3.{minor}.")
    assert eval(modules) == []  # who looks there sees nothing of ours
    assert ask(run.adapter, "reserve", run.scopes[0], 100).kind is Kind.REFUSED


def test_a_target_may_be_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their").mkdir()
    (tmp_path / "their/adapters.py").write_text(ADAPTER)
    monkeypatch.chdir(tmp_path)
    there = here("their.adapters:Mine")
    assert there.__name__ == "Mine"
    assert there.complete
    run = there()
    assert run.delegate(run.open(9), 4) == Granted("s1", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("", "has no attribute 'Mine'"),
    ],
)
def test_a_target_that_cannot_be_imported_is_told_with_its_traceback(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(HarnessErrored, match="start: ") as caught:
        here(str(tmp_path / "mine.py:Mine"))
    assert said in caught.value.message
    assert "Traceback" in caught.value.cause


def test_an_error_that_the_adapter_does_not_classify_is_told_with_its_traceback(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER.replace("refused = (ValueError,)", ""))
    run = Lockstep(here(str(tmp_path / "mine.py:Mine"))())
    run.open(new=0, amount=1)
    with pytest.raises(AdapterFailed, match="reserve: ValueError: too much"):
        run.reserve(on=0, new=0, amount=2)


@pytest.mark.parametrize("value", ["'5'", "float('nan')", "[]"])
def test_a_balance_that_is_no_number_is_an_error_of_the_adapter(value: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER.replace("return scope[1]", f"return {value}"))
    run = Lockstep(here(str(tmp_path / "mine.py:Mine"))())
    with pytest.raises(AdapterFailed, match=r"spent returned .*, which is no number"):
        run.open(new=0, amount=1)


def test_what_is_not_offered_is_not_offered_over_the_pipe(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER)
    there = here(str(tmp_path / "mine.py:Mine"))()
    with pytest.raises(NotOffered):
        there.forfeit("h0")


CLAIMING = """
from capsound.adapter import Adapter, Gate, Refused


class Mine(Adapter):
    threads = CLAIM
    handlers = CLAIM

    def open(self, cap):
        return [cap, 0]

    def reserve(self, scope, amount):
        if amount > scope[0]:
            raise Refused("too much")
        scope[0] -= amount
        return [scope, amount]

    def settle(self, hold, actual):
        scope, amount = hold
        hold[1] = 0
        scope[0] += amount - actual
        scope[1] += actual

    def spent(self, scope):
        return scope[1]

    def remaining(self, scope):
        return scope[0]
"""


@pytest.mark.parametrize(
    ("claim", "drivers", "left_out", "doubted"),
    [
        ("True", (), ("threads", "history", "handlers"), "threads, history, handlers"),
        ("True", ("misuse", "programs"), ("threads", "history", "handlers"), ""),
        ("False", (), (), ""),
    ],
)
def test_a_claim_that_cannot_be_tried_over_the_pipe_is_named(
    claim: str, drivers: tuple[str, ...], left_out: tuple[str, ...], doubted: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(CLAIMING.replace("CLAIM", claim))
    there = here(f"{path}:Mine")
    assert there.left_out == left_out
    checked = check(Plan(f"{path}:Mine", programs=3, python=sys.executable, drivers=drivers))
    assert checked.adapter["left_out"] == list(left_out)
    named = [doubt for doubt in checked.doubts if doubt.startswith("not tried, since they cannot work over a pipe: ")]
    assert len(named) == bool(doubted)
    assert all(f": {doubted} (" in doubt for doubt in named)
    if doubted:
        assert checked.verdict is not Verdict.SOUND


# ------------------------------------------------------------------------------------------------- Node


def example(which: str, **limits: float) -> type[Remote]:
    assert NODE is not None
    return remote(Address((NODE, str(ROOT / "examples/harness/node/harness.js"), which), **limits))


@node
@pytest.mark.parametrize(
    ("which", "gate", "first", "strongest"),
    [
        ("racy", Gate.CHECK, "stale-admit", "sequential"),
        ("racy-call", Gate.CALL, "stale-admit", "sequential"),
        ("sound", Gate.RESERVE, None, "overrun-bounded"),
        ("sound-call", Gate.CALL, None, "overrun-bounded"),
    ],
)
def test_the_node_harness_is_judged(which: str, gate: Gate, first: str | None, strongest: str) -> None:
    there = example(which)
    assert there.gate is gate
    said = judge(there, programs=30, enough=1)
    assert (said.first and said.first.name) == first
    assert said.strongest.label == strongest
    assert said.operations > 400
    if first is not None:
        assert said.first is not None
        assert [step.do for step in said.first.program] in (["open", "reserve", "reserve"], ["open", "begin", "begin"])


@node
def test_two_promises_are_interleaved_at_their_awaits() -> None:
    run = Lockstep(example("racy-call")())
    run.open(new=0, amount=3)
    run.begin(on=0, new=0, amount=3, bill=1)
    race = run.begin(on=0, new=1, amount=3, bill=3)[0]
    assert race.anomaly == "stale-admit"
    run.reply(on=1)
    assert run.adapter.observe(run.scopes[0]) == (3, None, 0)
    run.fail(on=0)
    assert run.adapter.observe(run.scopes[0]) == (6, None, -3)


@node
def test_what_javascript_has_no_word_for_is_rejected_here() -> None:
    there = example("sound")()
    root = there.open(5)
    kinds = {name: ask(there, "reserve", root, value).kind for name, value in [("b", b"5"), ("f", 2.0), ("t", True)]}
    assert kinds == dict.fromkeys("bft", Kind.REJECTED)
    assert [request["cmd"] for request, _ in there.log] == ["open", "reserve"]


@node
def test_a_harness_that_skips_the_start_says_why() -> None:
    with pytest.raises(NotOffered, match="choose one of racy,racy-call,sound-call,sound"):
        example("neither")


# -------------------------------------------------------------------------------------- calls in one turn

CALL = """
    if (this.spent + (this.pending ?? 0) + whole(estimate) > this.cap) throw new Refused(`${estimate} does not fit`);
    GATE
    let cost = estimate;
    try {
      cost = await send();
    } finally {
      SETTLE
    }
    return cost;
  }
}
"""
HOLD = "this.pending = (this.pending ?? 0) + estimate;"
SETTLE = "this.pending -= estimate; this.spent += cost;"
WINDOW = "this.pending -= estimate; await null; this.pending += estimate;"


def edited(tmp_path: Path, gate: str, settle: str = SETTLE, *, knows_turns: bool = True) -> type[Remote]:
    """Return the shipped harness over a budget whose ``call`` has these lines at its gate and at its end."""
    assert NODE is not None
    text = (ROOT / "examples/harness/node/harness.js").read_text()
    head, rest = text.split("    if (!this.fits(estimate)) throw", 1)
    tail = rest[rest.index("/** Sets the estimate aside") :]
    text = head + CALL.replace("GATE", gate).replace("SETTLE", settle) + tail
    text = text.replace("return this.cap - this.spent;", "return this.cap - this.spent - (this.pending ?? 0);")
    turn = '  if (cmd === "turn") return turn(request);\n'
    assert turn in text
    path = tmp_path / "edited.js"
    path.write_text(text if knows_turns else text.replace(turn, ""))
    return remote(Address((NODE, str(path), "racy-call")))


@node
@pytest.mark.parametrize(
    ("gate", "settle"),
    [
        (f"await null; {HOLD}", SETTLE),
        (f"await null; await null; await null; {HOLD}", SETTLE),
        (f"await new Promise(setImmediate); {HOLD}", SETTLE),
        (f"{HOLD} await null; {WINDOW}", SETTLE),
        (HOLD, "this.pending -= estimate; await null; this.spent += cost;"),
    ],
    ids=["one await", "three awaits", "an immediate", "given back for a moment", "nowhere for a moment"],
)
def test_a_race_between_micro_tasks_is_found(gate: str, settle: str, tmp_path: Path) -> None:
    there = edited(tmp_path, gate, settle)
    assert there.turns
    said = judge(there, programs=10, enough=2, profiles=[CONCURRENT])
    assert {"stale-admit", "overshoot"} <= set(said.found)
    assert said.strongest.label == "sequential"
    assert "turn" in [step.do for step in said.found["overshoot"].program]
    assert Lockstep(there()).run(said.found["overshoot"].program).story().endswith("at most sequential")


@node
def test_awaits_behind_the_hold_are_no_race(tmp_path: Path) -> None:
    there = edited(
        tmp_path,
        f"{HOLD} await null; await null;",
        f"this.spent += cost; this.pending -= estimate; {5 * 'await null; '}",
    )
    said = judge(there, programs=30, enough=1)
    assert (said.first, said.strongest.label) == (None, "overrun-bounded")
    assert gate_evidence(there).overlapped_at_gate > 0


@node
def test_a_harness_that_does_not_know_turns_shows_no_race_and_says_that_none_was_tried(tmp_path: Path) -> None:
    there = edited(tmp_path, f"await null; {HOLD}", knows_turns=False)
    assert not there.turns
    assert "turn" not in CONCURRENT.table(there)
    said = judge(there, programs=10, enough=2, profiles=[CONCURRENT])
    assert said.first is None
    tried = gate_evidence(there)
    assert (tried.overlapped_at_gate, tried.uninterruptible) == (0, 0)
    assert tried.overlapped > 0, "calls overlap at the provider, where no race at the gate can show"


@node
def test_a_turn_is_done_again_after_a_reset() -> None:
    there = example("sound-call")
    adapters = there(), there()
    one, two = map(Lockstep, adapters)
    for run in (one, two):
        run.open(new=0, amount=2)
        run.turn(amount=1)
        run.begin(on=0, new=0, amount=2, bill=1)
        run.begin(on=0, new=1, amount=2, bill=1)
    for run in (one, two):
        run.reply(on=0)
    assert [[request["cmd"] for request, _ in adapter.log] for adapter in adapters] == [["open", "turn", "reply"]] * 2
    assert [adapter.observe("s0") for adapter in adapters] == [(1, 0, 1)] * 2
    assert (one.findings, two.findings) == ([], [])


def test_the_python_harness_shows_every_await_and_needs_no_turns() -> None:
    there = here(str(FOLDER / "call_reserved_before_await.py:Target"))
    assert there.every_await
    assert not there.turns
    run = Lockstep(there())
    run.open(new=0, amount=3)
    run.begin(on=0, new=0, amount=3, bill=2)
    assert gate_evidence(there).to_dict() == {"overlapped": 0, "overlapped_at_gate": 0, "uninterruptible": 1}


WAITING = """
import asyncio
from capsound.adapter import Adapter, Gate, Refused


class Mine(Adapter):
    gate = Gate.CALL

    def open(self, cap):
        return [cap, 0]

    def spent(self, scope):
        return scope[1]

    def remaining(self, scope):
        return scope[0]

    async def call(self, scope, estimate, provider):
        if estimate > scope[0]:
            raise Refused("too much")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        scope[0] -= estimate
        cost = await provider()
        scope[0] += estimate - cost
        scope[1] += cost
"""


@pytest.mark.parametrize(("between", "admitted"), [(0, 2), (1, 2), (2, 1)])
def test_the_python_harness_knows_turns_all_the_same(between: int, admitted: int, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WAITING)
    there = type("Turning", (here(str(tmp_path / "mine.py:Mine")),), {"turns": True})
    run = Lockstep(there())
    run.open(new=0, amount=1)
    run.turn(amount=between)
    run.begin(on=0, new=0, amount=1, bill=1)
    run.begin(on=0, new=1, amount=1, bill=1)
    for _ in range(3):
        for number in run.waiting or [0]:
            run.step(on=number)
    assert len(run.at_provider) == admitted
    assert bool(run.findings) is (admitted == 2)


def test_calls_that_wait_on_their_way_overlap_at_the_gate(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(WAITING)
    there = here(str(tmp_path / "mine.py:Mine"))
    run = Lockstep(there())
    run.open(new=0, amount=3)
    run.begin(on=0, new=0, amount=2, bill=1)
    run.begin(on=0, new=1, amount=1, bill=1)
    assert gate_evidence(there).overlapped_at_gate == 0, "both fit: neither is in the way of the other"
    run.begin(on=0, new=2, amount=2, bill=1)
    assert gate_evidence(there).to_dict() == {"overlapped": 1, "overlapped_at_gate": 1, "uninterruptible": 0}


# ------------------------------------------------------------------------------- harnesses that misbehave

FAKE = """
import json, os, signal, subprocess, sys, time
def say(request, **answer):
    print(json.dumps({"seq": request["seq"], **answer}), flush=True)
def started(request, **more):
    who = {"name": "Fake", "language": "Python", "implementation": "fake", "version": "1"}
    say(request, answer="started", version=1, harness=who, gate="reserve",
        offers=["open", "reserve", "settle", "spent", "remaining"], **more)
n = 0
for line in sys.stdin:
    request = json.loads(line)
    cmd = request["cmd"]
    n += 1
    PLACE
    if cmd == "stop":
        break
    elif cmd == "start":
        started(request)
    elif cmd in ("open", "reserve"):
        say(request, answer="done", value=f"x{n}" if DRIFTS else cmd)
    elif cmd == "observe":
        say(request, answer="done", value={"spent": 0, "remaining": 5})
    else:
        say(request, answer="done", value=None)
"""

Fake = Callable[..., type[Remote]]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Write a harness that does something of its own first, and return the adapter over it."""

    def make(place: str = "pass", *, drifts: bool = False, timeout: float = 5.0, start: float = 20.0) -> type[Remote]:
        path = tmp_path / "fake.py"
        path.write_text(FAKE.replace("PLACE", place.replace("\n", "\n    ")).replace("DRIFTS", repr(drifts)))
        return remote(Address((sys.executable, str(path)), timeout, start))

    return make


def test_a_fake_that_does_nothing_of_its_own_is_good(fake: Fake) -> None:
    adapter = fake()()
    assert adapter.reserve(adapter.open(5), 1) == "reserve"
    assert adapter.observe("open") == (0, None, 5)


@pytest.mark.parametrize(
    ("place", "said", "evidence"),
    [
        ("sys.exit('no licence')", "ended before it answered", "exit status 1; it was asked"),
        ("os._exit(7)", "ended before it answered", "exit status 7; it was asked"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "ended before it answered", "killed by SIGSEGV"),
        ("sys.stdout.close(); os.close(1); time.sleep(600)", "ended before it answered", "it has closed its standard"),
        ("print('{\"seq\": 1, \"ans', end='', flush=True); os._exit(0)", "in the middle of", '{"seq": 1, "ans'),
        ("print('x' * 3_000_000, end='', flush=True)", "more than 1048576 bytes without an end of line", ""),
    ],
)
def test_a_death_at_the_start_is_told_with_its_evidence(place: str, said: str, evidence: str, fake: Fake) -> None:
    with pytest.raises(HarnessDied) as caught:
        fake(place)
    assert said in caught.value.message
    assert evidence in caught.value.cause + caught.value.message
    assert '"cmd":"start"' in caught.value.cause
    assert caught.value.exit_status == 2


def test_the_end_of_standard_error_is_kept_and_bounded(fake: Fake) -> None:
    with pytest.raises(HarnessDied) as caught:
        fake("sys.stderr.write('noise\\n' * 400_000 + 'the last word'); sys.exit(3)")
    assert caught.value.cause.endswith("noise\nthe last word")
    assert len(caught.value.cause) < 1_000


def test_a_harness_that_says_much_on_standard_error_is_not_stopped_by_it(fake: Fake) -> None:
    adapter = fake("sys.stderr.write('noise\\n' * 100_000); sys.stderr.flush()")()
    assert adapter.open(5) == "open"
    assert adapter.connection.restarts == 0


def test_silence_at_the_start_is_told(fake: Fake) -> None:
    with pytest.raises(HarnessHung, match=r"did not answer within 0\.3 s") as caught:
        fake("time.sleep(600)", start=0.3)
    assert "--load-timeout" in caught.value.hint


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("cmd == 'open' and print('balance: 5', flush=True)", "printed a line that is not JSON: balance: 5"),
        ("if cmd == 'open': request['seq'] += 1", "the answer has seq"),
        ("if cmd == 'open': say(request, answer='done', value='x', ok=True); continue", "unknown field 'ok'"),
        ("if cmd == 'open': say(request, answer='ok'); continue", "there is no answer 'ok'"),
        ("if cmd == 'open': say(request, answer='done', value=5); continue", "is no answer to 'open'"),
        ("if cmd == 'open': print('[1, 2]', flush=True); continue", "a message needs 'answer'"),
    ],
)
def test_a_wrong_line_is_an_error_that_quotes_it(place: str, said: str, fake: Fake) -> None:
    adapter = fake(place)()
    with pytest.raises(BadMessage) as caught:
        adapter.open(5)
    assert said in caught.value.message
    assert caught.value.hint


def test_two_answers_to_one_request_are_noticed(fake: Fake) -> None:
    adapter = fake("if cmd == 'open': say(request, answer='done', value='x')")()

    def use() -> None:
        adapter.open(5)
        adapter.reserve("x", 1)

    with pytest.raises((BadMessage, HarnessDied)) as caught:
        use()
    assert "has seq" in str(caught.value) or "more than it was asked" in str(caught.value)


ONCE = "if cmd == 'reserve' and not os.path.exists('{mark}'): open('{mark}', 'w').close(); {do}"


@pytest.mark.parametrize("do", ["os._exit(9)", "time.sleep(600)"])
def test_one_death_or_silence_is_mended_by_doing_the_run_again(do: str, fake: Fake, tmp_path: Path) -> None:
    adapter = fake(ONCE.format(mark=tmp_path / "mark", do=do), timeout=0.5)()
    scope = adapter.open(5)
    first = pid_of(type(adapter))
    assert adapter.reserve(scope, 1) == "reserve"
    assert adapter.connection.restarts == 1
    assert pid_of(type(adapter)) != first
    assert [request["cmd"] for request, _ in adapter.log] == ["open", "reserve"]
    assert gone(first)


def test_the_second_death_ends_the_run_with_its_evidence(fake: Fake) -> None:
    adapter = fake("if cmd == 'reserve': print('out of order', file=sys.stderr); sys.exit(5)")()
    scope = adapter.open(5)
    with pytest.raises(HarnessDied) as caught:
        adapter.reserve(scope, 1)
    assert adapter.connection.restarts == 1
    assert "exit status 5; it was asked " in caught.value.cause
    assert '"cmd":"reserve","scope":"open","amount":1' in caught.value.cause
    assert caught.value.cause.endswith("standard error ends with:\nout of order")
    assert adapter.connection.stderr == "out of order"


def test_the_second_silence_is_a_hang(fake: Fake) -> None:
    adapter = fake("if cmd == 'reserve': time.sleep(600)", timeout=0.3)()
    answer = ask(adapter, "reserve", adapter.open(5), 1)
    assert answer.kind is Kind.HUNG
    assert "within 0.3 s" in answer.why


def test_a_run_that_is_answered_otherwise_when_it_is_done_again_proves_nothing(fake: Fake) -> None:
    there = fake(drifts=True)
    one, two = there(), there()
    one.open(5)
    two.open(5)
    with pytest.raises(HarnessDiverged, match="and after a reset with"):
        one.observe("x3")


def test_a_command_that_does_not_exist_is_told() -> None:
    with pytest.raises(CannotStart, match="there is no command 'no-such-command'"):
        remote_adapter("cmd:no-such-command harness.js")


# ------------------------------------------------------------------------------------ nothing is left behind

CHILDREN = (
    "if cmd == 'start': kid = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=2)\n"
)
TELLING = CHILDREN + "if cmd == 'open': say(request, answer='done', value=str(kid.pid)); continue"


def test_the_end_takes_the_children_of_the_harness_with_it(fake: Fake) -> None:
    there = fake(TELLING)
    kid, child = int(there().open(5)), pid_of(there)
    assert alive(kid)
    there.connection.close()
    assert gone(kid)
    assert gone(child)


def test_a_silence_takes_them_with_it(fake: Fake) -> None:
    there = fake(TELLING + "\nif cmd == 'reserve': time.sleep(600)", timeout=0.3)
    adapter = there()
    kid, child = int(adapter.open(5)), pid_of(there)
    with pytest.raises((HarnessHung, HarnessDiverged)):  # it is another child after the restart
        adapter.reserve("x", 1)
    assert gone(kid)
    assert gone(child)


def test_an_alarm_in_the_middle_of_a_request_ends_it_and_the_next_request_is_served(fake: Fake, tmp_path: Path) -> None:
    adapter = fake(ONCE.format(mark=tmp_path / "mark", do="time.sleep(600)"))()
    scope, child = adapter.open(5), pid_of(type(adapter))
    with pytest.raises(TimeoutError), patience(0.3), limit():
        adapter.reserve(scope, 1)
    assert gone(child)
    assert adapter.reserve(scope, 1) == "reserve"


SCRIPT = """
import os, sys
from capsound_checker.remote.client import remote_adapter
adapter = remote_adapter(sys.argv[1])()
print(adapter.open(5), adapter.connection._child.pid, flush=True)
try:
    adapter.reserve("x", 1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os._exit(0)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_harness_ends_when_the_checker_does(
    how: signal.Signals, fake: Fake, tmp_path: Path, process_env: dict[str, str]
) -> None:
    there = fake(TELLING + "\nif cmd == 'reserve': signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)")
    address = str(there.connection.address)
    there.connection.close()
    checker = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, address], env=process_env, stdout=subprocess.PIPE, text=True
    )
    assert checker.stdout is not None
    kid, child = map(int, checker.stdout.readline().split())
    assert alive(kid)
    assert alive(child)
    with contextlib.suppress(subprocess.TimeoutExpired):
        checker.wait(0.3)  # it is in the middle of a request
    checker.send_signal(how)
    rest = checker.communicate(timeout=900)[0]
    assert rest == ("interrupted\n" if how is signal.SIGINT else "")
    assert gone(child)
    assert gone(kid)


def test_a_connection_that_is_closed_starts_again_when_it_is_needed(fake: Fake) -> None:
    there = fake()
    first = pid_of(there)
    there.connection.close()
    assert there().open(5) == "open"
    assert pid_of(there) != first


def test_an_operation_is_one_question_and_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is what a program over the pipe takes its time for; how long is in docs/protocol.md."""
    asked = 0
    exchange = process.Child.exchange

    def counted(child: process.Child, line: bytes, seconds: float) -> bytes:
        nonlocal asked
        asked += 1
        return exchange(child, line, seconds)

    adapter = here(str(FOLDER / "second_settle_ignored.py:Target"))()
    scope = adapter.open(1_000_000)
    monkeypatch.setattr(process.Child, "exchange", counted)
    for _ in range(1_000):
        adapter.settle(adapter.reserve(scope, 1), 1)
        adapter.observe(scope)
    assert asked == 2_000, "what is observed comes with the answer before it"
    assert adapter.observe(scope) == (1_000, 0, 999_000)
