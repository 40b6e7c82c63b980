"""What a monitor says of a run: findings, what was exercised, verdicts, and the guarantee that the run refutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from capsound.accounts import State
from capsound.amounts import AccountId
from capsound.anomalies import ANOMALIES
from capsound.events import Event
from capsound.guarantees import Guarantee
from capsound.properties import Property
from capsound.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """One anomaly at one step (the first event is step 1), with the names and numbers that show it."""

    anomaly: str
    step: int
    event: Event
    facts: tuple[tuple[str, int | str], ...]
    sentence: str
    rule: str = ""

    @property
    def numbers(self) -> dict[str, int | str]:
        """The names and numbers of the finding, by what they are called in the sentence."""
        return dict(self.facts)


@dataclass(frozen=True, slots=True)
class Exercise:
    """What happened in a run: a run in which nothing interesting happened shows nothing."""

    admitted: int = 0
    refused: int = 0
    sent: int = 0
    settled: int = 0
    faults: int = 0
    delegated: int = 0
    overlapped: bool = False
    approached: bool = False
    overran: bool = False
    misreported: bool = False

    @property
    def informative(self) -> bool:
        """Whether a call was admitted and the cap mattered: something was refused or half of it was used."""
        return self.admitted > 0 and (self.refused > 0 or self.approached)


@dataclass(frozen=True, slots=True)
class Report:
    """What the monitor says of one run: data first, every rendering is a function of it."""

    steps: int
    findings: tuple[Finding, ...]
    verdicts: dict[Property, Verdict]
    exercise: Exercise
    state: State
    overshoot: dict[AccountId, int]
    deficits: dict[AccountId, int]
    refuted: Guarantee | None

    def anomalies(self) -> tuple[str, ...]:
        """Return the names of the anomalies seen, each once, in the order of first appearance."""
        return tuple(dict.fromkeys(f.anomaly for f in self.findings))

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that this run does not refute."""
        return Guarantee.OVERRUN_BOUNDED if self.refuted is None else Guarantee(self.refuted - 1)


def refuted(findings: Iterable[Finding], exercise: Exercise, broken: set[Property]) -> Guarantee | None:
    """Return the weakest guarantee that this run refutes, given which assumptions it kept.

    A run in which bills stayed within their holds is evidence against the guarantees that hold under A1; a
    run with an overrun is evidence only against `overrun-bounded`.
    """
    names = {f.anomaly for f in findings}
    ended = [g for n in sorted(names) if (g := ANOMALIES[n].ends) is not None and n not in BY_CIRCUMSTANCE]
    if names & BY_CIRCUMSTANCE:
        if exercise.overran or exercise.misreported:
            if Property.OVERRUN in broken:
                ended.append(Guarantee.OVERRUN_BOUNDED)
        elif exercise.faults:
            ended.append(Guarantee.FAULT_TOLERANT)
        elif exercise.delegated:
            ended.append(Guarantee.DELEGATED)
        elif exercise.overlapped:
            ended.append(Guarantee.CONCURRENT)
        else:
            ended.append(Guarantee.SEQUENTIAL)
    return min(ended, default=None)


BY_CIRCUMSTANCE = frozenset({"overshoot", "slice-overshoot", "minted", "window-leak"})
"""What these refute depends on what the run needed: overlap, delegation or faults."""
