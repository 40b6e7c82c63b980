"""The reference budget by itself: every way out of a call, every refusal, threads, tasks and interrupts.

Streams, merges, blocks, names and the journal are in test_budget_more.py; the lock step with the model is in
tests/stateful/test_reference.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import capsound_reference.budget as module
from capsound_reference import (
    BadAmount,
    Balances,
    Budget,
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    CopyRefused,
    Hold,
    HoldSent,
    HoldState,
    HoldUsed,
)


def balances(granted: int, **parts: int) -> Balances:
    """What ``snapshot`` should say; ``available`` is what the other parts leave of ``granted``."""
    zero = {"held": 0, "charged": 0, "forfeited": 0, "delegated": 0, "returned": 0}
    full = {**zero, **parts}
    return Balances(available=granted - sum(full.values()), granted=granted, **full)


# ------------------------------------------------------------------------------------- the life of a hold


def test_reserve_send_settle() -> None:
    budget = Budget(60)
    hold = budget.reserve(31)
    assert repr(hold) == "<Hold 31 on root: held>"
    assert budget.snapshot() == balances(60, held=31)
    hold.sent()
    assert repr(hold) == "<Hold 31 on root: sent>"
    hold.settle(23)
    assert repr(hold) == "<Hold 31 on root: settled>"
    assert budget.snapshot() == balances(60, charged=23)


def test_a_refusal_changes_nothing_and_says_what_to_do() -> None:
    budget = Budget(60, "team")
    budget.reserve(31)
    for refused in (lambda: budget.reserve(31), lambda: budget.delegate(31, "child")):
        with pytest.raises(BudgetRefused, match=r"team cannot (reserve|delegate) 31: 29 is available") as caught:
            refused()
        assert (caught.value.amount, caught.value.account) == (31, "team")
        assert caught.value.cure in str(caught.value)
        assert budget.snapshot() == balances(60, held=31)


def test_release_before_sent_only() -> None:
    budget = Budget(10)
    budget.reserve(4).release()
    assert budget.snapshot() == balances(10)
    hold = budget.reserve(4)
    hold.sent()
    with pytest.raises(HoldSent, match="the hold of 4 on root cannot be released: it was sent"):
        hold.release()
    assert budget.snapshot() == balances(10, held=4)
    hold.forfeit()
    assert budget.snapshot() == balances(10, forfeited=4)


def test_an_overrun_is_charged_in_full_and_closes_the_account_to_admission() -> None:
    budget = Budget(10)
    hold = budget.reserve(8)
    hold.sent()
    hold.settle(13)
    assert budget.snapshot() == balances(10, charged=13)
    assert budget.snapshot().available == -3
    for amount in (0, 1):
        with pytest.raises(BudgetRefused, match="it is in debt by 3"):
            budget.reserve(amount)
        with pytest.raises(BudgetRefused, match="it is in debt by 3"):
            budget.delegate(amount, "child")


def test_a_slice_that_returns_pays_a_debt_off() -> None:
    budget = Budget(10)
    child = budget.delegate(6, "child")
    budget.reserve(4).settle(7)
    assert budget.snapshot().available == -3
    child.close()
    assert budget.snapshot() == balances(10, charged=7)
    budget.reserve(3)


def test_a_bill_is_never_turned_away_for_want_of_sent() -> None:
    budget = Budget(10)
    budget.reserve(4).settle(5)
    assert budget.snapshot() == balances(10, charged=5)


def test_one_hold_may_cover_retries() -> None:
    hold = Budget(10).reserve(4)
    hold.sent()
    hold.sent()
    hold.settle(4)


USES: dict[str, Callable[[Hold], object]] = {
    "sent": Hold.sent,
    "settled": lambda hold: hold.settle(2),
    "released": Hold.release,
    "forfeited": Hold.forfeit,
}


@pytest.mark.parametrize("second", USES)
@pytest.mark.parametrize("first", ["settled", "released", "forfeited"])
def test_a_second_use_says_how_the_hold_was_resolved_first(first: str, second: str) -> None:
    budget = Budget(10, "team").delegate(8, "web")
    hold = budget.reserve(5)
    USES[first](hold)
    before = budget.snapshot()
    outcome = "settled at 2" if first == "settled" else first
    with pytest.raises(HoldUsed) as caught:
        USES[second](hold)
    expected = f"the hold of 5 on team/web cannot be {second}: it had already been {outcome}"
    assert caught.value.message == expected
    assert str(caught.value).startswith(expected)
    assert (caught.value.amount, caught.value.account) == (5, "team/web")
    assert budget.snapshot() == before
    assert hold.state.value == first


# ------------------------------------------------------------------------------------------------ slices


def test_slices_to_any_depth_return_what_they_have_not_spent() -> None:
    root = Budget(100)
    chain = [root]
    for depth in range(1, 11):
        chain.append(chain[-1].delegate(100 - depth, f"d{depth}"))
        chain[-1].reserve(1).settle(1)
    assert chain[-1].path == "root/" + "/".join(f"d{depth}" for depth in range(1, 11))
    assert chain[-1].snapshot() == balances(90, charged=1)
    for budget in reversed(chain[1:]):
        budget.close()
    # Each closed slice keeps 1 of its own, and what lies below it was never given back to it.
    assert root.snapshot() == balances(100, delegated=10)
    assert chain[1].snapshot() == balances(99, charged=1, delegated=9, returned=89)


def test_close_waits_for_holds_and_slices() -> None:
    root = Budget(10)
    child = root.delegate(6, "child")
    hold = child.reserve(0)  # nothing is held, and yet it may be billed
    with pytest.raises(BudgetBusy, match="root/child cannot close: 1 holds and 0 slices are open"):
        child.close()
    grandchild = child.delegate(0, "grandchild")
    hold.release()
    with pytest.raises(BudgetBusy, match="0 holds and 1 slices are open"):
        child.close()
    with pytest.raises(BudgetBusy):
        root.close()
    assert root.snapshot() == balances(10, delegated=6)
    for budget in (grandchild, child, root):
        budget.close()
    assert root.snapshot() == balances(10)


@pytest.mark.parametrize("of_root", [True, False])
def test_a_closed_budget_is_not_used_again(of_root: bool) -> None:
    root = Budget(10)
    budget = root if of_root else root.delegate(6, "child")
    budget.close()
    before = root.snapshot()
    uses: list[Callable[[], object]] = [
        budget.close,
        lambda: budget.reserve(0),
        lambda: budget.delegate(0, "x"),
        budget.call(0).__enter__,
    ]
    for use in uses:
        with pytest.raises(BudgetClosed, match=f"{budget.path} cannot .*: it was closed"):
            use()
    assert root.snapshot() == before


def test_a_debt_stays_where_it_was_made() -> None:
    root = Budget(10)
    child = root.delegate(6, "child")
    child.reserve(6).settle(9)
    child.close()
    assert child.snapshot() == balances(6, charged=9)
    assert root.snapshot() == balances(10, delegated=6)


# --------------------------------------------------------------------------------------- ways out of a call


class Boom(Exception):
    """An error of the provider."""


@pytest.mark.parametrize("error", [Boom, KeyboardInterrupt, asyncio.CancelledError, SystemExit, GeneratorExit])
@pytest.mark.parametrize("sent", [False, True])
def test_an_exception_releases_before_sent_and_forfeits_after(error: type[BaseException], sent: bool) -> None:
    budget = Budget(10)
    holds = []

    def agent() -> None:
        with budget.call(4) as hold:
            holds.append(hold)
            if sent:
                hold.sent()
            raise error

    with pytest.raises(error):
        agent()
    assert budget.snapshot() == (balances(10, forfeited=4) if sent else balances(10))
    assert holds[0].state is (HoldState.FORFEITED if sent else HoldState.RELEASED)


@pytest.mark.parametrize("resolve", ["settled", "released", "forfeited"])
@pytest.mark.parametrize("error", [None, Boom])
def test_a_hold_that_the_block_resolved_is_left_alone(resolve: str, error: type[BaseException] | None) -> None:
    budget, seen = Budget(10), []
    with contextlib.suppress(Boom), budget.call(4) as hold:
        USES[resolve](hold)
        seen.append((budget.snapshot(), hold))
        if error:
            raise error
    [(before, resolved)] = seen
    assert budget.snapshot() == before
    assert resolved.state.value == resolve


def test_leaving_without_resolving() -> None:
    budget = Budget(10)
    with budget.call(4):
        pass
    assert budget.snapshot() == balances(10)
    for _ in range(1):
        with budget.call(4) as hold:
            hold.sent()
            break  # the bill was never told
    assert budget.snapshot() == balances(10, forfeited=4)


def test_a_refused_call_never_enters_its_block() -> None:
    budget = Budget(10)
    call = budget.call(11)  # nothing happens before the block is entered
    assert budget.snapshot() == balances(10)
    with pytest.raises(BudgetRefused), call:
        pytest.fail("the provider was called")
    assert budget.snapshot() == balances(10)


def test_no_lock_is_held_across_the_call() -> None:
    budget = Budget(10)
    with budget.call(4) as hold, ThreadPoolExecutor(1) as pool:
        hold.sent()
        assert pool.submit(lambda: budget.reserve(6).amount).result(timeout=900) == 6
        hold.settle(4)


# --------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("sent", [False, True])
def test_cancelling_a_task(sent: bool) -> None:
    budget = Budget(10)

    async def agent(waiting: asyncio.Event) -> None:
        with budget.call(4) as hold:
            if sent:
                hold.sent()
            waiting.set()
            await asyncio.sleep(60)
            hold.settle(1)

    async def main() -> None:
        waiting = asyncio.Event()
        task = asyncio.create_task(agent(waiting))
        await waiting.wait()
        assert budget.snapshot() == balances(10, held=4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert budget.snapshot() == (balances(10, forfeited=4) if sent else balances(10))


def test_a_timeout_after_sent_forfeits() -> None:
    budget = Budget(10)

    async def main() -> None:
        async with asyncio.timeout(0.01):
            with budget.call(4) as hold:
                hold.sent()
                await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert budget.snapshot() == balances(10, forfeited=4)


def test_the_published_fan_out_race_stays_below_its_cap() -> None:
    """Design section 6: three agents, cap 60, estimate 31, bill 23; an unlocked counter reaches 69."""
    budget, billed = Budget(60), 0

    async def agent() -> bool:
        nonlocal billed
        try:
            with budget.call(31) as hold:
                hold.sent()
                await asyncio.sleep(0)
                billed += 23
                hold.settle(23)
        except BudgetRefused:
            return False
        return True

    async def main() -> list[bool]:
        return await asyncio.gather(*(agent() for _ in range(3)))

    assert sum(asyncio.run(main())) == 1
    assert billed == 23
    assert budget.snapshot() == balances(60, charged=23)


# ------------------------------------------------------------------------------------- handles and arguments


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps, lambda x: copy.deepcopy([{"it": x}])])
def test_handles_cannot_be_copied(how: Callable[[object], object]) -> None:
    budget = Budget(10, "team")
    hold = budget.reserve(4)
    for handle in (budget, hold, budget.delegate(1, "child")):
        with pytest.raises(CopyRefused, match=f"a {type(handle).__name__} cannot be copied or pickled") as caught:
            how(handle)
        assert isinstance(caught.value, TypeError)  # what copy and pickle raise for locks and the like
        assert caught.value.cure.startswith("share the handle itself")
    assert budget.snapshot() == balances(10, held=4, delegated=1)


BAD = [True, False, 1.0, float("nan"), float("inf"), -1, "1", None, Decimal(1), b"1", [1]]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_bad_amounts_change_nothing(bad: Any) -> None:
    budget = Budget(10)
    hold = budget.reserve(4)
    uses: list[Callable[[], object]] = [
        lambda: Budget(bad),
        lambda: budget.reserve(bad),
        lambda: budget.delegate(bad, "child"),
        lambda: hold.settle(bad),
        budget.call(bad).__enter__,
    ]
    for use in uses:
        with pytest.raises(BadAmount, match=r"is (not a whole number|negative)") as caught:
            use()
        assert caught.value.amount is bad
        assert caught.value.account == "root"
        assert "micro-USD" in caught.value.cure
    assert budget.snapshot() == balances(10, held=4)
    hold.settle(4)


def test_amounts_have_no_upper_limit() -> None:
    budget = Budget(10**40)
    budget.reserve(10**40).settle(10**40 - 1)
    assert budget.snapshot().available == 1


def test_every_error_is_a_budget_error_and_survives_a_trip_between_processes() -> None:
    kinds = BudgetError.__subclasses__()
    assert len(kinds) == 11
    for kind in kinds:
        error = pickle.loads(pickle.dumps(kind("what", 3, "root/a", "do this")))
        assert type(error) is kind
        assert str(error) == "what; do this"
        assert (error.amount, error.account, error.cure) == (3, "root/a", "do this")


def test_what_is_seen_cannot_be_changed() -> None:
    budget = Budget(10)
    hold = budget.reserve(4)
    with pytest.raises(FrozenInstanceError):
        budget.snapshot().available = 99  # type: ignore[misc]
    with pytest.raises(AttributeError):
        hold.amount = 0  # type: ignore[misc]
    with pytest.raises(AttributeError):
        hold.state = HoldState.HELD  # type: ignore[misc]
    assert repr(hold) == "<Hold 4 on root: held>"
    assert repr(budget).startswith("<Budget root: Balances(available=6, held=4,")


# ---------------------------------------------------------------------------------------------- interrupts

OPERATIONS: dict[str, Callable[[Budget, Hold], object]] = {
    "reserve": lambda budget, _: budget.reserve(2),
    "delegate": lambda budget, _: budget.delegate(2, "new"),
    "close": lambda budget, _: budget.delegate(0, "new").close(),
    "sent": lambda _, hold: hold.sent(),
    "settle": lambda _, hold: hold.settle(7),
    "release": lambda _, hold: hold.release(),
    "forfeit": lambda _, hold: hold.forfeit(),
}


def interrupted_at(line: int, act: Callable[[], object]) -> bool:
    """Run ``act`` with a Ctrl-C at the start of the ``line``-th line that it runs of the budget module."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_interrupt_never_finds_the_books_half_written(name: str) -> None:
    def fresh() -> tuple[Budget, Budget, Hold]:
        root = Budget(20)
        child = root.delegate(10, "child")
        return root, child, child.reserve(5)

    def seen(root: Budget, child: Budget, hold: Hold) -> tuple[Balances, Balances, HoldState]:
        return root.snapshot(), child.snapshot(), hold.state

    untouched, whole = seen(*fresh()), fresh()
    OPERATIONS[name](*whole[1:])
    allowed = [untouched, seen(*whole)]
    if name == "close":  # two steps: the slice of 0 may be open, and changes no balance
        assert allowed[0] == allowed[1]
    line, outcomes = 1, set()
    while True:
        root, child, hold = fresh()
        if not interrupted_at(line, lambda: OPERATIONS[name](child, hold)):  # noqa: B023  called at once
            break
        after = seen(root, child, hold)
        assert after in allowed, f"interrupted at line {line} of {name}"
        outcomes.add(allowed.index(after))
        line += 1
    assert line > 3
    assert 0 in outcomes


