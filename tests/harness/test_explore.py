"""``capsound explore``: the page of a scenario, live: what can happen, what is ahead, and who is answered."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from test_pages_in_a_browser import Browser, browser  # noqa: F401 - `browser` is a fixture
from test_pages_in_a_browser import pytestmark as needs_chromium

from capsound_checker.solve.exploring import LETTERS, explored, start
from capsound_checker.solve.replaying import machine_of

REPOSITORY = Path(__file__).resolve().parents[2]
SCENARIOS = REPOSITORY / "scenarios"
RACE = SCENARIOS / "race-a-racy-counter.toml"


def at(name: str, token: str = "") -> dict[str, Any]:
    return explored(machine_of(SCENARIOS / f"{name}.toml"), token, "my.toml")


def test_every_step_that_is_possible_is_offered_with_what_is_ahead() -> None:
    found = at("race-a-racy-counter")
    assert [(m["actor"], m["action"], m["ahead"]) for m in found["moves"]] == [
        ("worker-1", "check", "6 steps"),
        ("worker-2", "check", "6 steps"),
        ("worker-3", "check", "6 steps"),
    ]
    assert found["token"] == found["before"] == "cs1:60/"
    last = at("race-a-racy-counter", "cs1:60/0.0.1.1.2")
    (breaking,) = [m for m in last["moves"] if m["ahead"] == "this step"]
    assert (breaking["actor"], breaking["action"], breaking["token"]) == ("worker-3", "send", "cs1:60/0.0.1.1.2.2")
    assert breaking["found"] == ["root was billed 69 of a cap of 60: 9 over"]
    assert last["before"] == "cs1:60/0.0.1.1"


def test_a_sound_design_has_nothing_ahead_until_its_end() -> None:
    token, steps = start(machine_of(SCENARIOS / "race-b-reserve-settle.toml")), 0
    while (found := at("race-b-reserve-settle", token))["moves"]:
        assert not any(move["ahead"] for move in found["moves"])
        token, steps = found["moves"][-1]["token"], steps + 1
    assert steps == 7
    assert found["document"]["verdict"] == "sound"


def test_the_steps_ahead_are_those_of_the_solver(capsound: Callable[..., Any]) -> None:
    solved = json.loads(capsound("solve", RACE, "--workers", 1, "--json").out)
    assert len(solved["properties"][0]["steps"]) == 6  # as the page says before the first step


def test_faults_and_ranges_of_amounts_are_offered() -> None:
    found = at("cancel-release", "")
    while not any(m["action"] == "is cancelled" for m in found["moves"]):
        found = at("cancel-release", found["moves"][0]["token"])
    assert all(m["token"].startswith("cs1:") for m in found["moves"])
    amounts = {len(m["amounts"]) for m in at("four-line-counter-without-a1")["moves"]}
    assert amounts == {1, 2}  # the estimate is drawn, and the bill


def test_of_very_many_agents_some_are_offered() -> None:
    found = at("race-a-1000-agents")
    assert (len(found["moves"]), found["more"]) == (48, 16)


def serving(*more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "capsound_checker", "explore", str(RACE), "--no-browser", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")


def port_of(server: subprocess.Popen[str]) -> int:
    assert server.stdout is not None
    said = server.stdout.readline()
    found = re.fullmatch(
        r"exploring .*race-a-racy-counter\.toml at http://127\.0\.0\.1:(\d+)/ \(Ctrl-C ends it\)\n", said
    )
    assert found, said
    return int(found[1])


@pytest.fixture(scope="module")
def port(process_env: dict[str, str]) -> Iterator[int]:
    server = serving()
    try:
        yield port_of(server)
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)
        assert (server.returncode, err) == (0, "")  # Ctrl-C is its end, and no error


def asked(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found


def test_it_answers_its_page(port: int) -> None:
    status, headers, text = asked(port, "/")
    assert status == 200
    assert "connect-src 'self'" in text
    assert "default-src 'none'" in text
    assert headers["x-frame-options"] == "DENY"
    status, headers, told = asked(port, f"/at?token={quote('cs1:60/0.0')}", Origin=f"http://127.0.0.1:{port}")
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert json.loads(told)["token"] == "cs1:60/0.0"
    assert asked(port, "/at", Host=f"localhost:{port}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_it_answers_nobody_else(headers: dict[str, str], port: int) -> None:
    for path in ("/", "/at", "/none"):
        status, _, text = asked(port, path, **headers)
        assert (status, text) == (403, "this server answers its own page only\n")


def test_a_token_that_is_none_is_said(port: int) -> None:
    for token in ("nonsense", "cs1:61/", "cs1:60/9", "cs1:60/" + ".".join(["0"] * 400)):
        status, _, text = asked(port, f"/at?token={quote(token)}")
        assert status == 400
        assert json.loads(text)["error"]["name"] == "bad-token"
    assert asked(port, f"/at?token={'0' * (LETTERS + 200)}")[0] in (400, 414)


def test_a_port_that_is_taken_is_said(port: int, capsound: Callable[..., Any]) -> None:
    ran = capsound("explore", RACE, "--no-browser", "--port", port)
    assert ran.status == 64
    assert f"port {port} of 127.0.0.1 cannot be used" in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_is_no_scenario_is_said(capsound: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("nothing = 1\n", encoding="utf-8")
    assert capsound("explore", tmp_path / "x.toml", "--no-browser").status == 65


def test_the_script_of_the_page_stays_small() -> None:
    lines = (REPOSITORY / "checker/capsound_checker/page/live.js").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300


@needs_chromium
def test_it_is_walked_to_the_violation_and_back(port: int, browser: Browser) -> None:  # noqa: F811
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def steps() -> int:
        return int(browser.run("return document.querySelectorAll('.steps li').length")) - 1

    browser.driver.get(f"http://127.0.0.1:{port}/")
    for number, actor in enumerate(("worker-1", "worker-1", "worker-2", "worker-2", "worker-3", "worker-3"), start=1):
        button = next(b for b in browser.driver.find_elements(By.CSS_SELECTOR, ".next button") if actor in b.text)
        button.click()
        WebDriverWait(browser.driver, 60).until(lambda _, number=number: steps() == number)
    assert browser.text("header .chip") == "violated"
    assert browser.run("return document.querySelector('#token').value") == "cs1:60/0.0.1.1.2.2"
    browser.press("u")
    WebDriverWait(browser.driver, 60).until(lambda _: steps() == 5)
    browser.driver.back()
    WebDriverWait(browser.driver, 60).until(lambda _: steps() == 6)
    said = [entry for entry in browser.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not said
