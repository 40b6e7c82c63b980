"""Calls in one turn: in which order they are told, what counts as evidence, and which programs are tried."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import pytest

from capsound_checker.programs.evidence import contend
from capsound_checker.programs.program import Step
from capsound_checker.programs.turns import FARTHEST, in_one_turn, in_order


@dataclass
class Part:
    name: str
    estimate: int = 1
    bill: int = 1
    place: str = "waiting"
    account: int = 0


def told(free: int, *parts: tuple[Part, bool]) -> set[str]:
    """Return the order in which parts are told, as names, for every order in which they were gathered."""
    out = set()
    for each in permutations(parts):
        ordered = in_order([part for part, _ in each], [there for _, there in each], lambda _: free)
        out.add("".join(part.name for part in ordered))
    return out


def reply(name: str, estimate: int, bill: int) -> tuple[Part, bool]:
    return Part(name, estimate, bill, "returning"), False


def begin(name: str, estimate: int, *, admitted: bool = True) -> tuple[Part, bool]:
    return Part(name, estimate), admitted


def test_an_admission_that_fits_comes_before_the_replies_that_it_overlapped() -> None:
    assert told(1, begin("b", 1), reply("r", 3, 0)) == {"br"}


def test_one_that_fits_only_into_what_came_back_comes_after_that() -> None:
    assert told(0, begin("b", 1), reply("r", 3, 2)) == {"rb"}
    assert told(0, begin("b", 1), begin("x", 1, admitted=False), reply("r", 3, 2)) == {"rbx", "rxb"}


def test_one_that_fits_in_no_order_overlapped() -> None:
    assert told(0, begin("b", 1), reply("r", 1, 1)) == {"br"}
    assert told(0, begin("b", 1), begin("c", 1), reply("r", 3, 2)) == {"bcr", "cbr"}


def test_a_bill_above_its_estimate_accuses_no_admission() -> None:
    assert told(1, begin("b", 1), reply("o", 1, 9)) == {"bo"}
    assert told(0, begin("b", 1), reply("o", 1, 9), reply("r", 2, 1)) == {"rbo"}


def test_calls_are_in_each_others_way_where_each_fits_and_not_all_do() -> None:
    assert contend(1, [1, 1])
    assert contend(4, [2, 3])
    assert not contend(2, [1, 1])
    assert not contend(1, [1])
    assert not contend(1, [2, 1])
    assert not contend(1, [1, 0, 0])


@pytest.mark.parametrize("between", range(FARTHEST + 1))
def test_programs_interrupt_a_call_after_every_number_of_micro_tasks(between: int) -> None:
    mine = [p for p in in_one_turn() if Step("turn", amount=between) in p]
    inside = {tuple(s.do for s in p[p.index(Step("turn", amount=between)) + 1 :][:2]) for p in mine}
    assert inside == {("begin", "begin"), ("reply", "begin"), ("begin", "reply")}
    assert all(p[0].do == "open" for p in mine)
