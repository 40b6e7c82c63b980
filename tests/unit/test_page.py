"""Pages of HTML: they are what the document says, need nothing else, and whatever a name has in it is only shown."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from capsound.anomalies import ANOMALIES
from capsound_checker.page.badge import badge
from capsound_checker.page.markdown import diagram, markdown
from capsound_checker.page.rendering import page
from capsound_checker.page.runs import runs_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\"'\x1b]0;owned\x07\x1b[31m\u202e@@STYLE@@"

RACE: list[dict[str, Any]] = [
    {"event": "open", "root": "team", "cap": 60},
    {"event": "reserve", "account": "team", "hold": "R1", "amount": 31, "agent": "a"},
    {"event": "send", "hold": "R1", "call": "C1"},
    {"event": "bill", "call": "C1", "amount": 23},
    {"event": "reserve", "account": "team", "hold": "R2", "amount": 31, "agent": "b"},
    {"event": "send", "hold": "R2", "call": "C2"},
    {"event": "bill", "call": "C2", "amount": 46},
    {"event": "settle", "hold": "R1", "amount": 23},
]


def replayed(
    events: list[dict[str, Any]], sentence: str = "team was billed 69 of a cap of 60: 9 over"
) -> dict[str, Any]:
    """Return a document as ``replay`` prints it."""
    finding = {"anomaly": "overshoot", "event": 7, "sentence": sentence, "numbers": {}}
    return {
        "format": "capsound.replay/1",
        "verdict": "violated",
        "token": "cs1:x",
        "events": events,
        "findings": [finding],
    }


def told(events: list[dict[str, Any]], **how: str) -> str:
    """Return the page of a document."""
    document = replayed(events, **how)
    return page(document, runs_of(document, "my.toml"))


class Seen(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: dict[str, str] = {}
        self.links: list[str] = []
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.links += [str(named[key]) for key in ("src", "href") if key in named]
        self._in = str(named.get("id", "code")) if tag == "script" else ""

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag == "script" else self._in

    def handle_data(self, data: str) -> None:
        if self._in:
            self.scripts[self._in] = self.scripts.get(self._in, "") + data


def seen(text: str) -> Seen:
    """Return what is in a page."""
    parser = Seen()
    parser.feed(text)
    return parser


def hostile() -> list[dict[str, Any]]:
    """Return a run in which every name does its worst."""
    return [
        {
            key: value if key == "event" or isinstance(value, int) else f"{value}{HOSTILE}"
            for key, value in event.items()
        }
        for event in RACE
    ]


def test_the_document_is_in_its_page() -> None:
    found = seen(told(RACE))
    assert json.loads(found.scripts["document"]) == replayed(RACE)


def test_each_event_has_the_balances_before_and_after_it() -> None:
    (run,) = runs_of(replayed(RACE), "my.toml")
    assert [m.actor for m in run.moments] == ["", "a", "a", "a", "b", "b", "b", "a"]
    assert run.moments[4].changes == (("team", "available", 29, -2), ("team", "held", 31, 62))
    assert run.moments[6].changes == (("team", "billed", 23, 69),)
    assert dict(run.moments[6].billed) == {"team": 69}
    assert run.moments[7].changes == (
        ("team", "available", -2, 6),
        ("team", "held", 62, 31),
        ("team", "charged", 0, 23),
    )
    assert run.replay == "capsound replay my.toml cs1:x"


def test_a_page_needs_nothing_else() -> None:
    found = seen(told(RACE))
    assert found.links == ["data:,"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", told(RACE))
    assert "default-src 'none'" in told(RACE)


def test_names_are_shown_and_do_nothing() -> None:
    calm, wild = seen(told(RACE)), seen(told(hostile(), sentence=HOSTILE))
    assert wild.tags == calm.tags
    assert wild.scripts["code"] == calm.scripts["code"]
    assert json.loads(wild.scripts["document"])["events"] == hostile()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", told(hostile(), sentence=HOSTILE))


def test_amounts_are_exact() -> None:
    large = 2**60 + 1
    (run,) = runs_of(replayed([{"event": "open", "root": "r", "cap": large}]), "")
    assert run.data()["caps"] == [["r", str(large)]]
    assert run.data()["moments"][0]["changes"] == [["r", "available", 0, str(large)]]


def test_five_hundred_events_are_below_400_kilobytes() -> None:
    events = RACE[:1]
    for number in range(125):
        call = {"hold": f"hold-{number}", "call": f"call-{number}"}
        events += [
            {
                "event": "reserve",
                "account": "team",
                "hold": call["hold"],
                "amount": 31,
                "agent": f"worker-{number % 9}",
            },
            {"event": "send", **call},
            {"event": "bill", "call": call["call"], "amount": 23},
            {"event": "settle", "hold": call["hold"], "amount": 23},
        ]
    assert len(events) > 500
    assert len(told(events).encode()) < 400_000


def test_a_design_that_is_sound_has_no_run() -> None:
    document = {
        "format": "capsound.solve/1",
        "verdict": "sound",
        "properties": [{"property": "cap", "verdict": "sound"}],
    }
    text = page(document, runs_of(document))
    assert "No run to show" in text
    assert seen(text).scripts["runs"] == "[]"


def test_markdown_tells_the_run_the_cure_and_the_replay() -> None:
    document = replayed(RACE)
    text = markdown(document, runs_of(document, "my.toml"))
    assert text.splitlines()[0] == "**violated**: Replay of my.toml. team was billed 69 of a cap of 60: 9 over."
    assert "    a0->>p: C1 under R1" in text
    assert "    p-->>a1: C2 is billed 46" in text
    assert ANOMALIES["overshoot"].cure in text
    assert "`capsound replay my.toml cs1:x`" in text


def test_names_are_no_markdown_and_no_mermaid() -> None:
    document = replayed(
        [*hostile(), {"event": "crash", "agent": "End"}], sentence=f"{HOSTILE} **bold** [a](http://x) `b`"
    )
    text = markdown(document, runs_of(document, "my.toml"))
    before, diagram, after = text.split("```")
    outside = re.sub(r"&#\d+;", "", before.partition(". ")[2] + after)
    assert not set(outside) & set("<>[]|~\x1b\u202e")
    for line in diagram.splitlines()[2:]:
        assert re.fullmatch(
            r"    (participant \w+ as |Note over b: |\w+--?>>\w+: )([A-Za-z0-9 _.,()/\-]|#\d+;)+", line
        ), line
        assert not re.search(r"\bend\b", line, re.IGNORECASE)


def test_a_long_run_has_a_short_diagram() -> None:
    document = replayed(RACE[:1] + RACE[1:4] * 30)
    (run,) = runs_of(document)
    lines = list(diagram(run))
    assert len(lines) < 60
    assert any("51 events are left out here" in line for line in lines)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [(["sound"], "proved"), (["sound", "violated"], "violated"), (["sound", "unknown"], "unknown"), ([], "unknown")],
)
def test_a_badge_says_sound_only_where_all_are(verdicts: list[str], said: str) -> None:
    text = badge([{"verdict": verdict} for verdict in verdicts])
    assert ET.fromstring(text).attrib["aria-label"] == f"cap-sound: {said}"
    assert badge([{"verdict": "sound"}, {"error": {}}]) == badge([{"verdict": "unknown"}])


SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "race-a-racy-counter.toml"
TOKEN = "cs1:60/0.0.1.1.2.2"


@pytest.mark.parametrize("asked", [("solve", SCENARIO), ("replay", SCENARIO, TOKEN)])
def test_commands_write_the_page_of_their_document(
    asked: tuple[object, ...], capsound: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "run.html"
    ran = capsound(*asked, "--json", "--html", file, "--markdown", tmp_path / "run.md")
    assert ran.status == 1
    assert TOKEN in (tmp_path / "run.md").read_text(encoding="utf-8")
    found = seen(file.read_text(encoding="utf-8"))
    document = json.loads(found.scripts["document"])
    assert (document[0] if isinstance(document, list) else document) == json.loads(ran.out)
    (run,) = json.loads(found.scripts["runs"])
    assert run["caps"] == [["root", 60]]
    assert run["moments"][-1]["billed"] == {"root": 69}
    assert run["replay"].endswith(TOKEN)


def test_a_page_that_cannot_be_written_is_said_before_the_work(capsound: Callable[..., Any], tmp_path: Path) -> None:
    assert capsound("solve", SCENARIO, "--html", tmp_path / "none" / "x.html").status == 64
    assert capsound("replay", "my.py:Budget", "ck1:x", "--html", tmp_path / "x.html").status == 64


# ------------------------------------------------------------------------------------------ in a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--enable-logging=stderr")


def opened(path: Path, text: str, step: str = "") -> str:
    """Return what a page has become in a browser; there is no error in its console."""
    file = path / "page.html"
    file.write_text(text, encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={path / 'profile'}", "--virtual-time-budget=3000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{file.as_uri()}{step}"], capture_output=True, text=True, timeout=900, check=True, encoding="utf-8"
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)


@needs_chromium
def test_the_address_holds_the_step(tmp_path: Path) -> None:
    dom = opened(tmp_path, told(RACE), "#run=1&event=5")
    assert "Event 5 of 8" in dom
    assert re.search(r'<td>available</td><td class="amount">29</td><td class="amount">-2</td>', dom)
    assert dom.count('aria-current="step"') == 1


@needs_chromium
def test_it_opens_where_the_cap_is_broken(tmp_path: Path) -> None:
    dom = opened(tmp_path, told(RACE))
    assert "Event 7 of 8" in dom
    assert 'class="finding">overshoot: team was billed 69 of a cap of 60: 9 over.' in dom
    assert 'class="over"' in dom
    assert dom.count('class="hold"') == 3  # two holds, and the legend


@needs_chromium
@pytest.mark.parametrize(("key", "event"), [("k", 6), ("j", 8), ("Home", 1), ("v", 7)])
def test_keys_walk_through_the_run(key: str, event: int, tmp_path: Path) -> None:
    pressed = f"<script>document.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}}))</script>"
    assert f"Event {event} of 8" in opened(tmp_path, told(RACE).replace("</body>", f"{pressed}</body>"))


@needs_chromium
def test_names_do_nothing_in_a_browser(tmp_path: Path) -> None:
    dom = opened(tmp_path, told(hostile(), sentence=HOSTILE))
    assert "<img" not in dom
    assert "alert(1)" in html.unescape(dom)
    assert "\x1b" not in dom
    assert "\\u001b]0;owned" in dom
