"""Agents that come after others, that stop early, and that inherit what is left; and calls that must be affordable."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.explorer import explore
from capsound.loading import BadScenario, parse_scenario
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import parse_token, run_schedule
from capsound.verdict import Verdict
from capsound_proofs.solve import solve

CALL = "[[calls]]\nestimate = 50\nbill = 50\n"


def read(agents: str, head: str = "cap = 100\ndiscipline = 'reserve-settle'\n") -> Scenario:
    return parse_scenario(f"{head}{agents}{CALL}", path="s.toml", known_disciplines=DISCIPLINES)


INHERIT = "[[agents]]\nname = 'a'\nslice = 'what is left'\ncalls = 2\n"
BESIDE = INHERIT + INHERIT.replace("'a'", "'b'")


def test_side_by_side_an_inherited_budget_is_spent_twice_and_one_at_a_time_it_is_not() -> None:
    beside = solve(read(BESIDE, "cap = 100\ndiscipline = 'reserve-settle'\nproperties = ['cap']\n"))
    assert beside.verdict is Verdict.VIOLATED
    assert beside.worst is not None
    assert beside.worst.least == 100
    after = read(BESIDE + "after = ['a']\n", "cap = 100\ndiscipline = 'reserve-settle'\nproperties = ['cap']\n")
    assert solve(after).verdict is Verdict.SOUND


def test_what_a_child_has_spent_is_taken_from_its_parent_when_it_ends() -> None:
    machine = compile_scenario(read(INHERIT.replace("calls = 2", "calls = 1")))
    trace = run_schedule(machine, parse_token("cs1:100/0.0.0.0.0"))
    assert [step.action for step in trace.steps] == ["inherit", "check+reserve", "send", "settle", "roll up"]
    root, child = (trace.steps[-1].values[at : at + 6] for at in (0, 16))
    assert root == (50, 0, 0, 0, 50, 0)  # available, held, charged, forfeited, delegated, returned
    assert child == (0, 0, 50, 0, 0, 50)


def test_agents_start_when_those_before_them_are_done_or_dead() -> None:
    one = "[[agents]]\nname = 'last'\nafter = ['first']\n[[agents]]\nname = 'first'\n"
    machine = compile_scenario(read(one))
    assert machine.processes[0].places[0].after == (1,)
    found = explore(machine, [Property.PROGRESS, Property.CAP])
    assert not found.found
    assert found.depth == 6  # one after the other: no run is shorter or longer
    crashing = explore(compile_scenario(read(one + "[faults]\ncrash = 1\n")), [Property.PROGRESS])
    assert not crashing.found


def test_up_to_so_many_calls_is_any_number_of_them() -> None:
    machine = compile_scenario(read("[[agents]]\ncalls = 'up to 2'\n"))
    found = explore(machine, [Property.CAP], keep_states=True)
    (process,) = machine.processes
    assert [place.label for place in process.places].count("one more call?") == 2
    assert found.complete
    assert found.depth == 8


@pytest.mark.parametrize(
    ("cap", "flags", "says"),
    [(150, (), "No call of summary is ever refused"), (149, ("unaffordable",), "A call of summary can be refused")],
)
def test_whether_the_summary_can_always_be_paid_for(cap: int, flags: tuple[str, ...], says: str) -> None:
    agents = (
        "[[agents]]\nname = 'worker'\ncalls = 'up to 2'\n"
        "[[agents]]\nname = 'summary'\nafter = ['worker']\naffordable = true\n"
    )
    outcome = solve(read(agents, f"cap = {cap}\ndiscipline = 'reserve-settle'\n"))
    assert [flag for flag in outcome.flags if flag != "uninformative"] == list(flags)
    (sentence,) = [s for s in outcome.sentences if "summary" in s]
    assert sentence.startswith(says)
    if flags:
        trace = run_schedule(outcome.machine, parse_token(sentence.rpartition(" ")[2]))
        assert (trace.steps[-1].actor, trace.steps[-1].action) == ("summary", "check+reserve: refused")


def test_what_was_not_visited_is_not_decided() -> None:
    agents = "[[agents]]\nname = 'w'\ncount = 'any'\n[[agents]]\nname = 'summary'\naffordable = true\n"
    outcome = solve(read(agents, "cap = 'any'\ndiscipline = 'prepay'\n"))
    (sentence,) = [s for s in outcome.sentences if "summary" in s]
    assert "is ever refused" not in sentence


@pytest.mark.parametrize(
    ("agents", "says"),
    [
        ("[[agents]]\nname = 'a'\nafter = ['b']\n", 'there is no entry of agents called "b"'),
        ("[[agents]]\nname = 'a'\nafter = ['a']\n", "the agents wait for each other: a after a"),
        (
            "[[agents]]\nname = 'a'\nafter = ['b']\n[[agents]]\nname = 'b'\nafter = ['a']\n",
            "the agents wait for each other: a after b after a",
        ),
        (
            "[[agents]]\nname = 'a'\ncount = 'any'\n[[agents]]\nname = 'b'\nafter = ['a']\n",
            'waits for any number of "a"; 64 are the most',
        ),
        ("[[agents]]\nname = 'a'\ncount = 65\nslice = 'what is left'\n", '65 of "a" inherit what is left'),
        ("[[agents]]\ncalls = 'up to 0'\n", '"calls" in [[agents]] number 1 is "up to 0"'),
        ("[[agents]]\nslice = 'half'\n", '"slice" in [[agents]] number 1 is "half"'),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(agents: str, says: str) -> None:
    with pytest.raises(BadScenario) as caught:
        read(agents)
    assert says in caught.value.problems[0].message
    assert caught.value.problems[0].hint
