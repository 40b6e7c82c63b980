"""``capsound wire --inside`` on files, its tokens, its bytes; and the fixture of pytest, with the test file of the page."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from insiders import CLIENT

Runs = Callable[..., Any]

pytest_plugins = ["pytester"]

APP = """
import asyncio, json, sys
import httpx2
import ledger

URL = "http://127.0.0.1:9/v1/chat/completions"

async def ask(text):
    document = {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": text}]}
    response = await httpx2.AsyncClient().post(URL, document)
    if response.status_code != 200:
        raise httpx2.HTTPError("failed")
    return (json.loads(response.content).get("usage") or {}).get("total_tokens")

async def racy(name):
    if ledger.taken + 120 <= 300:
        ledger.taken += await ask(name) or 0

async def cured(name):
    if ledger.taken + 120 <= 300:
        ledger.taken += 120
        used = await ask(name)
        if used is not None:
            ledger.taken += used - 120

async def main():
    names = {"plan", "search", "write"}  # a set: its order depends on how strings are hashed
    await asyncio.gather(*(racy(name) for name in names), return_exceptions=True)

async def sound():
    names = {"plan", "search", "write"}
    await asyncio.gather(*(cured(name) for name in names), return_exceptions=True)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inside")
    (path / "app.py").write_text(APP)
    (path / "ledger.py").write_text("taken = 0\n")
    return path


def env(hashing: str = "0") -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([CLIENT, *filter(None, sys.path)]), "PYTHONHASHSEED": hashing}


def wire(capsound: Runs, place: Path, name: str, *options: str) -> Any:
    return capsound("wire", "--inside", f"app.py:{name}", "--cap", "300tokens", *options, cwd=place)


def test_a_race_is_violated_and_its_token_runs_it_again(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "main")
    assert ran.status == 1
    assert "check-then-act: 305 tokens billed of a cap of 300 tokens" in ran.out
    found = re.search(r"capsound replay app.py:main (cw1:\S+)", ran.out)
    assert found is not None
    again = capsound("replay", "app.py:main", found[1], "--json", cwd=place)
    assert again.status == 1
    assert json.loads(again.out)["found"][0]["billed"] == 305


def test_its_cure_is_sound_and_complete_and_a_module_beside_it_begins_anew(capsound: Runs, place: Path) -> None:
    ran = wire(capsound, place, "sound", "--json")
    told = json.loads(ran.out)
    assert (ran.status, told["verdict"], told["complete"]) == (0, "sound", True)
    assert told["explored"][0] == "every order of answers (2 schedules, 2 runs)"
    assert len(told["explored"]) == 2
    assert told["billed_at_most"] == 204


def test_the_same_bytes_however_strings_are_hashed(capsound_process: Runs, place: Path) -> None:
    runs = [
        capsound_process(
            "wire", "--inside", f"app.py:{name}", "--cap", "300tokens", "--json", cwd=place, env=env(hashing)
        )
        for name in ("main", "sound")
        for hashing in ("0", "1", "4242")
    ]
    assert [len({run.out for run in runs[at : at + 3]}) for at in (0, 3)] == [1, 1]
    assert [run.status for run in runs] == [1, 1, 1, 0, 0, 0]


def test_who_gives_both_or_neither_or_no_function(capsound: Runs, place: Path) -> None:
    for words in (["--inside", "app.py:main", "--", "true"], [], ["--inside", "app.py:main", "--through", "http://x"]):
        assert capsound("wire", "--cap", "1tokens", *words, cwd=place).status == 64
    for name, words in (("nowhere", "has no 'nowhere'"), ("URL", "is no coroutine function"), ("racy", "needs name")):
        ran = wire(capsound, place, name)
        assert (ran.status, words in ran.err) == (65, True), ran.err
    assert capsound("wire", "--inside", "none.py:main", "--cap", "1tokens", cwd=place).status == 65


PAGE = Path(__file__).resolve().parents[2] / "docs" / "wire.md"


def test_what_is_not_served_inside_is_to_be_run_as_a_command(capsound: Runs, place: Path) -> None:
    (place / "threaded.py").write_text(
        "import asyncio, os, urllib.request\n\n"
        "async def main():\n"
        "    await asyncio.to_thread(urllib.request.urlopen, os.environ['OPENAI_BASE_URL'] + '/models')\n"
    )
    ran = capsound("wire", "--inside", f"{place}/threaded.py:main", "--cap", "100tokens", "--runs", "2")
    assert ran.status == 2
    assert "not served inside" in ran.out
    assert "no request that is served inside: run it as a command" in ran.out
    assert "--env" not in ran.out


def test_the_fixture_fails_with_the_timeline_and_the_token(pytester: pytest.Pytester, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", env()["PYTHONPATH"])
    pasted = re.search(r"```python\n(# test_agents\.py\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert pasted is not None
    pytester.makepyfile(test_agents=pasted[1])
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2, failed=1)
    told = ran.stdout.str()
    assert "check-then-act: " in told
    assert "← over the cap" in told
    token = re.search(r"replay='(cw1:\S+)'\)", told)
    assert token is not None
    again = pasted[1].replace('cap="300tokens")', f'cap="300tokens", replay={token[1]!r})', 1)
    pytester.makepyfile(test_agents=again)
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", "racy")
    ran.assert_outcomes(failed=1, deselected=2)
    assert "violated: strongest guarantee stops · 1 run," in ran.stdout.str()
