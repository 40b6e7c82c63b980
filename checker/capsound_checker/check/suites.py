"""The stateful suites for anybody's implementation.

A test file of three lines runs them all::

    from capsound_checker.check.suites import suite
    from my_adapter import MyAdapter
    TestMine = suite(MyAdapter)

pytest collects one test for each kind of schedule. What the implementation does not offer is skipped by name. How
many examples are run is Hypothesis' own setting: load a profile, or decorate nothing and get its default. What needs
a running event loop is driven by ``test_asyncio``, and skipped by name everywhere else.
"""

from __future__ import annotations

import contextlib
import random
import time
import unittest
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from capsound.adapter import Adapter, offers
from capsound_checker.check.judging import Hunt
from capsound_checker.check.targets import awaits
from capsound_checker.programs.coverage import SMALL, Coverage, cover
from capsound_checker.programs.dimensions import each_dimension
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.journaling import problems
from capsound_checker.programs.lockstep import NO_LOOP, AdapterFailed, Lockstep
from capsound_checker.programs.machines import Tally, Violation, explained, machine
from capsound_checker.programs.program import (
    AMOUNTS,
    CONCURRENT,
    DELEGATED,
    FAULTY,
    MISUSE,
    OVERRUNS,
    PROFILES,
    SEQUENTIAL,
    STREAMS,
    Profile,
    Program,
    possible,
)
from capsound_checker.programs.shrinking import shrink
from capsound_checker.schedules.asynchronous import explore
from capsound_checker.schedules.threads import Race, interrupt, pairs, race

Say = Callable[[str, str], None]


class Suite:
    """All suites as methods; ``suite`` makes a subclass of it for an adapter."""

    adapter: type[Adapter]
    programs: int
    report: Say | None = None

    def _machine(self, profile: Profile, *needs: str, journaled: bool = False) -> Tally:
        self._require(profile, *needs)
        tally = Tally()
        begin = time.perf_counter()
        made = machine(self.adapter, profile, tally=tally, journaled=journaled)
        try:
            with self._without_loop():
                run_state_machine_as_test(made, settings=_settings(profile.length))
        except Violation as found:
            raise smallest(self.adapter, found) from None
        seconds = time.perf_counter() - begin
        self._say(profile.name, f"{tally.runs} runs, {tally.steps} steps, {tally.steps / seconds:,.0f} steps a second")
        return tally

    def _require(self, profile: Profile, *needs: str) -> None:
        """Skip, naming what is missing."""
        can = possible(self.adapter)
        if not can & {"reserve", "begin"}:
            _skip(f"{self.adapter.__name__} offers no way to admit a call")
        for need in needs:
            options = need.split("|")
            if not can & set(options):
                _skip(f"{self.adapter.__name__} offers no {' or '.join(options)}, which {profile.name!r} tests")

    @contextlib.contextmanager
    def _without_loop(self) -> Iterator[None]:
        """Skip what needs an event loop, in a block where none runs: ``test_asyncio`` drives it."""
        try:
            yield
        except AdapterFailed as failed:
            if failed.cause != NO_LOOP or not awaits(self.adapter):
                raise
            _skip(f"{self.adapter.__name__} needs a running event loop: test_asyncio drives it")

    def _say(self, name: str, text: str) -> None:
        print(f"{self.adapter.__name__}, {name}: {text}")  # noqa: T201 - shown by `pytest -rP` or on failure
        if self.report is not None:
            type(self).report(name, text)  # type: ignore[misc]

    # ------------------------------------------------------------------------------ machines of Hypothesis

    def test_sequential(self) -> None:
        """One call at a time."""
        self._machine(SEQUENTIAL)

    def test_flat(self) -> None:
        """Several agents on one account, their calls interleaved."""
        self._machine(CONCURRENT)

    def test_delegation_trees(self) -> None:
        """Slices of slices, of several roots, closed and merged between calls."""
        self._machine(DELEGATED, "delegate")

    def test_faults(self) -> None:
        """Errors, cancellations and crashes, before and after the request has left."""
        self._machine(FAULTY, "forfeit|cancel|fail")

    def test_overruns(self) -> None:
        """Bills above their holds: assumption A1 is off."""
        self._machine(OVERRUNS)

    def test_streaming(self) -> None:
        """Holds that are extended while the call runs."""
        self._machine(STREAMS, "extend")

    def test_bad_amounts(self) -> None:
        """Invalid numbers wherever an amount is accepted."""
        self._machine(AMOUNTS)

    def test_handles(self) -> None:
        """Handles used twice, after their end, and copied."""
        self._machine(MISUSE)

    def test_journal(self) -> None:
        """Replaying the journal gives the balances of the run that wrote it."""
        if "journal" not in offers(self.adapter):
            _skip(f"{self.adapter.__name__} offers no journal")
        self._machine(OVERRUNS, journaled=True)

    # ------------------------------------------------------------------------------------ the other engine

    def test_many_programs(self) -> None:
        """Every profile again, with the fast driver: far more programs; the first failure is shrunk."""
        operations, begin = 0, time.perf_counter()
        for number, profile in enumerate(PROFILES.values()):
            if not possible(self.adapter) & {"reserve", "begin"} & set(profile.weights):
                continue
            driver = Driver(self.adapter, profile)
            programs = self.programs if driver.fast else self.programs // 20
            hunt, chance = Hunt(self.adapter), random.Random(number)
            with self._without_loop():
                for program in driver.hunt(range(number * 10_000_000, number * 10_000_000 + programs)):
                    if hunt.taken < _CONTINUED:
                        hunt.take(program, driver, chance)
                    self._fail_if_wrong(min(hunt.starts, key=len, default=program))
            operations += driver.operations
        rate = operations / (time.perf_counter() - begin)
        self._say("many programs", f"{operations} operations, {rate:,.0f} a second")

    def test_small_scope(self) -> None:
        """How much of the state space of two agents with two calls each is visited."""
        self._require(SMALL)
        coverage = Coverage()
        driver = Driver(self.adapter, SMALL, coverage.visit)
        if not driver.fast:
            _skip(f"{self.adapter.__name__} does not offer reserve, spent, held and remaining")
        begin = time.perf_counter()
        program = cover(driver, coverage, programs=20 * self.programs)
        if program is not None:
            self._fail_if_wrong(program)
        rate = driver.operations / (time.perf_counter() - begin)
        self._say("small scope", f"{coverage.summary()}, {driver.operations} operations, {rate:,.0f} a second")

    def test_threads(self) -> None:
        """Two operations in two threads, one of them preempted at each of its instructions."""
        if not self.adapter.threads:
            _skip(f"{self.adapter.__name__} does not claim to be safe under threads")
        self._require(CONCURRENT)
        self._at_once("threads", race)

    def test_handlers(self) -> None:
        """The second operation in the middle of the first, in the same thread, as a signal handler would do it."""
        if not self.adapter.handlers:
            _skip(f"{self.adapter.__name__} does not claim to be safe in signal handlers")
        self._require(CONCURRENT)
        self._at_once("handlers", interrupt)

    def test_asyncio(self) -> None:
        """Coroutines on an event loop that tries every order of wake-ups."""
        if not awaits(self.adapter):
            _skip(f"{self.adapter.__name__} has nothing to await")
        begin, schedules = time.perf_counter(), 0
        for adapter in each_dimension(self.adapter):
            explored = explore(adapter, schedules=_SCHEDULES)
            schedules += explored.schedules
            if explored.first is not None:
                found = explored.first
                raise Violation(f"{found.anomaly}: {found.sentence}\n{found.story}", anomaly=found.anomaly)
            if explored.needs:
                _skip(f"{self.adapter.__name__} cannot be driven by asyncio: {explored.needs}")
        rate = schedules / (time.perf_counter() - begin)
        self._say("asyncio", f"{schedules} schedules, {rate:,.0f} a second")

    def _at_once(self, name: str, schedule: Callable[..., tuple[Race | None, int]]) -> None:
        schedules, begin = 0, time.perf_counter()
        all_pairs = ((adapter, *pair) for adapter in each_dimension(self.adapter) for pair in pairs(adapter))
        for adapter, before, one, two in all_pairs:
            found, count = schedule(adapter, before, one, two)
            schedules += count
            if found is not None:
                raise Violation(f"{found.anomaly}: {found.sentence}\n{found.story()}", anomaly=found.anomaly)
        self._say(name, f"{schedules} schedules, {schedules / (time.perf_counter() - begin):,.0f} a second")

    def _fail_if_wrong(self, program: Program) -> None:
        run = Lockstep(self.adapter()).run(program)
        if wrong := run.wrong():  # the driver only suspects, the monitor decides
            raise smallest(self.adapter, Violation(wrong[0].sentence, program, wrong[0].anomaly))


