"""OpenAI chat completions, plain and streamed."""

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

name = "openai-chat"

error = openai_common.error

MOST_CHOICES = 128
"""How many choices the vendor makes at most."""


def serves(path: str) -> bool:
    """Whether a POST to ``path`` is a chat completion."""
    return plain(path).endswith("/chat/completions")


def asked(_path: str, body: Mapping[str, Any], /) -> Asked:
    """Return what a request asks for; its limit holds the reasoning too. Raises ``BadRequest``."""
    model = string(body, "model")
    messages = items(body, "messages")
    if not messages:
        raise BadRequest("a chat completion needs `messages`")
    talk = Conversation()
    take_tools(body, talk)
    for message in messages:
        _take(message, talk)
    schema = schema_of(inner(body, "response_format"))
    choices = whole(body, "n") or 1
    if choices > MOST_CHOICES:
        raise BadRequest(f"`n` is {choices}: at most {MOST_CHOICES} choices are made")
    limits = [whole(body, key) for key in ("max_completion_tokens", "max_tokens")]
    if None not in limits:
        raise BadRequest("`max_tokens` and `max_completion_tokens` exclude each other")
    stream = flag(body, "stream")
    return asked_of(
        name,
        model,
        talk,
        schema,
        forced(body, talk.tools),
        limit=limits[0] or limits[1],
        stream=stream,
        usage_wanted=not stream or flag(inner(body, "stream_options"), "include_usage"),
        choices=choices,
    )


def _take(message: Mapping[str, Any], talk: Conversation) -> None:
    role = string(message, "role")
    texts = _texts(message.get("content"), talk)
    if role in ("system", "developer"):
        talk.system("\n".join(texts))
    elif role in ("tool", "function"):
        talk.result("\n".join(texts))
    elif role == "assistant":
        for text in texts:
            talk.model(text)
        for call in items(message, "tool_calls"):
            function = inner(call, "function") or inner(call, "custom")
            told = string(function, "arguments", "") or string(function, "input", "")
            talk.call(string(function, "name", ""), arguments_of(told))
    elif role == "user":
        talk.user(texts)
    else:
        raise BadRequest(f"a message has the role {role[:40]!r}, which nobody has")


def _texts(content: object, talk: Conversation) -> list[str]:
    if content is None:
        return []
    if isinstance(content, str):
        return [content] if content else []
    texts: list[str] = []
    for part in items({"content": content}, "content"):
        if isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part.get("refusal"), str):
            texts.append(part["refusal"])
        else:
            talk.attach(_attached(part))
    return texts


def _attached(part: Mapping[str, Any]) -> object:
    image, sound = part.get("image_url"), part.get("input_audio")
    if isinstance(image, dict):
        return image.get("url")
    return sound.get("data") if isinstance(sound, dict) else canonical(part)


def answer(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:
    """Return the answer in the vendor's shape."""
    ident = ident_of(ident)
    if asked.stream:
        events = [event(document) for document in _events(asked, reply, usage, ident)]
        return Answer(200, EVENTS, (*events, b"data: [DONE]\n\n"))
    content = reply.text if reply.text or not reply.calls else None
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    if reply.calls:
        message["tool_calls"] = _tool_calls(reply, ident)
    document = {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion",
        "created": EPOCH,
        "model": asked.model,
        "choices": [
            {"index": at, "message": message, "logprobs": None, "finish_reason": _reason(reply)}
            for at in range(asked.choices)
        ],
    }
    if usage is not None:
        document["usage"] = told(usage)
    return plain_answer(document)


def told(usage: Usage) -> dict[str, Any]:
    """Return the usage as the vendor tells it: cached tokens are part of the prompt, reasoning of the completion."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def heard(answer: Answer) -> tuple[Reply, Usage | None]:
    """Return what an answer says, and the usage that it tells. Raises ``BadRequest``."""
    text, reason, usage = "", "", None
    calls: dict[int, tuple[str, str]] = {}
    for document in documents(answer):
        if document.get("usage") is not None:
            usage = _usage(inner(document, "usage"))
        for choice in items(document, "choices"):
            if choice.get("index", 0) != 0:
                continue
            reason = string(choice, "finish_reason", reason)
            said = inner(choice, "message") or inner(choice, "delta")
            text += string(said, "content", "")
            for at, call in enumerate(items(said, "tool_calls")):
                function = inner(call, "function")
                place = whole(call, "index", 0)
                place = at if place is None else place
                before = calls.get(place, ("", ""))
                calls[place] = (before[0] + string(function, "name", ""), before[1] + _arguments(function))
    if not reason:
        raise BadRequest("the answer has no `finish_reason`: it is no chat completion, or was cut")
    made = tuple(ToolCall(called, parsed(arguments)) for called, arguments in calls.values())
    return Reply(text, made, reason == "length"), usage


def _arguments(function: Mapping[str, Any]) -> str:
    value = function.get("arguments")
    return value if isinstance(value, str) else ""


def _usage(said: Mapping[str, Any]) -> Usage:
    read, made = inner(said, "prompt_tokens_details"), inner(said, "completion_tokens_details")
    try:
        return Usage(
            tokens(said, "prompt_tokens"),
            tokens(said, "completion_tokens"),
            tokens(read, "cached_tokens"),
            tokens(read, "cache_write_tokens"),
            tokens(made, "reasoning_tokens"),
        )
    except ValueError as problem:
        raise BadRequest(f"the usage contradicts itself: {problem}") from None


def _reason(reply: Reply) -> str:
    if reply.truncated:
        return "length"
    return "tool_calls" if reply.calls else "stop"


def _tool_calls(reply: Reply, ident: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{ident}_{at}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
        }
        for at, call in enumerate(reply.calls)
    ]


def _events(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Iterator[dict[str, Any]]:
    null = {"usage": None} if asked.usage_wanted else {}

    def chunk(at: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": at, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**head, "choices": [choice], **null}

    head = {"id": f"chatcmpl-{ident}", "object": "chat.completion.chunk", "created": EPOCH, "model": asked.model}
    for at in range(asked.choices):
        yield chunk(at, {"role": "assistant", "content": "" if reply.text or not reply.calls else None})
        for piece in pieces(clean(reply.text)):
            yield chunk(at, {"content": piece})
        for number, call in enumerate(_tool_calls(reply, ident)):
            function = call["function"]
            begun = {"index": number, **call, "function": {"name": function["name"], "arguments": ""}}
            yield chunk(at, {"tool_calls": [begun]})
            for piece in pieces(function["arguments"]):
                yield chunk(at, {"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
        yield chunk(at, {}, _reason(reply))
    if usage is not None and asked.usage_wanted:
        yield {**head, "choices": [], "usage": told(usage)}
