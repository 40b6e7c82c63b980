"""``solve`` against itself: pairs of scenarios whose verdicts must go together (``relations``), property by property.

Nobody has to know the right verdict of either. An ``unknown`` on one side fails nothing; too many of them do.

What does not hold, each with a scenario below:

* a larger cap never breaks: it admits calls that the smaller one refused (``racy-counter``: none of two calls fits
  into 30, both fit into 31), and what holds is that a cap with room for all that can be billed is kept;
* a larger cap never repairs: one with room for everything does;
* another agent, or another call, never repairs where slices are closed: the close waits for them, and what they have
  been billed is not given back, and not spent by others;
* a finer unit keeps everything in ranges: bills between the old ones may fit where those did not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random

import pytest
from judge import Judge
from relations import ALL, RELATIONS, Relation, instance_of, scaled, written
from test_independent_judge import agree, scenario_text

from capsound.disciplines import DISCIPLINES
from capsound.explorer import Scope, explore
from capsound.loading import BadScenario, parse_scenario
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.verdict import Verdict
from capsound_proofs.outcome import Outcome, PropertyResult
from capsound_proofs.solve import solve

BATCHES, BASES, EACH = 12, 2, 4
"""In CI: so many batches of so many scenarios, with so many others made of each, 120 in all."""

MOST_UNKNOWN = 0.1
"""Of all pairs of verdicts in a batch, how many may be without an answer on either side."""


pytestmark = pytest.mark.usefixtures("prove_once")


@dataclass
class Tally:
    """What became of the pairs: how many scenarios, verdicts without an answer, and pairs that begin with a violation."""

    scenarios: int = 0
    pairs: int = 0
    unknown: int = 0
    instances: int = 0
    judged: int = 0
    telling: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        assert self.pairs > 0
        assert self.unknown <= MOST_UNKNOWN * self.pairs, self
        assert sum(self.telling.values()) >= EACH / 2, self
        assert self.judged >= EACH, self


def read(text: str) -> Scenario:
    return parse_scenario(text, known_disciplines=DISCIPLINES)


def bases(random: Random, size: int) -> Iterator[Scenario]:
    """Yield scenarios of so many calls and slices; the judge sees every second one broken within its first states."""
    broken = False
    while True:
        try:
            scenario = read(scenario_text(random))
        except BadScenario:
            continue
        agents = sum((a.count or 1) * (a.calls + (a.own_slice is not None)) for a in scenario.agents)
        judge = Judge(scenario)
        if agents + len(scenario.slices) > size or judge.contradictory():
            continue
        if broken and not judge.judge(most=400).shortest:
            continue
        broken = not broken
        asked = random.random() < 0.1
        yield read(written(replace(scenario, properties=ALL if asked else (Property.CAP, Property.SLICE))))


def is_shortest(result: PropertyResult) -> bool:
    return result.verdict is Verdict.VIOLATED and result.bound.startswith(("no schedule of fewer", "broken before"))


def length(result: PropertyResult) -> int:
    assert result.trace is not None
    return len(result.trace.schedule.choices)


def compare(relation: Relation, first: Outcome, second: Outcome, tally: Tally) -> None:
    """Compare two outcomes as the relation says."""
    for prop in relation.properties:
        if prop not in first.scenario.properties:
            continue
        a, b = first.result(prop), second.result(prop)
        tally.pairs += 1
        if Verdict.UNKNOWN in (a.verdict, b.verdict):
            tally.unknown += 1
            continue
        tally.telling[relation.name] += Verdict.VIOLATED in (a.verdict, b.verdict if relation.same else None)
        if relation.same:
            assert a.verdict is b.verdict, prop
        else:
            assert not (a.verdict is Verdict.VIOLATED and b.verdict is Verdict.SOUND), (prop, b.bound)
        if is_shortest(a) and is_shortest(b):
            if relation.same:
                assert length(a) == length(b), prop
            else:
                assert length(b) <= length(a) + relation.longer, prop
    for prop in relation.kept:
        tally.pairs += 1
        tally.unknown += second.result(prop).verdict is Verdict.UNKNOWN
        tally.telling[relation.name] += first.result(prop).verdict is Verdict.VIOLATED
        assert second.result(prop).verdict is not Verdict.VIOLATED, prop
    if first.worst is not None and second.worst is not None:
        # What a run of one side attains lies below the bound of the other, both where everything is the same.
        assert second.worst.most is None or first.worst.least * relation.factor <= second.worst.most
        if relation.same and first.worst.most is not None:
            assert second.worst.least <= first.worst.most * relation.factor


def ask_the_judge(outcome: Outcome, tally: Tally) -> None:
    """What is solved for a pair is compared with the judge as well, where the judge knows what is assumed."""
    assume = outcome.scenario.assume
    if assume.a8 is True and assume.a10 is True:
        judged = Judge(outcome.scenario).judge(most=5_000)
        if judged.complete:
            agree(judged, outcome)
            tally.judged += 1


def try_instances(outcome: Outcome, random: Random, tally: Tally) -> None:
    """What is proved for every cap and amount holds in small scenarios of the same shape, of which all is visited."""
    claims = [r for r in outcome.results if r.bound.startswith("proved for every cap, amount, schedule")]
    if not claims:
        return
    assume = outcome.scenario.assume
    within = assume.a1 is True or any(said.startswith("A1 follows") for said in outcome.sentences)
    trees = all("every tree of slices" in claim.bound for claim in claims)
    try:
        scenario = read(written(instance_of(outcome.scenario, random, within=within, trees=trees)))
    except BadScenario:  # a slice that was drawn larger than what it is a part of
        return
    explored = explore(compile_scenario(scenario), [claim.property for claim in claims], Scope(states=1_500))
    assert not explored.found, written(scenario)
    tally.instances += 1


def try_scenarios(seed: int, count: int, each: int, size: int) -> Tally:
    """Compare so many scenarios with so many made of each of them."""
    random = Random(seed)
    tally = Tally()
    found = bases(random, size)
    # Every batch goes on with the relations where the one before it ends: each has its turn equally often.
    begin = seed * count * each % len(RELATIONS)
    order: list[Relation] = [*reversed(RELATIONS[begin:] + RELATIONS[:begin])]
    for _ in range(count):
        scenario = next(found)
        first = solve(scenario)
        tally.scenarios += 1
        ask_the_judge(first, tally)
        try_instances(first, random, tally)
        for _ in range(each):
            relation, made = None, None
            while relation is None or made is None:
                order = order or [*reversed(RELATIONS)]
                relation = order.pop()
                made = relation.make(scenario, random)
            text = written(made)
            try:
                second = solve(read(text))
                tally.scenarios += 1
                compare(relation, first, second, tally)
                ask_the_judge(second, tally)
            except BaseException as error:
                error.add_note(f"seed {seed}: {relation.name}\n\n{written(scenario)}\n\n{text}")
                raise
    return tally


@pytest.mark.parametrize("seed", range(BATCHES))
def test_verdicts_go_together(seed: int) -> None:
    tally = try_scenarios(seed, BASES, EACH, 2 + seed % 2)
    assert tally.scenarios == BASES * (1 + EACH)
    tally.check()


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(1_000, 1_100))
def test_verdicts_go_together_deep(seed: int) -> None:
    try_scenarios(seed, 10, EACH, 2 + seed % 3).check()


# ------------------------------------------------------------------------------------------ what does not hold


@cache
def solved(text: str) -> Outcome:
    return solve(read(text))


def verdict(text: str) -> tuple[Verdict, int | None]:
    """Return the verdict on the cap, and the largest overshoot."""
    outcome = solved(text)
    return outcome.verdict, None if outcome.worst is None else outcome.worst.most


@pytest.mark.parametrize(("cap", "overshoot"), [(30, None), (31, 15), (45, 1), (46, None)])
def test_a_larger_cap_can_break_and_repair(cap: int, overshoot: int | None) -> None:
    """Two calls of 31 that are billed 23: none is admitted, both are, both are, and both fit."""
    text = f"""
