"""The commands of ``capsound``. Heavy imports stay inside the commands, so that help is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capsound import __version__

if TYPE_CHECKING:
    from capsound_checker.running import Request, Solved

EPILOG = (
    "Exit status: 0 sound, 1 violated (or an expectation not met), 2 unknown, 64 usage, 65 bad input, "
    "70 a bug of capsound, 130 interrupted."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="capsound")
def cli() -> None:
    """Find out whether the true bill can ever exceed the cap.

    Start with `capsound new scenario my.toml`, then `capsound solve my.toml`.
    """


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let the reader of standard output leave early (``| head``): the verdict stays what it is."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _colour(no_color: bool) -> bool:
    return sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR")


@cli.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--expect", is_flag=True, help="Exit 0 when every verdict is the one its file expects; list the others.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the first counterexample as an ITF trace.")
@click.option("--steps", type=click.IntRange(1, 200), help="Search counterexamples up to this many steps.")
@click.option("--seconds", type=click.IntRange(1, 3600), help="Give each property at most this long.")
@click.option("--workers", type=click.IntRange(1, 64), help="Scenarios solved at once (default: one per core).")
@click.option("-v", "--verbose", is_flag=True, help="Show the invariants that prove a property, and timings.")
@click.option("--no-color", is_flag=True, help="Plain text, also on a terminal.")
def solve(
    paths: tuple[Path, ...],
    expect: bool,
    as_json: bool,
    itf: Path | None,
    steps: int | None,
    seconds: int | None,
    workers: int | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Prove a scenario sound, or break it.

    A scenario that is not sound is shown with the shortest schedule that breaks it.

    PATHS are scenario files, or folders of them (searched for *.toml).
    """
    from capsound_checker.running import Request, find_scenarios, solve_all
    from capsound_checker.telling import check_writable

    if itf is not None:
        check_writable(itf)
    files = find_scenarios(paths)
    request = Request(steps=steps, seconds=seconds, verbose=verbose, colour=_colour(no_color), plain=no_color)
    single = len(paths) == 1 and not paths[0].is_dir()
    solved = solve_all(files, request, workers)
    if itf is not None:
        _write_itf(solved, itf)
    with reader_may_leave():
        if as_json:
            document = [s.data for s in solved]
            click.echo(json.dumps(document[0] if single and document else document, indent=2, sort_keys=True))
        else:
            _print(solved, request, len(files), summary=not single or expect, whole=single)
    if len(solved) < len(files):
        click.echo(f"interrupted: {len(files) - len(solved)} of {len(files)} not solved", err=True)
    return _status(solved, len(files), expect)


def _print(solved: list[Solved], request: Request, asked: int, *, summary: bool, whole: bool) -> None:
    from capsound_checker.running import summary_text

    if whole:
        for item in solved:
            click.echo(item.text, nl=False)
    if summary and solved:
        if whole:
            click.echo()
        click.echo(summary_text(solved, asked, colour=request.colour), nl=False)
    for item in solved:
        if item.error:
            click.echo(item.error, err=True)


def _write_itf(solved: list[Solved], path: Path) -> None:
    from capsound_checker.telling import write_itf

    for item in solved:
        if item.itf is not None:
            write_itf(path, item.itf)
            return
    click.echo(f"no counterexample, so nothing was written to {path}", err=True)


def _status(solved: list[Solved], asked: int, expect: bool) -> int:
    from capsound.errors import EXIT_SOUND, EXIT_VIOLATED
    from capsound.verdict import Verdict, merge

    failed = [s.status for s in solved if s.error]
    if failed:
        return max(failed)
    if len(solved) < asked:
        return 130
    if expect:
        return EXIT_VIOLATED if any(s.mismatches for s in solved) else EXIT_SOUND
    return merge(Verdict(s.verdict) for s in solved).exit_status


@cli.command(epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("token")
@click.option("--json", "as_json", is_flag=True, help="Print the events and what the monitor says as JSON.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the run as an ITF trace.")
def replay(path: Path, token: str, as_json: bool, itf: Path | None) -> int:
    """Run a schedule again, from its token.

    TOKEN is what `solve` printed, PATH the scenario that it was printed for.
    """
    from capsound_checker.replaying import replay_token

    return replay_token(path, token, as_json=as_json, itf=itf, colour=_colour(False))


@cli.command(epilog=EPILOG)
@click.argument("name", required=False)
def explain(name: str | None) -> None:
    """Explain a name that a message used.

    NAME is an anomaly, guarantee, property, assumption, rule, step or discipline; without it, all are listed.
    """
    from capsound_checker.explaining import explain_name, list_names

    click.echo(list_names() if name is None else explain_name(name))


@cli.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["scenario"]))
def schema(what: str) -> None:
    """Print the JSON Schema of scenario files."""
    from capsound.loading import scenario_schema

    del what
    click.echo(json.dumps(scenario_schema(), indent=2))


@cli.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["scenario"]))
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def new(what: str, path: Path | None, force: bool) -> None:
    """Write a commented scenario.

    It goes to PATH, or to standard output.
    """
    from capsound.loading import scenario_template
    from capsound_checker.telling import CannotWrite, write_text

    del what
    if path is None:
        click.echo(scenario_template(), nl=False)
        return
    if path.exists() and not force:
        raise CannotWrite(f"{path} exists already", hint="choose another name, or give --force to overwrite it")
    write_text(path, scenario_template())
    click.echo(f"wrote {path}; next: capsound solve {path}")
