"""What the code says in the book: every table of names is written from the catalogue that the code uses."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
import json
import os
import shutil
import sys
import tempfile
import unittest
from collections.abc import Iterator
from dataclasses import MISSING, fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from book import ROOT, blocks, fragment, table
from hypothesis import settings

from capsound.accounts import RULES
from capsound.adapter import HERE_OPERATIONS, OPERATIONS, Adapter, Gate
from capsound.anomalies import ANOMALIES, IMPLICATIONS, implied_by
from capsound.disciplines import DISCIPLINES, Retry
from capsound.events import EVENT_TYPES, event_from_dict
from capsound.explorer import Scope, explore
from capsound.glossary import TERMS
from capsound.guarantees import LADDER, Guarantee
from capsound.loading import MAX_FILE, MAX_ITEMS, MAX_NUMBER, MAX_OWN_SLICES, parse_scenario, scenario_schema
from capsound.machine import TOLD_APART, compile_scenario
from capsound.monitor import fold
from capsound.predicates import STATE_PROPERTIES
from capsound.properties import ASSUMPTIONS, MEANING, Property
from capsound.report import BY_CIRCUMSTANCE, Report
from capsound.steps import MOVE_ALL, STEPS
from capsound.wellformed import HOMES, PARTS
from capsound_checker.check.results import STATES
from capsound_checker.check.suites import Suite, suite
from capsound_checker.programs.machines import Violation
from capsound_checker.programs.program import FIELDS, GATES, NEEDS, PROFILES

# ----------------------------------------------------------------------------------------- the catalogues


@fragment
def write_events(page: Path, argument: str) -> str:
    rows = []
    for kind, cls in EVENT_TYPES.items():
        named = ", ".join(f.name if f.default is MISSING else f"{f.name}?" for f in fields(cls))
        rows.append((f"`{kind}({named})`", " ".join((cls.__doc__ or "").split()).replace("``", "`")))
    return table(("event", "meaning"), rows)


@fragment
def write_rules(page: Path, argument: str) -> str:
    return table(
        ("rule", "what a sound ledger obeys", "a breach is called"),
        [(r.id, r.says, f"[`{r.anomaly}`](anomalies/{r.anomaly}.md)") for r in RULES.values()],
    )


@fragment
def write_properties(page: Path, argument: str) -> str:
    asked = {*STATE_PROPERTIES, Property.HANDLES}
    rows = []
    for prop, meaning in MEANING.items():
        names = [a.name for a in ANOMALIES.values() if a.breaks is prop]
        evidence = ", ".join(f"[`{n}`](anomalies/{n}.md)" for n in names) or "-"
        rows.append((f"`{prop.value}`", meaning, "solve, monitor" if prop in asked else "monitor", evidence))
    return table(("property", "meaning", "judged by", "broken by"), rows)


@fragment
def write_states(page: Path, argument: str) -> str:
    return table(("state", "meaning"), [(f"*{state}*", meaning) for state, meaning in STATES.items()])


@fragment
def write_assumptions(page: Path, argument: str) -> str:
    return table(
        ("id", "statement", "when it is switched off"),
        [(f"`{a.name}`", a.statement, a.when_off) for a in ASSUMPTIONS.values()],
    )


@fragment
def write_guarantees(page: Path, argument: str) -> str:
    rows = []
    for rung in LADDER:
        ends = [a.name for a in ANOMALIES.values() if a.ends is rung.guarantee]
        names = ", ".join(f"[`{n}`](anomalies/{n}.md)" for n in ends) or "-"
        rows.append((f"`{rung.guarantee.label}`", rung.holds_when, rung.under, names))
    return table(("guarantee", "holds when", "under", "ended by"), rows)


@fragment
def write_steps(page: Path, argument: str) -> str:
    rows = []
    for step in STEPS.values():
        kind = "waits" if step.waits else "guard" if step.guard else "effect"
        homes = [set(HOMES[tag]) for tag in step.tags if tag in HOMES]
        where = [part for part in PARTS if all(part in home for home in homes)]
        rows.append((f"`{step.name}`", kind, step.says, ", ".join(where)))
    return table(("step", "kind", "meaning", "belongs in"), rows)


@fragment
def write_limits(page: Path, argument: str) -> str:
    return table(
        ("what", "at most"),
        [
            ("size of a file", f"{MAX_FILE:,} bytes"),
            ("a number", f"{MAX_NUMBER:,}"),
            ("entries of one array or table", f"{MAX_ITEMS:,}"),
            ("agents that take a slice of their own", f"{MAX_OWN_SLICES}"),
            ("agents of one group that a counterexample can tell apart", f"{TOLD_APART}"),
        ],
    )


# ------------------------------------------------------------------------------------------ the anomalies


@fragment
def write_anomalies(page: Path, argument: str) -> str:
    rows = []
    for a in ANOMALIES.values():
        ends = f"`{a.ends.label}`" if a.ends is not None else "-"
        ends = "depends" if a.name in BY_CIRCUMSTANCE else ends
        rows.append((f"[`{a.name}`]({a.name}.md)", a.meaning, f"`{a.breaks.value}`", ends))
    return table(("anomaly", "what was seen", "breaks", "rules out"), rows)


@fragment
def write_anomaly(page: Path, argument: str) -> str:
    a = ANOMALIES[argument]
    rules = [f"{r.id} ({r.says.rstrip('.')})" for r in RULES.values() if r.anomaly == argument]
    by = f"rule{'s' * (len(rules) > 1)} {', '.join(rules)}" if rules else "no rule of its own"
    ends = f"`{a.ends.label}` and every stronger guarantee" if a.ends is not None else "none by itself"
    if argument in BY_CIRCUMSTANCE:
        ends = "depends on [what the run needed](../guarantees.md)"
    rows = [
        ("property that it breaks", f"`{a.breaks.value}`: {MEANING[a.breaks]}"),
        ("guarantee that it rules out", ends),
        ("seen by", by),
        ("usual cure", a.cure),
    ]
    return f"{a.meaning[0].upper()}{a.meaning[1:]}.\n\n" + table(("", ""), rows)


@fragment
def write_implications(page: Path, argument: str) -> str:
    leads = [(effect, because) for cause, effect, because in IMPLICATIONS if cause == argument]
    comes = [(cause, because) for cause, effect, because in IMPLICATIONS if effect == argument]
    out = [f"* leads to [`{effect}`]({effect}.md): {because}" for effect, because in leads]
    further = [n for n in implied_by(argument) if n not in {effect for effect, _ in leads}]
    if further:
        out.append("* and so to " + ", ".join(f"[`{n}`]({n}.md)" for n in further))
    out += [f"* follows from [`{cause}`]({cause}.md): {because}" for cause, because in comes]
    return "".join(line + "\n" for line in out or ["* no other anomaly, and it follows from none"])


def run_of(text: str) -> Report:
    """Return what the monitor says of a block of events, one JSON object a line."""
    return fold(event_from_dict(json.loads(line)) for line in text.splitlines())


@fragment
def write_monitor(page: Path, argument: str) -> str:
    block = blocks(page, "json lines")[int(argument) - 1]
    findings = run_of(block.text).findings
    return "".join(
        f"* event {f.step}: {f.sentence} (`{f.anomaly}`{f', {f.rule}' if f.rule else ''})\n" for f in findings
    )


# -------------------------------------------------------------------------------------------- the glossary


@fragment
def write_glossary(page: Path, argument: str) -> str:
    out = []
    for term in TERMS.values():
        see = ", ".join(_linked(name) for name in term.see)
        out.append(f"## {term.name}\n\n{term.meaning}\n\n*Example:* {term.example}\n\nSee: {see}.\n")
    return "\n".join(out)


def _linked(name: str) -> str:
    """Return a name of ``Term.see`` with a link to where the book describes it."""
    pages = (
        (TERMS, f"#{name}"),
        (ANOMALIES, f"anomalies/{name}.md"),
        (ASSUMPTIONS, "assumptions.md"),
        (DISCIPLINES, f"disciplines.md#{name}"),
        ({rung.guarantee.label for rung in LADDER}, "guarantees.md"),
        ({prop.value for prop in MEANING}, "model.md#properties"),
    )
    return f"[{name}]({next(target for names, target in pages if name in names)})"


# ----------------------------------------------------------------------------------------- the disciplines


@fragment
def write_discipline(page: Path, argument: str) -> str:
    d = DISCIPLINES[argument]
    rows = [("a call", str(d))]
    rows += [
        (when, " ".join(f"[{', '.join(step.name for step in block)}]" for block in group))
        for when, group in (
            ("each further chunk", d.stream),
            ("a chunk is refused", [d.on_abort]),
            ("the call is refused", [d.on_refuse]),
            ("given up before it is sent", [d.before_send]),
            ("given up after it is sent", [d.after_send]),
            ("a slice is opened", [d.delegate]),
            ("a slice ends", [d.close]),
            ("a handle is passed on", [d.move]),
        )
        if any(group) and (when, group) != ("a handle is passed on", [(MOVE_ALL,)])
    ]
    if d.retry is not Retry.NEVER:
        rows.append(("the reply never comes", f"sent again, under the {d.retry.value}"))
    kept, broken = strength(d.name)
    first = f"; then broken: {broken}" if broken else ""
    return (
        f"{d.says[0].upper()}{d.says[1:]}.\n\n"
        + table(("when", "blocks"), [(when, f"`{what}`" if "[" in what else what) for when, what in rows])
        + f"\nKeeps: `{kept.label}`{first}.\n"
    )


@fragment
def write_ladder(page: Path, argument: str) -> str:
    rows = []
    for d in DISCIPLINES.values():
        kept, broken = strength(d.name)
        rows.append((f"[`{d.name}`](#{d.name})", f"`{d}`", f"`{kept.label}`", broken or "-"))
    return table(("discipline", "a call", "keeps", "what breaks next, and in how many steps"), rows)


TWO = "[[agents]]\nname = 'a'\ncount = 2\n"
ONE = "[[agents]]\nname = 'a'\ncalls = 2\n"
SLICE = "[[slices]]\nname = 's'\ngrant = 1\n"
FAULTS = ("cancel", "timeout", "crash")

# What is tried for each rung: scenarios of which every run is explored, and the properties that have to hold.
RUNGS: dict[Guarantee, tuple[list[tuple[str, bool]], list[Property]]] = {
    Guarantee.SEQUENTIAL: ([(ONE, True)], [Property.CAP]),
    Guarantee.CONCURRENT: ([(TWO, True), (TWO.replace("2", "3"), True)], [Property.CAP]),
    Guarantee.DELEGATED: (
        [
            (SLICE + "[[agents]]\nname = 'a'\n[[agents]]\nname = 'b'\naccount = 's'\n", True),
            (TWO + "slice = { min = 1, max = 2 }\n", True),
            ("[[agents]]\nprogram = ['delegate root 2 -> b', 'call b -> c', 'call b']\n", True),
        ],
        [Property.CAP, Property.SLICE],
    ),
    Guarantee.FAULT_TOLERANT: (
        [
            (agents + f"[faults]\n{fault} = 1\n", True)
            for agents, fault in product((TWO, SLICE + TWO + "account = 's'\n"), FAULTS)
        ],
        [Property.CAP, Property.SLICE, Property.PROGRESS],
    ),
    Guarantee.OVERRUN_BOUNDED: (
        [(ONE, False), (TWO, False), *((TWO + f"[faults]\n{fault} = 1\n", False) for fault in FAULTS)],
        [Property.OVERRUN, Property.TRUTH],
    ),
}


def tried(name: str, agents: str, *, a1: bool) -> str:
    """Return one of those scenarios for a discipline: cap 2, or 4 for streams, and amounts up to one more."""
    streams = DISCIPLINES[name].streams
    if streams:
        call = "[[calls]]\nchunk = 1\nchunks = 3\n" + ("" if a1 else "[assume]\nA9 = false\n")
    else:
        call = f"[[calls]]\nestimate = {{ min = 1, max = 2 }}\nbill = {{ max = {2 if a1 else 3} }}\n"
        call += "" if a1 else "[assume]\nA1 = false\n"
    return f"cap = {4 if streams else 2}\ndiscipline = '{name}'\n{agents}{call}"


@cache
def strength(name: str) -> tuple[Guarantee, str]:
    """Return the strongest guarantee that no run of the small scopes breaks, and what breaks the next one."""
    kept = Guarantee.STOPS
    for guarantee, (scenarios, properties) in RUNGS.items():
        shortest: dict[Property, int] = {}
        for agents, a1 in scenarios:
            scenario = parse_scenario(tried(name, agents, a1=a1), known_disciplines=DISCIPLINES)
            machine = compile_scenario(scenario)
            if machine.reuse is not None and machine.discipline.affine:
                continue  # rejected before it runs
            found = explore(machine, properties, Scope(states=60_000))
            assert found.complete
            assert not found.cut_amounts
            for prop, schedule in found.found.items():
                shortest[prop] = min(shortest.get(prop, 99), len(schedule.choices))
        if shortest:
            worst = ", ".join(f"`{p.value}` in {n}" for p, n in sorted(shortest.items(), key=lambda item: item[1]))
            return kept, f"{worst}, so not `{guarantee.label}`"
        kept = guarantee
    return kept, ""


# ---------------------------------------------------------------------------------------- the scenario keys


def resolved(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule of the schema with what it refers to."""
    schema = scenario_schema()
    if "$ref" in rule:
        target = schema["$defs"][rule["$ref"].rpartition("/")[2]]
        return {**target, **{key: value for key, value in rule.items() if key != "$ref"}}
    return rule


