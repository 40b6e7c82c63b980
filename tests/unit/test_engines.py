"""The engines: hunts accuse no sound design, exhaustive search, races of threads, time limits, the same result twice."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from zoo import FOLDER, animal

from capsound.adapter import Adapter, Gate, Granted, Provider, Refused
from capsound_checker.check.judging import judge
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.exhaust import Bounds, Opaque, fingerprint, shortest
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import CONCURRENT, DELEGATED, FAULTY, OVERRUNS, SEQUENTIAL, Step
from capsound_checker.programs.watch import LOOKS, Hung, joined, limit, patience, pulse
from capsound_checker.schedules.threads import interrupt, pairs, race

base: Any = animal("zoo_base")
Account, Hold, Unique, whole = base.Account, base.Hold, base.Unique, base.whole
Over, Used, Wrong = base.Over, base.Used, base.Wrong

# ------------------------------------------------------------------------------ sound designs, and no alarm

DESIGNS: dict[str, type[Adapter]] = {
    cls.__name__: cls
    for cls in (base.Settling, base.Reserving, base.Slicing, base.Merging, base.Streaming, base.Calling)
}


def sound(cls: type[Adapter]) -> type[Adapter]:
    DESIGNS[cls.__name__] = cls
    return cls


@sound
class Everything(base.Merging):  # type: ignore[misc]  # the zoo is loaded at run time
    def extend(self, hold: Any, amount: int) -> None:
        hold.account.extend(hold, amount)


@sound
class Calls(base.Calling):  # type: ignore[misc]
    """The library makes the calls, on slices too."""

    delegate = base.Slicing.delegate
    close = base.Slicing.close
    merge = base.Merging.merge


@sound
class Quiet(Everything):
    """What is used up is ignored: nothing moves, and nothing is said."""

    strict = False

    def settle(self, hold: Any, actual: int) -> None:
        whole(actual)
        if not hold.done:
            super().settle(hold, actual)

    def release(self, hold: Any) -> None:
        if not hold.done:
            super().release(hold)

    def forfeit(self, hold: Any) -> None:
        if not hold.done:
            super().forfeit(hold)

    def close(self, scope: Any) -> None:
        if not scope.closed:
            super().close(scope)


def without(cls: type[Adapter], *names: str) -> type[Adapter]:
    """Return the same library with less to see."""
    told = f"{cls.__name__}Without{''.join(name.title() for name in names)}"
    return sound(type(told, (cls,), {name: getattr(Adapter, name) for name in names}))


for _design in (Everything, Calls, Quiet):
    for _names in (("held",), ("spent",), ("remaining",), ("held", "remaining"), ("spent", "held", "remaining")):
        without(_design, *_names)
without(Everything, "sent")
without(Quiet, "sent", "held")
without(Everything, "forfeit")
without(Everything, "release")
without(Everything, "close", "merge")


@sound
class AllIsRefused(Everything):
    """One exception for everything: over the budget, a bad argument, used up."""

    refused = (Over, Wrong, Used)
    rejected = stale = ()


@sound
class AllIsStale(Everything):
    refused = rejected = ()
    stale = (Over, Wrong, Used)


@sound
class CallsAllIsRejected(Calls):
    refused = stale = ()
    rejected = (Over, Wrong, Used)


@sound
class SaysNoByFalse(Everything):
    """The library answers with a falsy value; the adapter raises."""

    refused = ()

    def reserve(self, scope: Any, amount: int) -> Any:
        try:
            return super().reserve(scope, amount)
        except Over:
            raise Refused("no") from None

    def extend(self, hold: Any, amount: int) -> None:
        try:
            super().extend(hold, amount)
        except Over:
            raise Refused("no") from None

    def delegate(self, scope: Any, amount: int) -> Any:
        try:
            return super().delegate(scope, amount)
        except Over:
            raise Refused("no") from None


@sound
class DebtIsZero(Everything):
    def remaining(self, scope: Any) -> int:
        return max(0, int(super().remaining(scope)))


DebtIsZeroWithoutHeld = without(DebtIsZero, "held")


@sound
class CallsDebtIsZero(Calls):
    held = Adapter.held

    def remaining(self, scope: Any) -> int:
        return max(0, int(super().remaining(scope)))


@sound
class HoldsCountAsRemaining(without(Everything, "held")):  # type: ignore[misc]
    def remaining(self, scope: Any) -> int:
        return int(scope.available + scope.held)


@sound
class CallsHoldsCountAsRemaining(without(Calls, "held")):  # type: ignore[misc]
    def remaining(self, scope: Any) -> int:
        return int(scope.available + scope.held)


@sound
class RootStaysOpen(Everything):
    """Only slices can be closed."""

    def close(self, scope: Any) -> None:
        if scope.parent is None:
            raise Wrong("a root is not closed")
        super().close(scope)


@sound
class MergesSiblings(Everything):
    """Only slices of one parent can be merged."""

    def merge(self, target: Any, source: Any) -> None:
        if target.parent is None or target.parent is not source.parent:
            raise Wrong("only siblings")
        super().merge(target, source)


@sound
class DebtKeepsOpen(Everything):
    """A slice in debt is not closed."""

    def close(self, scope: Any) -> None:
        if scope.available < 0:
            raise Wrong("in debt")
        super().close(scope)


@sound
class SettlesWhatWasSent(Everything):
    """Nothing has left, so that there is nothing to settle: release it."""

    def settle(self, hold: Any, actual: int) -> None:
        if not hold.done and not hold.sent:
            raise Wrong("it was not sent")
        super().settle(hold, actual)


@sound
class ForfeitsWhatWasSent(Everything):
    def forfeit(self, hold: Any) -> None:
        if not hold.done and not hold.sent:
            raise Wrong("it was not sent")
        super().forfeit(hold)


@sound
class ExtendsWhatRuns(Everything):
    def extend(self, hold: Any, amount: int) -> None:
        if not hold.done and not hold.sent:
            raise Wrong("it does not run")
        super().extend(hold, amount)


@sound
class OneRequestEach(Everything):
    """A hold covers one request."""

    def sent(self, hold: Any) -> None:
        if hold.sent:
            raise Wrong("it was sent")
        super().sent(hold)


@sound
class GrantsWhatIsThere(Everything):
    """A slice of what was asked for, or of all there is."""

    def delegate(self, scope: Any, amount: int) -> Any:
        scope.require_open()
        if scope.available < 0:
            raise Over("in debt")
        amount = min(whole(amount), scope.available)
        return Granted(super().delegate(scope, amount), amount)


@sound
class ClosedSaysNothing(Everything):
    """A closed account does not even say what it has spent."""

    def spent(self, scope: Any) -> int:
        scope.require_open()
        return int(super().spent(scope))

    def held(self, scope: Any) -> int:
        scope.require_open()
        return int(super().held(scope))

    def remaining(self, scope: Any) -> int:
        scope.require_open()
        return int(super().remaining(scope))


@sound
class Numbers(Adapter):
    """Handles are frozen dataclasses with a number in them; they can be copied, and a copy is the same handle."""

    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)
    strict = True

    @dataclass(frozen=True)
    class Handle:
        number: int

    def __init__(self) -> None:
        self.things: list[Any] = []

    def _new(self, thing: Any) -> Handle:
        self.things.append(thing)
        return self.Handle(len(self.things) - 1)

    def _of(self, handle: Any) -> Any:
        return self.things[handle.number]

    def open(self, cap: int) -> Any:
        return self._new(Account(whole(cap)))

    def reserve(self, scope: Any, amount: int) -> Any:
        return self._new(self._of(scope).reserve(amount))

    def sent(self, hold: Any) -> None:
        self._of(hold).account.send(self._of(hold))

    def settle(self, hold: Any, actual: int) -> None:
        self._of(hold).account.settle(self._of(hold), actual)

    def release(self, hold: Any) -> None:
        self._of(hold).account.release(self._of(hold))

    def forfeit(self, hold: Any) -> None:
        self._of(hold).account.forfeit(self._of(hold))

    def delegate(self, scope: Any, amount: int) -> Any:
        return self._new(self._of(scope).delegate(amount))

    def close(self, scope: Any) -> None:
        self._of(scope).close()

    def merge(self, target: Any, source: Any) -> None:
        self._of(target).merge(self._of(source))

    def spent(self, scope: Any) -> int:
        return int(self._of(scope).spent)

    def held(self, scope: Any) -> int:
        return int(self._of(scope).held)

    def remaining(self, scope: Any) -> int:
        return int(self._of(scope).available)


@sound
class Waits(Everything):
    """Every operation is a coroutine."""

    async def open(self, cap: int) -> Any:
        await asyncio.sleep(0)
        return super().open(cap)

    async def reserve(self, scope: Any, amount: int) -> Any:
        await asyncio.sleep(0)
        return super().reserve(scope, amount)

    async def settle(self, hold: Any, actual: int) -> None:
        await asyncio.sleep(0)
        super().settle(hold, actual)

    async def delegate(self, scope: Any, amount: int) -> Any:
        await asyncio.sleep(0)
        return super().delegate(scope, amount)

    async def merge(self, target: Any, source: Any) -> None:
        await asyncio.sleep(0)
        super().merge(target, source)


@sound
class HandsOnCoroutines(Everything):
    """Plain methods that return the coroutines of the library, as one writes them."""

    def reserve(self, scope: Any, amount: int) -> Any:
        async def later() -> Any:
            return scope.reserve(amount)

        return later()

    def settle(self, hold: Any, actual: int) -> Any:
        async def later() -> None:
            hold.account.settle(hold, actual)

        return later()


@sound
class Charges(Adapter):
    """Checks and debits at once, and gives back what the bill leaves over."""

    gate = Gate.CHARGE
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def open(self, cap: int) -> Any:
        return Account(whole(cap))

    def charge(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def settle(self, hold: Any, actual: int) -> None:
        hold.account.settle(hold, actual)

    def delegate(self, scope: Any, amount: int) -> Any:
        return scope.delegate(amount)

    def close(self, scope: Any) -> None:
        scope.close()

    def merge(self, target: Any, source: Any) -> None:
        target.merge(source)

    def spent(self, scope: Any) -> int:
        return int(scope.spent + scope.held)

    def remaining(self, scope: Any) -> int:
        return int(scope.available)


without(Charges, "settle", "merge", "close", "delegate")
without(Charges, "spent")
without(Charges, "spent", "remaining")


async def _made(scope: Any, hold: Any, provider: Provider) -> int:
    """Make the call of a hold; whatever has no bill is written off."""
    scope.send(hold)
    try:
        bill = await provider()
    except BaseException:
        scope.forfeit(hold)
        raise
    scope.settle(hold, bill)
    return bill


@sound
class CallsWaitFirst(Calls):
    """Something is waited for before anything is decided."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        await asyncio.sleep(0)
        return await _made(scope, scope.reserve(estimate), provider)


