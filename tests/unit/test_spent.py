"""What is already spent of a cap: the same question as about what is left of it."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import BadScenario, parse_scenario
from capsound.properties import Property
from capsound.scenario import Interval, Scenario
from capsound.verdict import Verdict
from capsound_proofs.distance import steps_away
from capsound_proofs.solve import solve

TEXT = """
cap = {cap}
spent = {spent}
discipline = "{discipline}"
[[agents]]
name = "w"
count = 3
[[calls]]
estimate = {estimate}
bill = 23
"""


def read(cap: object = 60, spent: int = 0, discipline: str = "racy-counter", estimate: int = 31) -> Scenario:
    text = TEXT.format(cap=cap, spent=spent, discipline=discipline, estimate=estimate)
    return parse_scenario(text, path="spent.toml", known_disciplines=DISCIPLINES)


@pytest.mark.parametrize("discipline", ["racy-counter", "reserve-settle"])
def test_what_is_spent_is_like_a_smaller_cap(discipline: str) -> None:
    left, whole = solve(read(60, 0, discipline)), solve(read(50_000_060, 50_000_000, discipline))
    assert [(r.property, r.verdict, r.bound) for r in left.results] == [
        (r.property, r.verdict, r.bound) for r in whole.results
    ]
    assert (left.worst is None) == (whole.worst is None)
    if left.worst is not None and whole.worst is not None:
        assert (left.worst.least, left.worst.most) == (whole.worst.least, whole.worst.most) == (9, 9)
        report = whole.result(Property.CAP).report
        assert report is not None
        assert list(report.overshoot.values()) == [9]


def test_with_all_of_it_spent_no_call_is_admitted() -> None:
    found = solve(read(60, 60))
    assert found.verdict is Verdict.SOUND
    assert "useless" in found.flags


def test_what_is_left_is_what_bills_have_to_exceed() -> None:
    found = solve(read(100, 31, estimate=23))
    assert found.result(Property.CAP).bound.startswith(
        "all calls together are billed at most 100 of the cap 100, the 31 already spent included"
    )
    assert "uninformative" in found.flags
    assert steps_away(found.machine, Property.CAP) is None


def test_every_cap_is_every_cap_that_covers_what_is_spent() -> None:
    scenario = read('"any"', 40, "reserve-settle")
    assert scenario.cap == Interval(40, None)
    assert solve(scenario).verdict is Verdict.SOUND


@pytest.mark.parametrize(
    ("cap", "spent", "says"),
    [(60, 61, "61 is already spent of a cap of 60"), (60, -1, "negative"), (60, 10**19, "10")],
)
def test_more_than_there_is_and_less_than_nothing_are_refused(cap: int, spent: int, says: str) -> None:
    with pytest.raises(BadScenario, match="spent") as refused:
        read(cap, spent)
    assert says in str(refused.value)


SMALL_SLICE = """
cap = 100
spent = 50
discipline = "racy-counter"
[[slices]]
name = "s"
grant = 10
[[agents]]
name = "w"
count = 2
account = "s"
[[calls]]
estimate = 8
bill = 8
"""


def test_a_slice_may_be_smaller_than_what_is_spent() -> None:
    scenario = parse_scenario(SMALL_SLICE, path="s.toml", known_disciplines=DISCIPLINES)
    assert solve(scenario).result(Property.SLICE).verdict is Verdict.VIOLATED
