"""``capsound explore``: a scenario in, a page to walk through it step by step."""

from __future__ import annotations

from pathlib import Path

import click

from capsound_checker.commands.shared import exits, say


@click.command("explore", epilog=exits({0: "ended with Ctrl-C"}, 65))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Listen on this port (default: a free one).")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
def command(path: Path, port: int, no_browser: bool) -> int:
    """Walk through a scenario step by step, in a browser.

    PATH is a scenario file. The page offers every step that is possible, marks those after which the cap can break, and
    has the token of the run, for `capsound replay`. It is served on 127.0.0.1 until Ctrl-C.
    """
    from capsound_checker.solve.replaying import machine_of
    from capsound_checker.solve.serving import serve

    machine = machine_of(path)

    def told(address: str) -> None:
        say(f"exploring {path} at {address} (Ctrl-C ends it)")

    serve(machine, path, port, told, browse=not no_browser)
    return 0