@sound
class CallsWaitHolding(Calls):
    """Between the reservation and the request it waits twice; who gives up there gets everything back."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold = scope.reserve(estimate)
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        except BaseException:
            scope.release(hold)
            raise
        return await _made(scope, hold, provider)


@sound
class CallsWaitEverywhere(Calls):
    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        await asyncio.sleep(0)
        hold = scope.reserve(estimate)
        try:
            await asyncio.sleep(0)
        except BaseException:
            scope.release(hold)
            raise
        scope.send(hold)
        bill = None
        try:
            bill = await provider()
            await asyncio.sleep(0)
        finally:
            if bill is None:
                scope.forfeit(hold)
            else:
                scope.settle(hold, bill)
        return bill


@sound
class CallsQueue(Calls):
    """One call at a time: the others wait for the lock, and have reserved nothing."""

    def open(self, cap: int) -> Any:
        account = super().open(cap)
        account.locked = False
        return account

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        root = scope.root
        while root.locked:
            await asyncio.sleep(0)
        root.locked = True
        try:
            return await _made(scope, scope.reserve(estimate), provider)
        finally:
            root.locked = False


@sound
class CallsCleanUpSlowly(Calls):
    """After an error it waits before it writes the hold off."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold = scope.reserve(estimate)
        scope.send(hold)
        try:
            bill = await provider()
        except BaseException:
            try:
                await asyncio.sleep(0)
            finally:
                scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill


