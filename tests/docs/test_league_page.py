"""docs/league.md says what the last published campaign found, and its example is a league file."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from capsound_checker.display.schemas import schema_of
from capsound_checker.league.leaguefile import load_league
from capsound_checker.league.showing import points_of, write_page
from capsound_checker.league.tables import BEGIN, END, markdown

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "league.md").read_text()
LEAGUE, RESULTS = ROOT / "league" / "league.toml", ROOT / "league" / "results.json"


def test_the_example_is_a_league_file(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "league.toml").write_text(text)
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "breakerbox.py").write_text("")
    (target,) = load_league(tmp_path / "league.toml").targets.values()
    assert target.requirements == ("breakerbox==1.0.0", "langgraph==1.2.24")


def test_the_tables_are_those_of_the_last_campaign() -> None:
    told = PAGE.partition(f"{BEGIN}\n")[2].partition(f"{END}\n")[0]
    if not RESULTS.exists():
        assert told.startswith("`make league` writes the tables here")
        return
    document = json.loads(RESULTS.read_text())
    Draft202012Validator(schema_of("league")).validate(document)
    assert told == markdown(document)


@pytest.mark.skipif(not RESULTS.exists(), reason="no campaign is published")
def test_the_page_of_html_and_the_picture_show_the_last_campaign(tmp_path: Path) -> None:
    document = json.loads(RESULTS.read_text())
    write_page(tmp_path / "league.html", document)
    assert (tmp_path / "league.html").read_text() == (ROOT / "docs" / "league.html").read_text()
    points = points_of(document)
    assert [place for _, place, _ in points] == sorted((place for _, place, _ in points), reverse=True)
    assert {name for name, _, _ in points} == {row["name"] for row in document["targets"] if row["precision"]}
    for row in document["targets"]:
        assert row["strongest"] in (ROOT / "docs" / "images" / "league" / f"{row['name']}.svg").read_text()


@pytest.mark.skipif(not LEAGUE.exists(), reason="there is no league file here")
def test_the_league_can_be_used() -> None:
    league = load_league(LEAGUE)
    published = {row["name"] for row in json.loads(RESULTS.read_text())["targets"]} if RESULTS.exists() else set()
    assert published <= set(league.targets)
