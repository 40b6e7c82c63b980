"""How one operation ended: every kind of answer, and no exception of a library passes unclassified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest

from capsound.adapter import (
    OPERATIONS,
    Adapter,
    Answer,
    Errors,
    Granted,
    Kind,
    NotOffered,
    Refused,
    Rejected,
    Stale,
    ask,
    classify,
    offers,
)


class Over(Exception):
    pass


class Bad(Exception):
    pass


class Gone(Exception):
    pass


class Doing(Adapter):
    """Does in ``reserve`` whatever it was made with."""

    refused: ClassVar[Errors] = (Over,)
    rejected: ClassVar[Errors] = (Bad, ValueError)
    stale: ClassVar[Errors] = (Gone,)

    def __init__(self, does: Callable[..., Any] = lambda: None) -> None:
        self.does = does

    def reserve(self, scope: Any, amount: int) -> Any:
        return self.does()


def raising(error: BaseException) -> Callable[[], Any]:
    def does() -> Any:
        raise error

    return does


def asked(does: Callable[..., Any]) -> Answer:
    return ask(Doing(does), "reserve", None, 1)


# ------------------------------------------------------------------------------------------------ kinds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused("a"), Kind.REFUSED),
        (Over("a"), Kind.REFUSED),
        (Rejected("a"), Kind.REJECTED),
        (Bad("a"), Kind.REJECTED),
        (UnicodeError("a subclass"), Kind.REJECTED),
        (Stale("a"), Kind.STALE),
        (Gone("a"), Kind.STALE),
        (KeyError("a"), Kind.FAILED),
        (TimeoutError("a"), Kind.FAILED),
        (SystemExit(3), Kind.FAILED),
        (GeneratorExit(), Kind.FAILED),
        (asyncio.CancelledError(), Kind.FAILED),
        (NotOffered("a"), Kind.FAILED),
    ],
    ids=repr,
)
def test_exceptions_are_classified_by_what_the_adapter_declares(error: BaseException, kind: Kind) -> None:
    async def later() -> Any:
        await asyncio.sleep(0)
        raise error

    for answer in (asked(raising(error)), asked(later)):
        assert answer.kind is kind
        assert answer.value is None
        assert answer.why.startswith(f"{type(error).__name__}: ")
    assert classify(Doing(), error) == asked(raising(error))


def test_one_class_declared_twice_is_a_refusal_first_and_stale_before_rejected() -> None:
    class Vague(Doing):
        refused = (Over,)
        stale = (Over, Gone)
        rejected = (Over, Gone, Bad)

    kinds = [classify(Vague(), error).kind for error in (Over(), Gone(), Bad())]
    assert kinds == [Kind.REFUSED, Kind.STALE, Kind.REJECTED]


def test_a_declared_system_exit_is_an_outcome() -> None:
    class Exits(Doing):
        refused = (SystemExit,)

    assert ask(Exits(raising(SystemExit(1))), "reserve", None, 1).kind is Kind.REFUSED


def test_the_users_interrupt_passes() -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    for does in (raising(KeyboardInterrupt()), later):
        with pytest.raises(KeyboardInterrupt):
            asked(does)


def test_a_value_is_handed_on_whatever_it_is() -> None:
    for value in (None, False, 0, (), Granted("scope", 3), Kind.REFUSED):
        assert asked(lambda v=value: v) == Answer(Kind.DONE, value)


def test_a_stop_iteration_of_a_plain_operation_is_a_failure_and_no_success() -> None:
    """An adapter that looks for something with ``next`` and finds nothing has not done its operation."""
    assert asked(lambda: next(iter(()))).kind is Kind.FAILED


# ------------------------------------------------------------------------------------------- coroutines


def test_a_coroutine_is_stepped_to_its_end() -> None:
    async def inner() -> int:
        await asyncio.sleep(0)
        return 4

    async def outer() -> int:
        total = 0
        for _ in range(50):
            total += await inner()
        return total

    assert asked(outer) == Answer(Kind.DONE, 200)


def test_a_coroutine_that_never_suspends() -> None:
    async def at_once() -> str:
        return "x"

    assert asked(at_once) == Answer(Kind.DONE, "x")


def test_a_coroutine_that_never_ends_hangs_and_is_closed() -> None:
    cleaned: list[str] = []

    async def waits() -> None:
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            cleaned.append("up")

    answer = asked(waits)
    assert (answer.kind, cleaned) == (Kind.HUNG, ["up"])
    assert answer.why == "reserve was suspended 1000 times"


def test_a_coroutine_that_never_ends_and_will_not_be_closed_hangs_all_the_same() -> None:
    held: list[Coroutine[Any, Any, None]] = []
    let = [False]

    async def stubborn() -> None:
        while not let[0]:
            try:
                await asyncio.sleep(0)
            except GeneratorExit:
                if let[0]:
                    raise
                await asyncio.sleep(0)

    def does() -> Coroutine[Any, Any, None]:
        held.append(stubborn())
        return held[0]

    try:
        assert asked(does).kind is Kind.HUNG
    finally:
        let[0] = True
        held[0].close()


def test_what_is_marked_as_hung_hangs() -> None:
    class Alarm(TimeoutError):
        hung = True

    class Declared(Doing):
        refused = (TimeoutError,)

    assert asked(raising(Alarm("late"))) == Answer(Kind.HUNG, why="Alarm: late")
    assert ask(Declared(raising(Alarm("late"))), "reserve", None, 1).kind is Kind.HUNG
    assert ask(Declared(raising(TimeoutError("late"))), "reserve", None, 1).kind is Kind.REFUSED


# ---------------------------------------------------------------------------------------------- offers


class Small(Adapter):
    def open(self, cap: int) -> Any:
        return cap

    def spent(self, scope: Any) -> int:
        return 1


class Middle(Small):
    def settle(self, hold: Any, actual: int) -> None:
        return None


class Large(Middle):
    def open(self, cap: int) -> Any:
        return cap + 1

    def observe(self, scope: Any) -> tuple[int | None, int | None, int | None]:
        return 1, None, None


class Less(Large):
    """Takes one operation back."""

    settle = Adapter.settle


def test_offers_are_what_is_overridden_anywhere_above() -> None:
    assert offers(Adapter) == frozenset()
    assert offers(Small) == {"open", "spent"}
    assert offers(Middle) == offers(Middle()) == {"open", "spent", "settle"}
    assert offers(Large()) == {"open", "spent", "settle"}, "observe is no operation of its own"
    assert offers(Less) == {"open", "spent"}


def test_a_mixin_counts() -> None:
    class Mixin:
        def release(self, hold: Any) -> None:
            return None

    class Mixed(Mixin, Small):
        pass

    assert offers(Mixed) == {"open", "spent", "release"}


def test_every_operation_is_a_method_of_the_base_and_says_what_is_offered_instead() -> None:
    arguments = {"open": 1, "merge": 2, "call": 3}
    two = {"reserve", "settle", "extend", "check", "charge", "record", "delegate"}
    for name in set(OPERATIONS) - offers(Middle):
        count = arguments.get(name, 2 if name in two else 1)
        answer = ask(Middle(), name, *range(count))
        assert answer.kind is Kind.FAILED
        assert answer.why == f"NotOffered: Middle does not offer '{name}' [not-offered]"
    with pytest.raises(NotOffered) as caught:
        Middle().merge(1, 2)
    assert caught.value.hint == "override it where the implementation has it; it offers: open, settle, spent"


def test_observe_tells_none_for_what_is_not_offered() -> None:
    assert Small().observe(0) == (1, None, None)
    assert Adapter().observe(0) == (None, None, None)


class Told(Adapter):
    """Tells its balances by coroutines, of which one may wait."""

    waits: ClassVar[bool] = False

    async def spent(self, scope: Any) -> Any:
        while self.waits:
            await asyncio.sleep(0)
        return 3

    async def remaining(self, scope: Any) -> Any:
        return 4


class Waits(Told):
    waits: ClassVar[bool] = True


def test_balances_may_be_told_by_coroutines_that_wait_for_nothing() -> None:
    assert Told().observe(None) == (3, None, 4)
    with pytest.raises(RuntimeError, match="spent waits for something"):
        Waits().observe(None)