@sound
class CallsWrapErrors(Calls):
    """Errors of the provider come out as errors of the library, twice wrapped; a cancellation does so too."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        try:
            return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
        except (Over, Wrong, Used, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is
            try:
                raise RuntimeError("the call failed") from error
            except RuntimeError as inner:
                raise LookupError("no answer") from inner


@sound
class CallsSwallowErrors(Calls):
    """Answers with nothing, to an error as to a refusal."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
        try:
            return await super().call(scope, estimate, provider)
        except Exception:  # noqa: BLE001 - whatever it is
            return None


@sound
class CallsPayTheEstimate(Calls):
    """A call without a bill is charged what it was estimated at."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold, bill = scope.reserve(estimate), estimate
        try:
            scope.send(hold)
            bill = await provider()
        finally:
            scope.settle(hold, bill)
        return bill


@sound
class CallsReserveForEachTry(Calls):
    """A failed call is written off and made again under a reservation of its own."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        try:
            return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
        except (Over, Wrong, Used):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except (Over, Used):
                raise error from None


@sound
class CallsWaitForRoom(Calls):
    """What does not fit waits as long as somebody may still give something back."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        while not scope.closed and whole(estimate) > scope.available and scope.held:
            await asyncio.sleep(0)
        return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]


def accused(name: str, programs: int, seed: int) -> str:
    """Return what a sound design is accused of, with the story; nothing when all is well."""
    said = judge(DESIGNS[name], programs=programs, seed=seed)
    assert said.found or said.programs >= 7 * min(programs, 40), "nothing was tried"
    return "\n".join(Lockstep(DESIGNS[name]()).run(shown.program).story() for shown in said.found.values())


@pytest.mark.parametrize("name", DESIGNS)
def test_no_sound_design_is_accused(name: str) -> None:
    assert accused(name, 20, seed=7) == ""


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", DESIGNS)
def test_no_sound_design_is_accused_by_many_programs(name: str, seed: int) -> None:
    assert accused(name, 600, seed) == ""


@pytest.mark.parametrize("name", ["Calling", "Charges", "Everything", "Quiet"])
def test_a_hunt_reaches_what_matters(name: str) -> None:
    """No alarm would be no news if nothing happened: calls are admitted, refused, settled, and slices are made."""
    seen: set[str] = set()
    for profile in (SEQUENTIAL, CONCURRENT, DELEGATED, FAULTY, OVERRUNS):
        driver = Driver(DESIGNS[name], profile)
        for seed in range(25):
            run = driver.further((Step("open", amount=4),), random.Random(seed).randbytes(120))
            seen |= {event.kind for event in run.events}
    expected = {"open", "reserve", "refuse", "send", "bill", "settle"}
    if name != "Calling":
        expected |= {"delegate", "close", "merge"}
    if name in ("Everything", "Quiet"):
        expected |= {"release", "forfeit", "extend"}
    assert expected <= seen


class Slow(base.Settling):  # type: ignore[misc]
    """Slower than a hunt for hangs has patience, and quick enough otherwise."""

    def reserve(self, scope: Any, amount: int) -> Any:
        time.sleep(0.03)
        return super().reserve(scope, amount)


def test_who_is_merely_slow_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsound_checker.check.judging.BRIEF", 0.01)
    said = judge(Slow, programs=2, profiles=(SEQUENTIAL,))
    assert (said.first, said.found, said.refuted) == (None, {}, None)


# ------------------------------------------------------------------------------------- exhaustive search

SHORTEST = {
    "never_refuses": (("open", "reserve"), "over-admit"),
    "false_refusal_strict_less": (("open", "reserve"), "false-refusal"),
    "double_settle_moves_twice": (("open", "reserve", "send", "settle", "settle"), "double-settle"),
    "slice_not_taken_from_parent": (("open", "delegate"), "minted"),
    "self_merge_doubles": (("open", "merge"), "minted"),
    "late_refusal": (("open", "begin", "reply"), "late-refusal"),
    "refused_spend_destroys_balance": (("open", "reserve"), "vanished"),
    "commit_above_hold_drops_excess": (("open", "reserve", "send", "settle"), "dropped-overrun"),
}


@pytest.mark.parametrize("name", SHORTEST)
def test_the_shortest_program_is_found(name: str) -> None:
    kinds, anomaly = SHORTEST[name]
    done = shortest(animal(name).Target, lambda run: bool(run.wrong()), Bounds(steps=5))
    assert done.program is not None
    assert tuple(step.do for step in done.program) == kinds
    assert (done.steps, done.complete) == (len(kinds), True)
    again = Lockstep(animal(name).Target()).run(done.program)
    assert again.wrong()[0].anomaly == anomaly


def test_a_sound_target_is_complete_up_to_the_bound() -> None:
    done = shortest(base.Reserving, lambda run: bool(run.wrong()), Bounds(steps=5, caps=(2,), amounts=(1, 2)))
    assert (done.program, done.steps, done.complete) == (None, 5, True)
    assert done.runs > 200


def test_a_search_that_ran_out_of_runs_is_not_complete() -> None:
    done = shortest(base.Reserving, lambda run: bool(run.wrong()), Bounds(steps=5, runs=10))
    assert (done.program, done.complete, done.runs) == (None, False, 10)
    assert done.steps < 5


def keeps(runs: list[Lockstep]) -> Callable[[Lockstep], bool]:
    """Return a predicate that keeps every run and accepts none."""

    def shows(run: Lockstep) -> bool:
        runs.append(run)
        return False

    return shows


def test_a_search_keeps_within_its_bounds() -> None:
    bounds = Bounds(steps=4, caps=(2,), amounts=(1,), over=(), accounts=2, holds=1)
    runs: list[Lockstep] = []
    assert shortest(Everything, keeps(runs), bounds).complete
    steps = [step for run in runs for step in run.steps]
    assert max(len(run.steps) for run in runs) == 4
    assert {step.amount for step in steps if step.do == "open"} == {2}
    assert {step.amount for step in steps if step.do in ("reserve", "delegate", "extend")} == {1}
    assert max(run.accounts for run in runs) == 2
    assert max(run.holds for run in runs) == 1
    assert all(hold.deficit == 0 for run in runs for hold in run.state.holds.values()), "A1 holds without `over`"
    assert {step.do for step in steps} >= {"send", "settle", "release", "forfeit", "close", "merge", "bad"}


def test_a_search_makes_only_the_steps_that_it_is_told_to_make() -> None:
    runs: list[Lockstep] = []
    shortest(Everything, keeps(runs), Bounds(steps=4), only=("reserve", "send"))
    assert {step.do for run in runs for step in run.steps} == {"open", "reserve", "send"}


class ThirdTime(base.Settling):  # type: ignore[misc]
    """Remembers in a hidden flag that it has refused twice, and admits the third time."""

    def reserve(self, scope: Any, amount: int) -> Any:
        try:
            return super().reserve(scope, amount)
        except Over:
            scope.no = getattr(scope, "no", 0) + 1
            if scope.no == 3:
                return scope.take(amount)
            raise


def test_a_hidden_counter_keeps_states_apart() -> None:
    """Refusals leave the same books: only the state of the object tells that something has changed."""
    bounds = Bounds(steps=5, caps=(1,), amounts=(2,))
    done = shortest(ThirdTime, lambda run: bool(run.wrong()), bounds, only=("reserve",))
    assert done.program is not None
    assert [step.do for step in done.program] == ["open", "reserve", "reserve", "reserve"]


def printed(*things: object) -> object:
    run = Lockstep(Everything())
    run.scopes = dict(enumerate(things))
    return fingerprint(run)


class Slots:
    __slots__ = ("__hidden", "flag", "unset")

    def __init__(self, flag: int, hidden: int = 0) -> None:
        self.flag = flag
        self.__hidden = hidden


class Plain:
    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


class Mixed(Slots):
    def __init__(self, flag: int, other: int) -> None:
        super().__init__(flag)
        self.other = other


def locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def rlocked() -> threading.RLock:
    lock = threading.RLock()
    lock.acquire()
    return lock


def ring(size: int) -> Plain:
    nodes = [Plain() for _ in range(size)]
    for node, after in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        node.__dict__["next"] = after
    return nodes[0]


@pytest.mark.parametrize(
    ("same", "again", "other"),
    [
        (lambda: Plain(a=1), lambda: Plain(a=1), lambda: Plain(a=1, _hidden=True)),
        (lambda: Plain(a=1), lambda: Plain(a=1), lambda: Plain(a=True)),
        (lambda: Plain(a=1), lambda: Plain(a=1), lambda: Plain(a=1.0)),
        (lambda: Slots(1), lambda: Slots(1), lambda: Slots(2)),
        (lambda: Slots(1), lambda: Slots(1), lambda: Slots(1, 5)),
        (lambda: Mixed(1, 2), lambda: Mixed(1, 2), lambda: Mixed(1, 3)),
        (lambda: Mixed(1, 2), lambda: Mixed(1, 2), lambda: Mixed(2, 2)),
        (threading.Lock, threading.Lock, locked),
        (threading.RLock, threading.RLock, rlocked),
        (lambda: ring(3), lambda: ring(3), lambda: ring(2)),
        (lambda: {3, 1, 2}, lambda: {2, 3, 1}, lambda: {1, 2}),
        (lambda: {"a": [1]}, lambda: {"a": [1]}, lambda: {"a": [2]}),
        (lambda: [1], lambda: [1], lambda: (1,)),
        (lambda: Gate.CALL, lambda: Gate.CALL, lambda: Gate.CHECK),
    ],
)
def test_a_fingerprint_tells_states_apart(
    same: Callable[[], object], again: Callable[[], object], other: Callable[[], object]
) -> None:
    assert printed(same()) == printed(again())
    assert printed(same()) != printed(other())
    assert hash(printed(same())) == hash(printed(again()))


def test_a_fingerprint_knows_who_shares_what() -> None:
    shared: list[int] = []
    assert printed(shared, shared) != printed([], [])


def test_a_fingerprint_of_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(Opaque, match="the state of a"):
        printed(iter([1, 2]))


def test_a_fingerprint_reads_where_a_call_is_suspended() -> None:
    """The same books, and one call that waits at another place."""

    def at(place: int) -> object:
        run = Lockstep(CallsWaitHolding())
        run.open(new=0, amount=4)
        run.begin(on=0, new=0, amount=1, bill=1)
        for _ in range(place):
            run.step(on=0)
        said = fingerprint(run)
        run.finish()
        return said

    assert at(0) == at(0)
    assert at(0) != at(1)


# ----------------------------------------------------------------------------------------------- threads


class Counter:
    """Reads, then writes: another thread fits in between."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.kept = 0
        self.spent = 0
        self.lock = threading.Lock()

    def admit(self, amount: int) -> None:
        kept = self.kept
        if kept + self.spent + amount > self.cap:
            raise Over("too much")
        self.kept = kept + amount

    def admit_locked(self, amount: int) -> None:
        with self.lock:
            self.admit(amount)


