"""Anthropic Messages, plain and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from capsound_checker.wire.dialects.counting import Conversation, Tool
from capsound_checker.wire.dialects.defaults import asked_of
from capsound_checker.wire.dialects.reading import (
    canonical,
    clean,
    flag,
    ident_of,
    inner,
    items,
    plain,
    schema_below,
    string,
    whole,
)
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, ToolCall, Usage
from capsound_checker.wire.dialects.streams import EVENTS, documents, event, parsed, pieces, plain_answer, tokens

name = "anthropic-messages"

ERRORS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def serves(path: str) -> bool:
    """Whether a POST to ``path`` is a message."""
    return plain(path).endswith("/messages")


def asked(_path: str, body: Mapping[str, Any], /) -> Asked:
    """Return what a request asks for; its limit holds the thinking too. Raises ``BadRequest``."""
    talk, schema = read(body)
    limit = whole(body, "max_tokens", 0)
    if limit is None:
        raise BadRequest("`max_tokens` is missing: a message needs it")
    return asked_of(
        name,
        string(body, "model"),
        talk,
        schema,
        _forced(body, talk.tools),
        limit=limit,
        stream=flag(body, "stream"),
    )


def read(body: Mapping[str, Any]) -> tuple[Conversation, Mapping[str, Any] | None]:
    """Return what the model reads, and the schema of its answer. Raises ``BadRequest``."""
    talk = Conversation()
    system = body.get("system")
    if system is not None:
        talk.system(system if isinstance(system, str) else "\n".join(string(p, "text") for p in items(body, "system")))
    for tool in items(body, "tools"):
        schema = schema_below(tool, "input_schema")
        talk.tools.append(Tool(string(tool, "name", "tool"), string(tool, "description", ""), schema))
    messages = items(body, "messages")
    if not messages:
        raise BadRequest("a message needs `messages`")
    for message in messages:
        _take(message, talk)
    shape = inner(inner(body, "output_config"), "format") or inner(body, "output_format")
    wanted = schema_below(shape, "schema") if shape.get("type") == "json_schema" else None
    return talk, wanted


def _take(message: Mapping[str, Any], talk: Conversation) -> None:
    role = string(message, "role")
    if role not in ("user", "assistant", "system"):
        raise BadRequest(f"a message has the role {role[:40]!r}, which nobody has")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else items(message, "content")
    texts: list[str] = []
    for block in blocks:
        kind = string(block, "type", "text")
        if kind == "text":
            text = string(block, "text")
            if role == "assistant":
                talk.model(text)
            elif role == "system":
                talk.system(text)
            else:
                texts.append(text)
        elif kind == "tool_use":
            talk.call(string(block, "name"), canonical(inner(block, "input")))
        elif kind == "tool_result":
            _result(block, talk)
        elif kind in ("image", "document"):
            source = inner(block, "source")
            talk.attach(source.get("data") or source.get("url") or canonical(source))
        elif kind not in ("thinking", "redacted_thinking"):  # the thinking of earlier turns is not read again
            talk.model(canonical({key: value for key, value in block.items() if key not in ("id", "cache_control")}))
    talk.user([text for text in texts if text])


def _result(block: Mapping[str, Any], talk: Conversation) -> None:
    content = block.get("content")
    if content is None or isinstance(content, str):
        talk.result(content or "")
        return
    texts = []
    for part in items(block, "content"):
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            source = inner(part, "source")
            talk.attach(source.get("data") or source.get("url") or canonical(part))
    talk.result("\n".join(texts))


def _forced(body: Mapping[str, Any], tools: list[Tool]) -> tuple[str, ...]:
    choice = inner(body, "tool_choice")
    kind = string(choice, "type", "auto")
    names = tuple(tool.name for tool in tools)
    if kind == "any":
        return names
    if kind == "tool":
        wanted = string(choice, "name")
        if wanted not in names:
            raise BadRequest(f"`tool_choice` names a tool that is not offered: {wanted[:80]}")
        return (wanted,)
    if kind not in ("auto", "none"):
        raise BadRequest("`tool_choice` is neither auto, none, any nor a tool")
    return ()


def answer(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:
    """Return the answer in the vendor's shape."""
    ident = ident_of(ident)
    if asked.stream:
        made = tuple(event(document, document["type"]) for document in _events(asked, reply, usage, ident))
        return Answer(200, EVENTS, made)
    document = {**_head(asked, ident), "content": _blocks(reply, ident), "stop_reason": _reason(reply)}
    if usage is not None:
        document["usage"] = told(usage)
    return plain_answer(document)


