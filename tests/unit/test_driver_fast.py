"""The fast loop does the steps of the readable one, and suspects what that one suspects, at the same step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_adapter import ReferenceAdapter
from zoo import FOLDER, animal

from capsound.adapter import Adapter, Granted, Refused
from capsound.ledger_fast import FastLedger
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.driver_fast import FAST
from capsound_checker.programs.program import BEYOND, PROFILES, Profile

ODD = Profile("everything", dict.fromkeys(sorted(FAST), 1), (2, 0, 5), (1, 0, 2, 7), 30, 2, 5, 2, 6, misuse=20)
SHAPES = {**PROFILES, "odd": ODD, "alone": replace(ODD, overlap=False, a1=False), "large": BEYOND["amounts from 2^31"]}
ASKED = ("open", "reserve", "sent", "settle", "release", "forfeit", "extend", "delegate", "close", "merge", "observe")


class Silent(ReferenceAdapter):
    """Nobody tells it what has left."""

    strict = False
    sent = Adapter.sent


class Wide(ReferenceAdapter):
    """A cap of 0 would be none."""

    zero_is_unlimited = True


KINDS = {"reference": ReferenceAdapter, "silent": Silent, "wide": Wide}


def faulty(kind: type[Adapter], operation: str, when: int, how: str) -> type[Adapter]:
    """Return an adapter of which an operation goes wrong when it is asked for the ``when``-th time."""
    real = getattr(kind, operation)

    def instead(self: Any, *args: Any) -> Any:
        self.asked = getattr(self, "asked", 0) + 1
        if self.asked != when:
            return real(self, *args)
        if how == "fails":
            raise ValueError("it fails")
        if how == "refuses":
            raise Refused("it says no")
        value = real(self, *args)
        if how == "refuses late":
            raise Refused("it says no, and has done it")
        if operation == "delegate":
            return Granted(value, 1)
        if operation == "observe":
            return value[0], value[1], value[2] - 1
        return None if operation in ("open", "reserve") else value

    return type("Faulty", (kind,), {operation: instead})


def compared(target: type[Adapter], profile: Profile, data: bytes) -> None:
    fast, readable = Driver(target, profile), Driver(target, profile)
    if not set(fast.table) <= FAST:
        return
    fast.__dict__["fast"] = True  # one that fails at its third question is not asked for it here
    assert (fast.run(data), fast.operations) == (readable.readable(data), readable.operations)


@given(
    shape=st.sampled_from(sorted(SHAPES)),
    kind=st.sampled_from(sorted(KINDS)),
    data=st.binary(min_size=1, max_size=160),
)
def test_both_loops_do_the_same_on_what_is_right(shape: str, kind: str, data: bytes) -> None:
    compared(KINDS[kind], SHAPES[shape], data)


@given(
    shape=st.sampled_from(sorted(SHAPES)),
    kind=st.sampled_from(sorted(KINDS)),
    data=st.binary(min_size=40, max_size=160),
    operation=st.sampled_from(ASKED),
    when=st.integers(2, 9),
    how=st.sampled_from(("fails", "refuses", "refuses late", "lies")),
)
def test_both_loops_stop_at_the_same_step(
    shape: str, kind: str, data: bytes, operation: str, when: int, how: str
) -> None:
    if operation == "sent" and kind == "silent":
        operation = "settle"
    compared(faulty(KINDS[kind], operation, when, how), SHAPES[shape], data)


@pytest.mark.parametrize(
    "name",
    sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("zoo_base", "self_merge_deadlock")),
)
def test_both_loops_suspect_the_same_of_the_zoo(name: str) -> None:
    target = animal(name).Target
    for shape in SHAPES.values():
        driver = Driver(target, shape)
        for seed in range(8 if driver.fast else 0):
            compared(target, shape, driver.bytes_of(seed))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_both_loops_do_the_same_on_long_programs(kind: str) -> None:
    for shape in SHAPES.values():
        driver = Driver(KINDS[kind], shape)
        for seed in range(15):
            compared(KINDS[kind], shape, driver.bytes_of(seed))


def test_every_kind_of_step_is_done_by_the_fast_loop() -> None:
    """Else the comparison above says little."""
    seen: set[str] = set()
    for shape in SHAPES.values():
        driver = Driver(ReferenceAdapter, shape)
        for seed in range(60 if driver.fast else 0):
            assert driver.run(driver.bytes_of(seed)) is None
            seen |= {did[0] for did in driver._loop.program}
    assert seen == FAST


def test_both_loops_show_the_same_books() -> None:
    """What is visited is counted in both, after every step."""
    for shape in SHAPES.values():
        books: dict[str, list[tuple[Any, ...]]] = {"fast": [], "readable": []}

        def visit(ledger: FastLedger, into: str, books: dict[str, list[tuple[Any, ...]]] = books) -> None:
            books[into].append(tuple(tuple(getattr(ledger, name)) for name in FastLedger.__slots__))

        fast = Driver(ReferenceAdapter, shape, lambda ledger: visit(ledger, "fast"))
        readable = Driver(ReferenceAdapter, shape, lambda ledger: visit(ledger, "readable"))
        for seed in range(20 if fast.fast else 0):
            data = fast.bytes_of(seed)
            assert fast.run(data) == readable.readable(data)
        assert books["fast"] == books["readable"]