def test_an_interrupted_close_moves_both_sides_or_neither() -> None:
    line = 1
    while True:
        root = Budget(20)
        child = root.delegate(10, "child")
        child.reserve(3).settle(3)
        if not interrupted_at(line, child.close):
            break
        done = child.snapshot().returned == 7
        assert root.snapshot() == balances(20, delegated=3 if done else 10)
        line += 1
    assert line > 10
    assert root.snapshot() == balances(20, delegated=3)


# ------------------------------------------------------------------------------------------------- threads

THREADS, ROUNDS = 8, 2_000


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hammer(worker: Callable[[random.Random], int]) -> int:
    """Run ``worker`` in every thread at once; return the sum of what they were billed."""
    barrier = threading.Barrier(THREADS)

    def start(seed: int) -> int:
        barrier.wait(timeout=900)
        return worker(random.Random(seed))

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(start, range(THREADS)))


@pytest.mark.usefixtures("_hasty")
def test_threads_never_bill_more_than_the_cap() -> None:
    budget = Budget(16_000)
    refused = 0

    def worker(chance: random.Random) -> int:
        nonlocal refused
        billed = 0
        for _ in range(ROUNDS):
            estimate = chance.randint(1, 4)
            try:
                hold = budget.reserve(estimate)
            except BudgetRefused:
                refused += 1
                continue
            hold.sent()
            billed += (bill := chance.randint(0, estimate))
            hold.settle(bill)
        return billed

    billed = hammer(worker)
    assert billed <= 16_000
    assert refused > 0  # the cap was reached: the mean bill is 1.25, and 16,000 were tried
    assert budget.snapshot() == balances(16_000, charged=billed)


