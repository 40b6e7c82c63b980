"""What is known of a log after ``capsound audit``: data first, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capsound.guarantees import LADDER, Guarantee
from capsound.monitor import Exercise
from capsound.properties import MEANING, Property
from capsound.verdict import Verdict
from capsound_checker.audit.doubts import Warned
from capsound_checker.audit.spent import Spent
from capsound_checker.audit.units import PICO_USD, amount, sentence
from capsound_checker.display.printing import printable

if TYPE_CHECKING:
    from rich.console import Console

    from capsound_checker.audit.ceilings import Capped
    from capsound_checker.audit.series import Curves

UNCAPPED = 10**40
"""The cap of accounts that have none of their own: no sum of bills comes near it."""

FORMAT = "capsound.audit/1"
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


@dataclass(frozen=True, slots=True)
class Shown:
    """One finding, by the line that shows it."""

    line: int
    anomaly: str
    rule: str
    sentence: str
    event: Mapping[str, object]
    numbers: Mapping[str, int | str]

    def told(self, unit: str) -> str:
        """Return the sentence with its amounts as people write them; ``numbers`` has them exactly."""
        return sentence(self.sentence, self.numbers.values(), unit)


@dataclass(frozen=True, slots=True)
class Root:
    """What became of one root: amounts of its unit, with everything delegated from it."""

    name: str
    cap: int
    billed: int
    """What is known to be billed: the lower end of the true bill."""
    at_most: int | None
    """The upper end: with the calls whose bill is not known. None where nothing bounds them."""
    unknown_calls: int
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
    spent: Spent = Spent()
    curves: Curves | None = None
    """What was billed over time, where a plot was asked for."""
    capped: tuple[Capped, ...] = ()
    """What became of the caps of a file."""
    excerpt: Mapping[str, Any] | None = None
    """The events around what is wrong (``capsound_checker.audit.excerpt``), where a page was asked for."""

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
                    "sentence": f.told(self.unit),
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
                    "cap": None if r.cap == UNCAPPED else r.cap,
                    "billed": r.billed,
                    "billed_at_most": r.at_most,
                    "unknown_calls": r.unknown_calls,
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
            "caps": [one.data(self.unit) for one in self.capped],
            "spent": self.spent.data(self.unit),
            "bills": self.bills,
            "assumed": list(self.assumed),
            "notes": list(self.notes),
            "warnings": [
                {"name": w.name, "count": w.count, "line": w.line, "sentence": w.sentence} for w in self.warnings
            ],
            **({} if self.excerpt is None else {"excerpt": dict(self.excerpt)}),
        }


# ----------------------------------------------------------------------------------------------- for people


def _render(console: Console, audit: Audit) -> None:
    from rich.markup import escape

    from capsound_checker.display.render import STYLE

    def say(text: str, style: str = "none") -> None:
        console.print(escape(printable(text)), style=style, soft_wrap=True)

    verdict = audit.verdict
    label = verdict.value.upper() if verdict is Verdict.VIOLATED else verdict.value
    reason = escape(printable(_reason(audit)))
    console.print(f"[{STYLE[verdict]}]{label}[/]  {escape(printable(audit.name))}: {reason}", soft_wrap=True)
    for doubt in audit.doubts[1:]:
        say(f"  {doubt}")
    if audit.refuted is None and not any(one.verdict is Verdict.VIOLATED for one in audit.capped):
        say("  this log refutes no guarantee; other runs may")
    elif audit.refuted is None:
        say("  it is not told which guarantee that rules out: the caps of a file are compared with sums of bills")
    else:
        rung = next(r for r in LADDER if r.guarantee is audit.refuted)
        kept = audit.strongest.label
        say(f"  rules out: {rung.guarantee.label} ({rung.holds_when}); strongest guarantee left: {kept}")
    for line in audit.assumed:
        say(f"  {line}")
    if audit.findings:
        console.print()
        width = len(f"{audit.findings[-1].line:,}")
        for f in audit.findings:
            say(f"  line {f.line:>{width},}  {f.anomaly}: {f.told(audit.unit)}")
        shown = len(audit.findings)
        if sum(audit.counts.values()) > shown:
            say(f"  in total: {', '.join(f'{count:,} {name}' for name, count in audit.counts.items())}")
    console.print()
    for root in audit.roots:
        say(f"  {_root(root, audit.unit)}")
    if audit.root_count > len(audit.roots):
        more = audit.root_count - len(audit.roots)
        say(f"  and {more:,} more roots; {audit.overshot_roots:,} of all {audit.root_count:,} are over their cap")
    for one in audit.capped:
        say(f"  {one.sentence(audit.unit)}")
    for line in audit.spent.lines(audit.unit):
        say(f"  {line}")
    say(f"  {_exercised(audit)}", "dim")
    for note in audit.notes:
        say(f"  {note}", "dim")
    for warned in audit.warnings:
        say(f"  warning: {warned.sentence}", "yellow")
    ignored = f", {_many(audit.ignored, 'record')} ignored" if audit.ignored else ""
    stopped = "interrupted after " if audit.interrupted else ""
    say(f"{verdict.value} · {stopped}{_many(audit.events, 'event')} in {_many(audit.lines, 'line')}{ignored}")


def _reason(audit: Audit) -> str:
    if audit.verdict is Verdict.UNKNOWN:
        return audit.doubts[0]
    if audit.verdict is Verdict.SOUND:
        return "no cap was exceeded, and the books are right"
    broken = [p for p in Property if p in JUDGED and audit.verdicts.get(p) is Verdict.VIOLATED]
    exceeded = [one for one in audit.capped if one.verdict is Verdict.VIOLATED]
    if exceeded and not broken and audit.refuted is None:
        also = f" ({len(exceeded)} of {len(audit.capped)} caps are exceeded)" if len(audit.capped) > 1 else ""
        return f"{exceeded[0].told(audit.unit)}{also}"
    if Property.CAP in broken:
        return _overshot(audit, Property.OVERRUN in broken)
    if not broken:
        return f"this log rules out the guarantee {audit.refuted.label if audit.refuted is not None else ''}"
    also = f" (also {', '.join(p.value for p in broken[1:])})" if broken[1:] else ""
    return f"broken: {broken[0].value}, which means that {MEANING[broken[0]]}{also}"


def _overshot(audit: Audit, unexplained: bool) -> str:
    """Return by how much the cap was exceeded most, and whether bills above their holds explain it."""
    worst = audit.roots[0]
    where = "" if audit.root_count == 1 else f" on {worst.name}"
    billed, cap, over = (amount(n, audit.unit) for n in (worst.billed, worst.cap, worst.overshoot))
    said = f"billed {billed} of a cap of {cap}{where} ({over} over)"
    if unexplained:
        return f"{said}; no late or underestimated bill explains it"
    return f"{said}; bills above their holds explain {amount(min(worst.deficits, worst.overshoot), audit.unit)} of it"


def _root(root: Root, unit: str) -> str:
    def shown(number: int) -> str:
        return amount(number, unit)

    most = "" if root.at_most == root.billed else " or more" if root.at_most is None else f" to {shown(root.at_most)}"
    calls = f" ({root.unknown_calls:,} without a known bill)" if root.unknown_calls else ""
    over = f", {shown(root.overshoot)} over the cap" if root.overshoot else ""
    holds = f", held {shown(root.held)}" if root.held else ""
    explained = f", {shown(root.deficits)} of it by bills above their holds" if over and root.deficits else ""
    billed = f"billed {shown(root.billed)}{most}{calls}"
    named = "" if unit == PICO_USD else f" {unit}"
    if root.cap == UNCAPPED:
        return f"{root.name}: {billed}{named}, spent {shown(root.spent)}{holds}"
    return f"{root.name}: cap {shown(root.cap)}{named}, {billed}, spent {shown(root.spent)}{holds}{over}{explained}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


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
            (e.faults, "fault" if e.faults == 1 else "faults"),
            (audit.slice_count, "slice" if audit.slice_count == 1 else "slices"),
        )
        if count
    ]
    parts += [
        what
        for flag, what in (
            (e.overlapped, "calls overlapped"),
            (e.overran, "some bills were above their holds"),
            (e.misreported, "settled costs differ from the bills"),
        )
        if flag
    ]
    return f"seen: {', '.join(parts) or 'no calls, only costs'}"