cap = {cap}
discipline = "racy-counter"
properties = ["cap"]
[[agents]]
count = 2
[[calls]]
estimate = 31
bill = 23
"""
    wanted = Verdict.SOUND if overshoot is None else Verdict.VIOLATED
    assert verdict(text) == (wanted, overshoot)


CLOSE = """
cap = 10
discipline = "split-and-return"
properties = ["cap"]
[assume]
A1 = false
[[slices]]
name = "part"
grant = 5
[[agents]]
name = "inside"
account = "part"
call = "small"
calls = {calls}
[[agents]]
name = "outside"
call = "large"
[[calls]]
name = "small"
estimate = 1
bill = 1
[[calls]]
name = "large"
estimate = 9
bill = 10
"""

ANOTHER = """
[[agents]]
name = "another"
account = "part"
call = "rest"
[[calls]]
name = "rest"
estimate = 4
bill = 4
"""


def test_what_a_close_waits_for_can_repair() -> None:
    """The slice gives 4 back, and 9 fit again: billed 1 + 10. After one more bill in the slice, 9 do not fit."""
    assert verdict(CLOSE.format(calls=1)) == (Verdict.VIOLATED, 1)
    assert verdict(CLOSE.format(calls=1) + ANOTHER) == (Verdict.SOUND, None)
    assert verdict(CLOSE.format(calls=2)) == (Verdict.SOUND, None)


def test_a_finer_unit_can_break_what_is_given_in_ranges() -> None:
    """3/2 of an estimate of 1 is a bill of 1, rounded down; of 1000 it is 1500."""
    scenario = read(
        """
cap = 1
discipline = "reserve-settle"
properties = ["cap"]
[assume]
A1 = false
shortfall = "3/2"
[[agents]]
[[calls]]
estimate = 1
bill = { min = 1, max = 2 }
"""
    )
    assert verdict(written(scenario)) == (Verdict.SOUND, None)
    assert verdict(written(scaled(scenario))) == (Verdict.VIOLATED, 500)


def test_a_comparison_can_fail() -> None:
    """The scenarios above, taken for pairs that they are not."""
    broken, repaired = (solved(text) for text in (CLOSE.format(calls=1), CLOSE.format(calls=2)))
    for relation in RELATIONS:
        if Property.CAP in relation.properties:
            with pytest.raises(AssertionError):
                compare(relation, broken, repaired, Tally())
