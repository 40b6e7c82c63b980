"""Documents as commands print them, as far as a page shows them; each also with every name at its worst."""

from __future__ import annotations

from typing import Any

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\x1b]0;owned\x07\x1b[31m\u202e@@STYLE@@]]>-->"
)

RACE: list[dict[str, Any]] = [
    {"event": "open", "root": "team", "cap": 60},
    {"event": "reserve", "account": "team", "hold": "R1", "amount": 31, "agent": "a"},
    {"event": "send", "hold": "R1", "call": "C1"},
    {"event": "bill", "call": "C1", "amount": 23},
    {"event": "reserve", "account": "team", "hold": "R2", "amount": 31, "agent": "b"},
    {"event": "send", "hold": "R2", "call": "C2"},
    {"event": "bill", "call": "C2", "amount": 46},
    {"event": "settle", "hold": "R1", "amount": 23},
    {"event": "observe", "account": "team", "spent": 23, "remaining": 37},
]
OVER = "team was billed 69 of a cap of 60: 9 over"


def replayed(events: list[dict[str, Any]], sentence: str = OVER, name: str = "overshoot") -> dict[str, Any]:
    """Return a document as ``replay`` prints it."""
    return {
        "format": "capsound.replay/1",
        "unit": "units",
        "scale": 1,
        "verdict": "violated",
        "token": "cs1:x",
        "events": events,
        "findings": [{"anomaly": name, "event": 7, "sentence": sentence, "numbers": {}}],
        "verdicts": {"cap": "violated"},
        "refuted": "concurrent",
    }


def checked(events: list[dict[str, Any]], text: str = "") -> dict[str, Any]:
    """Return a document as ``check`` prints it, as far as a page shows it, with ``text`` in every name."""
    return {
        "format": "capsound.check/1",
        "target": f"my.py:Budget{text}",
        "adapter": {"gate": "reserve"},
        "verdict": "violated",
        "strongest": "sequential",
        "required": "overrun-bounded",
        "guarantees": [
            {"name": "stops", "state": "kept", "why": f"9 programs{text}"},
            {"name": "sequential", "state": "kept", "why": ""},
            {"name": "concurrent", "state": "refuted", "why": "by overshoot"},
        ],
        "found": [
            {
                "anomaly": f"overshoot{text}",
                "sentence": f"{OVER}{text}",
                "misuse": False,
                "counts": True,
                "without": [],
                "refutes": "concurrent",
                "story": [f"[1] open{text}"],
                "token": "ck1:x",
                "at": 7,
                "events": events,
            },
            {
                "anomaly": "minted",
                "sentence": "a race of threads",
                "misuse": True,
                "counts": True,
                "without": ["affine"],
                "refutes": None,
                "story": [f"thread 1: settle{text}", "thread 2: settle"],
                "token": "",
                "at": 0,
                "events": [],
            },
        ],
        "doubts": [],
    }


def wired(events: list[dict[str, Any]], text: str = "") -> dict[str, Any]:
    """Return a document as ``wire`` prints it, as far as a page shows it."""
    found = {
        "refutes": "concurrent",
        "cause": f"check-then-act{text}",
        "meaning": "counted late",
        "cure": f"reserve first{text}",
        "billed": 69,
        "overshoot": 9,
        "after_cap": [f"C2{text}"],
        "token": "cw1:x",
        "timeline": [f"→ one{text}", "← one answered"],
        "events": events,
    }
    return {
        "format": "capsound.wire/1",
        "command": ["python", f"app.py{text}"],
        "cap": {"amount": 60, "unit": "tokens", "text": "60 tokens"},
        "verdict": "violated",
        "guarantees": [{"name": "concurrent", "state": "refuted", "why": f"69 tokens{text}"}],
        "found": [found],
        "doubts": [],
    }


def audited(events: list[dict[str, Any]], text: str = "") -> dict[str, Any]:
    """Return a document as ``audit`` prints it, with an excerpt that begins in the middle of a log."""
    account = {"id": f"team{text}", "root": f"team{text}", "parent": None, "granted": 60, "available": 50, "held": 0}
    account |= {
        "charged": 10,
        "forfeited": 0,
        "delegated": 0,
        "returned": 0,
        "billed": 10,
        "closed": False,
        "leaked": 0,
    }
    hold = {"id": f"R0{text}", "account": f"team{text}", "amount": 0, "state": "held", "agent": None, "billed": 0}
    rest = [event for event in events if event["event"] != "open"]
    root = {"root": f"team{text}", "cap": 60, "billed": 79, "billed_at_most": None, "spent": 33, "overshoot": 19}
    return {
        "format": "capsound.audit/1",
        "log": f"day.jsonl{text}",
        "unit": "units",
        "verdict": "violated",
        "doubts": [],
        "assumed": [],
        "roots": [root],
        "caps": [],
        "findings": [{"line": 107, "anomaly": "overshoot", "sentence": f"{OVER}{text}"}],
        "excerpt": {
            "root": f"team{text}",
            "before": {"accounts": [account], "holds": [hold], "calls": {}},
            "events": [{"line": 102 + n, "event": event} for n, event in enumerate(rest)],
            "left_out": 101,
        },
    }


