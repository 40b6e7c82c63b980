"""The suites under pytest without a test file: ``pytest --capsound my_adapter.py:MyBudget``.

Each kind of schedule is one test. What the adapter does not offer is skipped by name. A test that is known to fail is
named by ``--capsound-xfail``, and fails once it passes. The fixture ``capsound_provider`` is a provider for tests of
applications. Nothing of ours is imported unless the option is given, or the fixture is used.

A failure begins with the name of the anomaly, and has no frame of ours. One bug is one failure: other tests that show
it are skipped, and named at the end. ``-p no:capsound-bugs`` lets each of them fail.
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

        if isinstance(excinfo.value, CapsoundError):
            return error_text(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return where the test is said to be: at the target."""
        return self.path, None, self.name


# --------------------------------------------------------------------------------------------- what is told of failures

_ANOMALY, _TARGET = "capsound-anomaly", "capsound-target"
"""The properties of a report of ours: they come from workers of xdist as well, and stand in JUnit XML."""


def _is_violation(error: BaseException) -> bool:
    """Whether an exception is what our suites raise; nothing of ours is imported to find out."""
    kind = type(error)
    return (kind.__module__, kind.__name__) == ("capsound_checker.programs.machines", "Violation")


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Let a failure of ours begin with the name of the anomaly, without frames of ours."""
    outcome: Any = yield
    report = outcome.get_result()
    found = call.excinfo
    if found is None or not report.failed or not _is_violation(found.value):
        return
    text = str(found.value)
    told: Any = found.getrepr(style="value")
    told.reprtraceback.reprentries[-1].lines = text.splitlines()
    told.reprcrash.path, told.reprcrash.lineno = str(item.path), (item.location[1] or 0) + 1
    told.reprcrash.message = text.partition("\n")[0]
    report.longrepr = told
    adapter = getattr(getattr(item, "suite", None) or getattr(item, "cls", None), "adapter", None)
    anomaly = getattr(found.value, "anomaly", "") or text.partition(":")[0]
    if adapter is not None:
        report.user_properties += [(_ANOMALY, anomaly), (_TARGET, f"{adapter.__module__}.{adapter.__qualname__}")]


class _Bugs:
    """Counts each bug once: a test that shows what another has shown is no failure of its own."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], list[str]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Let a failure that was told before refer to that."""
        told = dict(report.user_properties)
        if not report.failed or _ANOMALY not in told:
            return
        tests = self.shown.setdefault((str(told[_TARGET]), str(told[_ANOMALY])), [])
        if tests:
            path, line, _ = report.location
            report.outcome = "skipped"
            report.longrepr = (path, (line or 0) + 1, f"Skipped: shows {told[_ANOMALY]} as well, like {tests[0]}")
        tests.append(report.nodeid.rpartition("::")[2])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say of each bug which tests show it."""
        if not any(len(tests) > 1 for tests in self.shown.values()):
            return
        terminalreporter.section("capsound: one failure a bug")
        for (target, anomaly), tests in self.shown.items():
            more = f", and in the same way by {', '.join(tests[1:])}" if tests[1:] else ""
            terminalreporter.write_line(f"{anomaly} of {target}: shown by {tests[0]}{more}")


def pytest_configure(config: pytest.Config) -> None:
    """Listen to reports where they come together, not in the workers of xdist."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Bugs(), "capsound-bugs")


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
