"""From a ``--json`` document to the runs that it holds: one maker for each format."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from capsound.accounts import Account, Hold, HoldState, State
from capsound.amounts import AccountId, CallId, HoldId
from capsound.anomalies import ANOMALIES
from capsound_checker.page.runs import Bar, Pane, Run, Step, Told, actor_of, one_by_one, pane_of
from capsound_checker.page.words import Tell, teller

_MARK = re.compile(r"\.[0-9a-f]{8}(?=$| )")
"""What keeps the names of requests with equal texts apart (``capsound_checker.wire.labels``)."""


def runs_of(document: Any, path: str = "") -> list[Run]:
    """Return the runs in a document that a command prints; ``path`` is what the command was given."""
    documents: Sequence[Mapping[str, Any]] = document if isinstance(document, list) else [document]
    out: list[Run] = []
    for one in documents:
        make = _MAKERS.get(str(one.get("format", "")).partition("/")[0])
        out += [] if make is None else make(one, path)
    return out


def _replayed(document: Mapping[str, Any], path: str) -> Iterator[Run]:
    findings = document.get("findings") or [
        {"anomaly": f["anomaly"], "event": f["at"], "sentence": f["sentence"]} for f in document.get("found", ())
    ]
    tell = teller(str(document.get("unit", "")), int(document.get("scale", 1)))
    verdict = str(document["verdict"])
    told = _steps(document) if "steps" in document else one_by_one(document["events"])
    pane = pane_of(told, findings, verdict=verdict, tell=tell)
    yield Run(
        f"Replay of {path}" if path else "Replay",
        verdict,
        _hence(verdict, findings),
        (pane,),
        tuple(f"{f['anomaly']}: {f['sentence']}" for f in findings),
        _command("capsound replay", path, str(document.get("token", ""))),
        anomalies=_names(findings),
        unit=str(document.get("unit", "")),
        cure=_usual(_names(findings)),
        rests="one run, judged by the monitor: other runs may show more",
    )


def _hence(verdict: str, findings: Sequence[Mapping[str, Any]]) -> str:
    """Return what a run comes to; one that breaks no promise may still have been admitted too freely."""
    if not findings:
        return "nothing is wrong with this run"
    last = str(findings[-1]["sentence"])
    return last if verdict == "violated" else f"no promise is broken in this run so far, but: {last}"


def _solved(document: Mapping[str, Any], _path: str) -> Iterator[Run]:
    unit = str(document.get("unit", ""))
    tell = teller(unit, int(document.get("scale", 1)))
    for result in document.get("properties", ()):
        if "steps" not in result:
            continue
        findings = result["findings"]
        panes = [
            pane_of(
                _steps(result),
                findings,
                title=str(document.get("discipline", "")),
                note=str(document.get("blocks", "")),
                tell=tell,
            )
        ]
        twin = result.get("twin")
        if twin is not None:
            verdict, note = str(twin["verdict"]), f"{twin['blocks']} · {twin['bound']}"
            panes.append(
                pane_of(_steps(twin), (), title=str(twin["discipline"]), verdict=verdict, note=note, tell=tell)
            )
        yield Run(
            f"{document.get('scenario', '')}: {result['property']}",
            str(result["verdict"]),
            str(findings[-1]["sentence"]) if findings else str(result["bound"]),
            tuple(panes),
            tuple(result["argument"]),
            _command("capsound replay", str(document.get("path", "")), str(result["token"])),
            _rests(document, result),
            _most(document, result, tell, unit),
            _names(findings),
            f"the discipline {twin['discipline']}, {twin['blocks']}, keeps it: {twin['bound']}"
            if twin is not None
            else _usual(_names(findings)),
            unit,
        )


def _most(document: Mapping[str, Any], result: Mapping[str, Any], tell: Tell, unit: str) -> str:
    """Return by how much the cap can be exceeded, in the unit of the file."""
    worst = document.get("largest_overshoot")
    if worst is None or result["property"] != "cap":
        return ""
    cap = document.get("cap", "")
    of = f"the cap of {tell(int(cap))} {unit}" if cap.isdigit() else "the cap"
    least, most = worst["attained"], worst["at_most"]
    if worst["exact"]:
        return f"{of} can be exceeded by {tell(least)} {unit}, and by no more"
    return f"{of} can be exceeded by {tell(least)} {unit}" + (f" or more, up to {tell(most)}" if most else " or more")


def _rests(document: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return what a counterexample rests on: whether it needs bills above their holds, and how it was found."""
    under = "A1" in document.get("assumes", ())
    needs = (
        "it happens although no bill exceeds its hold (A1)"
        if under
        else "A1 is not taken for granted: bills may exceed their holds"
    )
    return "; ".join([needs, *(str(result[key]) for key in ("bound", "method") if result.get(key))])


