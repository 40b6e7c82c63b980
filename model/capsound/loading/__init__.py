"""From a scenario file to a ``Scenario``, or to ``BadScenario``: all that is wrong, where, and the cure.

The language is ``scenario.schema.json``. A file passes four gates: it can be read, it is TOML of a sane size (both in
``syntax``), it keeps to the schema (``schema``), it makes sense (``reader``, and a module for each section). Before the
third, ``money`` makes whole numbers of decimals. All that the last two find is told together: where a value was blamed,
a stand-in is read on with (``taming``).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from capsound.errors import CapsoundError, printable
from capsound.loading.limits import DEPTH_CURE, MAX_FILE, MAX_ITEMS, MAX_NUMBER, MAX_OWN_SLICES
from capsound.loading.money import Scale, count_money
from capsound.loading.problems import BadScenario, Notes, Problem
from capsound.loading.reader import read_scenario
from capsound.loading.schema import SHAPES, check_schema, scenario_schema, scenario_template
from capsound.loading.syntax import check_values, read_text, read_toml, too_large
from capsound.positions import Place
from capsound.scenario import Scenario

__all__ = [
    "MAX_FILE",
    "MAX_ITEMS",
    "MAX_NUMBER",
    "MAX_OWN_SLICES",
    "SHAPES",
    "BadScenario",
    "Problem",
    "load_scenario",
    "parse_scenario",
    "scenario_schema",
    "scenario_template",
]


def load_scenario(path: str | Path, *, known_disciplines: Collection[str]) -> Scenario:
    """Read, check and return the scenario in the file ``path``; raises ``BadScenario``."""
    shown = printable(os.fspath(path))
    return parse_scenario(read_text(path), path=shown, known_disciplines=known_disciplines)


def parse_scenario(text: str, *, path: str = "<text>", known_disciplines: Collection[str]) -> Scenario:
    """Check and return the scenario that ``text`` says; ``path`` is for messages. Raises ``BadScenario``."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_FILE:
        raise BadScenario(path, [too_large(size)])
    notes = Notes(path, text.removeprefix("\ufeff").replace("\r\n", "\n"))
    try:
        data = read_toml(notes)
        check_values(data, notes)
        scale = count_money(data, notes)
        check_schema(data, notes)
        return _read(data, notes, known_disciplines, scale)
    except RecursionError:
        notes.at(Place(1, 1), "the file nests too deep", DEPTH_CURE)
        raise notes.error() from None


def _read(data: dict[str, Any], notes: Notes, known_disciplines: Collection[str], scale: Scale) -> Scenario:
    """Return the scenario; raises ``BadScenario`` with what the gates before have found as well."""
    try:
        return read_scenario(data, notes, known_disciplines, scale)
    except CapsoundError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError):
        if not notes.found:
            raise
        raise notes.error() from None  # it was made of stand-ins
