"""``capsound history``: a recorded concurrent run in, whether some order explains it out."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.shared import VERDICTS, as_json, exits, reader_may_leave, say


@click.command("history", epilog=exits(VERDICTS, 65, 130))
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@as_json
def command(path: Path, as_json: bool) -> int:
    """Check a recorded concurrent run.

    PATH holds one operation per line as a JSON object, with the times of its call and return; - is standard input.
    The run is sound if the model allows the operations in some order that fits these times.
    """
    from capsound_checker.histories.telling import judged
    from capsound_checker.intake.files import lines_of

    told, status = judged(lines_of(path), str(path), as_json=as_json)
    with reader_may_leave():
        click.echo(told) if as_json else say(told)
    return status
