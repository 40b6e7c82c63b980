"""What capsound prints, byte for byte. ``UPDATE_GOLDEN=1`` writes ``expected/`` anew; read the diff.

Only times are masked. The scenarios here are the tests' own: what ships may change without notice to these files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))

TEXT: dict[str, str] = {
    "solve-race": "solve scenarios/race.toml",
    "solve-sound": "solve scenarios/sound.toml",
    "solve-sound-verbose": "solve scenarios/sound.toml --verbose",
    "solve-sound-itf": "solve scenarios/sound.toml --itf never-written.itf.json",
    "solve-cancel-release": "solve scenarios/cancel-release.toml",
    "solve-handles": "solve scenarios/handles.toml",
    "solve-tools": "solve scenarios/tools.toml",
    "solve-dropped": "solve scenarios/dropped.toml",
    "solve-hang": "solve scenarios/hang.toml",
    "solve-unknown": "solve scenarios/race.toml --steps 3",
    "summary": "solve scenarios/race.toml scenarios/sound.toml --workers 1",
    "summary-expect": "solve scenarios/race.toml scenarios/sound.toml --workers 1 --steps 3 --expect",
    "replay-race": "replay scenarios/race.toml cs1:60/0.0.1.1.2.2",
    "replay-harmless": "replay scenarios/race.toml cs1:60/0.0.0.1.1.1",
    "explain": "explain",
    "explain-anomaly": "explain refund-after-send",
    "explain-guarantee": "explain fault-tolerant",
    "explain-property": "explain truth",
    "explain-assumption": "explain A9",
    "explain-discipline": "explain split-and-return",
    "explain-step": "explain reserve",
    "explain-rule": "explain r10",
    "explain-discipline-and-step": "explain settle-capped",
    "error-bad-scenario": "solve scenarios/bad.toml",
    "error-missing-file": "solve scenarios/rac.toml",
    "error-empty-folder": "solve expected",
    "error-unknown-name": "explain overshot",
    "error-not-a-token": "replay scenarios/race.toml 60/0.1",
    "error-old-token": "replay scenarios/race.toml cs0:60/0.1",
    "error-impossible-step": "replay scenarios/race.toml cs1:60/0.0.0.0",
    "error-usage": "solve scenarios/race.toml --steps 0",
}
"""What a person sees: the command, both streams and the exit status in one file."""

JSON: dict[str, tuple[str, int]] = {
    "solve-race": ("solve scenarios/race.toml --json", 1),
    "solve-sound": ("solve scenarios/sound.toml --json", 0),
    "solve-tools": ("solve scenarios/tools.toml --json", 1),
    "solve-two": ("solve scenarios/handles.toml scenarios/bad.toml --workers 1 --json", 65),
    "replay-race": ("replay scenarios/race.toml cs1:60/0.0.1.1.2.2 --json", 1),
    "error-missing-file": ("solve scenarios/rac.toml --json", 65),
}
"""What a program reads: standard output alone."""

ITF: dict[str, str] = {
    "race": "solve scenarios/race.toml --itf {}",
    "cancel-release": "replay scenarios/cancel-release.toml cs1:40/0.0.0c.1.1 --itf {}",
    "hang-replayed": "replay scenarios/hang.toml cs1:60/0.0k --itf {}",
}

DETERMINISTIC = ("race", "cancel-release", "tools")


def masked(text: str) -> str:
    """Return ``text`` with every time replaced by a mask of the same place."""
    text = re.sub(r"(?m)(?<= )\d+\.\d+ s$", "#.# s", text)
    summary_line = re.compile(r"(?m)^((?:sound|violated|unknown)  .*?  )( *\d+\.\d)$")
    return summary_line.sub(lambda match: match[1] + "#.#".rjust(len(match[2])), text)


def compare(name: str, actual: str) -> None:
    """Compare with the golden file, or write it."""
    path = EXPECTED / name
    if UPDATE:
        path.write_bytes(actual.encode())
        return
    if not path.exists():
        pytest.fail(f"there is no {path}: run with UPDATE_GOLDEN=1")
    assert actual == path.read_bytes().decode(), f"{path} differs; UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("name", TEXT)
def test_text(name: str, capsound_once: Callable[..., Any]) -> None:
    ran = capsound_once(*TEXT[name].split(), cwd=HERE)
    parts = [f"$ capsound {TEXT[name]}\n", ran.out]
    if ran.err:
        parts.append(f"--- standard error\n{ran.err}")
    parts.append(f"--- exit status {ran.status}\n")
    compare(f"{name}.txt", masked("".join(parts)))


@pytest.mark.parametrize("name", JSON)
def test_json(name: str, capsound_once: Callable[..., Any]) -> None:
    command, status = JSON[name]
    ran = capsound_once(*command.split(), cwd=HERE)
    json.loads(ran.out)
    assert ran.status == status
    compare(f"{name}.json", ran.out)


@pytest.fixture(scope="module")
def itf(capsound_once: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the ITF trace that a command writes, as text."""
    folder = tmp_path_factory.mktemp("itf")

    def written(name: str) -> str:
        path = folder / f"{name}.itf.json"
        ran = capsound_once(*ITF[name].format(path).split(), cwd=HERE)
        assert (ran.status, ran.err) == (1, "")
        return path.read_bytes().decode()

    return written


