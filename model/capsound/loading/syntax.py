"""The first two gates: the file can be read, and it is TOML of a sane size with numbers to calculate with."""

from __future__ import annotations

import os
import re
import tomllib
from codecs import BOM_UTF8
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from capsound.errors import printable
from capsound.loading.limits import DEPTH_CURE, LARGE_CURE, MAX_FILE, MAX_ITEMS, MAX_NUMBER, TOO_LARGE
from capsound.loading.problems import BadScenario, Notes, Problem
from capsound.loading.taming import stand_in
from capsound.loading.words import guess, spell
from capsound.positions import KeyPath, Place


def read_text(path: str | Path) -> str:
    """Return the text of the scenario file ``path``. Raises ``BadScenario``."""
    shown = printable(os.fspath(path))
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadScenario(shown, [_unreadable(path, error)]) from None
    if len(data) > MAX_FILE:
        raise BadScenario(shown, [too_large(max(size, len(data)))])
    data = data.removeprefix(BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadScenario(shown, [_not_utf8(data, error)]) from None


def _unreadable(path: str | Path, error: OSError | ValueError) -> Problem:
    if isinstance(error, FileNotFoundError):
        folder = Path(path).parent
        try:
            beside = [file.name for file in islice(folder.glob("*.toml"), MAX_ITEMS)]
        except OSError:
            beside = []
        near = guess(Path(path).name, beside)
        hint = near if near.startswith("did") else "`capsound new scenario` writes one to begin with"
        return Problem("there is no such file", 0, 0, printable(hint))
    if isinstance(error, IsADirectoryError):
        return Problem("this is a directory, not a scenario file", 0, 0, "name a file in it")
    if isinstance(error, PermissionError):
        return Problem("the file may not be read", 0, 0, "check its permissions")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Problem(f"the file cannot be read: {reason}", 0, 0, "check the path")


def too_large(size: int) -> Problem:
    """Return the problem of a file of so many bytes."""
    return Problem(
        f"the file is too large: {size:,} bytes, and a scenario may have {MAX_FILE:,} (1 MiB)",
        1,
        1,
        "is this the right file? Identical agents need one entry, with count = N",
    )


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> Problem:
    start = data.rfind(b"\n", 0, error.start) + 1
    line = data.count(b"\n", 0, error.start) + 1
    column = len(data[start : error.start].decode()) + 1
    message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} has no meaning here"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16, not UTF-8"
    source = data[start:].partition(b"\n")[0].decode(errors="replace")
    return Problem(message, line, column, "save the file as UTF-8", source)


_SYNTAX = re.compile(
    r"(?P<what>.*?)\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_CURES = (
    ("Invalid value", 'text needs quotes, as in discipline = "racy-counter"; numbers and true, false do not'),
    ("Cannot overwrite", "this key has a value already: keep one of the two"),
    (
        "Cannot declare",
        "this table is there already: join the two, or use [[two brackets]] for one more entry",
    ),
    ("Cannot mutate", "this table is closed already: write its keys in one place"),
    ("Cannot redefine", "this table is there already: join the two"),
    ("Expected '='", "a line is key = value, [table] or [[entry of an array]]"),
    ("Expected newline", "one key = value on each line"),
    ("Invalid statement", "a line is key = value, [table] or [[entry of an array]]"),
    ("Illegal character '\\n'", "close the string on the line where it begins"),
    ("Illegal character", "control characters are not allowed; in strings write \\n or \\t"),
    ("Unterminated string", "close the string"),
    ("Unescaped '\\'", "write \\\\ for a backslash, or use 'single quotes'"),
    ("Unclosed array", "close the array with ], and put commas between its values"),
    ("Unclosed inline", "close the table with }, on the same line"),
    ("Expected ']", "close the header of the table"),
)


def read_toml(notes: Notes) -> dict[str, Any]:
    """Return what the text says. Raises ``BadScenario``."""
    if notes.places.too_much:
        what, place = notes.places.too_much
        notes.at(place, f"the file {what}", f"{DEPTH_CURE}; many agents need one entry, with count = N")
        raise notes.error()
    try:
        data = tomllib.loads(notes.text, parse_float=_exact)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        what = found["what"] if found else str(error)
        what = re.sub(r"\('(.*)',?\)", lambda keys: "[" + keys[1].replace("', '", ".") + "]", what)
        if found and found["line"]:
            place = Place(int(found["line"]), int(found["column"]))
        else:
            place = notes.places.place(len(notes.text.rstrip()))
        hint = next((cure for start, cure in _CURES if what.startswith(start)), "see https://toml.io/en/v1.0.0")
        notes.at(place, f"this is not TOML: {printable(what[:1].lower() + what[1:])}", hint)
        raise notes.error() from None
    except ValueError:
        # Python converts no decimal integer above some thousand digits, so there is no value to look at.
        digits = re.compile(r"[+-]?[0-9_]{600}")
        paths = (path for path in notes.places.paths() if digits.match(notes.places.value_text(path)))
        path = next(paths, ())
        notes.value(path, f"{spell(path)} is too large: {TOO_LARGE}", LARGE_CURE)
        raise notes.error() from None
    if not data:
        what = "holds nothing but comments" if notes.text.strip() else "is empty"
        notes.at(Place(1, 1), f"the file {what}", "`capsound new scenario` writes one to begin with")
        raise notes.error()
    return data


class _Unrepresentable(Decimal):
    """A decimal whose exponent is beyond what ``Decimal`` can hold."""


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Unrepresentable("inf")


_FINITE_CURE = 'give a finite number; for an amount, a cap or a count, "any" says that there is no limit'


def check_values(data: dict[str, Any], notes: Notes) -> None:
    """Find what cannot be calculated with: NaN, infinities, numbers and arrays of absurd size.

    Such a number is blamed, and replaced by a stand-in, so that the schema sees only tame values.
    """
    todo: list[tuple[KeyPath, Any]] = [((), data)]
    while todo:
        path, container = todo.pop()
        if len(container) > MAX_ITEMS:
            message = f"{spell(path)} has {len(container):,} entries, more than {MAX_ITEMS:,}"
            notes.key(path, message, "identical agents need one entry, with count = N")
            raise notes.error()
        for key in list(container) if isinstance(container, dict) else range(len(container)):
            here, value = (*path, key), container[key]
            if isinstance(value, dict | list):
                todo.append((here, value))
            elif isinstance(value, int | Decimal) and (wrong := _not_computable(value)):
                notes.value(here, f"{spell(here)} {wrong[0]}", wrong[1])
                notes.blamed.add(here)
                container[key] = stand_in(here)


def _not_computable(value: int | Decimal) -> tuple[str, str] | None:
    """Return what is wrong with a number and the cure, or None."""
    if isinstance(value, int):
        if value < -MAX_NUMBER:
            return "is negative, and far too large", "amounts are whole numbers of at least 0"
        return (f"is too large: {TOO_LARGE}", LARGE_CURE) if value > MAX_NUMBER else None
    if value.is_zero():
        return None
    if value.is_nan():
        return "is nan, which is not a number", _FINITE_CURE
    if isinstance(value, _Unrepresentable) or (value.is_finite() and value.adjusted() > 18):
        return f"is too large: {TOO_LARGE}", LARGE_CURE
    if value.is_infinite():
        return f"is {'-' if value.is_signed() else ''}inf, which is not finite", _FINITE_CURE
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and (exponent < -18 or exponent > 18):
        return "has too many digits", "18 on each side of the decimal point are the most"
    return None
