"""One idea a module: who needs more than 450 lines says why in the first of them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("model", "reference_impl") for path in (ROOT / folder).rglob("*.py"))
MOST = 450


def test_there_are_modules() -> None:
    assert len(MODULES) > 40


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_long_module_says_why(path: Path) -> None:
    source = path.read_text()
    if source.count("\n") > MOST:
        assert "One module, because " in (ast.get_docstring(ast.parse(source)) or "")
