"""The upper bound on overshoot is a proof or nothing: a solver that gives up rules nothing out."""

from __future__ import annotations

from typing import Any

import pytest
import z3

from capsound.machine import compile_scenario
from capsound.scenario import Agents, CallKind, Interval, Plain, Scenario
from capsound_proofs import worst
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.invariants import find
from capsound_proofs.terms import largest


class Tired:
    """A solver that decides its first question, and no other."""

    def __init__(self, **_: Any) -> None:
        self.asked = 0

    def statistics(self) -> z3.Statistics:
        return z3.Solver().statistics()

    def set(self, *_: Any) -> None: ...

    def add(self, *_: Any) -> None: ...

    def check(self, *_: Any) -> z3.CheckSatResult:
        self.asked += 1
        return z3.unsat if self.asked == 1 else z3.unknown


def test_giving_up_is_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    call = CallKind("c", Plain(Interval.exactly(31), Interval.exactly(23)))
    scenario = Scenario("race", Interval.exactly(60), "racy-counter", (Agents("w", 3, "root", "c"),), (call,))
    invariant = find(Abstraction(compile_scenario(scenario), Options(counts={0: 3})))
    assert worst.upper_bound(invariant, 60) == 9
    monkeypatch.setattr(z3, "SimpleSolver", Tired)
    assert worst.upper_bound(invariant, 60) == worst.UNBOUNDED - 1


@pytest.mark.parametrize("most", [0, 1, 2, 7, 8, 1000])
def test_the_largest_is_found(most: int) -> None:
    assert largest(lambda n: n <= most, 0) == most
