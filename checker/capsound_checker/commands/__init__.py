"""The command line, one module a command: each turns its arguments into one call of a wing and prints the answer.

In: the arguments of the process. Out: text or JSON on standard output, and the exit status that the help names.
Heavy imports stay inside the commands, and a command is imported when it is asked for, so that help is quick.
"""

from __future__ import annotations

from capsound_checker.commands.group import cli

__all__ = ["cli"]
