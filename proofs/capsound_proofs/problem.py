"""A scenario while it is being solved: what is asked, and what has been found out so far.

Every way of deciding takes a ``Problem`` and adds to it: a result for a property, a sentence, an invariant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capsound.machine import Machine
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import Schedule
from capsound_proofs.estimator import EstimatorAnswer
from capsound_proofs.invariants import Invariant
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.relation import Relation
from capsound_proofs.work import Ceiling

if TYPE_CHECKING:
    from capsound_proofs.accounts import Bounded
    from capsound_proofs.bmc import Found

Progress = Callable[[str], None]


@dataclass(slots=True)
class Problem:
    """A scenario being solved."""

    scenario: Scenario
    machine: Machine
    asked: list[Property]
    progress: Progress
    estimators: list[EstimatorAnswer] = field(default_factory=list)
    results: dict[Property, PropertyResult] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    numbers: Invariant | None = None
    gave_up: set[Property] = field(default_factory=set)
    ceiling: Ceiling = field(default_factory=Ceiling)
    played: dict[Property, Schedule] | None = None
    relations: dict[int, Relation] = field(default_factory=dict)
    found: dict[Property, Found] = field(default_factory=dict)
    """The counterexamples that the bounded search found, on the machines of ``relations``."""
    each: dict[int, Invariant] = field(default_factory=dict)
    """Of several ceilings, what was proved of each with its numbers."""
    bounded: dict[int, Bounded | None] = field(default_factory=dict)
    """What bounds the bills of each account, by the cap that it was proved for."""
    planned: int = 0
    """How many steps a run that breaks the cap takes at least, where that was counted by account (``planning``)."""

    @property
    def undecided(self) -> list[Property]:
        """The properties without a result."""
        return [prop for prop in self.asked if prop not in self.results]
