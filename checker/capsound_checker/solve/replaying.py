"""``capsound replay``: one schedule, once more, through the machine and the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsound.disciplines import KNOWN
from capsound.events import event_to_dict
from capsound.judged import judge
from capsound.loading import load_scenario
from capsound.machine import TOLD_APART, Machine, compile_scenario
from capsound.properties import Property
from capsound.report import Report
from capsound.scenario import Scenario
from capsound.schedule import BadToken, Schedule, Trace, parse_token, run_schedule
from capsound.verdict import Verdict, merge
from capsound_checker.display.data import steps_of
from capsound_checker.display.itf import trace_to_itf
from capsound_checker.display.printing import printable
from capsound_checker.display.render import render_trace
from capsound_checker.display.terminal import rendered
from capsound_checker.display.words import account_of


@dataclass(frozen=True, slots=True)
class Replayed:
    """A run that was done again, in words, as data and as an ITF trace."""

    verdict: Verdict
    text: str
    data: dict[str, Any]
    itf: dict[str, Any]


def replay_token(path: Path, token: str, *, colour: bool) -> Replayed:
    """Replay a token on its scenario; return the run and what the monitor says of it."""
    machine = machine_of(path)
    scenario, trace = machine.scenario, run_of(machine, parse_token(token))
    report = judge(machine, trace)
    verdict = judged(report)
    status = "violation" if verdict is Verdict.VIOLATED else "ok"
    told = [scenario.in_unit(finding.sentence, account_of(finding)) for finding in report.findings]
    lines = [f"  {f.anomaly}: {printable(sentence)}" for f, sentence in zip(report.findings, told, strict=True)]
    lines = lines or ["  the monitor found nothing wrong with this run"]
    lines.append(verdict.value + (": too little happened to show anything" if verdict is Verdict.UNKNOWN else ""))
    run = rendered(lambda console: render_trace(console, machine, trace), colour)
    return Replayed(
        verdict,
        run + "\n".join(lines) + "\n",
        data_of(scenario, trace, report),
        trace_to_itf(machine, trace, source=path.name, status=status),
    )


def machine_of(path: Path) -> Machine:
    """Return the machine of a scenario file. Raises ``BadScenario``, and ``BadToken`` where it has no run at all."""
    machine = compile_scenario(load_scenario(path, known_disciplines=KNOWN), limit=TOLD_APART)
    if machine.reuse is not None and machine.discipline.affine:
        raise BadToken(
            f"the program of {machine.reuse_agent} is rejected before it runs: {machine.reuse.reason}",
            hint="there is no run to replay; use every handle once",
        )
    return machine


def run_of(machine: Machine, schedule: Schedule) -> Trace:
    """Return the run of a schedule. Raises ``BadToken`` where it is none, or has no moments that windows need."""
    trace = run_schedule(machine, schedule)
    if trace.moments is None:
        raise BadToken(
            "no moments are found at which the steps of this run could happen",
            cause="buckets are dropped at whole multiples of their length, and here several of them are",
            hint="a token that capsound solve prints has moments",
        )
    return trace


def judged(report: Report) -> Verdict:
    """Return what a run shows."""
    return merge(v for p, v in report.verdicts.items() if p in _JUDGED)


_JUDGED = frozenset(
    {Property.CAP, Property.SLICE, Property.TRUTH, Property.CONSERVATION, Property.HANDLES, Property.PROGRESS}
)
"""What decides the exit status of a replay: precision and admission are shown, and are no broken promise."""


def data_of(scenario: Scenario, trace: Trace, report: Report) -> dict[str, Any]:
    """Return a run and what the monitor says of it as JSON data."""
    return {
        "format": "capsound.replay/1",
        "unit": scenario.unit,
        "scale": 10**scenario.digits,
        "verdict": judged(report).value,
        "token": trace.schedule.token,
        "events": [event_to_dict(event) for event in trace.events],
        **steps_of(trace),
        "findings": [
            {
                "anomaly": f.anomaly,
                "event": f.step,
                "sentence": scenario.in_unit(f.sentence, account_of(f)),
                "numbers": f.numbers,
            }
            for f in report.findings
        ],
        "verdicts": {prop.value: verdict.value for prop, verdict in report.verdicts.items()},
        "refuted": report.refuted.label if report.refuted is not None else None,
    }
