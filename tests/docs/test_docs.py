"""The README and the book say what is true of the code: blocks run, names exist, links resolve.

``UPDATE_DOCS=1 python -m pytest tests/docs`` writes outputs and tables anew; read the difference before you commit it.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import book
import fragments
import pytest
import rooms  # noqa: F401  it registers fragments
import speaking  # noqa: F401  it registers two more
import ways  # noqa: F401  it registers one more
import wires  # noqa: F401  it registers two more
from book import PAGES, ROOT, UPDATE, blocks, find_blocks, find_passages, label

from capsound import errors
from capsound.accounts import RULES
from capsound.adapter import Gate, Kind
from capsound.anomalies import ANOMALIES
from capsound.disciplines import DISCIPLINES, get_discipline
from capsound.errors import BadTrace
from capsound.events import EVENT_TYPES, event_from_dict
from capsound.explorer import explore
from capsound.guarantees import LADDER
from capsound.loading import load_scenario, parse_scenario, scenario_schema
from capsound.machine import Branch, Env, Machine, compile_scenario, fire, initial
from capsound.monitor import fold
from capsound.properties import ASSUMPTIONS, MEANING, Property
from capsound.schedule import INTS, Choice, Schedule, run_schedule, settled
from capsound.steps import STEPS
from capsound_checker import plugin
from capsound_checker.audit.capsfile import read_caps
from capsound_checker.audit.mapping import parse_mapping
from capsound_checker.audit.units import PICO_USD
from capsound_checker.commands import cli
from capsound_proofs.solve import solve
from capsound_reference import errors as reference_errors

Runs = Callable[..., Any]

ERRORS = [cls for cls in vars(reference_errors).values() if isinstance(cls, type) and issubclass(cls, Exception)]
"""What the reference implementation raises, in the order in which it is written."""

ANOMALY_PAGES = sorted((ROOT / "docs/anomalies").glob("*.md"))
DRIVEN = {"hang"}
"""Said by the driver of a run: its one event is all that there is to see."""

pages = pytest.mark.parametrize("page", PAGES, ids=label)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Return a folder in which the shipped scenarios and small adapters are at hand, and files may be written."""
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    for module in fragments.DESK.glob("*.py"):
        (tmp_path / module.name).write_text(module.read_text())
    return tmp_path


# ------------------------------------------------------------------------------------ what the pages show


@pages
def test_files_commands_and_tables_are_those_of_the_code(page: Path, capsound: Runs, desk: Path) -> None:
    if UPDATE:
        update(page, capsound, desk)
    text = page.read_text()
    for passage in find_passages(text):
        assert passage.text == book.FRAGMENTS[passage.name](page, passage.argument), f"{label(page)}:{passage.first}"
    for block in find_blocks(text):
        if "file" in block.notes:
            assert block.text == (ROOT / block.notes["file"]).read_text()
        if "write" in block.notes:
            (desk / block.notes["write"]).write_text(block.text)
        if block.info == "console":
            shown = [line for command in book.commands(block) for line in book.masked(command.shown)]
            printed = [line for _, output in outputs(block, capsound, desk) for line in book.masked(output)]
            assert printed == shown, f"{label(page)}:{block.first}"


def outputs(block: book.Block, capsound: Runs, desk: Path) -> list[tuple[str, str]]:
    """Return every command of a console block with what it prints."""
    found = []
    status = 0
    for command in book.commands(block):
        if command.line == "echo $?":
            found.append((command.line, f"{status}\n"))
            continue
        name, *arguments = command.line.split()
        assert name == "capsound", f"not a command that is tested: {command.line}"
        ran = capsound(*arguments, cwd=desk)
        status = ran.status
        found.append((command.line, ran.out + ran.err))
    return found


def update(page: Path, capsound: Runs, desk: Path) -> None:
    """Write the page anew where the code says something else; what differs only in times stays as it is."""
    text = page.read_text()
    changes = []
    for block in find_blocks(text):
        if "file" in block.notes:
            changes.append((block.first, block.last, (ROOT / block.notes["file"]).read_text()))
        if "write" in block.notes:
            (desk / block.notes["write"]).write_text(block.text)
        if block.info == "console":
            new = "".join(f"$ {line}\n{output}" for line, output in outputs(block, capsound, desk))
            if book.masked(new) != book.masked(block.text):
                changes.append((block.first, block.last, new))
    changes += [(p.first, p.last, book.FRAGMENTS[p.name](page, p.argument)) for p in find_passages(text)]
    book.put(page, changes)


