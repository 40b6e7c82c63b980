"""``capsound audit``: a production log in, what went wrong in it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from capsound_checker.commands.shared import (
    VERDICTS,
    as_json,
    colour,
    echo_json,
    exits,
    no_color,
    reader_may_leave,
    say,
)

if TYPE_CHECKING:
    from capsound_checker.audit.audited import Shown


@click.command("audit", epilog=exits(VERDICTS, 65, 130))
@click.argument("log")
@click.option("--mapping", help="What foreign fields mean: a TOML file, or a built-in mapping (otel-genai).")
@click.option("--cap", type=click.IntRange(0), help="Cap of every account that the log uses without opening it.")
@click.option(
    "--bills",
    type=click.Choice(["auto", "logged", "settled"]),
    default="auto",
    show_default=True,
    help="Take true bills from `bill` events, from settled amounts, or from whichever comes first.",
)
@click.option("--lenient", is_flag=True, help="Skip unusable lines, and count them.")
@click.option("--follow", is_flag=True, help="Keep reading as the log grows, until Ctrl-C.")
@click.option("--show", type=click.IntRange(0), default=5, show_default=True, help="Findings to show of each anomaly.")
@click.option("--memory", type=click.IntRange(1), default=10_000, show_default=True, help="Resolved holds to remember.")
@as_json
@no_color
def command(
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
    """Audit a production log.

    LOG holds one event per line as a JSON object, in the vocabulary of capsound or in another that --mapping explains;
    - is standard input, and a name that ends in .gz is decompressed. It is read once, in constant memory.
    """
    from capsound_checker.audit import auditing, logreading
    from capsound_checker.audit.mapping import load_mapping
    from capsound_checker.display.printing import printable
    from capsound_checker.display.terminal import status

    if follow and log == "-":
        raise click.UsageError("--follow needs a file: standard input is followed anyway")
    known = None if mapping is None else load_mapping(mapping)
    name = "standard input" if log == "-" else log

    def at_once(shown: Shown) -> None:
        with reader_may_leave():
            say(printable(f"line {shown.line:,}  {shown.anomaly}: {shown.sentence}"), err=as_json)

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
        if as_json:
            echo_json(told.data())
        else:
            say(told.text(colour(no_color)), nl=False, colour=colour(no_color))
    return 130 if told.interrupted and not follow else told.exit_status
