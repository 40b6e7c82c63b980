"""What others wrote, made fit to be printed: names on one line, whole texts line by line, and errors on one screen.

A terminal acts upon escapes, and the runner of a workflow upon lines that begin with ``::``. Whatever comes from
outside passes ``printable`` where it is put into a sentence; ``clean`` goes over everything once more on its way out,
since a line may also be broken by us.
"""

from __future__ import annotations

import re

from capsound.errors import printable as escaped

SCREEN = 40
"""How many lines an error may fill."""

WIDTH = 400
"""How many characters a line of an error may have."""

_COMMAND = re.compile(r"\A(\s*):(?=:)")
"""The beginning of a line that a workflow takes for a command."""

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
"""What sets a colour, and does nothing else to a terminal."""


def printable(text: str) -> str:
    """Return a text from outside on one line: what cannot be printed is written as an escape."""
    shown = escaped(text)
    if "::" not in shown and "##[" not in shown:
        return shown
    return _COMMAND.sub(r"\1\\x3a", shown).replace("##[", "#\\x23[")


def clean(text: str, *, colour: bool = False) -> str:
    """Return a text of several lines with each line printable; with ``colour`` what sets one is kept."""
    return "\n".join(_kept(line) if colour else printable(line) for line in text.split("\n"))


def _kept(line: str) -> str:
    parts = _COLOUR.split(line)
    return "".join(part if number % 2 else printable(part) for number, part in enumerate(parts))


def screen(text: str, lines: int = SCREEN, width: int = WIDTH) -> str:
    """Return an error as it is shown: clean, no line too long, and no more of them than a screen has.

    What is left out is left out in the middle: the beginning says what happened, and the end what to do.
    """
    shown = [_narrow(line, width) for line in text.split("\n")]
    if len(shown) > lines:
        first = lines - lines // 4
        last = lines - first - 1
        shown = [*shown[:first], f"  ... ({len(shown) - first - last:,} lines)", *shown[len(shown) - last :]]
    return "\n".join(shown)


def _narrow(line: str, width: int) -> str:
    shown = printable(line[: width + 1])
    return shown if len(line) <= width and len(shown) <= 2 * width else f"{shown[:width]}... ({len(line):,} characters)"
