"""Small faults in the reference implementation, made one at a time: the suites alone notice them.

``make test`` takes a sample, ``make deep`` all. Who is not noticed is listed in ``mutants_survivors.toml`` with a
reason; ``python tests/support/mutants.py --write`` brings the list and the numbers up to date.
"""

from __future__ import annotations

import os
from pathlib import Path

import mutants
import pytest
from mutants import Mutant, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "mutants.md"
OPEN, CLOSE = "<!-- mutants -->\n", "<!-- end of mutants -->\n"

COUNTED = [mutant for mutant in mutants.mutants() if not mutant.asynchronous]
EVERY = 25
SAMPLE = [mutant for mutant in COUNTED[::EVERY] if mutant.id not in mutants.survivors()]

LEAST = 0.95
"""Which part of the mutants that differ has to be killed."""


def test_the_original_is_not_killed() -> None:
    assert mutants.kill(None, threads=False).status == "survived"


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.id)
def test_a_mutant_of_the_sample_is_killed(mutant: Mutant) -> None:
    verdict = mutants.kill(mutant, quick=True)
    assert verdict.status in ("killed", "stillborn"), f"nothing notices it: {mutant.change}"


def test_the_list_is_about_mutants_that_exist() -> None:
    changes = {mutant.id: mutant.change for mutant in COUNTED}
    assert {listed.id: changes.get(listed.id) for listed in mutants.survivors().values()} == {
        listed.id: listed.change for listed in mutants.survivors().values()
    }


def test_every_survivor_has_a_reason() -> None:
    assert {listed.status for listed in mutants.survivors().values()} <= {"equivalent", "survived"}
    assert all(listed.reason for listed in mutants.survivors().values())


def test_the_numbers_add_up_and_are_good_enough() -> None:
    numbers, listed = mutants.known()["counted"], mutants.survivors().values()
    assert numbers["generated"] == len(mutants.mutants()), "run `python tests/support/mutants.py --write`"
    assert numbers["generated"] - numbers["excluded"] == len(COUNTED)
    assert numbers["killed"] + numbers["stillborn"] + len(listed) == len(COUNTED)
    equivalent = sum(one.status == "equivalent" for one in listed)
    assert mutants.score(numbers, equivalent) >= LEAST


def test_the_page_has_the_numbers() -> None:
    head, _, rest = PAGE.read_text().partition(OPEN)
    told, _, tail = rest.partition(CLOSE)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(head + OPEN + mutants.summary() + CLOSE + tail)
    else:
        assert told == mutants.summary()


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_every_mutant_is_killed_or_listed() -> None:
    verdicts: list[Verdict] = list(mutants.kill_all(COUNTED))
    assert sorted(v.id for v in verdicts if v.status == "survived") == sorted(mutants.survivors())
    equivalent = sum(listed.status == "equivalent" for listed in mutants.survivors().values())
    assert mutants.score(mutants.counted(verdicts), equivalent) >= LEAST


@pytest.mark.deep
@pytest.mark.timeout(1_200)
def test_the_original_is_not_killed_by_races_either() -> None:
    assert mutants.kill(None).status == "survived"
