"""The options by which a command writes its runs to be looked at: apart, since no help of all commands needs a path."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from capsound_checker.display.files import CannotWrite
from capsound_checker.display.telling import error_text

html = click.option(
    "--html", type=click.Path(path_type=Path), help="Write the runs as one page of HTML, to walk through."
)
markdown = click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the runs as Markdown, to paste into a pull request."
)
badge = click.option("--badge", type=click.Path(path_type=Path), help="Write a badge (SVG) that says what is known.")


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
