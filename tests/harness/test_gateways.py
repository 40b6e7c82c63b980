"""Gateways over the pipe: slow, late, silent about balances, with retries of their own, and with a cap of 0 that is none."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capsound.adapter import Adapter, Gate, Provider, Refused, Stale
from capsound.events import Reserve, event_to_dict
from capsound.guarantees import Guarantee
from capsound_checker.check.judging import BRIEF, judge
from capsound_checker.programs.asking import AdapterFailed
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import DELEGATED, SEQUENTIAL, Step
from capsound_checker.programs.watch import patience
from capsound_checker.remote.client import Remote, close_all, remote, remote_adapter
from capsound_checker.remote.process import python_address
from capsound_checker.schedules.preempting import Preempted

GATEWAY = Path(__file__).parents[1] / "support" / "gateway.py"
Runs = Callable[..., Any]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def address(*options: object, timeout: float = 5) -> str:
    return f"cmd[timeout={timeout:g},start=60]:{shlex.join([sys.executable, str(GATEWAY), *map(str, options)])}"


def gateway(*options: object, timeout: float = 5) -> type[Remote]:
    return remote_adapter(address(*options, timeout=timeout))


def kinds(run: Lockstep) -> list[object]:
    return [event_to_dict(event)["event"] for event in run.events]


ONE_CALL = [Step("open", amount=4), Step("begin", amount=2, bill=1), Step("reply")]


# ------------------------------------------------------------------------------------------------ time limits


def test_a_reply_that_is_slow_and_in_time_is_no_hang_where_hangs_are_hunted() -> None:
    slow = gateway("--delay", 0.5)
    found = judge(slow, programs=1, profiles=[SEQUENTIAL])
    assert "hang" not in found.found
    assert found.operations > 0


def test_a_reply_that_takes_longer_than_all_limits_of_old_is_no_hang() -> None:
    run = Lockstep(gateway("--delay", 3)()).run(ONE_CALL)
    assert [finding.anomaly for finding in run.findings] == []
    assert kinds(run).count("settle") == 1


def test_a_reply_that_comes_later_than_the_target_itself_allows_is_a_hang() -> None:
    run = Lockstep(gateway("--delay", 30, timeout=0.5)()).run(ONE_CALL)
    assert [finding.anomaly for finding in run.findings] == ["hang"]


class Slow(Adapter):
    """A budget in this interpreter whose store takes longer than the default allows."""

    timeout = 10.0
    seconds = 2.8

    def open(self, cap: int) -> Any:
        return {"free": cap, "spent": 0}

    def reserve(self, scope: Any, amount: int) -> Any:
        time.sleep(self.seconds)
        scope["free"] -= amount
        return scope, amount

    def settle(self, hold: Any, actual: int) -> None:
        hold[0]["spent"] += actual


class Slower(Slow):
    timeout = 0.2


def test_an_adapter_says_how_long_an_operation_may_take() -> None:
    program = [Step("open", amount=4), Step("reserve", amount=2)]
    assert Lockstep(Slow()).run(program).findings == []
    assert [f.anomaly for f in Lockstep(Slower()).run(program).findings] == ["hang"]
    with patience(BRIEF):  # so it is where hangs are hunted, before they are confirmed
        assert [f.anomaly for f in Lockstep(Slow()).run(program).findings] == ["hang"]
    step = Step("reserve", new=1, amount=1)
    assert Preempted(Slower, program[:1], step, step, 0, None).patience == Slower.timeout


def test_a_time_that_is_none_is_an_error_of_the_adapter(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    assert capsound("new", "adapter", path).status == 0
    text = path.read_text(encoding="utf-8").replace("    gate = Gate.RESERVE", "    gate, timeout = Gate.RESERVE, -1")
    path.write_text(text, encoding="utf-8")
    ran = capsound("check", f"{path}:MyBudget")
    assert ran.status == 65
    assert "MyBudget.timeout is -1" in ran.err


# ----------------------------------------------------------------------------- balances that are not offered, and 0


def test_balances_that_are_not_offered_are_not_asked_for() -> None:
    run = Lockstep(gateway("--no-observe")()).run([*ONE_CALL, Step("begin", new=1, amount=9), Step("reply", on=1)])
    assert run.findings == []
    assert kinds(run) == ["open", "reserve", "send", "bill", "settle", "refuse"]


def test_one_that_does_not_know_observe_is_asked_for_each_balance() -> None:
    adapter = gateway("--singly")
    run = Lockstep(adapter()).run(ONE_CALL)
    assert run.findings == []
    assert kinds(run)[-1] == "observe"
    assert adapter.singly
    lost = Lockstep(gateway("--singly", "--forgets")()).run(ONE_CALL)
    assert [finding.anomaly for finding in lost.findings] == ["ledger-drift"]


ZERO = [Step("open", amount=0), Step("begin", amount=2, bill=2), Step("reply")]


def test_a_cap_of_0_that_is_none_is_not_tried_where_that_is_said() -> None:
    assert Lockstep(gateway("--zero")()).run(ZERO).findings != []
    run = Lockstep(gateway("--zero", "--claim-zero")()).run(ZERO)
    assert (run.findings, run.events, run.steps) == ([], [], [])
    found = judge(gateway("--zero", "--claim-zero"), programs=40, profiles=[SEQUENTIAL])
    assert found.found == {}
    assert "over-admit" in judge(gateway("--zero"), programs=40, profiles=[SEQUENTIAL]).found


class Unlimited(Adapter):
    """A budget with slices, where 0 stands for no cap."""

    zero_is_unlimited = True

    def open(self, cap: int) -> Any:
        assert cap > 0
        return [cap, 0, 0]

    def reserve(self, scope: Any, amount: int) -> Any:
        if amount > scope[0]:
            raise Refused
        scope[0] -= amount
        scope[1] += amount
        return [scope, amount]

    def settle(self, hold: Any, actual: int) -> None:
        scope, amount = hold
        hold[1] = -1
        if amount < 0:
            raise Stale
        scope[0] += amount - actual
        scope[1] -= amount
        scope[2] += actual

    def delegate(self, scope: Any, amount: int) -> Any:
        assert amount > 0
        if amount > scope[0]:
            raise Refused
        scope[0] -= amount
        return [amount, 0, 0]

    def held(self, scope: Any) -> int:
        return int(scope[1])

    def spent(self, scope: Any) -> int:
        return int(scope[2])

    def remaining(self, scope: Any) -> int:
        return int(scope[0])


def test_no_slice_of_0_is_made_there_either_by_the_fast_engine() -> None:
    driver = Driver(Unlimited, DELEGATED)
    assert [driver.run(driver.bytes_of(seed)) for seed in range(200) if driver.run(driver.bytes_of(seed))] == []
    assert driver.fast


def test_what_is_not_varied_names_the_cap_of_0(capsound: Runs) -> None:
    options = ("--programs", 20, "--driver", "misuse", "--json")
    for more, told in (("--claim-zero", True), ("--racy", False)):
        said = json.loads(capsound("check", address(more), *options).out)
        assert ("caps of 0 (there, that is no cap)" in said["not_varied"]) is told
        assert ("zero_is_unlimited" in said["adapter"]["claims"]) is told


# -------------------------------------------------------------------------------------- several sends inside a call


def tried_again(cap: int, bill: int = 2) -> list[Step]:
    """Return a call whose first request fails although it was billed, and a call after it."""
    first = [Step("open", amount=cap), Step("begin", amount=2, bill=bill), Step("fail"), Step("reply")]
    return [*first, Step("begin", new=1, amount=2, bill=2), Step("reply", on=1)]


def test_each_try_is_billed_and_has_a_hold_of_its_own() -> None:
    run = Lockstep(gateway("--retry", "own")()).run(tried_again(6))
    assert run.findings == []
    assert kinds(run).count("send") == kinds(run).count("bill") == 3
    assert [event.hold for event in run.events if isinstance(event, Reserve)] == ["h0", "h0+", "h1"]


def test_another_try_that_is_refused_before_it_is_sent_is_no_late_refusal() -> None:
    for cap in (2, 3):
        run = Lockstep(gateway("--retry", "own")()).run(tried_again(cap))
        assert (run.findings, run.spoiled) == ([], False)


def test_two_tries_under_one_hold_overshoot() -> None:
    run = Lockstep(gateway("--retry", "same")()).run(tried_again(3))
    assert [finding.anomaly for finding in run.wrong()] == ["overshoot", "ledger-drift"]
    assert run.report().refuted is Guarantee.FAULT_TOLERANT


def test_what_happens_to_the_holds_of_one_that_says_nothing_is_not_guessed() -> None:
    blind = Lockstep(gateway("--no-observe", "--retry", "own")()).run(tried_again(6))
    assert (blind.findings, blind.spoiled) == ([], True)
    racy = Lockstep(gateway("--no-observe", "--retry", "same")()).run(tried_again(3))
    assert [finding.anomaly for finding in racy.wrong()] == ["overshoot"]


class Chain(Unlimited):
    """Makes two requests inside one call, under one hold that covers both; a failed one counts as its half."""

    gate = Gate.CALL
    counts_all = True

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        hold = self.reserve(scope, estimate)
        cost = 0
        for _ in range(2):
            try:
                cost += await provider()
            except Exception:  # noqa: BLE001
                cost += estimate // 2
        self.settle(hold, cost if self.counts_all else cost // 2)


class CountsOne(Chain):
    counts_all = False


def test_the_requests_of_one_call_are_settled_together() -> None:
    replies = [Step("open", amount=6), Step("begin", amount=4, bill=1), Step("reply"), Step("reply")]
    assert Lockstep(Chain()).run(replies).findings == []
    assert [f.anomaly for f in Lockstep(CountsOne()).run(replies).findings] == ["ledger-drift"]
    assert [f.anomaly for f in Lockstep(here(CountsOne)()).run(replies).findings] == ["ledger-drift"]
    assert Lockstep(here(Chain)()).run(replies).findings == []


def here(adapter: type[Adapter]) -> type[Remote]:
    return remote(python_address(sys.executable, f"{__file__}:{adapter.__name__}"))


def test_retries_under_one_hold_are_what_the_verdict_is_about(capsound: Runs) -> None:
    options = ("--programs", 60, "--driver", "programs", "--json", "--budget", "60m")
    said = json.loads(capsound("check", address("--retry", "same"), *options).out)
    assert (said["verdict"], said["strongest"]) == ("violated", "delegated")
    assert "overshoot" in {found["anomaly"] for found in said["found"]}
    said = json.loads(capsound("check", address("--retry", "own"), *options).out)
    assert said["found"] == [], said["found"][0]["story"]


# ------------------------------------------------------------------------------------------ booked after the answer


def test_what_is_booked_after_the_answer_is_compared_at_rest() -> None:
    never = gateway("--late", 3_600)  # later than anybody asks, however busy the machine is
    assert "ledger-drift" in {f.anomaly for f in Lockstep(never()).run(ONE_CALL).findings}
    patient = ("--late", 0.05, "--eventual", "--rest")
    assert Lockstep(gateway(*patient)()).run([*ONE_CALL, *tried_again(4)[1:]]).findings == []
    lost = Lockstep(gateway(*patient, "--forgets")()).run(ONE_CALL)
    assert [finding.anomaly for finding in lost.findings] == ["ledger-drift"]


def test_one_that_books_later_is_never_sound_for_what_was_not_tried(capsound: Runs) -> None:
    options = ("--programs", 8, "--driver", "programs", "--json")
    said = json.loads(capsound("check", address("--late", 0.001, "--eventual", "--rest"), *options).out)
    assert (said["verdict"], said["found"]) == ("unknown", [])
    assert [doubt for doubt in said["doubts"] if "between an answer and its booking" in doubt]


def test_who_books_later_has_to_say_when_it_rests() -> None:
    with pytest.raises(AdapterFailed, match="rest"):
        Lockstep(gateway("--eventual")()).run(ONE_CALL)
