"""Rows of tables as lines of a log: CSV, Parquet, and what a database answers to a query, each row one JSON object.

They are read in a stream. A value that JSON has no word for is written as a text: a decimal number with all of its
digits, a time as ISO 8601.
"""

from __future__ import annotations

import csv
import importlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.audit.logreading import BadLog
from capsound_checker.intake.limits import LINE, cut

_ROWS = 1000
"""How many rows are fetched at a time."""


class Missing(CapsoundError):
    """A package that is needed to read this kind of log, and is not installed."""

    name = "not-installed"
    exit_status = EXIT_USAGE


def needed(module: str, what: str) -> Any:
    """Return an optional module. Raises ``Missing``, with the extra that has it, where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Missing(
            f"{what} is read by {module.partition('.')[0]}, which is not installed",
            cause=str(error),
            hint="pip install 'capsound[logs]'",
        ) from None


def csv_lines(lines: Iterable[str], where: str) -> Iterator[str]:
    """Yield the rows of a CSV file with a header as JSON objects; an empty value is null.

    A row that does not fit the header becomes a line that is no object: the audit names it. Raises ``BadLog`` for what
    is no CSV.
    """
    csv.field_size_limit(LINE)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        if len(set(header)) != len(header) or not all(header):
            raise BadLog("the first line is no header: each column needs a name of its own", where=cut(where))
        for row in reader:
            if len(row) != len(header):
                yield json.dumps(f"a row of {len(row)} values under {len(header)} columns") + "\n"
            else:
                yield json.dumps({name: value or None for name, value in zip(header, row, strict=True)}) + "\n"
    except csv.Error as error:
        raise BadLog(f"not CSV: {error}", where=f"{cut(where)}:{reader.line_num}", hint=_CSV) from None


_CSV = "a header, then one row a line, with commas between the values"


def parquet_lines(path: Path) -> Iterator[str]:
    """Yield the rows of a Parquet file as JSON objects. Raises ``BadLog`` for what is none."""
    parquet = needed("pyarrow.parquet", "Parquet")
    lib = importlib.import_module("pyarrow.lib")
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                for row in batch.to_pylist():
                    yield _line(row)
    except OSError as error:
        raise BadLog(f"cannot read the log: {error.strerror or error}", where=cut(str(path))) from None
    except (lib.ArrowException, ValueError) as error:
        raise BadLog(f"not Parquet: {cut(str(error))}", where=cut(str(path))) from None


def sqlite_lines(path: str, query: str) -> Iterator[str]:
    """Yield what a SQLite database answers as JSON objects; it is opened for reading only. Raises ``BadLog``."""
    try:
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)
        try:
            cursor = connection.execute(query)
            if cursor.description is None:
                raise BadLog("the query answers nothing", where=cut(path), hint="begin it with SELECT")
            names = _names([column[0] for column in cursor.description], path)
            while rows := cursor.fetchmany(_ROWS):
                for row in rows:
                    yield _line(dict(zip(names, row, strict=True)))
        finally:
            connection.close()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise BadLog(
            f"sqlite: {cut(str(error))}", where=cut(path), hint="is it the right file, and the right query?"
        ) from None


def postgres_lines(url: str, query: str) -> Iterator[str]:
    """Yield what a PostgreSQL database answers as JSON objects, in a transaction that only reads. Raises ``BadLog``."""
    psycopg = needed("psycopg", "PostgreSQL")
    where = without_password(url)
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.read_only = True
            with connection.cursor(name="capsound") as cursor:
                cursor.itersize = _ROWS
                cursor.execute(query)
                names = _names([column.name for column in cursor.description or ()], where)
                for row in cursor:
                    yield _line(dict(zip(names, row, strict=True)))
    except psycopg.Error as error:
        told = str(error).replace(url, where).splitlines()
        raise BadLog(f"postgresql: {cut(told[0] if told else repr(error))}", where=where, hint=_POSTGRES) from None


_POSTGRES = "postgresql://USER@HOST:PORT/DATABASE, and --query 'SELECT ...'"


def without_password(url: str) -> str:
    """Return the address of a database as it can be shown."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        return cut(f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}", 80)
    except ValueError:
        return "postgresql"


def _names(names: Sequence[str], where: str) -> Sequence[str]:
    if not names or len(set(names)) != len(names):
        raise BadLog("two columns of the answer have one name", where=cut(where), hint="name each: SELECT a AS b")
    return names


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, default=_text) + "\n"


def _text(value: object) -> object:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, Decimal) else repr(value)
