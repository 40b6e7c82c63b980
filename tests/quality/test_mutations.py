"""Ten rules of the model, each broken in a copy: the unit tests of the model must notice every one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MUTATIONS = {
    "the check compares the wrong way": ("steps.py", "f.account.available >= f.costs.estimate(f)", "f.account.available <= f.costs.estimate(f)"),
    "a reservation is not held": ("steps.py", "f.account.available = f.account.available - f.call.cover", "f.account.available = f.account.available"),
    "a settlement refunds too much": ("steps.py", "f.account.available + f.call.cover - f.call.told", "f.account.available + f.call.cover + f.call.told"),
    "a forfeit gives back": ("steps.py", "f.account.forfeited = f.account.forfeited + f.call.cover", "f.account.available = f.account.available + f.call.cover"),
    "a bill is not counted": ("ghosts.py", "f.account.billed = f.account.billed + amount", "f.account.billed = f.account.billed"),
    "a lock is taken when it is taken": ("steps.py", "waits=lambda f: f.account.lock == 0", "waits=lambda f: f.account.lock >= 0"),
    "the guard of the cap is dropped from the books": ("accounts.py", "if event.amount > 0 and billed > limit:", "if event.amount > 0 and billed > limit + 9:"),
    "a hold can be resolved twice": ("accounts.py", 'yield _breach("R6"', 'yield from () if True else _breach("R6"'),
    "a sent hold can be released": ("accounts.py", "isinstance(event, Release) and hold.state is HoldState.SENT", "isinstance(event, Release) and hold.state is HoldState.SETTLED"),
    "a closed slice mints": ("accounts.py", "available=child.available - back, returned=child.returned + back", "available=child.available, returned=child.returned + back"),
    "the second lost update is not observed": ("schedule.py", "(resolved and index == place.account)", "False"),
    "a copied slice is not looked at": ("predicates.py", "ledger.carved != ledger.delegated", "False"),
}  # fmt: skip


QUIET = ("-p", "no:cacheprovider", "-o", "addopts=")


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_rule_is_noticed(mutation: str, tmp_path: Path) -> None:
    name, old, new = MUTATIONS[mutation]
    shutil.copytree(ROOT / "model", tmp_path / "model", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "model" / "capsound" / name
    source = path.read_text()
    assert old in source, "the mutation no longer applies: bring it up to date"
    path.write_text(source.replace(old, new))
    folder = _tests(tmp_path)
    for chosen in ("not small_scopes", "small_scopes"):  # the quick ones first
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-k", chosen, *QUIET, "test_model.py"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(tmp_path / "model"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 1:
            break
    assert done.returncode == 1, f"no test noticed: {mutation}\n{done.stdout[-2000:]}"


def _tests(tmp_path: Path) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    shutil.copy(ROOT / "tests" / "unit" / "test_model.py", folder)
    return folder
