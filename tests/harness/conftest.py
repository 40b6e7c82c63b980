"""Scenario files for the tests of the command line, written where each test wants them."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "scenarios"
OWN = Path(__file__).resolve().parent / "scenarios"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the golden scenarios, in which commands run whose results are shared."""
    return GOLDEN


@pytest.fixture(scope="session")
def source() -> dict[str, str]:
    """Return the text of every scenario of the tests, by the name of its file without ``.toml``."""
    return {path.stem: path.read_text(encoding="utf-8") for folder in (GOLDEN, OWN) for path in folder.glob("*.toml")}
