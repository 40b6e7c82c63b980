"""Copies of handles in another process: made there and used, or named as not tried where the harness says nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.checking import check
from capsound_checker.check.plan import Plan
from capsound_checker.check.replaying import replay_target
from capsound_checker.check.results import Checked

REPOSITORY = Path(__file__).parents[2]
NODE = REPOSITORY / "examples" / "harness" / "node" / "harness.js"
PYTHON_HARNESS = REPOSITORY / "checker" / "capsound_checker" / "remote" / "harness.py"

BUDGETS = '''
"""Budgets whose handles are used once, and not so where they are copied."""

from capsound.adapter import Adapter, Refused, Rejected, Stale


def whole(amount):
    if type(amount) is not int or amount < 0:
        raise Rejected
    return amount


class Hold:
    def __init__(self, purse, amount):
        self.purse, self.amount, self.done = purse, amount, False


class Purse:
    def __init__(self, cap):
        self.cap, self.kept, self.used = whole(cap), 0, 0
        self.count, self.open = 0, set()

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy would be a second purse")


class ByFlag(Adapter):
    """A hold itself knows whether it is used up: a shallow copy of it does not."""

    def open(self, cap):
        return Purse(cap)

    def reserve(self, scope, amount):
        if whole(amount) > scope.cap - scope.kept - scope.used:
            raise Refused
        scope.kept += amount
        hold = Hold(scope, amount)
        scope.count += 1
        hold.number = scope.count
        scope.open.add(hold.number)
        return hold

    def used_up(self, hold):
        if hold.done:
            return True
        hold.done = True
        return False

    def settle(self, hold, actual):
        whole(actual)
        if self.used_up(hold):
            raise Stale
        hold.purse.kept -= hold.amount
        hold.purse.used += actual

    def spent(self, scope):
        return scope.used

    def held(self, scope):
        return scope.kept

    def remaining(self, scope):
        return scope.cap - scope.kept - scope.used


class ByBooks(ByFlag):
    """The purse knows which holds are open: copies change nothing."""

    def used_up(self, hold):
        if hold.number not in hold.purse.open:
            return True
        hold.purse.open.discard(hold.number)
        return False
'''

SILENT = """
import sys
sys.path.insert(0, {folder!r})
import harness

whole = harness.Harness.started
def started(self):
    said = whole(self)
    CHANGE
    return said
harness.Harness.started = started
sys.exit(harness.main(["harness.py", {target!r}]))
"""


@pytest.fixture
def budgets(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.py"
    path.write_text(BUDGETS)
    return path


def looked(target: str, python: str = "", *, programs: int = 40) -> Checked:
    return check(Plan(target, programs=programs, seconds=300, python=python, drivers=("misuse",)))


def found(said: Checked) -> set[tuple[str, bool, str]]:
    return {(shown.anomaly, shown.misuse, shown.token) for shown in said.faults}


@pytest.mark.parametrize("name", ["ByFlag", "ByBooks"])
def test_the_other_process_finds_what_this_one_finds(name: str, budgets: Path) -> None:
    here, there = looked(f"{budgets}:{name}"), looked(f"{budgets}:{name}", sys.executable)
    assert found(here) == found(there)
    assert bool(here.faults) == (name == "ByFlag")
    assert not [doubt for doubt in there.doubts if "copies" in doubt]


def test_a_run_with_a_copy_is_replayed_there(budgets: Path) -> None:
    target = f"{budgets}:ByFlag"
    shown = next(s for s in looked(target, sys.executable).faults if "clone_hold" in s.token)
    again = replay_target(Plan(target, python=sys.executable), shown.token)
    assert again.verdict is Verdict.VIOLATED
    assert "clone_hold" in again.text


@pytest.mark.parametrize(
    ("change", "doubted"),
    [
        ("del said['claims']['copies']", True),
        ("said['claims']['copies'] = False", False),
        ("del said['claims']['copies']; said['assumes'] = ['affine']", False),
    ],
    ids=["it says nothing", "nothing can be copied", "it assumes that nobody does"],
)
def test_a_harness_that_does_not_say_is_not_sound(change: str, doubted: bool, budgets: Path) -> None:
    script = budgets.with_name("silent.py")
    silent = SILENT.format(folder=str(PYTHON_HARNESS.parent), target=f"{budgets}:ByBooks")
    script.write_text(silent.replace("CHANGE", change))
    said = check(Plan(f"cmd:{sys.executable} {script}", programs=20, seconds=300))
    named = [doubt for doubt in said.doubted if doubt.text.startswith("copies of handles were not tried: ")]
    assert [doubt.at for doubt in named] == [Guarantee.SEQUENTIAL] * doubted
    assert said.verdict is (Verdict.UNKNOWN if doubted else Verdict.SOUND), (said.doubts, said.faults)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_example_in_javascript_answers_copies(tmp_path: Path) -> None:
    assert looked(f"cmd:node {NODE} sound").faults == ()
    spoilt = tmp_path / "harness.js"
    sound = "hold.budget.#open.delete(hold.id)"
    text = NODE.read_text()
    assert sound in text
    spoilt.write_text(
        text.replace(f"!{sound}", "hold.done").replace(
            "hold.budget.held -=", "hold.done = true;\n    hold.budget.held -="
        )
    )
    said = looked(f"cmd:node {spoilt} sound")
    assert any("clone_hold" in shown.token for shown in said.faults)
