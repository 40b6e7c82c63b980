"""``capsound clients``: how many requests a client sends for one call; measured, or from the table that ships."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from capsound_checker.commands.shared import as_json, completing, echo_json, exits, no_color, reader_may_leave, say


def _names() -> list[str]:
    from capsound_checker.wire.measuring import DRIVERS

    return list(DRIVERS)


@click.command("clients", epilog=exits({0: "printed, or measured"}, 65, 130))
@click.argument("names", nargs=-1, shell_complete=completing(_names))
@click.option("--python", default=sys.executable, show_default="this one", help="The interpreter that has the client.")
@click.option(
    "--node",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The folder with its node_modules.  [default: this one]",
)
@click.option("--fault", "faults", multiple=True, help="Only this fault; repeat.")
@click.option("--toml", "as_toml", is_flag=True, help="Print rows as a scenario's `client` is looked up in.")
@as_json
@no_color
def command(
    names: tuple[str, ...],
    python: str,
    node: Path,
    faults: tuple[str, ...],
    as_toml: bool,
    as_json: bool,
    no_color: bool,
) -> int:
    """Measure how many requests clients send for one call.

    NAME is one of the clients that capsound can drive, such as openai-python; it is run in --python, or by node in
    --node. capsound is its provider: each request of one call meets the same fault, and is counted. Without a name, the
    table that ships is printed: `client = "openai-python"` in a scenario looks its hidden retries up there.
    """
    from capsound.clients import FAULTS, known_clients, write_clients
    from capsound.errors import nearest
    from capsound_checker.display.terminal import status
    from capsound_checker.wire.measuring import Met, client_of, driver, measure
    from capsound_checker.wire.measuring_display import data, table

    for fault in faults:
        if fault not in FAULTS:
            raise click.BadParameter(f"{fault!r} is no fault; {nearest(fault, FAULTS)}", param_hint="--fault")
    if as_json and as_toml:
        raise click.UsageError("give --json or --toml")
    clients = {} if names else dict(known_clients())
    met: dict[str, tuple[Met, ...]] = {}
    if names:
        chosen = [driver(name) for name in dict.fromkeys(names)]
        today = datetime.now().astimezone().date()
        with status("measuring", plain=no_color) as tell:
            for one in chosen:
                met[one.name] = measure(one, python, node, faults or tuple(FAULTS), tell)
                clients[one.name] = client_of(one, met[one.name], today)
    with reader_may_leave():
        if as_json:
            echo_json(data(clients, met))
        elif as_toml:
            click.echo(write_clients(clients), nl=False)
        else:
            say(table(clients, met), nl=False)
    return 0
