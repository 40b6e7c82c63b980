"""What the model says: who decides it for a request, and what was decided in a run.

A reply depends on the content of a request and on how many equal requests came before it in the same run, never on the
order in which different requests arrive: every run, whatever its schedule, hears the same replies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound_checker.intake.limits import cut
from capsound_checker.wire.dialects.counting import input_tokens, text_tokens
from capsound_checker.wire.dialects.reading import canonical
from capsound_checker.wire.dialects.shapes import Answer, Asked, Reply, ToolCall, Usage


class BadReplies(CapsoundError):
    """What decides the replies cannot be used: a file, a function or a recording."""

    name = "bad-replies"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says to one request."""

    reply: Reply
    usage: Usage | None = None
    """What it used, where that was decided; None leaves it to the provider."""
    recorded: Answer | None = None
    """The answer byte for byte, where one was recorded in the form that is asked for."""
    source: str = "default"
    """Who decided: ``default``, ``rule 3``, ``plan.json``, ``answer()``."""


class Source(Protocol):
    """Somebody who decides replies."""

    def say(self, asked: Asked, body: Mapping[str, Any], before: int) -> Said | None:
        """Return the reply to a request that ``before`` equal ones preceded, or None to leave it to the next.

        Raises ``BadReplies``.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """What was said in a run so far; each request makes a new one."""

    seen: Mapping[str, int] = field(default_factory=dict)
    """How many requests of each content came."""
    used: Mapping[str, int] = field(default_factory=dict)
    """How many replies each source gave."""

    @property
    def unmatched(self) -> int:
        """How many requests got the default."""
        return self.used.get("default", 0)


@dataclass(frozen=True, slots=True)
class Replies:
    """The sources in their order; the first that knows a reply gives it, and the default stands behind them."""

    sources: tuple[Source, ...] = ()

    def say(self, progress: Progress, asked: Asked, body: Mapping[str, Any]) -> tuple[Said, Progress]:
        """Return the reply to a request, and the progress after it. Raises ``BadReplies``."""
        mark = content(asked.dialect, asked.model, body)
        before = progress.seen.get(mark, 0)
        found = (source.say(asked, body, before) for source in self.sources)
        said = next((one for one in found if one is not None), Said(asked.default))
        used = {**progress.used, said.source: progress.used.get(said.source, 0) + 1}
        return said, Progress({**progress.seen, mark: before + 1}, used)

    def close(self) -> None:
        """Let go of what the sources hold."""
        for source in self.sources:
            source.close()


UNREAD = frozenset(
    ("stream", "stream_options", "user", "metadata", "prompt_cache_key", "safety_identifier", "store", "service_tier")
)
"""What the model does not read: it makes no other request of one."""

_IDS = frozenset(("id", "call_id", "tool_call_id", "tool_use_id", "item_id", "previous_response_id"))
_FOREIGN = frozenset(("args", "arguments", "parameters", "input_schema", "schema", "response", "tools"))


def content(dialect: str, model: str, body: Mapping[str, Any]) -> str:
    """Return what makes two requests equal: all of the body but what the model does not read.

    Ids are numbered in the order in which they appear: those of a recording are others than ours, and mean the same.
    """
    names: dict[str, str] = {}

    def renamed(value: Any, depth: int) -> Any:
        if isinstance(value, list):
            return [renamed(one, depth) for one in value]
        if not isinstance(value, dict):
            return value
        made = {}
        for key, inner in value.items():
            if depth == 0 and key in UNREAD:
                continue
            if key in _IDS and isinstance(inner, str):
                made[key] = names.setdefault(inner, f"#{len(names) + 1}")
            elif key in _FOREIGN or (key == "input" and isinstance(inner, dict)):
                made[key] = inner  # the application's own data: an id in it means what it says
            else:
                made[key] = renamed(inner, depth + 1)
        return made

    return canonical([dialect, model, renamed(body, 0)])


COUNTS = ("input", "output", "cached", "written", "reasoning", "written_long")
"""What may be said of a usage."""


@dataclass(frozen=True, slots=True)
class Line:
    """A reply as somebody wrote it down: what is missing is made when a request is there."""

    text: str | None = None
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    usage: Mapping[str, int] | None = None

    def said(self, asked: Asked, source: str, where: str = "") -> Said:
        """Return it as the reply to a request. Raises ``BadReplies`` where its usage contradicts itself."""
        reply = asked.default if self.text is None and not self.calls else Reply(self.text or "", self.calls)
        if self.truncated:
            reply = Reply(reply.text, reply.calls, truncated=True)
        if self.usage is None:
            return Said(reply, None, None, source)
        counted = {"input": input_tokens(asked), "output": output_tokens(reply), **self.usage}
        try:
            return Said(reply, Usage(**counted), None, source)
        except ValueError as problem:
            raise BadReplies(
                f"{source} says a usage that contradicts itself: {problem}",
                cause="cached and written tokens are part of `input`, reasoning of `output`",
                hint="give `input` and `output` too; without them they are counted from the text",
                where=where,
            ) from None


def output_tokens(reply: Reply) -> int:
    """Return how many tokens a reply is, by the rule that counts the input: at least 1."""
    calls = "".join(f"{call.name} {canonical(dict(call.arguments))}" for call in reply.calls)
    return max(1, text_tokens(reply.text + calls))


_KEYS = ("text", "calls", "truncated", "usage")


def line_of(data: object, where: str, source: str, allowed: tuple[str, ...] = ()) -> Line:
    """Return a reply out of plain data: a text, or an object with ``text``, ``calls``, ``truncated`` and ``usage``.

    Raises ``BadReplies``.
    """
    if isinstance(data, str):
        return Line(data)
    if not isinstance(data, dict):
        raise BadReplies(
            f"{source} says {cut(repr(data), 60)}, which is no reply",
            cause=f"it is a {type(data).__name__}",
            hint='give a text, or an object such as {"text": "Done.", "usage": {"output": 20}}',
            where=where,
        )
    known = (*_KEYS, *allowed)
    for key in data:
        if key not in known:
            raise BadReplies(
                f"{source} has an unknown key: {cut(str(key), 60)}", hint=nearest(str(key), known), where=where
            )
    text, calls = data.get("text"), data.get("calls", [])
    if text is not None and not isinstance(text, str):
        raise BadReplies(
            f"{source}: `text` is no text", hint='for JSON, write it as a text: "{\\"ok\\": true}"', where=where
        )
    if not isinstance(calls, list):
        raise BadReplies(f"{source}: `calls` is no list", hint='[{"name": "search", "arguments": {}}]', where=where)
    if not isinstance(data.get("truncated", False), bool):
        raise BadReplies(f"{source}: `truncated` is neither true nor false", where=where)
    made = tuple(_call(call, where, source) for call in calls)
    return Line(text, made, data.get("truncated", False), _usage(data.get("usage"), where, source))


def _call(call: object, where: str, source: str) -> ToolCall:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str) or not set(call) <= {"name", "arguments"}:
        raise BadReplies(
            f"{source}: a call is {cut(repr(call), 60)}",
            cause="a call has a `name`, and `arguments` where the tool takes some",
            hint='{"name": "search", "arguments": {"query": "hotels"}}',
            where=where,
        )
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise BadReplies(f"{source}: the arguments of {cut(call['name'], 40)} are no object", where=where)
    return ToolCall(call["name"], arguments)


def _usage(data: object, where: str, source: str) -> dict[str, int] | None:
    if data is None:
        return None
    if not isinstance(data, dict):
        raise BadReplies(f"{source}: `usage` is no object", hint='{"output": 20}', where=where)
    for key, value in data.items():
        if key not in COUNTS:
            hint = nearest(str(key), COUNTS)
            raise BadReplies(f"{source}: a usage has no {cut(str(key), 60)}", hint=hint, where=where)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 10**9:
            cause = "it is a whole number from 0 to 1,000,000,000"
            raise BadReplies(f"{source}: `{key}` is {cut(repr(value), 40)}", cause=cause, where=where)
    return dict(data)


def pattern_of(wanted: object, where: str, what: str) -> re.Pattern[str]:
    """Return what a text has to hold: a part of it, or ``{"regex": ...}``. Raises ``BadReplies``."""
    if isinstance(wanted, str):
        return re.compile(re.escape(wanted))
    if isinstance(wanted, dict) and set(wanted) == {"regex"} and isinstance(wanted["regex"], str):
        try:
            return re.compile(wanted["regex"])
        except re.error as problem:
            raise BadReplies(f"{what} is no regular expression: {problem}", where=where) from None
    hint = 'give a text that it has to hold, or {"regex": "^plan"}'
    raise BadReplies(f"{what} is neither a text nor an expression", hint=hint, where=where)
