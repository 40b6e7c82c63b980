"""Outcomes as JSON data, and whether they are what a scenario expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from capsound.amounts import AccountId
from capsound.events import event_to_dict
from capsound.machine import Machine
from capsound.properties import Property
from capsound.scenario import ROOT, Assume, Ceiling, Window
from capsound.schedule import Trace
from capsound.verdict import Verdict
from capsound_checker.display.words import account_of, argue

if TYPE_CHECKING:
    from capsound_proofs.solve import Outcome, PropertyResult

FORMAT = "capsound.solve/1"
"""The name and the version of the JSON rendering."""


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON data. Times are left out, so that the same input gives the same bytes."""
    scenario = outcome.scenario
    data: dict[str, Any] = {
        "format": FORMAT,
        "scenario": scenario.name,
        "path": scenario.path,
        "unit": scenario.unit,
        "scale": 10**scenario.digits,
        "discipline": scenario.discipline,
        "blocks": str(outcome.machine.discipline),
        "cap": str(scenario.cap),
        "assumes": assumed(scenario.assume),
        "verdict": outcome.verdict.value,
        "properties": [_result(outcome.machine, result) for result in outcome.results],
        "anomalies": list(outcome.anomalies),
        "flags": list(outcome.flags),
        "sentences": list(outcome.sentences),
        "largest_overshoot": None
        if outcome.worst is None
        else {
            "attained": outcome.worst.least,
            "at_most": outcome.worst.most,
            "exact": outcome.worst.exact,
        },
        "estimators": [
            {
                "call": answer.call,
                "a1_follows": answer.earned,
                "smallest_safe_margin": None if answer.margin is None else str(answer.margin),
                "why_no_margin": answer.margin_why,
                "smallest_safe_overhead": answer.overhead,
                "largest_bill_per_estimate": None if answer.shortfall is None else str(answer.shortfall),
                "breaking_request": None
                if answer.breaking is None
                else {
                    "bytes": answer.breaking.bytes,
                    "estimate": answer.breaking.estimate,
                    "bill": answer.breaking.bill,
                },
            }
            for answer in outcome.estimators
        ],
        "expected": not mismatches(outcome),
    }
    if outcome.machine.alone:
        data["ceilings"] = _ceilings(outcome)
    return data


def assumed(assume: Assume) -> list[str]:
    """Return the assumptions that are taken for granted, by name; A1 that has to follow from an estimator is none."""
    held = {"A1": assume.a1, "A2": assume.width is None, "A6": assume.a6, "A7": assume.a7}
    held |= {"A8": assume.a8, "A9": assume.a9, "A10": assume.a10}
    return [name for name, holds in held.items() if holds]


def _ceilings(outcome: Outcome) -> list[dict[str, Any]]:
    """Return each ceiling, the root first, and by how much the counterexample of the cap exceeds it."""
    scenario = outcome.scenario
    cap = next((result for result in outcome.results if result.property is Property.CAP), None)
    report = cap.report if cap is not None else None
    root = Ceiling(ROOT, "", scenario.cap, window=scenario.window)
    return [
        {
            "name": ceiling.name,
            "parent": ceiling.parent or None,
            "cap": str(ceiling.cap),
            "dimension": ceiling.dimension,
            "window": None if ceiling.window is None else ceiling.window.written,
            "in_flight": None if ceiling.window is None else "kept" if ceiling.window.keeps else "forgotten",
            **(_sliding(ceiling.window) if ceiling.window is not None and ceiling.window.slides else {}),
            "over": None if report is None else report.overshoot.get(AccountId(ceiling.name), 0),
        }
        for ceiling in (root, *scenario.ceilings)
    ]


def _sliding(window: Window) -> dict[str, Any]:
    """Return what is said of a window that slides only."""
    return {"forgets": window.forgets, "buckets": window.buckets}


def _result(machine: Machine, result: PropertyResult) -> dict[str, Any]:
    data: dict[str, Any] = {
        "property": result.property.value,
        "verdict": result.verdict.value,
        "bound": result.bound,
        "method": result.method,
    }
    if result.invariant:
        data["invariant"] = list(result.invariant)
    if result.trace is not None and result.report is not None:
        argument = argue(machine, result.trace, result.report, result.property)
        data |= {
            "token": result.trace.schedule.token,
            **steps_of(result.trace),
            "findings": [
                {
                    "anomaly": f.anomaly,
                    "rule": f.rule,
                    "event": f.step,
                    "sentence": machine.scenario.in_unit(f.sentence, account_of(f)),
                    "numbers": f.numbers,
                }
                for f in result.report.findings
            ],
            "argument": argument.lines(),
            "refuted": argument.refuted,
            "also_not": list(argument.also_not),
        }
    return data


def steps_of(trace: Trace) -> dict[str, Any]:
    """Return the events before the first step of a run, and its steps."""
    return {
        "opening": [event_to_dict(event) for event in trace.opening],
        "steps": [
            {
                "step": number,
                "actor": step.actor,
                "action": step.action,
                "events": [event_to_dict(event) for event in step.events],
                **({"at": trace.moments[number - 1]} if trace.moments else {}),
            }
            for number, step in enumerate(trace.steps, start=1)
        ],
    }


def mismatches(outcome: Outcome) -> list[str]:
    """Return how an outcome differs from what its scenario expects; nothing when it is as expected."""
    expect = outcome.scenario.expect
    out: list[str] = []
    if expect.verdict is not None and outcome.verdict is not expect.verdict:
        out.append(f"verdict {outcome.verdict.value}, expected {expect.verdict.value}")
    found = {result.property: result.verdict for result in outcome.results}
    for prop, wanted in expect.properties.items():
        got = found.get(Property(prop))
        if got is not Verdict(wanted):
            out.append(f"{prop} {got.value if got else 'not asked'}, expected {wanted}")
    out += [f"no {name}" for name in expect.anomalies if name not in outcome.anomalies]
    out += [f"not {flag}" for flag in expect.flags if flag not in outcome.flags]
    if expect.overshoot is not None:
        worst = outcome.worst.least if outcome.worst is not None else 0
        if worst != expect.overshoot:
            told = outcome.scenario.told
            out.append(f"overshoot {told(worst)}, expected {told(expect.overshoot)}")
    if expect.steps is not None:
        lengths = [len(r.trace.schedule.choices) for r in outcome.results if r.trace is not None]
        if expect.steps not in lengths:
            out.append(f"counterexamples of {lengths or 'no'} steps, expected {expect.steps}")
    if expect.margin is not None and expect.margin not in [a.margin for a in outcome.estimators]:
        out.append(f"smallest safe margin {[str(a.margin) for a in outcome.estimators]}, expected {expect.margin}")
    if expect.overhead is not None and expect.overhead not in [a.overhead for a in outcome.estimators]:
        out.append(f"smallest safe overhead {[a.overhead for a in outcome.estimators]}, expected {expect.overhead}")
    return out
