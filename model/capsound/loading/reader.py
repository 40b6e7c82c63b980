"""The last gate: the file makes sense. It reads like a table of contents, a section of the file at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from capsound.loading.agents import read_agents
from capsound.loading.assume import read_assume
from capsound.loading.calls import read_calls
from capsound.loading.ceilings import read_ceilings, read_spans, read_window
from capsound.loading.discipline import read_discipline
from capsound.loading.expect import read_expect
from capsound.loading.money import WHOLE, Scale
from capsound.loading.prices import read_prices
from capsound.loading.problems import Notes
from capsound.loading.slices import read_slices
from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.properties import JUDGED_ON_RUNS, Property
from capsound.scenario import Estimator, Faults, Interval, Provider, Scenario, Search


def read_scenario(
    data: Mapping[str, Any], notes: Notes, known_disciplines: Collection[str], scale: Scale = WHOLE
) -> Scenario:
    """Return the scenario that ``data`` says, which keep to the schema; ``scale`` is that of its money.

    Raises ``BadScenario``.
    """
    values = Values(data, notes, scale)
    name, table = read_discipline(values, known_disciplines)
    cap, spent = _cap(values)
    calls = read_calls(values)
    slices, accounts = read_slices(values, cap)
    ceilings = read_ceilings(values)
    scenario = Scenario(
        name=Path(notes.path).stem if not notes.path.startswith("<") else notes.path.strip("<>"),
        cap=cap,
        discipline=name,
        agents=read_agents(values, calls, accounts, ceilings),
        calls=calls,
        title=data.get("title", ""),
        unit=data.get("unit", "units"),
        slices=slices,
        estimator=values.section("estimator", Estimator),
        provider=values.section("provider", Provider),
        prices=read_prices(values),
        assume=read_assume(values, calls),
        faults=values.section("faults", Faults),
        properties=_properties(values),
        expect=read_expect(values),
        search=values.section("search", Search),
        path=notes.path,
        spent=spent,
        table=table,
        ceilings=ceilings,
        window=read_window(values),
        digits=scale.digits,
        places=scale.places,
    )
    _alone(values, scenario)
    read_spans(values, scenario)
    notes.gate()
    return scenario


def _alone(values: Values, scenario: Scenario) -> None:
    """Blame what does not go with ceilings, windows and holds that expire: each account stands alone then."""
    if not scenario.stands_alone:
        return
    what = "ceilings" if scenario.ceilings else "a window" if scenario.window else "expire"
    cure = "say with [[ceilings]] what each may spend at most"
    if scenario.slices and not scenario.ceilings:
        values.notes.key(("slices",), f"slices do not go together with {what} yet", cure)
    for number, agents in enumerate(scenario.agents):
        used = {
            "slice": agents.own_slice is not None or agents.inherits,
            "program": bool(agents.program),
            "affordable": agents.affordable,
        }
        for key in used:
            if used[key]:
                values.notes.key(("agents", number, key), f"{show(key)} does not go together with {what} yet", cure)
    if Property.SLICE in scenario.properties:
        values.notes.key(("properties",), f"there are no slices beside {what}: the cap is judged of each ceiling", cure)
    if scenario.faults.expire and scenario.faults.crash:
        message = "expire and crash do not go together yet: the hold of an agent that died would have to expire, too"
        values.notes.key(("faults", "expire"), message, "ask about each in a scenario of its own")


def _cap(values: Values) -> tuple[Interval, int]:
    """Return the cap, and what of it is already spent; blame more than there is."""
    cap = values.interval(("cap",))
    spent: int = values.get(("spent",), 0)
    if cap.hi is None:
        return Interval(max(cap.lo, spent), None), spent
    if spent > cap.hi:
        most = values.told(cap.hi)
        message = f"{values.told(spent)} is already spent of a cap of {most}: it is overshot before anything is asked"
        values.notes.value(("spent",), message, f"give {most} or less, or a larger cap")
    return cap, spent


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
