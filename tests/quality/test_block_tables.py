"""Tables of blocks that nobody has thought of: explorer, encoding, proofs and monitor agree on random ones.

A table is drawn, written into a scenario file, and read again. Then all states of a small scope are visited, ``solve``
gives its verdicts, and both have to say the same of every property, with a shortest run of the same length that the
monitor finds broken, too.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from tables import as_toml, table, written

from capsound.disciplines import DISCIPLINES
from capsound.explorer import Scope, explore
from capsound.loading import parse_scenario
from capsound.machine import compile_scenario
from capsound.monitor import fold
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import run_schedule
from capsound.verdict import Verdict
from capsound_proofs.bmc import Found, Searched, shortest
from capsound_proofs.distance import steps_away
from capsound_proofs.solve import solve

STATES = 2_500
"""Scopes of more states are left alone: so a hundred take less than a minute."""


def drawn(random: Random) -> str:
    """Return a small scenario with a table of its own."""
    cap, spent = random.randint(1, 4), random.choice((0, 0, 0, 2))
    estimate, bill = random.randint(0, 3), random.randint(1, 3)
    a1 = random.random() < 0.5
    if a1:
        bill = min(bill, estimate)
    slices, account = "", "root"
    if random.random() < 0.25:
        slices = f'[[slices]]\nname = "s"\ngrant = {random.randint(0, cap)}\n'
        account = random.choice(("root", "s"))
    count = random.randint(1, 2 if slices else 3)
    calls: int | str = random.randint(1, 2) if count == 1 else 1
    calls = f"'up to {calls}'" if random.random() < 0.15 else calls
    more = "slice = 'what is left'\n" if not slices and random.random() < 0.15 else ""
    if count == 1 and random.random() < 0.4:
        more += "[[agents]]\nname = 'last'\n" + ("after = ['agent']\n" if random.random() < 0.6 else "")
        more += "slice = 'what is left'\n" if not slices and random.random() < 0.4 else ""
    faults = "".join(f"{kind} = 1\n" for kind in ("cancel", "timeout", "crash") if random.random() < 0.2)
    a7 = random.random() < 0.85
    return (
        f"cap = {cap + spent}\nspent = {spent}\n{as_toml(table(random))}{slices}"
        f'[[agents]]\ncount = {count}\ncalls = {calls}\naccount = "{account}"\n{more}'
        f"[[calls]]\nestimate = {estimate}\nbill = {bill}\n"
        f"[assume]\nA1 = {str(a1).lower()}\nA7 = {str(a7).lower()}\n"
        f"[faults]\n{faults}[search]\nsteps = 40\n"
    )


def read(text: str) -> Scenario:
    return parse_scenario(text, known_disciplines=DISCIPLINES)


def agree(text: str) -> bool:
    """Ask both; return whether anything was broken."""
    scenario = read(text)
    machine = compile_scenario(scenario)
    asked = tuple(p for p in default_properties(machine) if p is not Property.HANDLES)
    explored = explore(machine, asked, Scope(states=STATES))
    if not explored.complete:
        return False
    outcome = solve(replace(scenario, properties=asked))
    for prop in asked:
        result, run = outcome.result(prop), explored.found.get(prop)
        assert result.verdict is (Verdict.VIOLATED if run else Verdict.SOUND), (prop, result.bound, text)
        if run is not None:
            assert result.trace is not None
            assert len(result.trace.schedule.choices) == len(run.choices), (prop, text)
            assert fold(run_schedule(machine, run).events).verdicts[prop] is Verdict.VIOLATED, (prop, text)
            away = steps_away(machine, prop)
            assert away is not None, (prop, text)
            assert away <= len(run.choices), (prop, text)
    if outcome.worst is not None:
        assert outcome.worst.least <= explored.worst_overshoot, text
        assert outcome.worst.most is None or outcome.worst.most >= explored.worst_overshoot, text
    return bool(explored.found)


def encoded(text: str) -> None:
    """Ask the encoding alone for the shortest run, without a proof beside it."""
    machine = compile_scenario(read(text))
    explored = explore(machine, [Property.CAP, Property.CONSERVATION], Scope(states=STATES))
    for prop, run in explored.found.items():
        found = shortest(lambda _: machine, prop, max_steps=len(run.choices), agents_at=lambda _: 1, everybody=None)
        if isinstance(found, Searched) and found.gave_up:
            continue  # the limit of work was reached: nothing was said
        assert isinstance(found, Found), (prop, text)
        assert len(found.schedule.choices) == len(run.choices), (prop, text)


def share_of(seeds: range) -> int:
    broken = 0
    for seed in seeds:
        text = drawn(Random(seed))
        broken += agree(text)
        if seed % 4 == 0:
            encoded(text)
    return broken


@pytest.mark.parametrize("share", range(3))
def test_both_engines_agree_on_tables(share: int) -> None:
    broken = share_of(range(5 * share, 5 * share + 5))
    assert broken > 0


@pytest.mark.deep
def test_both_engines_agree_on_tables_deep() -> None:
    share_of(range(1_000, 4_000))


@pytest.mark.parametrize("name", DISCIPLINES)
def test_a_named_discipline_written_as_a_table_is_the_same_machine(name: str) -> None:
    """Every step, handler and rule comes through the syntax, so that what is proved is the same, too."""
    calls = "[[calls]]\nchunk = 1\nchunks = 2\n" if DISCIPLINES[name].streams else "[[calls]]\nestimate = 1\nbill = 1\n"
    rest = f"[[slices]]\nname = 's'\ngrant = 1\n[[agents]]\ncount = 2\n[[agents]]\nname = 'b'\naccount = 's'\n{calls}"
    faults = "[faults]\ncancel = 1\ntimeout = 1\n"
    by_name = compile_scenario(read(f"cap = 2\ndiscipline = '{name}'\n{rest}{faults}"))
    by_table = compile_scenario(read(f"cap = 2\n{written(DISCIPLINES[name], 'mine')}{rest}{faults}"))
    assert by_table.discipline.name == "mine"
    assert by_table.discipline.rules == DISCIPLINES[name].rules
    assert by_table.processes == by_name.processes
    assert by_table.accounts == by_name.accounts


@pytest.mark.parametrize("name", ["reserve-settle", "racy-counter", "lock-whole-call", "copied-slices"])
def test_a_table_is_judged_like_the_named_discipline(name: str) -> None:
    rest = "[[agents]]\ncount = 2\n[[calls]]\nestimate = 2\nbill = 2\n"
    one = solve(read(f"cap = 3\ndiscipline = '{name}'\n{rest}"))
    two = solve(read(f"cap = 3\n{written(DISCIPLINES[name], 'mine')}{rest}"))
    said = [(r.property, r.verdict, r.bound, r.method, r.invariant) for r in one.results]
    assert said == [(r.property, r.verdict, r.bound, r.method, r.invariant) for r in two.results]
