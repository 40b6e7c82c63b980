"""Windows that slide, in the sums of the counter abstraction: time is how much may leave, whenever it leaves.

Bills leave the window at any moment and in any amount. What a ledger was told leaves it in any amount, too, but never
more than the runs of the machine allow: where it counts the age of a cost from the settlement, a cost leaves after the
bill that it stands for. So the bills that are left are those of calls in flight and of calls whose costs are left. What
else is known of those costs is noted from step to step: by how much they differ from their bills, over all calls that
ever ended (``odd``, ``short``, ``unbooked``), and what was billed of which the ledger is never told (``unseen``).

Every run of the machine is a run of these sums: nothing here asks in which order things leave.
"""

from __future__ import annotations

from collections.abc import Mapping

from capsound.machine import LEDGER_FIELDS, Machine
from capsound.scenario import SETTLED
from capsound.steps import Ledger
from capsound_proofs.building import choice, constant, named
from capsound_proofs.calls import LOCALS, Spot, Sums, forgotten, place_of
from capsound_proofs.terms import Term, conj, integer
from capsound_proofs.transitions import System

GHOSTS = ("odd", "short", "unbooked", "unseen")
"""By how much costs differ from the bills of settled calls, are below those of lost calls, or differ from what a sound
ledger would have booked; and what was billed to calls that ended without being resolved. Each never decreases."""


class Sliding:
    """What the abstraction of one ledger knows of its sliding window; nothing where it has none."""

    def __init__(self, machine: Machine, system: System) -> None:
        self.machine = machine
        self.system = system
        window = machine.scenario.window
        self.window = window if window is not None and window.slides else None
        self.of: dict[str, Term] = {}
        if self.here:
            for name in GHOSTS:
                self.of[name] = system.add(f"window.{name}", 0)
                # A sum of what is at least zero, by construction.
                system.axioms.append(self.of[name] >= 0)

    @property
    def here(self) -> bool:
        """Whether there is a window that slides."""
        return self.window is not None

    def noted(self, before: Ledger, after: Ledger, flight: tuple[Term, Term]) -> dict[str, Term]:
        """Return the ghosts after one step of a call: ``flight`` are the bills of calls in flight before and after."""
        change = {name: getattr(after, name) - getattr(before, name) for name in LEDGER_FIELDS}
        grown = flight[1] - flight[0]
        more = {
            "odd": _distance(change["charged"], change["settled"]),
            "short": _above(change["lost"] - change["forfeited"]),
            "unbooked": _distance(change["booked"], change["charged"] + change["forfeited"]),
            "unseen": _above(change["billed"] - change["settled"] - change["lost"] - grown),
        }
        return {f"window.{name}": self.of[name] + more[name] for name in GHOSTS}

    def add_steps(self, ledger: Ledger, spots: Mapping[Spot, Sums]) -> None:
        """Add that bills leave the window, that costs do, and that holds are let go where they are."""
        assert self.window is not None
        older = named("leaves.billed")
        after = dict(self.system.variables)
        after["a0.billed"] = ledger.billed - older
        self.system.step("bills leave", conj([older >= 0, older <= ledger.billed]), after)
        self._forget(ledger, spots)
        if not self.window.keeps:
            for source, twin in forgotten(self.machine, spots):
                self._let_go(ledger, spots, source, twin)

    def _forget(self, ledger: Ledger, spots: Mapping[Spot, Sums]) -> None:
        assert self.window is not None
        names = ("charged", "forfeited", "settled", "lost", "booked")
        left = {name: named(f"stays.{name}") for name in names}
        guards = [bound for name in names for bound in (left[name] >= 0, left[name] <= getattr(ledger, name))]
        guards += [
            left["charged"] <= left["settled"] + self.of["odd"],
            left["charged"] + left["forfeited"] <= left["booked"] + self.of["unbooked"],
        ]
        if self.window.forgets == SETTLED:
            # Costs leave with what they stand for, and that after its bill; other ledgers forget before.
            flight = in_flight(self.machine, spots, self.system.variables)[0]
            guards += [
                left["settled"] <= left["charged"] + self.of["odd"],
                left["lost"] <= left["forfeited"] + self.of["short"],
                left["booked"] <= left["charged"] + left["forfeited"] + self.of["unbooked"],
                ledger.billed <= left["settled"] + left["lost"] + flight + self.of["unseen"],
            ]
        after = dict(self.system.variables)
        freed = ledger.charged - left["charged"] + ledger.forfeited - left["forfeited"]
        after["a0.available"] = ledger.available + freed
        after |= {f"a0.{name}": left[name] for name in names}
        self.system.step("costs leave", conj(guards), after)

    def _let_go(self, ledger: Ledger, spots: Mapping[Spot, Sums], source: Spot, twin: Spot) -> None:
        """Add that the hold of one call is let go, whose request may be under way."""
        sums, others = spots[source], spots[twin]
        chosen = {name: named(f"goes.{name}") for name in LOCALS}
        guards = [sums.count >= 1, *(value >= 0 for value in chosen.values())]
        after = dict(self.system.variables)
        for name in LOCALS:
            after[f"{source.name}.{name}"] = sums.of[name] - chosen[name]
            after[f"{twin.name}.{name}"] = others.of[name] + chosen[name]
        after[f"{source.name}.count"] = sums.count - 1
        after[f"{twin.name}.count"] = others.count + 1
        after["a0.held"] = ledger.held - chosen["cover"]
        after["a0.available"] = ledger.available + chosen["cover"]
        self.system.step("a hold is let go", conj(guards), after)


def in_flight(machine: Machine, spots: Mapping[Spot, Sums], after: Mapping[str, Term]) -> tuple[Term, Term]:
    """Return the bills of calls in flight, now and after a step."""
    now: Term = constant(0)
    later: Term = constant(0)
    for spot in spots:
        if place_of(machine, spot).phase == "sent":
            now = now + spots[spot].of["bill"]
            later = later + integer(after[f"{spot.name}.bill"])
    return now, later


def _above(amount: Term) -> Term:
    return choice(integer(amount) > 0, integer(amount), constant(0))


def _distance(left: Term, right: Term) -> Term:
    return _above(left - right) + _above(right - left)