def _usual(anomalies: Sequence[str]) -> str:
    """Return what usually removes the last of some anomalies that has a cure."""
    return next((ANOMALIES[name].cure for name in reversed(anomalies) if name in ANOMALIES), "")


def _steps(told: Mapping[str, Any]) -> Iterator[Told]:
    if told.get("opening"):
        yield 0, "", "", told["opening"]
    for step in told["steps"]:
        yield step["step"], step["actor"], step["action"], step["events"]


def _checked(document: Mapping[str, Any], _path: str) -> Iterator[Run]:
    target = str(document["target"])
    for found in sorted(document["found"], key=lambda one: (one["misuse"], not one["counts"], one["refutes"] is None)):
        events = found.get("events", ())
        finding = {"anomaly": found["anomaly"], "event": found.get("at", 0), "sentence": found["sentence"]}
        told = "only when misused: " if found["misuse"] else "" if found["counts"] else "only if an assumption fails: "
        yield Run(
            f"{target}: {found['anomaly']}",
            "violated",
            f"{told}{found['sentence']}",
            (pane_of(one_by_one(events), (finding,), note=_claims(document)),) if events else (),
            () if events else tuple(found["story"]),
            _command("capsound replay", target, str(found["token"])),
            _needs(found),
            anomalies=(str(found["anomaly"]),),
            cure=_usual((str(found["anomaly"]),)),
        )


def _needs(found: Mapping[str, Any]) -> str:
    """Return what a finding of ``check`` needs, and what it refutes."""
    needs = [f"{name} fails" for name in found["without"] if name != "affine"]
    needs += ["a handle is reused or copied, or an invalid amount is given"] if found["misuse"] else []
    told = f"it needs that {' and '.join(needs)}" if needs else "it happens although no bill exceeds its hold (A1)"
    return told + (f"; it refutes the guarantee {found['refutes']}" if found["refutes"] else "")


def _claims(document: Mapping[str, Any]) -> str:
    return f"gate {document['adapter'].get('gate', '')}"


def _wired(document: Mapping[str, Any], _path: str) -> Iterator[Run]:
    unit = str(document["cap"]["unit"])
    tell = teller(unit)
    command = shlex.join(document["command"])
    for found in document["found"]:
        over = f"{tell(found['billed'])} billed of a cap of {document['cap']['text']}"
        hence = f"{over}: {tell(found['overshoot'])} over" if found["overshoot"] else over
        late = set(found["after_cap"])
        name = str(found["cause"] or "overshoot")
        needs = (
            "it needs bills above what requests permit (A1 fails)"
            if found["refutes"] == "overrun-bounded"
            else "it happens although no request is billed more than it permits (A1)"
        )
        findings = list(_wire_findings(found, int(document["cap"]["amount"]), late, name, hence))
        yield Run(
            f"{command}: {name}",
            "violated",
            hence,
            (pane_of(one_by_one(_short(found["events"])), findings, note=f"cap {document['cap']['text']}", tell=tell),),
            tuple(found["timeline"]),
            _command("capsound replay", command, str(found["token"])),
            f"{needs}; it refutes the guarantee {found['refutes']}",
            f"the bills exceed the cap of {document['cap']['text']} by {tell(found['overshoot'])}"
            if found["overshoot"]
            else "",
            (name,),
            str(found["cure"]),
            "" if unit == "usd" else unit,
        )


