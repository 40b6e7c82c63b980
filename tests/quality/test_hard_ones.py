"""Rare faults, and how often each engine finds them: in at least so many of so many runs, with so many programs.

One run proves little of an engine that draws; a fault that is found in nine of ten runs is found. The numbers
here are well below what was measured, so that they fail when an engine gets worse, and not by bad luck.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from zoo import FOLDER

sys.path.insert(0, str(FOLDER))
from zoo_base import Account, Hold, Merging, Streaming, whole

from capsound.adapter import Adapter
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.machines import Violation, machine
from capsound_checker.programs.program import PROFILES
from capsound_checker.programs.shrinking import shrink


class ForgetsAtDepth(Account):
    """A merge across two levels leaves one unit behind."""

    def give(self, to: Account) -> None:
        if to is not self.parent and self.available > 0 and self.parent is not None and self.parent.parent is not None:
            self.available -= 1
        super().give(to)


class DropsTheSecondExtension(Account):
    """A hold that was extended twice and billed in full is charged without the second extension."""

    def extend(self, hold: Hold, amount: object) -> None:
        super().extend(hold, amount)
        hold.extensions = [*getattr(hold, "extensions", []), whole(amount)]  # type: ignore[attr-defined]

    def resolve(self, hold: Hold, cost: int) -> None:
        extensions = getattr(hold, "extensions", [])
        if len(extensions) == 2 and extensions[1] and cost == hold.amount:
            self.spent -= extensions[1]
            self.available += extensions[1]
        super().resolve(hold, cost)


class ForgivesADoubleBill(Account):
    """A bill of exactly twice the hold counts once, if the account was in debt before."""

    def resolve(self, hold: Hold, cost: int) -> None:
        twice = cost == 2 * hold.amount > 0 and self.available < 0
        super().resolve(hold, hold.amount if twice else cost)


class ClosesInDebt(Account):
    """A slice that is closed in debt has its debt forgotten, if it still has had a slice of its own."""

    def delegate(self, amount: object) -> Account:
        self.had = True
        return super().delegate(amount)

    def close(self) -> None:
        debt = self.available < 0 and getattr(self, "had", False)
        super().close()
        if debt and self.parent is not None:
            self.parent.available += 1


class Depth(Merging):
    account = ForgetsAtDepth


class Extension(Streaming):
    account = DropsTheSecondExtension


class Double(Merging):
    account = ForgivesADoubleBill


class Debt(Merging):
    account = ClosesInDebt


def hunted(adapter: type[Adapter], profile: str, start: int, programs: int) -> bool:
    driver = Driver(adapter, PROFILES[profile])
    return any(Lockstep(adapter()).run(p).wrong() for p in driver.hunt(range(start, start + programs)))


@pytest.mark.parametrize(
    ("adapter", "profile", "programs", "at_least"),
    [
        (Depth, "delegated", 2_000, 9),
        (Extension, "streaming", 1_000, 9),
        (Double, "overruns", 12_000, 8),
        (Debt, "overruns", 3_000, 9),
    ],
)
def test_driver_finds_it_in_most_of_ten_runs(
    adapter: type[Adapter], profile: str, programs: int, at_least: int
) -> None:
    found = [hunted(adapter, profile, run * 1_000_000, programs) for run in range(10)]
    assert sum(found) >= at_least, found


@pytest.mark.deep
@pytest.mark.parametrize(
    ("adapter", "profile", "examples", "at_least"),
    [(Extension, "streaming", 200, 2)],
)
def test_machine_finds_it_in_most_of_five_runs(
    adapter: type[Adapter], profile: str, examples: int, at_least: int
) -> None:
    found = 0
    for run in range(5):
        made = seed(run)(machine(adapter, PROFILES[profile]))
        try:
            run_state_machine_as_test(
                made,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=48,
                    deadline=None,
                    derandomize=False,
                    database=None,
                    phases=[Phase.generate, Phase.target],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except Violation:
            found += 1
    assert found >= at_least


@pytest.mark.parametrize(
    ("adapter", "profile", "steps"),
    [(Depth, "delegated", 5), (Extension, "streaming", 6), (Double, "overruns", 7), (Debt, "overruns", 8)],
)
def test_what_is_found_is_shrunk_to_the_point(adapter: type[Adapter], profile: str, steps: int) -> None:
    """From whatever program it is found by, at most so many steps are left."""
    driver = Driver(adapter, PROFILES[profile])
    lengths = []
    for program in driver.hunt(range(50_000)):
        if Lockstep(adapter()).run(program).wrong():
            lengths.append(len(shrink(program, lambda p: bool(Lockstep(adapter()).run(p).wrong()))))
            if len(lengths) == 5:
                break
    assert len(lengths) == 5
    assert max(lengths) <= steps, lengths
