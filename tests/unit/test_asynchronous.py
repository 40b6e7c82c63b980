"""Agents of asyncio on an implementation: what is wrong is found in its smallest form, what is right is covered."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from reference_adapter import CallAdapter, ReferenceAdapter
from zoo import FOLDER, animal

from capsound.adapter import Adapter, Gate, Provider, Refused
from capsound.verdict import Verdict
from capsound_checker.programs.lockstep import AdapterFailed
from capsound_checker.schedules.agents import BadProgram, Call, Program, programs
from capsound_checker.schedules.asynchronous import Explored, explore, replay
from capsound_checker.schedules.concurrency import run, world_of
from capsound_checker.schedules.interleave import BadChoice, Replay, every
from capsound_checker.schedules.remembering import Memory

base: Any = animal("zoo_base")
Over = base.Over


class Locked(base.Account):  # type: ignore[misc]  # the zoo is loaded at run time
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = asyncio.Lock()


class LockedWhole(base.Calling):  # type: ignore[misc]
    """Sound: one lock of asyncio across the whole call."""

    account = Locked

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        async with scope.lock:
            return await super().call(scope, estimate, provider)


class CounterUnderLock(Adapter):
    """Sound: checks, calls and adds under one lock of asyncio; nothing is reserved."""

    gate = Gate.CALL
    refused = (Over,)

    def open(self, cap: int) -> Any:
        account = Locked(cap)
        account.cap = cap
        return account

    async def call(self, scope: Any, estimate: int, provider: Provider) -> None:
        async with scope.lock:
            if scope.spent + estimate > scope.cap:
                raise Over("no")
            cost = estimate
            try:
                cost = await provider()
            finally:
                scope.spent += cost

    def spent(self, scope: Any) -> int:
        return int(scope.spent)

    def remaining(self, scope: Any) -> int:
        return int(scope.cap - scope.spent)


class InATask(base.Calling):  # type: ignore[misc]
    """Sound: the call runs in a task of its own and goes on when its caller is cancelled."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        return await asyncio.shield(asyncio.ensure_future(super().call(scope, estimate, provider)))


class Gathered(base.Calling):  # type: ignore[misc]
    """Sound: the same by gather."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        (bill,) = await asyncio.gather(super().call(scope, estimate, provider))
        return bill


class InAGroup(base.Calling):  # type: ignore[misc]
    """Sound: the same by a task group, whose errors come as a group of one."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(super().call(scope, estimate, provider))
        return task.result()


class InTime(base.Calling):  # type: ignore[misc]
    """Sound: what does not come in time is written off."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        async with asyncio.timeout(5):
            return await super().call(scope, estimate, provider)


class WaitedFor(base.Calling):  # type: ignore[misc]
    """Sound: the same by wait_for, around the whole call."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        return await asyncio.wait_for(super().call(scope, estimate, provider), 5)


class ReleasedLate(base.Calling):  # type: ignore[misc]
    """Faulty: what does not come in time is given back."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        hold = scope.reserve(estimate)
        try:
            bill = await asyncio.wait_for(provider(), 5)
        except TimeoutError:
            scope.release(hold)
            raise
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill


class OneAtATime(base.Calling):  # type: ignore[misc]
    """Sound: a semaphore, and a pause on either side of the call."""

    class account(Locked):  # noqa: N801
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.one = asyncio.Semaphore(1)

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        await asyncio.sleep(0)
        async with scope.one:
            return await super().call(scope, estimate, provider)


class ByHand(Adapter):
    """Sound: every operation is a coroutine that waits for a lock, and once more after it."""

    refused = (Over,)
    rejected = (base.Wrong,)
    stale = (base.Used,)

    def open(self, cap: int) -> Any:
        return Locked(cap)

    async def reserve(self, scope: Any, amount: int) -> Any:
        async with scope.lock:
            await asyncio.sleep(0)
            return scope.reserve(amount)

    async def settle(self, hold: Any, actual: int) -> None:
        async with hold.account.lock:
            await asyncio.sleep(0)
            hold.account.settle(hold, actual)
        await asyncio.sleep(0)

    async def forfeit(self, hold: Any) -> None:
        await asyncio.sleep(0)
        hold.account.forfeit(hold)

    def spent(self, scope: Any) -> int:
        return int(scope.spent)

    def held(self, scope: Any) -> int:
        return int(scope.held)

    def remaining(self, scope: Any) -> int:
        return int(scope.available)


class ByHandRacy(ByHand):
    """Faulty: awaits between the check and the taking."""

    async def reserve(self, scope: Any, amount: int) -> Any:
        scope.require_room(amount)
        await asyncio.sleep(0)
        return scope.take(amount)


SOUND = [
    LockedWhole,
    CounterUnderLock,
    InATask,
    Gathered,
    InAGroup,
    InTime,
    WaitedFor,
    OneAtATime,
    ByHand,
    CallAdapter,
    ReferenceAdapter,
]
RACY = animal("call_checked_before_written_after_await").Target

PAIR = Program(3, ((Call(2, 2),), (Call(2, 1),)))
CANCELLED = Program(3, ((Call(2, 2),), (Call(2, 1),)), cancels=1)
FAILED = Program(3, ((Call(2, 2, "error"),), (Call(2, 1),)))
NEVER = Program(3, ((Call(2, 2, "never"),), (Call(2, 1),)))
ABOVE = Program(3, ((Call(2, 4),), (Call(2, 2),)))
SMALL = (PAIR, CANCELLED, FAILED, NEVER, ABOVE)
THREE_BY_TWO = Program(4, ((Call(2, 1), Call(2, 1)),) * 3)


def looked(adapter: type[Adapter], *scope: Program, seed: int = 0, most: int = 6_000) -> Explored:
    return explore(adapter, seconds=3_600, schedules=most, seed=seed, scope=scope)


# --------------------------------------------------------------------------------------- what is right is let be


@pytest.mark.parametrize("adapter", SOUND)
@pytest.mark.parametrize("program", SMALL, ids=["pair", "cancelled", "failed", "never", "above"])
def test_sound_code_is_not_accused_and_all_schedules_are_covered(adapter: type[Adapter], program: Program) -> None:
    said = looked(adapter, program)
    assert [f.story for f in said.findings] == []
    assert said.complete
    assert said.scopes[0].merged


@pytest.mark.parametrize("adapter", [LockedWhole, CounterUnderLock, CallAdapter, ReferenceAdapter])
def test_three_agents_with_two_calls_each_are_covered(adapter: type[Adapter]) -> None:
    said = looked(adapter, THREE_BY_TWO)
    assert (said.verdict, said.complete) == (Verdict.SOUND, True)
    assert said.strongest.label == "overrun-bounded"


def counted(agents: tuple[tuple[int, bool, bool], ...], held: int, spent: int) -> int:
    """Count the schedules of agents (calls left, at the provider, begun) of 2 billed 1, cap 4, on a sound budget."""
    total, begins = 0, True
    for at, (left, sent, begun) in enumerate(agents):
        if not sent and (begun or not begins):
            continue
        begins = begins and begun
        now_held, now_spent = (held - 2, spent + 1) if sent else (held, spent)
        goes = False
        while left and not goes:
            left -= 1
            goes = now_held + now_spent + 2 <= 4
        rest = (*agents[:at], (left, goes, True), *agents[at + 1 :])
        total += counted(rest, now_held + 2 * goes, now_spent)
    return total or 1


@pytest.mark.parametrize("agents", [2, 3])
def test_without_merging_as_many_schedules_are_run_as_there_are(agents: int) -> None:
    program = Program(4, THREE_BY_TWO.agents[:agents])
    *_, (_, _, far) = every(lambda chooser: run(CallAdapter, program, chooser), merge=False)
    assert (far.schedules, far.complete) == (counted(((2, False, False),) * agents, 0, 0), True)


@pytest.mark.parametrize("adapter", [LockedWhole, CounterUnderLock, InATask, ByHand])
def test_merging_states_loses_no_finding_and_makes_none(adapter: type[Adapter]) -> None:
    assert shown(adapter, PAIR, merge=True) == shown(adapter, PAIR, merge=False) == set()


@pytest.mark.parametrize("name", ["call_checked_before_written_after_await", "lost_update", "never_refuses"])
def test_merging_states_loses_no_finding_of_a_fault(name: str) -> None:
    adapter = animal(name).Target
    found: set[str] = set()
    for program in (PAIR, CANCELLED, Program(4, PAIR.agents)):
        merged = shown(adapter, program, merge=True)
        assert merged == shown(adapter, program, merge=False)
        found |= merged
    assert found


def shown(adapter: type[Adapter], program: Program, *, merge: bool) -> set[str]:
    """Return the names of all that any schedule shows, with or without merging states, and fresh monitors."""
    world = world_of(adapter) if merge else None
    out: set[str] = set()
    runs = list(every(lambda chooser: run(adapter, program, chooser, world=world), merge=merge))
    for _, done, _ in runs:
        out |= {finding.anomaly for finding in done.wrong()} if done is not None else set()
    assert runs[-1][2].complete
    return out


@pytest.mark.parametrize("adapter", [RACY, LockedWhole, animal("lost_update").Target])
def test_a_monitor_that_remembers_says_what_a_new_one_says(adapter: type[Adapter]) -> None:
    memory = Memory()
    for choices, done, _ in every(lambda chooser: run(adapter, ABOVE, chooser, memory=memory), merge=False):
        again = run(adapter, ABOVE, Replay(choices))
        assert again.events == done.events
        assert again.findings == done.findings
        assert again.report() == done.report()


class Pauses(CallAdapter):
    """Sound. Its fifteenth budget pauses once, as a collection or a reconnect does."""

    opened: ClassVar[int] = 0

    def open(self, cap: int) -> Any:
        Pauses.opened += 1
        if Pauses.opened == 15:
            time.sleep(0.6)
        return super().open(cap)


def test_a_pause_is_no_hang() -> None:
    said = explore(Pauses, scope=(PAIR, CANCELLED))
    assert Pauses.opened > 15
    assert (said.findings, said.verdict) == ((), Verdict.SOUND)
    assert said.complete


def test_time_that_runs_out_is_told_and_is_never_sound() -> None:
    said = explore(CallAdapter, seconds=0.0, scope=(PAIR, CANCELLED))
    assert said.struck == "time ran out in program 1 of 2"
    assert (said.complete, said.verdict) == (False, Verdict.UNKNOWN)


def test_work_that_runs_out_is_the_same_work_every_time() -> None:
    one, two = (explore(OneAtATime, steps=600, scope=(replace(THREE_BY_TWO, cancels=2),)) for _ in range(2))
    assert one == two
    assert not one.complete
    assert "moves" in one.scopes[0].why
    assert one.schedules > 10
    assert explore(OneAtATime, steps=1_200, scope=(replace(THREE_BY_TWO, cancels=2),)).schedules > one.schedules


# ---------------------------------------------------------------------------------------- what is wrong is found


def test_a_racy_counter_is_found_at_once_and_made_small() -> None:
    said = explore(RACY, schedules=2_000)
    assert said.first is not None
    assert said.first.anomaly == "stale-admit"
    assert said.strongest.label == "sequential"
    assert said.first.fifo
    assert len(said.first.program.agents) == 2
    assert said.first.program.cap <= 2
    assert sum(1 for choice in said.first.choices if choice) == 1, "one change of agent"
    assert said.first.story.splitlines()[0].endswith("the budget is opened")
    assert "** stale-admit" in said.first.story


def test_a_race_in_operations_that_are_awaited_is_found() -> None:
    said = looked(ByHandRacy, PAIR)
    assert "stale-admit" in {f.anomaly for f in said.findings}


def test_a_timeout_inside_the_library_comes_by_virtual_time() -> None:
    said = looked(ReleasedLate, PAIR)
    assert said.first is not None
    assert said.first.anomaly == "refund-after-send"
    assert said.strongest.label == "delegated"
    assert "time passes, to 5 s" in said.first.story


def test_who_waits_for_a_lock_that_nobody_gives_back_hangs() -> None:
    class Twice(LockedWhole):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            async with scope.lock:
                return await super().call(scope, estimate, provider)

    said = looked(Twice, PAIR)
    assert [f.anomaly for f in said.findings] == ["hang"]
    assert len(said.findings[0].program.agents) == 1


def test_who_never_comes_back_is_stopped_and_named() -> None:
    class Loops(base.Calling):  # type: ignore[misc]
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            await provider()
            while True:
                pass

    said = looked(Loops, PAIR)
    assert [f.anomaly for f in said.findings] == ["hang"]
    assert not said.complete


def test_a_schedule_that_starves_somebody_is_no_hang() -> None:
    """One agent looks at a lock again and again: where it alone is run, the other cannot give the lock back."""
    adapter = animal("lock_released_on_cancel").Target
    anomalies: set[str] = set()
    for _, done, _ in every(lambda chooser: run(adapter, CANCELLED, chooser), merge=False, schedules=600):
        anomalies |= {f.anomaly for f in done.wrong()} if done is not None else set()
    assert anomalies == set()


class ByWakeUp(base.Calling):  # type: ignore[misc]
    """Right only while tasks are woken in the order in which they went to sleep: each takes the first estimate."""

    class account(Locked):  # noqa: N801
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.line: list[int] = []

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        scope.line.append(estimate)
        await asyncio.sleep(0)
        return await super().call(scope, scope.line.pop(0), provider)


def test_what_only_reordering_shows_is_labelled() -> None:
    program = Program(3, ((Call(1, 1),), (Call(2, 2),)))
    said = looked(ByWakeUp, program)
    assert said.findings
    assert not any(found.fifo for found in said.findings)
    stock = explore(ByWakeUp, seconds=3_600, schedules=6_000, scope=(program,), fifo=True)
    assert (stock.findings, stock.complete) == ((), True)


def test_what_a_stock_loop_shows_is_shown_on_one() -> None:
    found = looked(RACY, PAIR).first
    assert found is not None
    assert found.fifo
    again = replay(RACY, found.program, found.choices, fifo=True)
    assert again.story() == found.story
    assert again.wrong()[0].anomaly == found.anomaly


# -------------------------------------------------------------------------------- what nothing can be said of


class Threaded(base.Calling):  # type: ignore[misc]
    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        await asyncio.to_thread(int)
        return await super().call(scope, estimate, provider)


class Chancy(base.Calling):  # type: ignore[misc]
    chance = random.Random(1)

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        return await super().call(scope, estimate, provider)


class Swallowing(base.Calling):  # type: ignore[misc]
    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        try:
            await asyncio.to_thread(int)
        except Exception:  # noqa: BLE001 - as libraries do
            return await super().call(scope, estimate, provider)


@pytest.mark.parametrize("adapter", [Threaded, Swallowing])
def test_what_needs_a_real_loop_is_unknown(adapter: type[Adapter]) -> None:
    said = looked(adapter, PAIR)
    assert said.verdict is Verdict.UNKNOWN
    assert "run_in_executor" in said.needs
    assert not said.complete


def test_what_does_not_repeat_is_unknown() -> None:
    said = looked(Chancy, CANCELLED)
    assert said.verdict is Verdict.UNKNOWN
    assert "is now among" in said.needs


@pytest.mark.parametrize("program", [PAIR, CANCELLED], ids=["pair", "cancelled"])
def test_numbers_drawn_from_random_are_the_same_in_every_run(program: Program) -> None:
    class Jitter(base.Calling):  # type: ignore[misc]
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            for _ in range(random.randrange(3)):
                await asyncio.sleep(0)
            return await super().call(scope, estimate, provider)

    before = random.getstate()
    said = looked(Jitter, program)
    assert (said.findings, said.complete, said.needs) == ((), True, "")
    assert random.getstate() == before


def test_an_exception_that_nobody_classifies_stops_the_search() -> None:
    class Broken(base.Calling):  # type: ignore[misc]
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            await provider()
            raise ZeroDivisionError("boom")

    with pytest.raises(AdapterFailed, match=r"Broken\.call raised ZeroDivisionError: boom"):
        looked(Broken, PAIR)


def test_a_state_that_cannot_be_read_is_said_and_nothing_is_merged() -> None:
    class Opaque(base.Calling):  # type: ignore[misc]
        class account(Locked):  # noqa: N801
            def __init__(self, *args: Any) -> None:
                super().__init__(*args)
                self.inside = memoryview(b"1")

    plain, merged = looked(Opaque, PAIR), looked(base.Calling, PAIR)
    assert not plain.scopes[0].merged
    assert merged.scopes[0].merged
    assert plain.complete
    assert looked(Opaque, THREE_BY_TWO, most=5).complete is False


def test_nothing_interesting_is_unknown_and_not_sound() -> None:
    said = looked(LockedWhole, Program(9, ((Call(1, 1),),)))
    assert (said.findings, said.verdict) == ((), Verdict.UNKNOWN)


def test_one_that_cannot_make_a_call_is_unknown() -> None:
    class Nothing(Adapter):
        def open(self, cap: int) -> Any:
            return cap

    assert explore(Nothing).verdict is Verdict.UNKNOWN


def test_what_a_library_leaves_behind_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    class Careless(base.Calling):  # type: ignore[misc]
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            asyncio.sleep(3)

            async def boom() -> None:
                raise ZeroDivisionError

            asyncio.ensure_future(boom())  # noqa: RUF006 - careless
            return await super().call(scope, estimate, provider)

    assert looked(Careless, PAIR).findings == ()
    assert capfd.readouterr().err == ""


# -------------------------------------------------------------------------------------------- data and replay


@pytest.mark.parametrize("program", [*programs(ReferenceAdapter), NEVER], ids=str)
def test_a_program_is_what_its_json_says(program: Program) -> None:
    assert Program.loads(program.dumps()) == program
    assert json.loads(program.dumps()) == program.to_dict()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"cap": 3}',
        '{"cap": 3, "agents": []}',
        '{"cap": -1, "agents": [[[1, 1, "reply"]]]}',
        '{"cap": true, "agents": [[[1, 1, "reply"]]]}',
        '{"cap": 3, "agents": [[[1, 1, "reply"]]], "more": 1}',
        '{"cap": 3, "agents": [[[1, 1, "perhaps"]]]}',
        '{"cap": 3, "agents": [[[1, 1]]]}',
    ],
)
def test_what_is_no_program_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadProgram) as caught:
        Program.loads(text)
    assert caught.value.hint
    assert caught.value.exit_status == 65


def test_a_choice_that_a_run_does_not_offer_is_refused() -> None:
    with pytest.raises(BadChoice):
        replay(RACY, PAIR, (9,))


def test_the_same_arguments_give_the_same_result() -> None:
    runs = [looked(RACY, *SMALL, seed=3) for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_result_does_not_depend_on_the_order_of_hashes(hash_seed: str, process_env: dict[str, str]) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(FOLDER)!r}]\n"
        "import lost_update\n"
        "from capsound_checker.schedules.agents import Call, Program\n"
        "from capsound_checker.schedules.asynchronous import explore\n"
        "said = explore(lost_update.Target, seconds=3_600, schedules=2000, scope=(Program(3, ((Call(2, 2),),) * 2, 1),))\n"
        "print(said.schedules, [(s.schedules, s.states) for s in said.scopes])\n"
        "for f in said.findings: print(f.to_dict(), f.story)\n"
    )
    env = process_env | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    scope: dict[str, Any] = {}
    lines: list[str] = []
    here = code.replace("print(", "_print(")
    scope["_print"] = lambda *said: lines.append(" ".join(map(str, said)) + "\n")
    exec(here, scope)
    assert done.stdout == "".join(lines)


def test_agents_on_a_slice_close_it_when_the_last_has_ended() -> None:
    program = Program(4, ((Call(1, 1),), (Call(1, 1),), (Call(2, 2),)), slice=2, sliced=2)
    done = replay(ReferenceAdapter, program, ())
    kinds = [event.kind for event in done.events if event.kind in ("delegate", "settle", "close")]
    assert kinds == ["delegate", "settle", "settle", "close", "settle"]
    assert done.story().endswith("nothing is wrong")


def test_a_refused_agent_makes_its_next_call() -> None:
    done = replay(ReferenceAdapter, Program(3, ((Call(4, 4), Call(2, 2)),)), ())
    assert [event.kind for event in done.events if event.kind != "observe"] == [
        "open",
        "refuse",
        "reserve",
        "send",
        "bill",
        "settle",
    ]


GATES: dict[str, Callable[[], type[Adapter]]] = {
    "check": lambda: animal("check_then_act").Target,
    "charge": lambda: animal("charge_before_call").Target,
    "record": lambda: animal("record_only").Target,
    "reserve": lambda: ReferenceAdapter,
    "call": lambda: CallAdapter,
}


@pytest.mark.parametrize("gate", GATES)
def test_agents_can_use_every_gate(gate: str) -> None:
    adapter = GATES[gate]()
    assert adapter.gate == gate
    done = replay(adapter, Program(4, ((Call(2, 1),), (Call(2, 2, "timeout"),))), ())
    assert done.report().exercise.sent == 2
    assert done.report().exercise.faults == 1
    assert not any(agent.task is None or not agent.ended for agent in done.agents)


def test_a_refusal_is_judged_by_the_whole_time_in_which_it_was_made() -> None:
    """It waits after it has looked; that there is room again by then makes it no false refusal."""

    class Slow(base.Calling):  # type: ignore[misc]
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            fits = estimate <= scope.available
            if not fits:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                raise Refused("there was no room")
            return await super().call(scope, estimate, provider)

    said = looked(Slow, Program(2, ((Call(2, 0),), (Call(2, 0),))))
    assert said.findings == ()
    assert said.complete