class Ticket:
    def __init__(self, counter: Counter, amount: int) -> None:
        self.counter = counter
        self.amount = amount


class Racing(Adapter):
    refused = (Over,)
    threads = True
    files = (__file__,)
    locked = False

    def open(self, cap: int) -> Any:
        return Counter(cap)

    def reserve(self, scope: Any, amount: int) -> Any:
        (scope.admit_locked if self.locked else scope.admit)(amount)
        return Ticket(scope, amount)

    def spent(self, scope: Any) -> int:
        return int(scope.spent)

    def held(self, scope: Any) -> int:
        return int(scope.kept)

    def remaining(self, scope: Any) -> int:
        return int(scope.cap - scope.kept - scope.spent)


class Locked(Racing):
    locked = True


BEFORE = (Step("open", new=0, amount=1),)
ONE, TWO = Step("reserve", on=0, new=7, amount=1), Step("reserve", on=0, new=8, amount=1)


def test_a_counter_without_a_lock_is_caught() -> None:
    found, schedules = race(Racing, BEFORE, ONE, TWO)
    assert found is not None
    assert found.anomaly == "stale-admit"
    assert (found.first, found.second, found.at) == (ONE, TWO, schedules)
    assert found.where.startswith("admit, line ")
    assert found.story().splitlines()[-1] == f"   ** stale-admit: {found.sentence}"
    assert "in another thread, meanwhile" in found.story()


