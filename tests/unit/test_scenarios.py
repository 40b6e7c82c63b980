"""The scenario files that ship: complete, explained, listed, and with the paper's numbers. Nothing is solved here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import load_scenario
from capsound.properties import ASSUMPTIONS, Property
from capsound.scenario import Agents, Interval, Plain, Request, Scenario
from capsound.verdict import Verdict

FOLDER = Path(__file__).parents[2] / "scenarios"
FILES = sorted(FOLDER.glob("*.toml"))

CLUSTERS = (
    "M-retry-loop",
    "M-cost-observability",
    "M-context-amplification",
    "M-storage-amplification",
    "M-budget-primitive-missing",
    "M-delegation-fanout",
    "M-multimodal-cost-amplification",
    "providerOptions-silently-dropped",
)
"""The clusters of the incident catalogue of arXiv 2606.04056."""

SOURCES = re.compile(
    r"arXiv 2606\.04056|theorem \d+|design section \d|issue \d+ of this project|[Cc]luster |Source: as \S+\.toml|"
    r"Source: [\w.-]+/[\w.-]+ (?:issue |pull request |)\d+ \(20\d\d-\d\d"
)
ISSUE = re.compile(r"[\w.-]+/[\w.-]+#\w+")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def load(path: Path) -> Scenario:
    return load_scenario(path, known_disciplines=DISCIPLINES)


def shipped(name: str) -> Scenario:
    return load(FOLDER / f"{name}.toml")


def comment(path: Path) -> list[str]:
    """Return the lines of the comment that a file begins with."""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return lines


class Row(NamedTuple):
    question: str
    verdict: str
    names: frozenset[str]


def listed() -> dict[str, Row]:
    """Return the rows of all the tables of the README, by file name."""
    rows: dict[str, Row] = {}
    for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines():
        if not line.startswith("| ["):
            continue
        file, question, verdict, names = (cell.strip() for cell in line.strip("|").split("|"))
        found = re.fullmatch(r"\[(.+)\]\((.+)\)", file)
        assert found is not None, line
        name, target = found.groups()
        assert target == f"{name}.toml", line
        assert target not in rows, f"{target} is listed twice"
        rows[target] = Row(question, verdict, frozenset() if names == "-" else frozenset(names.split(", ")))
    return rows


LISTED = listed()


# ------------------------------------------------------------------------------------------ every file


def test_about_as_many_files_ship_as_were_asked_for() -> None:
    assert len(FILES) >= 30


@each_file
def test_a_file_says_what_it_shows_and_where_its_numbers_come_from(path: Path) -> None:
    lines = comment(path)
    assert 2 <= len(lines) <= 8
    assert all(len(line) <= 120 for line in lines)
    assert SOURCES.search(" ".join(lines)), "no source is named"


@each_file
def test_a_file_has_a_title_and_a_verdict_to_meet(path: Path) -> None:
    scenario = load(path)
    assert scenario.title
    assert not scenario.title.endswith(".")
    expect = scenario.expect
    assert expect.verdict in (Verdict.SOUND, Verdict.VIOLATED)
    if expect.verdict is Verdict.SOUND:
        assert not expect.anomalies
        assert set(expect.properties.values()) <= {Verdict.SOUND}
        assert (expect.steps, expect.overshoot) == (None, None)
    else:
        assert expect.anomalies
        assert not expect.flags
        if expect.properties:
            assert Verdict.VIOLATED in expect.properties.values()
    if expect.overshoot is not None:
        assert "overshoot" in expect.anomalies


@each_file
def test_the_files_that_a_comment_points_to_exist(path: Path) -> None:
    for name in re.findall(r"[\w.-]+\.toml", " ".join(comment(path))):
        assert (FOLDER / name).is_file(), name


def test_names_and_titles_are_unique() -> None:
    scenarios = [load(path) for path in FILES]
    for values in ([s.name.casefold() for s in scenarios], [s.title.casefold() for s in scenarios]):
        assert sorted(values) == sorted(set(values))


def test_every_discipline_has_a_scenario() -> None:
    scenarios = [load(path) for path in FILES]
    assert {s.discipline for s in scenarios if s.table is None} == set(DISCIPLINES)


def test_every_assumption_is_switched_off_somewhere() -> None:
    off = set()
    for path in FILES:
        assume = load(path).assume
        off |= {name for name in ASSUMPTIONS if getattr(assume, name.lower(), True) is False}
        if assume.width is not None:
            off.add("A2")
    assert off == set(ASSUMPTIONS)


# -------------------------------------------------------------------------------------------- the list


def test_the_list_has_every_file_and_no_other() -> None:
    assert set(LISTED) == {path.name for path in FILES}


@each_file
def test_the_list_says_what_the_file_expects(path: Path) -> None:
    row, expect = LISTED[path.name], load(path).expect
    assert row.question
    assert row.verdict == expect.verdict
    assert row.names == {*expect.anomalies, *expect.flags}


# ---------------------------------------------------------------------------------- the paper's numbers


def agents_of(scenario: Scenario) -> Agents:
    (agents,) = scenario.agents
    return agents


@pytest.mark.parametrize(
    ("name", "cap", "count", "own", "discipline"),
    [
        ("race-a-racy-counter", 60, 3, None, "racy-counter"),
        ("race-a-1000-agents", 60, 1000, None, "racy-counter"),
        ("race-b-reserve-settle", 60, 3, None, "reserve-settle"),
        ("race-c-split-20", 60, 3, 20, "split-per-agent"),
        ("race-d-split-33", 100, 3, 33, "split-per-agent"),
        ("race-d-racy-cap-100", 100, 3, None, "racy-counter"),
    ],
)
def test_a_race_has_the_numbers_of_the_paper(name: str, cap: int, count: int, own: int | None, discipline: str) -> None:
    scenario = shipped(name)
    agents = agents_of(scenario)
    (call,) = scenario.calls
    assert scenario.cap == Interval.exactly(cap)
    assert scenario.discipline == discipline
    assert (agents.count, agents.calls, agents.account) == (count, 1, "root")
    assert agents.own_slice == (None if own is None else Interval.exactly(own))
    assert call.cost == Plain(Interval.exactly(31), Interval.exactly(23))


def test_the_races_expect_what_the_paper_measured() -> None:
    a, thousand = shipped("race-a-racy-counter").expect, shipped("race-a-1000-agents").expect
    assert (a.verdict, a.overshoot, a.steps) == (Verdict.VIOLATED, 3 * 23 - 60, 6)
    assert (thousand.overshoot, thousand.steps) == (1000 * 23 - 60, 6)
    assert shipped("race-b-reserve-settle").expect.properties[Property.CAP] is Verdict.SOUND
    assert shipped("race-c-split-20").expect.flags == ("useless",)
    assert shipped("race-d-split-33").expect.flags == ("uninformative",)
    assert shipped("race-d-racy-cap-100").expect.flags == ("uninformative",)


def test_the_file_of_the_demo_fits_a_screen() -> None:
    lines = (FOLDER / "race-a-racy-counter.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 112


def request_of(name: str) -> Request:
    (call,) = shipped(name).calls
    assert isinstance(call.cost, Request)
    return call.cost


@pytest.mark.parametrize("margin", ["1.0", "1.875", "2.0"])
def test_the_nested_tool_schema_is_the_measured_one(margin: str) -> None:
    scenario, request = shipped(f"nested-tool-schema-{margin}"), request_of(f"nested-tool-schema-{margin}")
    assert (request.bytes, request.input_tokens) == (Interval.exactly(320), Interval.exactly(600))
    assert scenario.estimator.margin == float(margin)
    assert scenario.expect.margin == 1.875
    assert (scenario.expect.verdict is Verdict.VIOLATED) == (margin == "1.0")


def test_the_tool_descriptions_in_unicode_are_the_measured_ones() -> None:
    request = request_of("unicode-tools")
    assert (request.bytes, request.input_tokens) == (Interval.exactly(11726), Interval.exactly(14539))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cancel-release", "cancel-forfeit"),
        ("overrun-dropped", "overrun-charged"),
        ("race-a-racy-counter", "race-b-reserve-settle"),
    ],
)
def test_a_bug_and_its_cure_differ_in_the_discipline_only(one: str, other: str) -> None:
    left, right = shipped(one), shipped(other)
    assert left.discipline != right.discipline
    for part in ("cap", "agents", "calls", "slices", "assume", "faults", "prices"):
        assert getattr(left, part) == getattr(right, part), part


@pytest.mark.parametrize(
    ("one", "other", "part"),
    [
        ("growth-not-estimated", "growth-estimated", "history"),
        ("small-payload-tools", "small-payload-tools-overhead", "overhead"),
        ("nested-tool-schema-1.0", "nested-tool-schema-2.0", "margin"),
    ],
)
def test_an_estimator_and_its_cure_differ_in_one_key_only(one: str, other: str, part: str) -> None:
    left, right = shipped(one), shipped(other)
    assert getattr(left.estimator, part) != getattr(right.estimator, part)
    for same in ("cap", "discipline", "agents", "calls", "provider", "prices", "assume"):
        assert getattr(left, same) == getattr(right, same), same


# ----------------------------------------------------------------------------------------- the incidents


INCIDENTS = [path for path in FILES if path.name.startswith("incident-")]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_cluster_has_a_file_of_its_name(cluster: str) -> None:
    assert f"luster {cluster}" in " ".join(comment(FOLDER / f"incident-{cluster}.toml"))


@pytest.mark.parametrize("path", INCIDENTS, ids=lambda path: path.stem)
def test_an_incident_names_its_cluster_and_two_real_issues(path: Path) -> None:
    text = " ".join(comment(path))
    assert sum(f"luster {cluster}" in text for cluster in CLUSTERS) == 1
    assert len(ISSUE.findall(text)) >= 2
    assert "$" not in text


def test_no_issue_stands_for_two_clusters() -> None:
    cited: dict[str, set[str]] = {}
    for path in INCIDENTS:
        text = " ".join(comment(path))
        (cluster,) = (name for name in CLUSTERS if f"luster {name}" in text)
        for issue in ISSUE.findall(text):
            cited.setdefault(issue, set()).add(cluster)
    assert [issue for issue, clusters in cited.items() if len(clusters) > 1] == []
