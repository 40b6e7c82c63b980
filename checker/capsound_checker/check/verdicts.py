"""Renderings of a check: text, JSON, JUnit, annotations; each is a function of ``Checked``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from capsound.adapter import ASSUMABLE
from capsound.guarantees import LADDER, Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.evidence import in_words
from capsound_checker.check.results import Checked, Shown
from capsound_checker.display.itf import events_to_itf
from capsound_checker.display.printing import clean, printable
from capsound_checker.intake.limits import cut
from capsound_checker.programs.program import call
from capsound_checker.programs.timing import event_in

STYLE = {Verdict.SOUND: "bold green", Verdict.VIOLATED: "bold red", Verdict.UNKNOWN: "bold yellow"}


def rungs(checked: Checked) -> list[tuple[Guarantee, str, str]]:
    """Return each guarantee, how it stands with it (``results.STATES``), and why: what was tried, where it is kept."""
    return [(rung.guarantee, checked.state(rung.guarantee), checked.why(rung.guarantee)) for rung in LADDER[1:]]


def render(console: Console, checked: Checked, *, verbose: bool = False) -> None:
    """Print everything that a check found out."""
    adapter, plan = checked.adapter, checked.plan
    claims = f" · claims {', '.join(adapter['claims'])}" if adapter["claims"] else ""
    console.print(f"[bold]{escape(printable(plan.target))}[/]")
    gate = escape(printable(f"gate {adapter['gate']} · offers {', '.join(adapter['offers'])}{claims}"))
    console.print(f"[dim]{gate}[/]")
    console.print()
    for guarantee, state, why in rungs(checked):
        mark = _MARKS.get(state, "dim")
        line = f"  {guarantee.label:16} [{mark}]{state:11}[/] [dim]{escape(printable(why))}[/]"
        console.print(line.rstrip(), soft_wrap=True)
    proper, misuse = ([s for s in checked.faults if s.misuse is wanted] for wanted in (False, True))
    excused = [s for s in checked.shown if not checked.counts(s)]
    for head, group in (
        ("found", proper),
        ("only when misused: reused or copied handles, invalid amounts", misuse),
        (f"only if an assumption fails ({', '.join(sorted(checked.assumes))})", excused),
    ):
        if group:
            console.print()
            console.print(f"  [bold]{head}[/]")
            for shown in group:
                steps = f"{len(shown.program)} steps" if shown.program else "a schedule"
                console.print(f"  {escape(shown.anomaly)} ({steps}): {escape(printable(shown.sentence))}")
    if proper and misuse and checked.strongest_under(_once(checked)) != checked.strongest:
        kept = checked.strongest_under(_once(checked))
        console.print(f"\n  If every handle is used only once, the strongest guarantee is {kept.label}.")
    if excused:
        console.print()
        for name, kept in strongest_without(checked).items():
            console.print(f"  If {name} fails ({ASSUMABLE[name]}), the strongest guarantee is {kept.label}.")
    if checked.precision.calls:
        console.print("\n  [bold]precision[/]")
        for line in checked.precision.lines:
            console.print(f"  {escape(line)}", soft_wrap=True)
    told = [*checked.faults, *excused]
    for shown in told if verbose else told[:1]:
        _story(console, checked, shown)
    console.print()
    for note in checked.notes:
        console.print(f"  [dim]{escape(printable(note))}[/]")
    for doubt in checked.doubted:  # what was not tried stands in the table above
        console.print(f"  [yellow]{escape(printable(doubt.text))}[/]")
    if checked.verdict is Verdict.SOUND:
        console.print(f"  [dim]not varied: {', '.join(checked.unvaried)}[/]", soft_wrap=True)
    console.print(f"[{STYLE[checked.verdict]}]{checked.verdict.value}[/]{escape(_outcome(checked))}")


_MARKS = {"kept": "green", "refuted": "red", "not tried": "yellow", "unknown": "yellow"}


def _once(checked: Checked) -> frozenset[str]:
    return checked.assumes | {"affine"}


def strongest_without(checked: Checked) -> dict[str, Guarantee]:
    """Return for each thing that the implementation assumes which guarantee is left where that alone fails."""
    return {name: checked.strongest_under(checked.assumes - {name}) for name in sorted(checked.assumes)}


def _outcome(checked: Checked) -> str:
    """Return what the verdict rests on, in one line."""
    programs = sum(checked.programs.values())
    schedules = sum(checked.schedules.values())
    parts = [f"{programs:,} programs", f"{checked.operations:,} operations"]
    if schedules:
        parts.append(f"{schedules:,} schedules")
    done = f"{', '.join(parts)}, seed {checked.plan.seed}, {checked.seconds:.1f} s"
    if checked.verdict is Verdict.VIOLATED:
        alone = " only when misused" if all(shown.misuse for shown in checked.faults) else ""
        return f"{alone}: strongest guarantee {checked.strongest.label} · {done}"
    if checked.verdict is Verdict.UNKNOWN:
        return f": strongest guarantee {checked.strongest.label} · {done}"
    under = f" under {', '.join(sorted(checked.assumes))}" if checked.assumes else ""
    return f": nothing found{under}; this is not a proof · {done}"


def _story(console: Console, checked: Checked, shown: Shown) -> None:
    console.print()
    for line in shown.story.splitlines():
        style = "red" if line.lstrip().startswith("**") else "none"
        console.print(f"  {escape(printable(line))}", style=style, soft_wrap=True)
    if shown.token:
        target = shlex.quote(checked.plan.target)
        other = checked.plan.python or ("python" if shown.elsewhere else "")
        python = f"--python {shlex.quote(other)} " if other else ""
        if checked.plan.environment and not shown.elsewhere:
            python = f"--environment {shlex.quote(checked.plan.environment)} "
        console.print(f"  replay: capsound replay {python}{target} {shown.token}", style="dim", soft_wrap=True)
    elif shown.recorded:
        told = "a recording cannot be run again: save it with --save FOLDER, and capsound replay judges it again"
        console.print(f"  {told}", style="dim", soft_wrap=True)


# ----------------------------------------------------------------------------------------------- machines


def data(checked: Checked) -> dict[str, Any]:
    """Return a check as JSON data, without anything that depends on the time."""
    return {
        "format": "capsound.check/1",
        "target": checked.plan.target,
        "adapter": {k: v for k, v in checked.adapter.items() if k not in ("say", "interruptible", "copies")},
        "verdict": checked.verdict.value,
        "strongest": checked.strongest.label,
        "strongest_if_used_once": checked.strongest_under(_once(checked)).label,
        "strongest_without": {name: kept.label for name, kept in strongest_without(checked).items()},
        "required": checked.plan.require.label,
        "guarantees": [
            {"name": g.label, "state": state, "why": why, "evidence": checked.tried(g)}
            for g, state, why in rungs(checked)
        ],
        "evidence": {rung.guarantee.label: in_words(checked.tried(rung.guarantee)) for rung in LADDER[1:]},
        "not_varied": list(checked.unvaried),
        "found": [
            {
                "anomaly": s.anomaly,
                "sentence": s.sentence,
                "misuse": s.misuse,
                "without": sorted(s.without),
                "counts": checked.counts(s),
                "refutes": s.refutes.label if s.refutes is not None else None,
                "program": [call(step) for step in s.program],
                "story": s.story.splitlines(),
                "token": s.token,
                "at": s.at,
                "events": list(s.events),
            }
            for s in checked.shown
        ],
        "precision": asdict(checked.precision),
        "doubts": list(checked.doubts),
        "notes": list(checked.notes),
        "exercise": dict(checked.exercise),
        "programs": dict(checked.programs),
        "operations": checked.operations,
        "schedules": dict(checked.schedules),
        "seed": checked.plan.seed,
    }


def saved(checked: Checked) -> dict[str, dict[str, Any]]:
    """Return a document for each finding, by the name of its file: `capsound replay TARGET FILE` runs it again."""
    out: dict[str, dict[str, Any]] = {}
    for told, shown in zip(data(checked)["found"], checked.shown, strict=True):
        name = "-".join([*shown.anomaly.split(), *([shown.driver] if shown.driver else [])])
        if f"{name}.json" in out:  # the same anomaly, in a run that refutes more
            name = f"{name}-{told['refutes']}" if f"{name}-{told['refutes']}.json" not in out else f"{name}-{len(out)}"
        out[f"{name}.json"] = {
            "format": "capsound.saved/1",
            "target": checked.plan.target,
            "seed": checked.plan.seed,
            **told,
            **({"history": list(shown.recorded)} if shown.recorded else {}),
        }
    return out


def itf(checked: Checked) -> dict[str, Any] | None:
    """Return the first finding as an ITF trace; None where none was judged as events."""
    shown = next((s for s in [*checked.faults, *checked.shown] if s.events), None)
    if shown is None:
        return None
    events = [event_in(event) for event in shown.events]
    return events_to_itf(events, description=f"{shown.anomaly}: {shown.sentence}", source=checked.plan.target)


def junit(checked: Checked) -> str:
    """Return a check as JUnit XML: one test case for each guarantee, one for misuse, one for the verdict.

    What is required fails, and nothing else: a guarantee above ``--require`` is skipped, whatever is known of it. One
    bug is one failure: guarantees that fall with a weaker one are skipped, and named in its failure. A guarantee that
    is required and not known to be kept is an error, and so is a verdict that is unknown: neither is ever green.
    """
    from xml.sax.saxutils import escape as xml
    from xml.sax.saxutils import quoteattr

    cases: list[str] = []
    counts = {"failure": 0, "skipped": 0, "error": 0}
    suite = quoteattr(printable(f"capsound check {checked.plan.target}"))

    def case(name: str, kind: str = "", message: str = "", text: str = "") -> None:
        body = ""
        if kind:
            counts[kind] += 1
            body = f"<{kind} message={quoteattr(printable(message))}"
            body += f">{xml(clean(text))}</{kind}>" if text else "/>"
        cases.append(f'  <testcase classname={suite} name="{name}">{body}</testcase>')

    for guarantee, state, why in rungs(checked):
        case(guarantee.label, *_case(checked, guarantee, state, why))
    _misuse_and_verdict(checked, counts, case)
    told = (
        f'tests="{len(cases)}" failures="{counts["failure"]}" skipped="{counts["skipped"]}" errors="{counts["error"]}"'
    )
    head = f"<testsuite name={suite} {told}>"
    return "\n".join(['<?xml version="1.0" encoding="utf-8"?>', head, *cases, "</testsuite>", ""])


def _case(checked: Checked, guarantee: Guarantee, state: str, why: str) -> tuple[str, str, str]:
    """Return how a guarantee ends as a test: the kind of its element, if any, its message and its text."""
    required = guarantee <= checked.plan.require
    if state == "kept":
        return "", "", ""
    if state == "refuted":
        if not required:
            return "skipped", f"refuted {why}, but not required", ""
        fallen = [g.label for g, other, _ in rungs(checked) if other == "refuted"]
        if guarantee.label != fallen[0]:
            return "skipped", f"refuted {why}, with {fallen[0]}: see there", ""
        shown = next((s for s in checked.faults if s.refutes is not None and s.refutes <= guarantee), None)
        also = f"With it fall: {', '.join(fallen[1:])}.\n\n" if fallen[1:] else ""
        told = f"{shown.anomaly}: {shown.sentence}" if shown is not None else why or state
        return "failure", told, also + (shown.story if shown is not None else "")
    if state in ("unknown", "not tried"):
        return ("error", f"{state}: {why}", "") if required else ("skipped", f"{state}, and not required: {why}", "")
    return "skipped", why or state, ""


def _misuse_and_verdict(checked: Checked, counts: dict[str, int], case: Callable[..., None]) -> None:
    misuse = [s for s in checked.faults if s.misuse]
    kept = checked.exit_status == Verdict.SOUND.exit_status  # what is required
    if misuse:
        told = f"{misuse[0].anomaly}: {misuse[0].sentence}"
        also = sorted({s.anomaly for s in misuse[1:]})
        text = (f"Misuse also shows: {', '.join(also)}.\n\n" if also else "") + misuse[0].story
        case(
            "misuse", "skipped" if kept else "failure", f"{told} (not required)" if kept else told, "" if kept else text
        )
    else:
        case("misuse")
    if kept:
        case("verdict")
    elif checked.exit_status == Verdict.UNKNOWN.exit_status:
        case("verdict", "error", "; ".join(checked.doubts) or "what is required was not tried")
    elif not counts["failure"]:  # what is wrong refutes no guarantee
        first = checked.faults[0]
        case("verdict", "failure", f"{first.anomaly}: {first.sentence}", first.story)
    else:
        case("verdict")


def annotation(checked: Checked) -> str:
    """Return the verdict as a workflow annotation of GitHub; empty where nothing is wrong."""
    if checked.verdict is Verdict.SOUND:
        return ""
    place = checked.plan.target.rpartition(":")[0]
    file = f"file={_escaped(printable(place), ',:')}," if place.endswith(".py") else ""
    level = "error" if checked.verdict is Verdict.VIOLATED else "warning"
    first = checked.faults[0] if checked.faults else None
    told = f"{first.anomaly}: {first.sentence}" if first is not None else "; ".join(checked.doubts)
    text = f"{checked.verdict.value}, strongest guarantee {checked.strongest.label}. {cut(told, 1_000)}"
    return f"::{level} {file}title=capsound check::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    """Return a text as a workflow command takes it; ``more`` are the signs that end a property."""
    return "".join(f"%{ord(sign):02X}" if sign in f"%\r\n{more}" else sign for sign in text)