def test_a_lost_update_is_caught_where_both_fit() -> None:
    found, _ = race(Racing, (Step("open", new=0, amount=6),), ONE, TWO)
    assert found is not None
    assert found.anomaly == "ledger-drift", "one of two holds is not counted"


def test_a_counter_with_a_lock_is_not_accused() -> None:
    found, schedules = race(Locked, BEFORE, ONE, TWO)
    assert found is None
    assert schedules > 10


def test_a_race_comes_out_the_same_again() -> None:
    assert race(Racing, BEFORE, ONE, TWO) == race(Racing, BEFORE, ONE, TWO)


class Crossed(Account):  # type: ignore[misc,valid-type]
    """Merging takes the lock of the target and then that of the source."""

    def __init__(self, granted: int, parent: Any = None) -> None:
        super().__init__(granted, parent)
        self.lock = threading.Lock()

    def merge(self, source: Any) -> None:
        if source is self:
            raise Wrong("itself")
        with self.lock, source.lock:
            super().merge(source)


class Crossing(base.Merging):  # type: ignore[misc]
    account = Crossed
    threads = True
    timeout = 3_600.0
    files = (__file__,)


def test_a_deadlock_is_a_hang_within_its_patience() -> None:
    """All that the adapter may take would be an hour."""
    before = (Step("open", new=0, amount=6), Step("delegate", on=0, new=1, amount=2))
    found, _ = race(Crossing, before, Step("merge", on=0, new=1), Step("merge", on=1, new=0), patience=0.3)
    assert found is not None
    assert found.anomaly == "hang"