def rules_of(where: str) -> dict[str, Any]:
    """Return the keys of one table of the scenario language; ``top`` is the top of the file."""
    schema = scenario_schema()
    if where == "top":
        tables = {
            "slices",
            "ceilings",
            "agents",
            "calls",
            "estimator",
            "provider",
            "prices",
            "assume",
            "faults",
            "search",
        }
        return {key: rule for key, rule in schema["properties"].items() if key not in tables}
    inner = {
        "agents": "agents",
        "calls": "call",
        "slices": "slice",
        "ceilings": "ceiling",
        "expect": "expect",
        "discipline": "discipline",
    }.get(where)
    keys: dict[str, Any] = schema["$defs"][inner]["properties"] if inner else schema["properties"][where]["properties"]
    return keys


def value_of(rule: dict[str, Any]) -> str:
    """Return in a few words what a key may be."""
    reference = str(rule.get("$ref", "")).rpartition("/")[2]
    words = {"cap": "whole number or `any`", "expectation": "verdict or table", "count": "whole number or `any`"}
    words |= {
        "money": "amount",
        "admission": "name or table",
        "block": "list of steps",
        "share": "amount or `what is left`",
        "calls": "whole number or `up to 5`",
        "pricing": "amount or tiers",
    }
    words["resets"] = words["count"]
    if reference:
        return words.get(reference, reference)
    if "enum" in rule:
        return ", ".join(f"`{name}`" for name in rule["enum"])
    if "const" in rule:
        return f"`{rule['const']}`"
    return {
        "integer": "whole number",
        "boolean": "true or false",
        "string": "text",
        "array": "list",
        "object": "table",
    }[rule["type"]]


