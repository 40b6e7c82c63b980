"""Contracts on the arithmetic of the model and of the reference, checked by symbolic execution (docs/contracts.md).

CrossHair runs in processes of its own (`contract_worker`). A contract is *confirmed* when all of its paths were
walked, *bounded* when none of those that were walked breaks it: the tests say which is which, and that each of them
finds what it is there to find.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from contract_faults import FAULTS, MODULES

HERE = Path(__file__).parent
BOX = 30.0
"""Seconds of processor time for each contract; the slowest takes two."""

BOUNDED = {"any_two_events_keep_the_books": 3.0}
"""Too many paths to walk in every run: so many seconds of them are; all of them in the deep run."""

DEEP = {"any_two_events_keep_the_books": 600.0, "any_three_events_keep_the_books": 2400.0}
"""What is only confirmed, or only tried, in the deep run."""


def functions(module: str) -> list[ast.FunctionDef]:
    """Return the contracts of a module: its functions that take integers and return nothing."""
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    return [f for f in tree.body if isinstance(f, ast.FunctionDef) and ast.unparse(f.returns or f) == "None"]


CONTRACTS = {function.name: module for module in MODULES for function in functions(module)}
EVERY_RUN = [name for name in CONTRACTS if name not in {*BOUNDED, *DEEP}]


def work(*arguments: object) -> list[dict[str, object]]:
    """Run the worker and return its findings. Hashes are fixed, so that paths are walked in the same order."""
    done = subprocess.run(
        [sys.executable, "contract_worker.py", *map(str, arguments)],
        cwd=HERE,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@cache
def findings(module: str, *options: str) -> dict[object, dict[str, object]]:
    """Check all contracts of a module that belong to every run; return what was found by name, and number of fault."""
    names = [name for name in EVERY_RUN if CONTRACTS[name] == module]
    return {(f["contract"], f["fault"]): f for f in work(module, "--seconds", BOX, *options, *names)}


@pytest.mark.parametrize("name", EVERY_RUN)
def test_a_contract_is_confirmed_over_all_paths(name: str) -> None:
    finding = findings(CONTRACTS[name])[name, None]
    assert finding["verdict"] == "confirmed", finding["message"]


@pytest.mark.parametrize("name", BOUNDED)
def test_a_contract_survives_the_time_that_it_has(name: str) -> None:
    (finding,) = work(CONTRACTS[name], "--seconds", BOUNDED[name], name)
    assert finding["verdict"] in ("bounded", "confirmed"), finding["message"]


@pytest.mark.deep
@pytest.mark.parametrize("name", DEEP)
def test_a_contract_of_many_paths_is_confirmed_in_the_deep_run(name: str) -> None:
    (finding,) = work(CONTRACTS[name], "--seconds", DEEP[name], name)
    assert finding["verdict"] == "confirmed", finding["message"]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(
            name,
            number,
            id=f"{name}-{fault.says.replace(' ', '-')}",
            marks=() if name in (*EVERY_RUN, *BOUNDED) else pytest.mark.deep,
        )
        for name, faults in FAULTS.items()
        for number, fault in enumerate(faults)
    ],
)
def test_a_planted_fault_is_found_with_inputs_that_show_it(name: str, number: int) -> None:
    if name in EVERY_RUN:
        finding = findings(CONTRACTS[name], "--faults")[name, number]
    else:
        box = BOX if name in BOUNDED else DEEP[name]
        finding = work(CONTRACTS[name], "--seconds", box, "--faults", name)[number]
    assert finding["verdict"] == "refuted", finding["message"]
    assert finding["replayed"], "the inputs break the contract only while they are symbols"
    assert isinstance(finding["inputs"], list)
    # The same inputs meet what the contract assumes, and keep it where no fault is planted.
    getattr(importlib.import_module(CONTRACTS[name]), name)(*finding["inputs"])


def test_every_contract_has_a_fault_to_find() -> None:
    assert set(FAULTS) == set(CONTRACTS)
    assert all(FAULTS.values())


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_assumes_first_then_acts_then_asserts(name: str) -> None:
    """Leading asserts are assumptions: a contract of asserts alone would assume what it ought to show."""
    (function,) = (f for f in functions(CONTRACTS[name]) if f.name == name)
    kinds = [isinstance(statement, ast.Assert) for statement in function.body]
    assert kinds[0], "CrossHair takes no contract without an assumption"
    acts = kinds.index(False)
    asserted = [
        node for statement in function.body[acts:] for node in ast.walk(statement) if isinstance(node, ast.Assert)
    ]
    assert asserted


@pytest.mark.parametrize(
    ("module", "title"), [("contracts_model", "The model"), ("contracts_reference", "The reference")]
)
def test_the_page_names_every_contract_what_is_claimed_and_what_it_finds(module: str, title: str) -> None:
    page = (HERE.parents[1] / "docs" / "contracts.md").read_text(encoding="utf-8")
    table = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    said = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert said == rows(module)


def rows(module: str) -> list[str]:
    """Return the lines of the table of one module."""
    claims = dict.fromkeys(EVERY_RUN, "confirmed") | dict.fromkeys(DEEP, "deep only")
    claims |= dict.fromkeys(BOUNDED, "bounded; confirmed in the deep run")
    return [
        f"| {name.replace('_', ' ')} | {claims[name]} | {'; '.join(fault.says for fault in FAULTS[name])} |"
        for name, home in CONTRACTS.items()
        if home == module
    ]
