"""OpenAI Responses, plain and streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from capsound_checker.wire.dialects import openai_common
from capsound_checker.wire.dialects.counting import Conversation
from capsound_checker.wire.dialects.defaults import asked_of
from capsound_checker.wire.dialects.openai_common import EPOCH, forced, schema_of, take_tools
from capsound_checker.wire.dialects.reading import (
    arguments_of,
    canonical,
    clean,
    flag,
    ident_of,
    inner,
    items,
    plain,
    string,
    whole,
)
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, ToolCall, Usage
from capsound_checker.wire.dialects.streams import EVENTS, documents, event, parsed, pieces, plain_answer, tokens

name = "openai-responses"

error = openai_common.error


def serves(path: str) -> bool:
    """Whether a POST to ``path`` is a Response."""
    return plain(path).endswith("/responses")


def asked(_path: str, body: Mapping[str, Any], /) -> Asked:
    """Return what a request asks for; its limit holds the reasoning too. Raises ``BadRequest``."""
    talk, schema = read(body)
    conversation = body.get("conversation")
    continues = string(body, "previous_response_id", "")
    if not continues and conversation is not None:
        continues = conversation if isinstance(conversation, str) else string(inner(body, "conversation"), "id")
    if flag(body, "background"):
        raise BadRequest("a response in the background is not served: ask for it in the foreground")
    return asked_of(
        name,
        string(body, "model"),
        talk,
        schema,
        forced(body, talk.tools),
        limit=whole(body, "max_output_tokens"),
        stream=flag(body, "stream"),
        continues=clean(continues),
    )


def read(body: Mapping[str, Any]) -> tuple[Conversation, Mapping[str, Any] | None]:
    """Return what the model reads, and the schema of its answer. Raises ``BadRequest``."""
    talk = Conversation()
    if body.get("instructions") is not None:
        talk.system(string(body, "instructions"))
    take_tools(body, talk)
    given = body.get("input")
    if isinstance(given, str):
        talk.user([given])
    elif not items(body, "input") and not body.get("prompt") and not body.get("previous_response_id"):
        raise BadRequest("a response needs `input`")
    else:
        for item in items(body, "input"):
            _take(item, talk)
    schema = schema_of(inner(inner(body, "text"), "format"))
    return talk, schema


def _take(item: Mapping[str, Any], talk: Conversation) -> None:
    kind = string(item, "type", "message")
    if kind == "message":
        role = string(item, "role")
        texts = _texts(item.get("content"), talk)
        if role in ("system", "developer"):
            talk.system("\n".join(texts))
        elif role == "assistant":
            for text in texts:
                talk.model(text)
        elif role == "user":
            talk.user(texts)
        else:
            raise BadRequest(f"an item has the role {role[:40]!r}, which nobody has")
    elif kind in ("function_call", "custom_tool_call"):
        talk.call(string(item, "name"), arguments_of(string(item, "arguments", "") or string(item, "input", "")))
    elif kind.endswith("_output"):
        output = item.get("output")
        if isinstance(output, dict):
            talk.result(canonical(output))
        else:
            talk.result("\n".join(_texts(output, talk)))
    elif kind not in ("reasoning", "item_reference"):  # what the vendor keeps itself is not sent as text
        talk.model(canonical({key: value for key, value in item.items() if key not in ("id", "status")}))


def _texts(content: object, talk: Conversation) -> list[str]:
    if content is None:
        return []
    if isinstance(content, str):
        return [content] if content else []
    texts: list[str] = []
    for part in items({"content": content}, "content"):
        said = part.get("text", part.get("refusal"))
        if isinstance(said, str):
            texts.append(said)
        else:
            talk.attach(part.get("image_url") or part.get("file_data") or canonical(part))
    return texts


def answer(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:
    """Return the answer in the vendor's shape."""
    ident = ident_of(ident)
    if not asked.stream:
        return plain_answer(_response(asked, reply, usage, ident, "incomplete" if reply.truncated else "completed"))
    events = [
        event({"type": document["type"], "sequence_number": at, **document}, document["type"])
        for at, document in enumerate(_events(asked, reply, usage, ident))
    ]
    return Answer(200, EVENTS, tuple(events))


