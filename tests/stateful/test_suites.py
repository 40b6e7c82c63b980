"""The suites on the reference implementation: all of them, as a third party would run them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from block_adapter import BlockAdapter
from hypothesis import settings
from reference_adapter import CallAdapter, JournalAdapter, ReferenceAdapter

from capsound_checker.check.suites import suite
from capsound_checker.programs.coverage import SMALL, Coverage, cover
from capsound_checker.programs.driver import Driver

running: list[pytest.Item] = []


def say(name: str, text: str) -> None:
    """Hand what a suite says of itself to the summary at the end of the run (tests/conftest.py)."""
    running[-1].user_properties.append(("suite", f"{name}: {text}"))


@pytest.fixture(autouse=True)
def _running(request: pytest.FixtureRequest) -> None:
    running[:] = [request.node]


@pytest.fixture(autouse=True)
def _few_examples() -> Iterator[None]:
    """Let the machines of Hypothesis make a fifth of their examples in CI.

    Of the mutants of the reference they notice in twenty what they notice in a hundred; and the fast driver, which alone
    is counted there (``mutants``), makes thousands of programs of the same steps here (``test_many_programs``).
    """
    few = os.environ.get("HYPOTHESIS_PROFILE") == "ci"
    if few:
        settings.load_profile("ci, few")
    yield
    if few:
        settings.load_profile("ci")


TestReference = suite(ReferenceAdapter, report=say)
TestJournal = suite(JournalAdapter, programs=200, report=say)
TestBlocks = suite(BlockAdapter, programs=200, report=say)
TestCalls = suite(CallAdapter, report=say)


def deep(name: str) -> Callable[[Any], None]:
    """Return the suite of that name for the deep run alone."""
    method = getattr(TestReference, name)

    @functools.wraps(method)
    def again(self: Any) -> None:
        method(self)

    return pytest.mark.deep(again)


ELSEWHERE = ("sequential", "flat", "delegation_trees", "faults", "streaming", "bad_amounts", "handles", "small_scope")
"""What the adapter with a journal shows as the one without does, `test_journal` and `test_many_programs` aside."""

for each in ELSEWHERE:
    setattr(TestJournal, f"test_{each}", deep(f"test_{each}"))


# The test below does the same, and asks for all states.
TestReference.test_small_scope = deep("test_small_scope")  # type: ignore[method-assign]


def test_every_abstract_state_of_the_small_scope_is_visited() -> None:
    """Two agents, two calls each, a cap of 4: nothing that the explorer reaches is left out by the driver."""
    coverage = Coverage()
    driver = Driver(ReferenceAdapter, SMALL, coverage.visit)
    assert cover(driver, coverage, programs=60_000) is None
    assert coverage.missing == []
    say("small scope", f"{coverage.summary()}, {driver.operations} operations")
