"""The last gate: the file makes sense. It reads like a table of contents, a section of the file at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from capsound.loading.agents import read_agents
from capsound.loading.assume import read_assume
from capsound.loading.calls import read_calls
from capsound.loading.expect import read_expect
from capsound.loading.problems import Notes
from capsound.loading.slices import read_slices
from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.properties import JUDGED_ON_RUNS, Property
from capsound.scenario import Estimator, Faults, Prices, Provider, Scenario, Search


def read_scenario(data: Mapping[str, Any], notes: Notes, known_disciplines: Collection[str]) -> Scenario:
    """Return the scenario that ``data`` says, which keep to the schema. Raises ``BadScenario``."""
    values = Values(data, notes)
    if data["discipline"] not in known_disciplines:
        values.unknown(("discipline",), "discipline", known_disciplines)
    cap = values.interval(("cap",))
    calls = read_calls(values)
    slices, accounts = read_slices(values, cap)
    scenario = Scenario(
        name=Path(notes.path).stem if not notes.path.startswith("<") else notes.path.strip("<>"),
        cap=cap,
        discipline=data["discipline"],
        agents=read_agents(values, calls, accounts),
        calls=calls,
        title=data.get("title", ""),
        unit=data.get("unit", "units"),
        slices=slices,
        estimator=values.section("estimator", Estimator),
        provider=values.section("provider", Provider),
        prices=values.section("prices", Prices),
        assume=read_assume(values, calls),
        faults=values.section("faults", Faults),
        properties=_properties(values),
        expect=read_expect(values),
        search=values.section("search", Search),
        path=notes.path,
    )
    notes.gate()
    return scenario


def _properties(values: Values) -> tuple[Property, ...]:
    names = values.data.get("properties", [])
    values.unique(("properties",), names)
    for number, name in enumerate(names):
        if Property(name) in JUDGED_ON_RUNS:
            solvable = ", ".join(p.value for p in Property if p not in JUDGED_ON_RUNS)
            message = f"{show(name)} is judged on single runs only: no scenario can ask for a proof of it"
            values.notes.value(("properties", number), message, f"choose among {solvable}")
        elif Property(name) is Property.WIDTH and values.get(("assume",), {}).get("width") is None:
            message = "the property width needs a width: without one amounts are unbounded, and every balance fits"
            cure = "add width = 64 (or how many bits an amount has) to [assume], or leave the property out"
            values.notes.value(("properties", number), message, cure)
    return tuple(Property(name) for name in names)
