"""The command line, one module a command: each turns its arguments into one call of a wing and prints the answer.

In: the arguments of the process. Out: text or JSON on standard output, and the exit status that the help names.
Heavy imports stay inside the commands, so that help and completion are quick.
"""

from __future__ import annotations

from capsound_checker.commands import (
    audit,
    check,
    clients,
    completion,
    explain,
    explore,
    history,
    league,
    new,
    prove,
    ratio,
    replay,
    schema,
    smoke,
    solve,
    wire,
)
from capsound_checker.commands.group import cli

for _module in (
    audit,
    check,
    clients,
    completion,
    explain,
    explore,
    history,
    league,
    new,
    prove,
    ratio,
    replay,
    schema,
    smoke,
    solve,
    wire,
):
    cli.add_command(_module.command)

__all__ = ["cli"]