@fragment
def write_keys(page: Path, argument: str) -> str:
    rows = []
    for key, rule in rules_of(argument).items():
        default = "-" if rule.get("default") is None else json.dumps(rule["default"])
        rows.append((f"`{key}`", value_of(rule), default, resolved(rule)["description"]))
    return table(("key", "value", "default", "meaning"), rows)


# -------------------------------------------------------------------------- adapters, suites and the zoo

DESK = ROOT / "tests/docs/desk"
"""The small adapters that the pages show; pages find them at hand."""

ZOO = ROOT / "tests/quality/zoo"


@fragment
def write_operations(page: Path, argument: str) -> str:
    rows = []
    for name in HERE_OPERATIONS if argument == "here" else OPERATIONS:
        method = getattr(Adapter, name)
        taken = ", ".join(list(inspect.signature(method).parameters)[1:])
        rows.append((f"`{name}({taken})`", (method.__doc__ or "").partition("\n")[0].replace("``", "`")))
    return table(("operation", "meaning"), rows)


@fragment
def write_gates(page: Path, argument: str) -> str:
    def words(names: frozenset[str]) -> str:
        return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"

    rows = [(f"`{gate.value}`", words(admit), words(tell)) for gate, (admit, tell) in GATES.items()]
    return table(("gate", "admits a call by", "learns the cost by"), [*rows, (f"`{Gate.CALL}`", "`call`", "`call`")])


