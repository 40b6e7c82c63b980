"""Solving many scenarios: finding the files, sharing the cores, and keeping what was found when interrupted."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, EXIT_OUR_BUG, EXIT_SOUND, EXIT_VIOLATED, CapsoundError
from capsound.verdict import Verdict, merge
from capsound_checker.display.printing import printable, screen
from capsound_checker.display.telling import OUR_BUG, error_data, error_text
from capsound_checker.display.terminal import rendered, status
from capsound_checker.remote.lifeline import end_with, lifeline

GARBAGE = 50_000
"""How many objects more there are than before when a worker looks for cycles that nobody uses."""


class NoScenario(CapsoundError):
    """A path that does not exist, or a folder without scenarios."""

    name = "no-scenario"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked of ``solve`` beside the files.

    ``itf``: every state of the first counterexample, too; ``twins``: a sound design beside each counterexample.
    """

    steps: int | None = None
    seconds: int | None = None
    verbose: bool = False
    colour: bool = False
    plain: bool = False
    itf: bool = False
    twins: bool = False


@dataclass(frozen=True, slots=True)
class Solved:
    """One scenario, solved and rendered; plain data, so that it can come from another process."""

    path: str
    verdict: str = "unknown"
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    found: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()
    expects: bool = False
    seconds: float = 0.0
    itf: dict[str, Any] | None = None
    error: str = ""
    status: int = 0