def test_pairs_are_all_pairs_of_what_is_offered() -> None:
    made = list(pairs(Racing))
    tried = ("reserve", "reserve", "send")  # one that fits and one that does not
    assert [(one.do, two.do) for _, one, two in made] == [(one, two) for one in tried for two in tried]
    assert all(one.new != two.new for _, one, two in made if one.do == two.do == "reserve")


def test_a_lock_does_not_help_against_a_handler() -> None:
    found, _ = interrupt(Locked, BEFORE, ONE, TWO)
    assert found is not None
    assert "in a signal handler, meanwhile" in found.story()
    assert found.anomaly == "hang", "the handler waits for the lock of what it has interrupted"


class Reentrant(Counter):
    """A lock that lets its own thread in again keeps other threads out, and no handler."""

    def __init__(self, cap: int) -> None:
        super().__init__(cap)
        self.lock = threading.RLock()  # type: ignore[assignment]

    def look(self) -> None:
        """Give a handler its chance between the check and the debit."""

    def admit_locked(self, amount: int) -> None:
        with self.lock:
            if self.kept + self.spent + amount > self.cap:
                raise Over
            self.look()
            self.kept += amount


class Entered(Locked):
    def open(self, cap: int) -> Any:
        return Reentrant(cap)


class Atomic(Reentrant):
    """No call between the check and the debit, so that no handler comes between."""

    def look(self) -> None:
        """Leave no chance."""

    def admit_locked(self, amount: int) -> None:
        if self.kept + self.spent + amount > self.cap:
            raise Over
        self.kept += amount


