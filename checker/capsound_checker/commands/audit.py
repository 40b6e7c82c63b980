"""``capsound audit``: a production log in, what went wrong in it out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from capsound_checker.commands.pages import check_pages, html, markdown, pages, summary_asked
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
    from capsound_checker.audit.audited import Shown
    from capsound_checker.audit.resuming import Keeper


@click.command("audit", epilog=exits(VERDICTS, 65, 130))
@click.argument("log", nargs=-1, required=True)
@click.option(
    "--mapping", help="What foreign fields mean: a TOML file, or a built-in mapping. Recognised if not given."
)
@click.option(
    "--cap", help="Cap of every account that the log uses without opening it: units, or dollars ('$10', 10usd)."
)
@click.option(
    "--caps",
    type=click.Path(path_type=Path),
    help="Judge the caps of a TOML file: each with its window, for accounts, agents or models.",
)
@click.option(
    "--price", "given", multiple=True, help="Count in dollars: MODEL=IN/OUT[/CACHED[/WRITTEN]] per million tokens."
)
@click.option("--prices", is_flag=True, help="Count in dollars, by the prices of the installed package genai-prices.")
@click.option(
    "--bills",
    type=click.Choice(["auto", "logged", "settled"]),
    default="auto",
    show_default=True,
    help="Take true bills from `bill` events, from settled amounts, or from whichever comes first.",
)
@click.option(
    "--assume",
    multiple=True,
    type=click.Choice(["A10"]),
    help="Take it that an assumption holds where the log cannot show it. A10: no request was sent again in silence.",
)
@click.option(
    "--what-if",
    multiple=True,
    metavar="CAP[,CAP...]",
    help="Tell which calls another cap would have refused, and what they were billed. Give it again for more caps.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw spending over time as .png or .svg (capsound[plot])."
)
@click.option("--query", help="What to ask of a database: LOG is then sqlite:FILE or postgresql://USER@HOST/DATABASE.")
@click.option("--lenient", is_flag=True, help="Skip unusable lines, and count them.")
@click.option("--follow", is_flag=True, help="Keep reading as the log grows, until Ctrl-C.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="With --follow: keep in a file what is known, and go on from it.",
)
@click.option("--show", type=click.IntRange(0), default=5, show_default=True, help="Findings to show of each anomaly.")
@click.option("--memory", type=click.IntRange(1), default=10_000, show_default=True, help="Resolved holds to remember.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that judge parts.")
@click.option("--dask", default="", metavar="ADDRESS", help="Judge parts on a Dask cluster: tcp://HOST:8786.")
@as_json
@html
@markdown
@no_color
def command(
    log: tuple[str, ...],
    query: str | None,
    mapping: str | None,
    cap: str | None,
    caps: Path | None,
    given: tuple[str, ...],
    prices: bool,
    bills: str,
    assume: tuple[str, ...],
    what_if: tuple[str, ...],
    plot: Path | None,
    lenient: bool,
    follow: bool,
    state: Path | None,
    show: int,
    memory: int,
    workers: int,
    dask: str,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    no_color: bool,
) -> int:
    """Audit a production log.

    LOG holds one event per line as a JSON object, in the vocabulary of capsound or in another that is recognised, or
    that --mapping explains. Give files (.jsonl, .json, .csv, .parquet, packed as .gz or .zst), folders, patterns, - for
    standard input, or a database with --query. It is read once, in constant memory.
    """
    from capsound_checker.audit import logreading
    from capsound_checker.audit.asking import Asked
    from capsound_checker.audit.capsfile import load_caps
    from capsound_checker.audit.mapping import load_mapping
    from capsound_checker.audit.money import in_money
    from capsound_checker.audit.plot import write_spending
    from capsound_checker.audit.recognising import Recognised, recognised
    from capsound_checker.audit.sources import followed, open_source
    from capsound_checker.audit.units import cap_in, caps_in
    from capsound_checker.display.printing import printable
    from capsound_checker.display.terminal import status

    if plot is not None:
        from capsound_checker.display.plotting import check_plot

        check_plot(plot)
    check_pages(html, markdown)
    if follow and "-" in log:
        raise click.UsageError("--follow needs a file: standard input is followed anyway")
    if (workers > 1) + bool(dask) + follow > 1:
        raise click.UsageError("give one of --workers, --dask and --follow: a log that grows is judged as it comes")
    if state is not None and not follow:
        raise click.UsageError("--state goes with --follow: it keeps how far the log was read")
    unit = "units"
    known = None if mapping is None else load_mapping(mapping)

    def at_once(shown: Shown) -> None:
        with reader_may_leave():
            say(printable(f"line {shown.line:,}  {shown.anomaly}: {shown.told(unit)}"), err=as_json)

    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(_keeping(followed(log, query), state)) if follow else None
        source = None if keeper is not None else stack.enter_context(open_source(log, query))
        tell = stack.enter_context(status("reading", plain=no_color or follow))
        if keeper is not None:
            taken, name = keeper.taken(known), str(keeper.tail.path)
        else:
            assert source is not None
            taken, name = Recognised(source.lines, known), source.name
            if known is None:
                taken = recognised(source.lines, name)
        if taken.mapping is not None:
            taken.mapping = in_money(taken.mapping, given, prices)
        elif given or prices:
            raise click.UsageError("prices need a log that a mapping explains: this one is in our own vocabulary")
        unit = "units" if taken.mapping is None else taken.mapping.unit
        ceilings = () if caps is None else load_caps(caps, unit)
        if keeper is not None:
            options = {"--mapping": mapping, "--cap": cap, "--price": list(given), "--prices": prices, "--bills": bills}
            options |= {"--assume": sorted(assume), "--what-if": list(what_if), "--plot": plot is not None}
            options["--caps"] = [repr(ceiling) for ceiling in ceilings]
            keeper.bind({**options, "--lenient": lenient, "--show": show, "--memory": memory}, taken.mapping)
        asked = Asked(
            name,
            None if cap is None else cap_in(cap, unit),
            bills,
            lenient,
            memory,
            show,
            frozenset(assume),
            caps_in(what_if, unit),
            plot is not None,
            ceilings,
        )
        said = (taken.note,) if source is not None and known is None and taken.mapping is not None else ()
        lines = logreading.counted(taken.lines, tell)
        if workers > 1 or dask:
            from capsound_checker.audit.teams import audit_by

            told = audit_by(lines, asked, taken.mapping, workers=workers, dask=dask, notes=said)
        else:
            auditor = asked.auditor(taken.mapping, said, at_once if follow else None)
            auditor.keeper = keeper
            told = auditor.run(lines)
    where = source.notes if source is not None else tuple(keeper.notes) if keeper is not None else ()
    told = replace(told, notes=(*where, *told.notes))
    if (html or markdown or summary_asked()) and told.findings and not (follow or query) and _readable_twice(log):
        from capsound.errors import CapsoundError
        from capsound_checker.audit.excerpt import excerpt

        @contextlib.contextmanager
        def again() -> Iterator[Iterable[str]]:
            with open_source(log, query) as once_more:
                yield once_more.lines if known is not None else recognised(once_more.lines, name).lines

        with contextlib.suppress(CapsoundError):  # it may be gone by now: the verdict stands without a picture
            told = replace(told, excerpt=excerpt(again, asked, taken.mapping, told))
    with reader_may_leave():
        if as_json:
            echo_json(told.data())
        else:
            say(told.text(colour(no_color)), nl=False, colour=colour(no_color))
    failed = written(partial(write_spending, plot, told)) if plot is not None else 0
    failed = written(*pages(html, markdown, told.data)) or failed
    return failed or (130 if told.interrupted and not follow else told.exit_status)


def _readable_twice(log: tuple[str, ...]) -> bool:
    """Whether everything that was named can be read once more: a pipe would wait for ever."""
    return all(name != "-" and (not (path := Path(name)).exists() or path.is_file() or path.is_dir()) for name in log)


def _keeping(path: Path, state: Path | None) -> contextlib.AbstractContextManager[Keeper]:
    from capsound import __version__
    from capsound_checker.audit.resuming import keeping

    return keeping(path, state, __version__)
