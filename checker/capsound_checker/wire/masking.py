"""Keys stay unseen: what looks like one, or is the value of a variable that holds one, is never shown or saved."""

from __future__ import annotations

import os
import re
from functools import cache

MASK = "[a key]"

_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_LOOKS = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|key|ghp|github_pat|glpat|xox[a-z])[-_][A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bAKIA[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}|(?<=Bearer )[A-Za-z0-9._~+/-]{8,}"
)
_SHORTEST = 8


def mask(text: str) -> str:
    """Return a text without keys: the values of variables of this process that hold one, and what has their shape."""
    for secret in secrets():
        text = text.replace(secret, MASK)
    return _LOOKS.sub(MASK, text)


@cache
def secrets() -> tuple[str, ...]:
    """Return the values of this process's variables that hold a key, the longest first."""
    values = {value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _SHORTEST}
    return tuple(sorted(values, key=lambda value: (-len(value), value)))