def find_scenarios(paths: Iterable[Path]) -> list[Path]:
    """Return the scenario files, each once, folders searched for ``*.toml``, in order.

    Raises ``NoScenario`` for a folder without any.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.toml"))
            if not inside:
                shown = printable(str(path))
                raise NoScenario(f"{shown} holds no *.toml file", hint="capsound new scenario writes one")
            files += inside
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def solve_file(path: Path, request: Request, progress: Callable[[str], None] = lambda _: None) -> Solved:
    """Solve one file; an error is returned, not raised, so that other files go on."""
    try:
        return _solve_file(path, request, progress)
    except MemoryError:
        return _not_solved(path, "the solving process ran out of memory")
    except Exception as error:  # noqa: BLE001 - whatever it was, the other files go on
        if "out of memory" in str(error):  # of z3 and cvc5
            return _not_solved(path, "the solver ran out of memory")
        if os.environ.get("CAPSOUND_DEBUG"):
            traceback.print_exc()
        return _our_bug(path, f"{type(error).__name__}: {error}")


def _solve_file(path: Path, request: Request, progress: Callable[[str], None]) -> Solved:
    from capsound.disciplines import KNOWN
    from capsound.loading import load_scenario
    from capsound.scenario import Expect
    from capsound_checker.display.data import mismatches, outcome_to_dict
    from capsound_checker.display.itf import trace_to_itf
    from capsound_checker.display.render import render_outcome
    from capsound_checker.solve.twins import with_twins
    from capsound_proofs.solve import solve

    try:
        scenario = load_scenario(path, known_disciplines=KNOWN)
        search = scenario.search
        if request.steps is not None:
            search = replace(search, steps=request.steps)
        if request.seconds is not None:
            search = replace(search, seconds=request.seconds)
        scenario = replace(scenario, search=search, path=str(path))
        outcome = solve(scenario, progress=progress)
    except CapsoundError as error:
        data = {"format": "capsound.error/1", "path": str(path), "error": error_data(error)}
        return Solved(str(path), data=data, error=error_text(error, path), status=error.exit_status)
    data = outcome_to_dict(outcome)
    traces = [(r.trace, r.property) for r in outcome.results if r.trace is not None]
    return Solved(
        path=str(path),
        verdict=outcome.verdict.value,
        data=with_twins(outcome, data) if request.twins else data,
        text=rendered(lambda console: render_outcome(console, outcome, verbose=request.verbose), request.colour),
        found=(*outcome.anomalies, *outcome.flags),
        mismatches=tuple(mismatches(outcome)),
        expects=scenario.expect != Expect(),
        seconds=outcome.seconds,
        itf=trace_to_itf(outcome.machine, traces[0][0], source=path.name) if traces and request.itf else None,
    )


def summary_text(solved: list[Solved], asked: int, *, colour: bool) -> str:
    """Return one line per scenario, and a closing line that counts."""
    from rich.table import Table
    from rich.text import Text

    styles = {"sound": "bold green", "violated": "bold red", "unknown": "bold yellow"}
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("verdict", "scenario", "found", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for item in solved:
        if item.error:
            table.add_row(Text("error", style="bold red"), Text(printable(item.path)), "see below", "-")
            continue
        found = ", ".join(item.found) or "-"
        if item.mismatches:
            found = "NOT AS EXPECTED: " + "; ".join(item.mismatches)
        verdict = Text(item.verdict, style=styles[item.verdict])
        table.add_row(
            verdict,
            Text(printable(item.path)),
            Text(found, style="bold red" if item.mismatches else ""),
            f"{item.seconds:.1f}",
        )
    wrong = sum(bool(s.mismatches) for s in solved)
    errors = sum(bool(s.error) for s in solved)
    silent = sum(not s.error and not s.expects for s in solved)
    line = f"{len(solved)} scenario{'s' * (len(solved) != 1)}"
    counts = (
        (len(solved) - wrong - errors - silent, "as expected"),
        (wrong, "not as expected"),
        (silent, "without an expectation"),
        (errors, "with errors"),
    )
    line += ": " + (", ".join(f"{count} {what}" for count, what in counts if count) or "none solved")
    if len(solved) < asked:
        line += f"; {asked - len(solved)} of {asked} not solved"
    return rendered(lambda console: (console.print(table), console.print(line)), colour)


def exit_status(solved: list[Solved], asked: int, expect: bool) -> int:
    """Return the status of a run: that of the worst error, 130 if interrupted, else the worst verdict.

    With ``expect`` it is 0 if every verdict is the one that its file expects, and 1 otherwise.
    """
    failed = [s.status for s in solved if s.error]
    if failed:
        return max(failed)
    if len(solved) < asked:
        return 130
    if expect:
        return EXIT_VIOLATED if any(s.mismatches for s in solved) else EXIT_SOUND
    return merge(Verdict(s.verdict) for s in solved).exit_status


def solve_all(files: list[Path], request: Request, workers: int | None) -> list[Solved]:
    """Solve every file, several at once; when interrupted, return what is done.

    Each file has a process of its own. Why: z3 takes an interrupt for itself, remembers what it solved before,
    and may die; in a process of its own it does none of that to the other files or to us.
    """
    limit = min(workers or os.cpu_count() or 1, len(files))
    if limit < len(files):
        _import_once()
    done: dict[int, Solved] = {}
    waiting = list(enumerate(files))
    running: dict[int, _Worker] = {}
    with status("solving", plain=request.plain) as tell:
        try:
            while waiting or running:
                while waiting and len(running) < limit:
                    number, path = waiting.pop(0)
                    running[number] = _Worker(path, request)
                doing = ", ".join(worker.doing for worker in running.values())
                tell(doing if len(files) == 1 else f"{len(done)} of {len(files)} solved; {doing}")
                wait([w.pipe for w in running.values()], timeout=0.5)
                for number, worker in list(running.items()):
                    found = worker.listen()
                    if found is not None:
                        done[number] = found
                        del running[number]
        except KeyboardInterrupt:
            pass
        finally:
            for worker in running.values():
                worker.kill()
    return [done[number] for number in sorted(done)]


_NEEDED = (
    "cvc5",
    "capsound.loading",
    "capsound_checker.display.data",
    "capsound_checker.display.itf",
    "capsound_checker.display.render",
    "capsound_proofs.solve",
)


def _import_once() -> None:
    """Import here what every worker needs: a process that is forked has it already. No solver is begun by that."""
    for name in _NEEDED:
        importlib.import_module(name)


class _Worker:
    """One file being solved in a process of its own."""

    def __init__(self, path: Path, request: Request) -> None:
        self.path = path
        self.doing = printable(str(path))
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("fork" if "fork" in methods else None)
        self.pipe, theirs = context.Pipe(duplex=False)
        line = lifeline() if context.get_start_method() == "fork" else None  # else it would not be inherited
        self.process = context.Process(target=_work, args=(path, request, theirs, os.getpid(), line), daemon=True)
        with _interrupts_wait():
            self.process.start()
        theirs.close()

    def listen(self) -> Solved | None:
        """Return what the process found, if it has; a process that died is an error of its file, not of all."""
        found: Solved | None = None
        try:
            while found is None and self.pipe.poll():
                said = self.pipe.recv()
                if isinstance(said, Solved):
                    found = said
                else:
                    self.doing = f"{printable(str(self.path))}: {said}"
        except EOFError:
            self.process.join()
            found = _ended(self.path, self.process.exitcode or 0)
        if found is None:
            return None
        self.process.join()
        self.pipe.close()
        return found

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(path: Path, request: Request, pipe: Any, parent: int, line: int | None) -> None:
    end_with(parent, line)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Terms and states are freed by their counts: looking for cycles among them is a twentieth of the time, for nothing.
    gc.freeze()
    gc.set_threshold(GARBAGE, 50, 50)
    pipe.send(solve_file(path, request, pipe.send))
    pipe.close()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Hold interrupts back: between its birth and its first line a new process would die of one noisily."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _our_bug(path: Path, message: str) -> Solved:
    text = screen(f"error: {printable(f'{path}: {message}')}\n  {OUR_BUG}")
    error = {"name": "our-bug", "message": message, "where": "", "cause": "", "hint": OUR_BUG}
    data = {"format": "capsound.error/1", "path": str(path), "error": error}
    return Solved(str(path), data=data, error=text, status=EXIT_OUR_BUG)


def _ended(path: Path, code: int) -> Solved:
    """Return what a process leaves that ended before it had an answer: a signal comes from outside, or from z3."""
    if code >= 0:
        return _our_bug(path, f"the solving process ended with status {code}")
    if -code == signal.SIGKILL:
        return _not_solved(path, "the solving process was killed (SIGKILL): the machine may be out of memory")
    from capsound_checker.remote.isolation import signal_name

    return _not_solved(path, f"the solving process was ended by {signal_name(-code)}")


def _not_solved(path: Path, why: str) -> Solved:
    """Return that nothing is known of a file, whatever it expects: its process was ended from outside."""
    return Solved(
        str(path),
        data={"format": "capsound.solve/1", "path": str(path), "verdict": "unknown", "doubts": [why]},
        text=f"{printable(str(path))}: {why}\nunknown\n",
        found=(why,),
        mismatches=(f"verdict unknown: {why}",),
    )
