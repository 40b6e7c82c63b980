"""Every schedule of small programs of agents of asyncio, and who is wronged in it: the smallest that shows it."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from capsound.adapter import Adapter
from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.programs.asking import AdapterFailed
from capsound_checker.programs.evidence import GateEvidence, gate_evidence
from capsound_checker.programs.exhaust import Opaque
from capsound_checker.programs.watch import held, patience, wait_longer
from capsound_checker.schedules.agents import Program, possible, programs, simpler, size
from capsound_checker.schedules.concurrency import Concurrent, Work, run, world_of
from capsound_checker.schedules.eventloop import NeedsRealLoop
from capsound_checker.schedules.interleave import (
    Chance,
    Choices,
    Covered,
    Cut,
    NotRepeatable,
    Priorities,
    Recorder,
    Replay,
    every,
)
from capsound_checker.schedules.objects import World
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
    struck: str = ""
    """What ``seconds`` has cut short, in words: what was not tried is not kept."""

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
        """``unknown`` where nothing can be said, where time ran out, or where nothing interesting happened."""
        if self.findings:
            return Verdict.VIOLATED
        return Verdict.SOUND if self.informative and not self.needs and not self.struck else Verdict.UNKNOWN


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
    seconds: float | None = None,
    schedules: int | None = None,
    seed: int = 0,
    scope: Sequence[Program] | None = None,
    fifo: bool = False,
    steps: int = 0,
) -> Explored:
    """Go through the schedules of small programs, all of them where that is possible, by chance where it is not.

    ``schedules`` and ``steps`` are for the whole search: how many runs, and how many moves in all runs together (0: as
    many as are usual). ``scope`` are the programs, those of ``programs`` if not given; ``fifo`` looks at schedules of
    the standard loop only. The result depends on nothing but the arguments and the implementation, on whatever machine,
    unless ``seconds`` pass before: then the result says so in ``struck``. Raises ``AdapterFailed``.
    """
    if not possible(adapter):
        return Explored((), 0, False, (), None, False, "the adapter does not offer what its gate needs")
    with _quiet(), held(), patience(_BRIEF):
        chosen = programs(adapter) if scope is None else tuple(scope)
        end = None if seconds is None else monotonic() + seconds
        return _explored(_Search(adapter, seed, fifo, end), chosen, schedules, steps or STEPS)


def _explored(search: _Search, chosen: Sequence[Program], schedules: int | None, steps: int) -> Explored:
    needs = ""
    try:
        for number, program in enumerate(chosen):
            left = len(chosen) - number
            most = None if schedules is None else max(1, (schedules - search.count) // left)
            search.cover(program, max(_LEAST, (steps - search.work.steps) // left), most)
            if search.hangs or search.struck:
                break
    except (NeedsRealLoop, NotRepeatable) as error:
        needs = str(error)
    findings: list[Found] = []
    for name in sorted(search.shown):
        try:
            findings.append(search.smallest(name, _SHRINKING))
        except NotRepeatable as error:
            needs = needs or str(error)
    complete = len(search.scopes) == len(chosen) and all(s.complete for s in search.scopes) and not findings
    refuted = min((f.refuted for f in findings if f.refuted is not None), default=None)
    refuted = (
        search.refuted if refuted is None or (search.refuted is not None and search.refuted < refuted) else refuted
    )
    tried = len(search.scopes)
    return Explored(
        tuple(sorted(findings, key=_found_size)),
        search.count,
        complete and not needs,
        tuple(search.scopes),
        refuted,
        search.informative,
        needs,
        f"time ran out in program {tried} of {len(chosen)}" if search.struck else "",
    )


def _found_size(found: Found) -> tuple[Any, ...]:
    return not found.fifo, size(found.program), sum(1 for c in found.choices if c), len(found.choices), found.choices


@dataclass(frozen=True, slots=True)
class _Tried:
    """What one schedule has shown while a smaller one was looked for, and what it has cost."""

    choices: Choices
    anomalies: frozenset[str]
    timed_out: bool
    complete: bool
    """Whether it was the last, and all within the bound were run."""
    more: bool
    """Whether others follow."""
    steps: int
    evidence: GateEvidence


@dataclass
class _Search:
    """What a search has seen so far."""

    adapter: type[Adapter]
    seed: int
    fifo: bool
    end: float | None
    """When the time that was asked for is over, if any was."""
    count: int = 0
    work: Work = field(default_factory=Work)
    informative: bool = False
    refuted: Guarantee | None = None
    scopes: list[Scope] = field(default_factory=list)
    shown: dict[str, tuple[Program, Choices]] = field(default_factory=dict)
    opaque: bool = False
    hangs: bool = False
    """Whether a run hangs, and did so again with all patience: every further one would cost as much."""
    paused: bool = False
    """Whether a run only seemed to hang: what follows the pause was not gone through in every order."""
    struck: bool = False
    memory: Memory = field(default_factory=Memory)
    """What the monitor has made of all runs: it asks for nothing but their events."""
    tried: dict[tuple[Program, int, bool, bool], tuple[list[_Tried], Iterator[_Tried]]] = field(default_factory=dict)
    """What the schedules of each program have shown within each bound, and the rest of them."""

    def enough(self, most: int) -> str:
        """Return why a search ends, if it does: it has made ``most`` moves, or the time is over."""
        if self.end is not None and monotonic() >= self.end:
            self.struck = True
            return "the time was used up"
        return f"stopped after {most:,} moves" if self.work.steps >= most else ""

    def run(self, program: Program, chooser: Recorder, world: World | None = None, memory: Memory | None = None) -> Any:
        """Do one schedule; one that seems to hang is done once more, with all patience: a pause accuses nobody."""
        done = run(self.adapter, program, chooser, fifo=self.fifo, world=world, memory=memory, work=self.work)
        if done.timed_out and not self.hangs:
            with patience(None):
                done = run(self.adapter, program, Replay(chooser.choices), fifo=self.fifo, work=self.work)
            if done.timed_out:
                self.hangs = True
            else:
                self.paused = True
                wait_longer()
        return done

    def note(self, done: Concurrent, program: Program, choices: Choices) -> bool:
        """Keep what a run shows; return whether something new is wrong."""
        wrong = done.wrong()
        if not self.informative or wrong:
            report = done.report()
            self.informative = self.informative or report.exercise.informative
            if wrong and report.refuted is not None and (self.refuted is None or report.refuted < self.refuted):
                self.refuted = report.refuted
        new = [f.anomaly for f in wrong if f.anomaly not in self.shown]
        for name in new:
            self.shown[name] = program, choices
        return bool(new)

    def cover(self, program: Program, steps: int, schedules: int | None, *, paused: bool = False) -> None:
        """Go through the schedules of one program, by chance where there are too many: in ``steps`` moves at most.

        What follows a pause was not gone through in every order: then all of it is done once more, with more patience.
        """
        begin, self.paused = self.work.steps, False
        world = None if self.opaque else world_of(self.adapter)
        memory = self.memory
        first: list[int] = []

        def one(chooser: Any) -> Concurrent:
            done: Concurrent = self.run(program, chooser, world, memory)
            return done

        covered = Covered(0, 0, False, False)
        half = begin + steps // 2
        every_one = every(one, schedules=schedules, merge=world is not None, enough=lambda: self.enough(half))
        try:
            for choices, done, covered in every_one:
                if done is not None and self.note(done, program, choices):
                    first.append(covered.schedules)
                if first and (covered.schedules > first[-1] + _AFTER or self.hangs):
                    covered = replace(covered, complete=False)
                    break
        except Opaque as error:
            self.opaque = True
            self.count += covered.schedules
            del error
            self.cover(program, steps, schedules, paused=paused)
            return
        self.count += covered.schedules
        if self.paused and not paused:
            self.cover(program, steps, schedules, paused=True)
            return
        if self.paused:
            covered = replace(covered, complete=False, why=covered.why or "a run paused")
        more, why = covered.schedules, covered.why
        if not covered.complete and not first:
            left = None if schedules is None else schedules - covered.schedules
            more += self._by_chance(program, begin + steps, left)
        if not covered.complete and world is None and not first:
            why = f"{why}; the state cannot be read, so that no two schedules are merged".strip("; ")
        self.scopes.append(Scope(program, more, covered.states, covered.complete, covered.merged, why))

    def _by_chance(self, program: Program, most: int, left: int | None) -> int:
        """Draw schedules: every second with priorities, every second at random."""
        count = 0
        length = 4 * sum(len(calls) for calls in program.agents) + len(program.agents)
        while not self.hangs and not self.enough(most) and (left is None or count < left):
            seed = (self.seed << 32) + count
            chooser: Recorder = Chance(seed) if count % 2 else Priorities(seed, 2 + count // 2 % 3, length)
            count += 1
            try:
                done = self.run(program, chooser)
            except Cut:
                continue
            if self.note(done, program, chooser.choices):
                break
        self.count += count
        return count

    # --------------------------------------------------------------------------------------------- smallest

    def smallest(self, name: str, steps: int) -> Found:
        """Return the smallest program and schedule found to show an anomaly, on a stock loop if one does.

        Looks for smaller ones until ``steps`` more moves are made, or the time is over. Raises ``NotRepeatable`` when
        it does not show again.
        """
        program, choices = self.shown[name]
        if name == "hang" and self.hangs:  # every further run would cost its patience
            with patience(None):
                return self._shown(name, program, choices, fifo=self.fifo)
        most = self.work.steps + steps
        best = self._least(name, program, most, fifo=self.fifo) or choices
        improved = True
        while improved:
            improved = False
            for candidate in simpler(program):
                if self.enough(most):
                    break
                if (
                    size(candidate) < size(program)
                    and (less := self._least(name, candidate, most, fifo=self.fifo)) is not None
                ):
                    program, best, improved = candidate, less, True
                    break
        stock = best if self.fifo else self._least(name, program, self.work.steps + steps, fifo=True)
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

    def _least(self, name: str, program: Program, most: int, *, fifo: bool) -> Choices | None:
        """Return a schedule that shows an anomaly and declines the fewest proposals, or None."""
        for bound in (0, 1, 2, 3, 4, 6, 9):
            try:
                complete = True
                for tried in self._tried(program, bound, fifo=fifo):
                    complete = tried.complete
                    if name in tried.anomalies and (name == "hang" or not tried.timed_out):
                        return tried.choices
                    if tried.more and self.enough(most):
                        break
                if complete:
                    return None
            except Opaque:
                self.opaque = True
            except (AdapterFailed, NotRepeatable, NeedsRealLoop):
                return None
        return None

    def _tried(self, program: Program, bound: int, *, fifo: bool) -> Iterator[_Tried]:
        """Yield what each schedule within a bound shows; what was run for another anomaly is counted, and not run.

        Programs that are made smaller for several anomalies meet in the same smaller ones.
        """
        key = program, bound, fifo, self.opaque
        known = self.tried.get(key)
        if known is None:
            known = self.tried[key] = [], self._run_within(program, bound, fifo=fifo)
        heard, further = known
        evidence = gate_evidence(self.adapter)
        for number in itertools.count():
            if number < len(heard):
                tried = heard[number]
                self.work.steps += tried.steps
                evidence.add(tried.evidence)
            else:
                try:
                    following = next(further, None)
                except BaseException:
                    del self.tried[key]  # whoever asks next is to meet the same error
                    raise
                if following is None:
                    return
                heard.append(tried := following)
            yield tried

    def _run_within(self, program: Program, bound: int, *, fifo: bool) -> Iterator[_Tried]:
        """Run the schedules within a bound, one whenever it is asked for."""
        world, evidence = None if self.opaque else world_of(self.adapter), gate_evidence(self.adapter)

        def one(chooser: Any) -> tuple[frozenset[str], bool]:
            done = run(self.adapter, program, chooser, fifo=fifo, world=world, memory=self.memory, work=self.work)
            return frozenset(finding.anomaly for finding in done.wrong()), done.timed_out

        begin, before = self.work.steps, replace(evidence)
        for choices, shown, far in every(one, bound=bound, schedules=_SMALL, merge=world is not None):
            names, timed_out = shown or (frozenset[str](), False)
            more = not far.complete and not far.why
            yield _Tried(choices, names, timed_out, far.complete, more, self.work.steps - begin, evidence.since(before))
            begin, before = self.work.steps, replace(evidence)


STEPS = 100_000
"""How many moves all runs of a search may have: some twenty seconds, where nothing else is to be done."""
_LEAST = 500
"""How many moves each program gets at least."""
_AFTER = 150
"""How many more schedules of a program are run once something was found in it."""
_SMALL = 1_500
_BRIEF = 0.25
"""How many seconds a move may take while hangs are looked for; what hangs is run once more, with all patience."""
_SHRINKING = 20_000
"""How many moves may be made to make one finding small; each is looked at once in any case."""
