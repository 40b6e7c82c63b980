"""The pictures of the pages are what the code draws."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", IMAGES / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_race_is_drawn_as_it_runs() -> None:
    """``python docs/images/draw.py`` writes it anew."""
    drawn = drawing().render()
    assert (IMAGES / "race.svg").read_text() == drawn
    words = " ".join(node.text or "" for node in ET.fromstring(drawn).iter())
    assert "billed 69: 9 over" in words
    assert "31 refused" in words