@fragment
def write_suite(page: Path, argument: str) -> str:
    rows = [(f"`{name}`", (method.__doc__ or "").rstrip(".")) for name, method in tests_of(Suite)]
    return table(("test", "what it does"), rows)


@fragment
def write_program_steps(page: Path, argument: str) -> str:
    rows = []
    for do, names in FIELDS.items():
        every = (*OPERATIONS, *HERE_OPERATIONS)
        needs = " and ".join(f"`{name}`" for name in every if name in NEEDS.get(do, ()))
        rows.append(
            (
                f"`{do}({', '.join(names)})`",
                needs or OTHER_NEEDS.get(do, "what the gate says"),
            )
        )
    return table(("step", "operations that it needs"), rows)


OTHER_NEEDS = {
    "bad": "any",
    "clone_hold": "`reserve`",
    "tick": "a window, `clock`, or a clock that can be moved",
    "bill": "a window or `clock`",
}
"""What a step needs beside operations."""


@fragment
def write_profiles(page: Path, argument: str) -> str:
    rows = []
    for p in PROFILES.values():
        kinds = ", ".join(f"`{do}` {weight}" for do, weight in p.weights.items())
        overlap, a1 = "yes" if p.overlap else "no", "on" if p.a1 else "off"
        rows.append((p.name, overlap, a1, str(p.roots), f"{p.misuse} of 64", kinds))
    return table(("profile", "calls overlap", "A1", "roots", "used-up handles", "steps, and how often"), rows)


