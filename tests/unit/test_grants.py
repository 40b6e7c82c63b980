"""Remarks on grants: slices that cannot all be open at once, and agents that can never call."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import parse_scenario
from capsound.scenario import Scenario
from capsound_proofs.grants import idle_agents, over_granted
from capsound_proofs.solve import solve


def scenario(slices: str, agents: str, cap: str = "100", estimate: str = "30") -> Scenario:
    text = (
        f'cap = {cap}\ndiscipline = "reserve-settle"\n{slices}\n{agents}\n[[calls]]\nestimate = {estimate}\nbill = 30\n'
    )
    return parse_scenario(text, known_disciplines=DISCIPLINES)


def entry(name: str, more: str) -> str:
    return f'[[agents]]\nname = "{name}"\n{more}\n'


def cut(name: str, grant: str, parent: str = "root") -> str:
    return f'[[slices]]\nname = "{name}"\ngrant = {grant}\n' + (f'parent = "{parent}"\n' if parent != "root" else "")


TWO = cut("x", "60") + cut("y", "60")
ON_BOTH = entry("a", 'account = "x"') + entry("b", 'account = "y"')


def test_slices_that_exceed_their_account_and_who_is_left_without_one() -> None:
    outcome = solve(scenario(TWO, ON_BOTH))
    assert {"over-granted", "idle-agent"} <= set(outcome.flags)
    assert "The slices of root add up to 120, and root has 100." in outcome.sentences
    assert "No agent of b can ever call: no estimate of call fits y." in outcome.sentences


@pytest.mark.parametrize(
    ("slices", "agents", "cap", "wanted"),
    [
        (cut("x", "60") + cut("y", "40"), ON_BOTH, "100", []),
        (TWO, ON_BOTH, '"any"', []),
        (cut("x", "{ min = 10, max = 90 }") + cut("y", "60"), ON_BOTH, "100", []),
        (
            cut("x", "60") + cut("y", "30", "x") + cut("z", "31", "x"),
            ON_BOTH,
            "100",
            ["The slices of x add up to 61, and x has 60."],
        ),
        ("", entry("a", "count = 3\nslice = 40"), "100", ["The slices of root add up to 120, and root has 100."]),
        ("", entry("a", 'count = "any"\nslice = 40'), "100", []),
    ],
)
def test_only_what_is_sure_is_told_of_slices(slices: str, agents: str, cap: str, wanted: list[str]) -> None:
    assert list(over_granted(scenario(slices, agents, cap))) == wanted


@pytest.mark.parametrize(
    ("agents", "estimate", "wanted"),
    [
        (entry("a", "slice = 29") + entry("b", ""), "30", ["a"]),
        (entry("a", "slice = 30") + entry("b", ""), "30", []),
        (entry("a", "slice = 29") + entry("b", ""), "{ min = 29, max = 50 }", []),
        (entry("a", "slice = { min = 1, max = 40 }"), "30", []),
    ],
)
def test_who_can_never_call(agents: str, estimate: str, wanted: list[str]) -> None:
    told = list(idle_agents(scenario("", agents, estimate=estimate)))
    assert [sentence.split()[3] for sentence in told] == wanted


def test_where_nobody_can_call_it_is_useless_and_no_more() -> None:
    assert "idle-agent" not in solve(scenario("", entry("a", "slice = 29"))).flags
