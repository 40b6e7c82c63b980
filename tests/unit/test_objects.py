"""Two states are the same only if nothing that can be reached tells them apart."""

from __future__ import annotations

import asyncio
import collections
import contextvars
import enum
import functools
import itertools
import random
import types
import weakref
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Generic, TypeVar

import pytest

from capsound_checker.programs.exhaust import Opaque
from capsound_checker.schedules.eventloop import new_loop
from capsound_checker.schedules.objects import Reader, World


def read(value: Any) -> object:
    return Reader(World()).read(value)


class Plain:
    kind = "plain"

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


class Slotted:
    __slots__ = ("__hidden", "open")

    def __init__(self, hidden: int) -> None:
        self.open = 0
        self.__hidden = hidden


T = TypeVar("T")


class Sized(Generic[T]):
    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size


class Amount(int):
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def closure(value: Any) -> Callable[[], Any]:
    return lambda: value


def after(values: list[int], steps: int) -> Any:
    iterator = iter(values)
    for _ in range(steps):
        next(iterator)
    return iterator


def generator(steps: int) -> Any:
    def body() -> Any:
        yield 1
        yield 1

    made = body()
    for _ in range(steps):
        next(made)
    return made


def remembered(value: Any) -> Any:
    shared = Plain()
    return Plain(one=shared, two=shared if value else Plain())


DIFFERENT: list[tuple[str, Callable[[Any], Any]]] = [
    ("number", lambda n: n),
    ("true and one", lambda n: True if n else 1),
    ("float and int", lambda n: 1.0 if n else 1),
    ("attribute", lambda n: Plain(x=n)),
    ("hidden slot", Slotted),
    ("slot of a generic class", Sized),
    ("subclass of int", lambda n: Amount(n)),
    ("decimal", lambda n: Decimal(n)),
    ("enum", lambda n: Colour.RED if n else Colour.BLUE),
    ("deque", lambda n: collections.deque([n])),
    ("defaultdict", lambda n: collections.defaultdict(int, a=n)),
    ("set", lambda n: {n, "x"}),
    ("order of a dict", lambda n: dict([("a", 1), ("b", 1)][:: 1 if n else -1])),
    ("closure", closure),
    ("default", lambda n: types.FunctionType(closure.__code__, {}, "f", (n,))),
    ("partial", lambda n: functools.partial(print, n)),
    ("method", lambda n: Plain(x=n).__init__),
    ("weak reference", lambda n: (kept := Plain(x=n), weakref.ref(kept))),
    ("place of an iterator", lambda n: after([1, 1, 1], n)),
    ("place of a generator", generator),
    ("counter", lambda n: itertools.count(n)),
    ("generator of random numbers", lambda n: random.Random(n)),
    ("error", lambda n: ValueError(n)),
    ("two and one twice", remembered),
]


@pytest.mark.parametrize(("name", "make"), DIFFERENT, ids=[name for name, _ in DIFFERENT])
def test_what_differs_is_told_apart_and_what_does_not_is_not(name: str, make: Callable[[Any], Any]) -> None:
    assert read(make(0)) != read(make(1))
    assert read(make(1)) == read(make(1))


@pytest.mark.parametrize(
    "value",
    [memoryview(b"1"), contextvars.ContextVar("v"), functools.cache(int), Plain(inside=memoryview(b""))],
    ids=["memory", "context variable", "cache", "inside"],
)
def test_what_cannot_be_read_is_not_guessed(value: Any) -> None:
    with pytest.raises(Opaque):
        read(value)


def test_what_goes_round_in_a_circle_is_read_once() -> None:
    one = Plain()
    one.itself = one  # type: ignore[attr-defined]
    assert "again" in repr(read(one))


@pytest.mark.parametrize("where", ["class", "module", "closure"])
def test_variables_outside_of_objects_are_read(where: str) -> None:
    held = [0]

    class Counts:
        total = 0

        def add(self) -> None:
            held.append(GLOBAL[0])

    def told() -> object:
        world = World()
        world.reach(Counts)
        return Reader(world).variables()

    before = told()
    assert told() == before
    if where == "class":
        Counts.total += 1
    elif where == "module":
        GLOBAL[0] += 1
    else:
        held.append(1)
    assert told() != before


GLOBAL = [0]


def test_a_future_is_its_state_and_who_waits_for_it() -> None:
    loop = new_loop()
    with loop.running():
        one, two = loop.create_future(), loop.create_future()
        assert read(one) == read(two)
        two.add_done_callback(print)
        assert read(one) != read(two)
        one.set_result(1)
        assert read(one) != read(loop.create_future())


def test_a_coroutine_is_where_it_is_suspended_and_what_it_has_on_its_stack() -> None:
    async def adds(spent: int) -> int:
        return spent + await asyncio.sleep(0, 1)

    async def keeps(box: list[int]) -> None:
        box[0] += await asyncio.sleep(0, 1)

    made = []
    for number in (1, 2):
        coroutine, box = adds(number), [number]
        stack = keeps(box)
        for one in (coroutine, stack):
            one.send(None)
        box[0] = 0  # only the stack remembers
        made.append((coroutine, stack))
    (first, first_stack), (second, second_stack) = made
    assert read(first) != read(second)
    assert read(first_stack) != read(second_stack)
    assert read(first) == read(first)
    for pair in made:
        for one in pair:
            one.close()