def tests_of(cls: type) -> list[tuple[str, Any]]:
    """Return the tests of a suite, in the order in which they are written."""
    return [(name, method) for name, method in vars(cls).items() if name.startswith("test_")]


@contextlib.contextmanager
def at_hand(folder: Path) -> Iterator[None]:
    """Let the modules of a folder be imported, and forget them afterwards."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
                del sys.modules[name]


@contextlib.contextmanager
def no_chance() -> Iterator[None]:
    """Let Hypothesis draw the same examples each time, and few."""
    settings.register_profile("docs", derandomize=True, deadline=None, max_examples=30)
    settings.load_profile("docs")
    try:
        yield
    finally:
        settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def adapter_of(name: str) -> type[Adapter]:
    """Return the adapter of a module: the one that is written in it."""
    module = importlib.import_module(name)
    here = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Adapter)]
    return next(cls for cls in here if cls.__module__ == name)


@cache
def outcome(module: str, test: str) -> str:
    """Return how one test of a suite ends for an adapter of the desk."""
    with at_hand(DESK), no_chance(), contextlib.redirect_stdout(io.StringIO()):
        made = suite(adapter_of(module), programs=200)
        try:
            getattr(made(), test)()
        except unittest.SkipTest:
            return "skipped"
        except Violation as found:
            return f"failed: `{found.anomaly}`"
    return "passed"


@fragment
def write_results(page: Path, argument: str) -> str:
    modules = argument.split()
    rows = [(f"`{name}`", *(outcome(module, name) for module in modules)) for name, _ in tests_of(Suite)]
    return table(("test", *(f"`{module}`" for module in modules)), rows)


@fragment
def write_failure(page: Path, argument: str) -> str:
    """What a test of a suite says when it fails: ``MODULE TEST``, and ``short`` for what comes before the events."""
    module, test, *short = argument.split()
    with at_hand(DESK), no_chance(), contextlib.redirect_stdout(io.StringIO()):
        made = suite(adapter_of(module), programs=200)
        try:
            getattr(made(), test)()
        except Violation as found:
            said = str(found).partition("# what happens in it:")[0] if short else str(found)
            return f"```text\n{said.rstrip()}\n```\n"
    raise AssertionError(f"{module} passes {test}")


def zoo_files(folder: Path = ZOO) -> dict[str, tuple[dict[str, Any], str]]:
    """Return the constants of every file of a zoo and the first sentences of its docstring."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text())
        assigned = [
            node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        ]
        constants = {node.targets[0].id: node.value for node in assigned}  # type: ignore[attr-defined]
        if "ANOMALY" in constants:
            named = {"ANOMALY", "ALSO", "KEEPS", "TWIN"} & set(constants)
            says = " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())
            found[path.stem] = ({name: ast.literal_eval(constants[name]) for name in named}, says)
    return found


