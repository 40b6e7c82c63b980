"""Help, and what is loaded to give it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from capsound.events import Bill, Open, Reserve, Send, event_to_dict
from capsound_checker import commands
from capsound_checker.commands import cli
from capsound_checker.commands.group import SUMMARIES

Runs = Callable[..., Any]
REPOSITORY = Path(__file__).resolve().parents[2]

HEAVY = ("z3", "cvc5", "hypothesis", "networkx", "jsonschema", "rich", "matplotlib", "aiohttp")
VERDICTS = {0, 1, 2}
ENDS = {
    "": {*VERDICTS, 64, 65, 70, 130},
    "audit": {*VERDICTS, 64, 65, 70, 130},
    "check": {*VERDICTS, 64, 65, 70, 130},
    "clients": {0, 64, 65, 70, 130},
    "completion": {0, 64, 70},
    "explain": {0, 64, 65, 70},
    "explore": {0, 64, 65, 70},
    "history": {*VERDICTS, 64, 65, 70, 130},
    "league": {*VERDICTS, 64, 65, 70, 130},
    "new": {0, 64, 70},
    "prove": {*VERDICTS, 64, 65, 70, 130},
    "ratio": {0, 64, 65, 70, 130},
    "replay": {*VERDICTS, 64, 65, 70, 130},
    "schema": {0, 64, 70},
    "smoke": {0, 64, 65, 70, 130},
    "solve": {*VERDICTS, 64, 65, 70, 130},
    "wire": {*VERDICTS, 64, 65, 70, 130},
}
"""How each command can end. That this is all is checked on every run of the command line that any test makes."""


COMMANDS: list[tuple[str, click.Command]] = [("", cli), *sorted(cli.commands.items())]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_help_is_no_error(name: str, flag: str, capsound: Runs) -> None:
    ran = capsound(*name.split(), flag)
    assert ran.status == 0
    assert ran.out.startswith(f"Usage: capsound {name}".rstrip())
    assert ran.err == ""


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name or "capsound" for name, _ in COMMANDS])
def test_every_option_has_help(name: str, command: click.Command, capsound: Runs) -> None:
    text = capsound(*name.split(), "--help").out
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert all(option in text for option in parameter.opts)
        else:
            assert parameter.make_metavar(click.Context(command)).strip("[]{}.") in text


def test_every_command_is_in_the_table() -> None:
    assert [name for name, _ in COMMANDS] == list(ENDS)


@pytest.mark.parametrize("name", ENDS, ids=[name or "capsound" for name in ENDS])
def test_help_names_the_statuses_that_can_occur(name: str, capsound: Runs) -> None:
    text = " ".join(capsound(*name.split(), "--help").out.split())
    head, _, statuses = text.partition("Exit status: ")
    assert "Exit status" not in head
    assert {int(number) for number in re.findall(r"\b(\d+) [a-z]", statuses)} == ENDS[name]


@pytest.mark.parametrize("option", ["--driver", "--require"])
def test_the_help_of_check_gives_every_value_a_line_with_a_meaning(option: str, capsound: Runs) -> None:
    from capsound.guarantees import Guarantee
    from capsound_checker.check.plan import DRIVERS

    labels = [guarantee.label for guarantee in Guarantee if guarantee is not Guarantee.NONE]
    heading, values = {"--driver": ("Drivers:", list(DRIVERS)), "--require": ("Guarantees:", labels)}[option]
    section = capsound("check", "--help").out.partition(heading)[2].partition("\n\n")[0]
    told = re.findall(r"^  (\S+) +(\S.*)", section, re.MULTILINE)
    assert [name for name, _ in told] == values


def test_every_driver_in_the_help_is_one_that_check_can_plan(capsound: Runs, tmp_path: Path) -> None:
    from capsound_checker.check.checking import planned
    from capsound_checker.check.plan import DRIVERS, Plan

    adapter = {"claims": ["threads", "handlers"], "gate": "reserve", "waits": True}
    assert list(dict.fromkeys(job["job"] for job in planned(Plan("x.py:X"), adapter))) == list(DRIVERS)


def test_help_tells_what_an_interruption_returns(capsound: Runs) -> None:
    assert "130" in capsound("solve", "--help").out


def test_no_summary_of_a_command_is_cut_off(capsound: Runs) -> None:
    assert "..." not in capsound("--help").out.partition("Commands:")[2]


def test_the_version_is_that_of_the_package(capsound: Runs) -> None:
    import capsound as package

    assert capsound("--version").out == f"capsound, version {package.__version__}\n"


def loaded(program: str, env: dict[str, str]) -> set[str]:
    """Return which heavy modules a program has loaded when it ends."""
    tail = f"\nprint('loaded:', *sorted(m for m in {HEAVY} if m in __import__('sys').modules))"
    done = subprocess.run([sys.executable, "-c", program + tail], env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_importing_the_model_loads_nothing_heavy(process_env: dict[str, str]) -> None:
    assert loaded("import capsound", process_env) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["solve", "--help"], ["--version"], ["new", "scenario"]])
def test_help_loads_nothing_heavy(arguments: list[str], process_env: dict[str, str]) -> None:
    program = f"from capsound_checker.__main__ import run\nrun({arguments!r})"
    assert loaded(program, process_env) == set()


@pytest.mark.parametrize("arguments", [["explain"], ["explain", "hang"], ["schema", "scenario"]])
def test_light_commands_load_no_solver(arguments: list[str], process_env: dict[str, str]) -> None:
    program = f"from capsound_checker.__main__ import run\nrun({arguments!r})"
    assert loaded(program, process_env).isdisjoint({"z3", "cvc5", "hypothesis", "rich"})


def test_a_replay_loads_no_solver(process_env: dict[str, str], shared: Any) -> None:
    program = f"from capsound_checker.__main__ import run\nrun(['replay', {str(shared / 'race.toml')!r}, 'cs1:60/0.0'])"
    assert loaded(program, process_env).isdisjoint({"z3", "cvc5", "hypothesis"})


@pytest.mark.parametrize("module", ["capsound", "capsound_checker", "capsound_checker.commands"])
def test_an_import_loads_nothing_heavy(module: str, process_env: dict[str, str]) -> None:
    assert loaded(f"import {module}", process_env) == set()


def test_solve_loads_no_library_of_the_suites(process_env: dict[str, str]) -> None:
    """A violated scenario with slices makes all that is printed; it is solved in this very process."""
    scenario = REPOSITORY / "scenarios" / "delegation-copied-slices.toml"
    program = (
        "from pathlib import Path\nfrom capsound_checker.solve.running import Request, solve_file\n"
        f"solved = solve_file(Path({str(scenario)!r}), Request())\nassert solved.verdict == 'violated', solved"
    )
    assert loaded(program, process_env).isdisjoint({"hypothesis", "networkx", "matplotlib"})


def test_audit_loads_no_solver_and_no_library_of_the_suites(process_env: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    events = [Open("root", 5), Reserve("root", "R1", 5), Send("R1", "C1"), Bill("C1", 9)]
    log.write_text("".join(json.dumps(event_to_dict(event)) + "\n" for event in events))
    program = f"from capsound_checker.__main__ import run\nassert run(['audit', {str(log)!r}]) == 1"
    assert loaded(program, process_env) <= {"rich", "jsonschema"}


def test_check_judges_without_hypothesis(process_env: dict[str, str]) -> None:
    program = "import capsound_checker.check.worker, capsound_checker.check.checking, capsound_checker.check.verdicts"
    assert loaded(program, process_env) <= {"rich"}


def test_the_help_of_all_has_the_first_line_of_each() -> None:
    folder = Path(commands.__file__).parent
    assert {path.stem for path in folder.glob("*.py") if "\ndef command(" in path.read_text()} == set(SUMMARIES)
    for name, line in SUMMARIES.items():
        assert cli.commands[name].name == name
        assert (cli.commands[name].help or "").split("\n\n")[0].replace("\n", " ") == line


def test_help_loads_only_the_command_line(process_env: dict[str, str]) -> None:
    """What makes help quick: of capsound, only the group of commands, errors and what both need are loaded."""
    program = """
import sys
from capsound_checker.__main__ import run
run(["--help"])
print("ours:", *(name for name in sys.modules if name.split(".")[0].startswith("capsound")))
"""
    done = subprocess.run([sys.executable, "-c", program], env=process_env, capture_output=True, text=True, check=True)
    ours = set(done.stdout.rpartition("ours:")[2].split())
    assert ours <= {
        "capsound",
        "capsound.errors",
        "capsound_checker",
        "capsound_checker.__main__",
        "capsound_checker.commands",
        "capsound_checker.commands.group",
        "capsound_checker.commands.shared",
        "capsound_checker.display",
        "capsound_checker.display.files",
        "capsound_checker.display.printing",
        "capsound_checker.display.telling",
    }
