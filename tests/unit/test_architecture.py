"""The house is what the design says: arrows point down, each module holds one idea, nobody takes what is private."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import imports
import networkx as nx
import pytest
from imports import FRONT, ROOT, arrows, modules

BELOW = {
    FRONT: ("commands", "check", "wire", "schedules", "histories", "programs", "display", "solve"),
    "commands": ("league", "check", "solve", "wire", "audit", "costs", "histories", "intake", "page", "display"),
    "league": ("check", "costs", "programs", "remote", "spread", "intake", "page", "display"),
    "wire": ("remote", "schedules", "programs", "prices", "intake", "display"),
    "check": ("schedules", "histories", "remote", "programs", "spread", "intake", "display"),
    "solve": ("remote", "page", "display"),
    "audit": ("spread", "intake", "display", "prices"),
    "spread": ("intake",),
    "intake": ("display",),
    "costs": ("intake", "display"),
    "schedules": ("programs",),
    "histories": ("programs", "intake"),
    "remote": ("programs", "intake"),
    "programs": (),
    "page": ("display", "prices"),
    "display": (),
    "prices": (),
}
"""The arrows that are allowed between the wings of the checker, from each room to those below it."""

WINGS = tuple(BELOW)
ROOTS_BELOW = {
    "capsound": (),
    "capsound_proofs": ("capsound",),
    "capsound_reference": (),
    **dict.fromkeys(WINGS, ("capsound", "capsound_proofs")),
}

LONGEST = 450
"""Lines of a module that needs no reason for its length."""

REASON = "One module, because"
"""How the reason for a longer one begins, in its docstring."""

PUBLIC = [
    ("capsound_checker.suites", "suite"),
    ("capsound_checker.judging", "judge"),
    ("capsound_checker.lockstep", "Lockstep"),
    ("capsound_checker.machines", "Violation"),
    ("capsound_checker.coverage", "small_scope"),
    ("capsound_checker.watch", "SECONDS"),
    ("capsound_checker.threads", "race"),
    ("capsound_checker.asynchronous", "explore"),
    ("capsound_checker.agents", "Program"),
    ("capsound_checker.history", "History"),
    ("capsound_checker.recording", "record"),
    ("capsound_checker.proving", "prove"),
    ("capsound_checker.programs", "Step"),
    ("capsound_checker.remote.client", "remote"),
    ("capsound.adapter", "Adapter"),
    ("capsound.loading", "load_scenario"),
    ("capsound_proofs.solve", "solve"),
    ("capsound_reference", "Budget"),
]
"""Names that public documents use, and that stay importable wherever the code moves."""


def allowed(room: str) -> tuple[str, ...]:
    return (*ROOTS_BELOW[room], *BELOW.get(room, ()))


def test_arrows_between_rooms_point_down() -> None:
    wrong = [
        f"{one.where}: {above} may not import {below} ({one.imported})"
        for (above, below), made in arrows().items()
        if below not in allowed(above)
        for one in made
    ]
    assert not wrong, "\n".join(wrong)


def test_an_arrow_that_is_allowed_is_drawn() -> None:
    """A table that allows what nobody needs would let the next mistake through."""
    drawn = set(arrows())
    idle = [(above, below) for above, all_below in BELOW.items() for below in all_below if (above, below) not in drawn]
    assert not idle


def test_no_circle_of_rooms() -> None:
    assert nx.is_directed_acyclic_graph(nx.DiGraph(list(arrows())))


def test_every_folder_of_the_checker_is_a_wing_in_the_table() -> None:
    folder = imports.PACKAGES["capsound_checker"]
    found = {p.name for p in folder.iterdir() if p.is_dir() and list(p.glob("*.py"))}
    assert found == set(WINGS) - {FRONT}


@pytest.mark.parametrize("wing", [wing for wing in WINGS if wing != FRONT])
def test_a_wing_says_what_it_is_for_what_comes_in_and_what_goes_out(wing: str) -> None:
    said = importlib.import_module(f"capsound_checker.{wing}").__doc__ or ""
    assert re.search(r"\AIn: |\nIn: ", said), said
    assert "Out: " in said


FORBIDDEN = {
    "capsound": {"z3", "cvc5", "hypothesis", "pytest", "rich", "click"},
    "capsound_proofs": {"hypothesis", "pytest", "rich", "click"},
    "capsound_reference": {"z3", "cvc5", "hypothesis", "networkx", "jsonschema", "pytest", "rich", "click"},
}


def test_what_the_roots_may_not_import() -> None:
    wrong = [
        f"{one.where}: {one.imported}"
        for one in imports.imports()
        if one.imported.split(".")[0] in FORBIDDEN.get(one.importer.split(".")[0], ())
    ]
    assert not wrong, "\n".join(wrong)


def test_what_runs_a_target_does_not_know_that_there_is_a_terminal() -> None:
    drawing = {imports.room(one.importer) for one in imports.imports() if one.imported.split(".")[0] == "rich"}
    assert drawing.isdisjoint({"programs", "schedules", "histories", "remote"})


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_long_module_gives_its_reason(name: str, path: Path) -> None:
    text = path.read_text()
    lines = len(text.splitlines())
    if lines > LONGEST:
        assert REASON in (ast.get_docstring(ast.parse(text)) or ""), f"{name} has {lines} lines and gives no reason"


def test_nothing_of_the_checker_takes_what_is_private() -> None:
    folder = ROOT / "checker"
    found = [path.relative_to(ROOT) for path in folder.rglob("*.py") if "SLF001" in path.read_text()]
    assert not found, "the lint for private access is switched off"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[module for module, _ in PUBLIC])
def test_public_names_stay_importable(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


IMPORTED = re.compile(r"^(?:>>> )?from (capsound[\w.]*) import ([\w, ]+)$", re.MULTILINE)


def test_what_public_documents_import_is_public() -> None:
    """Every name that a page tells users to import exists; those of the checker are on the list above."""
    listed = {module for module, _ in PUBLIC} | {"capsound_checker.remote.process"}
    wrong = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for module, names in IMPORTED.findall(page.read_text()):
            loaded = importlib.import_module(module)
            wrong += [
                f"{page.name}: {module}.{name.strip()}"
                for name in names.split(",")
                if not hasattr(loaded, name.strip())
            ]
            if module.startswith("capsound_checker") and module not in listed:
                wrong.append(f"{page.name}: {module} is not on the list of public names")
    assert not wrong, "\n".join(wrong)


def test_the_readers_of_imports_see_late_ones_and_those_of_packages() -> None:
    """The test of the test: an import inside a function, and one of a module by ``from package import module``."""
    plugin = [one.imported for one in imports.imports() if one.importer == "capsound_checker.plugin"]
    assert "capsound_checker.programs.machines" in plugin
    assert any(
        one.imported == "capsound_checker.schedules.agents"
        for one in imports.imports()
        if one.importer == "capsound_checker.check.looping"
    )
