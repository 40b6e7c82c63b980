"""The README and the book as data: their blocks, and the passages that are filled in from the code.

A page is Markdown. What a test has to know of a block stands in a comment right above its fence:

    <!-- file: scenarios/x.toml -->   the block is that file
    <!-- write: my.toml -->           commands further down the page find the block under that name
    <!-- solve: violated -->          the scenario gets that verdict
    <!-- part -->                     a part of a scenario: loads once what is missing is added

A ``console`` block holds commands that begin with ``$ capsound`` (or are ``$ echo $?``) and what they print.
A passage between ``<!-- code: NAME ARGUMENT -->`` and ``<!-- end -->`` is what ``FRAGMENTS`` says it is.
``UPDATE_DOCS=1 python -m pytest tests/docs`` writes outputs and passages anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
UPDATE = bool(os.environ.get("UPDATE_DOCS"))

_FENCE = re.compile(r"^(`{3,})(.*)$")
_NOTE = re.compile(r"^<!-- (file|write|solve|part|mapping|caps|league-file)(?:: (.*?))? -->$")
_OPEN = re.compile(r"^<!-- code: ([a-z-]+)(?: (.*?))? -->$")
_CLOSE = "<!-- end -->"


@dataclass(frozen=True)
class Block:
    """One fenced block: ``first`` and ``last`` are the lines of its content, counted from 0, ``last`` excluded."""

    info: str
    text: str
    first: int
    last: int
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Passage:
    """One passage that the code fills in."""

    name: str
    argument: str
    text: str
    first: int
    last: int


def label(page: Path) -> str:
    """Return how a page is called in the names of tests."""
    return page.relative_to(ROOT).as_posix()


def find_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    lines = text.split("\n")
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opening = _FENCE.match(lines[number])
        if opening is None:
            number += 1
            continue
        end = next(i for i in range(number + 1, len(lines)) if lines[i] == opening[1])
        notes: dict[str, str] = {}
        above = number - 1
        while above >= 0 and (note := _NOTE.match(lines[above])):
            notes[note[1]] = note[2] or ""
            above -= 1
        body = "".join(line + "\n" for line in lines[number + 1 : end])
        found.append(Block(opening[2].strip(), body, number + 1, end, notes))
        number = end + 1
    return found


def blocks(page: Path, info: str) -> list[Block]:
    """Return the blocks of one kind."""
    return [block for block in find_blocks(page.read_text()) if block.info == info]


def find_passages(text: str) -> list[Passage]:
    """Return the passages that the code fills in, in order."""
    lines = text.split("\n")
    found: list[Passage] = []
    for number, line in enumerate(lines):
        if opening := _OPEN.match(line):
            end = next((i for i in range(number + 1, len(lines)) if lines[i] == _CLOSE), None)
            assert end is not None, f"the passage in line {number + 1} has no end"
            body = "".join(line + "\n" for line in lines[number + 1 : end])
            found.append(Passage(opening[1], opening[2] or "", body, number + 1, end))
    return found


def put(page: Path, changes: list[tuple[int, int, str]]) -> None:
    """Replace the lines ``first`` to ``last`` of a page, for each change."""
    lines = page.read_text().split("\n")
    for first, last, text in sorted(changes, reverse=True):
        lines[first:last] = text.removesuffix("\n").split("\n") if text else []
    page.write_text("\n".join(lines))


# ------------------------------------------------------------------------------------------ the console


@dataclass(frozen=True)
class Command:
    """One command of a console block and what the page says that it prints."""

    line: str
    shown: str


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert parts[0] == "", "a console block begins with a command"
    for line, shown in zip(parts[1::2], parts[2::2], strict=True):
        yield Command(line, shown)


_MASKS = (
    (re.compile(r"\b\d+\.\d+ s\b"), "T s"),
    (re.compile(r" +\d+\.\d$"), " T"),  # the last column of a summary
)


def masked(text: str) -> list[str]:
    """Return the lines of an output without what differs from run to run: times, and blanks at the end."""
    lines = []
    for line in text.split("\n"):
        out = line.rstrip()
        for pattern, mask in _MASKS:
            out = pattern.sub(mask, out)
        lines.append(re.sub(r"^(verdict +scenario +found) +seconds$", r"\1 seconds", out))
    return lines


# ---------------------------------------------------------------------------------------- the fragments

Fragment = Callable[[Path, str], str]
FRAGMENTS: dict[str, Fragment] = {}


def fragment(write: Fragment) -> Fragment:
    """Register what fills a passage; the name is that of the function."""
    FRAGMENTS[write.__name__.removeprefix("write_").replace("_", "-")] = write
    return write


def table(header: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
