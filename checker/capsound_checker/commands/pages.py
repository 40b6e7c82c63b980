"""The options by which a command writes its runs to be looked at: apart, since no help of all commands needs a path."""

from __future__ import annotations

from pathlib import Path

import click

html = click.option(
    "--html", type=click.Path(path_type=Path), help="Write the runs as one page of HTML, to walk through."
)
markdown = click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the runs as Markdown, to paste into a pull request."
)
