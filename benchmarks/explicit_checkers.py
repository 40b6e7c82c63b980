"""``solve`` beside Spin and TLC, explicit-state model checkers: states, CPU seconds and verdicts of what all can say.

    python benchmarks/explicit_checkers.py [--rounds 5] [--json] [--tla2tools JAR]
    python benchmarks/explicit_checkers.py --promela SCENARIO | --tla SCENARIO

A scenario is written as a Promela model: one process for each agent, one atomic block for each block of the
discipline, one choice for each amount that the environment may choose, and an assertion that the true bills are within
the cap. Spin visits its states breadth first, so that its first error is a shortest run. Its seconds are those of the
compiled search; what Spin and the C compiler took to make it is told beside them. With the jar of TLC, and Java, the
scenario is written in TLA+ as well, with the same blocks as actions and the same assertion as an invariant; the
seconds of TLC are those of the whole process, the start of Java included. All take turns; the figures are medians.

Only what Promela needs no encoding of its own for is exported: one account, plain amounts of a range, no faults, and
disciplines of the steps in ``STEPS``. Anything else is refused. Where Spin or a C compiler is missing, that is said.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from capsound.disciplines import DISCIPLINES, get_discipline
from capsound.loading import load_scenario
from capsound.scenario import Plain, Scenario

STEPS = {
    "check": "cover <= available",
    "reserve": "available = available - cover; held = held + cover",
    "settle": "held = held - cover; charged = charged + bill; available = available + cover - bill",
    "debit": "charged = charged + bill; available = available - bill",
    "read": "seen = charged",
    "write": "available = available + charged - seen - bill; charged = seen + bill",
    "send": "billed = billed + bill; assert(billed <= CAP)",
}
"""What each step of a discipline is in Promela; ``check`` is a guard, and the bill is chosen before ``send``."""

TLA = {
    "reserve": ("l", "[l EXCEPT !.available = @ - c.cover, !.held = @ + c.cover]"),
    "settle": (
        "l",
        "[l EXCEPT !.held = @ - c.cover, !.charged = @ + c.bill, !.available = @ + c.cover - c.bill]",
    ),
    "debit": ("l", "[l EXCEPT !.charged = @ + c.bill, !.available = @ - c.bill]"),
    "read": ("c", "[c EXCEPT !.seen = l.charged]"),
    "write": ("l", "[l EXCEPT !.available = @ + l.charged - c.seen - c.bill, !.charged = c.seen + c.bill]"),
    "send": ("l", "[l EXCEPT !.billed = @ + c.bill]"),
}
"""The same in TLA+: whether the ledger or the call is another after a step, and which; ``check`` is a guard."""

SHOWN = ("race-a-racy-counter", "race-b-reserve-settle", "two-phase")
"""Shipped scenarios that both can say: a race, its cure, and a check one step too early."""


class NotSaid(ValueError):
    """A scenario that is not exported."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Agents that are alike: how many, their calls, the range of their estimates and the largest bill."""

    count: int
    calls: int
    covers: tuple[int, int]
    bills: tuple[int, int]


def exported(scenario: Scenario) -> tuple[list[list[str]], list[Caller]]:
    """Return the blocks and the agents of a scenario; raises ``NotSaid`` for what is not exported."""
    blocks = [[step.name for step in block] for block in get_discipline(scenario.discipline).blocks]
    unknown = {name for block in blocks for name in block} - set(STEPS)
    if (
        unknown
        or scenario.slices
        or not scenario.cap.fixed
        or scenario.spent
        or scenario.faults != type(scenario.faults)()
    ):
        raise NotSaid(f"not exported: {', '.join(sorted(unknown)) or 'slices, faults, a range of caps or spent'}")
    callers = []
    for agents in scenario.agents:
        cost = scenario.call(agents.call).cost
        if not isinstance(cost, Plain) or agents.count is None or agents.own_slice is not None or agents.program:
            raise NotSaid("not exported: requests, streams, any number of agents, slices of their own, programs")
        if cost.estimate.hi is None:
            raise NotSaid("not exported: an estimate without an upper end")
        highest = cost.estimate.hi if cost.bill.hi is None else cost.bill.hi
        covers = (cost.estimate.lo, cost.estimate.hi)
        callers.append(Caller(agents.count, agents.calls, covers, (cost.bill.lo, highest)))
    return blocks, callers


