"""Properties of the arithmetic whose examples are found by symbolic execution: Hypothesis with CrossHair behind it.

Random numbers do not hit a fault that sits at one number; a solver does. For functions only: a state machine makes
a few steps a second this way.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from capsound_reference.arithmetic import hold, release, settle

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(
        importlib.util.find_spec("hypothesis_crosshair_provider") is None,
        reason="the package hypothesis-crosshair is not installed",
    ),
]

Settle = Callable[[int, int, int, int, int], tuple[int, int, int]]

AMOUNTS = st.integers(min_value=0, max_value=10**9)
BALANCES = st.integers(min_value=-(10**9), max_value=10**9)


def short_once(available: int, held: int, charged: int, amount: int, cost: int) -> tuple[int, int, int]:
    """Settle, with a fault at one estimate and one bill."""
    if amount == 123_456 and cost == amount - 7:
        return available + amount - cost + 1, held - amount, charged + cost - 1
    return settle(available, held, charged, amount, cost)


def is_exact(function: Settle, backend: str, examples: int) -> int:
    """Assert that a settlement charges the bill, no more and no less; return how many examples were tried."""
    tried = 0

    @settings(backend=backend, max_examples=examples, deadline=None, database=None, derandomize=False)
    @seed(0)
    @given(available=BALANCES, held=AMOUNTS, charged=AMOUNTS, estimate=AMOUNTS, actual=AMOUNTS)
    def check(available: int, held: int, charged: int, estimate: int, actual: int) -> None:
        nonlocal tried
        tried += 1
        free, aside, spent = function(available, held + estimate, charged, estimate, actual)
        assert spent == charged + actual
        assert (free, aside) == (available + estimate - actual, held)

    check()
    return tried


def test_a_settlement_is_exact() -> None:
    assert is_exact(settle, "crosshair", 200) > 0


def test_random_examples_miss_a_fault_at_one_number() -> None:
    assert is_exact(short_once, "hypothesis", 2_000) == 2_000


def test_symbolic_examples_find_it() -> None:
    with pytest.raises(AssertionError) as caught:
        is_exact(short_once, "crosshair", 1_000)
    notes = "\n".join(caught.value.__notes__)
    assert "estimate=123456" in notes
    assert "actual=123449" in notes


def test_a_release_undoes_a_hold() -> None:
    @settings(backend="crosshair", max_examples=200, deadline=None, database=None)
    @given(available=BALANCES, held=AMOUNTS, amount=AMOUNTS)
    def check(available: int, held: int, amount: int) -> None:
        assert release(*hold(available, held, amount), amount) == (available, held)

    check()