@pytest.mark.parametrize("name", ITF)
def test_itf(name: str, itf: Callable[[str], str]) -> None:
    compare(f"{name}.itf.json", itf(name))


@pytest.mark.parametrize("name", ITF)
def test_itf_is_read_by_others(name: str, itf: Callable[[str], str]) -> None:
    itf_py = pytest.importorskip("itf_py")
    data = json.loads(itf(name))
    trace = itf_py.trace_from_json(data)
    assert sorted(trace.vars) == data["vars"]
    assert len(trace.states) == len(data["states"])
    for number, state in enumerate(trace.states):
        assert state.meta == {"index": number}
        for account in state.values["accounts"].values():
            parts = (account.available, account.held, account.charged, account.forfeited, account.delegated)
            assert sum(parts) + account.returned == account.granted
    assert trace.states[0].values["mbt::actionTaken"] == "init"


def _scan(value: object, where: str) -> None:
    """Fail on what the format forbids: numbers outside #bigint, floats, nulls, unsorted keys, odd field names."""
    if isinstance(value, dict):
        assert list(value) == sorted(value), where
        if "#bigint" in value:
            assert set(value) == {"#bigint"}, where
            assert re.fullmatch(r"-?(0|[1-9]\d*)", value["#bigint"]), where
            return
        if "#map" in value:
            assert set(value) == {"#map"}, where
            keys = [json.dumps(pair[0]) for pair in value["#map"]]
            assert keys == sorted(set(keys)), where
            for key, inner in value["#map"]:
                _scan(key, f"{where}.key")
                _scan(inner, f"{where}[{key}]")
            return
        assert value, f"{where}: Apalache reads no empty record"
        assert set(value) != {"tag", "value"}, f"{where}: Quint takes this for a variant"
        for key, inner in value.items():
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key), f"{where}: {key}"
            _scan(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _scan(inner, f"{where}[{number}]")
    else:
        assert isinstance(value, str | bool), f"{where}: {value!r}"


@pytest.mark.parametrize("name", ITF)
def test_itf_keeps_to_the_format(name: str, itf: Callable[[str], str]) -> None:
    text = itf(name)
    data = json.loads(text)
    assert set(data) == {"#meta", "states", "vars"}
    assert data["#meta"]["format"] == "ITF"
    assert data["vars"] == sorted(data["vars"])
    assert text == json.dumps(data, indent=1, sort_keys=True) + "\n"
    for number, state in enumerate(data["states"]):
        assert set(state) == {"#meta", *data["vars"]}
        assert state["#meta"] == {"index": number}
        for variable in data["vars"]:
            _scan(state[variable], f"state {number}: {variable}")


def test_itf_tells_the_same_run_as_the_text(itf: Callable[[str], str], capsound_once: Callable[..., Any]) -> None:
    data = json.loads(itf("race"))
    cap = json.loads(capsound_once("solve", "scenarios/race.toml", "--json", cwd=HERE).out)["properties"][0]
    assert data["#meta"]["description"] == f"schedule {cap['token']}"
    told = [(step["actor"], step["action"]) for step in cap["steps"]]
    assert [(state["actor"], state["mbt::actionTaken"]) for state in data["states"][1:]] == told
    root = dict(data["states"][-1]["accounts"]["#map"])["root"]
    assert (root["billed"], root["granted"]) == ({"#bigint": "69"}, {"#bigint": "60"})


def test_json_does_not_depend_on_hashing(process_env: dict[str, str], capsound_once: Callable[..., Any]) -> None:
    """Two processes with different hash seeds, and this one that has solved other things before: the same bytes."""
    files = [f"scenarios/{name}.toml" for name in DETERMINISTIC]
    arguments = ["solve", *files, "--json", "--workers", "1"]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "capsound_checker", *arguments],
            cwd=HERE,
            env={**process_env, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for seed in ("0", "4242")
    ]
    first, second = (process.communicate(timeout=900)[0] for process in running)
    assert [process.returncode for process in running] == [1, 1]
    assert first == second
    for name, alone in zip(DETERMINISTIC, json.loads(first), strict=True):
        here = json.loads(capsound_once("solve", f"scenarios/{name}.toml", "--json", cwd=HERE).out)
        assert here == alone, name


def test_every_golden_file_is_used() -> None:
    used = {f"{name}.txt" for name in TEXT} | {f"{name}.json" for name in JSON} | {f"{name}.itf.json" for name in ITF}
    assert {path.name for path in EXPECTED.iterdir()} == used


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("violated in 0.9 s\n", "violated in #.# s\n"),
        ("sound in 12.3 s", "sound in #.# s"),
        ("  by inductive invariant (z3), 0.31 s\n", "  by inductive invariant (z3), #.# s\n"),
        ("sound     a.toml  -     0.7\n", "sound     a.toml  -     #.#\n"),
        ("sound     a.toml  -    10.7\n", "sound     a.toml  -     #.#\n"),
        ("  smallest safe factor on bytes: 15/8 = 1.8\n", "  smallest safe factor on bytes: 15/8 = 1.8\n"),
    ],
)
def test_only_times_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected
