"""``solve`` against a judge that shares nothing with it (``judge``), on scenario files that are made to confuse.

Names that collide or look alike, entries in any order, groups before slices, slices that close, contradictions. Every
verdict, every length and every bound on the overshoot must be the judge's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from judge import BLOCKS, Judge, Judged

from capsound.disciplines import DISCIPLINES
from capsound.loading import BadScenario, load_scenario
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.outcome import Outcome
from capsound_proofs.solve import solve
from capsound_proofs.vacuity import Contradiction

NAMES = ("w", "w-1", "w-2", "w-1-1", "s", "slice", "root-1", "w_1", "s-1", "W")
BATCHES, EACH = 12, 5
"""In CI: so many batches of so many files. As many again, and more, are judged in ``test_metamorphic``, which solves them."""

pytestmark = pytest.mark.usefixtures("prove_once")


def scenario_text(random: Random) -> str:
    """Return a small scenario file."""
    discipline = random.choice([*BLOCKS, "racy-counter", "split-and-return", "copied-slices", "two-phase"])
    cap = random.randint(1, 8)
    lines = [f"cap = {cap}", f'discipline = "{discipline}"', 'properties = ["cap", "slice"]']
    names = list(NAMES)
    random.shuffle(names)
    calls = [names.pop() for _ in range(random.randint(1, 2))]
    a1 = random.random() < 0.5
    blocks: list[str] = []
    for call in calls:
        estimate = random.randint(0, 5)
        bill = random.randint(0, estimate if a1 and random.random() < 0.9 else 6)
        wide = random.random() < 0.2
        shown = f"{{ min = {bill}, max = {bill + 1} }}" if wide else str(bill)
        blocks.append(f'[[calls]]\nname = "{call}"\nestimate = {estimate}\nbill = {shown}')
    slices: list[str] = []
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        name = names.pop()
        parent = random.choice(["root", *slices])
        blocks.append(f'[[slices]]\nname = "{name}"\nparent = "{parent}"\ngrant = {random.randint(0, cap)}')
        slices.append(name)
    room = 4 - len(slices)
    entries = 0
    while room > 0 and entries < 3:
        count = random.choice((1, 1, 2)) if room > 1 else 1
        lines_of = [f'[[agents]]\nname = "{random.choice(NAMES)}"\ncount = {count}']
        lines_of.append(f'account = "{random.choice(["root", *slices])}"\ncall = "{random.choice(calls)}"')
        if random.random() < 0.3:
            lines_of.append(f"slice = {random.randint(0, cap)}")
        if count == 1 and random.random() < 0.2:
            lines_of.append("calls = 2")
        blocks.append("\n".join(lines_of))
        room, entries = room - count, entries + 1
        if random.random() < 0.3:
            break
    random.shuffle(blocks)
    assume = [f"A1 = {str(a1).lower()}"]
    if not a1 and random.random() < 0.4:
        assume.append(f'shortfall = "{random.choice(("3/2", "2", "1"))}"')
    if random.random() < 0.15:
        assume.append("A7 = false")
    blocks.append("[assume]\n" + "\n".join(assume))
    faults = [f"{kind} = 1" for kind in ("cancel", "timeout", "crash") if random.random() < 0.12]
    if faults:
        blocks.append("[faults]\n" + "\n".join(faults))
    return "\n".join([*lines, *blocks]) + "\n"


GIVEN_UP = "no counterexample of up to"
"""How the bound of a search begins that has come to its limit of work."""


def compare(path: Path) -> str:
    """Compare ``solve`` and the judge about one file; return what became of it."""
    try:
        scenario = load_scenario(path, known_disciplines=DISCIPLINES)
    except BadScenario:
        return "refused by the reader"
    judge = Judge(scenario)
    if judge.contradictory():
        with pytest.raises(Contradiction):
            solve(scenario)
        return "contradictory"
    judged = judge.judge()
    if not judged.complete:
        return "too large"
    outcome = solve(scenario)
    agree(judged, outcome)
    return outcome.verdict.value


def agree(judged: Judged, outcome: Outcome) -> None:
    """Compare what ``solve`` says of a scenario with what the judge has found in all of its states."""
    for prop in (Property.CAP, Property.SLICE):
        result = outcome.result(prop)
        wanted = judged.shortest.get(prop.value)
        if wanted is None and GIVEN_UP in result.bound:  # it says so: that is no verdict, and no wrong one
            assert result.verdict is Verdict.UNKNOWN
        elif wanted is None:
            assert result.verdict is Verdict.SOUND, (prop, result.bound)
        elif wanted <= outcome.scenario.search.steps:
            assert result.verdict is Verdict.VIOLATED, (prop, result.bound)
            assert result.trace is not None
            assert len(result.trace.schedule.choices) == wanted, prop
        else:
            assert result.verdict is not Verdict.SOUND, (prop, result.bound)
    if outcome.worst is not None:
        assert outcome.worst.least <= judged.overshoot
        assert outcome.worst.most is None or outcome.worst.most >= judged.overshoot


def judge_files(seed: int, count: int, folder: Path) -> Counter[str]:
    """Compare so many files."""
    random = Random(seed)
    seen: Counter[str] = Counter()
    for number in range(count):
        text = scenario_text(random)
        path = folder / f"{seed}-{number}.toml"
        path.write_text(text, encoding="utf-8")
        try:
            seen[compare(path)] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, number {number}:\n{text}")
            raise
    return seen


@pytest.mark.parametrize("seed", range(BATCHES))
def test_the_judge_agrees(seed: int, tmp_path: Path) -> None:
    seen = judge_files(seed, EACH, tmp_path)
    assert seen["sound"] + seen["violated"] >= EACH // 4, seen


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(1_000, 1_100))
def test_the_judge_agrees_deep(seed: int, tmp_path: Path) -> None:
    seen = judge_files(seed, 50, tmp_path)
    assert seen["unknown"] <= 5, seen
    assert {"sound", "violated", "contradictory"} <= set(seen)


def test_the_judge_finds_the_race_of_the_paper() -> None:
    """The judge itself: three agents, 69 of 60 in six steps."""
    path = Path(__file__).parents[2] / "scenarios" / "race-a-racy-counter.toml"
    judged = Judge(load_scenario(path, known_disciplines=DISCIPLINES)).judge()
    assert judged.shortest == {"cap": 6}
    assert judged.overshoot == 9
