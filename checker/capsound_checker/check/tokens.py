"""Replay tokens of ``capsound check``: a program, or a schedule of asyncio, as a text that can be pasted."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from capsound.errors import BadToken, CapsoundError
from capsound_checker.intake.files import read_text
from capsound_checker.intake.limits import DIGITS, DOCUMENT, cut, read_json
from capsound_checker.programs.program import FIELDS, Step
from capsound_checker.schedules.agents import Program

PREFIX, ASYNC_PREFIX, RACE_PREFIX = "ck1:", "ca1:", "ct1:"
"""Of a program, of a schedule of asyncio, and of two operations at once."""


def token(program: Sequence[Step]) -> str:
    """Return a program as a short text that ``parse_token`` reads: ``ck1:open.0.0.0.1/reserve.0.0.0.1``."""
    return PREFIX + _written(program)


def _written(program: Sequence[Step]) -> str:
    parts: list[str] = []
    for step in program:
        said = list(step)
        while len(said) > 1 and said[-1] == 0:
            said.pop()
        parts.append(".".join(map(str, said)))
    return "/".join(parts)


def parse_token(text: str) -> list[Step]:
    """Return the program of a token; raises ``BadToken``."""
    if not text.startswith(PREFIX):
        raise BadToken(f"{text[:20]!r} is not a token of `capsound check`", hint=f"its tokens begin with {PREFIX}")
    return _read(text.removeprefix(PREFIX))


def _read(text: str) -> list[Step]:
    steps: list[Step] = []
    for part in text.split("/"):
        do, *numbers = part.split(".")
        if (
            do not in FIELDS
            or len(numbers) >= len(Step._fields)
            or not all(n.isascii() and n.isdigit() and len(n) <= DIGITS for n in numbers)
        ):
            raise BadToken(f"the token is damaged: {cut(part, 40)!r} is not a step", hint="copy all of it")
        steps.append(Step(do, *map(int, numbers)))
    return steps


def race_token(job: str, at: int, before: Sequence[Step], one: Step, two: Step) -> str:
    """Return two operations at once as a text: ``ct1:threads.17/open.0.0.0.6/reserve.0.0.7.1/reserve.0.0.8.1``.

    ``job`` is ``threads`` or ``handlers``; the first of the last two steps is stopped at its place number ``at``, and
    the other one is done there.
    """
    return f"{RACE_PREFIX}{job}.{at}/{_written([*before, one, two])}"


def parse_race_token(text: str) -> dict[str, Any]:
    """Return the job, the place and the program of a token of two operations at once; raises ``BadToken``."""
    head, _, rest = text.removeprefix(RACE_PREFIX).partition("/")
    job, _, at = head.partition(".")
    if job not in ("threads", "handlers") or not (at.isascii() and at.isdigit() and len(at) < 10 and int(at) > 0):
        raise BadToken(f"the token is damaged: {cut(head, 40)!r} is not a place", hint="copy all of it")
    program = _read(rest)
    if len(program) < 3 or program[0].do != "open":
        raise BadToken("the token is damaged: two operations on an open budget are missing", hint="copy all of it")
    return {"job": job, "at": int(at), "program": program}


def saved_in(path: Path) -> tuple[str, list[str]]:
    """Return the token that a saved counterexample holds, or the recorded run; raises ``BadToken``."""
    try:
        held = read_json(read_text(path, DOCUMENT, "`check --save` writes such files"))
    except ValueError as error:
        raise BadToken(
            f"{cut(str(path))} is not a saved counterexample", cause=cut(str(error)), hint="`check --save` writes them"
        ) from None
    token, history = (held.get("token"), held.get("history")) if isinstance(held, dict) else (None, None)
    if isinstance(history, list) and history and all(isinstance(line, str) for line in history):
        return "", history
    if not isinstance(token, str) or not token:
        raise BadToken(f"{cut(str(path))} holds no token", hint="`check --save` writes a token, or a recording")
    return token, []


def seen_in_token(token: str, message: Mapping[str, Any]) -> str:
    """Return a token with the dimension in which its run was looked at, if it was one: ``ct1:...@tokens``."""
    dimension = message.get("dimension")
    return f"{token}@{dimension}" if dimension else token


def parse_dimension(text: str) -> tuple[str, dict[str, str]]:
    """Return a token without its dimension, and what a child is asked for because of it; raises ``BadToken``."""
    token, at, dimension = text.partition("@")
    if at and not (dimension.isascii() and dimension.isidentifier() and len(dimension) <= DIGITS):
        raise BadToken(f"the token is damaged: {cut(dimension, 40)!r} is no dimension", hint="copy all of it")
    return token, {"dimension": dimension} if at else {}


def async_token(schedule: Mapping[str, Any]) -> str:
    """Return a schedule of asyncio as a text that ``parse_async_token`` reads."""
    text = json.dumps(schedule, sort_keys=True, separators=(",", ":"))
    return ASYNC_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_async_token(text: str) -> dict[str, Any]:
    """Return the schedule of a token: its program, choices and loop; raises ``BadToken``."""
    body = text.removeprefix(ASYNC_PREFIX)
    try:
        schedule = read_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        Program.from_dict(schedule["program"])
        sane = set(schedule) == {"program", "choices", "fifo"} and all(type(n) is int for n in schedule["choices"])
    except (binascii.Error, ValueError, TypeError, KeyError, AttributeError, CapsoundError) as error:
        raise BadToken("the token is damaged", cause=cut(str(error)), hint="copy all of it") from None
    if not sane:
        raise BadToken("the token is damaged", hint="copy all of it")
    return dict(schedule)
