"""What the commands share: options, exit statuses in help, sections of values, and how output is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from capsound_checker.display.files import CannotWrite
from capsound_checker.display.printing import clean
from capsound_checker.display.telling import error_text

COMMON = {64: "usage", 65: "bad input", 70: "a bug of capsound", 130: "interrupted"}
"""What these statuses mean in every command that can end with them; every command can end with 64 and 70."""

VERDICTS = {0: "sound", 1: "violated", 2: "unknown"}


def exits(verdicts: Mapping[int, str], *more: int) -> str:
    """Return the line of a help text that names exit statuses: those of the command, and ``more`` of the common ones.

    What is named is what can occur: the tests compare it with every run of the command line that they make.
    """
    named = {**verdicts, **{number: COMMON[number] for number in sorted({64, 70, *more})}}
    return f"Exit status: {', '.join(f'{number} {meaning}' for number, meaning in sorted(named.items()))}."


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
html = click.option(
    "--html", type=click.Path(path_type=Path), help="Write the runs as one page of HTML, to walk through."
)
markdown = click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the runs as Markdown, to paste into a pull request."
)
badge = click.option("--badge", type=click.Path(path_type=Path), help="Write a badge (SVG) that says what is known.")
no_color = click.option("--no-color", is_flag=True, help="Plain text, also on a terminal.")


def say(text: str, *, nl: bool = True, err: bool = False, colour: bool = False) -> None:
    """Print a text; what of it a terminal or a workflow would act upon is shown instead."""
    click.echo(clean(text, colour=colour), nl=nl, err=err)


def echo_json(document: Any, *, sort_keys: bool = True) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=2, sort_keys=sort_keys))


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let the reader of standard output leave early (``| head``): the verdict stays what it is.

    Nothing but printing happens in it: raises ``CannotWrite`` where the output cannot be written.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        forget_output()
    except OSError as error:
        forget_output()
        raise CannotWrite(f"cannot write the output: {error.strerror}") from None


def forget_output() -> None:
    """Let what is left in the buffer of standard output go nowhere: nobody takes it."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def written(*writes: Callable[[], object]) -> int:
    """Write the files that were asked for, after the report; return 0, or the status of what cannot be written.

    The report was printed: what becomes of its copies does not change it.
    """
    status = 0
    for write in writes:
        try:
            write()
        except CannotWrite as error:
            click.echo(error_text(error), err=True)
            status = error.exit_status
    return status


def check_pages(*files: Path | None) -> None:
    """Refuse, before any work, what could not be written at its end. Raises ``CannotWrite``."""
    from capsound_checker.display.files import check_writable

    for file in files:
        if file is not None:
            check_writable(file)


def summary_asked() -> str:
    """Return the file of the summary of a step, in a workflow of GitHub; empty elsewhere."""
    return os.environ.get("GITHUB_STEP_SUMMARY", "")


def pages(
    html: Path | None, markdown: Path | None, document: Callable[[], Any], source: str = "", badge: Path | None = None
) -> list[Callable[[], object]]:
    """Return what writes the pages that were asked for, of a ``--json`` document that is made only if there are any.

    ``source`` is what the command was given. In a workflow of GitHub the Markdown also goes to the summary of the step.
    """
    summary = summary_asked()
    if not (html or markdown or badge or summary):
        return []
    from capsound_checker.page.badge import write_badge
    from capsound_checker.page.markdown import add_markdown, write_markdown
    from capsound_checker.page.rendering import write_page

    made = document()
    writes: list[Callable[[], object]] = []
    if html is not None:
        writes.append(partial(write_page, html, made, source))
    if markdown is not None:
        writes.append(partial(write_markdown, markdown, made, source))
    if badge is not None:
        writes.append(partial(write_badge, badge, made))
    if summary and (markdown is None or markdown.resolve() != Path(summary).resolve()):
        writes.append(partial(_sum_up, partial(add_markdown, Path(summary), made, source)))
    return writes


def _sum_up(write: Callable[[], object]) -> None:
    """Write the summary of a step; nobody has asked for it, so that a command does not fail without it."""
    try:
        write()
    except CannotWrite as error:
        click.echo(error_text(error), err=True)


def colour(no_color: bool) -> bool:
    """Return whether standard output gets colours."""
    return sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR")


Meanings = Callable[[], Mapping[str, str]]
"""Returns the values of an option with the meaning of each; called only when help or completion needs them."""


class WithValues(click.Command):
    """A command whose help lists the values of some options, one line each: ``sections`` maps headings to values."""

    sections: Mapping[str, Meanings] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the sections."""
        super().format_options(ctx, formatter)
        for heading, meanings in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(meanings().items()))


def with_values(**sections: Meanings) -> type[WithValues]:
    """Return a class of commands whose help has these sections; an underscore in a heading becomes a space."""
    return type("WithValues", (WithValues,), {"sections": {k.replace("_", " "): v for k, v in sections.items()}})


Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def guarantees() -> Mapping[str, str]:
    """Return the guarantees that can be required, with the meaning of each; loaded only when it is asked for."""
    from capsound.guarantees import LADDER

    return {rung.guarantee.label: rung.holds_when for rung in LADDER[1:]}


def completing(names: Callable[[], Iterable[str]]) -> Complete:
    """Return a completion that offers ``names``."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


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
            self.fail(f"{value!r} is not a time: write 30s, 2m or 1h", param, ctx)
        if not 0 < seconds <= 86_400:
            self.fail(f"{value!r} is not between 1 ms and a day", param, ctx)
        return seconds


load_timeout = click.option(
    "--load-timeout",
    type=Span(),
    default="60s",
    show_default=True,
    help="How long the target may take to load.",
)
"""The option of every command that loads a target."""
