"""Draw the picture of the README: one race, with the check and the reservation apart and in one step.

``python docs/images/draw.py`` writes ``race.svg`` beside this file. Both runs are replayed from their tokens; a test
compares the picture with what is drawn from the code.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from capsound.disciplines import DISCIPLINES
from capsound.events import Bill, Refuse, Reserve, Send, Settle
from capsound.loading import load_scenario
from capsound.machine import TOLD_APART, compile_scenario
from capsound.schedule import parse_token, run_schedule

ROOT = Path(__file__).parents[2]
PANELS = (
    ("check, then call, then add", "scenarios/race-a-racy-counter.toml", "cs1:60/0.0.1.1.2.2"),
    ("check and reserve in one step", "scenarios/race-b-reserve-settle.toml", "cs1:60/0.0.1.0.2.2"),
)
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 11px; fill: #59636e }
  .title { font-weight: 600 } .row { stroke: #d1d9e0 }
  .cap { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 3 }
  .bill { fill: #54aeff } .over { fill: #cf222e } .bad { fill: #cf222e; font-weight: 600 }
  .ok { fill: #1a7f37; font-weight: 600 }
  .sent { fill: #0969da } .kept { fill: none; stroke: #9a6700; stroke-width: 1.5 }
  .no { stroke: #59636e; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #f0f6fc } .small { fill: #9198a1 } .row { stroke: #3d444d }
    .bill { fill: #388bfd } .over, .bad { fill: #f85149 } .cap { stroke: #f85149 } .ok { fill: #3fb950 }
    .sent { fill: #58a6ff } .kept { stroke: #d29922 } .no { stroke: #9198a1 } }
"""
WIDTH, HEIGHT, PANEL = 850, 300, 410
LEFT, STEP, TOP, ROW = 78, 46, 62, 34
BASE, SCALE = 278, 1.35


def render() -> str:
    """Return the picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Three agents under a cap of 60: billed 69 where the check and the reservation are apart, 46 where they"
        " are one step</title>",
        f"<style>{STYLE}</style>",
    ]
    for number, (title, path, token) in enumerate(PANELS):
        parts.append(f'<g transform="translate({number * (PANEL + 30)} 0)">')
        parts += panel(title, ROOT / path, token)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def panel(title: str, path: Path, token: str) -> list[str]:
    """Return one run: a row for each agent, and below it the bills as they grow towards the cap."""
    scenario = load_scenario(path, known_disciplines=DISCIPLINES)
    machine = compile_scenario(scenario, limit=TOLD_APART)
    trace = run_schedule(machine, parse_token(token))
    cap, names = trace.schedule.cap, [process.name for process in machine.processes]
    out = [f'<text class="title" x="0" y="20">{escape(title)}</text>']
    out.append(f'<text class="small" x="0" y="38">{escape(str(machine.discipline))}</text>')
    for number, name in enumerate(names):
        y = TOP + number * ROW
        out.append(f'<text x="0" y="{y + 4}">{escape(name)}</text>')
        out.append(f'<line class="row" x1="{LEFT}" y1="{y}" x2="{PANEL - 12}" y2="{y}"/>')
    billed = 0
    for at, step in enumerate(trace.steps):
        x, grown = LEFT + 14 + at * STEP, billed
        for event in step.events:
            y = TOP + names.index(step.actor) * ROW
            if isinstance(event, Reserve):
                out += [f'<circle class="kept" cx="{x}" cy="{y}" r="7"/>', label(x, y, f"{event.amount} fits")]
            elif isinstance(event, Refuse):
                out += [cross(x, y), label(x, y, f"{event.amount} refused")]
            elif isinstance(event, Send):
                out.append(f'<circle class="sent" cx="{x}" cy="{y}" r="7"/>')
            elif isinstance(event, Bill):
                grown += event.amount
                out.append(label(x, y, f"billed {event.amount}"))
            elif isinstance(event, Settle):
                out += [f'<rect class="sent" x="{x - 6}" y="{y - 6}" width="12" height="12"/>', label(x, y, "settled")]
        out += bars(x, cap, grown)
        billed = grown
    y = BASE - cap * SCALE
    out.append(f'<line class="cap" x1="{LEFT - 10}" y1="{y:g}" x2="{PANEL - 12}" y2="{y:g}"/>')
    out.append(f'<text class="small" x="0" y="{y + 4:g}">cap {cap}</text>')
    kind, words = ("bad", f"billed {billed}: {billed - cap} over") if billed > cap else ("ok", f"billed {billed}")
    out.append(f'<text class="{kind}" x="{PANEL - 12}" y="20" text-anchor="end">{words}</text>')
    return out


def label(x: int, y: int, words: str) -> str:
    """Return a small text below a mark."""
    return f'<text class="small" x="{x}" y="{y + 18}" text-anchor="middle">{escape(words)}</text>'


def cross(x: int, y: int) -> str:
    """Return the mark of a refusal."""
    return f'<path class="no" d="M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}"/>'


def bars(x: int, cap: int, billed: int) -> list[str]:
    """Return the bar of what is billed so far: the part above the cap apart."""
    within = min(cap, billed)
    made = [f'<rect class="bill" x="{x - 14}" y="{BASE - within * SCALE:g}" width="28" height="{within * SCALE:g}"/>']
    if billed > cap:
        over = billed - cap
        made.append(
            f'<rect class="over" x="{x - 14}" y="{BASE - billed * SCALE:g}" width="28" height="{over * SCALE:g}"/>'
        )
    if billed:
        made.append(f'<text class="small" x="{x}" y="{BASE + 14}" text-anchor="middle">{billed}</text>')
    return made


if __name__ == "__main__":
    Path(__file__).with_name("race.svg").write_text(render())
