"""``capsound prove``: run the theorems, and say in words, as data and as SMT-LIB 2 what came out.

Data first; each rendering is a function of it. Times are shown to people and left out of the data, which is the
same on every machine.
"""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.events import event_to_dict
from capsound.verdict import Verdict, merge
from capsound_checker.display.files import make_folder, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from capsound_proofs.theorem import Decision, Result, Theorem, Witness

Tell = Callable[[str], None]


class NoSuchTheorem(CapsoundError):
    """A theorem that does not exist was asked for."""

    name = "no-such-theorem"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Proved:
    """What came out of each theorem, in order, and how long all of it took."""

    results: tuple[Result, ...]
    seconds: float
    interrupted: bool = False
    """Whether Ctrl-C came before all were decided."""

    @property
    def theorems(self) -> tuple[Theorem, ...]:
        """The theorems that were decided, or tried, before the end."""
        return tuple(result.theorem for result in self.results)

    @property
    def exit_status(self) -> int:
        """0 when every theorem came out as stated, 1 when one did not, else 2 when one was not decided.

        130 where Ctrl-C came before the last.
        """
        if self.interrupted:
            return 130
        return merge(_verdict(result) for result in self.results).exit_status

    def data(self) -> dict[str, Any]:
        """Return everything as JSON data: no times, so that it is the same wherever it is run."""
        return {
            "format": "capsound.prove/1",
            "verdict": merge([*map(_verdict, self.results), *[Verdict.UNKNOWN] * self.interrupted]).value,
            "interrupted": self.interrupted,
            "theorems": [_data(r) for r in self.results],
        }


def _verdict(result: Result) -> Verdict:
    if result.complaints:
        return Verdict.VIOLATED
    return Verdict.UNKNOWN if result.undecided else Verdict.SOUND


def find_theorems(names: Iterable[str] = ()) -> tuple[Theorem, ...]:
    """Return the theorems of these names or numbers, in the order of the library; all of them for none.

    Raises ``NoSuchTheorem`` with the nearest name.
    """
    from capsound_proofs.theorems import THEOREMS

    wanted = list(names)
    known = {key for t in THEOREMS for key in (t.name, str(t.number))}
    for name in wanted:
        if name not in known:
            raise NoSuchTheorem(f"there is no theorem {name!r}", hint=nearest(name, [t.name for t in THEOREMS]))
    return tuple(t for t in THEOREMS if not wanted or t.name in wanted or str(t.number) in wanted)


def prove(theorems: Sequence[Theorem], tell: Tell = lambda _: None) -> Proved:
    """Decide every obligation of each theorem with both solvers, and replay every witness.

    On Ctrl-C what is known so far is returned. Raises ``Disagreement`` when the solvers contradict each other.
    """
    from capsound_proofs.theorem import prove as prove_one

    began = time.monotonic()
    results = []
    interrupted = False
    try:
        for theorem in theorems:
            tell(f"{theorem.number} {theorem.name}")
            results.append(prove_one(theorem))
    except KeyboardInterrupt:
        interrupted = True
    return Proved(tuple(results), time.monotonic() - began, interrupted)


# ----------------------------------------------------------------------------------------------- as data


def _data(result: Result) -> dict[str, Any]:
    theorem = result.theorem
    return {
        "number": theorem.number,
        "name": theorem.name,
        "kind": theorem.kind.value,
        "verdict": _verdict(result).value,
        "statement": theorem.statement,
        "mathematics": theorem.mathematics,
        "assumptions": list(theorem.assumptions),
        "bound": theorem.bound,
        "idea": _sentence(theorem.idea),
        "obligations": [_decided(d) for d in result.decisions],
        "witnesses": [_witness(w) for w in result.replayed],
        "computations": [c.name for c in theorem.computations],
        "complaints": list(result.complaints),
    }


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _decided(decision: Decision) -> dict[str, Any]:
    second = decision.second
    return {
        "name": decision.obligation.name,
        "wanted": decision.obligation.wanted.value,
        "z3": decision.first.value,
        "cvc5": None if second is None else second.value,
    }


def _witness(witness: Witness) -> dict[str, Any]:
    return {
        "name": witness.name,
        "events": [event_to_dict(event) for event in witness.events],
        "anomalies": list(witness.anomalies),
        "overshoot": None if witness.overshoot is None else dict(witness.overshoot),
    }


# ------------------------------------------------------------------------------------------- as SMT-LIB 2


def write_obligations(theorems: Iterable[Theorem], folder: Path) -> int:
    """Write every obligation as a file of its own into ``folder``; return how many there are.

    The name of a file is the number of the theorem, that of the obligation, and what it is called. The first line of
    its text says which answer is wanted. Raises ``CannotWrite``.
    """
    make_folder(folder)
    written = 0
    for theorem in theorems:
        for number, obligation in enumerate(theorem.obligations, start=1):
            slug = re.sub(r"[^a-z0-9]+", "-", obligation.name.lower()).strip("-")[:60].rstrip("-")
            write_text(folder / f"{theorem.number:02}-{number:03}-{slug}.smt2", obligation.smt2())
            written += 1
    return written


# ---------------------------------------------------------------------------------------------- in words

