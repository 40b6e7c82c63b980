"""``capsound check``: an implementation in, the strongest guarantee it keeps and the smallest failures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capsound_checker.commands.pages import badge, check_pages, html, markdown, pages
from capsound_checker.commands.shared import (
    VERDICTS,
    Span,
    as_json,
    colour,
    completing,
    echo_json,
    environment,
    exits,
    guarantees,
    load_timeout,
    no_color,
    reader_may_leave,
    say,
    with_values,
    written,
)

if TYPE_CHECKING:
    from capsound_checker.check.results import Checked


def _drivers() -> Mapping[str, str]:
    from capsound_checker.check.plan import DRIVERS

    return DRIVERS


@click.command(
    "check",
    cls=with_values(Drivers=_drivers, Guarantees=guarantees),
    epilog=exits({**VERDICTS, 0: "sound (or --require is kept)"}, 65, 130),
)
@click.argument("target")
@click.option("--budget", type=Span(), default="60s", show_default=True, help="How long to search, in all.")
@click.option("--programs", type=click.IntRange(1), default=1_000, show_default=True, help="Programs of each kind.")
@click.option("--schedules", type=click.IntRange(1), help="Schedules for each driver that runs any (default: all).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other programs.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes at once.")
@click.option("--dask", default="", metavar="ADDRESS", help="Do the work on a Dask cluster: tcp://HOST:8786.")
@click.option(
    "--driver",
    "drivers",
    multiple=True,
    shell_complete=completing(_drivers),
    help="Use only this driver; repeat for several. Listed below.",
)
@click.option("--python", default="", help="Load the adapter with this interpreter, in its environment, over a pipe.")
@environment
@click.option(
    "--require",
    default="overrun-bounded",
    show_default=True,
    shell_complete=completing(guarantees),
    help="Exit 0 if this guarantee is kept. Listed below, weakest first.",
)
@load_timeout
@click.option("--memory", type=click.IntRange(0), default=2_048, show_default=True, help="MiB it may use; 0: no limit.")
@as_json
@html
@markdown
@badge
@click.option("--junit", type=click.Path(path_type=Path), help="Write the verdict as JUnit XML.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the first counterexample as an ITF trace.")
@click.option("--save", type=click.Path(path_type=Path), help="Write every counterexample into this folder.")
@click.option("--github", is_flag=True, help="Also print an annotation for a GitHub workflow.")
@click.option("-v", "--verbose", is_flag=True, help="Show the smallest run of every anomaly.")
@no_color
def command(
    target: str,
    budget: float,
    programs: int,
    schedules: int | None,
    seed: int,
    workers: int,
    dask: str,
    drivers: tuple[str, ...],
    python: str,
    environment: str,
    require: str,
    load_timeout: float,
    memory: int,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    badge: Path | None,
    junit: Path | None,
    itf: Path | None,
    save: Path | None,
    github: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Test a budget library against the model.

    TARGET is an adapter class, my_adapter.py:MyBudget or package.module:MyBudget, or a command in any language that
    speaks the protocol, 'cmd:node harness.js'. It runs in a process of its own. `capsound new adapter` writes a
    first adapter, and `capsound smoke` checks that it works.
    """
    from capsound.errors import nearest
    from capsound_checker.check import checking, verdicts
    from capsound_checker.check.plan import DRIVERS, Plan, guarantee_named
    from capsound_checker.display.files import make_folder, write_itf, write_json
    from capsound_checker.display.terminal import rendered, status

    check_pages(junit, itf, html, markdown, badge)
    if save is not None:
        make_folder(save)
    if dask and workers > 1:
        raise click.UsageError("--workers and --dask are two ways for one thing: give one of them")
    if python and environment:
        raise click.UsageError("--python and --environment are two ways for one thing: give one of them")
    for name in drivers:
        if name not in DRIVERS:
            raise click.BadParameter(f"no driver is called {name!r}; {nearest(name, DRIVERS)}")
    plan = Plan(
        target,
        programs,
        budget,
        seed,
        workers,
        memory,
        load_seconds=load_timeout,
        require=guarantee_named(require),
        python=python,
        environment=environment,
        drivers=drivers,
        schedules=schedules,
    )
    with status("checking", plain=no_color) as tell:
        if dask:
            from capsound_checker.check.spreading import check_on

            checked = check_on(dask, plan, tell)
        else:
            checked = checking.check(plan, tell)
    with reader_may_leave():
        if as_json:
            echo_json(verdicts.data(checked))
        else:
            draw = partial(verdicts.render, checked=checked, verbose=verbose)
            say(rendered(draw, colour(no_color)), nl=False, colour=colour(no_color))
        if github and (told := verdicts.annotation(checked)):
            click.echo(told, err=as_json)
    writes: list[Callable[[], object]] = pages(html, markdown, partial(verdicts.data, checked), badge=badge)
    if junit is not None:
        writes.append(partial(_write_junit, junit, checked))
    if itf is not None and (trace := verdicts.itf(checked)) is not None:
        writes.append(partial(write_itf, itf, trace))
    elif itf is not None:
        say(f"no counterexample found: {itf} was not written", err=True)
    if save is not None:
        writes += [partial(write_json, save / file, held) for file, held in verdicts.saved(checked).items()]
    return written(*writes) or (130 if "interrupted" in checked.doubts else checked.exit_status)


def _write_junit(path: Path, checked: Checked) -> None:
    from capsound_checker.check.verdicts import junit
    from capsound_checker.display.files import write_text

    write_text(path, junit(checked))
