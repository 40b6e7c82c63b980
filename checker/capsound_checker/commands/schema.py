"""``capsound schema``: the JSON Schema of scenario files, or of what a command prints with ``--json``, out."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.shared import echo_json, exits, reader_may_leave

NAMES = sorted(["scenario", *(path.stem for path in Path(__file__).parent.parent.glob("display/schema/*.json"))])
"""What has a schema: looked up in the folder, so that help and completion load nothing."""


@click.command("schema", epilog=exits({0: "printed"}))
@click.argument("what", metavar="NAME", type=click.Choice(NAMES))
def command(what: str) -> None:
    """Print the JSON Schema of a format.

    NAME is a command that has --json, for what it prints then; error, for what any of them prints where it cannot
    answer; saved and run, for the files of `check --save` and `wire --save`; or scenario, for scenario files.
    """
    if what == "scenario":
        from capsound.loading import scenario_schema

        document = scenario_schema()
    else:
        from capsound_checker.display.schemas import schema_of

        document = schema_of(what)
    with reader_may_leave():
        echo_json(document, sort_keys=False)
