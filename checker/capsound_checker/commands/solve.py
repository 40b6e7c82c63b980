"""``capsound solve``: scenario files in, verdicts with proofs or counterexamples out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capsound_checker.commands.pages import badge, check_pages, html, markdown, pages, summary_asked
from capsound_checker.commands.shared import (
    VERDICTS,
    as_json,
    colour,
    echo_json,
    exits,
    no_color,
    reader_may_leave,
    say,
    written,
)

if TYPE_CHECKING:
    from capsound_checker.solve.running import Request, Solved


@click.command("solve", epilog=exits({**VERDICTS, 1: "violated (or an expectation not met)"}, 65, 130))
@click.argument("paths", nargs=-1, required=True)
@click.option("--expect", is_flag=True, help="Exit 0 if every verdict is the one that its file expects.")
@as_json
@click.option("--itf", type=click.Path(path_type=Path), help="Write the first counterexample as an ITF trace.")
@html
@markdown
@badge
@click.option("--steps", type=click.IntRange(1, 200), help="Search for counterexamples of up to this many steps.")
@click.option("--seconds", type=click.IntRange(1, 3600), help="Spend at most this long on each property.")
@click.option("--workers", type=click.IntRange(1, 64), help="Scenarios to solve at once (default: one per core).")
@click.option("-v", "--verbose", is_flag=True, help="Show the invariants behind each proof, and timings.")
@no_color
def command(
    paths: tuple[str, ...],
    expect: bool,
    as_json: bool,
    itf: Path | None,
    html: Path | None,
    markdown: Path | None,
    badge: Path | None,
    steps: int | None,
    seconds: int | None,
    workers: int | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Prove that a design keeps its cap, or break it.

    Prints a proof for every schedule, or the shortest schedule that breaks the cap.

    PATHS are scenario files, or folders to search for *.toml files.
    """
    from capsound_checker.solve.running import Request, exit_status, find_scenarios, solve_all

    check_pages(itf, html, markdown, badge)
    if "" in paths:
        raise click.UsageError("a path is empty: name a scenario file, or a folder (. is this one)")
    files = find_scenarios(map(Path, paths))
    shown = colour(no_color)
    drawn = bool(html or markdown or summary_asked())
    request = Request(steps, seconds, verbose, colour=shown, plain=no_color, itf=itf is not None, twins=drawn)
    single = len(paths) == 1 and files == [Path(paths[0])]
    solved = solve_all(files, request, workers)
    with reader_may_leave():
        if as_json:
            document = [s.data for s in solved]
            echo_json(document[0] if single and document else document)
        else:
            _print(solved, request, len(files), summary=not single or expect, whole=single)
    for item in solved:
        if item.error and not as_json:
            say(item.error, err=True)
    if len(solved) < len(files):
        click.echo(f"interrupted: {len(files) - len(solved)} of {len(files)} not solved", err=True)
    writes: list[Callable[[], object]] = [] if itf is None else [partial(_write_itf, solved, itf)]
    writes += pages(html, markdown, lambda: [one.data for one in solved], badge=badge)
    failed = written(*writes)
    return failed or exit_status(solved, len(files), expect)


def _print(solved: list[Solved], request: Request, asked: int, *, summary: bool, whole: bool) -> None:
    from capsound_checker.solve.running import summary_text

    if whole:
        for item in solved:
            say(item.text, nl=False, colour=request.colour)
    if summary and solved:
        if whole:
            click.echo()
        say(summary_text(solved, asked, colour=request.colour), nl=False, colour=request.colour)


def _write_itf(solved: list[Solved], path: Path) -> None:
    from capsound_checker.display.files import write_itf

    for item in solved:
        if item.itf is not None:
            write_itf(path, item.itf)
            return
    say(f"no counterexample found: {path} was not written", err=True)
