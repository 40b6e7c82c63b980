"""The imports of the four source roots as data: what imports what, in which line, and in which room both live.

A *room* is a source root, or one of the wings of the checker. Imports inside functions count: an arrow that is
drawn late is still an arrow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "capsound": ROOT / "model/capsound",
    "capsound_proofs": ROOT / "proofs/capsound_proofs",
    "capsound_reference": ROOT / "reference_impl/capsound_reference",
    "capsound_checker": ROOT / "checker/capsound_checker",
}
FRONT = "front"
"""The room of the modules at the top of the checker: the entry points, and the public names."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: who, whom, and where it stands (``path:line``, relative to the repository)."""

    importer: str
    imported: str
    where: str


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the path of every module of the four source roots."""
    for package, folder in sorted(PACKAGES.items()):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            yield ".".join((package, *parts)).removesuffix(".__init__"), path


@cache
def imports() -> tuple[Import, ...]:
    """Return every import of every module: of a name, the module that holds it; of a package, the package."""
    known = dict(modules())
    found: list[Import] = []
    for importer, path in known.items():
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                found += [Import(importer, alias.name, where) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found += [Import(importer, name if name in known else node.module, where) for name in inner]
            elif isinstance(node, ast.ImportFrom):
                raise AssertionError(f"{where}: write the whole name of what is imported")
    return tuple(dict.fromkeys(found))


def room(module: str) -> str:
    """Return the room in which a module of ours lives."""
    package, *rest = module.split(".")
    if package != "capsound_checker":
        return package
    return rest[0] if rest and (PACKAGES[package] / rest[0]).is_dir() else FRONT


def is_ours(module: str) -> bool:
    """Whether a module is one of the four source roots'."""
    return module.split(".")[0] in PACKAGES


def arrows() -> dict[tuple[str, str], list[Import]]:
    """Return the imports that leave a room, by the rooms at both ends."""
    found: dict[tuple[str, str], list[Import]] = {}
    for one in imports():
        if is_ours(one.imported) and room(one.importer) != room(one.imported):
            found.setdefault((room(one.importer), room(one.imported)), []).append(one)
    return dict(sorted(found.items()))


def lines_of_code() -> dict[str, int]:
    """Return the number of lines of every room."""
    sizes: dict[str, int] = {}
    for name, path in modules():
        sizes[room(name)] = sizes.get(room(name), 0) + len(path.read_text().splitlines())
    return sizes
