"""``solve`` against a judge of ceilings, windows and expiry that shares nothing with it, on scenario files.

Every verdict on the cap, the length of the shortest counterexample and every bound on the overshoot must be the judge's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest
from ceiling_judge import BLOCKS, CeilingJudge

from capsound.disciplines import KNOWN
from capsound.loading import load_scenario
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.solve import solve

BATCHES, EACH = 12, 3


def window(random: Random) -> list[str]:
    """Return the keys of a window, or none."""
    if random.random() < 0.5:
        return []
    keys = [f'window = "{random.choice(("day", "week", "every 5 min"))}"']
    if random.random() < 0.5:
        keys.append(f'in_flight = "{random.choice(("kept", "forgotten"))}"')
    if random.random() < 0.6:
        keys.append(f"resets = {random.randint(1, 2)}")
    return keys


def scenario_text(random: Random) -> str:
    """Return a small scenario file."""
    a1 = random.random() < 0.8
    estimate = random.randint(1, 4)
    bill = random.randint(1, estimate if a1 else 5)
    lines = [f"cap = {random.randint(1, 8)}", f'discipline = "{random.choice(list(BLOCKS))}"', 'properties = ["cap"]']
    root = window(random)
    lines += root
    names: list[str] = []
    blocks: list[str] = [f"[[calls]]\nestimate = {estimate}\nbill = {bill}", f"[assume]\nA1 = {str(a1).lower()}"]
    for name in ("x", "y")[: random.randint(0 if root else 1, 2)]:
        keys = [f'name = "{name}"', f'parent = "{random.choice(["root", *names])}"', f"cap = {random.randint(1, 6)}"]
        if random.random() < 0.25:
            keys.append('dimension = "requests"')
        blocks.append("[[ceilings]]\n" + "\n".join([*keys, *window(random)]))
        names.append(name)
    for number in range(random.randint(1, 2)):
        several = random.random() < 0.3 and len(names) == 2
        where = 'ceilings = ["y", "x"]' if several else f'account = "{random.choice(["root", *names])}"'
        calls = random.choice((1, 1, 2))
        count = 1 if calls == 2 else random.choice((1, 2))
        blocks.append(f'[[agents]]\nname = "a{number}"\n{where}\ncount = {count}\ncalls = {calls}')
    faults = [f"expire = {random.randint(1, 2)}"] if random.random() < 0.3 else []
    faults += ["cancel = 1"] if random.random() < 0.2 else []
    if faults:
        blocks.append("[faults]\n" + "\n".join(faults))
    random.shuffle(blocks)
    return "\n".join([*lines, *blocks]) + "\n"


def compare(path: Path) -> str:
    """Compare ``solve`` and the judge about one file; return what became of it."""
    scenario = load_scenario(path, known_disciplines=KNOWN)
    judged = CeilingJudge(scenario).judge()
    if not judged.complete:
        return "too large"
    outcome = solve(scenario)
    result = outcome.result(Property.CAP)
    if judged.shortest is None:
        assert result.verdict is not Verdict.VIOLATED, result.bound
    elif judged.shortest <= scenario.search.steps:
        assert result.verdict is Verdict.VIOLATED, result.bound
        assert result.trace is not None
        assert len(result.trace.schedule.choices) == judged.shortest
    if outcome.worst is not None:
        assert outcome.worst.least <= judged.over
        assert outcome.worst.most is None or outcome.worst.most >= judged.over
    return result.verdict.value


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
def test_the_judge_of_ceilings_agrees(seed: int, tmp_path: Path) -> None:
    seen = judge_files(seed, EACH, tmp_path)
    assert seen["sound"] + seen["violated"] >= 1, seen


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(1_000, 1_060))
def test_the_judge_of_ceilings_agrees_deep(seed: int, tmp_path: Path) -> None:
    seen = judge_files(seed, 30, tmp_path)
    assert {"sound", "violated"} <= set(seen)


CASES = Path(__file__).parents[1] / "cases" / "reports"


@pytest.mark.parametrize(
    ("file", "shortest", "over"),
    [
        ("a4-window-reset/wanted.toml", 5, 20),
        ("a4-window-reset/kept.toml", None, 0),
        ("a11-hold-expires/wanted.toml", 5, 20),
        ("a12-per-user-and-team/wanted.toml", None, 0),
    ],
)
def test_the_judge_agrees_with_what_was_worked_out_by_hand(file: str, shortest: int | None, over: int) -> None:
    judged = CeilingJudge(load_scenario(CASES / file, known_disciplines=KNOWN)).judge()
    assert (judged.shortest, judged.over) == (shortest, over)
