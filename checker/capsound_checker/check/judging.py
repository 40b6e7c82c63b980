"""What an implementation keeps: every anomaly that was found, smallest program each, and the strongest guarantee.

The profiles are run from the weakest demands to the strongest: calls that never overlap, overlapping calls,
slices, faults, bills above their holds. A rung of the ladder is refuted by a run that refutes it, not by a
run that merely looks odd; the anomaly is named all the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from capsound.adapter import Adapter
from capsound.guarantees import Guarantee
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.lockstep import AdapterFailed, Lockstep
from capsound_checker.programs.program import PROFILES, Profile, Program, Step, possible
from capsound_checker.programs.shrinking import shrink
from capsound_checker.programs.watch import held, patience, wait_longer


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing that was shown, by the smallest program that was found for it."""

    name: str
    program: tuple[Step, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of a hunt: data first."""

    first: Shown | None
    """What the smallest counterexample of all shows first."""
    found: dict[str, Shown]
    refuted: Guarantee | None
    refutation: Shown | None
    operations: int
    programs: int
    profiles: tuple[str, ...]

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that nothing in the hunt refutes."""
        return Guarantee.OVERRUN_BOUNDED if self.refuted is None else Guarantee(self.refuted - 1)


@dataclass
class Hunt:
    """What suspicious programs of one adapter have shown so far, by the shortest program of each."""

    adapter: type[Adapter]
    notice: Callable[[str, Lockstep], None] = lambda _, __: None
    starts: list[list[Step]] = field(default_factory=list)
    by_name: dict[str, list[Step]] = field(default_factory=dict)
    refuted: Guarantee | None = None
    refuting: list[Step] = field(default_factory=list)
    taken: int = 0

    def take(self, program: list[Step], driver: Driver, chance: random.Random) -> bool:
        """Look at a suspicious program in lock step; return whether the monitor finds something.

        What looks odd need not be wrong, or refute anything, yet: the program is continued in several ways.
        """
        self.taken += 1
        known = len(self.starts)
        run = self._note(Lockstep(self.adapter()).run(program))
        if any(finding.anomaly == "hang" for finding in run.wrong()):
            return True  # every further one would cost its time limit again
        for again in (program[-1:], program[-2:]):  # what was odd once is done once more
            self._provoke(driver.further([*program, *again], b""))
        for length in (0, 4, 8, 16, 32):
            self._provoke(driver.further(program, chance.randbytes(4 * length)))
        return len(self.starts) > known

    def _provoke(self, run: Lockstep) -> None:
        try:
            bill_in_full(run)
            self._note(Lockstep(self.adapter()).run(_billed_in_full(run.steps)))
            spend_until_refused(run)
            self._note(run)
        finally:
            run.drop()

    def _confirmed(self, run: Lockstep) -> Lockstep:
        """Return a run that seems to hang done once more, with all patience: a pause accuses nobody."""
        if "hang" in self.by_name or not any(finding.anomaly == "hang" for finding in run.wrong()):
            return run
        with patience(None):
            again = Lockstep(self.adapter()).run(run.steps)
        if not any(finding.anomaly == "hang" for finding in again.wrong()):
            wait_longer()
        return again

    def _note(self, run: Lockstep) -> Lockstep:
        """Keep what a run shows, and return it; one that seems to hang is done once more before, and that is kept."""
        run = self._confirmed(run)
        program, wrong = run.steps, run.wrong()
        if wrong:
            self.starts.append(program)
        for finding in wrong:
            known = self.by_name.get(finding.anomaly)
            if known is None or len(program) < len(known):
                self.by_name[finding.anomaly] = program
                self.notice(finding.anomaly, run)
        refuted = run.report().refuted
        if refuted is not None and (self.refuted is None or refuted < self.refuted):
            self.refuted, self.refuting = refuted, program
        return run


def bill_in_full(run: Lockstep) -> None:
    """Send every hold that was not sent, and those again that have room left, billed for all that they keep."""
    for hold in run.held + run.sent:
        unsent = hold in run.held
        if unsent or run.room(hold) > 0:  # with several dimensions a hold is for one request
            run.do(Step("send" if unsent or not run.several else "bill", on=hold, bill=max(0, run.room(hold))))


def spend_until_refused(run: Lockstep, most: int = 12) -> None:
    """End every call, then make calls of one unit, one after the other, until the first refusal on each account.

    Capacity that came from nothing is spent here, and a cap that stops nobody shows.
    """
    for hold in run.sent:
        run.do(Step("settle", on=hold))
    for hold in run.at_provider:
        run.do(Step("reply", on=hold))
    if run.waiting:
        return
    for account in run.opened:
        for _ in range(most):
            hold = run.holds
            if "call" in run.offers:
                run.do(Step("begin", on=account, new=hold, amount=1, bill=1))
                if hold not in run.at_provider:
                    break
                run.do(Step("reply", on=hold))
            else:
                run.do(Step("reserve", on=account, new=hold, amount=1))
                if hold not in run.held:
                    break
                run.do(Step("send", on=hold, bill=1))
                run.do(Step("settle", on=hold))


def _billed_in_full(program: Program) -> list[Step]:
    """Return the program with every call of the library billed what it was estimated at, unless it is more."""
    return [s._replace(bill=max(s.bill, s.amount)) if s.do == "begin" else s for s in program]


def judge(
    adapter: type[Adapter],
    *,
    programs: int = 1_000,
    enough: int = 12,
    seed: int = 0,
    begin: int = 0,
    profiles: Iterable[Profile] = tuple(PROFILES.values()),
    pace: Callable[[Profile, range], Iterable[int]] = lambda _, seeds: seeds,
    notice: Callable[[str, Lockstep], None] = lambda _, __: None,
    failures: list[tuple[Profile, AdapterFailed]] | None = None,
) -> Judgement:
    """Hunt with every profile, ``programs`` programs each, until ``enough`` of them show something; then shrink.

    ``begin`` is the number of the first program of each profile, where others run those before it.
    ``pace`` hands out the seeds of a profile, and may stop early; ``notice`` is called with the name of each anomaly
    and each run of a shorter program that is met for it. Raises ``AdapterFailed`` when the adapter lets out an
    exception that it does not classify; where ``failures`` is given, the profile and the error are put there, and the
    next profile has its turn.
    """
    hunt, tried = Hunt(adapter, notice), Tried(adapter)
    operations = made = 0
    used: list[str] = []
    can = possible(adapter)
    chance = random.Random(seed)
    with patience(BRIEF), held():
        for number, profile in enumerate(profiles):
            if not ({"reserve", "begin"} & can & set(profile.weights)):
                continue
            driver = Driver(adapter, profile)
            used.append(profile.name)
            seen = hunt.taken = 0
            start = (seed * 1_000 + number) * 1_000_000 + begin
            try:
                for program in driver.hunt(pace(profile, range(start, start + programs))):
                    seen += hunt.take(program, driver, chance)
                    if seen >= enough or hunt.taken >= 4 * enough or "hang" in hunt.by_name:
                        break
            except AdapterFailed as failed:
                if failures is None:
                    raise
                failures.append((profile, failed))
            operations += driver.operations
            made += driver.programs
        found = {name: shrink(program, tried.shows(name)) for name, program in hunt.by_name.items()}
        # Every further run of what hangs costs a time limit: its smallest program stands for all others.
        starts = [] if "hang" in found else sorted(hunt.starts, key=len)[:8]
        least = [shrink(program, tried.shows(None)) for program in starts]
        refuted, refuting = hunt.refuted, hunt.refuting
        if refuted is not None and "hang" in found and tried.refutes(refuted)(found["hang"]):
            refuting = found["hang"]
        while refuted is not None and refuting != found.get("hang"):  # a smaller program may refute even less
            refuting = shrink(refuting, tried.refutes(refuted))
            less = _try(adapter, refuting)
            lower = None if less is None else less.report().refuted
            if lower is None or lower >= refuted:
                break
            refuted = lower
    # Told again with all the patience there is: a machine that was busy for a moment must accuse nobody.
    again: dict[tuple[Step, ...], Lockstep | None] = {}

    def confirmed(program: list[Step]) -> Lockstep | None:
        if tuple(program) not in again:
            again[tuple(program)] = _try(adapter, program)
        return again[tuple(program)]

    shown = {name: told for name, p in found.items() if (told := _shown(p, confirmed(p), name))}
    tries = [told for p in [*least, *found.values()] if (told := _shown(p, confirmed(p)))]
    first = min(tries, key=_weight, default=None)
    refutation = None
    if refuted is not None:
        last = confirmed(refuting)
        refuted = refuted if last is not None and last.report().refuted == refuted else None
    if refuted is not None:
        refutation = Shown(refuted.label, tuple(refuting), f"refutes {refuted.label}")
    return Judgement(first, shown, refuted, refutation, operations, made, tuple(used))


BRIEF = 0.25
"""How many seconds one step may take while hangs are hunted."""


def _weight(shown: Shown) -> tuple[bool, int, int]:
    """Return what the smallest counterexample is judged by; arguments that are no amounts come after all others."""
    return shown.name == "bad-amount", len(shown.program), sum(step.amount + step.bill for step in shown.program)


def _try(adapter: type[Adapter], program: Program) -> Lockstep | None:
    try:
        return Lockstep(adapter()).run(program)
    except AdapterFailed:  # a smaller program may break the implementation in another way
        return None


class Tried:
    """What small programs show, each run once: programs that are made smaller meet in the same neighbours.

    What an implementation answers by chance is not settled here: whatever is told is run once more.
    """

    def __init__(self, adapter: type[Adapter]) -> None:
        self._adapter = adapter
        self._names: dict[tuple[Step, ...], frozenset[str]] = {}
        self._refuted: dict[tuple[Step, ...], Guarantee | None] = {}

    def shows(self, name: str | None) -> Callable[[Program], bool]:
        """Return whether a program shows an anomaly, or anything at all where no name is given."""

        def shown(program: Program) -> bool:
            key = tuple(program)
            if key not in self._names:
                run = _try(self._adapter, program)
                self._names[key] = frozenset(() if run is None else (finding.anomaly for finding in run.wrong()))
            return bool(self._names[key]) if name is None else name in self._names[key]

        return shown

    def refutes(self, guarantee: Guarantee) -> Callable[[Program], bool]:
        """Return whether a program refutes a guarantee."""

        def refuted(program: Program) -> bool:
            key = tuple(program)
            if key not in self._refuted:
                run = _try(self._adapter, program)
                self._refuted[key] = None if run is None else run.report().refuted
            least = self._refuted[key]
            return least is not None and least <= guarantee

        return refuted


def _shown(program: list[Step], run: Lockstep | None, name: str | None = None) -> Shown | None:
    wrong = run.wrong() if run is not None else []
    finding = next((f for f in wrong if name in (None, f.anomaly)), None)
    return None if finding is None else Shown(finding.anomaly, tuple(program), finding.sentence)
