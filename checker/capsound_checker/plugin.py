"""The suites under pytest without a test file: ``pytest --capsound my_adapter.py:MyBudget``.

Each kind of schedule is one test. What the adapter does not offer is skipped by name. A test that is known to fail is
named by ``--capsound-xfail``, and fails once it passes. The fixture ``capsound_provider`` is a provider for tests of
applications. Nothing of ours is imported unless the option is given, or the fixture is used.
"""

from __future__ import annotations

import unittest
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from capsound_checker.check.suites import Suite
    from capsound_checker.wire.inside.providing import Provided


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of capsound."""
    group = parser.getgroup("capsound", "cap soundness")
    group.addoption(
        "--capsound",
        action="append",
        default=[],
        metavar="TARGET",
        help="run the stateful suites on an adapter: my_adapter.py:MyBudget or package.module:MyBudget",
    )
    group.addoption(
        "--capsound-xfail",
        action="append",
        default=[],
        metavar="TEST",
        help="a suite that is expected to fail, such as test_flat; it fails when it passes",
    )


@pytest.fixture
def capsound_provider() -> Iterator[Provided]:
    """Return a provider: ``base_url`` answers at once, ``explore(main, cap=...)`` tries every order of answers."""
    from capsound_checker.wire.inside.providing import Provided

    provided = Provided()
    yield provided
    provided.end()


class SuiteItem(pytest.Item):
    """One suite on one adapter."""

    suite: type[Suite]
    expected: bool

    def runtest(self) -> None:
        """Run the suite; a skip of unittest becomes one of pytest."""
        from capsound_checker.programs.machines import Violation

        try:
            getattr(self.suite(), self.name.rpartition("::")[2])()
        except unittest.SkipTest as skipped:
            pytest.skip(str(skipped))
        except Violation:
            if self.expected:
                pytest.xfail("named by --capsound-xfail")
            raise
        if self.expected:
            pytest.fail("expected to fail, but it passed: remove it from --capsound-xfail", pytrace=False)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what was found, and no traceback of ours."""
        from capsound.errors import CapsoundError
        from capsound_checker.display.telling import error_text
        from capsound_checker.programs.machines import Violation

        if isinstance(excinfo.value, Violation):
            return str(excinfo.value)
        if isinstance(excinfo.value, CapsoundError):
            return error_text(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return where the test is said to be: at the target."""
        return self.path, None, self.name


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the suites of every target that the command line names."""
    targets = config.getoption("--capsound")
    if not targets:
        return
    expected: set[str] = set(config.getoption("--capsound-xfail") or ())
    made = [item for text in targets for item in _items(session, text, expected)]
    known = {item.name.rpartition("::")[2] for item in made}
    if unknown := sorted(expected - known):
        raise pytest.UsageError(
            f"--capsound-xfail: there is no suite {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    items.extend(made)


def _items(session: pytest.Session, text: str, expected: set[str]) -> Iterator[SuiteItem]:
    from capsound.errors import CapsoundError
    from capsound_checker.check.suites import Suite, suite
    from capsound_checker.check.targets import load, parse
    from capsound_checker.display.telling import error_text

    try:
        adapter = load(parse(text))
    except CapsoundError as error:
        raise pytest.UsageError(error_text(error)) from None
    made = suite(adapter)
    for name in (name for name in vars(Suite) if name.startswith("test_")):
        item = SuiteItem.from_parent(session, name=f"{text}::{name}")
        item.suite, item.expected = made, name in expected
        yield item
