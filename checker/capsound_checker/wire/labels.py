"""Names of requests that are the same in every run, and which request repeats another.

Two runs of one application send the same requests in another order. A schedule therefore names a request by what is in
it, never by when it came. No client sends an idempotency key, and each layer of retries counts anew: a request is a
repeat when an equal one before it got no answer, or an error, and nothing has repeated that one yet.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capsound_checker.wire.dialects.shapes import Asked

_SHOWN = 24
_MARK = 8
"""How much of the fingerprint tells requests apart that begin alike: hundreds in a run are no accident."""
MARK = re.compile(rf"\.[0-9a-f]{{{_MARK}}}(?=$|[#~])")
"""What is left out of a name where people read it, unless two would look alike."""


def fingerprint(path: str, body: Mapping[str, Any]) -> str:
    """Return what tells a request from others: equal for equal paths and bodies, whatever the order of their keys."""
    canonical = json.dumps([path, body], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def slug(asked: Asked) -> str:
    """Return the beginning of what the user says, as a word."""
    words = re.sub(r"[^a-z0-9]+", "-", asked.said.lower()).strip("-")
    return words[:_SHOWN].rstrip("-") or asked.dialect


@dataclass(slots=True)
class Named:
    """One request as the names know it."""

    label: str
    print: str
    repeats: Named | None = None
    failed: bool = False
    """Whether its client got no usable answer: an error, a broken body, or nothing until it gave up."""
    repeated: bool = False


@dataclass(slots=True)
class Names:
    """The names given in one run."""

    _given: dict[str, list[Named]] = field(default_factory=dict)

    def name(self, path: str, body: Mapping[str, Any], asked: Asked, headers: Mapping[str, str]) -> Named:
        """Return the name of a request that has just arrived: ``plan-the-trip.3f0c9a1e``.

        An equal one later is ``plan-the-trip.3f0c9a1e#2``.
        A repeat is called after what it repeats: ``plan-the-trip.3f0c9a1e~1``.
        """
        mark = fingerprint(path, body)
        before = self._given.setdefault(mark, [])
        base = f"{slug(asked)}.{mark[:_MARK]}"
        repeats = next((one for one in before if one.failed and not one.repeated), None)
        if repeats is None and headers.get("x-stainless-retry-count", "0") not in ("", "0"):
            repeats = next((one for one in before if not one.repeated), None)
        if repeats is not None:
            repeats.repeated = True
            root, _, turn = repeats.label.partition("~")
            named = Named(f"{root}~{int(turn or 0) + 1}", mark, repeats)
        else:
            fresh = sum(one.repeats is None for one in before)
            named = Named(base if not fresh else f"{base}#{fresh + 1}", mark)
        before.append(named)
        return named
