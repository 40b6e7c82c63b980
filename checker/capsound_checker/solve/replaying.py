"""``capsound replay``: one schedule, once more, through the machine and the monitor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from capsound.disciplines import DISCIPLINES
from capsound.events import event_to_dict
from capsound.loading import load_scenario
from capsound.machine import TOLD_APART, compile_scenario
from capsound.monitor import Report, fold
from capsound.properties import Property
from capsound.schedule import BadToken, Trace, parse_token, run_schedule
from capsound.verdict import Verdict, merge
from capsound_checker.display.itf import trace_to_itf
from capsound_checker.display.render import render_trace
from capsound_checker.display.telling import check_writable, write_itf
from capsound_checker.display.terminal import rendered


def replay_token(path: Path, token: str, *, as_json: bool, itf: Path | None, colour: bool) -> int:
    """Replay a token on its scenario; print the run and what the monitor says of it."""
    if itf is not None:
        check_writable(itf)
    scenario = load_scenario(path, known_disciplines=DISCIPLINES)
    schedule = parse_token(token)
    machine = compile_scenario(scenario, limit=TOLD_APART)
    if machine.reuse is not None and machine.discipline.affine:
        raise BadToken(
            f"the program of {machine.reuse_agent} is rejected before it runs: {machine.reuse.reason}",
            hint="there is no run to replay; use every handle once",
        )
    trace = run_schedule(machine, schedule)
    report = fold(trace.events)
    verdict = merge(v for p, v in report.verdicts.items() if p in _JUDGED)
    status = "violation" if verdict is Verdict.VIOLATED else "ok"
    if itf is not None:
        write_itf(itf, trace_to_itf(machine, trace, source=path.name, status=status))
    if as_json:
        click.echo(json.dumps(_data(trace, report), indent=2, sort_keys=True))
    else:
        click.echo(rendered(lambda console: render_trace(console, machine, trace), colour), nl=False)
        for finding in report.findings:
            click.echo(f"  {finding.anomaly}: {finding.sentence}")
        if not report.findings:
            click.echo("  the monitor found nothing wrong with this run")
        why = ": too little happened to show anything" if verdict is Verdict.UNKNOWN else ""
        click.echo(f"{verdict.value}{why}")
    return verdict.exit_status


_JUDGED = frozenset(
    {Property.CAP, Property.SLICE, Property.TRUTH, Property.CONSERVATION, Property.HANDLES, Property.PROGRESS}
)
"""What decides the exit status of a replay: precision and admission are shown, and are no broken promise."""


def _data(trace: Trace, report: Report) -> dict[str, Any]:
    return {
        "token": trace.schedule.token,
        "events": [event_to_dict(event) for event in trace.events],
        "findings": [
            {"anomaly": f.anomaly, "event": f.step, "sentence": f.sentence, "numbers": f.numbers}
            for f in report.findings
        ],
        "verdicts": {prop.value: verdict.value for prop, verdict in report.verdicts.items()},
        "refuted": report.refuted.label if report.refuted is not None else None,
    }