def _head(asked: Asked, ident: str) -> dict[str, Any]:
    return {
        "id": f"msg_{ident}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def told(usage: Usage) -> dict[str, Any]:
    """Return the usage as the vendor tells it: what the cache gave or took is beside ``input_tokens``, not in it."""
    return {
        "input_tokens": usage.input - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written - usage.written_long,
            "ephemeral_1h_input_tokens": usage.written_long,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "service_tier": "standard",
    }


def _blocks(reply: Reply, ident: str) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    return texts + [
        {"type": "tool_use", "id": f"toolu_{ident}_{at}", "name": call.name, "input": dict(call.arguments)}
        for at, call in enumerate(reply.calls)
    ]


def _reason(reply: Reply) -> str:
    if reply.truncated:
        return "max_tokens"
    return "tool_use" if reply.calls else "end_turn"


def _events(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Iterator[dict[str, Any]]:
    begun = _head(asked, ident)
    if usage is not None:
        # The first event tells all of the input, and one token of the output.
        begun["usage"] = {**told(usage), "output_tokens": min(1, usage.output)}
        del begun["usage"]["output_tokens_details"]
    yield {"type": "message_start", "message": begun}
    for at, block in enumerate(_blocks(reply, ident)):
        empty: dict[str, Any]
        if block["type"] == "text":
            empty, deltas = {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces(clean(reply.text))]
        else:
            empty = {"input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(json.dumps(block["input"]))]
        yield {"type": "content_block_start", "index": at, "content_block": {**block, **empty}}
        if at == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    ended: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _reason(reply), "stop_sequence": None},
    }
    if usage is not None:
        last = told(usage)
        del last["cache_creation"], last["service_tier"]
        ended["usage"] = last
    yield ended
    yield {"type": "message_stop"}


def heard(answer: Answer) -> tuple[Reply, Usage | None]:
    """Return what an answer says, and the usage that it tells. Raises ``BadRequest``."""
    found = documents(answer)
    message = found[0] if len(found) == 1 else _assembled(found)
    reason = string(message, "stop_reason", "")
    if message.get("type") != "message" or not reason:
        raise BadRequest("the answer is no message, or was cut")
    text, calls = "", []
    for block in items(message, "content"):
        if block.get("type") == "text":
            text += string(block, "text", "")
        elif block.get("type") == "tool_use":
            calls.append(ToolCall(string(block, "name"), parsed(block.get("input"))))
    usage = None if message.get("usage") is None else _usage(inner(message, "usage"))
    return Reply(text, tuple(calls), reason == "max_tokens"), usage


def _assembled(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for one in events:
        kind = one.get("type")
        if kind == "message_start":
            message = dict(inner(one, "message"))
        elif kind == "content_block_start":
            blocks[whole(one, "index", 0) or 0] = dict(inner(one, "content_block"))
        elif kind == "content_block_delta":
            block, delta = blocks.setdefault(whole(one, "index", 0) or 0, {}), inner(one, "delta")
            if "text" in delta:
                block["text"] = string(block, "text", "") + string(delta, "text")
            elif "partial_json" in delta:
                before = block.get("input")
                block["input"] = (before if isinstance(before, str) else "") + string(delta, "partial_json")
        elif kind == "message_delta":
            message["stop_reason"] = string(inner(one, "delta"), "stop_reason", "")
            if one.get("usage") is not None:
                message["usage"] = {**inner(message, "usage"), **inner(one, "usage")}
    message["content"] = list(blocks.values())
    return message


def _usage(said: Mapping[str, Any]) -> Usage:
    cached, written = tokens(said, "cache_read_input_tokens"), tokens(said, "cache_creation_input_tokens")
    try:
        return Usage(
            tokens(said, "input_tokens") + cached + written,
            tokens(said, "output_tokens"),
            cached,
            written,
            tokens(inner(said, "output_tokens_details"), "thinking_tokens"),
            tokens(inner(said, "cache_creation"), "ephemeral_1h_input_tokens"),
        )
    except ValueError as problem:
        raise BadRequest(f"the usage contradicts itself: {problem}") from None


def error(status: int, message: str, code: str = "") -> Answer:
    """Return an error in the vendor's shape."""
    kind = code or ERRORS.get(status, "api_error")
    return plain_answer({"type": "error", "error": {"type": kind, "message": message}, "request_id": None}, status)
