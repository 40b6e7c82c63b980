"""``capsound new``: a commented scenario or adapter out, to start from."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.shared import exits, reader_may_leave, say


@click.command("new", epilog=exits({0: "written"}))
@click.argument("what", type=click.Choice(["scenario", "adapter"]))
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def command(what: str, path: Path | None, force: bool) -> None:
    """Write a commented scenario or adapter to start from.

    It goes to PATH, or to standard output.
    """
    from capsound.loading import scenario_template
    from capsound_checker.check.smoke import adapter_template
    from capsound_checker.display.files import CannotWrite, write_text

    text = scenario_template() if what == "scenario" else adapter_template()
    if path is None:
        with reader_may_leave():
            click.echo(text, nl=False)
        return
    if path.exists() and not force:
        raise CannotWrite(f"{path} already exists", hint="choose another name, or overwrite it with --force")
    write_text(path, text)
    following = f"solve {path}" if what == "scenario" else f"smoke {path}:MyBudget"
    with reader_may_leave():
        say(f"wrote {path}; next: capsound {following}")
