"""Ceilings, windows that begin anew, and holds that expire: how they are read, run, told and refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capsound.amounts import AccountId
from capsound.charging import only
from capsound.disciplines import KNOWN
from capsound.errors import BadDiscipline
from capsound.events import Bill, Expire, Refuse, Reserve, Reset, event_from_dict, event_to_dict
from capsound.explorer import explore
from capsound.loading import BadScenario, parse_scenario
from capsound.machine import Machine, compile_scenario
from capsound.monitor import fold
from capsound.processes import Branch
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import parse_token, run_schedule
from capsound_checker.display.data import outcome_to_dict
from capsound_proofs.aggregate import Abstraction, Options
from capsound_proofs.ceilings import one_ceiling
from capsound_proofs.solve import solve

CALL = "[[calls]]\nestimate = 30\nbill = 30\n"
TEAM = """
cap = {cap}
discipline = "{discipline}"

[[ceilings]]
name = "user"
cap = 60

[[agents]]
name = "a"
account = "user"
count = 3
"""


def scenario(text: str) -> Scenario:
    return parse_scenario(text, known_disciplines=KNOWN)


def team(discipline: str = "reserve-settle", cap: int = 100) -> Machine:
    return compile_scenario(scenario(TEAM.format(discipline=discipline, cap=cap) + CALL))


def problems(text: str) -> list[str]:
    with pytest.raises(BadScenario) as found:
        scenario(text)
    return [problem.message for problem in found.value.problems]


# ------------------------------------------------------------------------------------------- the language


def test_an_agent_charges_its_ceilings_and_all_above_them_the_root_last() -> None:
    text = 'cap = 9\ndiscipline = "prepay"\n' + CALL
    text += '[[ceilings]]\nname = "s"\nparent = "u"\ncap = 3\n[[ceilings]]\nname = "u"\ncap = 4\n'
    text += '[[ceilings]]\nname = "m"\ncap = 5\n[[agents]]\nname = "a"\nceilings = ["s", "m"]\n'
    text += '[[agents]]\nname = "b"\naccount = "u"\n[[agents]]\nname = "c"\n'
    read = scenario(text)
    assert [read.charges(agents) for agents in read.agents] == [("s", "u", "m", "root"), ("u", "root"), ("root",)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('window = "sliding 0 h"', 'there is no window "sliding 0 h"'),
        ('window = "sliding 24 h"\nbuckets = 7', "7 does not divide 'sliding 24 h'"),
        (
            'window = "sliding 24 h"\nbuckets = 24\nforgets = "bucket"',
            "with buckets, the cap itself is one over whole buckets",
        ),
        ('window = "day"\nforgets = "hold"', '"forgets" has no meaning: there is no window that slides'),
        ("buckets = 24", '"buckets" has no meaning: there is no window that slides'),
        (
            'window = "sliding 1 h"\n[[ceilings]]\nname = "x"\ncap = 1\nwindow = "day"',
            "a window that begins anew does not go together with one that slides",
        ),
        (
            'window = "sliding 1 h"\n[[ceilings]]\nname = "x"\ncap = 1\nwindow = "sliding 1 min"',
            "sliding windows of two kinds do not go together yet",
        ),
        ('window = "sliding 1 h"\n[faults]\nexpire = 1', "expire does not go together with a window that slides"),
        ('window = "fortnight"', 'there is no window "fortnight"'),
        ("resets = 1", '"resets" has no meaning: there is no window that begins anew'),
        ('[[ceilings]]\nname = "x"\nparent = "y"\ncap = 1', 'there is no ceiling "y"'),
        ('[[ceilings]]\nname = "root"\ncap = 1', '"root" is taken: it is the account with the cap'),
        (
            '[[ceilings]]\nname = "x"\nparent = "y"\ncap = 1\n[[ceilings]]\nname = "y"\nparent = "x"\ncap = 1',
            "the ceilings form a cycle: x -> y -> x",
        ),
        (
            'window = "day"\n[[slices]]\nname = "s"\ngrant = 1',
            "slices do not go together with a window yet",
        ),
        ("[faults]\nexpire = 1\ncrash = 1", "expire and crash do not go together yet"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(more: str, said: str) -> None:
    found = problems(f'cap = 9\ndiscipline = "prepay"\n{more}\n[[agents]]\nname = "a"\n{CALL}')
    assert any(message.startswith(said) for message in found), found


def test_an_account_and_several_ceilings_are_not_both_charged() -> None:
    text = TEAM.format(discipline="prepay", cap=9) + 'ceilings = ["user"]\n' + CALL
    assert problems(text) == ["an agent charges an account or several ceilings, and here it has both"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cap = 9\nwindow = "day"\nin_flight = "forgotten"\ndiscipline = "stream-extend"', "a stream extends its hold"),
        ('cap = 9\nwindow = "day"\nin_flight = "forgotten"\ndiscipline = "one-by-one"', "one by one"),
    ],
)
def test_what_the_compiler_does_not_understand_is_refused(text: str, said: str) -> None:
    call = "[[calls]]\nchunk = 1\nchunks = 2\n" if "stream" in text else CALL
    with pytest.raises(BadDiscipline, match=said):
        compile_scenario(scenario(f'{text}\n[[agents]]\nname = "a"\n{call}'))


@pytest.mark.parametrize(
    ("key", "blocks", "said"),
    [
        ("turn = 3", '["check", "reserve"], ["send"], ["settle"]', "checks once for a turn"),
    ],
)
def test_what_is_not_understood_over_ceilings_is_refused_and_never_left_out(key: str, blocks: str, said: str) -> None:
    table = f"[discipline]\n{key}\nblocks = [{blocks}]\n"
    text = f'cap = 9\nwindow = "day"\n[[agents]]\nname = "a"\ncalls = 3\n{CALL}{table}'
    with pytest.raises((BadDiscipline, BadScenario), match=said):
        compile_scenario(scenario(text))


TWO = """
properties = ["cap"]
[[ceilings]]
name = "team"
cap = 40
[[agents]]
name = "a"
account = "team"
[[agents]]
name = "b"
account = "team"
"""


@pytest.mark.parametrize(
    ("discipline", "more", "verdict"),
    [
        ("racy-counter", "", "violated"),
        ("racy-counter", 'after = ["a"]', "sound"),
        ("racy-counter", 'calls = "up to 2"', "violated"),
        ("prepay", 'calls = "up to 2"', "sound"),
        ("slots = 1", "", "sound"),
        ("slots = 2", "", "violated"),
    ],
)
def test_agents_in_order_that_stop_early_and_share_slots(discipline: str, more: str, verdict: str) -> None:
    table, head = "", f'discipline = "{discipline}"'
    if discipline.startswith("slots"):
        blocks = '[["enter"], ["check"], ["send"], ["debit", "leave"]]'
        table, head = f'[discipline]\n{discipline}\nblocks = {blocks}\non-refuse = ["leave"]\n', ""
    outcome = solve(scenario(f"cap = 90\n{head}\n{TWO}{more}\n{CALL}{table}"))
    assert outcome.result(Property.CAP).verdict.value == verdict


@pytest.mark.parametrize(
    ("assume", "said"), [("", "is not counted in tokens"), ("[assume]\nA7 = false\n", "without A7")]
)
def test_tokens_are_only_counted_where_they_are_known(assume: str, said: str) -> None:
    text = 'cap = 9\ndiscipline = "prepay"\n[[ceilings]]\nname = "m"\ncap = 5\ndimension = "tokens"\n'
    with pytest.raises(BadDiscipline, match=said):
        compile_scenario(scenario(f'{text}{assume}[[agents]]\nname = "a"\naccount = "m"\n{CALL}'))


# ------------------------------------------------------------------------------------------------- runs


def test_a_call_that_one_ceiling_refuses_is_held_in_none() -> None:
    trace = run_schedule(team(), parse_token("cs1:100/0.1.2"))
    refused = trace.steps[-1].events
    assert [event for event in refused if isinstance(event, Refuse)] == [
        Refuse(AccountId("user"), 30, "does not fit", "a-3", None)  # type: ignore[arg-type]
    ]
    assert trace.steps[-1].values[:6] == trace.steps[-2].values[:6]  # what the root has
    assert fold(trace.events).state.accounts[AccountId("root")].held == 60


def test_a_call_has_a_hold_in_each_of_its_ceilings() -> None:
    trace = run_schedule(team(), parse_token("cs1:100/0.1"))
    held = [(event.account, event.hold) for event in trace.events if isinstance(event, Reserve)]
    assert held == [("user", "R1"), ("root", "R1@root"), ("user", "R2"), ("root", "R2@root")]


WINDOW = """
cap = 100
window = "day"
in_flight = "{kept}"
resets = 1
discipline = "reserve-settle"

