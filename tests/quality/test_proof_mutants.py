"""Encodings that were spoilt on purpose: what judges the proofs notices each, and has nothing against the whole.

A mutant makes the proofs too strong, so that something broken is proved; then either the states of the explorer say
otherwise, or the second solver refutes the proof before it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_proofs_hold import assert_nothing_broken_is_proved

from capsound.disciplines import DISCIPLINES
from capsound.errors import Disagreement
from capsound.loading import parse_scenario
from capsound.scenario import Scenario
from capsound_proofs import aggregate, calls, invariants, transitions
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.folding import Step

RACE = """
cap = 3
discipline = "racy-counter"
[[agents]]
name = "w"
count = 2
[[calls]]
estimate = 2
bill = 2
"""
COPIED = """
cap = 4
discipline = "copied-slices"
[[slices]]
name = "s"
grant = 3
[[agents]]
name = "w"
account = "s"
[[agents]]
name = "v"
[[calls]]
estimate = 3
bill = 3
"""


def scenario(text: str) -> Scenario:
    return parse_scenario(text, known_disciplines=DISCIPLINES)


def every_fact_holds(patch: pytest.MonkeyPatch) -> None:
    """Keep all candidate facts of a call: a bill is nothing, too."""

    def find_facts(machine: Any, spots: Any, *_: Any) -> Any:
        return {s: calls._candidate_facts(calls.place_of(machine, s), None) for s in spots}

    patch.setattr(aggregate, "find_facts", find_facts)


def nothing_is_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(invariants, "_drop_what_breaks", lambda *_: True)


def nothing_is_touched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transitions, "changed_parts", lambda *_: {})


def nothing_is_sent(patch: pytest.MonkeyPatch) -> None:
    whole: Callable[[Abstraction, Step], None] = Abstraction._call_step

    def call_step(self: Abstraction, step: Step) -> None:
        place = self.machine.processes[step.branch.process].places[step.branch.place]
        if not any("sends" in piece.tags for piece in place.block):
            whole(self, step)

    patch.setattr(Abstraction, "_call_step", call_step)


def one_agent_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Take any number of agents for one."""
    patch.setattr(Abstraction, "_agents", lambda *_: 1)


MUTANTS = [
    (RACE, every_fact_holds),
    (RACE, nothing_is_dropped),
    (RACE, nothing_is_touched),
    (RACE, nothing_is_sent),
    (RACE, one_agent_is_enough),
]


@pytest.mark.parametrize(("text", "spoil"), MUTANTS, ids=lambda part: getattr(part, "__name__", ""))
def test_a_spoilt_encoding_is_noticed(text: str, spoil: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch)
    with pytest.raises((AssertionError, Disagreement)):
        assert_nothing_broken_is_proved(scenario(text))


@pytest.mark.parametrize("text", [RACE, COPIED])
def test_the_encoding_as_it_is_passes(text: str) -> None:
    assert_nothing_broken_is_proved(scenario(text))
