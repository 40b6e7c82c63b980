"""The group ``capsound``: its help, its version, and the exit statuses of all commands.

A command is imported when it is asked for: none is needed for the help of all, which has its first line from here.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from capsound import __version__
from capsound_checker.commands.shared import exits

SUMMARIES = {
    "audit": "Audit a production log.",
    "check": "Test a budget library against the model.",
    "clients": "Measure how many requests clients send for one call.",
    "completion": "Print the tab completion of a shell.",
    "explain": "Explain a name that a message uses.",
    "explore": "Walk through a scenario step by step, in a browser.",
    "history": "Check a recorded concurrent run.",
    "league": "Judge published libraries, each in an environment of its own.",
    "new": "Write a scenario, an adapter or an application to start from.",
    "prove": "Prove the theorems behind `solve` again.",
    "ratio": "Measure what a cap costs.",
    "replay": "Run a counterexample again.",
    "schema": "Print the JSON Schema of a format.",
    "smoke": "Check that an adapter works.",
    "solve": "Prove that a design keeps its cap, or break it.",
    "wire": "Test an application: capsound is its provider.",
}
"""Every command, each in a module of its name, and the first line of its help: a test compares them."""


class Commands(MutableMapping[str, click.Command]):
    """The commands by name; each is imported when it is looked up."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            if name not in SUMMARIES:
                raise KeyError(name)
            self._loaded[name] = import_module(f"capsound_checker.commands.{name}").command
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in SUMMARIES

    def __iter__(self) -> Iterator[str]:
        return iter(SUMMARIES)

    def __len__(self) -> int:
        return len(SUMMARIES)

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]


class Group(click.Group):
    """A group whose help does not need its commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line for each command."""
        width = formatter.width - 6 - max(map(len, SUMMARIES))
        with formatter.section("Commands"):
            lines = {name: click.Command(name, help=line) for name, line in SUMMARIES.items()}
            formatter.write_dl([(name, lines[name].get_short_help_str(width)) for name in self.list_commands(ctx)])


@click.command(
    cls=Group,
    commands=Commands(),
    epilog=exits({0: "sound", 1: "violated", 2: "unknown"}, 65, 130),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="capsound")
def cli() -> None:
    """Find out whether your agents can ever be billed more than their budget.

    Start with `capsound new scenario my.toml`, then `capsound solve my.toml`.
    """
