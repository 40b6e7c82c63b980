"""Choices are what a run is made of: written down they repeat it, and all of them are all schedules."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from capsound_checker.programs.exhaust import Opaque
from capsound_checker.schedules.interleave import (
    BadChoice,
    Chance,
    Chooser,
    Exhaustive,
    NotRepeatable,
    Priorities,
    Replay,
    coroutines,
    every,
    trimmed,
)


class Shared:
    def __init__(self) -> None:
        self.spent = 0
        self.order: list[int] = []


Body = Callable[[Shared], Coroutine[Any, Any, None]]


async def two_steps(shared: Shared) -> None:
    fits = shared.spent + 60 <= 100
    await asyncio.sleep(0)
    if fits:
        shared.spent += 60


async def three_steps(shared: Shared) -> None:
    before = shared.spent
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shared.spent = before + 60


async def on_the_stack(shared: Shared) -> None:
    shared.spent += await one()  # what `spent` was is on the stack while this waits, and in no variable


async def one() -> int:
    await asyncio.sleep(0)
    return 1


async def guarded(shared: Shared) -> None:
    if shared.spent + 60 <= 100:
        shared.spent += 60
        await asyncio.sleep(0)
        shared.order.append(shared.spent)


def made(body: Body, count: int) -> Callable[[], tuple[Shared, list[Coroutine[Any, Any, None]]]]:
    def make() -> tuple[Shared, list[Coroutine[Any, Any, None]]]:
        shared = Shared()
        return shared, [body(shared) for _ in range(count)]

    return make


@pytest.mark.parametrize(("body", "steps"), [(two_steps, 2), (three_steps, 3), (on_the_stack, 2)])
@pytest.mark.parametrize("count", [2, 3])
def test_without_merging_every_interleaving_is_run_once(body: Body, steps: int, count: int) -> None:
    runs = [(choices, far) for choices, _, far in coroutines(made(body, count), merge=False)]
    assert len(runs) == math.factorial(steps * count) // math.factorial(steps) ** count
    assert len({choices for choices, _ in runs}) == len(runs)
    assert runs[-1][1].complete
    assert not any(far.complete for _, far in runs[:-1])


@pytest.mark.parametrize("body", [two_steps, three_steps, on_the_stack, guarded])
@pytest.mark.parametrize("alike", [False, True])
def test_merging_states_loses_no_outcome(body: Body, alike: bool) -> None:
    all_ends = {shared.spent for _, shared, _ in coroutines(made(body, 3), merge=False)}
    merged = list(coroutines(made(body, 3), alike=alike))
    assert {shared.spent for _, shared, _ in merged if shared is not None} == all_ends
    assert merged[-1][2].complete
    assert merged[-1][2].schedules <= sum(1 for _ in coroutines(made(body, 3), merge=False))


def test_four_tasks_alike_need_few_schedules() -> None:
    full = math.factorial(12) // math.factorial(3) ** 4
    *_, (_, _, apart) = coroutines(made(three_steps, 4))
    *_, (_, _, alike) = coroutines(made(three_steps, 4), alike=True)
    assert full == 369_600
    assert (apart.complete, alike.complete) == (True, True)
    assert apart.schedules <= 2_520
    assert alike.schedules <= 200


def test_what_a_task_has_on_its_stack_is_part_of_the_state() -> None:
    ends = {shared.spent for _, shared, _ in coroutines(made(on_the_stack, 2)) if shared is not None}
    assert ends == {1, 2}, "the lost update, and its absence"


def test_a_state_that_cannot_be_read_is_not_guessed() -> None:
    class Hidden:
        def __init__(self) -> None:
            self.inside = memoryview(b"1")

    def make() -> tuple[Hidden, list[Coroutine[Any, Any, int]]]:
        return Hidden(), [one(), one()]

    with pytest.raises(Opaque, match="memoryview"):
        list(coroutines(make))
    assert len(list(coroutines(make, merge=False))) == 6


COUNTER = {"n": 0}


def test_a_variable_of_a_module_is_part_of_the_state() -> None:
    async def counts(shared: Shared) -> None:
        COUNTER["n"] += 1
        mine = COUNTER["n"]
        await asyncio.sleep(0)
        shared.order.append(mine * 10 + COUNTER["n"])

    def make() -> tuple[Shared, list[Coroutine[Any, Any, None]]]:
        COUNTER["n"] = 0
        shared = Shared()
        return shared, [counts(shared) for _ in range(2)]

    plain = {tuple(shared.order) for _, shared, _ in coroutines(make, merge=False)}
    merged = {tuple(shared.order) for _, shared, _ in coroutines(make) if shared is not None}
    assert merged == plain


def test_a_bound_limits_how_often_a_proposal_is_declined() -> None:
    counts = []
    for bound in range(4):
        runs = list(coroutines(made(three_steps, 3), merge=False, bound=bound))
        assert all(sum(1 for c in choices if c) <= bound for choices, _, _ in runs)
        assert not runs[-1][2].complete
        assert str(bound) in runs[-1][2].why
        counts.append(len(runs))
    assert counts[0] == 1
    assert counts == sorted(set(counts))


def test_a_search_that_is_cut_short_says_so() -> None:
    runs = list(coroutines(made(three_steps, 3), merge=False, schedules=7))
    assert len(runs) == 7
    assert (runs[-1][2].complete, runs[-1][2].why) == (False, "stopped after 7 schedules")


# ------------------------------------------------------------------------------------------- the choosers


def asked(chooser: Chooser, points: Sequence[Sequence[int]]) -> list[int]:
    return [chooser.choose(actors) for actors in points]


POINTS = [[0, 1, 2]] * 6


def test_written_choices_are_followed_and_then_the_proposals() -> None:
    replay = Replay((2, 0, 1))
    assert asked(replay, POINTS) == [2, 0, 1, 0, 0, 0]
    assert replay.choices == (2, 0, 1)


def test_a_choice_that_is_not_offered_is_refused() -> None:
    with pytest.raises(BadChoice, match="choice 2 is 3, where the run offers 0 to 2") as caught:
        asked(Replay((0, 3)), POINTS)
    assert caught.value.exit_status == 65


@pytest.mark.parametrize("make", [Chance, lambda seed: Priorities(seed, 3, 6)])
def test_chance_is_the_same_for_the_same_seed(make: Callable[[int], Chooser]) -> None:
    runs = [asked(make(seed), POINTS) for seed in range(30)]
    assert runs == [asked(make(seed), POINTS) for seed in range(30)]
    assert len({tuple(run) for run in runs}) > 5


def test_priorities_change_hands_at_most_as_often_as_the_depth_says() -> None:
    for seed in range(100):
        for depth in (1, 2, 3):
            run = asked(Priorities(seed, depth, len(POINTS)), POINTS)
            assert sum(a != b for a, b in itertools.pairwise(run)) <= depth - 1


def test_priorities_reach_every_order_of_two_actors() -> None:
    seen = {tuple(asked(Priorities(seed, 2, 4), [[0, 1]] * 4)) for seed in range(200)}
    assert {(0, 0, 1, 1), (1, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1)} <= seen


def test_zeros_at_the_end_need_not_be_written() -> None:
    assert trimmed([1, 0, 2, 0, 0]) == (1, 0, 2)
    assert trimmed([0, 0]) == ()


def test_a_run_that_does_not_repeat_is_noticed() -> None:
    widths = iter([3, 3, 3, 2])

    def run(chooser: Chooser) -> None:
        chooser.choose(range(next(widths)))
        chooser.choose(range(2))

    with pytest.raises(NotRepeatable, match="was among 3, and is now among 2") as caught:
        list(every(run))
    assert caught.value.exit_status == 2


def test_choices_of_a_search_repeat_its_runs() -> None:
    def run(chooser: Chooser) -> tuple[int, ...]:
        first = chooser.choose(range(3))
        return first, *(chooser.choose(range(2)) for _ in range(first))

    runs = list(every(run))
    assert len(runs) == 1 + 2 + 4
    assert [run(Replay(choices)) for choices, _, _ in runs] == [result for _, result, _ in runs]


def test_a_cycle_is_told_from_a_state_that_another_run_had_seen() -> None:
    chooser = Exhaustive()
    chooser.choose(range(2), lambda: "a")
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever cuts a run
        chooser.choose(range(2), lambda: "a")
    assert chooser.cycle
