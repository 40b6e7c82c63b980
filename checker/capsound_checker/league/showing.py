"""A league as a page of HTML that needs nothing else, as badges, and as a plot of guarantee against precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from capsound.verdict import Verdict
from capsound_checker.display import plotting
from capsound_checker.display.files import make_folder, write_text
from capsound_checker.display.printing import clean, printable
from capsound_checker.league.tables import FATES
from capsound_checker.league.telling import GUARANTEES, percent
from capsound_checker.page.badge import COLOURS, drawn


def write_page(path: Path, document: Mapping[str, Any]) -> None:
    """Write the page of a league. Raises ``CannotWrite``."""
    write_text(path, page(document))


def page(document: Mapping[str, Any]) -> str:
    """Return one page of HTML: no script, no other file, and everything from outside escaped."""
    style = (files("capsound_checker.page") / "page.css").read_text("utf-8")
    head = "".join(
        f"<th scope=col>{name}</th>"
        for name in ("target", "version", "strongest guarantee", "anomalies", "cap used", *FATES)
    )
    rows = "".join(_row(row) for row in document["targets"])
    sections = "".join(_section(row) for row in document["targets"])
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>What published budgets keep</title><style>{style}{_STYLE}</style></head><body><main>"
        f"<h1>What published budgets keep</h1><div class=wide><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{sections}</main></body></html>\n"
    )


_STYLE = (
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem}"
    "th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}"
    "pre{background:var(--panel);padding:.6rem;overflow-x:auto;font-size:.8rem}"
)


def _row(row: Mapping[str, Any]) -> str:
    found = dict.fromkeys(each["anomaly"] for each in row["found"] if not each["misuse"])
    name = _words(row["name"])
    cells = [
        f'<a href="#{name}">{name}</a>',
        _words(row["version"]),
        f"<span class={_words(row['verdict'])}>{_words(row['strongest'] or 'unknown')}</span>",
        _words(", ".join(found) or "-"),
        percent(row["precision"], "used_per_mille"),
        *(_words(row["fates"].get(fate, "-")) for fate in FATES),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _section(row: Mapping[str, Any]) -> str:
    lines = "".join(f"<li>{line}</li>" for line in _lines(row))
    runs = "".join(
        f"<details><summary>{_words(each['anomaly'])}: {_words(each['sentence'])}</summary>"
        f"<pre>{escape(clean(chr(10).join(each['story'])))}</pre></details>"
        for each in row["found"]
    )
    return f"<h2 id={_words(row['name'])}>{_words(row['name'])}</h2><ul>{lines}</ul>{runs}"


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"It promises: “{_words(row['promise'])}” ({_words(row['source'])})"
    if row["evidence"]:
        yield f"Evidence for {_words(row['strongest'])}: {_words(row['evidence'])}"
    for name, texts in (("Documented limit", row["limits"]), ("Defect", row["defects"])):
        yield from (f"{name}: {_words(text)}" for text in texts)
    if row["verdict"] == "unknown":
        yield from (f"Unknown: {_words(text)}" for text in row["doubts"])
    yield f"Judged on {_words(row['judged_on'])}; again: <code>{_words(row['command'])}</code>"


def _words(text: str) -> str:
    return escape(printable(text))


# ------------------------------------------------------------------------------------------------------ badges


def write_badges(folder: Path, document: Mapping[str, Any]) -> None:
    """Write a badge for each target, called ``NAME.svg``. Raises ``CannotWrite``."""
    make_folder(folder)
    for row in document["targets"]:
        write_text(folder / f"{row['name']}.svg", badge(row))


def badge(row: Mapping[str, Any]) -> str:
    """Return the badge of a target: the strongest guarantee that it keeps, green where nothing refutes the next one.

    What is wrong only when it is misused refutes none, and does not show.
    """
    verdict = Verdict.SOUND if row["only_misused"] else Verdict(row["verdict"])
    return drawn(row["strongest"] or "unknown", COLOURS[verdict])


# -------------------------------------------------------------------------------------------------------- plot


def write_plot(path: Path, document: Mapping[str, Any]) -> None:
    """Plot guarantee against precision; the same document gives the same bytes. Raises as ``plotting.write_plot``."""
    rows = len(points_of(document)) + len(GUARANTEES)
    plotting.write_plot(path, lambda axes: _draw(axes, document), size=(8, 1.6 + rows * 0.19))


def points_of(document: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Return name, place of the guarantee (0 is none), and percent of the cap used, of targets that have both.

    Who keeps most comes first, and among those who use most of the cap within it.
    """
    rows = [row for row in document["targets"] if row["strongest"] and row["precision"] is not None]
    points = [
        (row["name"], GUARANTEES.index(row["strongest"]), row["precision"]["used_per_mille"] / 10) for row in rows
    ]
    return sorted(points, key=lambda point: (-point[1], point[2] > 100, -point[2], point[0]))


def _draw(axes: Any, document: Mapping[str, Any]) -> None:
    """Draw a row for each target, below the guarantee that it keeps."""
    ticks: list[tuple[int, str]] = []
    row, above = 0, None
    for name, place, used in points_of(document):
        if place != above:
            axes.axhspan(row - 0.5, row + 0.5, color="0.93", zorder=0)
            ticks.append((row, GUARANTEES[place]))
            row, above = row + 1, place
        colour = "tab:red" if used > 100 else "tab:blue"
        axes.plot([0, used], [row, row], color=colour, linewidth=0.8, alpha=0.5)
        axes.scatter([used], [row], color=colour, s=18, zorder=3)
        ticks.append((row, name))
        row += 1
    for name, width, style in lines_of(document):
        axes.axvline(width, color="0.35", linewidth=0.9, linestyle=style, label=f"{name} {width:.0f} %")
    axes.set_title("What published budgets keep, and how much of the cap they use", loc="left")
    axes.set_xlabel("percent of what a clairvoyant oracle uses of the cap (red: the cap was exceeded)")
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=7)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in GUARANTEES else "normal")
    axes.set_ylim(max(row, 1) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.tick_params(axis="y", length=0)
    axes.legend(fontsize=7, loc="upper right")


def lines_of(document: Mapping[str, Any]) -> list[tuple[str, float, Any]]:
    """Return what targets are compared with: the oracle, plain reserve-settle, and strategies of ``capsound ratio``."""
    out: list[tuple[str, float, Any]] = [("clairvoyant oracle", 100.0, "-")]
    row = next((row for row in document["targets"] if row["precision"] is not None), None)
    if row is not None:
        out.append(("reserve-settle", row["precision"]["reserve_settle_per_mille"] / 10, "--"))
    price = document["price"]
    strategies = price["strategies"] if price is not None else ()
    styles = (":", "-.", (0, (1, 4)))
    return [
        *out,
        *((f"ratio: {one['name']}", one["used_per_mille"] / 10, styles[at % 3]) for at, one in enumerate(strategies)),
    ]
