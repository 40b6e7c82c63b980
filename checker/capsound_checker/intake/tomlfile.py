"""The one way in for TOML files of others: limits on size, depth and digits, and errors that name the file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from capsound.errors import CapsoundError
from capsound_checker.intake.limits import FILE, TooMuch, check_data, cut


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of file it is: its name in errors, the error, and the cures."""

    name: str
    error: type[CapsoundError]
    example: str
    """Where an example of one is."""
    missing: str
    """What to do where there is no such file."""


def load_text(kind: Kind, path: Path, where: str) -> str:
    """Return the text of a file; ``where`` is what errors call it. Raises the error of its kind."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise kind.error(f"cannot read the {kind.name}: {error.strerror}", where=where, hint=kind.missing) from None
    except UnicodeDecodeError:
        raise kind.error(f"the {kind.name} is not UTF-8", where=where, hint="save it as UTF-8") from None
    except ValueError:  # a null byte in the path
        raise kind.error(f"cannot read the {kind.name}: no such file", where=where, hint=kind.missing) from None
    if len(raw) > FILE:
        raise kind.error(f"the {kind.name} has more than {FILE >> 20} MiB", where=where, hint="is it the right file?")
    return text


def parse_toml(kind: Kind, text: str, where: str) -> dict[str, Any]:
    """Return what a TOML text says, numbers exact. Raises the error of its kind."""
    try:
        data = tomllib.loads(text, parse_float=Decimal)
        check_data(data)
    except RecursionError:
        raise kind.error("it is nested too deeply", where=where, hint=kind.example) from None
    except ArithmeticError:
        raise kind.error(
            "a number is out of all proportion", where=where, hint="amounts have at most 60 digits"
        ) from None
    except TooMuch as error:
        raise kind.error(str(error), where=where, hint=kind.example) from None
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise kind.error(f"not TOML: {cut(str(error))}", where=where, hint=kind.example) from None
    return data
