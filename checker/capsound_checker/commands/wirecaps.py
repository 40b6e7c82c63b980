"""Reading a file of caps for an application: the same file that `audit` reads, as far as the wire can judge it.

The wire sees requests and what they are billed. It sees no account and no agent: such caps are refused by their name,
rather than judged by half. A cap with a window is judged by the moments at which requests were billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsound.windows import Buckets, Whole, Window
from capsound_checker.audit.capsfile import BadCaps, read_caps
from capsound_checker.audit.values import shown
from capsound_checker.intake.limits import cut
from capsound_checker.intake.tomlfile import Kind, load_text, parse_toml
from capsound_checker.wire.money import BadCap, Cap, parse_cap

_EXAMPLE = 'write [[cap]] with limit = "0.60usd", "20000tokens" or "10requests"'


@dataclass(frozen=True, slots=True)
class WireCap:
    """One cap of an application: how much, of which models (all, where none is named), and over which window."""

    name: str
    cap: Cap
    models: tuple[str, ...]
    window: Window = Whole()
    words: str = ""
    """The window as the file writes it, nothing for all time."""


def wire_caps(path: Path) -> tuple[WireCap, ...]:
    """Return the caps of a TOML file. Raises ``BadCaps``, also for a cap that the wire cannot judge."""
    where = cut(str(path))
    kind = Kind("file of caps", BadCaps, _EXAMPLE, "give the path of a TOML file")
    data = parse_toml(kind, load_text(kind, path, where), where)
    tables = data.get("cap")
    limits: list[Cap] = []
    if isinstance(tables, list):  # else the reader says what is wrong
        for number, table in enumerate(tables, 1):
            limits.append(_limit(table.get("limit") if isinstance(table, dict) else None, number, where))
        plain = [{**t, "limit": cap.amount} for t, cap in zip(tables, limits, strict=True)]
        data = {**data, "cap": plain}
    found: list[WireCap] = []
    for one, cap, table in zip(read_caps(data, where, "units"), limits, data["cap"], strict=True):
        if one.each or one.accounts or one.agents:
            raise _refused(
                one.name, "is about accounts or agents", "the wire shows requests, and not who sent them", where
            )
        steps = f" in {one.window.number} buckets" if isinstance(one.window, Buckets) else ""
        words = f"{table.get('window', '')}{steps}"
        found.append(WireCap(one.name, cap, one.models, one.window, words))
    return tuple(found)


def _limit(limit: Any, number: int, where: str) -> Cap:
    try:
        if not isinstance(limit, str) or limit.strip().replace("_", "").isdigit():
            raise BadCap(f"{shown(limit)} of what?")
        return parse_cap(limit)
    except BadCap as error:
        hint = 'write limit = "0.60usd", "20000tokens" or "10requests"'
        raise BadCaps(f"cap[{number}].limit: {error.message}", where=where, hint=hint) from None


def _refused(name: str, what: str, why: str, where: str) -> BadCaps:
    return BadCaps(f"{cut(name, 80)} {what}", cause=why, where=where, hint="judge it on a log: capsound audit --caps")
