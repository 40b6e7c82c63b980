"""The delegation tree: the root account, its slices, and what they were granted, as a networkx graph.

Edges point from parent to child. Slices that agents take for themselves (``Agents.own_slice``) are not nodes:
there is one for each agent, and there may be any number of agents.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from capsound.scenario import ROOT, Interval, Scenario, Slice

if TYPE_CHECKING:
    import networkx as nx


def delegation_tree(scenario: Scenario) -> nx.DiGraph[str]:
    """Return the accounts of a scenario, with ``grant`` (an ``Interval``) on each: the cap on the root."""
    return account_graph(scenario.cap, scenario.slices)


def account_graph(cap: Interval, slices: Iterable[Slice]) -> nx.DiGraph[str]:
    """Return root and slices as a graph, whether or not it is a tree."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node(ROOT, grant=cap)
    for piece in slices:
        graph.add_node(piece.name, grant=piece.grant)
        graph.add_edge(piece.parent, piece.name)
    return graph


def cycles(slices: Iterable[Slice]) -> tuple[tuple[str, ...], ...]:
    """Return every cycle among slices: each name is the parent of the next, and the last of the first.

    A cycle starts at the slice that is declared first; cycles come in the order of their first slices.
    """
    above = {piece.name: piece.parent for piece in slices}
    order = {name: number for number, name in enumerate(above)}
    found: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for name in above:  # every slice has one parent: a walk upwards ends at the root, or goes round one cycle
        walk: list[str] = []
        here = name
        while here in above and here not in seen:
            seen.add(here)
            walk.append(here)
            here = above[here]
        if here in walk:
            cycle = walk[walk.index(here) :]
            first = min(range(len(cycle)), key=[order[name] for name in cycle].__getitem__)
            found.append(tuple(reversed([*cycle[first + 1 :], *cycle[: first + 1]])))
    return tuple(sorted(found, key=lambda cycle: order[cycle[0]]))


def parent(tree: nx.DiGraph[str], account: str) -> str | None:
    """Return the account that ``account`` was delegated from; None for the root."""
    return next(iter(tree.predecessors(account)), None)


def top_down(tree: nx.DiGraph[str]) -> tuple[str, ...]:
    """Return every account after its parent, in the order of the file where that leaves a choice."""
    import networkx as nx

    order = {account: number for number, account in enumerate(tree)}
    return tuple(nx.lexicographical_topological_sort(tree, key=order.__getitem__))


def bottom_up(tree: nx.DiGraph[str]) -> tuple[str, ...]:
    """Return every account before its parent: the order in which slices can be closed."""
    return top_down(tree)[::-1]


def path_to(tree: nx.DiGraph[str], account: str) -> tuple[str, ...]:
    """Return the accounts from the root down to ``account``, both included."""
    path = [account]
    while (above := parent(tree, path[-1])) is not None:
        path.append(above)
    return tuple(reversed(path))


def depth(tree: nx.DiGraph[str]) -> int:
    """Return the number of delegations on the longest way down: 0 for a root without slices."""
    return max(len(path_to(tree, account)) - 1 for account in tree)


def fan_out(tree: nx.DiGraph[str]) -> int:
    """Return the largest number of slices delegated from one account."""
    return max(tree.out_degree(account) for account in tree)
