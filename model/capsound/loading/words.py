"""How messages about a scenario file name values, tables and near misses."""

from __future__ import annotations

import json
from collections.abc import Iterable

from capsound.errors import nearest, printable
from capsound.positions import KeyPath


def some(number: int, noun: str) -> str:
    """Return a number and what is counted, in the plural where it is not one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def article(plural: str) -> str:
    """Return how to ask for one entry of an array."""
    return {"agents": "one [[agents]]", "calls": "one [[calls]]"}.get(plural, "one entry")


def show(value: object) -> str:
    """Return a value as TOML would write it, short enough for a message."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return printable(json.dumps(value if len(value) <= 40 else value[:39] + "…", ensure_ascii=False))
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return str(value)


def _header(path: KeyPath) -> tuple[str, KeyPath]:
    """Split a path into the table that it is in, as written in the file, and the rest."""
    if len(path) > 1 and isinstance(path[1], int) and path[0] in ("agents", "calls", "slices", "ceilings"):
        return f"[[{path[0]}]] number {path[1] + 1}", path[2:]
    if len(path) > 1 and path[0] != "properties":
        return f"[{printable(str(path[0]))[:40]}]", path[1:]
    return "", path


def spell(path: KeyPath) -> str:
    """Name the thing at ``path`` in words."""
    header, rest = _header(path)
    if not rest:
        return header or "the scenario"
    name = str(rest[0]) + "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in rest[1:])
    return f"{show(name)} in {header}" if header else show(name)


def within(path: KeyPath) -> str:
    """Say which table a key is in; nothing for the top of the file."""
    header, rest = _header((*path, "key"))
    inner = ".".join(str(key) for key in rest[:-1])
    return f" in {show(inner)} of {header}" if inner and header else f" in {header}" if header else ""


def guess(word: str, known: Iterable[str]) -> str:
    """Return ``errors.nearest``, which also knows words that begin alike: captokens and cap."""
    names = list(known)
    hint = nearest(word[:60], names).replace("'", '"')
    if not hint.startswith("did"):
        folded = word.casefold().replace("-", "_")
        long = [name for name in names if min(len(name), len(folded)) > 2]
        alike = [name for name in long if folded.startswith(name) or name.startswith(folded)]
        if alike:
            return f'did you mean "{max(alike, key=len)}"?'
    return hint
