"""``capsound schema``: the JSON Schema of a kind of file out."""

from __future__ import annotations

import click

from capsound_checker.commands.shared import echo_json, exits


@click.command("schema", epilog=exits({0: "printed"}))
@click.argument("what", type=click.Choice(["scenario"]))
def command(what: str) -> None:
    """Print the JSON Schema of scenario files."""
    from capsound.loading import scenario_schema

    del what
    echo_json(scenario_schema(), sort_keys=False)