@pytest.mark.usefixtures("_hasty")
def test_threads_return_everything_that_they_do_not_spend() -> None:
    budget = Budget(40)

    def worker(chance: random.Random) -> int:
        for round_ in range(ROUNDS):
            try:
                if round_ % 2:
                    with budget.call(chance.randint(0, 9)) as hold:
                        if chance.random() < 0.5:
                            hold.settle(0)
                else:
                    child = budget.delegate(chance.randint(0, 9), "child")
                    child.reserve(0).release()
                    child.close()
            except BudgetRefused:
                continue
        return 0

    hammer(worker)
    assert budget.snapshot() == balances(40)
    budget.close()  # no hold and no slice is left over


@pytest.mark.usefixtures("_hasty")
def test_one_hold_is_resolved_by_one_of_many_threads() -> None:
    budget = Budget(THREADS * 50)
    holds = [budget.reserve(4) for _ in range(50)]

    def worker(chance: random.Random) -> int:
        won = 0
        for hold in holds:
            try:
                hold.settle(3)
            except HoldUsed:
                continue
            won += 3
        return won

    assert hammer(worker) == 150
    assert budget.snapshot() == balances(THREADS * 50, charged=150)


def test_a_root_and_its_slices_share_one_lock() -> None:
    root = Budget(10)
    grandchild = root.delegate(5, "child").delegate(5, "grandchild")
    assert grandchild._account.root.lock is root._account.root.lock
    assert Budget(10)._account.root.lock is not root._account.root.lock


# ------------------------------------------------------------------------- it stands alone: no imports

PARTS = ["arithmetic", "budget", "ceilings", "errors", "journal"]


def test_nothing_but_the_standard_library_is_imported() -> None:
    source = str(Path(module.__file__).parent.parent)
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        f"sys.path.insert(0, {source!r})\n"
        "import capsound_reference\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps([sorted(n for n in sys.modules if n.startswith('capsound')),"
        " sorted(new - sys.stdlib_module_names)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=900)
    ours, foreign = json.loads(done.stdout)
    assert ours == ["capsound_reference", *(f"capsound_reference.{part}" for part in PARTS)]
    assert foreign == ["capsound_reference"]
