"""Spending against the cap over time, as PNG or SVG."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from capsound_checker.audit.audited import UNCAPPED, Audit, Root
from capsound_checker.audit.moments import DATES
from capsound_checker.audit.series import ROOTS, Curves
from capsound_checker.audit.units import PICO_USD
from capsound_checker.display import plotting
from capsound_checker.display.printing import printable
from capsound_checker.intake.limits import cut
from capsound_checker.prices.pricing import PICO


def write_spending(path: Path, audit: Audit) -> None:
    """Plot what was billed over time to the roots that the report lists; the same log gives the same bytes.

    One root is drawn in the unit of the log, several as shares of their caps. Raises as ``plotting.write_plot`` does.
    """
    curves = audit.curves or Curves()
    drawn = [root for root in audit.roots if curves.points(root.name)]
    plotting.write_plot(path, lambda axes: _draw(axes, audit, curves, drawn))


def _draw(axes: Any, audit: Audit, curves: Curves, drawn: Sequence[Root]) -> None:
    capped = all(root.cap != UNCAPPED for root in drawn)
    alone = len(drawn) == 1 or not capped
    cap = float(drawn[0].cap) if alone and drawn else 1.0
    scale = PICO if alone and audit.unit == PICO_USD else 1
    dates = curves.timed and all(at >= DATES for root in drawn for at, _ in curves.points(root.name))
    for root in drawn:
        points = curves.points(root.name)
        share = scale if alone else max(root.cap, 1)
        over = [(at, billed) for at, billed in points if billed > root.cap]
        label = _plain(root.name)
        (line,) = axes.step(
            [_place(at, curves.timed, dates) for at, _ in points],
            [billed / share for _, billed in points],
            where="post",
            linewidth=1.4,
            marker="o" if len(points) < 40 else None,
            markersize=3,
            label=label,
        )
        if over:
            at, billed = over[0]
            axes.plot([_place(at, curves.timed, dates)], [billed / share], "X", color=line.get_color(), markersize=9)
    if capped:
        axes.axhline(cap / scale, color="tab:red", linewidth=1, linestyle="--", label="cap")
    axes.set_ylim(bottom=0)
    axes.set_title(_title(audit, curves, len(drawn)), loc="left")
    axes.set_xlabel(("time (UTC)" if dates else "time in seconds") if curves.timed else "line of the log")
    unit = "dollars" if audit.unit == PICO_USD else _plain(audit.unit)
    axes.set_ylabel(f"billed, in {unit}" if alone else "billed, as a share of the cap")
    axes.grid(visible=True, color="0.92")
    axes.legend(loc="upper left", fontsize=8)
    _ticks(axes, alone, dates)


def _ticks(axes: Any, alone: bool, dates: bool) -> None:
    if not alone:
        axes.yaxis.set_major_formatter(importlib.import_module("matplotlib.ticker").PercentFormatter(1.0))
    if dates:
        known: Any = importlib.import_module("matplotlib.dates")
        locator = known.AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(known.ConciseDateFormatter(locator))


def _place(at: int, timed: bool, dates: bool) -> float:
    """Return a place on the axis: days since 1970 for a date, seconds, or a line."""
    if not timed:
        return float(at)
    return at / (86400 * 10**9) if dates else at / 10**9


def _title(audit: Audit, curves: Curves, drawn: int) -> str:
    parts = [f"{_plain(audit.name)}: {audit.verdict.value}"]
    if audit.root_count > drawn:
        parts.append(f"{drawn:,} of {audit.root_count:,} roots")
    if curves.left_out:
        parts.append(f"of the first {ROOTS} that spent")
    return ", ".join(parts)


def _plain(text: str) -> str:
    """Return a name as it is: a dollar sign begins no formula."""
    return printable(cut(text, 60)).replace("$", r"\$")