STYLE = {Verdict.SOUND: "bold green", Verdict.VIOLATED: "bold red", Verdict.UNKNOWN: "bold yellow"}


def outcome(result: Result) -> str:
    """Return in a few words what came out: as stated with what shows it, or that it did not."""
    if result.complaints:
        return "DOES NOT HOLD"
    if result.undecided:
        return "unknown"
    runs = len(result.replayed)
    return result.theorem.kind.value + (f", {runs} run{'s' * (runs != 1)} replayed" if runs else "")


def decided_by(result: Result) -> str:
    """Return how many obligations which solvers decided, and what was computed."""
    both = sum(d.second is not None and not d.undecided for d in result.decisions)
    count = len(result.decisions)
    parts = []
    if count:
        who = "z3 and cvc5" if both == count else f"z3, cvc5 {both}"
        parts.append(f"{who}: {count} obligation{'s' * (count != 1)}")
    computed = len(result.theorem.computations)
    if computed:
        parts.append(f"{computed} computation{'s' * (computed != 1)}")
    return ", ".join(parts)


def render(console: Console, proved: Proved, *, verbose: bool = False, times: bool = True) -> None:
    """Print a table of the theorems; with ``verbose`` also bound, idea, obligations and witnesses of each."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("theorem", ratio=6)
    table.add_column("assumes", ratio=2)
    table.add_column("result", ratio=3)
    if times:
        table.add_column("time", justify="right", no_wrap=True)
    for result in proved.results:
        theorem, style = result.theorem, STYLE[_verdict(result)]
        row = [
            str(theorem.number),
            f"[bold]{escape(theorem.name)}[/]\n{escape(theorem.statement)}",
            escape("; ".join(theorem.assumptions) or "-"),
            f"[{style}]{escape(outcome(result))}[/]\n[dim]{escape(decided_by(result))}[/]",
        ]
        table.add_row(*row, *([f"{result.seconds:.2f} s"] if times else []))
    console.print(table)
    for result in proved.results:
        if verbose:
            _details(console, result)
        for complaint in result.complaints:
            console.print(f"[bold red]{escape(result.theorem.name)}[/]: {escape(complaint)}")
        for decision in result.decisions:
            if decision.undecided:
                console.print(f"{escape(result.theorem.name)}: not decided: {escape(decision.obligation.name)}")
    console.print()
    console.print(_summary(proved, times=times))
    if proved.interrupted:
        console.print("interrupted: the other theorems were not decided")


def _details(console: Console, result: Result) -> None:
    from rich.markup import escape

    theorem = result.theorem
    console.print(f"\n[bold]{theorem.number} {escape(theorem.name)}[/]: {escape(theorem.mathematics)}")
    console.print(f"  for {escape(theorem.bound)}")
    console.print(f"  {escape(_sentence(theorem.idea))}")
    for decision in result.decisions:
        console.print(f"  {decision.first.value:7} {escape(decision.obligation.name)}", style="dim")
    for witness in result.replayed:
        seen = ", ".join(witness.anomalies) or "no anomaly"
        console.print(f"  replayed: {escape(witness.name)} ({escape(seen)})", style="dim")
    for computation in theorem.computations:
        console.print(f"  computed: {escape(computation.name)}", style="dim")


def _summary(proved: Proved, *, times: bool) -> str:
    count = len(proved.results)
    good = sum(result.accepted for result in proved.results)
    obligations = sum(len(result.decisions) for result in proved.results)
    runs = sum(len(result.replayed) for result in proved.results)
    took = f" in {proved.seconds:.1f} s" if times else ""
    return (
        f"{good} of {count} theorem{'s' * (count != 1)} hold{'s' * (count == 1)} as stated: {obligations} obligations, "
        f"{runs} run{'s' * (runs != 1)} replayed{took}"
    )


def listing(theorems: Iterable[Theorem]) -> str:
    """Return the names of the theorems with their statements, one a line."""
    return "".join(f"{t.number:2} {t.name}: {t.statement}\n" for t in theorems)


# ------------------------------------------------------------------------------------------- on the page


def page_table(theorems: Iterable[Theorem]) -> str:
    """Return the table of docs/theorems.md: what is claimed of each, which the tests hold against what comes out."""
    rows = ["| | theorem | statement | assumes | result | holds for |", "| --- | --- | --- | --- | --- | --- |"]
    for t in theorems:
        assumes = "; ".join(t.assumptions) or "-"
        link = f"[`{t.name}`](#{t.number}-{t.name})"
        rows.append(f"| {t.number} | {link} | {t.statement} | {assumes} | {t.kind.value} | {t.bound} |")
    return "\n".join(rows) + "\n"


def page_sections(theorems: Iterable[Theorem]) -> str:
    """Return a section of docs/theorems.md for each theorem: the statement in symbols, and the idea."""
    out = []
    for t in theorems:
        paragraph = "\n".join(textwrap.wrap(_sentence(t.idea), 120, break_on_hyphens=False, break_long_words=False))
        symbols = "\n".join(textwrap.wrap(t.mathematics, 116, break_on_hyphens=False, break_long_words=False))
        out.append(f"### {t.number} {t.name}\n\n```text\n{symbols}\n```\n\n{paragraph}\n")
    return "\n".join(out)
