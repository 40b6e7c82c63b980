"""A tree of accounts is proved one account at a time: what is said of how many, and what is not said."""

from __future__ import annotations

from fractions import Fraction

import pytest

from capsound.machine import compile_scenario
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Interval, Plain, Request, Scenario, Slice
from capsound_proofs.accounts import accounts_of, summed_costs
from capsound_proofs.general import prove_in_general
from capsound_proofs.numeric import prove_by_account
from capsound_proofs.problem import Problem

CALL = CallKind("c", Plain(Interval(0, 31), Interval(0, 23)))


def problem_of(discipline: str, cap: int, *agents: Agents, slices: tuple[Slice, ...] = (), **more: object) -> Problem:
    assume = Assume(a1=False, shortfall=Fraction(3, 2)) if more.pop("short", False) else Assume()
    calls = more.pop("calls", (CALL,))
    scenario = Scenario("s", Interval.exactly(cap), discipline, agents, calls, slices=slices, assume=assume)  # type: ignore[arg-type]
    machine = compile_scenario(scenario, limit=64)
    asked: list[Property] = [prop for prop in default_properties(machine) if prop is not Property.HANDLES]
    return Problem(scenario, machine, asked, lambda _: None)


def own(count: int | None, grant: int, calls: int = 3) -> Agents:
    return Agents("w", count, "root", "c", calls=calls, own_slice=Interval.exactly(grant))


@pytest.mark.parametrize("count", [1, 64, 1000, None])
def test_any_number_of_accounts_of_their_own_is_two_proofs(count: int | None) -> None:
    problem = problem_of("racy-counter", 60, own(count, 50))
    accounts = accounts_of(problem)
    assert accounts is not None
    assert len(accounts) == 2
    prove_by_account(problem)
    assert {Property.CAP, Property.SLICE} <= set(problem.results)
    who = "any number of agents" if count is None else "these agents and calls"
    assert problem.results[Property.CAP].bound == f"proved for these amounts, {who}, every schedule"


def test_slices_that_are_used_alike_are_one_proof() -> None:
    slices = tuple(Slice(f"s{n}", "root", Interval.exactly(60)) for n in range(30))
    agents = tuple(Agents(f"w{n}", 1, f"s{n}", "c", calls=4) for n in range(30))
    problem = problem_of("racy-counter", 1800, *agents, slices=slices)
    accounts = accounts_of(problem)
    assert accounts is not None
    assert len(accounts) == 2
    prove_by_account(problem)
    assert Property.CAP in problem.results


def test_two_agents_on_one_of_many_slices_are_not_proved() -> None:
    slices = tuple(Slice(f"s{n}", "root", Interval.exactly(60)) for n in range(5))
    agents = tuple(Agents(f"w{n}", 2 if n == 3 else 1, f"s{n}", "c", calls=4) for n in range(5))
    problem = problem_of("racy-counter", 300, *agents, slices=slices)
    prove_by_account(problem)
    assert Property.CAP not in problem.results
    assert Property.SLICE not in problem.results


def test_a_check_on_the_root_does_not_see_what_is_delegated_after_it() -> None:
    """The one call of the root fits beside all slices, or it does not: 2 x 20 + 23 is 63."""
    boss = Agents("boss", 1, "root", "c")
    for cap, kept in ((63, True), (62, False)):
        problem = problem_of("racy-counter", cap, own(2, 20), boss)
        prove_by_account(problem)
        assert (Property.CAP in problem.results) is kept


def test_overruns_are_bounded_in_any_tree() -> None:
    slices = (Slice("s", "root", Interval.exactly(50)), Slice("t", "s", Interval.exactly(40)))
    problem = problem_of("split-and-return", 60, Agents("w", 3, "t", "c"), own(4, 5), slices=slices, short=True)
    prove_in_general(problem)
    assert Property.OVERRUN in problem.results
    assert problem.results[Property.OVERRUN].bound.endswith("every tree of slices")
    assert Property.CAP not in problem.results
    assert Property.SLICE not in problem.results


@pytest.mark.parametrize(("discipline", "kept"), [("split-and-return", True), ("copied-handles", False)])
def test_programs_that_use_each_handle_once_are_proved_for_all_amounts(discipline: str, kept: bool) -> None:
    lines = ("delegate root 40 -> a", "call a -> b", "call b -> c", "close c")
    problem = problem_of(discipline, 60, Agents("w", 2, "root", "c", program=lines))
    prove_in_general(problem)
    assert (Property.CAP in problem.results) is kept
    assert (Property.CONSERVATION in problem.results) is kept


def test_requests_are_summed_up_from_the_first_to_the_last_call() -> None:
    request = CallKind("c", Request(Interval(0, 10), max_output=5, growth=3))
    problem = problem_of("reserve-settle", 60, Agents("w", 1, "root", "c", calls=4), calls=(request,))
    (kind,) = summed_costs(problem).calls
    assert isinstance(kind.cost, Plain)
    assert kind.cost.bill == Interval(0, 10 + 5 + 3 * 3)
