"""What tests of ``solve`` on many scenarios share: a proof for all amounts is found once for all that it forgets the same of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capsound_proofs import general
from capsound_proofs.aggregate import Abstraction
from capsound_proofs.invariants import Invariant, find
from capsound_proofs.work import Ceiling


@pytest.fixture(scope="session")
def general_proofs() -> dict[str, Invariant]:
    """Return what was proved for all amounts, by what was asked."""
    return {}


@pytest.fixture
def prove_once(monkeypatch: pytest.MonkeyPatch, general_proofs: dict[str, Invariant]) -> None:
    """Find the proof for all amounts once for all scenarios that it forgets the same of: half of the time goes there."""

    def remembered(abstraction: Abstraction, ceiling: Ceiling | None = None) -> Invariant:
        key = repr((replace(abstraction.machine.scenario, name="", path=""), abstraction.options))
        if key not in general_proofs:
            general_proofs[key] = find(abstraction, ceiling)
        return general_proofs[key]

    monkeypatch.setattr(general, "find", remembered)
