"""Every schedule of small programs of agents of asyncio, and who is wronged in it: the smallest that shows it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from capsound.adapter import Adapter
from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.programs.asking import AdapterFailed
from capsound_checker.programs.exhaust import Opaque
from capsound_checker.programs.watch import held, patience
from capsound_checker.schedules.agents import Program, possible, programs, simpler, size
from capsound_checker.schedules.concurrency import Concurrent, run, world_of
from capsound_checker.schedules.eventloop import NeedsRealLoop
from capsound_checker.schedules.interleave import (
    Chance,
    Choices,
    Chooser,
    Covered,
    Cut,
    NotRepeatable,
    Priorities,
    Recorder,
    Replay,
    every,
)
from capsound_checker.schedules.remembering import Memory


@dataclass(frozen=True, slots=True)
class Found:
    """One anomaly, by the smallest program and schedule that was found for it."""

    anomaly: str
    program: Program
    choices: Choices
    fifo: bool
    """Whether the standard loop can show it: ``choices`` are then of such a loop. Else only reordering shows it."""
    sentence: str
    story: str
    refuted: Guarantee | None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON data."""
        return {
            "anomaly": self.anomaly,
            "program": self.program.to_dict(),
            "choices": list(self.choices),
            "fifo": self.fifo,
            "sentence": self.sentence,
            "refutes": None if self.refuted is None else self.refuted.label,
        }


