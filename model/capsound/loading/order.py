"""Who comes after whom among the agents of a scenario: names that exist, no circle, and few enough to tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.scenario import Agents

APART = 64
"""How many agents of one entry can be waited for, or inherit, at most: each of them is told apart."""


def read_order(values: Values, agents: Sequence[Agents]) -> None:
    """Blame agents that wait for nobody who is there, for themselves, or for more than can be told apart."""
    groups = {group.name: group for group in agents}
    for number, group in enumerate(agents):
        here = ("agents", number)
        values.unique((*here, "after"), group.after)
        for index, name in enumerate(group.after):
            if name not in groups:
                values.unknown((*here, "after", index), "entry of agents called", groups)
            elif not _few(groups[name]):
                values.notes.value(
                    (*here, "after", index),
                    f"{show(group.name)} waits for {_many(groups[name])} of {show(name)}; {APART} are the most",
                    f"give {show(name)} a count of at most {APART}",
                )
        if group.inherits and not _few(group):
            values.notes.value(
                (*here, "slice"),
                f"{_many(group)} of {show(group.name)} inherit what is left; {APART} are the most",
                f"give {show(group.name)} a count of at most {APART}",
            )
    for number, group in enumerate(agents):
        if (circle := _circle(group.name, groups)) and group.name == min(circle):
            values.notes.value(
                ("agents", number, "after"),
                f"the agents wait for each other: {' after '.join([*circle, circle[0]])}",
                "nobody would ever start: let one of them wait for nobody",
            )


def _few(group: Agents) -> bool:
    return group.count is not None and group.count <= APART


def _many(group: Agents) -> str:
    return "any number" if group.count is None else str(group.count)


def _circle(name: str, groups: Mapping[str, Agents]) -> list[str]:
    """Return who waits for whom from ``name`` back to it, nothing where nobody does."""
    paths = [[name]]
    seen = {name}
    while paths:
        path = paths.pop()
        for other in groups[path[-1]].after:
            if other == name:
                return path
            if other in groups and other not in seen:
                seen.add(other)
                paths.append([*path, other])
    return []
