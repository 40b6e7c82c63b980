"""Looking for a schedule that breaks a cap: those that find most first, then step by step, then at random."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from capsound.guarantees import Guarantee
from capsound_checker.wire.judge import Judged
from capsound_checker.wire.schedule import FAULTS, Choice, Schedule

_STUCK = 2
_SHORTENING = 3
"""How many runs beyond the limit may be made to shorten what was found."""

Runner = Callable[[Schedule], Judged]
"""Runs the application under a schedule."""


@dataclass
class Searched:
    """What was seen."""

    runs: list[Judged] = field(default_factory=list)
    found: dict[Guarantee, Judged] = field(default_factory=dict)
    """For each guarantee that was refuted the run with the fewest departures."""
    confirmed: dict[Guarantee, bool] = field(default_factory=dict)
    """Whether the same schedule refuted it once more."""
    interrupted: bool = False
    missing: tuple[str, ...] = FAULTS
    """The faults that can happen to its requests and were not tried."""

    explored: list[str] = field(default_factory=list)
    """What was gone through as a whole, in words; a search by restarts goes through nothing as a whole."""
    complete: bool = False
    """Whether every order of answers was gone through, and each fault once at every place."""

    @property
    def weakest(self) -> Guarantee | None:
        """The weakest guarantee that was refuted."""
        return min(self.found, default=None)


@dataclass
class Search:
    """A search in progress; ``most`` is how many runs it may take in all."""

    runner: Runner
    most: int
    seed: int = 0
    tell: Callable[[str], None] = lambda _: None
    found: Callable[[Judged], None] = lambda _: None
    """Hears of the first run that refutes something, before it is shortened."""
    decided: bool = False
    """Whether somebody decides what an answer uses."""
    faults: tuple[str, ...] = FAULTS
    """What may go wrong, in the order in which it is tried."""
    can: Callable[[str, str], bool] = lambda _model, _act: True
    """Whether something can happen to the requests for a model: it cannot where its bill would not be known."""
    seen: Searched = field(default_factory=Searched)
    _done: set[tuple[Choice, ...]] = field(default_factory=set)

    def search(self) -> Searched:
        """Run schedules until one refutes something that no weaker finding could replace, or the runs are used up."""
        seen = self.seen
        try:
            for schedule in self._plain():
                if not self._more():
                    break
                if seen.found and schedule.order != "first":
                    continue  # only fewer requests in flight, or smaller bills, could refute something weaker
                self._run(schedule)
            else:
                if not seen.found:
                    self._faulty()
                    self._systematic()
                    self._random()
            self._note_missing()
            for rung in sorted(seen.found):
                self._shrink(rung)
        except KeyboardInterrupt:
            seen.interrupted = True
        return seen

    def replay(self, schedule: Schedule) -> Searched:
        """Run one schedule, and nothing else."""
        judged = self._run(schedule)
        if judged.refuted is not None:
            self.seen.confirmed[judged.refuted] = True
        return self.seen

    def _more(self, beyond: int = 0) -> bool:
        """Whether another run may be made; ``beyond`` is by how many the limit may be passed."""
        if sum(one.run.ended == "busy" for one in self.seen.runs) >= _STUCK:
            return False  # each would take its minute
        return len(self.seen.runs) < self.most + beyond

    def _run(self, schedule: Schedule) -> Judged:
        self.tell(f"run {len(self.seen.runs) + 1}")
        judged = self.runner(schedule)
        self.seen.runs.append(judged)
        self._done.add(tuple(choice for choice, _ in judged.run.choices))
        self._keep(judged)
        return judged

    def _keep(self, judged: Judged) -> None:
        """Keep a run for the guarantee that it refutes, where none that is as small is known."""
        if judged.refuted is None:
            return
        if not self.seen.found:
            self.found(judged)
        known = self.seen.found.get(judged.refuted)
        if known is None or larger(known, judged):
            self.seen.found[judged.refuted] = judged

    def _plain(self) -> Iterator[Schedule]:
        """Yield the schedules without faults that find most."""
        yield Schedule()
        yield Schedule("last")
        yield Schedule(act="low")
        if self.decided:  # what was decided may be less than what a request permits
            yield Schedule(act="most")
            yield Schedule("last", "most")

    def _faulty(self) -> None:
        """Try each fault once, on the first request."""
        base = self.seen.runs[0].run
        if not base.choices:
            return
        for act in self._faults():
            if not self._more() or self.seen.found:
                return
            self._run(Schedule(departures=((0, Choice(base.choices[0][0].label, act)),)))

    def _note_missing(self) -> None:
        tried = {act for one in self.seen.runs for act in one.faults}
        self.seen.missing = tuple(act for act in self._faults() if act not in tried)

    def _faults(self) -> list[str]:
        """Return the faults that can happen to every model that was asked for."""
        models = {did.asked.model for one in self.seen.runs for did in one.run.did if did.asked is not None}
        return [act for act in self.faults if all(self.can(model, act) for model in sorted(models))]

    def _systematic(self) -> None:
        """Depart from what was run in one more step, breadth first."""
        todo = deque(one.run for one in self.seen.runs if not one.run.schedule.departures)
        while todo and self._more() and not self.seen.found:
            run = todo.popleft()
            start = max((at for at, _ in run.schedule.departures), default=-1) + 1
            for at in range(start, len(run.choices)):
                taken, held = run.choices[at]
                others = [Choice(label, "answer") for label in held] + [
                    Choice(taken.label, act) for act in self._faults()
                ]
                for choice in others:
                    if choice == taken or not self._more() or self.seen.found:
                        continue
                    path = (*(c for c, _ in run.choices[:at]), choice)
                    if any(done[: len(path)] == path for done in self._done):
                        continue
                    todo.append(self._run(run.schedule.then(at, choice)).run)

    def _random(self) -> None:
        """Depart in several steps at once."""
        source = random.Random(self.seed)
        acts = ("answer", "answer", "low", *self._faults())
        while self._more() and not self.seen.found:
            run = source.choice(self.seen.runs).run
            if not run.choices:
                return
            steps = sorted(source.sample(range(len(run.choices)), min(len(run.choices), source.randint(1, 3))))
            departures = tuple(
                (
                    at,
                    Choice(source.choice(run.choices[at][1]), source.choice(acts)),
                )
                for at in steps
            )
            self._run(Schedule(source.choice(("first", "last")), "answer", departures))

    def _shrink(self, rung: Guarantee) -> None:
        """Leave out departures that are not needed, then see whether the rest does it once more."""
        best = self.seen.found[rung]
        changed = True
        while changed and self._more(_SHORTENING):
            changed = False
            for smaller in _smaller(best.run.schedule):
                if not self._more(_SHORTENING):
                    break
                judged = self._run(smaller)
                if judged.refuted == rung:
                    best, changed = judged, True
                    break
        again = self.runner(best.run.schedule)
        self.seen.confirmed[rung] = again.refuted == rung
        self.seen.found[rung] = best


def _smaller(schedule: Schedule) -> Iterator[Schedule]:
    for at in range(len(schedule.departures)):
        yield schedule.without(at)
    if schedule.order != "first":
        yield Schedule("first", schedule.act, schedule.departures)


def larger(one: Judged, other: Judged) -> bool:
    """Whether one run departs more from the usual schedule than the other, or is longer."""
    return _size(one) > _size(other)


def _size(judged: Judged) -> tuple[int, int]:
    schedule = judged.run.schedule
    return len(schedule.departures) + (schedule.order != "first") + (schedule.act != "answer"), len(judged.run.did)
