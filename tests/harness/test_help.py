"""Help, and what is loaded to give it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click
import pytest

from capsound_checker.commands import cli

Runs = Callable[..., Any]

HEAVY = ("z3", "cvc5", "hypothesis", "networkx", "jsonschema", "rich")
STATUSES = ("0 sound", "1 violated", "2 unknown", "64 usage", "65 bad input", "70 a bug")


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


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            id=name or "capsound",
        )
        for name, _ in COMMANDS
    ],
)
def test_every_help_tells_the_exit_statuses(name: str, capsound: Runs) -> None:
    text = " ".join(capsound(*name.split(), "--help").out.split())
    assert [status for status in STATUSES if status not in text] == []


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


def test_help_is_quick(capsound_process: Runs) -> None:
    """Under 300 ms: the best of five, for a machine that is busy with other tests."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert capsound_process("--help").status == 0
        times.append(time.perf_counter() - began)
        if times[-1] < 0.3:
            return
    pytest.fail(f"capsound --help takes {min(times):.2f} s")