class Unentered(Locked):
    def open(self, cap: int) -> Any:
        return Atomic(cap)


def test_a_reentrant_lock_lets_a_handler_in() -> None:
    assert race(Entered, BEFORE, ONE, TWO)[0] is None
    found, schedules = interrupt(Entered, BEFORE, ONE, TWO)
    assert found is not None
    assert (found.anomaly, found.at) == ("stale-admit", schedules)
    assert "line " in found.where


def test_a_handler_is_let_in_only_where_cpython_lets_it_in() -> None:
    found, schedules = interrupt(Unentered, BEFORE, ONE, TWO)
    assert found is None
    assert schedules > 2


def test_a_journal_must_read_as_one_of_the_two_orders() -> None:
    class Late(Unentered):
        """It writes what it has done before it has done it, and a handler comes between."""

        def __init__(self) -> None:
            self.lines: list[str] = []

        def reserve(self, scope: Any, amount: int) -> Any:
            self.lines.append('{"event": "reserve"}')
            ticket = super().reserve(scope, amount)
            self.lines.append('{"event": "reserved"}')
            return ticket

        def journal(self, _: Any) -> list[str]:
            return self.lines

    found, _ = interrupt(Late, (Step("open", amount=2),), ONE, TWO)
    assert found is not None
    assert found.anomaly == "wrong journal"


# -------------------------------------------------------------------------------------------- time limits


def test_a_lock_that_nobody_gives_back_is_interrupted() -> None:
    lock = threading.Lock()
    lock.acquire()
    with pytest.raises(Hung), patience(0.02), limit():
        lock.acquire()


def endless() -> None:
    while True:
        pass


def test_an_endless_loop_is_interrupted() -> None:
    with pytest.raises(Hung), patience(0.02), limit():
        endless()


def test_what_ends_in_time_is_left_alone() -> None:
    with patience(0.05), limit():
        done = 1
    time.sleep(0.07)
    assert done == 1


class Finalized:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGALRM)


def test_an_alarm_that_would_be_lost_gives_the_time_once_more() -> None:
    # What is raised in a callback of the collector or in a finalizer is printed and lost, and the limit with it.
    rung: list[str] = []

    def slow(phase: str, _info: dict[str, int]) -> None:
        signal.raise_signal(signal.SIGALRM)
        rung.append(phase)

    gc.callbacks.append(slow)
    try:
        with patience(60), limit():
            gc.collect(0)
            Finalized()
            left = signal.getitimer(signal.ITIMER_REAL)[0]
    finally:
        gc.callbacks.remove(slow)
    assert rung[:2] == ["start", "stop"]
    assert left > 30


@pytest.mark.parametrize("weak", [weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary])
def test_an_alarm_in_a_callback_of_a_weak_reference_gives_the_time_once_more(weak: type) -> None:
    """A long collection that drops a task of asyncio ends there: what is raised is printed and lost as well."""
    rung: list[str] = []

    def trace(frame: FrameType, event: str, _about: object) -> None:
        if event == "call" and frame.f_code.co_filename == inspect.getfile(weak) and "remove" in frame.f_code.co_name:
            rung.append(frame.f_code.co_name)
            signal.raise_signal(signal.SIGALRM)

    held, kept = Slow(), weak()
    if isinstance(kept, weakref.WeakSet):
        kept.add(held)
    elif isinstance(kept, weakref.WeakKeyDictionary):
        kept[held] = "held"
    else:
        kept["held"] = held
    try:
        with patience(60), limit():
            sys.setprofile(trace)
            del held
            sys.setprofile(None)
            left = signal.getitimer(signal.ITIMER_REAL)[0]
    finally:
        sys.setprofile(None)
    assert len(rung) == 1
    assert left > 30


def test_whoever_stands_still_at_every_look_hangs() -> None:
    looks: list[int] = []

    def stands() -> None:
        while True:
            looks.append(1)
            signal.raise_signal(signal.SIGALRM)

    with pytest.raises(Hung), patience(60), limit():
        stands()
    assert len(looks) == LOOKS + 1


