"""``league.toml``: which libraries are judged, in which version, by which adapter, and what they promise."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsound.anomalies import ANOMALIES
from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.guarantees import Guarantee
from capsound_checker.intake.limits import cut
from capsound_checker.intake.tomlfile import Kind, load_text, parse_toml

KINDS = ("budget library", "framework limit", "gateway", "counter", "tracker")
"""What a target is."""

REGISTRIES = ("pypi", "npm", "local")
"""Where a target is installed from; ``local`` has nothing to install."""


class BadLeague(CapsoundError):
    """A ``league.toml`` that cannot be used."""

    name = "bad-league"
    exit_status = EXIT_BAD_INPUT


_KIND = Kind(
    "league file",
    BadLeague,
    "docs/league.md has an example",
    "name a league.toml; docs/league.md has an example",
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How each target is checked, as ``capsound check`` takes it; ``seconds`` is the longest that one may take."""

    seed: int = 0
    programs: int = 300
    schedules: int = 2_000
    seconds: int = 600

    def to_dict(self) -> dict[str, int]:
        """Return it as data."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Target:
    """One adapter of one published library; docs/league.md says what the fields mean."""

    name: str
    kind: str
    registry: str
    adapter: str
    promise: str
    source: str
    package: str = ""
    version: str = ""
    extras: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    python: str = ""
    files: tuple[str, ...] = ()
    alone: str = ""
    limits: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    notes: str = ""
    strongest: str = ""
    anomalies: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    folder: Path = field(default=Path(), compare=False)
    """That of league.toml: paths are relative to it."""

    @property
    def place(self) -> str:
        """The file of the adapter, relative to the folder."""
        return self.adapter.rpartition(":")[0]

    @property
    def file(self) -> Path:
        """The file of the adapter."""
        return self.folder / self.place

    @property
    def cls(self) -> str:
        """The class in it, or what its harness is started with."""
        return self.adapter.rpartition(":")[2]

    @property
    def requirements(self) -> tuple[str, ...]:
        """What is installed, each in one exact version."""
        if self.registry == "local":
            return ()
        if self.registry == "npm":
            return (f"{self.package}@{self.version}", *self.pins)
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return (f"{self.package}{extras}=={self.version}", *self.pins)

    def sources(self) -> tuple[Path, ...]:
        """Return the files that decide a verdict: the adapter, what it imports from beside it, and what is named."""
        begin = [self.place, *self.files, *([self.alone] if self.alone else [])]
        found: dict[Path, None] = {}
        waiting = [self.folder / one for one in begin]
        while waiting:
            path = waiting.pop(0).resolve()
            if path not in found and path.is_file():
                found[path] = None
                waiting += _imported(path)
        return tuple(sorted(found))

    def digest(self) -> str:
        """Return what tells these files from others."""
        digest = hashlib.sha256()
        for path in self.sources():
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class League:
    """A league file: how it is checked, and its targets by name, in its order."""

    path: Path
    terms: Terms
    targets: Mapping[str, Target]


def load_league(path: Path) -> League:
    """Read a league file. Raises ``BadLeague``, with the target to blame."""
    where = cut(str(path))
    data = parse_toml(_KIND, load_text(_KIND, path, where), where)
    for key in data:
        if key not in ("league", "target"):
            raise BadLeague(f"unknown table [{cut(key)}]", where=where, hint=nearest(key, ("league", "target")))
    tables = data.get("target")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise BadLeague("it has no [[target]]", where=where, hint=_KIND.example)
    targets: dict[str, Target] = {}
    for number, table in enumerate(tables, start=1):
        target = _target(table, path.parent, f"{where}: target {number}")
        if target.name in targets:
            raise BadLeague(f"two targets are called {target.name!r}", where=where, hint="give each a name of its own")
        targets[target.name] = target
    return League(path, _terms(data.get("league", {}), where), targets)


def _terms(table: Any, where: str) -> Terms:
    known = {"seed": (0, 2**31), "programs": (1, 10**6), "schedules": (1, 10**7)}
    given: dict[str, int] = {}
    if not isinstance(table, dict):
        raise BadLeague("[league] is no table", where=where, hint=_KIND.example)
    for key, value in table.items():
        if key == "budget":
            given["seconds"] = _seconds(value, where)
        elif key not in known:
            raise BadLeague(
                f"unknown field {cut(key)!r} in [league]", where=where, hint=nearest(key, [*known, "budget"])
            )
        elif type(value) is not int or not known[key][0] <= value <= known[key][1]:
            raise BadLeague(f"{key} is {cut(str(value))}", where=where, hint=f"a number from {known[key][0]} up")
        else:
            given[key] = value
    return Terms(**given)


_UNITS = {"s": 1, "m": 60, "h": 3_600}


def _seconds(value: Any, where: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([smh])", str(value))
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= 86_400:
        raise BadLeague(f"budget is {cut(str(value))}", where=where, hint='write "90s", "10m" or "1h"')
    return seconds


_LISTS = ("extras", "pins", "files", "limits", "defects", "anomalies", "unknown")
_TEXTS = ("name", "kind", "registry", "adapter", "promise", "source")
_MORE = ("package", "version", "python", "alone", "notes", "strongest")
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_PACKAGE = {
    "pypi": re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"),
    "npm": re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"),
}
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]*")
_LONGEST = 200
"""How many characters a promise has at most: it stands in a table."""


def _target(table: Mapping[str, Any], folder: Path, place: str) -> Target:
    where = f"{place} ({cut(str(table['name']), 60)})" if "name" in table else place

    def wrong(message: str, hint: str = "") -> BadLeague:
        return BadLeague(message, where=where, hint=hint or _KIND.example)

    given: dict[str, Any] = {}
    for key, value in table.items():
        if key in _LISTS:
            if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
                raise wrong(f"{key} is no list of texts")
            given[key] = tuple(value)
        elif key in (*_TEXTS, *_MORE):
            if not isinstance(value, str) or not value:
                raise wrong(f"{key} is no text")
            given[key] = value
        else:
            raise wrong(f"unknown field {cut(key)!r}", nearest(key, (*_TEXTS, *_MORE, *_LISTS)))
    for key in _TEXTS:
        if key not in given:
            raise wrong(f"{key} is missing")
    target = Target(**given, folder=folder)
    _check(target, wrong)
    return target


def _check(target: Target, wrong: Any) -> None:
    if not _NAME.fullmatch(target.name):
        raise wrong(f"the name is {cut(target.name)!r}", "write a-z and 0-9, with . _ or - inside")
    for key, known in (("kind", KINDS), ("registry", REGISTRIES)):
        if getattr(target, key) not in known:
            raise wrong(f"there is no {key} {cut(getattr(target, key))!r}", nearest(getattr(target, key), known))
    if target.registry == "local":
        if target.package or target.version or target.pins or target.extras:
            raise wrong("a local target has nothing to install", "leave out package, version, pins and extras")
    else:
        _check_pins(target, wrong)
    if target.python and not re.fullmatch(r"3\.\d{1,2}", target.python):
        raise wrong(f"python is {cut(target.python)!r}", 'write the version alone: "3.12"')
    if len(target.promise) > _LONGEST or "\n" in target.promise:
        raise wrong(f"the promise has more than {_LONGEST} characters, or several lines", "quote one sentence")
    if target.strongest and target.strongest not in [g.label for g in Guarantee]:
        raise wrong(
            f"there is no guarantee {cut(target.strongest)!r}", nearest(target.strongest, [g.label for g in Guarantee])
        )
    for name in target.anomalies:
        if name not in ANOMALIES:
            raise wrong(f"there is no anomaly {cut(name)!r}", nearest(name, ANOMALIES))
    if not target.place or not re.fullmatch(r"[\w-]+", target.cls):
        raise wrong(
            f"adapter is {cut(target.adapter)!r}", 'write the file and what is in it: "adapters/mine.py:MyAdapter"'
        )
    for path in (target.place, *target.files, *([target.alone] if target.alone else ())):
        if not (target.folder / path).is_file():
            raise wrong(f"there is no file {cut(path)}", "paths are relative to the folder of the league file")
    if not target.place.endswith(_ENDINGS[target.registry == "npm"]):
        raise wrong(
            f"{cut(target.place)} is no adapter for {target.registry}",
            f"its name ends in {' or '.join(_ENDINGS[target.registry == 'npm'])}",
        )


_ENDINGS = ((".py",), (".mjs", ".cjs", ".js"))


def _check_pins(target: Target, wrong: Any) -> None:
    package, separator = _PACKAGE[target.registry], "@" if target.registry == "npm" else "=="
    if not package.fullmatch(target.package):
        raise wrong(f"package is {cut(target.package)!r}", f"write its name on {target.registry}")
    if not _VERSION.fullmatch(target.version):
        raise wrong(f"version is {cut(target.version)!r}", 'write one exact version: "1.2.3"')
    for extra in target.extras:
        if not _PACKAGE["pypi"].fullmatch(extra) or target.registry == "npm":
            raise wrong(f"there can be no extra {cut(extra)!r}")
    for pin in target.pins:
        name, found, version = pin.rpartition(separator)
        if not found or not package.fullmatch(re.sub(r"\[.*\]$", "", name)) or not _VERSION.fullmatch(version):
            raise wrong(f"{cut(pin)!r} is no pin", f"write one exact version: name{separator}1.2.3")


def _imported(path: Path) -> Iterator[Path]:
    """Yield the files beside ``path`` that it imports; what cannot be read is found out when it is loaded."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".py":
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except (SyntaxError, ValueError, RecursionError):
            return
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
        for name in names:
            yield path.parent / f"{name.split('.')[0]}.py"
        return
    for found in re.findall(r"""["'](\.\.?/[^"'\n]+)["']""", text):
        yield path.parent / found


def install_key(target: Target, python: str) -> str:
    """Return what tells an environment from others: what is installed in it, and the Python that it was asked for."""
    told = [target.registry, sorted(target.requirements), python if target.registry != "npm" else ""]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
