"""Mappings: how the records of a foreign log become our events (docs/audit.md).

A mapping is a TOML file. It says which records count, which events each becomes, from which fields the names and
amounts are taken, and by which exact factor amounts are converted. Numbers never pass through a float.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

from capsound_checker.audit.mappingfile import BadMapping, read_mapping
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.times import moment
from capsound_checker.audit.values import BadRecord
from capsound_checker.intake.limits import FILE, TooMuch, check_data, cut

__all__ = ["FOLDER", "BadMapping", "BadRecord", "LogMapping", "load_mapping", "moment", "parse_mapping", "shipped"]

FOLDER = Path(__file__).resolve().parent / "mappings"
"""Where the mappings that ship are."""


def shipped() -> list[str]:
    """Return the names of the mappings that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_mapping(name_or_path: str | Path) -> LogMapping:
    """Return a mapping that ships, by its name, or one of your own, by its path.

    Raises ``BadMapping`` for a file that cannot be read or says something that no mapping can say.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped():
        path = FOLDER / f"{name_or_path}.toml"
    where = cut(str(name_or_path))
    try:
        with path.open("rb") as file:
            raw = file.read(FILE + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise BadMapping(
            f"cannot read the mapping: {error.strerror}",
            where=where,
            hint=f"give the path of a TOML file, or one that ships: {', '.join(shipped())}",
        ) from None
    except UnicodeDecodeError:
        raise BadMapping("the mapping is not UTF-8", where=where, hint="save it as UTF-8") from None
    except ValueError:  # a null byte in the path
        raise BadMapping("cannot read the mapping: no such file", where=where, hint="give the path of a file") from None
    if len(raw) > FILE:
        raise BadMapping(f"the mapping has more than {FILE >> 20} MiB", where=where, hint="is it the right file?")
    return parse_mapping(text, path=where)


def parse_mapping(text: str, *, path: str = "mapping.toml") -> LogMapping:
    """Return the mapping that a TOML text describes; ``path`` is named in errors. Raises ``BadMapping``."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
        check_data(data)
    except RecursionError:
        raise BadMapping("it is nested too deeply", where=path, hint="see docs/audit.md for an example") from None
    except ArithmeticError:
        raise BadMapping(
            "a number is out of all proportion", where=path, hint="amounts have at most 60 digits"
        ) from None
    except TooMuch as error:
        raise BadMapping(str(error), where=path, hint="see docs/audit.md for an example") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is a number of more than 4,300 digits
        raise BadMapping(f"not TOML: {cut(str(error))}", where=path, hint="see docs/audit.md for an example") from None
    return read_mapping(data, path)
