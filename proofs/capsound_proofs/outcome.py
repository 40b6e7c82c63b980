"""What ``solve`` answers: a verdict on each property, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

from capsound.machine import Machine
from capsound.monitor import Report
from capsound.properties import Property
from capsound.scenario import Scenario
from capsound.schedule import Trace
from capsound.verdict import Verdict
from capsound_proofs.estimator import EstimatorAnswer
from capsound_proofs.worst import Worst


@dataclass(frozen=True, slots=True)
class PropertyResult:
    """The verdict on one property. ``bound`` says how far it reaches, ``method`` how it was reached.

    ``longest`` is how many steps the longest run takes, where every run was searched.
    """

    property: Property
    verdict: Verdict
    bound: str
    method: str
    seconds: float
    trace: Trace | None = None
    report: Report | None = None
    invariant: tuple[str, ...] = ()
    anomaly: str = ""
    longest: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that ``solve`` found out about a scenario."""

    scenario: Scenario
    machine: Machine
    verdict: Verdict
    results: tuple[PropertyResult, ...]
    estimators: tuple[EstimatorAnswer, ...]
    worst: Worst | None
    flags: tuple[str, ...]
    sentences: tuple[str, ...]
    seconds: float

    def result(self, prop: Property) -> PropertyResult:
        """Return the result for one property; raises ``KeyError`` when it was not asked."""
        for result in self.results:
            if result.property is prop:
                return result
        raise KeyError(prop)

    @property
    def anomalies(self) -> tuple[str, ...]:
        """The names of the anomalies in the counterexamples, in order of first appearance."""
        names: list[str] = []
        for result in self.results:
            if result.report is not None and result.verdict is Verdict.VIOLATED:
                names += result.report.anomalies()
            elif result.anomaly:
                names.append(result.anomaly)
        return tuple(dict.fromkeys(names))
