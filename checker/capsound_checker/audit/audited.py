"""What is known of a log after ``capsound audit``: data first, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capsound.guarantees import LADDER, Guarantee
from capsound.monitor import Exercise
from capsound.properties import MEANING, Property
from capsound.verdict import Verdict
from capsound_checker.display.telling import printable

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = 1
"""The version of the JSON rendering."""

JUDGED = frozenset(
    {
        Property.CAP,
        Property.SLICE,
        Property.OVERRUN,
        Property.TRUTH,
        Property.CONSERVATION,
        Property.HANDLES,
        Property.PROGRESS,
    }
)
"""What decides the verdict beside a refuted guarantee: precision and admission alone break no promise."""

WARNED = {
    "truncated": "the line ends in the middle, as after a crash: it was left out",
    "clock": "time goes back",
    "no-time": "`at` is no time: a number or an ISO 8601 text was expected",
    "seq-gap": "`seq` jumps ahead: lines are missing",
    "seq-order": "`seq` repeats or goes back",
    "no-seq": "`seq` is no whole number",
    "unknown-handle": "the event names a hold or a call that is not known any more",
    "late": "the record is older than the window of the mapping: it was taken out of order",
    "skipped": "the line was left out",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding, by the line that shows it."""

    line: int
    anomaly: str
    rule: str
    sentence: str
    event: Mapping[str, object]
    numbers: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something about the log itself: how often, and where first. ``detail`` is about the first one."""

    name: str
    count: int
    line: int
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The warning in words."""
        often = "once" if self.count == 1 else f"{self.count:,} times"
        first = "in" if self.count == 1 else "first in"
        tail = f": {self.detail}" if self.detail else ""
        return f"{WARNED[self.name]} ({often}, {first} line {self.line:,}{tail})"


@dataclass(frozen=True, slots=True)
class Root:
    """What became of one root: amounts of its unit, with everything delegated from it."""

    name: str
    cap: int
    billed: int
    spent: int
    held: int
    overshoot: int
    deficits: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of a log: data first, ``text`` and ``data`` are renderings."""

    name: str
    lines: int
    events: int
    ignored: int
    verdict: Verdict
    doubts: tuple[str, ...]
    """Why the verdict is unknown."""
    verdicts: Mapping[Property, Verdict]
    refuted: Guarantee | None
    findings: tuple[Shown, ...]
    """The first of each anomaly, in order of lines."""
    counts: Mapping[str, int]
    """How often each anomaly was found, in order of first appearance."""
    exercise: Exercise
    roots: tuple[Root, ...]
    root_count: int
    slice_count: int
    open_holds: int
    overshot_roots: int
    bills: str
    assumed: tuple[str, ...]
    warnings: tuple[Warned, ...]
    notes: tuple[str, ...] = ()
    unit: str = "units"
    interrupted: bool = False

    @property
    def exit_status(self) -> int:
        """0 sound, 1 violated, 2 unknown."""
        return self.verdict.exit_status

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that this log does not refute."""
        return Guarantee.OVERRUN_BOUNDED if self.refuted is None else Guarantee(self.refuted - 1)

    def text(self, colour: bool = False) -> str:
        """Return the report for people: the verdict first."""
        from capsound_checker.display.terminal import rendered

        return rendered(lambda console: _render(console, self), colour)

    def data(self) -> dict[str, Any]:
        """Return everything as JSON data."""
        exercise = self.exercise
        return {
            "format": FORMAT,
            "log": self.name,
            "lines": self.lines,
            "events": self.events,
            "ignored": self.ignored,
            "interrupted": self.interrupted,
            "verdict": self.verdict.value,
            "doubts": list(self.doubts),
            "properties": {prop.value: verdict.value for prop, verdict in self.verdicts.items()},
            "strongest": self.strongest.label,
            "refuted": None if self.refuted is None else self.refuted.label,
            "anomalies": dict(self.counts),
            "findings": [
                {
                    "line": f.line,
                    "anomaly": f.anomaly,
                    "rule": f.rule,
                    "sentence": f.sentence,
                    "event": dict(f.event),
                    "numbers": dict(f.numbers),
                }
                for f in self.findings
            ],
            "exercised": {
                "admitted": exercise.admitted,
                "refused": exercise.refused,
                "sent": exercise.sent,
                "settled": exercise.settled,
                "faults": exercise.faults,
                "delegated": exercise.delegated,
                "overlapped": exercise.overlapped,
                "approached": exercise.approached,
                "overran": exercise.overran,
                "misreported": exercise.misreported,
            },
            "unit": self.unit,
            "roots": [
                {
                    "root": r.name,
                    "cap": r.cap,
                    "billed": r.billed,
                    "spent": r.spent,
                    "held": r.held,
                    "overshoot": r.overshoot,
                    "deficits": r.deficits,
                }
                for r in self.roots
            ],
            "root_count": self.root_count,
            "slice_count": self.slice_count,
            "open_holds": self.open_holds,
            "bills": self.bills,
            "assumed": list(self.assumed),
            "notes": list(self.notes),
            "warnings": [
                {"name": w.name, "count": w.count, "line": w.line, "sentence": w.sentence} for w in self.warnings
            ],
        }


