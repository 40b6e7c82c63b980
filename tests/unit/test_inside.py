"""Applications inside: every order of answers, once; nothing left over; what is not served or does not end is named."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import socket
import sys
import threading
import time
from typing import Any

import pytest
from insiders import URL, Main, ask, body, counting, httpx2, independent, inside, searched, tree

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.wire.inside.checking import BadPlace, is_target, target
from capsound_checker.wire.inside.driver import CannotRunInside
from capsound_checker.wire.inside.forking import Tree
from capsound_checker.wire.inside.session import WAIT, Bounds
from capsound_checker.wire.running import Run
from capsound_checker.wire.schedule import Choice, Schedule


def labels(run: Run) -> list[str]:
    return [did.label.rpartition(".")[0] for did in run.did if did.what == "arrived"]


# ------------------------------------------------------------------------------------- all orders, each once


def test_every_order_of_answers_is_gone_through_and_equal_states_once() -> None:
    """Six answers of three agents, two each in its order: 6! / (2! 2! 2!) orders."""
    with inside(independent(3, 2)) as one:
        runs = tree(one)
        assert one.covered.schedules == 90
        assert not one.forks
        assert len(runs) < 45
        assert sum(run.ended == "exit" for run in runs) + sum(run.ended == "merged" for run in runs) == len(runs)


def test_an_application_that_remembers_the_order_has_no_equal_states() -> None:
    async def main() -> None:
        order: list[str] = []

        async def agent(name: str) -> None:
            await ask(name)
            order.append(name)

        await asyncio.gather(*(agent(name) for name in "abc"))

    with inside(main) as one:
        runs = tree(one)
        assert (one.covered.schedules, len(runs)) == (6, 6)
        assert {run.ended for run in runs} == {"exit"}


def test_what_is_left_over_is_seen_and_each_run_is_a_process_then() -> None:
    left: list[int] = []

    async def main() -> None:
        left.append(1)
        await asyncio.gather(*(ask(f"{n}, time {len(left)}") for n in range(3)))

    with inside(main) as one:
        runs = tree(one)
        assert one.forks
        assert "left over" in one.why_forks
        assert one.covered.schedules == 6
    assert not left
    assert all(sorted(labels(run)) == ["0-time-1", "1-time-1", "2-time-1"] for run in runs)


def test_a_fault_happens_once_at_every_place_in_every_order() -> None:
    with inside(independent(2, 1)) as one:
        runs = tree(one, Tree(("500",), 1, 1))
        assert one.covered.schedules == 4  # two orders, and either request fails
        assert all(sum(did.act == "500" for did in run.did if did.what == "answered") == 1 for run in runs)


def test_the_same_schedule_gives_the_same_run() -> None:
    with inside(counting(cured=False)) as one:
        runs = tree(one)
        for run in (run for run in runs if run.ended == "exit"):
            assert one.run(run.schedule).run == run


def drawn(seed: int) -> Main:
    """Draw an application whose requests depend on the order of answers: by counters, locks, events and timers."""

    async def main() -> None:
        source = random.Random(seed)
        spent = dict.fromkeys("ab", 0)
        lock, event = asyncio.Lock(), asyncio.Event()

        async def agent(name: str, plan: list[str]) -> None:
            for turn, how in enumerate(plan):
                match how:
                    case "ask":
                        spent["a"] += await ask(f"{name} {turn}") or 0
                    case "late":
                        used = await ask(f"{name} {turn}")
                        spent["b"] = max(spent["b"], used or 0)
                    case "lock":
                        async with lock:
                            spent["a"] += await ask(f"{name} {turn} has seen {spent['a'] > 100}") or 0
                    case "set":
                        event.set()
                    case "wait" if event.is_set():
                        await ask(f"{name} {turn} after the event")
                    case "sleep":
                        await asyncio.sleep(1)
                    case _:
                        pass

        ways = ["ask", "late", "lock", "set", "wait", "sleep"]
        plans = [source.choices(ways, k=source.randint(1, 3)) for _ in range(source.randint(2, 3))]
        await asyncio.gather(*(agent(str(at), plan) for at, plan in enumerate(plans)))

    return main


@pytest.mark.parametrize("seed", range(12))
def test_states_that_are_taken_for_equal_have_the_same_ends(seed: int) -> None:
    """What is billed and asked for at the ends of all runs does not depend on whether equal states are merged."""

    def ends(merge: bool) -> tuple[set[tuple[str, ...]], int]:
        with inside(drawn(seed), bounds=Bounds(waits=2)) as one:
            runs = tree(one, Tree(merge=merge))
            told = {tuple(sorted(did.label for did in run.did if did.what == "billed")) for run in runs if run.ended == "exit"}  # fmt: skip
            return told, one.covered.schedules

    assert ends(merge=True) == ends(merge=False)


def test_a_stream_that_has_begun_and_stalls_is_billed_once() -> None:
    with inside(streaming(1_000)) as one:
        (label,) = {did.label for did in one.run(Schedule()).run.did}
        run = one.run(Schedule(departures=((1, Choice(label, "stall")),))).run
    assert [did.what for did in run.did] == ["arrived", "billed", "begun", "stalled", "left"]


# --------------------------------------------------------------------------------------------------- verdicts


def test_a_race_is_found_at_once_and_its_cure_is_sound_and_complete() -> None:
    racy, cured = searched(counting(cured=False), "300tokens"), searched(counting(cured=True), "300tokens")
    assert (racy.verdict, racy.searched.weakest) == (Verdict.VIOLATED, Guarantee.CONCURRENT)
    assert racy.runs[0].overshoot > 0
    assert (cured.verdict, cured.searched.complete) == (Verdict.SOUND, True)
    assert "every order of answers (2 schedules" in cured.searched.explored[0]


def test_a_race_of_later_calls_needs_an_order_that_is_not_the_usual_one() -> None:
    """Each agent asks before it looks: only where all answers come before any second question is the look too late."""

    async def main() -> None:
        spent = 0

        async def agent(name: str) -> None:
            nonlocal spent
            used = await ask(f"{name} first")
            spent += used or 0
            await asyncio.sleep(0 if name == "a" else 1)
            if spent + 120 <= 400:
                used = await ask(f"{name} second")
                spent += used or 0

        await asyncio.gather(*(agent(name) for name in "abc"), return_exceptions=True)

    wired = searched(main, "400tokens")
    assert wired.verdict is Verdict.VIOLATED


def test_too_few_runs_are_not_complete() -> None:
    wired = searched(independent(3, 3), "1800tokens", runs=30)
    assert not wired.searched.complete
    assert wired.verdict is Verdict.UNKNOWN


def test_who_gives_back_on_cancel_is_found_only_where_tasks_are_cancelled() -> None:
    async def main() -> None:
        taken = 0

        async def agent(name: str) -> None:
            nonlocal taken
            if taken + 120 > 300:
                return
            taken += 120
            try:
                await ask(name)
            except asyncio.CancelledError:
                taken -= 120
                await agent(f"{name} again")
            except httpx2.HTTPError:
                pass

        await asyncio.gather(*(asyncio.create_task(agent(name)) for name in "ab"), return_exceptions=True)

    assert searched(main, "300tokens").verdict is Verdict.SOUND
    wired = searched(main, "300tokens", cancels=True)
    assert wired.searched.weakest is Guarantee.FAULT_TOLERANT


# ------------------------------------------------------------------------------------------------ time, streams


def test_time_is_virtual() -> None:
    async def main() -> None:
        begun, clock = asyncio.get_running_loop().time(), time.monotonic()
        await asyncio.sleep(86_400)
        time.sleep(3_600)
        assert time.monotonic() - clock == asyncio.get_running_loop().time() - begun == 90_000
        await ask("a day later")

    with inside(main) as one:
        run = one.run(Schedule()).run
    assert (run.ended, run.status, labels(run)) == ("exit", 0, ["a-day-later"])


def test_time_passes_while_a_request_is_held_only_where_it_is_chosen() -> None:
    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ask("slow"), 30)

    with inside(main) as one:
        runs = tree(one)
        assert {str(run.choices[0][0]) for run in runs} == {":wait", f"{runs[0].did[0].label}:answer"}
        (waited,) = [run for run in runs if run.choices[0][0] == WAIT]
        assert [did.what for did in waited.did] == ["arrived", "billed", "left"]


def test_one_that_polls_for_ever_is_not_complete() -> None:
    async def main() -> None:
        asked = asyncio.create_task(ask("polled"))
        while not asked.done():
            await asyncio.sleep(1)

    with inside(main, bounds=Bounds(waits=3)) as one:
        went = list(one.go_through(Tree()))
    assert len(went) == 4
    assert any(each.cut for each in went)


def test_a_client_that_gets_no_answer_gives_up_by_its_own_limit() -> None:
    async def main() -> None:
        try:
            await ask("stalled", httpx2.AsyncClient(timeout=7.0))
        except httpx2.ReadTimeout:
            assert asyncio.get_running_loop().time() == 7.0
        else:
            raise AssertionError

    with inside(main) as one:
        (label,) = {did.label for did in one.run(Schedule()).run.did}
        run = one.run(Schedule(departures=((0, Choice(label, "stall")),))).run
    assert [did.what for did in run.did] == ["arrived", "billed", "stalled", "left"]
    assert (run.ended, run.status) == ("exit", 0)


def streaming(read: int) -> Main:
    async def main() -> None:
        document = {**body("a stream"), "stream": True}
        request = httpx2.Request("POST", URL, json.dumps(document).encode(), 60.0)
        response = await httpx2.AsyncHTTPTransport().handle_async_request(request)
        got = 0
        async for _ in response.stream:
            got += 1
            if got == read:
                break
        await response.stream.aclose()

    return main


@pytest.mark.parametrize(("read", "last"), [(1, "left"), (1_000, "answered")])
def test_a_stream_comes_in_two_parts_and_whoever_closes_it_is_seen(read: int, last: str) -> None:
    with inside(streaming(read)) as one:
        run = one.run(Schedule()).run
    assert [did.what for did in run.did] == ["arrived", "billed", "begun", last]


def test_half_a_body_and_a_dropped_connection_are_errors_of_the_client() -> None:
    seen: list[str] = []

    async def main() -> None:
        try:
            await ask("unlucky")
        except httpx2.RemoteProtocolError as error:
            raise SystemExit(str(error)) from None

    with inside(main) as one:
        (label,) = {did.label for did in one.run(Schedule()).run.did}
        for act in ("half", "drop"):
            run = one.run(Schedule(departures=((0, Choice(label, act)),))).run
            seen.append(run.ended)
            assert run.status == 1
    assert seen == ["exit", "exit"]


# --------------------------------------------------------------------------------------- what is served, and not


def test_a_function_in_an_executor_is_run_as_one_step() -> None:
    async def main() -> None:
        await ask(await asyncio.to_thread(lambda: "from a thread"))

    with inside(main) as one:
        run = one.run(Schedule()).run
    assert labels(run) == ["from-a-thread"]
    assert not run.strange


def synchronous() -> None:
    with contextlib.suppress(httpx2.ConnectError):
        httpx2.post(URL, body("not awaited"))


def connects() -> None:
    with contextlib.suppress(OSError):
        socket.socket().connect(("127.0.0.1", 9))


def looks_up() -> None:
    with contextlib.suppress(OSError):
        socket.getaddrinfo("api.example", 443)


def begins_a_thread() -> None:
    threading.Thread(target=int).start()


def forks() -> None:
    with contextlib.suppress(OSError):
        os.fork()


@pytest.mark.parametrize(
    ("does", "words"),
    [
        (synchronous, "a client that is not asynchronous"),
        (connects, "opens a connection to 127.0.0.1:9 by itself"),
        (looks_up, "looks up 'api.example'"),
        (begins_a_thread, "starts a thread, Thread-"),
        (forks, "it forks"),
    ],
)
def test_what_is_not_served_is_named_and_nothing_is_sound(does: Any, words: str) -> None:
    cured = counting(cured=True)

    async def main() -> None:
        does()
        await cured()

    wired = searched(main, "300tokens", runs=60)
    assert wired.verdict is Verdict.UNKNOWN
    assert any(words in doubt for doubt in wired.doubts), wired.doubts


def test_a_socket_of_asyncio_is_named() -> None:
    async def main() -> None:
        await ask("first")
        with contextlib.suppress(Exception):
            await asyncio.open_connection("127.0.0.1", 9)

    with inside(main) as one:
        run = one.run(Schedule()).run
    assert run.strange["not served inside"][1].startswith("it needs create_connection")


# -------------------------------------------------------------------------------- what does not end as it should


def ending(does: Any) -> Main:
    async def main() -> None:
        await asyncio.gather(*(ask(str(number)) for number in range(2)))
        does()

    return main


def spin() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("does", "ended", "status"),
    [
        (spin, "hung", 0),
        (threading.Event().wait, "hung", 0),
        (lambda: ctypes.string_at(0), "signal", 11),
        (lambda: os.kill(os.getpid(), 9), "signal", 9),
        (lambda: os._exit(7), "exit", 7),
        (lambda: sys.exit(3), "exit", 3),
        (lambda: 1 // 0, "exit", 1),
    ],
    ids=["spins", "blocks", "crashes", "kills itself", "leaves", "exits", "raises"],
)
def test_how_an_application_ends(does: Any, ended: str, status: int) -> None:
    with inside(ending(does), patience=0.3) as one:
        run = one.run(Schedule()).run
        assert (run.ended, run.status) == (ended, status)
        assert [did.what for did in run.did if did.what == "arrived"] == ["arrived", "arrived"]
        if ended == "exit":
            assert sum(did.what == "answered" for did in run.did) == 2
        assert {each.ended for each in tree(one)} == {ended}


async def at_once() -> None:
    os.kill(os.getpid(), 9)


def test_one_that_dies_before_it_waits_is_told() -> None:
    wired = searched(at_once, "300tokens", runs=10)
    assert wired.verdict is Verdict.UNKNOWN
    assert any("ended by a signal" in doubt for doubt in wired.doubts)


def test_one_that_waits_for_nothing_is_told() -> None:
    async def main() -> None:
        await ask("once")
        await asyncio.Event().wait()

    with inside(main) as one:
        assert one.run(Schedule()).run.ended == "hung"


def test_one_that_sends_without_end_is_stopped() -> None:
    async def main() -> None:
        number = 0
        while True:
            await ask(f"{(number := number + 1)}")

    with inside(main, bounds=Bounds(requests=20)) as one:
        run = one.run(Schedule()).run
    assert (run.ended, len(run.choices)) == ("requests", 20)


def test_what_is_left_when_main_ends_is_cancelled_and_billed() -> None:
    async def main() -> None:
        left = asyncio.create_task(ask("left behind"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not left.done()

    with inside(main) as one:
        run = one.run(Schedule()).run
    assert [did.what for did in run.did] == ["arrived", "billed", "left"]


def test_no_process_is_left() -> None:
    with inside(ending(spin), patience=0.2) as one:
        pid = one.pid
        one.run(Schedule())
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


# ------------------------------------------------------------------------------------------------------- names


def test_names_of_functions() -> None:
    assert target(f"{__file__}:main")
    assert is_target("app.py:main")
    assert is_target("package.module:main")
    assert not is_target("python app.py:main")
    for text in ("app.py", "app.py:", ":main", "nowhere.py:main"):
        with pytest.raises(BadPlace):
            target(text)


def test_what_is_no_coroutine_function_is_refused() -> None:
    from capsound_checker.wire.inside.worker import BadMain, checked

    async def needs(_: int) -> None: ...

    for wrong in (int, lambda: None, 3, needs):
        with pytest.raises(BadMain):
            checked(wrong, "wrong")


def test_a_file_that_cannot_be_loaded_is_told(tmp_path: Any) -> None:
    from insiders import billing

    from capsound_checker.wire.inside.driver import of_command

    for text, words in (
        ("def (", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
        ("raise SystemExit(3)", "SystemExit"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        ("main = 3", "no coroutine function"),
        ("", "has no 'main'"),
    ):
        path = tmp_path / "app.py"
        path.write_text(text)
        with pytest.raises(CannotRunInside, match=words), of_command(str(path), "main", billing("1tokens"), ()):
            pass
