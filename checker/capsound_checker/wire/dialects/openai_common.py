"""What the dialects of OpenAI share: tools, the choice of one, schemas, and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capsound_checker.wire.dialects.counting import Conversation, Tool
from capsound_checker.wire.dialects.reading import inner, items, schema_below, string
from capsound_checker.wire.dialects.shapes import Answer, BadRequest
from capsound_checker.wire.dialects.streams import plain_answer

EPOCH = 1_767_225_600
"""When every answer was made: the first of January 2026, since nothing may depend on the clock."""

ERRORS: Mapping[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("tokens", "rate_limit_exceeded"),
}


def error(status: int, message: str, code: str = "") -> Answer:
    """Return an error; the code ``insufficient_quota`` tells an empty account from a limit of rate."""
    kind, usual = ERRORS.get(status, ("server_error", None))
    if code == "insufficient_quota":
        kind = code
    document = {"error": {"message": message, "type": kind, "param": None, "code": code or usual}}
    return plain_answer(document, status)


def take_tools(body: Mapping[str, Any], conversation: Conversation) -> None:
    """Take the tools of a request: chat nests a function below its own key, Responses does not."""
    for tool in items(body, "tools"):
        kind = string(tool, "type", "function")
        found = inner(tool, kind) if isinstance(tool.get(kind), dict) else tool
        name = string(found, "name", kind)
        conversation.tools.append(Tool(name, string(found, "description", ""), schema_below(found, "parameters")))


def forced(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[str, ...]:
    """Return the tools one of which the model has to call; none where it may end the turn. Raises ``BadRequest``."""
    choice = body.get("tool_choice")
    names = tuple(tool.name for tool in tools)
    if choice in (None, "auto", "none"):
        return ()
    if choice == "required":
        return names
    if not isinstance(choice, dict):
        raise BadRequest("`tool_choice` is neither auto, none, required nor a tool")
    if choice.get("type") == "allowed_tools":
        allowed = inner(choice, "allowed_tools") or choice
        if allowed.get("mode") != "required":
            return ()
        return tuple(_named(tool) for tool in items(allowed, "tools"))
    name = _named(choice)
    if name not in names:
        raise BadRequest(f"`tool_choice` names a tool that is not offered: {name[:80]}")
    return (name,)


def _named(choice: Mapping[str, Any]) -> str:
    kind = string(choice, "type", "function")
    found = inner(choice, kind) if isinstance(choice.get(kind), dict) else choice
    return string(found, "name", kind)


def schema_of(shape: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema that a text has to satisfy, from ``response_format`` or ``text.format``."""
    kind = string(shape, "type", "text")
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        return None
    return schema_below(inner(shape, "json_schema") or shape, "schema")
