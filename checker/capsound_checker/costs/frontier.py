"""The frontier: what soundness costs against what is risked without it, as PNG or SVG.

One point for each strategy: the share of its calls that were billed above their hold, and its aggregate
over-reservation.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log
from pathlib import Path
from typing import Any

from capsound_checker.costs.figures import Figure, Figures
from capsound_checker.display import plotting

_GAP = 0.045
"""The least distance of two labels, as a share of the height."""


@dataclass(frozen=True, slots=True)
class Point:
    """One strategy on the plot; ``proved`` is whether A1 was proved for it."""

    name: str
    risk: Figure
    aggregate: Figure
    proved: bool


def points_of(figures: Sequence[Figures], proved: Sequence[bool]) -> list[Point]:
    """Return the points of the strategies that admitted anything."""
    pairs = zip(figures, proved, strict=True)
    return [Point(f.strategy, f.risk, f.aggregate, ok) for f, ok in pairs if f.aggregate.value is not None]


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats: none has less risk at no more cost, or less cost at no more risk."""

    def place(point: Point) -> tuple[Fraction, Fraction]:
        return point.risk.value or Fraction(0), point.aggregate.value or Fraction(0)

    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (*place(p), p.name)):
        if not kept or place(point)[1] < place(kept[-1])[1]:
            kept.append(point)
    return kept


def write_plot(path: Path, points: Sequence[Point], title: str) -> None:
    """Write the plot; the same points give the same bytes. Raises as ``plotting.write_plot`` does."""
    plotting.write_plot(path, lambda axes: _draw(axes, points, title))


def _draw(axes: Any, points: Sequence[Point], title: str) -> None:
    _axes(axes, points, title)
    for point in points:
        _point(axes, point)
    best = frontier(points)
    risks, costs = ([float(getattr(p, name).value or 0) for p in best] for name in ("risk", "aggregate"))
    axes.step(risks, costs, where="post", color="0.6", linewidth=1, zorder=1)
    _labels(axes, points)


def _axes(axes: Any, points: Sequence[Point], title: str) -> None:
    ticker: Any = importlib.import_module("matplotlib.ticker")
    costs = [float(x) for p in points for x in (p.aggregate.value, p.aggregate.low, p.aggregate.high) if x]
    risks = [float(p.risk.high or 0) for p in points]
    low, high = min([*costs, 1.0]) * 0.93, max([*costs, 1.1]) * 1.1
    right = max([*risks, 0.01])
    axes.set_title(title, loc="left")
    axes.set_xlabel("risk: share of calls billed above their hold (A1 violations)")
    axes.set_ylabel("cost: aggregate over-reservation, sum reserved / sum billed")
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(-0.04 * right, right * 1.45)
    ticks = [t for t in (0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64) if low <= t <= high]
    axes.yaxis.set_major_locator(ticker.FixedLocator(ticks))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.xaxis.set_major_formatter(ticker.PercentFormatter(1.0))
    axes.grid(visible=True, color="0.92")
    axes.axhline(1, color="0.75", linewidth=1)


def _point(axes: Any, point: Point) -> None:
    risk, cost = point.risk, point.aggregate
    x, y = float(risk.value or 0), float(cost.value or 0)
    across = [[x - float(risk.low or 0)], [max(0.0, float(risk.high or 0) - x)]]
    up = [[y - float(cost.low or cost.value or 0)], [max(0.0, float(cost.high or cost.value or 0) - y)]]
    colour = "tab:blue" if point.proved else "tab:red"
    axes.errorbar(x, y, xerr=across, yerr=up, fmt="none", ecolor=colour, alpha=0.3, linewidth=1, zorder=2)
    marker = {"marker": "o", "s": 36} if point.proved else {"marker": "^", "s": 36, "facecolors": "white"}
    axes.scatter([x], [y], edgecolors=colour, linewidths=1.3, zorder=3, **{"facecolors": colour, **marker})


def _labels(axes: Any, points: Sequence[Point]) -> None:
    """Name the points at the right, in the order of their cost, far enough from each other to be read."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    ordered = sorted(points, key=lambda p: (p.aggregate.value or Fraction(0), p.name))
    places = _spread([log(float(p.aggregate.value or 1) / low) / log(high / low) for p in ordered])
    for point, place in zip(ordered, places, strict=True):
        label = f"{point.name} {float(point.aggregate.value or 0):.2f}" + ("" if point.proved else " (A1 refuted)")
        x, y = float(point.risk.value or 0), float(point.aggregate.value or 0)
        axes.annotate(
            label,
            xy=((x - left) / (right - left), log(y / low) / log(high / low)),
            xytext=(0.74, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            color="tab:blue" if point.proved else "tab:red",
            arrowprops={"arrowstyle": "-", "color": "0.85", "linewidth": 0.7, "shrinkB": 3},
        )


def _spread(places: list[float]) -> list[float]:
    """Return sorted places, moved apart to the least distance and kept between 0.02 and 0.98."""
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + _GAP if spread else 0.02))
    for i in reversed(range(len(spread))):
        ceiling = 0.98 if i == len(spread) - 1 else spread[i + 1] - _GAP
        spread[i] = min(spread[i], ceiling)
    return spread
