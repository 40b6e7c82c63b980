"""Pages in a real Chromium: they are walked, looked at in two widths, and read as a screen reader would read them.

Skipped, with the reason, where there is no Chromium; ``tests/unit/test_page.py`` tests the same pages without one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_documents import DOCUMENTS, HOSTILE, RACE, long_run, replayed

from capsound_checker.page.rendering import page

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = REPOSITORY / "docs" / "images"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no chromium with its chromedriver here")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)
WIDTHS = (360, 1280)

AXE = "return axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"
"""What is looked for: the rules of WCAG 2.1, AA, and good practice."""


class Browser:
    """A Chromium with a profile of its own."""

    def __init__(self, profile: Path) -> None:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService

        options = ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # type: ignore[no-untyped-call]
        self.driver = Chrome(options, ChromeService(DRIVER))
        self.driver.set_page_load_timeout(120)
        self.driver.set_script_timeout(120)

    def media(self, *, dark: bool = False, kind: str = "screen") -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": [scheme, still]})

    def open(self, file: Path, width: int, step: str = "") -> None:
        """Open a page; nothing is said on its console."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get("about:blank")
        self.driver.get(f"{file.as_uri()}{step}")
        said = [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert not said

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def press(self, key: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        ActionChains(self.driver).send_keys(getattr(Keys, key.upper(), key)).perform()

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def whole(self) -> bytes:
        """Return a picture of the whole page."""
        import base64

        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        got = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        return base64.b64decode(got["data"])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    pytest.importorskip("selenium", reason="selenium is not installed")
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.driver.quit()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[..., Browser]:
    def open_page(document: Any, step: str = "", width: int = 1280) -> Browser:
        file = tmp_path / "page.html"
        file.write_text(page(document, "my.toml"), encoding="utf-8")
        browser.media()
        browser.open(file, width, step)
        return browser

    return open_page


Opened = Callable[..., Browser]


def test_it_opens_where_it_breaks(opened: Opened) -> None:
    shown = opened(replayed(RACE))
    assert shown.text(".detail h2") == "Step 6"
    assert shown.text(".finding") == "overshoot: team was billed 69 of a cap of 60: 9 over."
    assert shown.text('[aria-current="step"] .number') == "6"
    assert (
        shown.run("return document.querySelectorAll('svg .over').length") == 2
    )  # one in the picture, one in the legend


def test_the_address_holds_the_step(opened: Opened) -> None:
    shown = opened(replayed(RACE), "#step=4")
    assert shown.text(".detail h2") == "Step 4"
    assert shown.text(".balances tbody tr") == "team\t23\t29 → -2\t31 → 62"
    shown.press("j")
    assert shown.run("return location.hash") == "#step=5"
    shown.run("location.hash = '#step=2'")
    assert (
        shown.run("return new Promise((r) => setTimeout(() => r(document.querySelector('.detail h2').innerText), 50))")
        == "Step 2"
    )
    assert opened(DOCUMENTS["check"][0], "#run=2").text("h1") == "my.py:Budget: minted"


@pytest.mark.parametrize(
    ("key", "number"), [("k", "5"), ("j", "7"), ("home", "0"), ("end", "7"), ("v", "6"), ("arrow_left", "5")]
)
def test_keys_walk_through_the_run(key: str, number: str, opened: Opened) -> None:
    shown = opened(replayed(RACE))
    shown.press(key)
    assert shown.run("return location.hash") == f"#step={number}"


def test_buttons_and_steps_can_be_pressed(opened: Opened) -> None:
    from selenium.webdriver.common.by import By

    shown = opened(replayed(RACE))
    found = shown.driver.find_elements(By.CSS_SELECTOR, ".controls button")
    buttons = {str(one.get_attribute("textContent")).removesuffix("Home").removesuffix("k"): one for one in found}
    buttons["First"].click()
    assert shown.text(".detail h2") == "Before the first step"
    assert not buttons["Back"].is_enabled()
    shown.driver.find_elements(By.CSS_SELECTOR, ".steps button")[3].click()
    assert shown.text(".detail h2") == "Step 3"
    assert shown.text(".detail p") == "a C1 is billed 23."


def test_a_twin_is_walked_beside_its_counterexample(opened: Opened) -> None:
    shown = opened(DOCUMENTS["solve"][0])
    assert shown.run("return document.querySelectorAll('.panes figure').length") == 2
    assert shown.run("return [...document.querySelectorAll('.detail h2')].map((h) => h.innerText)") == [
        "counter: step 1",
        "sound: step 1",
    ]


def test_a_run_without_events_is_read(opened: Opened) -> None:
    shown = opened(DOCUMENTS["check"][0], "#run=2")
    assert shown.text("pre.story") == "thread 1: settle\nthread 2: settle"


@pytest.mark.parametrize("command", DOCUMENTS)
def test_names_do_nothing(command: str, opened: Opened) -> None:
    shown = opened(DOCUMENTS[command][1])
    assert shown.run("return document.querySelectorAll('img, script:not([id])').length") == 1  # its own script
    text = shown.run("return document.documentElement.innerText")
    assert "alert(1)" in text
    assert not set(text) & set("\x1b\x07\u202e")
    assert shown.run("return document.title.length") < 400
    assert HOSTILE.split("<")[0] in text


@pytest.mark.parametrize("command", DOCUMENTS)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off(command: str, width: int, opened: Opened) -> None:
    for document in DOCUMENTS[command]:
        shown = opened(document, width=width)
        assert shown.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("command", DOCUMENTS)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_screen_reader_finds_its_way(command: str, width: int, dark: bool, opened: Opened) -> None:
    import axe_core_python

    script = os.environ.get("CAPSOUND_AXE") or Path(axe_core_python.__file__).with_name("axe.min.js")
    shown = opened(DOCUMENTS[command][0], width=width)
    shown.media(dark=dark)
    shown.run(Path(script).read_text(encoding="utf-8"))
    found = shown.run(AXE)
    told = [f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes'][:3]]}" for v in found["violations"]]
    assert not told, "\n".join(told)
    assert len(found["passes"]) > 15


def test_all_steps_are_printed(opened: Opened) -> None:
    shown = opened(replayed(long_run(30)))
    shown.media(kind="print")
    height, steps = shown.run("const l = document.querySelector('.steps'); return [l.clientHeight, l.scrollHeight]")
    assert height == steps > 1_000
    assert shown.run("return getComputedStyle(document.querySelector('.controls')).display") == "none"


def test_five_hundred_events_can_be_walked(opened: Opened) -> None:
    shown = opened(replayed(long_run(125)), width=360)
    shown.press("end")
    assert shown.text(".detail h2") == "Step 500"
    assert shown.run("return document.documentElement.scrollWidth") <= 360


# ------------------------------------------------------------------------------------------ screenshots

PICTURED = ("solve", "wire", "audit", "history")


@pytest.mark.parametrize("name", PICTURED)
@pytest.mark.parametrize("width", WIDTHS)
def test_screenshots_in_the_docs_show_what_is_made_today(
    name: str, width: int, browser: Browser, made: dict[str, Path]
) -> None:
    from PIL import Image, ImageChops, ImageStat

    browser.media(dark=name == "wire")
    browser.open(made[name], width)
    today = Image.open(io.BytesIO(browser.whole())).convert("RGB")
    kept = IMAGES / f"page-{name}-{width}.png"
    if os.environ.get("UPDATE_DOCS"):
        today.quantize(96, dither=Image.Dither.NONE).save(kept, optimize=True)
    before = Image.open(kept).convert("RGB")
    assert before.width == today.width
    assert abs(before.height - today.height) <= today.height // 12  # fonts differ from machine to machine
    size = (width // 8, min(before.height, today.height) // 8)
    rest = [one.crop((0, 0, width, size[1] * 8)).resize(size) for one in (before, today)]
    difference = ImageStat.Stat(ImageChops.difference(*rest)).mean
    assert max(difference) < 12, f"the page of {name} looks different: UPDATE_DOCS=1 takes the screenshot anew"


@pytest.fixture(scope="module")
def made(capsound: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return real pages, made by commands."""
    from test_pages import HISTORY, LOG, lines

    from capsound_checker.wire.template import app_template

    place = tmp_path_factory.mktemp("pictured")
    shutil.copy(REPOSITORY / "scenarios" / "race-a-racy-counter.toml", place)
    (place / "app.py").write_text(app_template(), encoding="utf-8")
    lines(place / "log.jsonl", LOG)
    lines(place / "run.history", HISTORY)
    commands = {
        "solve": "solve race-a-racy-counter.toml --html solve.html",
        "wire": "wire --cap 600tokens --html wire.html -- python3 app.py racy",
        "audit": "audit log.jsonl --html audit.html",
        "history": "history run.history --html history.html",
    }
    for command in commands.values():
        assert capsound(*command.split(), cwd=place).status == 1
    return {name: place / f"{name}.html" for name in commands}
