"""Solving many scenarios: finding the files, sharing the cores, and keeping what was found when interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, EXIT_OUR_BUG, EXIT_USAGE, CapsoundError


class NoScenario(CapsoundError):
    """A path that does not exist, or a folder without scenarios."""

    name = "no-scenario"
    exit_status = EXIT_BAD_INPUT


class CannotWrite(CapsoundError):
    """An output file that cannot be written."""

    name = "cannot-write"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked of ``solve`` beside the files."""

    steps: int | None = None
    seconds: int | None = None
    verbose: bool = False
    colour: bool = False


@dataclass(frozen=True, slots=True)
class Solved:
    """One scenario, solved and rendered; plain data, so that it can come from another process."""

    path: str
    verdict: str = "unknown"
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    found: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()
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
                raise NoScenario(f"{path} holds no *.toml file", hint="capsound new scenario writes one")
            files += inside
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def solve_file(path: Path, request: Request, progress: Any = None) -> Solved:
    """Solve one file; an expected error is returned, not raised, so that other files go on."""
    from capsound.disciplines import DISCIPLINES
    from capsound.loading import load_scenario
    from capsound_checker.data import mismatches, outcome_to_dict
    from capsound_checker.itf import trace_to_itf
    from capsound_checker.render import render_outcome
    from capsound_proofs.solve import solve

    try:
        scenario = load_scenario(path, known_disciplines=DISCIPLINES)
        search = scenario.search
        if request.steps is not None:
            search = replace(search, steps=request.steps)
        if request.seconds is not None:
            search = replace(search, seconds=request.seconds)
        scenario = replace(scenario, search=search, path=str(path))
        outcome = solve(scenario, progress=progress or (lambda _: None))
    except CapsoundError as error:
        render = getattr(error, "render", None)
        text = render() if callable(render) else _plain(error, path)
        data = {
            "path": str(path),
            "error": {"name": error.name, "message": error.message, "where": error.where},
        }
        return Solved(str(path), data=data, error=text, status=error.exit_status)
    traces = [(r.trace, r.property) for r in outcome.results if r.trace is not None]
    return Solved(
        path=str(path),
        verdict=outcome.verdict.value,
        data=outcome_to_dict(outcome),
        text=_text(lambda console: render_outcome(console, outcome, verbose=request.verbose), request.colour),
        found=(*outcome.anomalies, *outcome.flags),
        mismatches=tuple(mismatches(outcome)),
        seconds=outcome.seconds,
        itf=trace_to_itf(outcome.machine, traces[0][0], source=path.name) if traces else None,
    )


def _plain(error: CapsoundError, path: Path) -> str:
    lines = [f"error: {error}" if error.where else f"error: {path}: {error}"]
    if error.cause:
        lines.append(f"  because: {error.cause}")
    if error.hint:
        lines.append(f"  cure: {error.hint}")
    return "\n".join(lines)


def _text(draw: Any, colour: bool) -> str:
    """Return what ``draw`` prints to a console, with colours only where they are wanted."""
    from rich.console import Console

    buffer = StringIO()
    width = _width() if colour else 110
    draw(Console(file=buffer, force_terminal=colour, no_color=not colour, width=width, highlight=False))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _width() -> int:
    try:
        return max(60, min(160, os.get_terminal_size().columns))
    except OSError:
        return 110


def summary_text(solved: list[Solved], *, colour: bool) -> str:
    """Return one line per scenario, and a closing line that counts."""
    from rich.table import Table
    from rich.text import Text

    styles = {"sound": "bold green", "violated": "bold red", "unknown": "bold yellow"}
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("verdict", "scenario", "found", "seconds"):
        table.add_column(name, overflow="fold", justify="right" if name == "seconds" else "left")
    for item in solved:
        if item.error:
            table.add_row(Text("error", style="bold red"), item.path, "see below", "-")
            continue
        found = ", ".join(item.found) or "-"
        if item.mismatches:
            found = "NOT AS EXPECTED: " + "; ".join(item.mismatches)
        verdict = Text(item.verdict, style=styles[item.verdict])
        table.add_row(
            verdict,
            item.path,
            Text(found, style="bold red" if item.mismatches else ""),
            f"{item.seconds:.1f}",
        )
    wrong = sum(bool(s.mismatches) for s in solved)
    errors = sum(bool(s.error) for s in solved)
    line = f"{len(solved)} scenarios: {len(solved) - wrong - errors} as expected"
    if wrong:
        line += f", {wrong} not as expected"
    if errors:
        line += f", {errors} with errors"
    return _text(lambda console: (console.print(table), console.print(line)), colour)


def solve_all(files: list[Path], request: Request, workers: int | None) -> list[Solved]:
    """Solve every file, several at once; when interrupted, return what is done."""
    if len(files) == 1:
        with _status() as tell:
            return [solve_file(files[0], request, tell)]
    workers = min(workers or os.cpu_count() or 1, len(files))
    if workers == 1:
        return list(_one_by_one(files, request))
    done: list[Solved] = []
    with ProcessPoolExecutor(max_workers=workers, initializer=_ignore_interrupt) as pool, _status() as tell:
        waiting: list[tuple[Path, Future[Solved]]] = [(f, pool.submit(solve_file, f, request)) for f in files]
        try:
            for path, future in waiting:
                tell(f"{len(done)} of {len(files)} solved; {path}")
                done.append(_result(path, future))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(getattr(pool, "_processes", {}).values()):
                process.terminate()
    return done


def _one_by_one(files: list[Path], request: Request) -> Iterator[Solved]:
    with _status() as tell:
        for number, path in enumerate(files):
            tell(f"{number} of {len(files)} solved; {path}")
            try:
                yield solve_file(path, request)
            except KeyboardInterrupt:
                return


def _result(path: Path, future: Future[Solved]) -> Solved:
    """Return what a worker found; a worker that died is an error of that file, not of all."""
    try:
        return future.result()
    except KeyboardInterrupt:
        raise
    except Exception as error:  # noqa: BLE001 - a worker may die of anything, and the others go on
        text = f"error: {path}: solving failed: {type(error).__name__}: {error}"
        data = {"path": str(path), "error": {"name": "our-bug", "message": str(error), "where": ""}}
        return Solved(str(path), data=data, error=text, status=EXIT_OUR_BUG)


def _ignore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _status() -> Iterator[Any]:
    """Show on a terminal what is being done; say nothing elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("solving") as status:
        yield lambda text: status.update(f"solving: {text}")