def promela(scenario: Scenario) -> str:
    """Return a scenario as a Promela model; raises ``NotSaid`` for what is not exported."""
    blocks, callers = exported(scenario)
    lines = [f"#define CAP {scenario.cap.lo}", "int available = CAP;", "int held, charged, billed;"]
    for number, agents in enumerate(callers):
        lines += [
            f"active [{agents.count}] proctype agents{number}() {{",
            f"  int cover, bill, seen; int calls = {agents.calls};",
        ]
        lines += ["  do", "  :: calls > 0 -> calls = calls - 1;"]
        for place, block in enumerate(blocks):
            first = _choice("cover", *agents.covers) if place == 0 else ""
            bounded = scenario.assume.a1 is True
            drawn = _choice("bill", *agents.bills, "bill <= cover" if bounded else "") if "send" in block else ""
            does = "; ".join(STEPS[name] for name in block if name != "check")
            body = "; ".join(part for part in (drawn, does) if part) or "skip"
            if "check" in block:
                lines.append(
                    f"     atomic {{ {first}; if :: {STEPS['check']} -> {body} :: else -> goto refused{number} fi }};"
                )
            else:
                lines.append(f"     atomic {{ {'; '.join(part for part in (first, body) if part)} }};")
        # What is over does not tell states apart.
        lines += [
            f"     refused{number}: atomic {{ cover = 0; bill = 0; seen = 0 }}",
            "  :: else -> break",
            "  od",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _choice(name: str, lo: int, hi: int, guard: str = "") -> str:
    """Return the choice of an amount: each is one step of its own in the same block."""
    if lo == hi and not guard:
        return f"{name} = {lo}"
    test = f"({guard.replace(name, '{}')}) -> " if guard else ""
    ways = " ".join(f":: {test.format(value)}{name} = {value}" for value in range(lo, hi + 1))
    return f"if {ways} fi"


def tla(scenario: Scenario) -> str:
    """Return a scenario as a module of TLA+; raises ``NotSaid`` for what is not exported."""
    blocks, callers = exported(scenario)
    kinds = [number for number, agents in enumerate(callers) for _ in range(agents.count)]
    calls = ", ".join(str(callers[kind].calls) for kind in kinds)
    lines = ["---- MODULE Model ----", "EXTENDS Integers", "VARIABLES ledger, call, at, left"]
    lines += [f"Agents == 1..{len(kinds)}", "None == [cover |-> 0, bill |-> 0, seen |-> 0]"]
    lines += [f"Init == /\\ ledger = [available |-> {scenario.cap.lo}, held |-> 0, charged |-> 0, billed |-> 0]"]
    lines += ["        /\\ call = [a \\in Agents |-> None]", "        /\\ at = [a \\in Agents |-> 0]"]
    lines += [f"        /\\ left = <<{calls}>>"]
    for agent, kind in enumerate(kinds, start=1):
        for place, block in enumerate(blocks):
            lines += _action(agent, callers[kind], place, block, last=place == len(blocks) - 1, a1=scenario.assume.a1)
    steps = [f"Step{agent}x{place}" for agent in range(1, len(kinds) + 1) for place in range(len(blocks))]
    either = " \\/ ".join(steps)
    lines += [f"Next == {either}", f"Cap == ledger.billed <= {scenario.cap.lo}", "===="]
    return "\n".join(lines) + "\n"


def _action(agent: int, caller: Caller, place: int, block: list[str], *, last: bool, a1: bool | None) -> list[str]:
    """Return one block of one agent as an action."""
    lines = [f"Step{agent}x{place} == at[{agent}] = {place}" + f" /\\ left[{agent}] > 0" * (place == 0)]
    cover = "cover" if place == 0 else f"call[{agent}].cover"
    given = [f"\\E cover \\in {caller.covers[0]}..{caller.covers[1]}: "] if place == 0 else []
    bounded = ""
    if "send" in block:
        given.append(f"\\E bill \\in {caller.bills[0]}..{caller.bills[1]}: ")
        bounded = f"bill <= {cover} /\\ " if a1 is True else ""
    lines.append(f"  /\\ ({''.join(given)}({bounded}(")
    changes = ", !.cover = cover" * (place == 0) + ", !.bill = bill" * ("send" in block)
    begun = f"[call[{agent}] EXCEPT {changes[2:]}]" if changes else f"call[{agent}]"
    lines.append(f"  LET l0 == ledger  c0 == {begun}")
    names = {"l": "l0", "c": "c0"}
    for number, name in enumerate((step for step in block if step != "check"), start=1):
        changed, said = TLA[name]
        said = re.sub(r"\b([lc])\b(?=[. ])", lambda found: names[found[1]], said)
        lines.append(f"      {changed}{number} == {said}")
        names[changed] = f"{changed}{number}"
    done = f"left' = [left EXCEPT ![{agent}] = @ - 1]" if last else "left' = left"
    after, kept = (0, "None") if last else (place + 1, names["c"])
    goes_on = (
        f"(ledger' = {names['l']} /\\ call' = [call EXCEPT ![{agent}] = {kept}] "
        f"/\\ at' = [at EXCEPT ![{agent}] = {after}] /\\ {done})"
    )
    refused = (
        f"(ledger' = ledger /\\ call' = [call EXCEPT ![{agent}] = None] /\\ at' = [at EXCEPT ![{agent}] = 0] "
        f"/\\ left' = [left EXCEPT ![{agent}] = @ - 1])"
    )
    guarded = f"IF c0.cover <= ledger.available THEN {goes_on} ELSE {refused}" if "check" in block else goes_on
    return [*lines, f"  IN {guarded})))"]


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict, CPU seconds, and how many states were stored (None: states are not what was counted)."""

    verdict: str
    seconds: float
    states: int | None = None
    making: float = 0.0


def _cpu(command: list[str], folder: Path) -> tuple[float, int, str]:
    """Return the CPU seconds, the status and the output of a command."""
    with tempfile.TemporaryFile() as kept:
        process = subprocess.Popen(command, cwd=folder, stdout=kept, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        kept.seek(0)
        return used.ru_utime + used.ru_stime, process.returncode, kept.read().decode(errors="replace")


def spin(model: str) -> Found:
    """Return what Spin says of a model; raises ``RuntimeError`` where it says nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.pml").write_text(model, encoding="utf-8")
        making = 0.0
        for command in (["spin", "-a", "model.pml"], ["cc", "-O2", "-DBFS", "-DMEMLIM=2048", "-o", "pan", "pan.c"]):
            seconds, status, told = _cpu(command, folder)
            making += seconds
            if status:
                raise RuntimeError(f"{' '.join(command)}: {told}")
        seconds, _, told = _cpu(["./pan", "-m100000"], folder)
    errors, states = re.search(r"errors: (\d+)", told), re.search(r"(\d+) states, stored", told)
    if errors is None or states is None or "too small" in told or "out of memory" in told:
        raise RuntimeError(f"the search of Spin did not end: {told}")
    return Found("violated" if int(errors[1]) else "sound for these", seconds, int(states[1]), making)


def tlc(model: str, jar: Path) -> Found:
    """Return what TLC says of a module; raises ``RuntimeError`` where it says nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Model.tla").write_text(model, encoding="utf-8")
        (folder / "Model.cfg").write_text("INIT Init\nNEXT Next\nINVARIANT Cap\n", encoding="utf-8")
        command = ["java", "-XX:+UseSerialGC", "-cp", str(jar), "tlc2.TLC", "-workers", "1", "-deadlock", "Model"]
        seconds, _, told = _cpu(command, folder)
    states = re.findall(r"(\d+) distinct states found", told)
    violated = "Invariant Cap is violated" in told
    if not states or not (violated or "No error has been found" in told):
        raise RuntimeError(f"the search of TLC did not end: {told}")
    return Found("violated" if violated else "sound for these", seconds, int(states[-1]))


def capsound(path: Path) -> Found:
    """Return what ``solve`` says."""
    seconds, status, _ = _cpu([str(Path(sys.executable).with_name("capsound")), "solve", str(path)], path.parent)
    return Found({0: "sound for all", 1: "violated", 2: "unknown"}.get(status, f"status {status}"), seconds)


def cases(folder: Path) -> list[tuple[str, Path]]:
    """Return the scenarios, and one that grows: three agents, two calls, bills of any size up to the estimate."""
    shipped = Path(__file__).resolve().parent.parent / "scenarios"
    grown = folder / "any-bill.toml"
    call = "[[calls]]\nestimate = 31\nbill = { max = 31 }\n"
    grown.write_text(
        f'cap = 60\ndiscipline = "reserve-settle"\n[[agents]]\nname = "worker"\ncount = 3\ncalls = 2\n{call}'
    )
    return [*((name, shipped / f"{name}.toml") for name in SHOWN), ("three agents, two calls, bills 0 to 31", grown)]


def _median(runs: list[Found]) -> Found:
    verdicts = "/".join(dict.fromkeys(run.verdict for run in runs))
    making = median(run.making for run in runs)
    return replace(runs[0], verdict=verdicts, seconds=median(run.seconds for run in runs), making=making)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--tla2tools", type=Path, help="the jar of TLC, to be asked as well")
    parser.add_argument("--tla", type=Path, help="only print the TLA+ of this scenario")
    parser.add_argument("--promela", type=Path, help="only print the model of this scenario")
    asked = parser.parse_args()
    if asked.tla is not None:
        print(tla(load_scenario(asked.tla, known_disciplines=DISCIPLINES)), end="")
        return
    if asked.promela is not None:
        print(promela(load_scenario(asked.promela, known_disciplines=DISCIPLINES)), end="")
        return
    if missing := [tool for tool in ("spin", "cc") if shutil.which(tool) is None]:
        print(f"skipped: {' and '.join(missing)} not installed (Debian: apt-get install spin gcc)")
        return
    told = []
    with tempfile.TemporaryDirectory() as name:
        for title, path in cases(Path(name)):
            scenario = load_scenario(path, known_disciplines=DISCIPLINES)
            model, module = promela(scenario), tla(scenario)
            runs: tuple[list[Found], list[Found], list[Found]] = [], [], []
            for _ in range(asked.rounds):
                runs[0].append(spin(model))
                runs[1].append(capsound(path))
                runs[2].extend([tlc(module, asked.tla2tools)] if asked.tla2tools else [])
            theirs, ours = map(_median, runs[:2])
            told.append({"scenario": title, "spin": _row(theirs), "solve": _row(ours)})
            beside = ""
            if runs[2]:
                third = _median(runs[2])
                told[-1]["tlc"] = _row(third)
                beside = f"tlc {third.seconds:6.2f} s {third.states:>9} states {third.verdict:<16} "
            if not asked.as_json:
                print(
                    f"{title:<42} spin {theirs.seconds:6.2f} s (+ {theirs.making:.2f} s to make it) "
                    f"{theirs.states:>9} states {theirs.verdict:<16} {beside}"
                    f"solve {ours.seconds:5.2f} s {ours.verdict}",
                    flush=True,
                )
    if asked.as_json:
        print(json.dumps(told, indent=2))


def _row(found: Found) -> dict[str, object]:
    return {
        "verdict": found.verdict,
        "cpu_s": round(found.seconds, 3),
        "states": found.states,
        "making_s": round(found.making, 3),
    }


if __name__ == "__main__":
    main()