def smallest(adapter: type[Adapter], found: Violation) -> Violation:
    """Return the violation again by the smallest program that shows the same; as it was if it does not repeat."""

    def shows(program: Program) -> bool:
        try:
            run = Lockstep(adapter()).run(program)
        except AdapterFailed:
            return False
        if found.anomaly:
            return any(f.anomaly == found.anomaly for f in run.wrong())
        return bool(problems(run))

    if not shows(found.program):
        return found
    run = Lockstep(adapter()).run(shrink(found.program, shows))
    if not found.anomaly:
        return Violation(explained(run, problems(run)[0]), run.steps)
    finding = next(f for f in run.wrong() if f.anomaly == found.anomaly)
    return Violation(explained(run, f"{finding.anomaly}: {finding.sentence}"), run.steps, found.anomaly)


def suite(adapter: type[Adapter], *, programs: int = 2_000, report: Say | None = None) -> type[Suite]:
    """Return all suites for ``adapter`` as one test class.

    ``programs`` is how many programs the fast driver makes of each profile; ``report`` is called with the
    name of a test and what it did.
    """
    space: dict[str, Any] = {"adapter": adapter, "programs": programs, "__doc__": f"The suites for {adapter.__name__}."}
    if report is not None:
        space["report"] = staticmethod(report)
    return type(f"Suite{adapter.__name__}", (Suite,), space)


_SCHEDULES = 4_000
"""How many schedules of asyncio are run."""

_CONTINUED = 20
"""How many suspicious programs of a profile are continued, where lock step finds nothing wrong in them yet."""


def _settings(length: int) -> settings:
    return settings(
        stateful_step_count=2 * length,
        # Our own shrinker makes the smallest program; it needs a hundredth of the time.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )


def _skip(why: str) -> None:
    raise unittest.SkipTest(why)
