"""Reading a file of caps: several over one log, each with its window, and whose spending counts under it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.windows import CALENDAR, Sliding, Window, in_steps, in_words
from capsound_checker.audit.units import BadCap, amount, cap_in
from capsound_checker.audit.values import shown
from capsound_checker.intake.limits import cut
from capsound_checker.intake.tomlfile import Kind, load_text, parse_toml

EACH = ("account", "agent", "model")
"""Whose spending can have a cap of its own."""

_KEYS = ("name", "limit", "window", "timezone", "buckets", "accounts", "agents", "models", "each")
_EXAMPLE = 'write [[cap]] with limit = "$50" and window = "day"'
_REQUESTS = re.compile(r"(\d[\d_]{0,59})\s*(requests?|calls?)", re.IGNORECASE)
_ZONES = "such as Europe/Berlin or UTC; a system that has no list of them needs the package tzdata"


class BadCaps(CapsoundError):
    """A file of caps that cannot be used; the message names the key, ``where`` the file, the hint the cure."""

    name = "bad-caps"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One cap: how much may be billed in each window, and which bills count under it."""

    name: str
    limit: int
    requests: bool
    """Whether requests are counted, in place of what they cost."""
    window: Window
    each: str = ""
    """One of ``EACH``: each of them has this cap for itself. Nothing: all that count have it together."""
    accounts: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    """Patterns, of which one has to match; none: all do."""

    def written(self, number: int, unit: str) -> str:
        """Return an amount under this cap as people write it."""
        if self.requests:
            return f"{number:,} request{'s' * (number != 1)}"
        return amount(number, unit)


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether a name is meant by one of the patterns; without any, each is."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def load_caps(path: Path, unit: str) -> tuple[Ceiling, ...]:
    """Return the caps of a TOML file, for a log that is counted in ``unit``. Raises ``BadCaps``."""
    where = cut(str(path))
    kind = Kind("file of caps", BadCaps, _EXAMPLE, "give the path of a TOML file")
    return read_caps(parse_toml(kind, load_text(kind, path, where), where), where, unit)


def read_caps(data: dict[str, Any], where: str, unit: str) -> tuple[Ceiling, ...]:
    """Return the caps that a document describes; ``where`` is named in errors. Raises ``BadCaps``."""
    return _Reader(where, unit).caps(data)


@dataclass(frozen=True, slots=True)
class _Reader:
    where: str
    unit: str

    def caps(self, data: dict[str, Any]) -> tuple[Ceiling, ...]:
        self.only(data, ("cap",), "")
        tables = data.get("cap")
        if not isinstance(tables, list) or not tables:
            raise self.error("cap", "there is none", _EXAMPLE)
        found = [self.ceiling(table, f"cap[{number}]", number) for number, table in enumerate(tables, 1)]
        names = [one.name for one in found]
        for number, name in enumerate(names, 1):
            if names.index(name) + 1 != number:
                raise self.error(
                    f"cap[{number}].name", f"{shown(name)} is the name of another cap", "give each its own"
                )
        return tuple(found)

    def ceiling(self, table: object, key: str, number: int) -> Ceiling:
        if not isinstance(table, dict):
            raise self.error(key, f"{shown(table)} is no table", _EXAMPLE)
        self.only(table, _KEYS, f"{key}.")
        limit, requests = self.limit(table, f"{key}.limit")
        each = table.get("each", "")
        if each not in ("", *EACH):
            raise self.error(f"{key}.each", f"{shown(each)} is none of {', '.join(EACH)}", nearest(str(each), EACH))
        return Ceiling(
            name=self.text(table.get("name", f"cap {number}"), f"{key}.name"),
            limit=limit,
            requests=requests,
            window=self.window(table, key),
            each=each,
            accounts=self.patterns(table, "accounts", key),
            agents=self.patterns(table, "agents", key),
            models=self.patterns(table, "models", key),
        )

    def limit(self, table: dict[str, Any], key: str) -> tuple[int, bool]:
        limit = table.get("limit")
        if type(limit) is int and limit >= 0:
            limit = str(limit)
        if not isinstance(limit, str):
            raise self.error(key, f"{shown(limit)} is no limit", 'write limit = "$50", 1000000 or "200 requests"')
        if found := _REQUESTS.fullmatch(limit.strip()):
            return int(found[1].replace("_", "")), True
        try:
            return cap_in(limit, self.unit), False
        except BadCap as error:
            raise self.error(key, error.message, error.hint or "") from None

    def window(self, table: dict[str, Any], key: str) -> Window:
        raw = table.get("window", "")
        text = self.text(raw, f"{key}.window").strip() if raw != "" else ""
        zone = self.zone(table.get("timezone", "UTC"), f"{key}.timezone") if text in CALENDAR else "UTC"
        try:
            window = in_words(text, zone)
        except ValueError:
            raise self.error(f"{key}.window", f"{shown(text)} has no length") from None
        if window is None:
            hint = nearest(text, CALENDAR)
            if hint.startswith("known"):
                hint = "write day, week, month, 'every 6h', 'sliding 24h', or leave it out"
            raise self.error(f"{key}.window", f"{shown(raw)} is no window", hint)
        if "timezone" in table and text not in CALENDAR:
            raise self.error(f"{key}.timezone", "only days, weeks and months have one", "leave it out")
        return self.stepping(window, table, key)

    def stepping(self, window: Window, table: dict[str, Any], key: str) -> Window:
        """Return a window that moves in steps, where the file says in how many."""
        number = table.get("buckets")
        if number is None:
            return window
        if not isinstance(window, Sliding):
            raise self.error(f"{key}.buckets", "only a sliding window has buckets", "write window = 'sliding 24h'")
        stepping = in_steps(window, number)
        if stepping is None:
            raise self.error(f"{key}.buckets", f"{shown(number)} does not divide the window", "such as 24 for 24h")
        return stepping

    def zone(self, name: object, key: str) -> str:
        try:
            return str(ZoneInfo(self.text(name, key)).key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self.error(key, f"{shown(name)} is no time zone", _ZONES) from None

    def patterns(self, table: dict[str, Any], name: str, key: str) -> tuple[str, ...]:
        given = table.get(name, [])
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list):
            raise self.error(f"{key}.{name}", f"{shown(given)} is no pattern", f'write {name} = "team-*"')
        return tuple(self.text(one, f"{key}.{name}") for one in listed)

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.error(key, f"{shown(value)} is no text")
        return value

    def only(self, table: dict[str, Any], known: tuple[str, ...], prefix: str) -> None:
        for key in table:
            if key not in known:
                hint = nearest(key, known) or f"known: {', '.join(known)}"
                raise self.error(f"{prefix}{key}", "is no key of a cap" if prefix else "is not known here", hint)

    def error(self, key: str, message: str, hint: str = "") -> BadCaps:
        return BadCaps(f"{cut(key, 80)}: {cut(message)}", where=self.where, hint=cut(hint))