def _response(asked: Asked, reply: Reply, usage: Usage | None, ident: str, status: str) -> dict[str, Any]:
    ended = status != "in_progress"
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": EPOCH,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": asked.system or None,
        "max_output_tokens": asked.limit,
        "model": asked.model,
        "output": _items(reply, ident) if ended else [],
        "parallel_tool_calls": True,
        "previous_response_id": asked.continues or None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": told(usage) if ended and usage is not None else None,
        "metadata": {},
    }


def told(usage: Usage) -> dict[str, Any]:
    """Return the usage as the vendor tells it: cached tokens are part of the input, reasoning of the output."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.written,
            "cache_write_tokens_details": {
                "ttl_30m_tokens": usage.written - usage.written_long,
                "ttl_12h_tokens": usage.written_long,
            },
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _items(reply: Reply, ident: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if reply.text or not reply.calls:
        made.append(
            {
                "id": f"msg_{ident}",
                "type": "message",
                "status": "incomplete" if reply.truncated and not reply.calls else "completed",
                "role": "assistant",
                "content": [_part(reply.text)],
            }
        )
    for at, call in enumerate(reply.calls):
        made.append(
            {
                "id": f"fc_{ident}_{at}",
                "type": "function_call",
                "status": "completed",
                "call_id": f"call_{ident}_{at}",
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
        )
    return made


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _events(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Iterator[dict[str, Any]]:
    begun = _response(asked, reply, None, ident, "in_progress")
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for at, item in enumerate(_items(reply, ident)):
        place = {"item_id": item["id"], "output_index": at}
        empty: dict[str, Any] = {"content": []} if item["type"] == "message" else {"arguments": ""}
        opened = {**item, "status": "in_progress", **empty}
        yield {"type": "response.output_item.added", "output_index": at, "item": opened}
        if item["type"] == "message":
            place["content_index"] = 0
            yield {"type": "response.content_part.added", **place, "part": _part("")}
            for piece in pieces(clean(reply.text)):
                yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []}
            yield {"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []}
            yield {"type": "response.content_part.done", **place, "part": _part(reply.text)}
        else:
            for piece in pieces(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {"type": "response.function_call_arguments.done", **place, **done}
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    status = "incomplete" if reply.truncated else "completed"
    yield {"type": f"response.{status}", "response": _response(asked, reply, usage, ident, status)}


def heard(answer: Answer) -> tuple[Reply, Usage | None]:
    """Return what an answer says, and the usage that it tells. Raises ``BadRequest``."""
    last = documents(answer)[-1]
    response = inner(last, "response") or last
    status = string(response, "status", "")
    if response.get("object") != "response" or status not in ("completed", "incomplete"):
        raise BadRequest("the answer does not end with a response that is completed")
    text, calls = "", []
    for item in items(response, "output"):
        if item.get("type") == "message":
            text += "".join(string(part, "text", "") for part in items(item, "content"))
        elif item.get("type") == "function_call":
            calls.append(ToolCall(string(item, "name"), parsed(item.get("arguments"))))
    usage = None if response.get("usage") is None else _usage(inner(response, "usage"))
    return Reply(text, tuple(calls), status == "incomplete"), usage


def _usage(said: Mapping[str, Any]) -> Usage:
    details = inner(said, "input_tokens_details")
    try:
        return Usage(
            tokens(said, "input_tokens"),
            tokens(said, "output_tokens"),
            tokens(details, "cached_tokens"),
            tokens(details, "cache_write_tokens"),
            tokens(inner(said, "output_tokens_details"), "reasoning_tokens"),
            tokens(inner(details, "cache_write_tokens_details"), "ttl_12h_tokens"),
        )
    except ValueError as problem:
        raise BadRequest(f"the usage contradicts itself: {problem}") from None
