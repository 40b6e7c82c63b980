"""The section ``[[slices]]``: the tree of accounts below the root."""

from __future__ import annotations

from collections.abc import Sequence

from capsound.loading.values import Accounts, Values
from capsound.loading.words import show
from capsound.positions import KeyPath
from capsound.scenario import ROOT, Interval, Slice


def read_slices(values: Values, cap: Interval) -> tuple[tuple[Slice, ...], Accounts]:
    """Return the slices below a root that has ``cap``, and all accounts."""
    slices = tuple(_slice(values, number) for number in range(len(values.data.get("slices", []))))
    named_once = values.names("slices", [piece.name for piece in slices], taken=(ROOT,))
    accounts = {ROOT: cap, **{piece.name: piece.grant for piece in slices}}
    _tree(values, slices, accounts, named_once=named_once)
    return slices, accounts


def _slice(values: Values, number: int) -> Slice:
    table = values.get(("slices", number))
    return Slice(table["name"], table.get("parent", ROOT), values.interval(("slices", number, "grant")))


def _tree(values: Values, slices: Sequence[Slice], accounts: Accounts, *, named_once: bool) -> None:
    known = True
    for number, piece in enumerate(slices):
        here = ("slices", number)
        if piece.parent in accounts:
            who = f"slice {show(piece.name)}"
            fits(values, (*here, "grant"), piece.grant, who, piece.parent, accounts)
        else:
            values.unknown((*here, "parent"), "account", accounts)
            known = False
    if slices and known and named_once:
        from capsound.tree import cycles

        order = [piece.name for piece in slices]
        for cycle in cycles(slices):
            values.notes.value(
                ("slices", order.index(cycle[0]), "parent"),
                f"the slices form a cycle: {' -> '.join([*cycle, cycle[0]])}",
                'every slice must lead up to the root: give one of them parent = "root"',
            )


def fits(values: Values, path: KeyPath, grant: Interval, who: str, parent: str, accounts: Accounts) -> None:
    """Blame a grant that is always more than its parent has."""
    most = accounts[parent].hi
    if most is not None and grant.lo > most:
        there = values.told(most)
        values.notes.value(
            path,
            f"{who} is granted {values.told(grant.lo)}, but its parent {show(parent)} has {there} at most",
            f"grant {there} or less, or give {show(parent)} more",
        )
