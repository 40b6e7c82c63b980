"""``capsound explain``: a name that a message used in, what it means out."""

from __future__ import annotations

import click

from capsound_checker.commands.shared import completing, exits, reader_may_leave


def _names() -> list[str]:
    from capsound_checker.display.explaining import names_by_kind

    return [name for names in names_by_kind().values() for name in names]


@click.command("explain", epilog=exits({0: "explained", 65: "unknown name"}))
@click.argument("name", required=False, shell_complete=completing(_names))
def command(name: str | None) -> None:
    """Explain a name that a message uses.

    NAME is an anomaly, guarantee, property, assumption, rule, step or discipline; without it, all are listed.
    """
    from capsound_checker.display.explaining import explain_name, list_names

    with reader_may_leave():
        click.echo(list_names() if name is None else explain_name(name))
