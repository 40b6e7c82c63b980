"""``capsound league``: published libraries in, what each of them keeps out, each verdict one command."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from capsound_checker.commands.pages import check_pages
from capsound_checker.commands.shared import as_json, echo_json, exits, no_color, reader_may_leave, say, written


@click.command(
    "league",
    epilog=exits({0: "every target is as expected", 1: "one is not", 2: "one is unknown"}, 65, 130),
)
@click.argument("path", type=click.Path(path_type=Path), metavar="LEAGUE")
@click.option("--only", multiple=True, metavar="NAME", help="Judge only this target; repeat for several.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Targets at once.")
@click.option("--dask", default="", metavar="ADDRESS", help="Judge them on a Dask cluster: tcp://HOST:8786.")
@click.option("--environments", type=click.Path(path_type=Path), help="Where to install them (default: your cache).")
@click.option(
    "--results", type=click.Path(path_type=Path), help="Where to keep verdicts (default: beside the environments)."
)
@click.option("--twice", is_flag=True, help="Judge each twice; if the verdicts differ, it is unknown.")
@click.option("--again", is_flag=True, help="Judge again what is known already.")
@click.option("--price", "with_price", is_flag=True, help="Add what soundness costs by `capsound ratio`.")
@as_json
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the tables into this page.")
@click.option("--html", type=click.Path(path_type=Path), help="Write them as one page of HTML.")
@click.option("--badges", type=click.Path(path_type=Path), help="Write a badge for each target into this folder.")
@click.option("--plot", type=click.Path(path_type=Path), help="Plot guarantee against precision (.png or .svg).")
@click.option("--save", type=click.Path(path_type=Path), help="Write the JSON document to this file as well.")
@click.option("-v", "--verbose", is_flag=True, help="Show the smallest run of every anomaly.")
@no_color
def command(
    path: Path,
    only: tuple[str, ...],
    workers: int,
    dask: str,
    environments: Path | None,
    results: Path | None,
    twice: bool,
    again: bool,
    with_price: bool,
    as_json: bool,
    markdown: Path | None,
    html: Path | None,
    badges: Path | None,
    plot: Path | None,
    save: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Judge published libraries, each in an environment of its own.

    LEAGUE is a league.toml. Verdicts are kept: a campaign that was killed continues where it stopped, and targets that
    have not changed are not judged again. pip and npm install what is missing.
    """
    from capsound_checker.display.files import make_folder, write_json
    from capsound_checker.display.plotting import check_plot
    from capsound_checker.display.terminal import status
    from capsound_checker.league import showing, tables
    from capsound_checker.league.campaign import How, campaign
    from capsound_checker.league.environments import cache_folder
    from capsound_checker.league.leaguefile import load_league
    from capsound_checker.league.store import opened
    from capsound_checker.league.telling import data, status_of, text_of

    if dask and workers > 1:
        raise click.UsageError("--workers and --dask are two ways for one thing: give one of them")
    check_pages(markdown, html, save)
    if badges is not None:
        make_folder(badges)
    if plot is not None:
        check_plot(plot)
    league = load_league(path)
    root = (environments or cache_folder("league")).absolute()
    how = How(root, workers, dask, only, twice, again, _today())
    with opened(results or root / "results.sqlite3") as store, status("judging", plain=no_color) as tell:
        done = campaign(league, how, store, tell)
        cost = None
        if with_price and not done.interrupted:
            from capsound_checker.league.price import price

            cost = price(tell)
    document = data(done, cost)
    with reader_may_leave():
        echo_json(document) if as_json else say(text_of(document, verbose=verbose), nl=False)
    writes: list[Callable[[], None]] = []
    if markdown is not None:
        writes.append(partial(tables.write_markdown, markdown, document))
    if html is not None:
        writes.append(partial(showing.write_page, html, document))
    if badges is not None:
        writes.append(partial(showing.write_badges, badges, document))
    if plot is not None:
        writes.append(partial(showing.write_plot, plot, document))
    if save is not None:
        writes.append(partial(write_json, save, document))
    return written(*([] if done.interrupted else writes)) or status_of(document)


def _today() -> str:
    """Return the day on which what is judged now is judged; builds that are to be repeated set SOURCE_DATE_EPOCH."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = datetime.fromtimestamp(int(given), UTC) if given.isdigit() and len(given) < 12 else datetime.now(UTC)
    return now.date().isoformat()
