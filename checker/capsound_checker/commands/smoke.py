"""``capsound smoke``: an adapter in, whether it works out."""

from __future__ import annotations

import click

from capsound_checker.commands.shared import as_json, echo_json, exits, load_timeout, reader_may_leave, say


@click.command("smoke", epilog=exits({0: "the adapter works", 65: "it does not, or cannot be loaded"}, 130))
@click.argument("target")
@load_timeout
@as_json
def command(target: str, load_timeout: float, as_json: bool) -> int:
    """Check that an adapter works.

    TARGET is an adapter as for `check`. Two calls decide: one that always fits must be admitted and recorded, one
    that never fits must be refused. Run this before `check`, which tests what the adapter wraps.
    """
    from capsound_checker.check.plan import Plan
    from capsound_checker.check.smoke import smoke
    from capsound_checker.display.terminal import status

    with status("smoke", plain=False) as tell:
        told = smoke(Plan(target, load_seconds=load_timeout), tell)
    with reader_may_leave():
        if as_json:
            echo_json(told.data())
        else:
            say(told.text(), nl=False)
    return told.exit_status
