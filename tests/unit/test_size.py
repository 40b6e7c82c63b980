"""Scenarios of the size that people have: bounds that stay small must be those of the long way."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import parse_scenario
from capsound.machine import Config, Env, Machine, compile_scenario, fire, initial
from capsound.predicates import violates
from capsound.properties import Property
from capsound.scenario import Plain, Scenario
from capsound.schedule import INTS, settled
from capsound_proofs.crosscheck import _breaks
from capsound_proofs.inflight import kinds_merged
from capsound_proofs.solve import solve

OWN = """
cap = {cap}
discipline = "{discipline}"
[[agents]]
name = "worker"
count = {count}
calls = 2
slice = 50
[[calls]]
name = "work"
estimate = 31
bill = {{ max = 46 }}
[assume]
A1 = false
shortfall = "3/2"
"""

KINDS = """
cap = 100
discipline = "reserve-settle"
[[agents]]
name = "a"
call = "x"
count = 2
[[agents]]
name = "b"
call = "y"
count = 2
[[calls]]
name = "x"
estimate = { min = 31, max = 33 }
bill = { max = 46 }
[[calls]]
name = "y"
estimate = 35
bill = { max = 40 }
[assume]
A1 = false
"""


def read(text: str) -> Scenario:
    return parse_scenario(text, path="size.toml", known_disciplines=DISCIPLINES)


def steps_of(machine: Machine, seed: int) -> list[tuple[Config, Config]]:
    """Return the steps of one random run, each as the states before it and after it."""
    random = Random(seed)
    config, found = initial(machine, machine.cap.lo), list[tuple[Config, Config]]()
    branches = list(machine.branches())
    for _ in range(40):
        random.shuffle(branches)
        for branch in branches:
            if config.running[branch.process].at != branch.place:
                continue
            after = config.fork(machine, branch)
            if settled(
                fire(
                    machine,
                    after,
                    branch,
                    Env(INTS, lambda _, lo, hi: random.randint(lo, lo if hi is None else max(lo, hi))),
                )
            ):
                found.append((config, after))
                config = after
                break
        else:
            break
    return found


@pytest.mark.parametrize("discipline", ["split-and-return", "copied-slices", "racy-counter"])
def test_what_a_step_shares_is_not_looked_at_and_is_the_same(discipline: str) -> None:
    machine = compile_scenario(read(OWN.format(cap=120, discipline=discipline, count=3)))
    for seed in range(8):
        broken: set[Property] = set()
        for before, after in steps_of(machine, seed):
            assert after.flat_after(before, before.flat()) == after.flat()
            for prop in (Property.CAP, Property.SLICE, Property.TRUTH, Property.CONSERVATION, Property.PROGRESS):
                whole = violates(machine, after, prop, INTS) is True
                # What was broken before may be left as it is by a step; what a step breaks is seen.
                if prop not in broken:
                    assert _breaks(machine, before, after, prop) == whole, (seed, prop)
                if whole:
                    broken.add(prop)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_slice_adds_what_it_can_be_exceeded_by(count: int) -> None:
    worst = solve(read(OWN.format(cap=60 * count, discipline="split-and-return", count=count))).worst
    assert worst is not None
    assert (worst.least, worst.most) == (5 * count, 5 * count)


def test_merged_kinds_are_billed_what_their_own_estimates_allow() -> None:
    merged = kinds_merged(read(KINDS))
    assert merged is not None
    (kind,) = merged.calls
    assert isinstance(kind.cost, Plain)
    assert [kind.cost.highest(INTS, size) for size in (31, 33, 34, 35)] == [46, 46, 0, 40]
    assert [agents.count for agents in merged.agents] == [4]
    alone = read(KINDS)
    assert kinds_merged(replace(alone, agents=alone.agents[:1])) is None


def test_eight_kinds_are_bounded_as_one_and_the_bound_is_attained() -> None:
    kinds = "\n".join(
        f'[[agents]]\nname = "a{n}"\ncount = 3\ncalls = 2\ncall = "c{n}"\n'
        f'[[calls]]\nname = "c{n}"\nestimate = {31 + n}\nbill = {{ max = {46 + n} }}'
        for n in range(8)
    )
    head = 'cap = 100\ndiscipline = "reserve-settle"\n[assume]\nA1 = false\nshortfall = "3/2"\n'
    worst = solve(read(head + kinds)).worst
    assert worst is not None
    # Three calls fit at once, each billed 15 more than it was estimated at.
    assert (worst.least, worst.most) == (45, 45)