def _short(events: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield events with the marks left out of the names of requests, where that keeps them apart."""
    names = {str(event[key]) for event in events for key in ("hold", "call") if key in event}
    short = {name: _MARK.sub("", name) for name in names}
    many = Counter(short.values())
    for event in events:
        yield {
            key: short[value] if key in ("hold", "call") and many[short[value]] == 1 else value
            for key, value in event.items()
        }


def _wire_findings(
    found: Mapping[str, Any], cap: int, late: set[str], name: str, hence: str
) -> Iterator[Mapping[str, Any]]:
    """Yield where a run on the wire goes wrong: the bill that crosses the cap, and what left after it was reached."""
    total, crossed = 0, False
    for number, event in enumerate(found["events"], start=1):
        if event["event"] == "bill":
            total += int(event["amount"])
            if total > cap and not crossed:
                crossed = True
                yield {"anomaly": name, "event": number, "sentence": hence}
        elif event["event"] == "send" and event["call"] in late:
            yield {"anomaly": name, "event": number, "sentence": "it left after the cap was reached"}


def _audited(document: Mapping[str, Any], _path: str) -> Iterator[Run]:
    excerpt = document.get("excerpt")
    if excerpt is None:
        return
    unit = str(document["unit"])
    tell = teller(unit)
    begin = _books(excerpt["before"])
    events = [line["event"] for line in excerpt["events"]]
    lines = [int(line["line"]) for line in excerpt["events"]]
    findings = [
        {**finding, "event": lines.index(finding["line"]) + 1}
        for finding in document["findings"]
        if finding["line"] in lines
    ]
    last = next((f for f in reversed(findings) if f["anomaly"] == "overshoot"), findings[-1] if findings else None)
    owners = {str(hold["id"]): str(hold["agent"] or hold["id"]) for hold in excerpt["before"]["holds"]}
    told = [
        (line, actor_of(event, owners), str(event["event"]), (event,))
        for line, event in zip(lines, events, strict=True)
    ]
    note = f"lines {lines[0]:,} to {lines[-1]:,}" if lines else ""
    if excerpt["left_out"]:
        note += f"; {excerpt['left_out']:,} earlier events on this root are left out"
    yield Run(
        f"{document['log']}: {excerpt['root']}",
        str(document["verdict"]),
        str(last["sentence"]) if last is not None else "",
        (replace(pane_of(told, findings, note=note, tell=tell, begin=begin), counted="line"),),
        tuple(f"line {f['line']:,}: {f['anomaly']}: {f['sentence']}" for f in document["findings"]),
        f"capsound audit {shlex.quote(str(document['log']))}",
        "; ".join(("one log: other runs may show more", *map(str, document["assumed"]))),
        _overshot(document, tell),
        _names(findings),
        _usual(_names(findings)),
        "" if unit == "pico-USD" else unit,
    )


def _overshot(document: Mapping[str, Any], tell: Tell) -> str:
    """Return by how much the worst root is over its cap."""
    worst = max(document["roots"], key=lambda root: int(root["overshoot"]), default=None)
    if worst is None or not worst["overshoot"]:
        return ""
    unit = "" if document["unit"] == "pico-USD" else f" {document['unit']}"
    return f"the root {worst['root']} is {tell(worst['overshoot'])}{unit} over its cap of {tell(worst['cap'])}"


def _books(told: Mapping[str, Any]) -> State:
    """Return the books that an excerpt begins with."""
    accounts = {AccountId(one["id"]): Account(**one) for one in told["accounts"]}
    holds = {HoldId(one["id"]): Hold(**{**one, "state": HoldState(one["state"])}) for one in told["holds"]}
    return State(accounts, holds, {CallId(call): HoldId(hold) for call, hold in told["calls"].items()})


def _history(document: Mapping[str, Any], path: str) -> Iterator[Run]:
    shown = document.get("shown", ())
    if not shown:
        return
    moments = sorted({t for op in shown for t in (op["called"], op["returned"]) if t is not None})
    place = {moment: number for number, moment in enumerate(moments)}
    wrong = ((str(document["anomaly"]), str(document["sentence"])),)
    bars = tuple(
        Bar(
            str(op["text"]),
            f"client {op['client']}",
            place[op["called"]],
            None if op["returned"] is None else place[op["returned"]],
            str(op["text"]),
            bool(op["unexplained"]),
        )
        for op in shown
    )
    steps = []
    for moment in moments:
        calls = [op for op in shown if op["called"] == moment]
        backs = [op for op in shown if op["returned"] == moment]
        says = [*(f"calls {_asked(op)}" for op in calls), *(f"{_asked(op)} returns: {_answer(op)}" for op in backs)]
        who = dict.fromkeys(f"client {op['client']}" for op in (*calls, *backs))
        found = wrong if any(op["unexplained"] for op in backs) else ()
        steps.append(Step(int(moment), ", ".join(who), "", "; ".join(says), found=found))
    note = "no fewer operations show it" if document["shortest"] else "fewer operations may show it"
    yield Run(
        f"History {path}".strip(),
        str(document["verdict"]),
        f"{document['anomaly']}: {document['sentence']}",
        (Pane("", str(document["verdict"]), note, tuple(steps), bars, counted="time"),),
        tuple(document["window"]),
        "",
        "one recorded run, with the times that its clients wrote down",
        anomalies=(str(document["anomaly"]),),
        cure=_usual((str(document["anomaly"]),)),
    )


def _asked(op: Mapping[str, Any]) -> str:
    return str(op["text"]).partition(" -> ")[0]


def _answer(op: Mapping[str, Any]) -> str:
    return str(op["text"]).partition(" -> ")[2]


def _names(findings: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(finding["anomaly"]) for finding in findings))


def _command(command: str, path: str, token: str) -> str:
    return f"{command} {shlex.quote(path)} {token}" if path and token else ""


_MAKERS = {
    "capsound.solve": _solved,
    "capsound.replay": _replayed,
    "capsound.check": _checked,
    "capsound.wire": _wired,
    "capsound.audit": _audited,
    "capsound.history": _history,
}
