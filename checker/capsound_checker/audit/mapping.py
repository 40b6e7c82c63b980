"""Mappings: how the records of a foreign log become our events (docs/audit.md).

A mapping is a TOML file. It says which records count, which events each becomes, from which fields the names and
amounts are taken, and by which exact factor amounts are converted. Numbers never pass through a float.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from capsound_checker.audit.mappingfile import BadMapping, read_mapping
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.times import moment
from capsound_checker.audit.values import BadRecord
from capsound_checker.intake.limits import cut
from capsound_checker.intake.tomlfile import Kind, load_text, parse_toml

__all__ = ["FOLDER", "BadMapping", "BadRecord", "LogMapping", "load_mapping", "moment", "parse_mapping", "shipped"]

FOLDER = Path(__file__).resolve().parent / "mappings"
"""Where the mappings that ship are."""


def shipped() -> list[str]:
    """Return the names of the mappings that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def mapping_digest(name_or_path: str | Path) -> str:
    """Return what the file of a mapping is: its SHA-256, empty where it cannot be read."""
    path = FOLDER / f"{name_or_path}.toml" if str(name_or_path) in shipped() else Path(name_or_path)
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def load_mapping(name_or_path: str | Path) -> LogMapping:
    """Return a mapping that ships, by its name, or one of your own, by its path.

    Raises ``BadMapping`` for a file that cannot be read or says something that no mapping can say.
    """
    path = Path(name_or_path)
    if str(name_or_path) in shipped():
        path = FOLDER / f"{name_or_path}.toml"
    where = cut(str(name_or_path))
    text = load_text(_kind(), path, where)
    return parse_mapping(text, path=where)


def parse_mapping(text: str, *, path: str = "mapping.toml") -> LogMapping:
    """Return the mapping that a TOML text describes; ``path`` is named in errors. Raises ``BadMapping``."""
    return read_mapping(parse_toml(_kind(), text, path), path)


def _kind() -> Kind:
    ships = f"give the path of a TOML file, or one that ships: {', '.join(shipped())}"
    return Kind("mapping", BadMapping, "see docs/audit.md for an example", ships)