def history(text: str = "") -> dict[str, Any]:
    """Return a document as ``history`` prints it; ``text`` is in every name that a history has."""
    shown = [
        {"client": 1, "text": f"reserve(a0, 5) -> h1{text}", "called": 3, "returned": 8, "unexplained": False},
        {"client": 2, "text": f"reserve(a0, 5) -> h2{text}", "called": 4, "returned": 9, "unexplained": True},
        {"client": 3, "text": "spent(a0) -> pending", "called": 5, "returned": None, "unexplained": False},
    ]
    counts = dict.fromkeys(("operations", "clients", "roots", "admitted", "refused", "overlap"), 3)
    return {
        "format": "capsound.history/1",
        "verdict": "violated",
        "anomaly": "stale-admit",
        "sentence": f"reserve(a0, 5) -> h2{text}, although never more than 0 was available",
        "window": [f"   [3, 8] client 1: {shown[0]['text']}", f"** [4, 9] client 2: {shown[1]['text']}"],
        "shown": shown,
        "shortest": True,
        **counts,
    }


def solved(text: str = "", *, twin: bool = True) -> dict[str, Any]:
    """Return a document of ``solve`` with a counterexample of one step, and a sound twin beside it."""
    opening = [{"event": "open", "root": "root", "cap": 60}]
    steps = [{"step": 1, "actor": f"worker{text}", "action": "send", "events": [
        {"event": "reserve", "account": "root", "hold": f"R1{text}", "amount": 90, "agent": "w"},
        {"event": "send", "hold": f"R1{text}", "call": "C1"},
        {"event": "bill", "call": "C1", "amount": 90},
    ]}]  # fmt: skip
    idle = [{"step": 1, "actor": f"worker{text}", "action": "nothing left to do", "events": []}]
    cap = {
        "property": "cap",
        "verdict": "violated",
        "bound": "shortest",
        "method": "search",
        "token": "cs1:60/0",
        "opening": opening,
        "steps": steps,
        "findings": [{"anomaly": "overshoot", "rule": "R10", "event": 4, "sentence": f"root was billed 90{text}"}],
        "argument": [f"Let cap = 60{text}.", "- C1 is billed 90.", "Hence it is over."],
    }
    twin_run = {"discipline": f"sound{text}", "blocks": "[check, reserve] [send] [settle]", "verdict": "sound"}
    twin_run |= {"bound": "proved", "token": "cs1:60/0", "opening": opening, "steps": idle}
    return {
        "format": "capsound.solve/1",
        "scenario": f"mine{text}",
        "path": "my.toml",
        "unit": "USD",
        "scale": 100,
        "cap": "60",
        "assumes": ["A1"],
        "discipline": "counter",
        "blocks": "[check] [send]",
        "verdict": "violated",
        "properties": [
            {**cap, "twin": twin_run} if twin else cap,
            {"property": "truth", "verdict": "sound", "bound": "all"},
        ],
        "largest_overshoot": {"attained": 30, "at_most": 30, "exact": True},
    }


def hostile() -> list[dict[str, Any]]:
    """Return a run in which every name does its worst."""
    return [
        {
            key: value if key == "event" or isinstance(value, int) else f"{value}{HOSTILE}"
            for key, value in event.items()
        }
        for event in RACE
    ]


def calm_and_wild() -> dict[str, tuple[Any, Any]]:
    """Return a document of each command, and the same with every name at its worst."""
    wild = hostile()
    return {
        "replay": (replayed(RACE), replayed(wild, HOSTILE, f"overshoot{HOSTILE}")),
        "check": (checked(RACE), checked(wild, HOSTILE)),
        "wire": (wired(RACE), wired(wild, HOSTILE)),
        "audit": (audited(RACE), audited(wild, HOSTILE)),
        "history": (history(), history(HOSTILE)),
        "solve": ([solved()], [solved(HOSTILE)]),
    }


def long_run(count: int) -> list[dict[str, Any]]:
    """Return a run of so many calls."""
    events = RACE[:1]
    for number in range(count):
        call = {"hold": f"hold-{number}", "call": f"call-{number}"}
        events = [
            *events,
            {
                "event": "reserve",
                "account": "team",
                "hold": call["hold"],
                "amount": 31,
                "agent": f"worker-{number % 9}",
            },
            {"event": "send", **call},
            {"event": "bill", "call": call["call"], "amount": 23},
            {"event": "settle", "hold": call["hold"], "amount": 23},
        ]
    return events


DOCUMENTS = calm_and_wild()
