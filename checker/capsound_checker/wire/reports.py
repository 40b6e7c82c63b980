"""Files that a check of an application writes: its runs, to be run again, and JUnit XML."""

from __future__ import annotations

import shlex
from typing import Any
from xml.sax.saxutils import escape as xml
from xml.sax.saxutils import quoteattr

from capsound.guarantees import LADDER
from capsound.verdict import Verdict
from capsound_checker.display.printing import clean, printable
from capsound_checker.wire.causes import cause_of
from capsound_checker.wire.verdicts import Wired, data, timeline


def saved(wired: Wired) -> dict[str, dict[str, Any]]:
    """Return a document for each run that refutes something, by the name of its file; ``replay`` runs it again."""
    told = data(wired)
    head = {"format": "capsound.run/1", "command": told["command"], "cap": told["cap"], "seed": told["seed"]}
    return {f"{one['cause'] or 'run'}-{one['refutes']}.json": {**head, **one} for one in told["found"]}


def junit(wired: Wired) -> str:
    """Return a check as JUnit XML: one test case for each guarantee that can be seen, and one for the verdict.

    What is required fails, and nothing else; one fault is one failure: guarantees that fall with a weaker one are
    skipped. What is required and was not tried is an error, and so is a verdict that is unknown: neither is ever green.
    """
    suite = quoteattr(printable(f"capsound wire {shlex.join(wired.setting.command)}"))
    cases: list[str] = []
    counts = {"failure": 0, "error": 0, "skipped": 0}
    fallen = [rung.guarantee for rung in LADDER[1:] if wired.state(rung.guarantee)[0] == "refuted"]
    for rung in LADDER[1:]:
        state, why = wired.state(rung.guarantee)
        beyond = rung.guarantee > wired.setting.require
        kind = {"refuted": "failure", "kept": "", "not seen": "skipped"}.get(state, "error")
        told = f"{state}: {why}"
        if kind and beyond:
            kind, told = "skipped", f"{told} (not required)"
        elif kind == "failure" and rung.guarantee != fallen[0]:
            kind, told = "skipped", f"refuted, with {fallen[0].label}: see there"
        body = f"<{kind} message={quoteattr(printable(told))}/>" if kind else ""
        found = wired.searched.found.get(rung.guarantee)
        if kind == "failure" and found is not None:
            also = f"With it fall: {', '.join(one.label for one in fallen[1:])}.\n\n" if fallen[1:] else ""
            story = xml(clean(also + "\n".join(timeline(wired, found))))
            cause = cause_of(found)
            named = f"{cause.name}: {why}" if cause is not None else why
            body = f"<failure message={quoteattr(printable(named))}>{story}</failure>"
        if kind:
            counts[kind] += 1
        cases.append(f'  <testcase classname={suite} name="{rung.guarantee.label}">{body}</testcase>')
    body = ""
    if wired.verdict is Verdict.UNKNOWN:
        counts["error"] += 1
        body = f"<error message={quoteattr(printable('; '.join(wired.doubts) or 'unknown'))}/>"
    cases.append(f'  <testcase classname={suite} name="verdict">{body}</testcase>')
    head = (
        f'tests="{len(cases)}" failures="{counts["failure"]}" errors="{counts["error"]}" skipped="{counts["skipped"]}"'
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<testsuite name={suite} {head}>\n'
        + "\n".join(cases)
        + "\n</testsuite>\n"
    )
