"""Reading the body of a request, whatever it holds: what is wrong is said in one sentence, as ``BadRequest``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from capsound_checker.intake.limits import cut
from capsound_checker.wire.dialects.shapes import BadRequest

ATTACHMENT = 256
"""Tokens that an image, a sound or a file counts as, whatever its size."""

LARGEST = 10**9
"""The largest number that is taken as a count."""

_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(path: str) -> str:
    """Return a path without its query."""
    return path.partition("?")[0]


def clean(text: str) -> str:
    """Return a text that can be written as UTF-8: half a pair of surrogates is none."""
    return _SURROGATES.sub("\ufffd", text)


def canonical(data: object) -> str:
    """Return JSON data as one text: keys in order, no blanks."""
    return clean(json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def items(body: Mapping[str, Any], key: str, what: str = "") -> list[Mapping[str, Any]]:
    """Return the list of objects below ``key``, empty where there is none. Raises ``BadRequest``."""
    value = body.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRequest(f"`{what or key}` is no list of objects")
    return value


def inner(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object below ``key``, empty where there is none. Raises ``BadRequest``."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"`{key}` is no object")
    return value


def string(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return the text below ``key``; without a default it has to be there. Raises ``BadRequest``."""
    value = body.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadRequest(f"`{key}` is no text" if key in body else f"`{key}` is missing")
    return clean(value)


def whole(body: Mapping[str, Any], key: str, least: int = 1) -> int | None:
    """Return the number below ``key``, or None where there is none. Raises ``BadRequest``."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise BadRequest(f"`{key}` is {cut(repr(value), 40)}, no whole number from {least} to {LARGEST:,}")
    return value


def flag(body: Mapping[str, Any], key: str) -> bool:
    """Return whether ``key`` is true. Raises ``BadRequest`` for what is neither true nor false."""
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"`{key}` is neither true nor false")
    return value is True


def schema_below(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the JSON schema below ``key``; ``true`` and none are the schema that anything satisfies."""
    value = body.get(key)
    return {} if value in (None, True) else inner(body, key)


def attachment(data: object) -> str:
    """Return what stands in the text for something that is no text: the same for the same content in each dialect."""
    text = data if isinstance(data, str) else canonical(data)
    if text.startswith("data:"):
        text = text.partition(",")[2]
    return f"attachment {hashlib.sha256(clean(text).encode()).hexdigest()[:8]}"


def arguments_of(text: str) -> str:
    """Return the arguments of a call, which came as a text of JSON, in canonical form."""
    try:
        return canonical(json.loads(text))
    except (ValueError, RecursionError):
        return clean(text)


def ident_of(ident: str) -> str:
    """Return a name as every vendor takes it in an id."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", ident)
