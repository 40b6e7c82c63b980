"""Replies from recordings: a directory of JSON files, each a request and the response that it got.

A file is ``{"request": {"path": "/v1/messages", "body": {...}}, "response": {"body": {...}}}``, which any recorder can
write. A stream has ``chunks``, a list of texts, in the place of the second ``body``. Either form serves both kinds of
request: what was not recorded is built from what the recording says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsound.errors import nearest
from capsound_checker.intake.files import read_text
from capsound_checker.intake.limits import DOCUMENT, cut, read_json
from capsound_checker.wire.dialects.registry import dialect_of
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, Usage
from capsound_checker.wire.dialects.streams import EVENTS, plain_answer
from capsound_checker.wire.replies import BadReplies, Said, content

MOST = 10_000
"""How many files a directory has at most."""

_EXAMPLE = '{"request": {"path": "/v1/chat/completions", "body": {...}}, "response": {"body": {...}}}'


@dataclass(frozen=True, slots=True)
class Take:
    """One recorded pair."""

    name: str
    answer: Answer
    streamed: bool
    told: bool
    """Whether the stream tells its usage."""
    reply: Reply
    usage: Usage | None

    def fits(self, asked: Asked) -> bool:
        """Whether the recorded bytes are an answer in the form that is asked for."""
        return self.streamed == asked.stream and (not self.streamed or self.told == asked.usage_wanted)


@dataclass(frozen=True, slots=True)
class Cassettes:
    """All pairs of a directory, by the content of their requests."""

    takes: Mapping[str, tuple[Take, ...]] = field(default_factory=dict)

    def say(self, asked: Asked, body: Mapping[str, Any], before: int) -> Said | None:
        """Return what was recorded for an equal request: of several the next one, and the last again and again."""
        found = self.takes.get(content(asked.dialect, asked.model, body))
        if not found:
            return None
        take = found[min(before, len(found) - 1)]
        return Said(take.reply, take.usage, take.answer if take.fits(asked) else None, take.name)

    def close(self) -> None:
        """Hold nothing."""


def load_cassettes(folder: Path) -> Cassettes:
    """Return the recordings of a directory, in the order of their names. Raises ``BadReplies`` and ``CannotRead``."""
    shown = cut(str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    if not files:
        raise BadReplies("the directory holds no recording", hint=f"each is a file: {_EXAMPLE}", where=shown)
    if len(files) > MOST:
        raise BadReplies(f"the directory has {len(files):,} recordings: at most {MOST:,} are taken", where=shown)
    takes: dict[str, tuple[Take, ...]] = {}
    for path in files:
        mark, take = _take(path)
        takes[mark] = (*takes.get(mark, ()), take)
    return Cassettes(takes)


def _take(path: Path) -> tuple[str, Take]:
    where = cut(str(path))
    try:
        data = read_json(read_text(path, DOCUMENT))
    except json.JSONDecodeError as problem:
        hint = f"each recording is one object: {_EXAMPLE}"
        raise BadReplies(
            "the file is no JSON", cause=problem.msg, hint=hint, where=f"{where}:{problem.lineno}"
        ) from None
    except ValueError as problem:
        raise BadReplies(f"the file cannot be taken: {problem}", where=where) from None
    request, response = _part(data, "request", ("path", "body"), where), _part(data, "response", _RESPONSE, where)
    address, body = request.get("path"), request.get("body")
    dialect = dialect_of(address) if isinstance(address, str) else None
    if dialect is None or not isinstance(address, str):
        cause = f"the path is {cut(repr(address), 80)}"
        hint = "give the path of the request: /v1/chat/completions, /v1/messages, ..."
        raise BadReplies("nobody speaks the dialect of this recording", cause=cause, hint=hint, where=where)
    if not isinstance(body, dict):
        raise BadReplies("the body of the request is no object", hint=f"it is {_EXAMPLE}", where=where)
    answer = _answer(response, where)
    try:
        asked = dialect.asked(address, body)
        reply, usage = dialect.heard(answer)
    except BadRequest as problem:
        raise BadReplies(f"the recording is no exchange in {dialect.name}: {problem.message}", where=where) from None
    take = Take(path.name, answer, answer.content_type == EVENTS, usage is not None, reply, usage)
    return content(asked.dialect, asked.model, body), take


_RESPONSE = ("status", "body", "chunks")


def _part(data: object, key: str, known: tuple[str, ...], where: str) -> dict[str, Any]:
    part = data.get(key) if isinstance(data, dict) else None
    if not isinstance(part, dict):
        raise BadReplies(f"the recording has no `{key}`", hint=f"it is {_EXAMPLE}", where=where)
    for name in part:
        if name not in (*known, "headers", "method"):  # what other recorders keep beside it
            raise BadReplies(f"`{key}` has an unknown key: {cut(name, 60)}", hint=nearest(name, known), where=where)
    return part


def _answer(response: Mapping[str, Any], where: str) -> Answer:
    status, body, chunks = response.get("status", 200), response.get("body"), response.get("chunks")
    if status != 200:
        raise BadReplies(
            f"the recorded response has the status {cut(repr(status), 20)}",
            cause="a recording says what the model says; capsound decides which requests fail",
            hint="leave this file out",
            where=where,
        )
    if isinstance(chunks, list) and chunks and all(isinstance(chunk, str) for chunk in chunks) and body is None:
        return Answer(200, EVENTS, tuple(chunk.encode("utf-8", "replace") for chunk in chunks))
    if isinstance(body, dict) and chunks is None:
        return plain_answer(body)
    hint = 'give `body`, the response as an object, or `chunks`, the texts of a stream: ["data: {...}\\n\\n"]'
    raise BadReplies("the response has neither a body nor chunks", hint=hint, where=where)
