"""``capsound history``: a recorded concurrent run in, whether some order explains it out."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.pages import check_pages, html, markdown, pages
from capsound_checker.commands.shared import VERDICTS, as_json, echo_json, exits, reader_may_leave, say, written


@click.command("history", epilog=exits(VERDICTS, 65, 130))
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@as_json
@html
@markdown
def command(path: Path, as_json: bool, html: Path | None, markdown: Path | None) -> int:
    """Check a recorded concurrent run.

    PATH holds one operation per line as a JSON object, with the times of its call and return; - is standard input.
    The run is sound if the model allows the operations in some order that fits these times.
    """
    from capsound_checker.histories.history import History, check
    from capsound_checker.histories.telling import data, text
    from capsound_checker.intake.files import lines_of

    check_pages(html, markdown)
    found = check(History.read(lines_of(path), str(path)))
    with reader_may_leave():
        echo_json(data(found)) if as_json else say(text(found))
    return written(*pages(html, markdown, lambda: data(found), str(path))) or found.exit_status
