"""A cap in each of several dimensions: every fault is found by its name, and its sound twin passes."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path

import pytest
import zoo

from capsound.guarantees import Guarantee
from capsound.schedule import BadToken
from capsound.sizes import Size, size_in
from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.judging import Judgement, judge
from capsound_checker.check.plan import Plan
from capsound_checker.check.runs import events_data
from capsound_checker.check.tokens import parse_dimension, seen_in_token
from capsound_checker.programs.dimensions import each_dimension, seen_in
from capsound_checker.programs.failing import AdapterFailed
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import CEILINGS
from capsound_checker.programs.timing import event_in, monitor_for
from capsound_checker.schedules.asynchronous import explore

FOLDER = Path(__file__).parent / "zoo_of_dimensions"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "dimensions_base")


animal = partial(zoo.animal, folder=FOLDER)


@cache
def judged(name: str) -> Judgement:
    return judge(animal(name).Target, programs=60, enough=3, profiles=CEILINGS)


SYNC = [name for name in NAMES if not hasattr(animal(name), "AWAITS")]


@pytest.mark.parametrize("name", [name for name in SYNC if animal(name).ANOMALY is not None])
def test_a_fault_of_dimensions_is_found_and_named(name: str) -> None:
    fault, said = animal(name), judged(name)
    assert (said.strongest.label, fault.ANOMALY in said.found) == (fault.KEEPS, True)
    assert set(getattr(fault, "ALSO", ())) <= set(said.found)
    shown = said.found[fault.ANOMALY]
    again = Lockstep(fault.Target()).run(shown.program)
    assert fault.ANOMALY in {finding.anomaly for finding in again.wrong()}
    assert getattr(fault, "WHERE", "") in shown.sentence


@pytest.mark.parametrize("name", [name for name in SYNC if animal(name).ANOMALY is None])
def test_a_twin_of_dimensions_passes(name: str) -> None:
    assert judged(name).found == {}
    assert animal(animal(name).TWIN).ANOMALY is not None


def test_a_race_for_tokens_alone_is_found_where_tokens_are_looked_at() -> None:
    racy, twin = animal("tokens_asked_before_an_await").Target, animal("tokens_held_before_an_await").Target
    raced = explore(seen_in(racy, "tokens"), schedules=200)
    assert "stale-admit" in {found.anomaly for found in raced.findings}
    assert explore(seen_in(racy, "money"), schedules=200).findings == ()
    assert [explore(seen, schedules=200).findings for seen in each_dimension(twin)] == [(), ()]


@pytest.mark.deep
def test_check_says_sound_where_calls_were_asked_for_without_room_in_each_dimension() -> None:
    said = check(Plan(f"{FOLDER / 'all_asked_before_any_is_held.py'}:Target", programs=80, seconds=400))
    assert (said.verdict, said.doubts, said.shown) == (Verdict.SOUND, (), ())
    for guarantee in (Guarantee.SEQUENTIAL, Guarantee.CONCURRENT, Guarantee.FAULT_TOLERANT, Guarantee.OVERRUN_BOUNDED):
        assert min(said.tried(guarantee)[f"no room in {name}"] for name in ("tokens", "requests")) > 0


def test_what_a_size_is_in_a_dimension_that_it_does_not_know() -> None:
    assert (size_in(Size(3, {"tokens": 7}), "tokens"), size_in(Size(3, {"tokens": 7}), "money")) == (7, 3)
    assert (size_in(4, "tokens"), size_in("x", "tokens")) == (4, "x")


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (("money",), "two at least"),
        (("requests", "money"), "every call counts one"),
        (("a b", "c"), "no name"),
        (3, "tuple"),
    ],
)
def test_dimensions_that_are_none_are_refused_by_name(declared: object, says: str) -> None:
    wrong = type("Wrong", (animal("all_asked_before_any_is_held").Target,), {"dimensions": declared})
    with pytest.raises(AdapterFailed) as failed:
        Lockstep(wrong())
    assert says in failed.value.cause


def test_a_run_in_several_dimensions_is_judged_the_same_from_its_data() -> None:
    fault = animal("forgets_the_tokens")
    run = Lockstep(fault.Target())
    run.open(new=0, amount=3)
    run.reserve(on=0, new=0, amount=1)
    run.send(on=0, bill=1)
    run.settle(on=0)
    data = json.loads(json.dumps(events_data(run)))
    monitor = monitor_for(data)
    found = [finding for one in data for finding in monitor.feed(event_in(one, monitor))]
    assert [(f.anomaly, f.sentence) for f in found] == [(f.anomaly, f.sentence) for f in run.findings]
    assert found
    assert '"sizes": {"tokens": 2, "requests": 1}' in run.story()


def test_a_token_says_in_which_dimension_its_run_was_looked_at() -> None:
    token = seen_in_token("ck1:open.0.0.0.1", {"dimension": "tokens"})
    assert token == "ck1:open.0.0.0.1@tokens"
    assert parse_dimension(token) == ("ck1:open.0.0.0.1", {"dimension": "tokens"})
    assert parse_dimension("ck1:open") == ("ck1:open", {})
    with pytest.raises(BadToken):
        parse_dimension("ck1:open@no name")
