"""The targets of the league, without a network: each adapter is short, shows its library alone, and is listed."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path
from shutil import which

import pytest

LEAGUE = Path(__file__).parents[2] / "league"
ADAPTERS = LEAGUE / "adapters"
TARGETS = tomllib.loads((LEAGUE / "league.toml").read_text(encoding="utf-8"))["target"]
SHARED = {"adapting.py", "harness.mjs"}
"""What several adapters need: no adapters themselves."""

GUARANTEES = {"none", "stops", "sequential", "concurrent", "delegated", "fault-tolerant", "overrun-bounded"}
KINDS = {"budget library", "framework limit", "gateway", "counter", "tracker"}


def listed(target: dict[str, str]) -> tuple[str, str]:
    file, _, name = target["adapter"].removeprefix("adapters/").partition(":")
    return file, name


FILES = sorted(path for path in ADAPTERS.iterdir() if path.suffix in {".py", ".mjs"} and path.name not in SHARED)
PYTHON = [path for path in FILES if path.suffix == ".py"]
NODE = [path for path in FILES if path.suffix == ".mjs"]


def test_there_are_forty_packages():
    assert len({target["package"] for target in TARGETS}) >= 40
    assert {target["kind"] for target in TARGETS} == KINDS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_adapter_is_short_and_listed(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60
    alone = {target.get("alone", "").removeprefix("adapters/") for target in TARGETS}
    assert path.name in {listed(target)[0] for target in TARGETS} | alone


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_an_adapter_in_python_compiles_and_has_a_doctest_that_needs_no_capsound(path):
    tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    compile(tree, path.name, "exec")
    shown = ast.get_docstring(tree) or ""
    assert ">>>" in shown
    assert "capsound" not in shown


@pytest.mark.skipif(which("node") is None, reason="needs node")
@pytest.mark.parametrize("path", [*NODE, ADAPTERS / "harness.mjs"], ids=lambda path: path.name)
def test_an_adapter_for_node_is_well_formed(path):
    assert subprocess.run(["node", "--check", str(path)], check=False).returncode == 0


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["name"])
def test_a_target_names_its_version_its_adapter_and_its_promise(target):
    file, name = listed(target)
    text = (ADAPTERS / file).read_text(encoding="utf-8")
    assert f"{target['package']} {target['version']}" in text  # the version that was read
    assert target["kind"] in KINDS
    assert target["strongest"] in GUARANTEES
    assert 10 <= len(target["promise"]) <= 200
    assert re.search(r":\d+$", target["source"]) or target["source"].startswith("https://")
    assert all(sentence.endswith((".", ").")) for sentence in [*target.get("limits", ()), *target.get("defects", ())])
    if target["registry"] == "npm":
        assert f"{name}: {{" in text
        assert (LEAGUE / target["alone"]).is_file()
    else:
        classes = {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
        assert name in classes
    used = set(re.findall(r"^from (adapting|agentbudget_session) import", text, re.MULTILINE))
    assert used <= {Path(needed).stem for needed in target.get("files", ())}
    assert all((LEAGUE / needed).is_file() for needed in target.get("files", ()))


def test_names_are_unique():
    names = [target["name"] for target in TARGETS]
    assert len(names) == len(set(names))