[[agents]]
name = "a"
count = 2

[[calls]]
estimate = 60
bill = 60
"""


def windowed(kept: str) -> Machine:
    return compile_scenario(scenario(WINDOW.format(kept=kept)))


def test_a_reset_keeps_or_forgets_what_is_held_and_the_late_settlement_is_charged_in_full() -> None:
    forgot = run_schedule(windowed("forgotten"), parse_token("cs1:100/0.2.0.0"))
    assert [event for event in forgot.events if isinstance(event, Reset)] == [Reset("root", ("R1",))]  # type: ignore
    root = windowed("forgotten").accounts[0].name
    assert fold(forgot.events).state.accounts[AccountId(root)].charged == 60
    kept = run_schedule(windowed("kept"), parse_token("cs1:100/0.2.1"))
    assert any(isinstance(event, Refuse) for event in kept.events)
    assert [event for event in kept.events if isinstance(event, Reset)] == [Reset("root")]  # type: ignore


def test_a_call_billed_before_a_reset_adds_nothing_to_the_window_that_follows() -> None:
    trace = run_schedule(windowed("forgotten"), parse_token("cs1:100/0.0.2.1.1.0"))
    report = fold(trace.events)
    assert sum(event.amount for event in trace.events if isinstance(event, Bill)) == 120
    assert report.overshoot == {"root": 0}
    assert "overshoot" not in report.anomalies()


def test_a_reset_in_a_log_is_read_back() -> None:
    for event in (Reset("root"), Reset("root", ("R1", "R2")), Expire("R1")):  # type: ignore[arg-type]
        assert event_from_dict(event_to_dict(event)) == event


def test_every_loss_of_a_hold_has_a_twin_that_keeps_it() -> None:
    """The faults of this page are found, and their cures keep every property: in all states."""
    asked = [Property.CAP, Property.TRUTH, Property.CONSERVATION, Property.PROGRESS]
    assert explore(windowed("forgotten"), asked).found.keys() == {Property.CAP}
    assert not explore(windowed("kept"), asked).found
    assert explore(team("one-by-one-kept", cap=40), asked).found.keys() == {Property.CONSERVATION}
    assert not explore(team("one-by-one", cap=40), asked).found
    partial = explore(team("one-by-one-kept", cap=40), asked).found[Property.CONSERVATION]
    report = fold(run_schedule(team("one-by-one-kept", cap=40), partial).events)
    assert report.anomalies() == ("partial-hold",)


def test_agents_that_lock_two_ceilings_in_different_orders_wait_for_each_other() -> None:
    text = 'cap = 9\n[[ceilings]]\nname = "x"\ncap = 5\n[[ceilings]]\nname = "y"\ncap = 5\n'
    text += '[[agents]]\nname = "a"\nceilings = ["x", "y"]\n[[agents]]\nname = "b"\nceilings = ["y", "x"]\n'
    text += "[[calls]]\nestimate = 1\nbill = 1\n[discipline]\non-refuse = ['unlock']\n"
    text += 'blocks = [["lock"], ["check"], ["send"], ["debit", "unlock"]]\nbefore-send = ["forget", "unlock"]\n'
    text += 'after-send = ["forget", "unlock"]\n'
    assert not explore(compile_scenario(scenario(text)), [Property.PROGRESS]).found
    one_by_one = scenario(text + 'ceilings = "one by one"\n')
    assert explore(compile_scenario(one_by_one), [Property.PROGRESS]).found
    result = solve(replace(one_by_one, properties=(Property.PROGRESS,))).result(Property.PROGRESS)
    assert result.anomaly == "hang"


# ------------------------------------------------------------------------------------------------ proofs


def test_one_ceiling_alone_may_be_refused_what_fits_and_the_proof_says_so() -> None:
    machine = team()
    alone = only(machine, 1, one_ceiling(machine.scenario, 1))
    assert [info.name for info in alone.accounts] == ["user"]
    assert alone.processes[0].places[0].elsewhere
    assert Branch(0, 0, "refuse") in set(alone.branches())
    with pytest.raises(ValueError, match="one at a time"):
        Abstraction(machine, Options())


def test_which_ceiling_is_exceeded_is_told_as_data() -> None:
    outcome = solve(team("racy-counter").scenario)
    told = outcome_to_dict(outcome)["ceilings"]
    assert [(row["name"], row["parent"], row["over"]) for row in told] == [("root", None, 0), ("user", "root", 30)]
