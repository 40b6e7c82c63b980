"""Text for a terminal or for a file: the width, the colours, and a line that says what is being done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any


def rendered(draw: Any, colour: bool) -> str:
    """Return what ``draw`` prints to a console, with colours only where they are wanted."""
    from rich.console import Console

    buffer = StringIO()
    width = _width() if sys.stdout.isatty() else 110
    draw(
        Console(
            file=buffer,
            force_terminal=colour,
            no_color=not colour,
            width=width,
            highlight=False,
            emoji=False,
        )
    )
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _width() -> int:
    try:
        return max(60, min(160, os.get_terminal_size().columns))
    except OSError:
        return 110


@contextmanager
def status(what: str, *, plain: bool) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being done; say nothing elsewhere."""
    from rich.console import Console

    if not sys.stderr.isatty():
        yield lambda _: None
        return
    console = Console(stderr=True, no_color=plain, emoji=False, markup=False)
    with console.status(what) as shown:
        yield lambda text: shown.update(f"{what}: {text}")
