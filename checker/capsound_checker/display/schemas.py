"""The published schemas of what capsound prints with ``--json`` and writes: one JSON Schema a file, in ``schema/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("schema")


def schema_of(name: str) -> dict[str, Any]:
    """Return the schema of a format, by its name."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded
