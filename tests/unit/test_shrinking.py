"""Shrinking returns the smallest program that shows the same, never one that does not, and always ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo import animal

from capsound.guarantees import Guarantee
from capsound_checker.check.judging import Tried
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import FIELDS, MISUSE, OVERRUNS, Program, Step
from capsound_checker.programs.shrinking import renumbered, shrink

number = st.integers(0, 4)
steps = st.builds(
    lambda do, agent, on, new, amount, bill: Step(
        do, **{k: v for k, v in zip(Step._fields[1:], (agent, on, new, amount, bill), strict=True) if k in FIELDS[do]}
    ),
    st.sampled_from(sorted(FIELDS)),
    st.integers(0, 2),
    number,
    number,
    st.integers(0, 9),
    st.integers(0, 9),
)
programs = st.lists(steps, min_size=1, max_size=14)


def noise(seed: int, *needed: Step) -> list[Step]:
    """Return the needed steps in their order, hidden among others."""
    chance = random.Random(seed)
    program = [Step("reserve", chance.randrange(3), chance.randrange(4), n, chance.randrange(9)) for n in range(20)]
    places = sorted(chance.sample(range(len(program)), len(needed)))
    for place, step in zip(places, needed, strict=True):
        program[place] = step
    return program


@pytest.mark.parametrize("seed", range(5))
def test_two_needed_steps_and_an_amount(seed: int) -> None:
    program = noise(seed, Step("open", new=3, amount=9), Step("extend", 2, 5, amount=8))

    def shows(candidate: Program) -> bool:
        kinds = [step.do for step in candidate]
        return (
            "open" in kinds
            and "extend" in kinds[kinds.index("open") :]
            and any(step.do == "extend" and step.amount >= 3 for step in candidate)
        )

    assert shrink(program, shows) == [Step("open", 0, 0, 0, 1), Step("extend", 0, 0, 0, 3)]


def test_amounts_that_depend_on_each_other_shrink_together() -> None:
    """A reservation that is above the cap by two: no single number can be made smaller."""
    program = [Step("open", new=0, amount=7), Step("reserve", 1, 0, 0, 9)]

    def shows(candidate: Program) -> bool:
        return (
            [s.do for s in candidate] == ["open", "reserve"]
            and candidate[1].amount == candidate[0].amount + 2
            and candidate[0].amount > 0
        )

    assert shrink(program, shows) == [Step("open", 0, 0, 0, 1), Step("reserve", 0, 0, 0, 3)]


def test_a_bill_shrinks_with_its_hold() -> None:
    program = [Step("open", amount=9), Step("reserve", amount=8), Step("send", bill=9)]

    def shows(candidate: Program) -> bool:
        return len(candidate) == 3 and candidate[2].bill == candidate[1].amount + 1 and candidate[1].amount > 0

    assert [s.amount for s in shrink(program, shows)] == [1, 1, 0]
    assert shrink(program, shows)[2].bill == 2


def test_agents_become_few_and_change_seldom() -> None:
    program = [Step("reserve", agent, 0, at, 1) for at, agent in enumerate((2, 1, 2, 0, 1, 2))]

    def shows(candidate: Program) -> bool:
        return len(candidate) == 6 and len({step.agent for step in candidate}) >= 2

    agents = [step.agent for step in shrink(program, shows)]
    assert sum(a != b for a, b in pairwise(agents)) <= 2
    assert set(agents) == {0, 1}


def test_an_amount_of_one_is_simpler_than_none() -> None:
    assert shrink([Step("open", amount=6)], bool) == [Step("open", amount=1)]
    assert shrink([Step("open", amount=0)], bool) == [Step("open", amount=1)]
    assert shrink([Step("send", bill=6)], bool) == [Step("send", bill=0)]


def predicate(seed: int) -> Callable[[Program], bool]:
    """Return an arbitrary predicate that says the same of the same program, whatever its numbers are called."""

    def shows(program: Program) -> bool:
        return random.Random(f"{seed} {renumbered(program)}").random() < 0.4

    return shows


@given(programs, st.integers(0, 1_000))
def test_any_predicate_ends_with_a_program_that_it_accepts(program: list[Step], seed: int) -> None:
    shows = predicate(seed)
    if not shows(program):
        return
    small = shrink(program, shows)
    assert shows(small)
    assert len(small) <= len(program)
    assert shrink(program, shows) == small


@given(programs, st.integers(0, 1_000))
def test_no_single_step_can_be_left_out(program: list[Step], seed: int) -> None:
    shows = predicate(seed)
    if not shows(program):
        return
    small = shrink(program, shows)
    assert len(small) == 1 or not any(shows(small[:at] + small[at + 1 :]) for at in range(len(small)))


@given(programs)
def test_every_candidate_is_smaller(program: list[Step]) -> None:
    """What is asked about is never larger than what was accepted last: this is why it ends."""
    lengths = [len(program)]

    def shows(candidate: Program) -> bool:
        assert len(candidate) <= lengths[-1]
        accepted = len(candidate) % 3 == 0
        if accepted:
            lengths.append(len(candidate))
        return accepted

    shrink(program, shows)
    assert lengths == sorted(lengths, reverse=True)


def test_the_time_that_passes_is_a_round_one_whatever_the_hour() -> None:
    """What ends a day or a week ends it after a number of seconds that depends on the moment of the check."""

    def shows(candidate: Program) -> bool:
        return run_with(candidate) >= 56_697

    assert shrink([Step("tick", amount=31 * 86_400)], shows) == [Step("tick", amount=86_400)]


def run_with(program: Program) -> int:
    """Return how many seconds pass for a target that says nothing of time."""
    run = Lockstep(animal("check_then_act").Target())
    for step in program:
        run.do(step)
    return sum(step.amount for step in run.steps if step.do == "tick")


# ------------------------------------------------------------------------------------------- new numbers


def test_numbers_are_given_in_the_order_of_appearance() -> None:
    program = [
        Step("open", new=4, amount=6),
        Step("delegate", 2, 4, 7, 2),
        Step("reserve", 1, 7, 9, 1),
        Step("send", 1, 9, bill=1),
        Step("bad", 2, 9, 1, 3),
        Step("bad", 2, 7, 0, 3),
        Step("merge", 1, 4, 7),
        Step("reserve", 1, 4, 8, 1),
        Step("delegate", 1, 4, 5, 1),
        Step("delegate", 1, 4, 3, 1),
        Step("merge", 1, 5, 3),
    ]
    assert renumbered(program) == [
        Step("open", new=0, amount=6),
        Step("delegate", 0, 0, 1, 2),
        Step("reserve", 1, 1, 0, 1),
        Step("send", 1, 0, bill=1),
        Step("bad", 0, 0, 1, 3),
        Step("bad", 0, 1, 0, 3),
        Step("merge", 1, 0, 1),
        Step("reserve", 1, 0, 1, 1),
        Step("delegate", 1, 0, 2, 1),
        Step("delegate", 1, 0, 3, 1),
        Step("merge", 1, 2, 3),
    ]
    assert renumbered(renumbered(program)) == renumbered(program)


@pytest.mark.parametrize("name", ["double_settle_moves_twice", "never_refuses", "close_twice_returns_twice"])
@given(st.integers(0, 10_000), st.permutations(range(12)), st.permutations(range(20)), st.permutations(range(3)))
def test_new_numbers_mean_the_same(
    name: str, seed: int, accounts: list[int], holds: list[int], agents: list[int]
) -> None:
    """A real program with its numbers shuffled is renumbered into one that shows the same."""
    from capsound_checker.programs.driver import Driver

    target = animal(name).Target
    driver = Driver(target, (MISUSE, OVERRUNS)[seed % 2])
    run = driver.further((Step("open", amount=4),), random.Random(seed).randbytes(80))
    on_accounts = ("delegate", "close", "merge", "reserve", "clone_scope")

    def shuffled(step: Step) -> Step:
        about_hold = step.do == "bad" and step.new % 8 in (1, 3)
        on = step.on
        if step.do != "open":
            on = (accounts if step.do in on_accounts or (step.do == "bad" and not about_hold) else holds)[step.on]
        new = step.new
        if step.do in ("open", "delegate", "merge", "clone_scope"):
            new = accounts[step.new]
        elif step.do == "reserve":
            new = holds[step.new]
        return step._replace(on=on, new=new, agent=step.agent if step.do == "open" else agents[step.agent])

    mixed = [shuffled(step) for step in run.steps]
    again = Lockstep(target()).run(renumbered(mixed))
    straight = Lockstep(target()).run(renumbered(run.steps))
    assert [(f.anomaly, f.sentence) for f in again.findings] == [(f.anomaly, f.sentence) for f in straight.findings]
    assert [f.anomaly for f in straight.findings][: len(run.findings)] == [f.anomaly for f in run.findings]


def test_each_program_is_run_once_however_many_are_made_smaller() -> None:
    """One is made smaller for its overshoot, for anything at all, and for what it refutes: all meet the same neighbours."""
    target, ran = animal("check_then_act").Target, list[None]()

    class Counted(target):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            ran.append(None)

    race = [Step("open", amount=40)]
    race += [Step("reserve", n, 0, n, 40 - n) for n in range(3)]
    race += [step for n in range(3) for step in (Step("send", n, n, bill=40 - n), Step("settle", n, n))]
    known = Tried(Counted)
    small = {name: shrink(race, known.shows(name)) for name in ("overshoot", "stale-admit", None)}
    smaller = shrink(race, known.refutes(Guarantee.CONCURRENT))
    once = len(ran)
    assert small == {name: shrink(race, known.shows(name)) for name in small}
    assert smaller == shrink(race, known.refutes(Guarantee.CONCURRENT))
    assert len(ran) == once
    fresh = {name: shrink(race, Tried(target).shows(name)) for name in small}
    assert (small, smaller) == (fresh, shrink(race, Tried(target).refutes(Guarantee.CONCURRENT)))


def test_a_program_that_breaks_an_adapter_in_another_way_shows_and_refutes_nothing() -> None:
    class Broken(animal("check_then_act").Target):  # type: ignore[misc]
        def check(self, scope: object, amount: int) -> bool:
            raise LookupError("no such thing")

    program, known = [Step("open", amount=1), Step("reserve", amount=1)], Tried(Broken)
    assert not known.shows(None)(program)
    assert not known.refutes(Guarantee.STOPS)(program)
