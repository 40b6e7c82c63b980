"""Replay tokens of ``capsound check``: a program, or a schedule of asyncio, as a text that can be pasted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from capsound.errors import CapsoundError
from capsound.schedule import BadToken
from capsound_checker.agents import Program
from capsound_checker.programs import FIELDS, Step

PREFIX, ASYNC_PREFIX = "ck1:", "ca1:"


def token(program: Sequence[Step]) -> str:
    """Return a program as a short text that ``parse_token`` reads: ``ck1:open.0.0.0.1/reserve.0.0.0.1``."""
    parts: list[str] = []
    for step in program:
        said = list(step)
        while len(said) > 1 and said[-1] == 0:
            said.pop()
        parts.append(".".join(map(str, said)))
    return PREFIX + "/".join(parts)


def parse_token(text: str) -> list[Step]:
    """Return the program of a token; raises ``BadToken``."""
    if not text.startswith(PREFIX):
        raise BadToken(f"{text[:20]!r} is no token of `capsound check`", hint=f"its tokens begin with {PREFIX}")
    steps: list[Step] = []
    for part in text.removeprefix(PREFIX).split("/"):
        do, *numbers = part.split(".")
        if (
            do not in FIELDS
            or len(numbers) >= len(Step._fields)
            or not all(n.isascii() and n.isdigit() for n in numbers)
        ):
            raise BadToken(f"the token is damaged: {part!r} is no step", hint="copy all of it")
        steps.append(Step(do, *map(int, numbers)))
    return steps


def token_in(path: Path) -> str:
    """Return the token that a saved counterexample holds; raises ``BadToken``."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadToken(f"cannot read {path}: {error.strerror}", hint="`check --save` writes such files") from None
    except ValueError as error:
        raise BadToken(
            f"{path} is no saved counterexample", cause=str(error), hint="`check --save` writes them"
        ) from None
    found = held.get("token") if isinstance(held, dict) else None
    if not isinstance(found, str) or not found:
        why = "a run of threads is found again by the same `check`, with the same --seed"
        raise BadToken(f"{path} holds no token", hint=why)
    return found


def async_token(schedule: Mapping[str, Any]) -> str:
    """Return a schedule of asyncio as a text that ``parse_async_token`` reads."""
    text = json.dumps(schedule, sort_keys=True, separators=(",", ":"))
    return ASYNC_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_async_token(text: str) -> dict[str, Any]:
    """Return the schedule of a token: its program, choices and loop; raises ``BadToken``."""
    body = text.removeprefix(ASYNC_PREFIX)
    try:
        schedule = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        Program.from_dict(schedule["program"])
        sane = set(schedule) == {"program", "choices", "fifo"} and all(type(n) is int for n in schedule["choices"])
    except (binascii.Error, ValueError, TypeError, KeyError, CapsoundError) as error:
        raise BadToken("the token is damaged", cause=str(error), hint="copy all of it") from None
    if not sane:
        raise BadToken("the token is damaged", hint="copy all of it")
    return dict(schedule)
