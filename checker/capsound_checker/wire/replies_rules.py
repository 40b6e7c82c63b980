"""Replies by rules: a JSON file with a list of ``when`` and what is said then; the first rule that matches speaks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capsound.errors import nearest
from capsound_checker.intake.files import read_text
from capsound_checker.intake.limits import FILE, cut, read_json
from capsound_checker.wire.dialects.shapes import Asked
from capsound_checker.wire.replies import BadReplies, Line, Said, line_of, pattern_of

TEXTS = ("said", "system", "model", "dialect")
"""What a rule may ask of the texts of a request."""

WHEN = (*TEXTS, "tool", "turn")

MOST = 10_000
"""How many rules a file has at most."""

_EXAMPLE = '[{"when": {"said": "plan"}, "text": "Go to Oslo."}]'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; ``where`` is its file and line."""

    number: int
    where: str
    line: Line
    texts: tuple[tuple[str, re.Pattern[str]], ...] = ()
    tool: str | None = None
    turn: int | None = None
    times: int | None = None

    def matches(self, asked: Asked) -> bool:
        """Whether this rule speaks of a request."""
        if self.turn is not None and asked.turn != self.turn:
            return False
        if self.tool is not None and self.tool not in asked.tools:
            return False
        return all(wanted.search(str(getattr(asked, key))) for key, wanted in self.texts)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a file, in order."""

    rules: tuple[Rule, ...]

    def say(self, asked: Asked, body: Mapping[str, Any], before: int) -> Said | None:  # noqa: ARG002  as all sources
        """Return what the first rule says that matches, and that equal requests have not used up."""
        for rule in self.rules:
            if not rule.matches(asked):
                continue
            if rule.times is None or before < rule.times:
                return rule.line.said(asked, f"rule {rule.number}", rule.where)
            before -= rule.times
        return None

    def close(self) -> None:
        """Hold nothing."""


def load_rules(path: Path) -> Rules:
    """Return the rules of a file. Raises ``BadReplies`` and ``CannotRead``."""
    text = read_text(path, FILE, "name a file of JSON rules")
    shown = cut(str(path))
    try:
        data = read_json(text)
    except json.JSONDecodeError as problem:
        where = f"{shown}:{problem.lineno}"
        raise BadReplies(
            "the file is no JSON", cause=problem.msg, hint=f"for example {_EXAMPLE}", where=where
        ) from None
    except ValueError as problem:
        raise BadReplies(f"the file cannot be taken: {problem}", where=shown) from None
    if not isinstance(data, list) or not data:
        raise BadReplies("the file holds no list of rules", hint=f"for example {_EXAMPLE}", where=f"{shown}:1")
    if len(data) > MOST:
        raise BadReplies(f"the file has {len(data):,} rules: at most {MOST:,} are taken", where=shown)
    lines = _lines(text)
    return Rules(tuple(_rule(at + 1, one, f"{shown}:{lines[at]}") for at, one in enumerate(data)))


def _lines(text: str) -> list[int]:
    """Return the line on which each element of a list of JSON begins."""
    decoder = json.JSONDecoder()
    found: list[int] = []
    at = text.index("[") + 1
    line, counted = 1, 0
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return found
        line, counted = line + text.count("\n", counted, at), at
        found.append(line)
        at = decoder.raw_decode(text, at)[1]


def _rule(number: int, data: object, where: str) -> Rule:
    source = f"rule {number}"
    if not isinstance(data, dict):
        raise BadReplies(f"{source} is no object", hint=f"for example {_EXAMPLE}", where=where)
    line = line_of(data, where, source, ("when", "times"))
    when = data.get("when", {})
    if not isinstance(when, dict):
        raise BadReplies(f"{source}: `when` is no object", hint=f"it may ask for {', '.join(WHEN)}", where=where)
    for key in when:
        if key not in WHEN:
            raise BadReplies(f"{source}: `when` cannot ask for {cut(key, 60)}", hint=nearest(key, WHEN), where=where)
    times, tool, turn = data.get("times"), when.get("tool"), when.get("turn")
    if times is not None and not _whole(times, 1):
        raise BadReplies(f"{source}: `times` is {cut(repr(times), 40)}", cause="it is a number from 1 on", where=where)
    if turn is not None and not _whole(turn, 0):
        cause = "it is the number of results of tools that came before, from 0 on"
        raise BadReplies(f"{source}: `turn` is {cut(repr(turn), 40)}", cause=cause, where=where)
    if tool is not None and not isinstance(tool, str):
        raise BadReplies(f"{source}: `tool` is no name", where=where)
    texts = tuple((key, pattern_of(when[key], where, f"{source}: `{key}`")) for key in TEXTS if key in when)
    return Rule(number, where, line, texts, tool, turn, times)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= 10**9
