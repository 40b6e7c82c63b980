"""Many files, folders, expectations, JSON, and the files that capsound writes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

Runs = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, source: dict[str, str]) -> Path:
    """Return a folder with a sound, a mistaken and a broken scenario, and things that are none."""
    path = tmp_path_factory.mktemp("folder")
    (path / "deeper").mkdir()
    (path / "deeper" / "sound.toml").write_text(source["sound"])
    (path / "broken.toml").write_text(source["bad"])
    (path / "mistaken.toml").write_text(source["sound"].replace('expect = "sound"', 'expect = "violated"'))
    (path / "notes.txt").write_text("not a scenario")
    return path


@pytest.fixture(scope="module")
def whole(folder: Path, capsound_process: Runs) -> Any:
    """Solve the whole folder as a user does: several workers, a process of its own."""
    return capsound_process("solve", ".", cwd=folder)


def test_one_broken_file_does_not_stop_the_others(whole: Any) -> None:
    rows = [re.split(" {2,}", line) for line in whole.out.splitlines()]
    assert [row[:2] for row in rows[1:4]] == [
        ["error", "broken.toml"],
        ["sound", "deeper/sound.toml"],
        ["sound", "mistaken.toml"],
    ]
    assert whole.status == 65


def test_the_broken_file_is_named_with_its_line(whole: Any) -> None:
    assert "broken.toml:3:7: " in whole.err
    assert "broken.toml:9:9: " in whole.err


def test_the_summary_counts(whole: Any) -> None:
    assert whole.out.splitlines()[-1] == "3 scenarios: 1 as expected, 1 not as expected, 1 with errors"


def test_workers_change_nothing(whole: Any, folder: Path, capsound: Runs) -> None:
    alone = capsound("solve", ".", "--workers", 1, cwd=folder)
    times = re.compile(r"\d+\.\d$", re.MULTILINE)
    assert times.sub("", alone.out) == times.sub("", whole.out)
    assert (alone.err, alone.status) == (whole.err, whole.status)


def test_expect_lists_what_differs(folder: Path, capsound_once: Runs) -> None:
    ran = capsound_once("solve", "mistaken.toml", "deeper/sound.toml", "--expect", "--workers", 1, cwd=folder)
    assert ran.status == 1
    assert [line for line in ran.out.splitlines() if "NOT AS EXPECTED" in line] == [
        line for line in ran.out.splitlines() if "mistaken.toml" in line
    ]
    assert "verdict sound, expected violated" in ran.out


@pytest.mark.parametrize(("name", "status"), [("deeper/sound.toml", 0), ("mistaken.toml", 1)])
def test_expect_of_one_file(name: str, status: int, folder: Path, capsound_once: Runs) -> None:
    assert capsound_once("solve", name, "--expect", cwd=folder).status == status


def test_expect_is_met_by_a_violation_that_is_wanted(capsound_once: Runs, shared: Path) -> None:
    assert capsound_once("solve", "race.toml", "--expect", cwd=shared).status == 0


def test_bad_input_outweighs_expectations(folder: Path, capsound: Runs) -> None:
    assert capsound("solve", "mistaken.toml", "broken.toml", "--expect", "--workers", 1, cwd=folder).status == 65


def test_a_scenario_that_expects_nothing_is_not_counted_as_expected(
    tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    (tmp_path / "silent.toml").write_text(source["sound"].replace('expect = "sound"\n', ""))
    ran = capsound("solve", "silent.toml", "--expect", cwd=tmp_path)
    assert ran.status == 0
    assert "1 as expected" not in ran.out


def test_one_scenario_is_singular(capsound_once: Runs, shared: Path) -> None:
    assert "1 scenarios" not in capsound_once("solve", "race.toml", "--expect", cwd=shared).out


def test_a_path_given_twice_is_solved_once(folder: Path, capsound: Runs) -> None:
    twice = ["mistaken.toml", "./mistaken.toml", "deeper", "deeper/sound.toml"]
    ran = capsound("solve", *twice, "--workers", 1, "--json", cwd=folder)
    assert [item["scenario"] for item in json.loads(ran.out)] == ["mistaken", "sound"]


def test_a_folder_without_scenarios_is_an_error(tmp_path: Path, capsound: Runs) -> None:
    (tmp_path / "notes.txt").write_text("not a scenario")
    ran = capsound("solve", tmp_path)
    assert ran.status == 65
    assert f"{tmp_path} holds no *.toml file" in ran.err


# JSON


def test_json_of_a_folder_is_a_list_in_order(folder: Path, capsound: Runs) -> None:
    ran = capsound("solve", ".", "--json", "--workers", 1, cwd=folder)
    data = json.loads(ran.out)
    assert [item["path"] for item in data] == ["broken.toml", "deeper/sound.toml", "mistaken.toml"]
    assert [item.get("expected") for item in data] == [None, True, False]
    assert data[0]["error"]["where"] == "broken.toml:3:7"
    assert ran.status == 65


def test_json_of_a_folder_with_one_file_is_a_list_too(folder: Path, capsound: Runs) -> None:
    assert isinstance(json.loads(capsound("solve", "deeper", "--json", cwd=folder).out), list)


FAILING = {
    "missing file": ("solve nowhere.toml --json", 65),
    "broken file": ("solve broken.toml --json", 65),
    "empty folder": ("solve empty --json", 65),
    "not a token": ("replay mistaken.toml nonsense --json", 65),
    "impossible step": ("replay mistaken.toml cs1:60/9 --json", 65),
    "replay of a broken file": ("replay broken.toml cs1:60/0 --json", 65),
}


@pytest.mark.parametrize(
    "case",
    FAILING,
)
def test_json_on_errors_is_json(case: str, folder: Path, capsound: Runs) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    command, status = FAILING[case]
    ran = capsound(*command.split(), cwd=folder)
    assert ran.status == status
    assert json.loads(ran.out)["error"]["message"]


def test_json_of_a_broken_file_tells_every_problem(folder: Path, capsound: Runs) -> None:
    ran = capsound("solve", "broken.toml", "--json", cwd=folder)
    places = ("broken.toml:3:7", "broken.toml:5:1", "broken.toml:9:9")
    assert [place for place in places if place in ran.out] == list(places)


# Files that are written


def test_an_output_that_cannot_be_written_is_said_before_anything_is_solved(
    monkeypatch: pytest.MonkeyPatch, capsound: Runs, shared: Path
) -> None:
    import capsound_checker.solve.running

    solved: list[Path] = []
    real = capsound_checker.solve.running.solve_file
    monkeypatch.setattr(
        capsound_checker.solve.running, "solve_file", lambda path, *rest: solved.append(path) or real(path, *rest)
    )
    ran = capsound("solve", "sound.toml", "--itf", "nowhere/trace.itf.json", cwd=shared)
    assert ran.status == 64
    assert solved == []


@pytest.mark.parametrize(
    "command", ["solve handles.toml race.toml --workers 1 --itf {}", "replay race.toml cs1:60/0.0 --itf {}"]
)
def test_an_output_that_cannot_be_written(command: str, tmp_path: Path, capsound: Runs, shared: Path) -> None:
    nowhere = tmp_path / "nowhere" / "trace.itf.json"
    ran = capsound(*command.format(nowhere).split(), cwd=shared)
    assert ran.status == 64
    assert f"cannot write {nowhere}: No such file or directory" in ran.err
    assert "Traceback" not in ran.err


def test_a_harmless_run_is_no_violation_in_its_itf_trace(tmp_path: Path, capsound: Runs, shared: Path) -> None:
    path = tmp_path / "harmless.itf.json"
    assert capsound("replay", "race.toml", "cs1:60/0.0.0", "--itf", path, cwd=shared).status == 0
    assert json.loads(path.read_text())["#meta"]["status"] != "violation"


def test_new_scenario_refuses_to_overwrite(tmp_path: Path, capsound: Runs) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("precious")
    ran = capsound("new", "scenario", path)
    assert ran.status == 64
    assert "already exists" in ran.err
    assert "--force" in ran.err
    assert path.read_text() == "precious"


def test_new_scenario_overwrites_with_force(tmp_path: Path, capsound: Runs) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("worthless")
    ran = capsound("new", "scenario", path, "--force")
    assert ran.status == 0
    assert ran.out == f"wrote {path}; next: capsound solve {path}\n"
    assert tomllib.loads(path.read_text())


@pytest.mark.parametrize("where", ["nowhere/mine.toml", "."])
def test_new_scenario_that_cannot_be_written(where: str, tmp_path: Path, capsound: Runs) -> None:
    ran = capsound("new", "scenario", where, "--force", cwd=tmp_path)
    assert ran.status == 64
    assert f"cannot write {where}" in ran.err


def test_new_scenario_solves(tmp_path: Path, capsound: Runs) -> None:
    assert capsound("new", "scenario", "mine.toml", cwd=tmp_path).status == 0
    ran = capsound("solve", "mine.toml", "--expect", cwd=tmp_path)
    assert ran.status == 0
    assert ran.err == ""
    assert "(overshoot)" in ran.out


def test_new_scenario_prints_what_it_would_write(tmp_path: Path, capsound: Runs) -> None:
    capsound("new", "scenario", "mine.toml", cwd=tmp_path)
    assert capsound("new", "scenario").out == (tmp_path / "mine.toml").read_text(encoding="utf-8")


def test_schema_is_a_schema_and_fits(capsound: Runs, source: dict[str, str]) -> None:
    schema = json.loads(capsound("schema", "scenario").out)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(tomllib.loads(capsound("new", "scenario").out))
    for name, text in source.items():
        assert validator.is_valid(tomllib.loads(text)) is (name != "bad"), name
