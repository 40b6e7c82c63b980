"""Coroutines of asyncio run on our loop as they do on the standard one, and somebody else chooses what comes next."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import random
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from capsound_checker.schedules.eventloop import ABSENT, Deadlock, NeedsRealLoop, new_loop

Main = Callable[[], Coroutine[Any, Any, Any]]


async def sleepers() -> list[str]:
    out: list[str] = []

    async def one(name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        out.append(f"{name} at {asyncio.get_running_loop().time() - begin:.0f}")

    begin = asyncio.get_running_loop().time()
    await asyncio.gather(one("slow", 0.02), one("quick", 0.01), one("now", 0))
    return [line.partition(" ")[0] for line in out]


async def locked() -> list[int]:
    out: list[int] = []
    lock = asyncio.Lock()

    async def one(number: int) -> None:
        async with lock:
            out.append(number)
            await asyncio.sleep(0)
            out.append(number)

    await asyncio.gather(*(one(n) for n in range(3)))
    return out


async def signalled() -> list[str]:
    out: list[str] = []
    event, semaphore, queue = asyncio.Event(), asyncio.Semaphore(1), asyncio.Queue[int](1)

    async def waits() -> None:
        await event.wait()
        out.append("woken")

    async def makes() -> None:
        for n in range(3):
            async with semaphore:
                await queue.put(n)
        event.set()

    async def takes() -> None:
        for _ in range(3):
            out.append(str(await queue.get()))  # noqa: PERF401 - each is seen as it comes

    async with asyncio.TaskGroup() as group:
        for one in (waits(), makes(), takes()):
            group.create_task(one)
    return out


async def timed_out() -> list[str]:
    out: list[str] = []
    for way in ("wait_for", "timeout"):
        try:
            if way == "wait_for":
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
            else:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
        except TimeoutError:
            out.append(way)
    return out


async def shielded() -> list[str]:
    out: list[str] = []

    async def inner() -> None:
        await asyncio.sleep(0.01)
        out.append("inner")

    kept = asyncio.ensure_future(inner())

    async def outer() -> None:
        await asyncio.shield(kept)

    task = asyncio.ensure_future(outer())
    await asyncio.sleep(0)
    task.cancel("enough")
    with contextlib.suppress(asyncio.CancelledError):
        await task
    out.append("outer")
    await kept
    return out


async def failing_group() -> list[str]:
    async def boom() -> None:
        raise ValueError("boom")

    async def waits(out: list[str]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            out.append("cancelled")

    out: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(out))
            group.create_task(boom())
    except* ValueError:
        out.append("raised")
    return out


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


async def contexts() -> list[str]:
    async def one(name: str) -> str:
        VARIABLE.set(name)
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return f"{VARIABLE.get()} {asyncio.get_running_loop() is task.get_loop()}"

    return [*await asyncio.gather(one("a"), one("b")), VARIABLE.get()]


MAINS: list[Main] = [sleepers, locked, signalled, timed_out, shielded, failing_group, contexts]


@pytest.mark.parametrize("main", MAINS)
def test_first_in_first_out_does_what_the_standard_loop_does(main: Main) -> None:
    assert new_loop(fifo=True).drive(main()) == asyncio.run(main())


@pytest.mark.parametrize("main", MAINS)
@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_steps_ends_and_repeats(main: Main, seed: int) -> None:
    first, second = (new_loop().drive(main(), random.Random(seed).randrange) for _ in range(2))
    assert first == second
    if main is not failing_group:  # where one may fail before the other has begun
        assert sorted(first) == sorted(asyncio.run(main()))


def test_a_lock_of_asyncio_is_kept_in_every_order() -> None:
    for seed in range(50):
        out = new_loop().drive(locked(), random.Random(seed).randrange)
        assert out[::2] == out[1::2]


def test_an_hour_takes_no_time_and_is_seen_by_the_clock_of_the_loop() -> None:
    async def main() -> float:
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    assert new_loop().drive(main()) == 3_600


def test_callbacks_of_futures_are_no_choice() -> None:
    counts: list[int] = []

    async def one() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(one(), one())

    new_loop().drive(main(), lambda count: counts.append(count) or 0)
    assert counts == [2, 2, 2], "two tasks of two steps each: that gather wakes main is not asked about"


def test_who_waits_for_what_nobody_does_is_named_at_once() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="no task can run") as caught:
        new_loop().drive(main())
    assert "Task-1" in str(caught.value.cause)


def test_who_goes_round_for_ever_is_stopped() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Deadlock, match="go round"):
        new_loop().drive(main(), most=100)


def test_names_of_tasks_are_the_same_in_every_run() -> None:
    async def main() -> list[str]:
        return [t.get_name() for t in (asyncio.current_task(), asyncio.ensure_future(asyncio.sleep(0))) if t]

    assert new_loop().drive(main()) == new_loop().drive(main()) == ["Task-1", "Task-2"]


async def in_a_thread() -> None:
    await asyncio.to_thread(int)


async def connects() -> None:
    await asyncio.open_connection("localhost", 1)


async def starts_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


async def handles_a_signal() -> None:
    asyncio.get_running_loop().add_signal_handler(10, int)


@pytest.mark.parametrize("main", [in_a_thread, connects, starts_a_process, handles_a_signal])
def test_what_needs_another_loop_is_refused_with_its_cause_and_cure(main: Main) -> None:
    loop = new_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a process that is not started leaves its coroutine behind
        with pytest.raises(NeedsRealLoop) as caught:
            loop.drive(main())
        gc.collect()
    assert loop.needs is caught.value
    assert any(name in str(caught.value) for name in ABSENT)
    assert caught.value.cause
    assert caught.value.hint


def test_what_needs_another_loop_is_known_also_where_it_was_swallowed() -> None:
    async def main() -> str:
        try:
            await asyncio.to_thread(int)
        except Exception:  # noqa: BLE001 - as libraries do
            return "swallowed"
        return "done"

    loop = new_loop()
    assert loop.drive(main()) == "swallowed"
    assert isinstance(loop.needs, NeedsRealLoop)


def test_the_loop_that_ran_before_runs_again_afterwards() -> None:
    async def main() -> bool:
        before = asyncio.get_running_loop()
        inner = new_loop()
        with inner.running():
            assert asyncio.get_running_loop() is inner
        return asyncio.get_running_loop() is before

    assert asyncio.run(main())
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_what_is_left_behind_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # which a coroutine that is closed may not do

    async def raises() -> None:
        raise ValueError("nobody asks for this")

    async def main() -> None:
        asyncio.ensure_future(never())  # noqa: RUF006 - left behind
        asyncio.ensure_future(raises())  # noqa: RUF006 - left behind
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asyncio.ensure_future(never())  # noqa: RUF006 - left behind

    loop = new_loop()
    loop.drive(main())
    gc.collect()
    assert capfd.readouterr().err == ""
    assert [str(p.get("exception")) for p in loop.problems] == ["division by zero"]


def test_cancellation_comes_where_a_task_is_suspended() -> None:
    async def waits() -> None:
        await asyncio.sleep(10)

    async def main() -> str:
        task = asyncio.ensure_future(waits())
        await asyncio.sleep(1)
        task.cancel("why")
        try:
            await task
        except asyncio.CancelledError as error:
            return str(error)
        return "not cancelled"

    assert new_loop().drive(main()) == "why"
