"""The verdict on an application, and its renderings: each is a function of ``Wired``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from capsound.events import event_to_dict
from capsound.guarantees import LADDER, Guarantee
from capsound.verdict import Verdict
from capsound.windows import spent
from capsound_checker.display.printing import printable
from capsound_checker.intake.limits import cut
from capsound_checker.wire.causes import cause_of
from capsound_checker.wire.held import BLIND, ELSEWHERE, NOT_SERVED
from capsound_checker.wire.judge import Judged
from capsound_checker.wire.labels import MARK
from capsound_checker.wire.money import Cap
from capsound_checker.wire.schedule import FAULTS
from capsound_checker.wire.searching import Searched
from capsound_checker.wire.setting import Setting

STYLE = {Verdict.SOUND: "bold green", Verdict.VIOLATED: "bold red", Verdict.UNKNOWN: "bold yellow"}
_MARKS = {"kept": "green", "refuted": "red"}


@dataclass(frozen=True, slots=True)
class Wired:
    """What came of a check of an application."""

    setting: Setting
    searched: Searched

    @property
    def cap(self) -> Cap:
        """The cap."""
        return self.setting.cap

    @property
    def runs(self) -> list[Judged]:
        """Every run that was made."""
        return self.searched.runs

    def evidence(self, rung: Guarantee) -> list[Judged]:
        """Return the runs that could have refuted a guarantee, and did not."""
        near = [one for one in self.runs if one.approached and one.run.ended == "exit" and one.passed]
        able = [one for one in near if one.refuted is None]
        match rung:
            case Guarantee.STOPS:
                return [one for one in near if not one.after_cap]
            case Guarantee.SEQUENTIAL:
                return [one for one in able if not one.overlapped and not one.faults]
            case Guarantee.CONCURRENT:
                return [one for one in able if one.overlapped and not one.faults]
            case Guarantee.FAULT_TOLERANT:
                return [one for one in able if one.faults and "over" not in one.faults]
            case Guarantee.OVERRUN_BOUNDED:
                return [one for one in able if "over" in one.faults]
            case _:
                return []

    def state(self, rung: Guarantee) -> tuple[str, str]:
        """Return ``kept``, ``refuted``, ``not tried`` or ``not seen`` for a guarantee, and why."""
        weakest = self.searched.weakest
        if weakest is not None and weakest <= rung:
            return "refuted", self._why_refuted(rung)
        if rung is Guarantee.DELEGATED:
            return "not seen", "the wire shows requests, and no slices"
        if rung is Guarantee.OVERRUN_BOUNDED and not self.setting.overruns:
            return "not tried", "no request was billed above what it permits: --overruns does it"
        found = self.evidence(rung)
        if found and rung is Guarantee.FAULT_TOLERANT and self.searched.missing:
            return "not tried", f"nothing found, but more --runs are needed for {', '.join(self.searched.missing)}"
        if found:
            return "kept", self._why_kept(rung, found)
        if rung is Guarantee.SEQUENTIAL and self.evidence(Guarantee.CONCURRENT):
            return "kept", "its requests overlapped in every run: concurrent covers it"
        if not any(one.approached for one in self.runs):
            return "not tried", self._never_near()
        if not any(one.approached and one.passed for one in self.runs):
            return "not tried", f"no bill left the window ({self.setting.words}) in a run that came near the cap"
        if rung in (Guarantee.SEQUENTIAL, Guarantee.CONCURRENT) and self._always_leaves(rung):
            return "kept", "it left a request in every run: fault-tolerant covers it"
        if rung is Guarantee.CONCURRENT and not any(one.overlapped for one in self.runs):
            return "not tried", "its requests never overlapped: give it more to do at once, or --require sequential"
        return "not tried", "no run that came near the cap could have refuted it"

    def _always_leaves(self, rung: Guarantee) -> bool:
        """Whether a request was left in every run that came near the cap, and such runs, nothing else in them, kept it.

        For such an application there are no runs without faults: what it does by itself is all that could refute them.
        """
        near = [one for one in self.runs if one.approached and one.run.ended == "exit" and one.passed]
        alone = [one for one in near if one.faults == ("left",) and one.refuted is None]
        return (
            all("left" in one.faults for one in near)
            and any(one.overlapped or rung is Guarantee.SEQUENTIAL for one in alone)
            and self.state(Guarantee.FAULT_TOLERANT)[0] == "kept"
        )

    def _why_kept(self, rung: Guarantee, found: list[Judged]) -> str:
        most = max(one.billed for one in found)
        told = f"{len(found)} run{'s' * (len(found) != 1)}, up to {self.cap.unit.write(most)}"
        if rung is Guarantee.CONCURRENT:
            told += f", {max(one.in_flight for one in found)} requests in flight"
        if rung is Guarantee.FAULT_TOLERANT:
            acts = [act for act in (*FAULTS, "cancel", "left") if any(act in one.faults for one in found)]
            told += f": {', '.join(acts)}"
        return told

    def _why_refuted(self, rung: Guarantee) -> str:
        found = self.searched.found.get(rung)
        if found is None:
            return "a weaker guarantee is refuted"
        if found.refuted is Guarantee.STOPS:
            n = len(found.after_cap)
            return f"{n} request{'s' * (n != 1)} left after the told usage had reached the cap"
        return f"{self.cap.unit.write(found.billed)} billed of {self.cap}{_in(self.setting)}"

    def _never_near(self) -> str:
        if not any(did.what == "arrived" for one in self.runs for did in one.run.did):
            return f"no request to {', '.join(self.setting.models)} came" if self.setting.models else "no request came"
        most = max((one.billed for one in self.runs), default=0)
        return f"at most {self.cap.unit.write(most)} of {self.cap} was billed: give it more work, or a smaller --cap"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why nothing found would still not be ``sound``."""
        out: list[str] = []
        runs = self.runs
        models = sorted({model for one in runs for model in one.unpriced})
        if models:
            out.append(f"no price is known for {', '.join(map(cut, models))}: give --price MODEL=IN/OUT")
        out += sorted({doubt for one in runs for doubt in one.doubts})
        kinds: dict[str, tuple[int, str]] = {}
        for one in runs:
            for kind, (n, example) in one.run.strange.items():
                if kind != "other":
                    kinds[kind] = (kinds.get(kind, (0, example))[0] + n, kinds.get(kind, (0, example))[1])
        out += [f"{n} × {kind}: {example}" for kind, (n, example) in sorted(kinds.items())]
        for how, words in _ENDS.items():
            if n := sum(one.run.ended == how for one in runs):
                out.append(f"{n} of {len(runs)} runs {words}")
        if runs and not any(did.what == "arrived" for one in runs for did in one.run.did):
            out.append(self._never_near() if self.setting.models else _unheard(kinds))
        if self.searched.interrupted:
            out.append("interrupted")
        return tuple(out)

    @property
    def verdict(self) -> Verdict:
        """``violated`` where a guarantee that is required is refuted, ``sound`` where all of them are kept."""
        states = [self.state(rung.guarantee)[0] for rung in LADDER[1:] if rung.guarantee <= self.setting.require]
        if "refuted" in states:
            return Verdict.VIOLATED
        if "not tried" in states or self.doubts:
            return Verdict.UNKNOWN
        return Verdict.SOUND

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that is kept, with all below it that can be seen."""
        best = Guarantee.NONE
        for rung in LADDER[1:]:
            state, _ = self.state(rung.guarantee)
            if state == "kept":
                best = rung.guarantee
            elif state != "not seen":
                break
        return best


_ENDS = {
    "hung": "came to a stand: it did nothing, and nothing was asked of the provider",
    "busy": "computed on and on without asking anything, and were stopped (--patience)",
    "requests": "sent more requests than --requests, and were stopped",
    "stopped": "were stopped, since the time of --budget was over",
    "signal": "were ended by a signal",
}
_UNHEARD = "the application sent no request"


def _unheard(kinds: Mapping[str, object]) -> str:
    """Say that no request came, and what to do about it; ``kinds`` came instead."""
    if NOT_SERVED in kinds:
        return f"{_UNHEARD} that is served inside: run it as a command, capsound wire --cap ... -- python FILE"
    if kinds.keys() - {ELSEWHERE, BLIND}:
        return f"{_UNHEARD} that a model answers"
    return (
        f"{_UNHEARD}: its client may read its address elsewhere "
        "(set it with --env NAME, which is given http://127.0.0.1:PORT/v1)"
    )


# -------------------------------------------------------------------------------------------------- text


def render(console: Console, wired: Wired) -> None:
    """Print everything that was found out."""
    setting = wired.setting
    cap = f"{setting.name}: {wired.cap}" if setting.name else f"cap {wired.cap}"
    cap += f" of {', '.join(setting.models)}" if setting.models else ""
    cap += f", {setting.words}" if setting.words else ""
    console.print(f"[bold]{escape(printable(' '.join(setting.command)))}[/]  [dim]{escape(printable(cap))}[/]")
    console.print()
    for rung in LADDER[1:]:
        state, why = wired.state(rung.guarantee)
        mark = _MARKS.get(state, "yellow")
        line = f"  {rung.guarantee.label:16} [{mark}]{state:11}[/] [dim]{escape(printable(why))}[/]"
        console.print(line, soft_wrap=True)
    if (weakest := wired.searched.weakest) is not None:
        _story(console, wired, wired.searched.found[weakest], weakest)
    console.print()
    for doubt in wired.doubts:
        console.print(f"  [yellow]{escape(printable(doubt))}[/]", soft_wrap=True)
    for line in _last_words(wired):
        console.print(f"  [dim]{escape(printable(line))}[/]", soft_wrap=True)
    for what in wired.searched.explored:
        console.print(f"  explored: {escape(printable(what))}", soft_wrap=True)
    if wired.verdict is Verdict.SOUND and all(one.permitted <= wired.cap.amount for one in wired.runs):
        told = "the wire cannot see what it refused: make sure that it has more to do than its cap permits"
        console.print(f"  [dim]{told}[/]", soft_wrap=True)
    if wired.setting.replies and (most := max((one.run.unmatched for one in wired.runs), default=0)):
        console.print(f"  [dim]up to {most} requests of a run matched none of --replies, and got the default[/]")
    if unbounded := max((one.unbounded for one in wired.runs), default=0):
        told = (
            f"{unbounded} requests set no max_tokens: they were answered with {wired.setting.output} tokens (--output)"
        )
        console.print(f"  [dim]{told}[/]", soft_wrap=True)
    console.print(f"[{STYLE[wired.verdict]}]{wired.verdict.value}[/]{escape(_outcome(wired))}", soft_wrap=True)


def _in(setting: Setting) -> str:
    """Return that an amount is of one window, where the cap has one."""
    return " in one window" if setting.words else ""


def first_found(setting: Setting, judged: Judged) -> str:
    """Return in one line what the first run shows that breaks a cap, before it is shortened."""
    cause = cause_of(judged)
    what = f"{setting.cap.unit.write(judged.billed)} billed of {setting.cap}{_in(setting)}"
    return f"found: {what}{f' ({cause.name})' if cause is not None else ''}; looking for the shortest run"


def _last_words(wired: Wired) -> list[str]:
    """Return what the application printed last, where it failed although nothing went wrong for it."""
    plain = next((one.run for one in wired.runs if not one.faults and one.run.ended in ("exit", "signal")), None)
    if plain is None or (plain.ended == "exit" and plain.status == 0):
        return []
    how = f"with status {plain.status}" if plain.ended == "exit" else f"by signal {plain.status}"
    return [f"without any fault it ended {how}; it printed:", *(f"  {cut(line)}" for line in plain.printed[-5:])]


def _outcome(wired: Wired) -> str:
    runs = len(wired.runs)
    requests = sum(len(one.run.choices) for one in wired.runs)
    done = f"{runs} run{'s' * (runs != 1)}, {requests} request{'s' * (requests != 1)}, seed {wired.setting.seed}"
    if wired.verdict is Verdict.SOUND:
        if wired.searched.complete:
            return f": nothing found up to {wired.setting.require.label}, complete as far as explored · {done}"
        return f": nothing found up to {wired.setting.require.label}; this is not a proof · {done}"
    return f": strongest guarantee {wired.strongest.label} · {done}"


def _story(console: Console, wired: Wired, judged: Judged, rung: Guarantee) -> None:
    console.print()
    cause = cause_of(judged)
    unit = wired.cap.unit
    if judged.overshoot:
        over = unit.write(judged.overshoot)
        head = f"{unit.write(judged.billed)} billed{_in(wired.setting)} of a cap of {wired.cap}: {over} over"
    else:
        head = f"{len(judged.after_cap)} requests left after the cap was reached"
    if cause is not None:
        console.print(f"  [bold red]{escape(cause.name)}[/]: {escape(head)}", soft_wrap=True)
        console.print(f"  {escape(cause.meaning)}", soft_wrap=True)
    else:
        console.print(f"  {escape(head)}", soft_wrap=True)
    console.print()
    for line in timeline(wired, judged):
        console.print(f"  {escape(printable(line))}", soft_wrap=True)
    if cause is not None:
        console.print(f"  cure: {escape(cause.cure)}", soft_wrap=True)
    again = wired.searched.confirmed.get(rung)
    if again is False:
        console.print("  [yellow]the same schedule did not do it again: the application has a timing of its own[/]")
    token = wired.setting.token(judged.run.schedule)
    told = f"capsound replay {shlex.quote(shlex.join(wired.setting.command))} {token}"
    if wired.setting.models or wired.setting.words:  # no token keeps them
        return
    if wired.setting.traffic is not None:  # its headers may hold keys: no token keeps them
        told = f"the same command with --replay {token}"
    console.print(printable(f"  replay: {told}"), style="dim", soft_wrap=True)


def timeline(wired: Wired, judged: Judged) -> list[str]:
    """Return what happened in a run, a line for each request that came or ended, with the bills added up."""
    names = _names(judged)
    width = max(map(len, names.values()), default=0)
    late = {one.number for one in judged.after_cap}
    unit, cap = wired.cap.unit, wired.cap.amount
    out: list[str] = []
    bills: list[tuple[int, int]] = []
    due = ""
    for did in judged.run.did:
        name = f"{names.get(did.label, did.label):{width}}"
        match did.what:
            case "arrived":
                said = cut(did.asked.said, 60) if did.asked is not None else ""
                words = f"repeats {names.get(did.repeats, did.repeats)}" if did.repeats else said
                out.append(f"→ {name}  {words}{'  ← after the cap was reached' * (did.number in late)}")
            case "billed":
                amount = did.bill.amount if did.bill is not None else None
                bills.append((did.at, amount or 0))
                total = spent(wired.setting.window, bills, did.at)
                told = "an amount that is not known" if amount is None else unit.write(amount)
                due = f", billed {told}: {unit.write(total)} of {wired.cap}{'  ← over the cap' * (total > cap)}"
            case "begun":
                out.append(f"← {name}  the first part of a stream{due}")
                due = ""
            case "answered" | "stalled":
                out.append(f"← {name}  {_SHORT[did.act]}{due}")
                due = ""
            case "left":
                out.append(f"× {name}  given up by the application{due}")
                due = ""
            case "leaves":
                out.append(f"× {name}  its client leaves the gateway")
            case "refused":
                out.append(f"× {name}  gets nothing through the gateway: {did.act}")
            case "closed":
                out.append(f"× {name}  its connection is closed: it would have waited longer")
            case _:
                pass
    return out


def _names(judged: Judged) -> dict[str, str]:
    """Return short names of the requests: without the mark of the body where that leaves them apart."""
    labels = [did.label for did in judged.run.did if did.what == "arrived"]
    short = {label: MARK.sub("", label) for label in labels}
    return {label: name if list(short.values()).count(name) == 1 else label for label, name in short.items()}


_SHORT = {
    "answer": "answered",
    "most": "answered",
    "over": "answered, billed above what it permits",
    "low": "answered by one token",
    "cached": "answered, the input read from a cache",
    "no-usage": "answered without usage",
    "500": "error 500 after billing",
    "500-free": "error 500, not billed",
    "503": "error 503 after billing",
    "529": "error 529 after billing",
    "429": "error 429, not billed",
    "drop": "no answer, the connection closed after billing",
    "half": "half of the answer, the connection closed",
    "stall": "no answer",
}


# ---------------------------------------------------------------------------------------------- machines


def data(wired: Wired) -> dict[str, Any]:
    """Return a check of an application as JSON data, without anything that depends on the time."""
    return {
        "format": "capsound.wire/1",
        "command": list(wired.setting.command),
        "cap": {"amount": wired.cap.amount, "unit": wired.cap.unit.name, "text": str(wired.cap)},
        "verdict": wired.verdict.value,
        "strongest": wired.strongest.label,
        "required": wired.setting.require.label,
        "guarantees": [
            {"name": rung.guarantee.label, "state": state, "why": why}
            for rung in LADDER[1:]
            for state, why in (wired.state(rung.guarantee),)
        ],
        "found": [_found(wired, rung, judged) for rung, judged in sorted(wired.searched.found.items())],
        "doubts": list(wired.doubts),
        "explored": list(wired.searched.explored),
        "complete": wired.searched.complete,
        "runs": len(wired.runs),
        "requests": sum(len(one.run.choices) for one in wired.runs),
        "retries": sum(one.retries for one in wired.runs),
        "unmatched": max((one.run.unmatched for one in wired.runs), default=0) if wired.setting.replies else 0,
        "billed_at_most": max((one.billed for one in wired.runs), default=0),
        "seed": wired.setting.seed,
    }


def worst(several: Sequence[Wired]) -> Wired:
    """Return the one that decides of several caps: the first of the worst verdict."""
    order = (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.SOUND)
    return min(several, key=lambda one: order.index(one.verdict))


def data_of_several(several: Sequence[Wired]) -> dict[str, Any]:
    """Return a check of several caps as JSON data: that of the one that decides, and a summary of each."""
    decides = worst(several)
    caps = [
        {
            "name": one.setting.name,
            "cap": str(one.cap),
            "models": list(one.setting.models),
            "window": one.setting.words,
            "verdict": one.verdict.value,
            "strongest": one.strongest.label,
            "billed_at_most": max((run.billed for run in one.runs), default=0),
            "doubts": list(one.doubts),
        }
        for one in several
    ]
    return {**data(decides), "name": decides.setting.name, "caps": caps}


def _found(wired: Wired, rung: Guarantee, judged: Judged) -> dict[str, Any]:
    cause = cause_of(judged)
    return {
        "refutes": rung.label,
        "cause": cause.name if cause is not None else "",
        "meaning": cause.meaning if cause is not None else "",
        "cure": cause.cure if cause is not None else "",
        "billed": judged.billed,
        "overshoot": judged.overshoot,
        "after_cap": [did.label for did in judged.after_cap],
        "retries_billed": judged.retries_billed,
        "confirmed": wired.searched.confirmed.get(rung, False),
        "token": wired.setting.token(judged.run.schedule),
        "timeline": timeline(wired, judged),
        "events": [event_to_dict(event) for event in judged.events],
    }


def shown(wired: Wired) -> Judged | None:
    """Return the run that is shown: the one that refutes the weakest guarantee, else the one that was billed most."""
    found = wired.searched.found
    return found[min(found)] if found else max(wired.runs, key=lambda one: one.billed, default=None)


def log_of(judged: Judged) -> str:
    """Return the events of a run as ``capsound audit`` reads them, one a line."""
    return "".join(json.dumps(event_to_dict(event)) + "\n" for event in judged.events)