@dataclass(frozen=True, slots=True)
class Scope:
    """How far the schedules of one program were gone through."""

    program: Program
    schedules: int
    states: int
    complete: bool
    merged: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Explored:
    """The result of a search: data first."""

    findings: tuple[Found, ...]
    schedules: int
    complete: bool
    """Whether all schedules of all programs of ``scopes`` were covered, and none was wrong."""
    scopes: tuple[Scope, ...]
    refuted: Guarantee | None
    informative: bool
    """Whether a call was admitted and the cap mattered in some run: else nothing was shown."""
    needs: str = ""
    """Why nothing can be said: what is needed that the loop does not have, or that runs cannot be repeated."""

    @property
    def first(self) -> Found | None:
        """The smallest counterexample: stock schedules before reordered ones, small programs before large ones."""
        return min(self.findings, key=_found_size, default=None)

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that no run refutes."""
        return Guarantee.OVERRUN_BOUNDED if self.refuted is None else Guarantee(self.refuted - 1)

    @property
    def verdict(self) -> Verdict:
        """``unknown`` where nothing can be said, or where nothing interesting happened."""
        if self.findings:
            return Verdict.VIOLATED
        return Verdict.SOUND if self.informative and not self.needs else Verdict.UNKNOWN


def replay(adapter: type[Adapter], program: Program, choices: Sequence[int], *, fifo: bool = False) -> Concurrent:
    """Do the schedule that was written down; ``story()`` of the result tells it. Raises ``BadChoice``."""
    with _quiet():
        return run(adapter, program, Replay(choices), fifo=fifo)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Say nothing of coroutines that the library never awaits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def explore(
    adapter: type[Adapter],
    *,
    seconds: float = 10.0,
    schedules: int | None = None,
    seed: int = 0,
    scope: Sequence[Program] | None = None,
    fifo: bool = False,
) -> Explored:
    """Go through the schedules of small programs, all of them where that is possible, by chance where it is not.

    ``seconds`` and ``schedules`` are for the whole search; ``scope`` are the programs, those of ``programs`` if not
    given. ``fifo`` looks at schedules of the standard loop only. With ``schedules`` and enough ``seconds`` the result
    depends on nothing but the arguments. Raises ``AdapterFailed``.
    """
    if not possible(adapter):
        return Explored((), 0, False, (), None, False, "the adapter does not offer what its gate needs")
    with _quiet(), held():
        chosen = programs(adapter) if scope is None else tuple(scope)
        return _explored(_Search(adapter, seed, fifo, monotonic() + seconds), chosen, schedules)


def _explored(search: _Search, chosen: Sequence[Program], schedules: int | None) -> Explored:
    needs = ""
    try:
        for number, program in enumerate(chosen):
            left = len(chosen) - number
            most = None if schedules is None else max(1, (schedules - search.count) // left)
            with patience(_BRIEF):
                search.cover(program, max(0.05, (search.end - monotonic()) / left), most)
            if search.timed_out:
                break
    except (NeedsRealLoop, NotRepeatable) as error:
        needs = str(error)
    findings: list[Found] = []
    begin, names = monotonic(), sorted(search.shown)
    for number, name in enumerate(names, start=1):
        try:
            findings.append(search.smallest(name, begin + _SHRINKING * number / len(names)))
        except NotRepeatable as error:
            if name != "hang":  # a machine that was busy for a moment accuses nobody
                needs = needs or str(error)
    complete = len(search.scopes) == len(chosen) and all(s.complete for s in search.scopes) and not findings
    refuted = min((f.refuted for f in findings if f.refuted is not None), default=None)
    refuted = (
        search.refuted if refuted is None or (search.refuted is not None and search.refuted < refuted) else refuted
    )
    return Explored(
        tuple(sorted(findings, key=_found_size)),
        search.count,
        complete and not needs,
        tuple(search.scopes),
        refuted,
        search.informative,
        needs,
    )


def _found_size(found: Found) -> tuple[Any, ...]:
    return not found.fifo, size(found.program), sum(1 for c in found.choices if c), len(found.choices), found.choices


@dataclass
class _Search:
    """What a search has seen so far."""

    adapter: type[Adapter]
    seed: int
    fifo: bool
    end: float
    count: int = 0
    informative: bool = False
    refuted: Guarantee | None = None
    scopes: list[Scope] = field(default_factory=list)
    shown: dict[str, tuple[Program, Choices]] = field(default_factory=dict)
    opaque: bool = False
    timed_out: bool = False

    def note(self, done: Concurrent, program: Program, choices: Choices) -> bool:
        """Keep what a run shows; return whether something new is wrong."""
        wrong = done.wrong()
        self.timed_out = self.timed_out or done.timed_out
        if not self.informative or wrong:
            report = done.report()
            self.informative = self.informative or report.exercise.informative
            if wrong and report.refuted is not None and (self.refuted is None or report.refuted < self.refuted):
                self.refuted = report.refuted
        new = [f.anomaly for f in wrong if f.anomaly not in self.shown]
        for name in new:
            self.shown[name] = program, choices
        return bool(new)

    def cover(self, program: Program, seconds: float, schedules: int | None) -> None:
        """Go through the schedules of one program: all, with few changes of agent, or by chance."""
        begin = monotonic()
        world = None if self.opaque else world_of(self.adapter)
        memory = Memory()
        first: list[int] = []

        def one(chooser: Chooser) -> Concurrent:
            return run(self.adapter, program, chooser, fifo=self.fifo, world=world, memory=memory)

        covered = Covered(0, 0, False, False)
        try:
            for choices, done, covered in every(one, seconds=seconds / 2, schedules=schedules, merge=world is not None):
                if done is not None and self.note(done, program, choices):
                    first.append(covered.schedules)
                if first and (covered.schedules > first[-1] + _AFTER or self.timed_out):
                    covered = replace(covered, complete=False)
                    break
        except Opaque as error:
            self.opaque = True
            self.count += covered.schedules
            del error
            self.cover(program, seconds, schedules)
            return
        self.count += covered.schedules
        more, why = covered.schedules, covered.why
        if not covered.complete and not first:
            left = None if schedules is None else schedules - covered.schedules
            more += self._by_chance(program, begin + seconds, left, covered)
        if not covered.complete and world is None and not first:
            why = f"{why}; the state cannot be read, so that no two schedules are merged".strip("; ")
        self.scopes.append(Scope(program, more, covered.states, covered.complete, covered.merged, why))

    def _by_chance(self, program: Program, end: float, left: int | None, covered: Covered) -> int:
        """Draw schedules: every second with priorities, every second at random."""
        count = 0
        length = 4 * sum(len(calls) for calls in program.agents) + len(program.agents)
        while monotonic() < end and (left is None or count < left):
            seed = (self.seed << 32) + count
            chooser: Recorder = Chance(seed) if count % 2 else Priorities(seed, 2 + count // 2 % 3, length)
            count += 1
            try:
                done = run(self.adapter, program, chooser, fifo=self.fifo)
            except Cut:
                continue
            if self.note(done, program, chooser.choices):
                break
        self.count += count
        del covered
        return count

    # --------------------------------------------------------------------------------------------- smallest

    def smallest(self, name: str, end: float) -> Found:
        """Return the smallest program and schedule found to show an anomaly, on a stock loop if one does.

        Looks for smaller ones until ``end``. Raises ``NotRepeatable`` when it does not show again.
        """
        program, choices = self.shown[name]
        begin = monotonic()
        with contextlib.suppress(Cut):
            run(self.adapter, program, Replay(choices), fifo=self.fifo)
        if monotonic() - begin > _SLOW:
            return self._shown(name, program, choices, fifo=self.fifo)
        best = self._least(name, program, fifo=self.fifo) or choices
        improved = True
        while improved and monotonic() < end:
            improved = False
            for candidate in simpler(program):
                if monotonic() >= end:
                    break
                if (
                    size(candidate) < size(program)
                    and (less := self._least(name, candidate, fifo=self.fifo)) is not None
                ):
                    program, best, improved = candidate, less, True
                    break
        stock = best if self.fifo else self._least(name, program, fifo=True)
        return self._shown(name, program, best if stock is None else stock, fifo=stock is not None)

    def _shown(self, name: str, program: Program, choices: Choices, *, fifo: bool) -> Found:
        done = replay(self.adapter, program, choices, fifo=fifo)
        finding = next((f for f in done.wrong() if f.anomaly == name), None)
        if finding is None:
            raise NotRepeatable(
                f"{name} was seen once, and not again with the same choices",
                cause="the same choices did not lead to the same run",
                hint="look for random numbers, the clock, or state that outlives a budget",
            )
        refuted = done.report().refuted
        return Found(name, program, choices, fifo, finding.sentence, done.story(), refuted)

    def _least(self, name: str, program: Program, *, fifo: bool) -> Choices | None:
        """Return a schedule that shows an anomaly and declines the fewest proposals, or None."""
        world = None if self.opaque else world_of(self.adapter)
        memory = Memory()

        def one(chooser: Chooser) -> bool:
            done = run(self.adapter, program, chooser, fifo=fifo, world=world, memory=memory)
            return any(finding.anomaly == name for finding in done.wrong())

        for bound in (0, 1, 2, 3, 4, 6, 9):
            try:
                went = Covered(0, 0, True, False)
                for choices, shows, far in every(one, bound=bound, schedules=_SMALL, merge=world is not None):
                    went = far
                    if shows:
                        return choices
                if went.complete:
                    return None
            except Opaque:
                self.opaque, world = True, None
            except (AdapterFailed, NotRepeatable, NeedsRealLoop):
                return None
        return None


_AFTER = 150
"""How many more schedules of a program are run once something was found in it."""
_SMALL = 1_500
_BRIEF = 0.25
"""How many seconds a run may take while hangs are looked for; what hangs is run once more, with all patience."""
_SLOW = 0.2
"""A run that takes longer than so many seconds is not made smaller."""
_SHRINKING = 6.0
"""How many seconds may be spent on making all findings small; each is looked at once in any case."""