# ----------------------------------------------------------------------------------------------- for people


def _render(console: Console, audit: Audit) -> None:
    from rich.markup import escape

    from capsound_checker.display.render import STYLE

    def say(text: str, style: str = "none") -> None:
        console.print(escape(printable(text)), style=style, soft_wrap=True)

    verdict = audit.verdict
    label = verdict.value.upper() if verdict is Verdict.VIOLATED else verdict.value
    console.print(f"[{STYLE[verdict]}]{label}[/]  {escape(printable(audit.name))}: {_reason(audit)}", soft_wrap=True)
    for doubt in audit.doubts[1:]:
        say(f"  {doubt}")
    if audit.refuted is None:
        say("  no guarantee is refuted by this log, which says nothing of other runs")
    else:
        rung = next(r for r in LADDER if r.guarantee is audit.refuted)
        kept = audit.strongest.label
        say(f"  strongest guarantee that this log leaves: {kept} (not {rung.guarantee.label}: {rung.holds_when})")
    for line in audit.assumed:
        say(f"  {line}")
    if audit.findings:
        console.print()
        width = len(f"{audit.findings[-1].line:,}")
        for f in audit.findings:
            say(f"  line {f.line:>{width},}  {f.anomaly}: {f.sentence}")
        shown = len(audit.findings)
        if sum(audit.counts.values()) > shown:
            say(f"  in all: {', '.join(f'{name} {count:,}' for name, count in audit.counts.items())}")
    console.print()
    for root in audit.roots:
        say(f"  {_root(root, audit.unit)}")
    if audit.root_count > len(audit.roots):
        more = audit.root_count - len(audit.roots)
        say(f"  and {more:,} more roots; {audit.overshot_roots:,} of all {audit.root_count:,} are overshot")
    say(f"  {_exercised(audit)}", "dim")
    for note in audit.notes:
        say(f"  {note}", "dim")
    for warned in audit.warnings:
        say(f"  warning: {warned.sentence}", "yellow")
    ignored = f", {audit.ignored:,} records ignored" if audit.ignored else ""
    stopped = "interrupted after " if audit.interrupted else ""
    say(f"{verdict.value} · {stopped}{audit.events:,} events in {audit.lines:,} lines{ignored}")


def _reason(audit: Audit) -> str:
    from rich.markup import escape

    if audit.verdict is Verdict.UNKNOWN:
        return escape(printable(audit.doubts[0]))
    if audit.verdict is Verdict.SOUND:
        return "in this log no true bill exceeded its cap, and the books are right"
    broken = [p for p in Property if p in JUDGED and audit.verdicts.get(p) is Verdict.VIOLATED]
    if not broken:
        return f"the guarantee {audit.refuted.label if audit.refuted is not None else ''} is refuted"
    return "; ".join(f"not {p.value}: {MEANING[p]}" for p in broken[:1]) + (
        f" (nor {', '.join(p.value for p in broken[1:])})" if broken[1:] else ""
    )


def _root(root: Root, unit: str) -> str:
    over = f", overshot by {root.overshoot:,}" if root.overshoot else ""
    holds = f", held {root.held:,}" if root.held else ""
    explained = f", of which bills above their holds explain {root.deficits:,}" if over and root.deficits else ""
    return f"{root.name}: cap {root.cap:,} {unit}, billed {root.billed:,}, spent {root.spent:,}{holds}{over}{explained}"


def _exercised(audit: Audit) -> str:
    e = audit.exercise
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (e.admitted, "admitted"),
            (e.refused, "refused"),
            (e.sent, "sent"),
            (e.settled, "settled"),
            (audit.open_holds, "never resolved"),
            (e.faults, "faults"),
            (audit.slice_count, "slices"),
        )
        if count
    ]
    parts += [
        what
        for flag, what in (
            (e.overlapped, "calls overlapped"),
            (e.overran, "bills above their holds"),
            (e.misreported, "costs told that were not billed"),
        )
        if flag
    ]
    return f"exercised: {', '.join(parts) or 'nothing'}"