def test_whoever_moves_between_two_looks_does_not_hang() -> None:
    """So does a process on a busy machine: the clock on the wall has gone on, and the process only now and then."""
    with patience(60), limit():
        for _ in range(4 * LOOKS):
            signal.raise_signal(signal.SIGALRM)
            pulse[0] += 1
        signal.raise_signal(signal.SIGALRM)


def test_work_without_any_progress_is_a_hang_and_with_progress_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    used = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: used[0])
    with patience(60), limit():
        for _ in range(9):
            used[0] += 59
            pulse[0] += 1
            signal.raise_signal(signal.SIGALRM)

    def works() -> None:
        while True:
            used[0] += 59
            signal.raise_signal(signal.SIGALRM)

    with pytest.raises(Hung), patience(60), limit():
        works()
    assert used[0] == 11 * 59


@pytest.mark.parametrize("ends", [True, False])
def test_threads_are_waited_for_unless_they_stand_still(ends: bool) -> None:
    let = threading.Event()
    threads = [threading.Thread(target=let.wait, daemon=True), threading.Thread(target=lambda: None)]
    for thread in threads:
        thread.start()
    if ends:
        let.set()
    assert joined(threads, 0.02) is ends
    let.set()


def test_the_inner_limit_is_its_own_and_the_outer_goes_on() -> None:
    rung: list[str] = []

    def nested() -> None:
        try:
            with patience(0.02), limit():
                endless()
        except Hung:
            rung.append("inner")
        endless()

    with pytest.raises(Hung), patience(0.1), limit():
        nested()
    assert rung == ["inner"]


@pytest.fixture
def alarm() -> Iterator[list[int]]:
    """Set the handler and the timer of somebody else; both are put back afterwards."""
    rung: list[int] = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def test_handlers_and_timers_are_put_back(alarm: list[int]) -> None:
    mine = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 3_000, 7)
    with pytest.raises(Hung), patience(0.02), limit():
        time.sleep(5)
    left, every = signal.getitimer(signal.ITIMER_REAL)
    assert signal.getsignal(signal.SIGALRM) is mine
    assert 2_000 < left <= 3_000
    assert every == 7
    assert alarm == []


def test_an_alarm_that_was_due_meanwhile_rings_afterwards(alarm: list[int]) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    with patience(1), limit():
        time.sleep(0.03)
        assert alarm == []
    time.sleep(0.02)
    assert alarm == [1]


def test_there_is_no_limit_in_another_thread() -> None:
    said: list[str] = []

    def work() -> None:
        before = signal.getsignal(signal.SIGALRM)
        with patience(0.01), limit():
            time.sleep(0.03)
        said.append("done" if signal.getsignal(signal.SIGALRM) is before else "handler")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["done"]


def test_a_step_that_hangs_ends_the_run() -> None:
    class Sleeps(base.Settling):  # type: ignore[misc]
        def reserve(self, scope: Any, amount: int) -> Any:
            time.sleep(30)

    run = Lockstep(Sleeps())
    run.open(new=0, amount=3)
    with patience(0.02):
        found = run.reserve(on=0, new=0, amount=1, agent=2)
    assert [f.anomaly for f in found] == ["hang"]
    assert found[0].sentence.endswith("work is left for p2")
    assert run.spoiled
    assert run.reserve(on=0, new=1, amount=1) == ()
    assert len(run.steps) == 2


# -------------------------------------------------------------------------------------------- determinism

JUDGE = """
import sys
sys.path.insert(0, {folder!r})
from capsound_checker.check.judging import judge
from capsound_checker.programs.program import CONCURRENT, FAULTY, STREAMS
for name in ("check_then_act", "late_refusal", "extension_not_reserved"):
    print(judge(__import__(name).Target, programs=20, enough=2, seed=3, profiles=(CONCURRENT, FAULTY, STREAMS)))
"""


def test_a_judgement_does_not_depend_on_hashing(process_env: Mapping[str, str]) -> None:
    code = JUDGE.format(folder=str(FOLDER))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**process_env, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for seed in ("0", "1", "random")
    ]
    said = [process.communicate(timeout=900) for process in running]
    assert [err for _, err in said] == [b""] * 3
    assert said[0] == said[1] == said[2]
    assert said[0][0].count(b"Judgement(") == 3


def test_another_seed_makes_other_programs() -> None:

    def said(seed: int) -> list[list[Step]]:
        return list(Driver(animal("check_then_act").Target, CONCURRENT).hunt(range(seed, seed + 20)))

    assert said(1) == said(1)
    assert said(1) != said(100)
