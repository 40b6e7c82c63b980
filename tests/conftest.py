"""What all suites share: Hypothesis profiles, ``--deep``, and the command line in this process or in another.

``HYPOTHESIS_PROFILE`` is ``dev`` (a new seed each time), ``ci`` (no chance at all), ``quick`` (the same, less of it) or
``deep`` (many examples).
The suites run on an installed capsound and on a bare checkout alike.
"""

from __future__ import annotations

import compileall
import contextlib
import gc
import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent
ROOTS = [str(REPOSITORY / root) for root in ("model", "proofs", "reference_impl", "checker")]
INSTALLED = importlib.util.find_spec("capsound") is not None
if not INSTALLED:
    sys.path[:0] = ROOTS
sys.path.insert(0, str(REPOSITORY / "tests" / "support"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background (`make test &`) with interrupts ignored, and children inherit that:
    # the tests of Ctrl-C would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("ci, few", settings.get_profile("ci"), max_examples=20)
settings.register_profile("quick", max_examples=20, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("deep", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

MOODS = (
    "CAPSOUND_DEBUG",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
    "TTY_COMPATIBLE",
    "GITHUB_STEP_SUMMARY",
)
"""Variables with which a developer tunes a terminal, and which must not reach the output under test."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile our packages once. Where Python may keep no bytecode, hundreds of processes would do so, each for itself."""
    if not hasattr(config, "workerinput"):
        for root in ROOTS:
            compileall.compile_dir(root, quiet=2)
    if config.getoption("--costs"):
        from costs import Costs

        config.pluginmanager.register(Costs(config, Path(config.getoption("--costs"))), "costs")
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # xdist would begin with the files that have most tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="run the slow tests too, those that are marked `deep`")
    parser.addoption("--costs", metavar="FILE", help="write there what each file and each test costs in processor time")


LONGEST_FIRST = [
    "test_docs",
    "test_check",
    "test_check_evidence",
    "test_metamorphic",
    "test_zoo_faults",
    "test_zoo_twins",
    "test_cases",
    "test_suites",
    "test_wicked",
    "test_forms",
    "test_independent_judge",
    "test_solve_bookkeeping",
    "test_contracts",
    "test_shipped",
    "test_remote",
    "test_wire_faults",
    "test_hostile_targets",
    "test_spoilt_harness",
    "test_proofs_hold",
    "test_wire_hostile",
    "test_agreement",
    "test_same_bytes",
    "test_suite_factory",
    "test_terminal",
    "test_two_engines",
    "test_copies_over_a_pipe",
    "test_check_zoo",
    "test_reports",
    "test_history",
    "test_mutations",
    "test_theorem_mutants",
    "test_printing",
    "test_gateways",
    "test_windows",
    "test_audit_spoilt",
    "test_audit_spans",
]
"""The files that take longest, by processor time: they are begun first, so that no worker waits for the last of them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        place = {name: number for number, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: place.get(item.path.stem, len(place)))
    if config.getoption("--deep"):
        return
    skip = pytest.mark.skip(reason="slow: give --deep to run it")
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(skip)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep thousands of tests, and all that was imported for them, out of every later look for garbage, and of forks."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the stateful suites did: steps a second, and the part of the small scope that they visited."""
    lines = [
        f"{report.nodeid.rsplit('/', 1)[-1]}: {text}"
        for report in terminalreporter.getreports("passed")
        for name, text in report.user_properties
        if name == "suite"
    ]
    if lines:
        terminalreporter.section("stateful suites")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@dataclass(frozen=True)
class Ran:
    """What one run of the command line left behind."""

    status: int
    out: str
    err: str


Runs = Callable[..., Ran]
"""The type of the fixtures ``capsound`` and ``capsound_process``: arguments in, ``Ran`` out."""


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in MOODS:
        os.environ.pop(name, None)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _named_statuses(arguments: list[str]) -> set[int]:
    """Return the exit statuses that the help of the command in ``arguments`` names."""
    from capsound_checker.commands import cli

    command = cli.commands.get(arguments[0], cli) if arguments else cli
    return {int(number) for number in re.findall(r"\b(\d+) [a-z]", command.epilog or "")}


def _here(*args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
    from capsound_checker.__main__ import run

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(cwd or Path.cwd()),
        _environment(env or {}),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = run([str(arg) for arg in args])
    assert status in _named_statuses([str(arg) for arg in args]), f"the help does not name exit status {status}"
    return Ran(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def capsound() -> Runs:
    """Run the command line in this process, which saves the import of z3: ``capsound("solve", path, cwd=..)``.

    Neither stream is a terminal. Keyword arguments: ``cwd``, and ``env`` for additional variables.
    """
    return _here


@pytest.fixture(scope="session")
def capsound_once() -> Runs:
    """Run the command line in this process, the same arguments in the same folder only once."""

    @cache
    def once(*args: object, cwd: Path | None = None) -> Ran:
        return _here(*args, cwd=cwd)

    return once


@pytest.fixture(scope="module")
def one_nursery() -> Iterator[None]:
    """Let all checks of a module fork their children of the same processes, one for each hash seed and folder.

    To start them is most of what a short check costs. Not for tests of what a check starts, or leaves behind.
    """
    from capsound_checker.check import checking
    from capsound_checker.remote import isolation
    from capsound_checker.remote.interpreters import Interpreter
    from capsound_checker.remote.nursery import POSSIBLE, Forked, Nursery

    if not POSSIBLE:
        yield
        return
    start = isolation.Child._start
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        @cache
        def kept(who: Interpreter, hashing: str, _folder: Path) -> Nursery:
            env = partial(isolation.environment, hashing, who.path)
            return stack.enter_context(Nursery(isolation.WORKER, env, who.program))

        def started(self: isolation.Child, write: int) -> subprocess.Popen[bytes] | Forked:
            hashing = str(self.request.get("hashing", isolation.HASHING))
            if self.nursery is not None and hashing != isolation.HASHING:
                forked = kept(self.interpreter, hashing, Path.cwd()).fork(self._mark, (write, *self.inherit))
                if forked is not None:
                    return forked
            return start(self, write)

        def nursery(who: Interpreter) -> contextlib.nullcontext[Nursery]:
            return contextlib.nullcontext(kept(who, isolation.HASHING, Path.cwd()))

        patch.setattr(isolation.Child, "_start", started)
        patch.setattr(checking, "nursery", nursery)
        yield


@pytest.fixture(scope="session")
def process_env() -> dict[str, str]:
    """Return the environment in which another Python finds capsound, and no terminal is tuned."""
    env = {name: value for name, value in os.environ.items() if name not in MOODS}
    if not INSTALLED:
        env["PYTHONPATH"] = os.pathsep.join([*ROOTS, *filter(None, [env.get("PYTHONPATH")])])
    return env


@pytest.fixture(scope="session")
def capsound_process(process_env: dict[str, str]) -> Runs:
    """Run ``python -m capsound_checker`` as a user would: in a process of its own."""

    def run_it(*args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "capsound_checker", *map(str, args)],
            cwd=cwd,
            env={**process_env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run_it
