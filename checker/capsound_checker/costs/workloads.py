"""Workloads from CSV files: calls by themselves, or traces of sessions (docs/ratio.md)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import TextIO

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.scenario import Prices
from capsound.workload import Call, Seen, Session, Workload
from capsound_checker.intake.limits import FILE, cut


class BadWorkload(CapsoundError):
    """A workload that cannot be read; ``where`` is file, line and column number of the cell that is to blame."""

    name = "bad-workload"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Condition:
    """A column that has a value, or, where ``equal`` is false, has another."""

    column: str
    value: str
    equal: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file that does not say everything.

    ``where`` keeps the rows that meet every condition. The others stand in for columns that are absent
    or empty: prices are in units of money per token. Where no column tells bytes, a request has ``bytes_per_token`` of
    them for each input token that is new in its session. ``exact_counts`` asks the counter of an oracle: it says what
    the provider will bill.
    """

    where: tuple[Condition, ...] = ()
    max_output: int | None = None
    price_in: str | None = None
    price_out: str | None = None
    bytes_per_token: int = 4
    exact_counts: bool = False


COLUMNS: Mapping[str, tuple[str, ...]] = {
    "session": ("session",),
    "bytes": ("bytes", "payload_bytes_or_chars"),
    "messages": ("messages",),
    "tools": ("tools",),
    "history": ("history",),
    "counted": ("counted",),
    "max_output": ("max_output", "max_output_tokens"),
    "input_tokens": ("input_tokens", "billed_input_tokens"),
    "output_tokens": ("output_tokens", "billed_output_tokens"),
    "price_in": ("price_in",),
    "price_out": ("price_out",),
    "unit": ("unit", "cost_unit"),
}
"""The columns that are read, each with the names that it may have. Others are ignored."""

_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_PRICE = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)


AS_IT_IS = Reading()
"""Every row, and nothing stands in for what is absent."""


def read_workload(path: Path, reading: Reading = AS_IT_IS) -> Workload:
    """Return the workload of a CSV file with a header.

    With a column ``session`` (or ``run``, counted anew in each ``source_file``) the rows of a session follow each
    other under a cap of its own; without it every row is a call by itself, and all share one cap.

    Raises ``BadWorkload``.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _workload(path, _Table(path, _Rows(path, file)), reading)
    except OSError as error:
        raise BadWorkload(f"cannot read {path}: {error.strerror}", hint="name a CSV file, or gen:NAME") from None
    except UnicodeDecodeError as error:
        raise BadWorkload(f"cannot read {path}: it is not UTF-8 text", cause=str(error)) from None
    except csv.Error as error:
        raise BadWorkload(f"cannot read {path}: it is not CSV", cause=str(error)) from None


_COLUMNS = 1_000
"""How many columns a file may have."""


class _Rows:
    """The rows of an open file, none of them from a line that is too long; ``line_num`` is where the last one ends."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._reader = csv.reader(self._lines(), strict=True)

    def __iter__(self) -> Iterator[list[str]]:
        return self._reader

    @property
    def line_num(self) -> int:
        return self._reader.line_num

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(FILE):
            if len(line) >= FILE:
                raise BadWorkload(
                    f"this line has {FILE:,} characters or more",
                    hint="give each call a line of its own",
                    where=f"{self._path}:{self._reader.line_num + 1}",
                )
            yield line


