"""``capsound new``: a commented scenario, adapter or application out, to start from."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.shared import exits, reader_may_leave, say

GATES = ("reserve", "charge", "check", "record", "call")
"""The gates, as in ``capsound.adapter``, which the help need not import."""


@click.command("new", epilog=exits({0: "written"}))
@click.argument("what", type=click.Choice(["scenario", "adapter", "app"]))
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
@click.option(
    "--gate",
    type=click.Choice(GATES),
    help="Of an adapter: what stands between an agent and the provider.  [default: reserve]",
)
@click.option("--async", "asynchronous", is_flag=True, help="Of an adapter: its operations are coroutines.")
def command(what: str, path: Path | None, force: bool, gate: str | None, asynchronous: bool) -> None:
    """Write a scenario, an adapter or an application to start from.

    It goes to PATH, or to standard output.
    """
    from capsound.adapter import Gate
    from capsound.loading import scenario_template
    from capsound_checker.check.forms import adapter_template
    from capsound_checker.display.files import CannotWrite, write_text
    from capsound_checker.wire.template import app_template

    if what != "adapter" and (gate or asynchronous):
        raise click.UsageError(f"--gate and --async are for an adapter; there is one form of {what}")
    if what == "adapter":
        text = adapter_template(Gate(gate or "reserve"), asynchronous=asynchronous)
    else:
        text = {"scenario": scenario_template, "app": app_template}[what]()
    if path is None:
        with reader_may_leave():
            click.echo(text, nl=False)
        return
    if path.exists() and not force:
        raise CannotWrite(f"{path} already exists", hint="choose another name, or overwrite it with --force")
    write_text(path, text)
    following = {
        "scenario": f"solve {path}",
        "adapter": f"smoke {path}:MyBudget",
        "app": f"wire --cap 600tokens -- python {path} racy",
    }[what]
    with reader_may_leave():
        say(f"wrote {path}; next: capsound {following}")
