"""The README and the book say what is true of the code: blocks run, names exist, links resolve."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.explorer import explore
from capsound.loading import parse_scenario
from capsound.machine import compile_scenario
from capsound.properties import Property
from capsound_checker.commands import cli
from capsound_checker.running import Request, solve_file

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def test_every_relative_link_resolves() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_dependency_has_one_line() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = set(re.findall(r'^  "([a-z0-9-]+)(?:[><=].*)?",$', project, flags=re.MULTILINE))
    listed = re.findall(r"^\| `([a-z0-9-]+)`", (ROOT / "docs/dependencies.md").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(wanted)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_scenarios_in_the_text_load(page: Path) -> None:
    for block in blocks(page, "toml"):
        parse_scenario(block, known_disciplines=DISCIPLINES)


def test_the_scenario_of_the_book_is_as_it_expects(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs/scenarios.md", "toml")
    (tmp_path / "book.toml").write_text(block)
    solved = solve_file(tmp_path / "book.toml", Request())
    assert (solved.verdict, solved.mismatches) == ("violated", ())


def test_the_first_output_of_the_readme_is_real(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    (tmp_path / "race.toml").write_text(blocks(readme, "toml")[0])
    broken = solve_file(tmp_path / "race.toml", Request())
    fixed_text = blocks(readme, "toml")[0].replace("racy-counter", "reserve-settle")
    (tmp_path / "fixed.toml").write_text(fixed_text)
    fixed = solve_file(tmp_path / "fixed.toml", Request())
    shown = blocks(readme, "text")
    assert shown[0] in broken.text
    assert shown[1] in fixed.text


def test_the_discipline_of_the_readme_runs() -> None:
    names: dict[str, object] = {}
    (block,) = blocks(ROOT / "README.md", "python")
    exec(block, names)
    scenario = parse_scenario(blocks(ROOT / "README.md", "toml")[0], known_disciplines=DISCIPLINES)
    machine = compile_scenario(scenario, discipline=names["TWO_STEPS"])  # type: ignore[arg-type]
    assert Property.CAP in explore(machine, [Property.CAP]).found


def test_every_command_is_in_the_readme_and_no_other() -> None:
    rows = re.findall(r"^\| `capsound (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(cli.commands)


def test_the_shipped_race_has_the_numbers_of_the_readme() -> None:
    shipped = (ROOT / "scenarios/race-a-racy-counter.toml").read_text()
    for line in ("cap = 60", "count = 3", "estimate = 31", "bill = 23"):
        assert line in shipped
        assert line in blocks(ROOT / "README.md", "toml")[0]