@pages
def test_python_runs(page: Path, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests" / "support" / "fake_client")  # what is not installed for tests alone
    names: dict[str, object] = {"__name__": label(page)}
    with contextlib.chdir(desk), fragments.at_hand(desk):
        for block in blocks(page, "python"):
            if "write" in block.notes:
                (desk / block.notes["write"]).write_text(block.text)
            exec(compile(block.text, f"{label(page)}:{block.first}", "exec"), names)


@pages
def test_scenarios_load_and_get_the_verdict_that_is_said(page: Path) -> None:
    for block in blocks(page, "toml"):
        if "mapping" in block.notes:
            parse_mapping(block.text)
            continue
        if "caps" in block.notes:
            read_caps(tomllib.loads(block.text), label(page), PICO_USD)
            continue
        if "league-file" in block.notes:
            continue  # loaded by test_league_page.py
        text = completed(block.text) if "part" in block.notes else block.text
        scenario = parse_scenario(text, path=f"{label(page)}:{block.first}", known_disciplines=DISCIPLINES)
        if "solve" in block.notes:
            outcome = solve(scenario)
            assert outcome.verdict.value == block.notes["solve"]
            assert set(scenario.expect.anomalies) <= set(outcome.anomalies)


def completed(text: str) -> str:
    """Return a part of a scenario with what is missing around it."""
    said = tomllib.loads(text)
    top = "".join(
        f"{key} = {value}\n" for key, value in (("cap", "60"), ("discipline", '"reserve-settle"')) if key not in said
    )
    return top + text + "".join(f"[[{key}]]\n" for key in ("agents", "calls") if key not in said)


@pages
def test_every_run_in_json_is_a_run(page: Path) -> None:
    for block in blocks(page, "json lines"):
        fragments.run_of(block.text)


@pages
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    assert {block.info for block in find_blocks(page.read_text())} <= {
        "console",
        "json lines",
        "mermaid",  # only in passages that the code fills in
        "python",
        "sh",
        "text",
        "toml",
        "yaml",
    }
    drawn = sum(passage.text.count("```mermaid") for passage in find_passages(page.read_text()))
    assert page.read_text().count("```mermaid") == drawn


@pages
def test_workflows_and_hooks_name_what_there_is(page: Path) -> None:
    for block in blocks(page, "yaml"):
        yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
        inputs = set(yaml.safe_load((ROOT / "action.yml").read_text())["inputs"])
        hooks = {hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
        for one in yaml.safe_load(block.text):
            assert set(one.get("with", ())) <= inputs
            assert {hook["id"] for hook in one.get("hooks", ())} <= hooks
            assert set(one) & {"with", "hooks"}


@pages
def test_every_relative_link_resolves(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if target.startswith("http"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{label(page)}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{label(page)}: {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as they are made from the text."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ------------------------------------------------------------------------------------- names, both ways


def code_words(page: Path) -> set[str]:
    """Return the words of a page that are set in code, those of blocks and tables included."""
    return set(re.findall(r"`([^`\n]+)`", page.read_text()))


def first_column(page: Path, header: str) -> list[str]:
    """Return the first column of the table that begins with ``header``, without code marks and links."""
    lines = page.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {header} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("| "):
            break
        cell = line.split(" | ")[0].removeprefix("| ")
        rows.append(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell).strip("`"))
    return rows


def test_every_anomaly_has_its_page_and_every_page_its_anomaly() -> None:
    named = {page.stem for page in ANOMALY_PAGES} - {"index"}
    assert named == set(ANOMALIES)
    assert first_column(ROOT / "docs/anomalies/index.md", "anomaly") == list(ANOMALIES)
    for name in named:
        page = ROOT / "docs/anomalies" / f"{name}.md"
        assert page.read_text().startswith(f"# {name}\n")
        written = {(p.name, p.argument) for p in find_passages(page.read_text())}
        assert {("anomaly", name), ("implications", name)} <= written


def test_every_discipline_has_its_section_and_no_other() -> None:
    page = ROOT / "docs/disciplines.md"
    described = [p.argument for p in find_passages(page.read_text()) if p.name == "discipline"]
    assert described == list(DISCIPLINES)
    assert set(DISCIPLINES) <= anchors(page)
    assert first_column(page, "discipline") == list(DISCIPLINES)
    assert first_column(page, "step") == list(STEPS)


@pytest.mark.parametrize(
    ("path", "header", "names"),
    [
        ("docs/model.md", "rule", list(RULES)),
        ("docs/model.md", "property", [p.value for p in MEANING]),
        ("docs/guarantees.md", "guarantee", [rung.guarantee.label for rung in LADDER]),
        ("docs/assumptions.md", "id", list(ASSUMPTIONS)),
        ("docs/adapters.md", "gate", list(Gate)),
        ("docs/adapters.md", "outcome", list(Kind)),
        ("docs/reference.md", "error", [cls.__name__ for cls in ERRORS]),
    ],
)
def test_every_name_is_in_its_table_and_no_other(path: str, header: str, names: list[str]) -> None:
    assert first_column(ROOT / path, header) == names


def test_every_event_is_in_the_model() -> None:
    named = [word.partition("(")[0] for word in first_column(ROOT / "docs/model.md", "event")]
    assert named == list(EVENT_TYPES)


def test_every_table_of_the_language_is_described() -> None:
    page = ROOT / "docs/scenarios.md"
    described = [p.argument for p in find_passages(page.read_text()) if p.name == "keys"]
    schema = scenario_schema()["properties"]
    tables = [key for key, rule in schema.items() if rule.get("type") in ("object", "array") and key != "properties"]
    assert sorted(described) == sorted([*tables, "top", "expect"])


def test_every_command_is_in_the_readme_and_no_other() -> None:
    rows = re.findall(r"^\| `capsound (\w+)", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(cli.commands)


def test_every_option_that_is_named_exists() -> None:
    known = {option for command in (cli, *cli.commands.values()) for p in command.params for option in p.opts}
    known |= {"--help", *re.findall(r'"(--capsound[a-z-]*)"', Path(plugin.__file__).read_text())}
    for page in PAGES:
        for word in code_words(page):
            if word.startswith("python "):
                continue  # a script of ours, with options of its own
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", word):
                assert option in known, f"{label(page)}: {option}"


def test_every_exit_status_is_documented_and_no_other() -> None:
    statuses = sorted({value for name, value in vars(errors).items() if name.startswith("EXIT_")} | {130})
    assert sorted(map(int, first_column(ROOT / "docs/exit-codes.md", "status"))) == statuses
    assert sorted(map(int, first_column(ROOT / "README.md", "exit status"))) == statuses


def test_every_dependency_has_one_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    wanted = {re.split(r"[\[<>=~! ]", d)[0] for d in named} - {project["name"]}
    assert sorted(first_column(ROOT / "docs/dependencies.md", "dependency")) == sorted(wanted)


@pytest.mark.parametrize("folder", ["docs", "docs/anomalies", "docs/decisions"])
def test_the_index_of_a_folder_lists_every_page_of_it(folder: str) -> None:
    index = ROOT / folder / "index.md"
    listed = {(index.parent / t).resolve() for t in re.findall(r"\]\(([^)#]+)\)", index.read_text())}
    assert set(index.parent.glob("*.md")) - {index} <= listed
    assert set(index.parent.glob("*/index.md")) <= listed


# ------------------------------------------------------------------------------------------ the anomalies


@pytest.mark.parametrize("page", [p for p in ANOMALY_PAGES if p.stem != "index"], ids=lambda p: p.stem)
def test_the_runs_of_an_anomaly_show_it_and_no_event_can_be_left_out(page: Path) -> None:
    name = page.stem
    runs = blocks(page, "json lines")
    assert runs
    for number, run in enumerate(runs, start=1):
        events = [event_from_dict(json.loads(line)) for line in run.text.splitlines()]
        assert name in fold(events).anomalies()
        assert ("monitor", str(number)) in {(p.name, p.argument) for p in find_passages(page.read_text())}
        for left_out in range(len(events)) if name not in DRIVEN else ():
            with contextlib.suppress(BadTrace):
                assert name not in fold(events[:left_out] + events[left_out + 1 :]).anomalies()


@pytest.mark.parametrize("page", ANOMALY_PAGES, ids=lambda p: p.stem)
def test_the_scenarios_of_an_anomaly_expect_it(page: Path) -> None:
    where = page.read_text().partition("## Where it occurs")[2].partition("; ")[0]
    for target in re.findall(r"\]\((\.\./\.\./scenarios/[^)]+)\)", where):
        expect = load_scenario(page.parent / target, known_disciplines=DISCIPLINES).expect
        assert page.stem in expect.anomalies or expect.flags, f"{page.stem}: {target}"


def random_run(machine: Machine, rng: random.Random) -> Schedule:
    """Return a run in which whoever can move is drawn by lot, and so is every amount."""
    config = initial(machine, machine.cap.lo)
    choices: list[Choice] = []
    branches: dict[tuple[int, int], list[Branch]] = {}
    for branch in machine.branches():
        branches.setdefault((branch.process, branch.place), []).append(branch)
    while True:
        here = [
            branch
            for index, process in enumerate(machine.processes)
            if 0 <= config.running[index].at < process.done
            for branch in branches[index, config.running[index].at]
        ]
        rng.shuffle(here)
        for branch in here:
            after, draws = config.copy(), []

            def draw(name: str, lo: int, hi: int | None, draws: list[int] = draws) -> int:
                assert hi is not None
                if lo != hi:
                    draws.append(rng.randint(lo, hi))
                return draws[-1] if lo != hi else lo

            if settled(fire(machine, after, branch, Env(INTS, draw))):
                kind = "run" if branch.kind == "refuse" else branch.kind
                choices.append(Choice(branch.process, kind, tuple(draws)))
                config = after
                break
        else:
            return Schedule(machine.cap.lo, tuple(choices))


def test_what_no_shipped_discipline_does_is_not_seen() -> None:
    """The pages say of some anomalies that no shipped discipline shows them (at all, or while A1 holds)."""
    never = {p.stem for p in ANOMALY_PAGES if "No shipped discipline" in p.read_text()}
    assert never == {"double-settle", "false-refusal", "vanished"}
    seen: dict[bool, set[str]] = {True: set(), False: set()}
    for name in DISCIPLINES:
        for scenarios, _ in fragments.RUNGS.values():
            for agents, a1 in scenarios:
                text = fragments.tried(name, agents, a1=a1)
                machine = compile_scenario(parse_scenario(text, known_disciplines=DISCIPLINES))
                for seed in range(12):
                    run = run_schedule(machine, random_run(machine, random.Random(seed)))
                    seen[a1] |= set(fold(run.events).anomalies())
    assert never.isdisjoint(seen[True] | seen[False])
    assert "no-stop" not in seen[True]
    assert {"minted", "overshoot", "hang", "stranded"} <= seen[True]


# --------------------------------------------------------------------------------------------- the README


def test_the_fix_of_the_readme_is_the_discipline_alone() -> None:
    race = load_scenario(ROOT / "scenarios/race-a-racy-counter.toml", known_disciplines=DISCIPLINES)
    fixed = load_scenario(ROOT / "scenarios/race-b-reserve-settle.toml", known_disciplines=DISCIPLINES)
    for name in ("cap", "agents", "calls", "assume", "faults", "slices"):
        assert getattr(race, name) == getattr(fixed, name)
    outcome = solve(replace(race, discipline=fixed.discipline))
    assert outcome.result(Property.CAP).verdict.value == "sound"


def test_a_discipline_of_five_lines_runs() -> None:
    names: dict[str, Any] = {}
    block = next(b for b in blocks(ROOT / "docs/disciplines.md", "python") if "TWO_STEPS =" in b.text)
    exec(block.text, names)
    statement = block.text[block.text.index("TWO_STEPS") :].rstrip()
    assert len(statement.splitlines()) == 5
    race = load_scenario(ROOT / "scenarios/race-a-racy-counter.toml", known_disciplines=DISCIPLINES)
    machine = compile_scenario(race, discipline=names["TWO_STEPS"])
    assert Property.CAP in explore(machine, [Property.CAP]).found
    assert names["TWO_STEPS"].blocks == get_discipline("two-phase").blocks
