"""The picture of the house, drawn from the imports: a graph of rooms, and a table that says what each is for."""

from __future__ import annotations

import importlib
from pathlib import Path

import networkx as nx
from book import fragment, table
from imports import FRONT, arrows, lines_of_code

PURPOSE = {FRONT: "Entry points (`capsound`, the pytest plugin) and the public names."}


def floors() -> dict[str, int]:
    """Return the floor of every room: one above the highest that it imports."""
    graph = nx.DiGraph(list(arrows()))
    graph.add_nodes_from(lines_of_code())
    level: dict[str, int] = {}
    for room in reversed(list(nx.lexicographical_topological_sort(graph))):
        level[room] = 1 + max((level[below] for below in graph.successors(room)), default=0)
    return level


def purpose(room: str) -> str:
    """Return the first sentence of what a room says of itself."""
    package = room if room.startswith("capsound") else f"capsound_checker.{room}"
    said = PURPOSE.get(room) or importlib.import_module(package).__doc__ or ""
    return said.strip().split("\n")[0]


@fragment
def write_house(page: Path, argument: str) -> str:
    """The rooms as a graph: an arrow from each to those that it imports, leaving out what a longer way shows."""
    del page, argument
    graph = nx.transitive_reduction(nx.DiGraph(list(arrows())))
    level = floors()
    lines = ["```mermaid", "flowchart TD"]
    for floor in sorted(set(level.values()), reverse=True):
        lines.append(f'  subgraph floor{floor}["floor {floor}"]')
        lines += [f"    {room}" for room in sorted(level) if level[room] == floor]
        lines.append("  end")
    lines += [f"  {above} --> {below}" for above, below in sorted(graph.edges)]
    return "\n".join([*lines, "```", ""])


@fragment
def write_rooms(page: Path, argument: str) -> str:
    """What each room is for, how high it stands, and which rooms it imports."""
    del page, argument
    level, below = floors(), arrows()
    order = sorted(level, key=lambda room: (-level[room], room))
    rows = [
        (str(level[room]), f"`{room}`", purpose(room), ", ".join(b for a, b in below if a == room) or "-")
        for room in order
    ]
    return table(("floor", "room", "what it is for", "imports"), rows)
