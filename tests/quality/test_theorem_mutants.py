"""Every proof is changed in one place, again and again: what was proved must then no longer come out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from capsound.accounts import Breach, State, breaches, move
from capsound.events import Close, Delegate, Event, Forfeit, Merge, Reserve, Settle
from capsound_proofs import symbolic
from capsound_proofs.theorem import Theorem, Witness, excused, mutants, noticed, prove
from capsound_proofs.theorems import THEOREMS

theorems = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda t: t.name)


@theorems
def test_every_mutant_is_noticed_or_excused_and_three_are_noticed(theorem: Theorem) -> None:
    accepted, seen = [], 0
    for mutant in mutants(theorem):
        if noticed(mutant):
            seen += 1
        else:
            accepted.append(mutant)
    assert seen >= 3
    assert [m.name for m in accepted if not excused(theorem, m)] == []
    unused = [p for p in theorem.equivalent if not any(fnmatchcase(m.name, p) for m in accepted)]
    assert unused == [], "an excuse that excuses nothing"


@theorems
def test_mutants_have_names_of_their_own_within_a_system(theorem: Theorem) -> None:
    for system in theorem.systems():
        counts = Counter(m.name for m in system.mutants())
        assert [name for name, count in counts.items() if count > 1] == []


def _all_witnesses() -> list[Witness]:
    return [witness for theorem in THEOREMS for witness in theorem.witnesses()]


@pytest.mark.parametrize("witness", _all_witnesses(), ids=lambda w: w.name)
def test_a_witness_that_claims_something_else_is_not_accepted(witness: Witness) -> None:
    assert witness.complaints() == ()
    assert replace(witness, anomalies=(*witness.anomalies, "hang")).complaints()
    if witness.overshoot:
        more = {root: over + 1 for root, over in witness.overshoot.items()}
        assert replace(witness, overshoot=more).complaints()
    if witness.anomalies:
        assert replace(witness, events=witness.events[:1]).complaints()


# ------------------------------------------------------------------- the model itself, changed in one place

BY_NAME = {t.name: t for t in THEOREMS}


def _more(kind: type, name: str, field: str) -> Callable[[State, Event], State]:
    """Return the model's ``move`` with one unit too much in one balance after one kind of event."""

    def moved(state: State, event: Event) -> State:
        after = move(state, event)
        account: Any = name
        if not isinstance(event, kind) or account not in after.accounts:
            return after
        wrong = replace(after.accounts[account], **{field: getattr(after.accounts[account], field) + 1})
        accounts: Any = {**after.accounts, account: wrong}
        return replace(after, accounts=accounts)

    return moved


def _less(rule: str) -> Callable[[State, Event], tuple[Breach, ...]]:
    """Return the model's ``breaches`` without one rule."""
    return lambda state, event: tuple(b for b in breaches(state, event) if b.rule.id != rule)


@pytest.mark.parametrize(
    ("name", "part", "wrong"),
    [
        ("conservation", "move", _more(Settle, "a", "available")),
        ("conservation", "move", _more(Merge, "k", "delegated")),
        ("conservation", "move", _more(Close, "s", "returned")),
        ("cap-soundness", "move", _more(Forfeit, "a", "available")),
        ("cap-soundness", "move", _more(Reserve, "a", "held")),
        ("cap-soundness", "breaches", _less("R1")),
        ("cap-soundness", "breaches", _less("R2")),
        ("cap-soundness", "breaches", _less("R8")),
        ("cap-soundness", "breaches", _less("R9")),
        ("slice-soundness", "move", _more(Delegate, "s", "available")),
        ("slice-soundness", "breaches", _less("R4")),
    ],
)
def test_a_model_that_is_wrong_in_one_place_has_no_such_theorem(
    name: str, part: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symbolic, part, wrong)
    assert prove(replace(BY_NAME[name]), second=False).complaints