class _Table:
    """The rows of a file, with the place of every cell for messages."""

    def __init__(self, path: Path, reader: _Rows) -> None:
        self.path = path
        rows = iter(reader)
        self.header = [cell.strip() for cell in next(rows, [])]
        if not any(self.header):
            raise BadWorkload(f"{path} is empty", hint="start with a line that names the columns", where=str(path))
        if len(self.header) > _COLUMNS:
            raise BadWorkload(
                f"there are {len(self.header):,} columns", hint="is it the right file?", where=f"{path}:1"
            )
        for name in self.header:
            if self.header.count(name) > 1:
                raise BadWorkload(
                    f"column {cut(name, 80)!r} appears twice", hint="name each column once", where=f"{path}:1"
                )
        self.names = {key: next((n for n in names if n in self.header), "") for key, names in COLUMNS.items()}
        self.rows: list[tuple[int, list[str]]] = []
        for row in rows:
            line = reader.line_num
            if not row:
                continue
            if len(row) != len(self.header):
                raise BadWorkload(
                    f"{len(row)} cells where the header has {len(self.header)}",
                    hint="give every row a cell for each column",
                    where=f"{path}:{line}",
                )
            self.rows.append((line, [cell.strip() for cell in row]))

    def cell(self, row: list[str], name: str) -> str:
        """Return a cell by the name of its column, empty where there is no such column."""
        return row[self.header.index(name)] if name in self.header else ""

    def where(self, line: int, column: str) -> str:
        """Return the place of a cell."""
        return f"{self.path}:{line}" + (f":{self.header.index(column) + 1}" if column in self.header else "")

    def number(self, line: int, row: list[str], key: str, default: int | None) -> int:
        """Return a whole number; raises ``BadWorkload`` with its place where it is none."""
        column = self.names[key]
        text = self.cell(row, column)
        if not text:
            if default is None:
                raise self._missing(line, key)
            return default
        if not _WHOLE.fullmatch(text):
            raise BadWorkload(
                f"{column} is {cut(text, 40)!r}, not a whole number",
                cause="sizes and usage are counted: bytes, tokens",
                hint="give a number such as 1024, without sign, point or unit",
                where=self.where(line, column),
            )
        return int(text)

    def price(self, line: int, row: list[str], key: str, default: str | None) -> Fraction:
        """Return a price per token, exactly."""
        column = self.names[key]
        cell = self.cell(row, column)
        text = cell or default
        if not text:
            raise self._missing(line, key)
        if not _PRICE.fullmatch(text):
            raise BadWorkload(
                f"{column if cell else '--' + key.replace('_', '-')} is {cut(text, 40)!r}, not a price",
                cause="a price is units of money per token",
                hint="give a number such as 3 or 0.15",
                where=self.where(line, column) if cell else "",
            )
        return Fraction(text)

    def _missing(self, line: int, key: str) -> BadWorkload:
        column = self.names[key]
        flag = f"--{key.replace('_', '-')}"
        cure = f"or give {flag}" if key in ("max_output", "price_in", "price_out") else "in every row"
        return BadWorkload(
            f"{column} is empty" if column else f"there is no column {key!r}",
            cause="a call needs it: " + ", ".join(COLUMNS[key]),
            hint=f"give it {cure}",
            where=self.where(line, column),
        )


def _workload(path: Path, table: _Table, reading: Reading) -> Workload:
    for name in (c.column for c in reading.where):
        if name not in table.header:
            raise BadWorkload(f"there is no column {name!r}", hint=nearest(name, table.header), where=f"{path}:1")
    kept = [
        (line, row)
        for line, row in table.rows
        if all((table.cell(row, c.column) == c.value) is c.equal for c in reading.where)
    ]
    if not kept:
        raise BadWorkload(
            f"none of the {len(table.rows)} rows of {path} is left",
            hint="name other values with --where" if reading.where else "give a row for each call",
            where=str(path),
        )
    keys = ("session",) if "session" in table.header else ("source_file", "run") if "run" in table.header else ()
    groups: dict[tuple[str, ...], list[Call]] = {}
    units: dict[str, int] = {}
    for line, row in kept:
        key = tuple(table.cell(row, column) for column in keys) or (f"line {line}",)
        earlier = groups.setdefault(key, [])
        earlier.append(_call(table, line, row, reading, earlier))
        units.setdefault(table.cell(row, table.names["unit"]), line)
    if len(units) > 1:
        raise BadWorkload(
            f"amounts are in {', '.join(repr(u) for u in units)}",
            cause="one cap has one unit",
            hint=f"keep the rows of one unit with --where {table.names['unit']}=...",
            where=table.where(max(units.values()), table.names["unit"]),
        )
    notes = []
    if not table.names["bytes"]:
        notes.append(f"no byte counts in the file: {reading.bytes_per_token} bytes assumed per new token of a session")
    if reading.exact_counts:
        notes.append("the token counter is an oracle: it says what the provider will bill")
    sessions = tuple(Session("/".join(key), tuple(calls)) for key, calls in groups.items())
    return Workload(path.name, sessions, not keys, next(iter(units)) or "units", tuple(notes))


def _call(table: _Table, line: int, row: list[str], reading: Reading, earlier: list[Call]) -> Call:
    tokens_in = table.number(line, row, "input_tokens", None)
    tokens_out = table.number(line, row, "output_tokens", None)
    history = 0
    if not table.names["bytes"] and earlier:
        history = min(tokens_in, earlier[-1].input_tokens + earlier[-1].output_tokens)
    guessed = None if table.names["bytes"] else reading.bytes_per_token * (tokens_in - history)
    counted = table.number(line, row, "counted", -1)
    price_in = table.price(line, row, "price_in", reading.price_in)
    price_out = table.price(line, row, "price_out", reading.price_out)
    per = lcm(price_in.denominator, price_out.denominator)
    seen = Seen(
        bytes=table.number(line, row, "bytes", guessed),
        messages=table.number(line, row, "messages", 1),
        tools=table.number(line, row, "tools", 0),
        history=table.number(line, row, "history", history),
        max_output=table.number(line, row, "max_output", reading.max_output),
        prices=Prices(int(price_in * per), int(price_out * per), per),
        counted=tokens_in if reading.exact_counts else None if counted < 0 else counted,
    )
    return Call(seen, tokens_in, tokens_out)
