"""The commands of ``capsound``. Heavy imports stay inside the commands, so that help is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capsound import __version__

if TYPE_CHECKING:
    from capsound_checker.audit.audited import Shown
    from capsound_checker.solve.running import Request, Solved

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
    from capsound_checker.display.telling import check_writable
    from capsound_checker.solve.running import Request, find_scenarios, solve_all

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
    from capsound_checker.solve.running import summary_text

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
    from capsound_checker.display.telling import write_itf

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


class Span(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.3
    """A time such as ``30s``, ``2m`` or ``45``, in seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        text = str(value).strip().lower()
        units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
        unit = next((u for u in units if text.endswith(u)), "")
        try:
            seconds = float(text.removesuffix(unit)) * units.get(unit, 1.0)
        except ValueError:
            self.fail(f"{value!r} is no time: write 30s, 2m or 1h", param, ctx)
        if not 0 < seconds <= 86_400:
            self.fail(f"{value!r} is not between 1 ms and a day", param, ctx)
        return seconds


@cli.command(epilog=EPILOG)
@click.argument("target")
@click.option("--budget", type=Span(), default="60s", show_default=True, help="How long to search, in all.")
@click.option("--programs", type=click.IntRange(1), default=1_000, show_default=True, help="Programs of each kind.")
@click.option("--schedules", type=click.IntRange(1), help="Schedules of each driver that runs any (default: all).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Other programs for another seed.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes at once.")
@click.option(
    "--driver",
    "drivers",
    multiple=True,
    help="programs, misuse, threads, handlers, history, asyncio, precision; all by default.",
)
@click.option("--python", default="", help="Load the adapter with this interpreter, in its environment.")
@click.option("--require", default="overrun-bounded", show_default=True, help="Exit 0 if this guarantee is kept.")
@click.option("--memory", type=click.IntRange(0), default=2_048, show_default=True, help="MiB it may use; 0: no limit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the verdict as JUnit XML.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the first counterexample as an ITF trace.")
@click.option("--save", type=click.Path(path_type=Path), help="Write every counterexample into this folder.")
@click.option("--github", is_flag=True, help="Print an annotation for a workflow of GitHub as well.")
@click.option("-v", "--verbose", is_flag=True, help="Show the smallest run of every anomaly.")
@click.option("--no-color", is_flag=True, help="Plain text, also on a terminal.")
def check(
    target: str,
    budget: float,
    programs: int,
    schedules: int | None,
    seed: int,
    workers: int,
    drivers: tuple[str, ...],
    python: str,
    require: str,
    memory: int,
    as_json: bool,
    junit: Path | None,
    itf: Path | None,
    save: Path | None,
    github: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Check an implementation against the model.

    TARGET is an adapter class, my_adapter.py:MyBudget or package.module:MyBudget, or a command in any language that
    speaks the protocol, 'cmd:node harness.js'. It runs in a process of its own. `capsound new adapter` writes a
    first adapter, and `capsound smoke` tries whether it works.
    """
    from capsound.errors import nearest
    from capsound_checker.check import checking, verdicts
    from capsound_checker.display.telling import check_writable, make_folder, write_itf, write_text
    from capsound_checker.display.terminal import rendered, status

    for path in (junit, itf):
        if path is not None:
            check_writable(path)
    if save is not None:
        make_folder(save)
    for name in drivers:
        if name not in checking.DRIVERS:
            raise click.BadParameter(f"there is no driver {name!r}; {nearest(name, checking.DRIVERS)}")
    plan = checking.Plan(
        target,
        programs,
        budget,
        seed,
        workers,
        memory,
        require=checking.guarantee_named(require),
        python=python,
        drivers=drivers,
        schedules=schedules,
    )
    with status("checking", plain=no_color) as tell:
        checked = checking.check(plan, tell)
    if junit is not None:
        write_text(junit, verdicts.junit(checked))
    if itf is not None and (trace := verdicts.itf(checked)) is not None:
        write_itf(itf, trace)
    elif itf is not None:
        click.echo(f"no counterexample, so nothing was written to {itf}", err=True)
    if save is not None:
        for file, document in verdicts.saved(checked).items():
            write_text(save / file, json.dumps(document, indent=2, sort_keys=True) + "\n")
    with reader_may_leave():
        if as_json:
            click.echo(json.dumps(verdicts.data(checked), indent=2, sort_keys=True))
        else:
            draw = partial(verdicts.render, checked=checked, verbose=verbose)
            click.echo(rendered(draw, _colour(no_color)), nl=False)
        if github and (told := verdicts.annotation(checked)):
            click.echo(told, err=as_json)
    return 130 if "interrupted" in checked.doubts else checked.exit_status


@cli.command(epilog=EPILOG)
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def smoke(target: str, as_json: bool) -> int:
    """Try whether an adapter works.

    That is asked before anything is said of what it adapts.

    One call that always fits must be admitted and booked, one that never fits must be refused.
    """
    from capsound_checker.check.smoke import smoke as run

    told = run(target)
    with reader_may_leave():
        click.echo(json.dumps(told.data(), indent=2, sort_keys=True) if as_json else told.text(), nl=as_json)
    return told.exit_status


@cli.command(epilog=EPILOG)
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def history(path: Path, as_json: bool) -> int:
    """Check a recorded concurrent run.

    PATH holds operations with the times of their calls and returns, one JSON object a line; - is standard input.
    Some order of them must be one that the model allows.
    """
    from capsound_checker.display.telling import lines_of

    return _judge(lines_of(path), str(path), as_json)


def _judge(lines: list[str], where: str, as_json: bool) -> int:
    """Judge a recorded run, and print what it shows."""
    from capsound_checker.histories import history as histories

    found = histories.check(histories.History.read(lines, where))
    with reader_may_leave():
        if as_json:
            fields = (
                "anomaly",
                "sentence",
                "operations",
                "clients",
                "roots",
                "admitted",
                "refused",
                "overlap",
                "shortest",
                "steps",
            )
            told = {"verdict": found.verdict.value, **{name: getattr(found, name) for name in fields}}
            click.echo(json.dumps({**told, "window": list(found.window)}, indent=2, sort_keys=True))
        else:
            if found.anomaly:
                click.echo(f"{found.anomaly}: {found.sentence}")
                click.echo("\n".join(found.window))
                if found.window and not found.shortest and found.anomaly != "hang":
                    click.echo("(less of it may show the same: the search for the shortest window was given up)")
            click.echo(f"{found.verdict.value}: {found.operations} operations of {found.clients} clients")
    return found.exit_status


@cli.command(epilog=EPILOG)
@click.argument("log")
@click.option("--mapping", help="What foreign fields mean: a TOML file, or the name of one that ships (otel-genai).")
@click.option("--cap", type=click.IntRange(0), help="Cap of every account that is used without having been opened.")
@click.option(
    "--bills",
    type=click.Choice(["auto", "logged", "settled"]),
    default="auto",
    show_default=True,
    help="Where true bills are: in `bill` events, in what was settled, or whichever comes first.",
)
@click.option("--lenient", is_flag=True, help="Leave out lines that cannot be used, and count them.")
@click.option("--follow", is_flag=True, help="Go on reading as the log is written, until Ctrl-C.")
@click.option("--show", type=click.IntRange(0), default=5, show_default=True, help="Findings of each anomaly to show.")
@click.option("--memory", type=click.IntRange(1), default=10_000, show_default=True, help="Resolved holds to remember.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("--no-color", is_flag=True, help="Plain text, also on a terminal.")
def audit(
    log: str,
    mapping: str | None,
    cap: int | None,
    bills: str,
    lenient: bool,
    follow: bool,
    show: int,
    memory: int,
    as_json: bool,
    no_color: bool,
) -> int:
    """Judge what a production system wrote down.

    LOG holds one event a line as a JSON object, in the vocabulary of capsound or in one that a mapping explains; - is
    standard input, and a name that ends in .gz is decompressed. It is read once, in memory that does not grow with it.
    """
    from capsound_checker.audit import auditing, logreading
    from capsound_checker.audit.mapping import load_mapping
    from capsound_checker.display.terminal import status

    if follow and log == "-":
        raise click.UsageError("--follow is for files: standard input is followed in any case")
    known = None if mapping is None else load_mapping(mapping)
    name = "standard input" if log == "-" else log

    def at_once(shown: Shown) -> None:
        click.echo(f"line {shown.line:,}  {shown.anomaly}: {shown.sentence}", err=as_json)

    with logreading.open_log(log, follow=follow) as lines, status("reading", plain=no_color or follow) as tell:
        told = auditing.audit(
            logreading.counted(lines, tell),
            name=name,
            mapping=known,
            cap=cap,
            bills=bills,
            lenient=lenient,
            memory=memory,
            show=show,
            tell=at_once if follow else None,
        )
    with reader_may_leave():
        click.echo(
            json.dumps(told.data(), indent=2, sort_keys=True) if as_json else told.text(_colour(no_color)), nl=as_json
        )
    return 130 if told.interrupted and not follow else told.exit_status


@cli.command(epilog=EPILOG)
@click.argument("path")
@click.argument("token")
@click.option("--json", "as_json", is_flag=True, help="Print the events and what the monitor says as JSON.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the run as an ITF trace (scenarios only).")
@click.option("--python", default="", help="Load the adapter with this interpreter, as `check` did.")
def replay(path: str, token: str, as_json: bool, itf: Path | None, python: str) -> int:
    """Run a schedule again, from its token.

    TOKEN is what `solve` or `check` printed, or a file that `check --save` wrote; PATH is the scenario or the target
    that it was printed for. What real threads did cannot be run again: it is judged again, from the file.
    """
    from capsound_checker.check.tokens import ASYNC_PREFIX, PREFIX, RACE_PREFIX, saved_in

    if token.endswith(".json"):
        file = token
        token, recorded = saved_in(Path(file))
        if recorded:
            return _judge(recorded, file, as_json)
    if not token.startswith((PREFIX, ASYNC_PREFIX, RACE_PREFIX)):
        from capsound_checker.solve.replaying import replay_token

        return replay_token(Path(path), token, as_json=as_json, itf=itf, colour=_colour(False))
    if itf is not None:
        raise click.UsageError("--itf is for tokens of `solve`")
    from capsound_checker.check.checking import replay_target

    return replay_target(path, token, python=python, as_json=as_json)


@cli.command(epilog=EPILOG)
@click.argument("name", required=False)
def explain(name: str | None) -> None:
    """Explain a name that a message used.

    NAME is an anomaly, guarantee, property, assumption, rule, step or discipline; without it, all are listed.
    """
    from capsound_checker.display.explaining import explain_name, list_names

    click.echo(list_names() if name is None else explain_name(name))


@cli.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["scenario"]))
def schema(what: str) -> None:
    """Print the JSON Schema of scenario files."""
    from capsound.loading import scenario_schema

    del what
    click.echo(json.dumps(scenario_schema(), indent=2))


@cli.command(epilog=EPILOG)
@click.argument("what", type=click.Choice(["scenario", "adapter"]))
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def new(what: str, path: Path | None, force: bool) -> None:
    """Write a commented scenario or adapter.

    It goes to PATH, or to standard output.
    """
    from capsound.loading import scenario_template
    from capsound_checker.check.smoke import adapter_template
    from capsound_checker.display.telling import CannotWrite, write_text

    text = scenario_template() if what == "scenario" else adapter_template()
    if path is None:
        click.echo(text, nl=False)
        return
    if path.exists() and not force:
        raise CannotWrite(f"{path} exists already", hint="choose another name, or give --force to overwrite it")
    write_text(path, text)
    following = f"solve {path}" if what == "scenario" else f"smoke {path}:MyBudget"
    click.echo(f"wrote {path}; next: capsound {following}")


@cli.command(epilog=EPILOG)
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
@click.option("--smt2", type=click.Path(path_type=Path), help="Write every obligation into this folder as SMT-LIB 2.")
@click.option("--list", "only_list", is_flag=True, help="List the theorems, and prove nothing.")
@click.option("--no-times", is_flag=True, help="Leave out how long it took: the same text every time.")
@click.option("-v", "--verbose", is_flag=True, help="Show symbols, idea, obligations and runs of each theorem.")
@click.option("--no-color", is_flag=True, help="Plain text, also on a terminal.")
def prove(
    names: tuple[str, ...],
    as_json: bool,
    smt2: Path | None,
    only_list: bool,
    no_times: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Prove the theorems about the model again.

    Each obligation is decided by z3 and cvc5, and each run that refutes something is replayed by the monitor.

    NAMES are names or numbers of theorems; without any, all are proved.
    """
    from capsound_checker.display.terminal import rendered, status
    from capsound_checker.solve import proving

    theorems = proving.find_theorems(names)
    if only_list:
        with reader_may_leave():
            click.echo(proving.listing(theorems), nl=False)
        return 0
    if smt2 is not None:
        proving.write_obligations(theorems, smt2)
    with status("proving", plain=no_color) as tell:
        proved = proving.prove(theorems, tell)
    with reader_may_leave():
        if as_json:
            click.echo(json.dumps(proved.data(), indent=2, sort_keys=True))
        else:
            draw = partial(proving.render, proved=proved, verbose=verbose, times=not no_times)
            click.echo(rendered(draw, _colour(no_color)), nl=False)
    return proved.exit_status


@cli.command(epilog=EPILOG)
@click.argument("workload")
@click.option("--strategy", "strategies", multiple=True, help="NAME or NAME:PARAMETER, several times; all by default.")
@click.option("--cap", type=click.IntRange(0), help="The cap, in the unit of the workload (default: none).")
@click.option("--agents", type=click.IntRange(1, 1_000), default=1, show_default=True, help="At once under one cap.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of generators and of intervals.")
@click.option("--sessions", type=click.IntRange(1, 100_000), default=200, show_default=True, help="To generate.")
@click.option("--resamples", type=click.IntRange(0, 100_000), default=400, show_default=True, help="For the intervals.")
@click.option("--where", multiple=True, help="Keep the rows with COLUMN=VALUE, or COLUMN!=VALUE.")
@click.option("--max-output", type=click.IntRange(0), help="Where the file does not say.")
@click.option("--price-in", help="Money per input token, where the file does not say.")
@click.option("--price-out", help="Money per output token, where the file does not say.")
@click.option("--bytes-per-token", type=click.IntRange(1), default=4, show_default=True, help="Where bytes are absent.")
@click.option("--exact-counts", is_flag=True, help="Let the token counter say what the provider will bill.")
@click.option("--bound", "bounds", multiple=True, help="A bound on the provider: tokens_per_byte=1, template=16, ...")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw cost against risk as .png or .svg (capsound[plot])."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
def ratio(
    workload: str,
    strategies: tuple[str, ...],
    cap: int | None,
    agents: int,
    seed: int,
    sessions: int,
    resamples: int,
    where: tuple[str, ...],
    max_output: int | None,
    price_in: str | None,
    price_out: str | None,
    bytes_per_token: int,
    exact_counts: bool,
    bounds: tuple[str, ...],
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure what a cap costs.

    WORKLOAD is a CSV file of calls or sessions, or gen:NAME. It is replayed under each strategy, which reserves money
    for every call before the bill is known; what was reserved in vain, refused in vain and risked is told.
    """
    from capsound_checker.costs import ratio as lab
    from capsound_checker.costs.workloads import Reading

    if plot is not None:
        from capsound_checker.costs.frontier import check_plot

        check_plot(plot)
    measured = lab.run_lab(
        workload,
        strategies,
        cap=cap,
        agents=agents,
        seed=seed,
        sessions=sessions,
        reading=Reading(lab.parse_where(where), max_output, price_in, price_out, bytes_per_token, exact_counts),
        bounds=bounds,
        resamples=resamples,
    )
    if plot is not None:
        lab.write_frontier(measured, plot)
    with reader_may_leave():
        if as_json:
            click.echo(json.dumps(lab.data_of(measured), indent=2, sort_keys=True))
        else:
            click.echo(lab.text_of(measured), nl=False)
