"""Plots as PNG or SVG: the same data gives the same bytes. matplotlib is an extra, imported only here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.display.files import check_writable, write_bytes

FORMATS = (".png", ".svg")


class NoPlot(CapsoundError):
    """A plot was asked for, and there is nothing to draw it with or no such format."""

    name = "no-plot"
    exit_status = EXIT_USAGE


def check_plot(path: Path) -> None:
    """Raise ``NoPlot`` or ``CannotWrite`` where a plot could not be written: before the work, not after it."""
    if path.suffix.lower() not in FORMATS:
        raise NoPlot(f"cannot plot to {path}", cause="its name tells the format", hint="end it in .png or .svg")
    check_writable(path)
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise NoPlot(
            "cannot plot: matplotlib is not installed",
            cause="it is an extra, since nothing else needs it",
            hint="pip install 'capsound[plot]'",
        ) from None


def write_plot(path: Path, draw: Callable[[Any], None], *, size: tuple[float, float] = (8, 5)) -> None:
    """Write what ``draw`` puts on axes of a size in inches. Raises as ``check_plot`` does."""
    check_plot(path)
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    kind = path.suffix.lower().removeprefix(".")
    style = {"svg.hashsalt": "capsound", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9}
    picture = BytesIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **style}):
        figure = figures.Figure(figsize=size, dpi=120, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(picture, format=kind, metadata={"Date": None} if kind == "svg" else {"Software": None})
    write_bytes(path, picture.getvalue())
