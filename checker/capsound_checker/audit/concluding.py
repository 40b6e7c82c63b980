"""What is known of a log once it was read: the verdict, and everything that it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from capsound.amounts import AccountId
from capsound.monitor import Exercise
from capsound.verdict import Verdict
from capsound_checker.audit.audited import JUDGED, UNCAPPED, Audit, Root
from capsound_checker.audit.bounds import Ends

if TYPE_CHECKING:
    from capsound_checker.audit.auditing import Auditor
    from capsound_checker.audit.ceilings import Capped

_ROOTS = 10
"""How many roots are listed, those that were overshot most first."""
_TOLD = "no bills in the log: the {count:,} amounts that were settled or recorded count as billed (A7)"
_TOLD_ONCE = "no bills in the log: the one amount that was settled or recorded counts as billed (A7)"
_LOST = "{count:,} {calls} no known bill: each counts as between 0 and its hold (A1)"


def concluded(judge: Auditor) -> Audit:
    """Return what is known of a log that was read."""
    monitor = judge.monitor
    report = monitor.report()
    judge.notes.line = judge.records.lines
    judge.notes.found(f for f in report.findings if f.anomaly == "stranded")
    ends = judge.bounds.ends(judge.bills != "logged", report.exercise.overran)
    accounts = [e.account for e in ends]
    roots = sorted(_roots(judge, ends), key=lambda r: -r.overshoot)
    broken = report.refuted is not None or any(report.verdicts[p] is Verdict.VIOLATED for p in JUDGED)
    capped = judge.spending.capped(sum(end.calls for end in ends if end.account.parent is None))
    broken = broken or any(one.verdict is Verdict.VIOLATED for one in capped)
    doubts = _doubts(judge, report.exercise, ends, capped)
    verdict = Verdict.VIOLATED if broken else Verdict.UNKNOWN if doubts else Verdict.SOUND
    return Audit(
        name=judge.name,
        lines=judge.records.lines,
        events=judge.events,
        ignored=judge.ignored,
        verdict=verdict,
        doubts=() if broken else tuple(doubts),
        verdicts={p: Verdict.UNKNOWN if doubts and v is Verdict.SOUND else v for p, v in report.verdicts.items()},
        refuted=report.refuted,
        findings=tuple(sorted(judge.notes.findings, key=lambda f: f.line)),
        counts=dict(judge.notes.counts),
        exercise=replace(report.exercise, overlapped=monitor.overlapped),
        roots=tuple(roots[:_ROOTS]),
        root_count=len(roots),
        slice_count=len(accounts) - len(roots),
        open_holds=sum(a.holds for a in accounts),
        overshot_roots=sum(r.overshoot > 0 for r in roots),
        bills="settled" if judge.assumed else "logged" if judge.bills == "logged" else "none",
        assumed=tuple(_assumed(judge, ends)),
        warnings=tuple(sorted(judge.notes.warned.values(), key=lambda w: (w.line, w.name))),
        notes=(*judge.said, *(judge.mapping.notes if judge.mapping is not None else ())),
        unit=judge.unit,
        interrupted=judge.interrupted,
        spent=judge.spending.spent(),
        curves=judge.spending.curves,
        capped=capped,
    )


def _roots(judge: Auditor, ends: Iterable[Ends]) -> Iterator[Root]:
    spent: dict[AccountId, int] = {}
    held: dict[AccountId, int] = {}
    for a in judge.monitor.accounts():
        spent[a.root] = spent.get(a.root, 0) + a.spent
        held[a.root] = held.get(a.root, 0) + a.held
    for end in ends:
        a = end.account
        if a.parent is None:
            yield Root(a.id, a.granted, end.low, end.high, end.calls, spent[a.id], held[a.id], a.peak, a.windows)


def _doubts(judge: Auditor, exercise: Exercise, ends: list[Ends], capped: tuple[Capped, ...]) -> list[str]:
    doubts = [end.doubt(judge.unit) for end in ends if not end.fits and end.account.granted != UNCAPPED]
    if len(doubts) > _ROOTS:
        doubts = [*doubts[:_ROOTS], f"and so for {len(doubts) - _ROOTS:,} more accounts"]
    if not exercise.admitted:
        doubts.append("no call was admitted: the log says nothing of how calls are admitted")
    elif not any(end.account.spent or end.low for end in ends):
        doubts.append("nothing was spent: the log exercises nothing")
    elif not (exercise.informative or any(one.in_play for one in capped)):
        doubts.append("the cap never came into play: no call was refused, and less than half of it was used")
    doubts += [one.told(judge.unit) for one in capped if one.verdict is Verdict.UNKNOWN]
    return doubts + judge.notes.doubts


def _assumed(judge: Auditor, ends: Iterable[Ends]) -> Iterator[str]:
    if judge.assumed:
        yield _TOLD.format(count=judge.assumed) if judge.assumed > 1 else _TOLD_ONCE
    calls = sum(end.calls for end in ends if end.account.parent is None and end.high is not None)
    if calls:
        yield _LOST.format(count=calls, calls="call has" if calls == 1 else "calls have")
    if judge.mapping is not None:
        yield from judge.mapping.assumed
    if judge.resent and "A10" in judge.assume:
        counted = "1 call counts" if judge.resent == 1 else f"{judge.resent:,} calls count"
        yield f"{counted} once although nobody tells whether the request was sent again (A10)"