@fragment
def write_zoo(page: Path, argument: str) -> str:
    folder = ZOO.parent / (argument or ZOO.name)
    files = zoo_files(folder)

    def link(name: str) -> str:
        return f"[`{name}`](../tests/quality/{folder.name}/{name}.py)"

    rows = []
    for name, (said, says) in files.items():
        if said["ANOMALY"] is not None:
            names = (said["ANOMALY"], *said.get("ALSO", ()))
            shown = ", ".join(f"[`{n}`](anomalies/{n}.md)" for n in names)
            twins = [link(twin) for twin, (its, _) in files.items() if its.get("TWIN") == name]
            rows.append((link(name), says, shown, f"`{said['KEEPS']}`", ", ".join(twins) or "-"))
    return table(("fault", "what it does", "anomaly", "keeps", "sound twin"), rows)


@fragment
def write_twins(page: Path, argument: str) -> str:
    rows = [
        (f"`{name}`", says.removeprefix("Sound: "), f"`{said['TWIN']}`")
        for name, (said, says) in zoo_files(ZOO.parent / (argument or ZOO.name)).items()
        if said["ANOMALY"] is None
    ]
    return table(("twin", "what it does", "looks like"), rows)


__all__ = ["DESK", "ROOT", "RUNGS", "at_hand", "run_of", "strength", "tried"]


@fragment
def write_summary(page: Path, argument: str) -> str:
    """The Markdown that a command writes for a pull request."""
    return f"`capsound {argument} --markdown summary.md`\n\n{summed_up(argument)}"


@cache
def summed_up(argument: str) -> str:
    from capsound_checker.__main__ import run

    log = [
        {"event": "open", "root": "team", "cap": 60},
        {"event": "reserve", "account": "team", "hold": "R1", "amount": 31, "agent": "planner"},
        {"event": "send", "hold": "R1", "call": "C1"},
        {"event": "reserve", "account": "team", "hold": "R2", "amount": 31, "agent": "coder"},
        {"event": "send", "hold": "R2", "call": "C2"},
        {"event": "bill", "call": "C1", "amount": 30},
        {"event": "bill", "call": "C2", "amount": 46},
        {"event": "settle", "hold": "R1", "amount": 30},
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for file in (ROOT / "scenarios" / "race-a-racy-counter.toml", DESK / "counter_adapter.py"):
            shutil.copy(file, folder)
        Path("log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in log), encoding="utf-8")
        assert run([*argument.split(), "--markdown", "summary.md"]) == 1
        return Path("summary.md").read_text(encoding="utf-8")
