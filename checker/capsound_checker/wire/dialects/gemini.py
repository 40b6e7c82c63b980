"""Gemini ``generateContent`` and ``streamGenerateContent``: the path names the model, and says whether it streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote

from capsound_checker.wire.dialects.counting import Conversation, Tool
from capsound_checker.wire.dialects.defaults import asked_of
from capsound_checker.wire.dialects.reading import canonical, clean, ident_of, plain, schema_below
from capsound_checker.wire.dialects.reading import inner as _inner
from capsound_checker.wire.dialects.reading import items as _items
from capsound_checker.wire.dialects.reading import string as _string
from capsound_checker.wire.dialects.reading import whole as _whole
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, ToolCall, Usage
from capsound_checker.wire.dialects.streams import (
    EVENTS,
    JSON,
    documents,
    event,
    parsed,
    pieces,
    plain_answer,
    tokens,
    written,
)

name = "gemini"

STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_PATH = re.compile(r"/(?:models|tunedModels|endpoints)/([^/?]+):(generateContent|streamGenerateContent)$")


def serves(path: str) -> bool:
    """Whether a POST to ``path`` generates content."""
    return _PATH.search(plain(path)) is not None


def asked(path: str, body: Mapping[str, Any], /) -> Asked:
    """Return what a request asks for.

    The limit is ``maxOutputTokens`` for each candidate, and thoughts count against it: models do so, although the
    vendor's page on thinking says otherwise. Raises ``BadRequest``.
    """
    found = _PATH.search(plain(path))
    if found is None:
        raise BadRequest("the path names no model")
    talk, schema = read(body)
    shape = _sub(body, "generationConfig")
    choices = _number(shape, "candidateCount") or 1
    if choices > _MOST_CANDIDATES:
        raise BadRequest(f"`candidateCount` is {choices}: at most {_MOST_CANDIDATES} are made")
    asks = asked_of(
        name,
        clean(unquote(found[1])),
        talk,
        schema,
        _forced(body, talk.tools),
        limit=_number(shape, "maxOutputTokens"),
        stream=found[2] == "streamGenerateContent",
        choices=choices,
    )
    if _word(shape, "responseMimeType") == "text/x.enum" and asks.default.text.startswith('"'):
        asks = replace(asks, default=Reply(asks.default.text.strip('"')))
    query = path.partition("?")[2]
    # Every client of the vendor asks for events; without them a stream is one list that grows.
    listed = bool(query) and "sse" not in parse_qs(query).get("alt", [])
    return replace(asks, details=(("list", 1),)) if listed else asks


_MOST_CANDIDATES = 8


def read(body: Mapping[str, Any]) -> tuple[Conversation, Mapping[str, Any] | None]:
    """Return what the model reads, and the schema of its answer. Raises ``BadRequest``."""
    talk = Conversation()
    system = _get(body, "systemInstruction")
    if isinstance(system, str):
        talk.system(system)
    elif system is not None:
        talk.system("\n".join(_string(part, "text", "") for part in _items(_sub(body, "systemInstruction"), "parts")))
    for tool in _list(body, "tools"):
        for function in _list(tool, "functionDeclarations"):
            schema = _get(function, "parametersJsonSchema")
            found = plain_schema(_sub(function, "parameters")) if schema is None else _checked(schema)
            talk.tools.append(Tool(_string(function, "name"), _string(function, "description", ""), found))
    contents = _get(body, "contents")
    if isinstance(contents, dict):
        contents = [contents]
    turns = _items({"contents": contents}, "contents")
    if not turns:
        raise BadRequest("`contents` is missing: a request needs it")
    for turn in turns:
        _take(turn, talk)
    shape = _schema(_sub(body, "generationConfig"))
    return talk, shape


def _schema(shape: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for key in ("responseJsonSchema", "_responseJsonSchema"):
        if _get(shape, key) is not None:
            return _checked(_get(shape, key))
    if _get(shape, "responseSchema") is not None:
        return plain_schema(_sub(shape, "responseSchema"))
    return {"type": "object"} if _word(shape, "responseMimeType") == "application/json" else None


def _checked(schema: object) -> Mapping[str, Any]:
    return schema_below({"schema": schema}, "schema")


def _take(turn: Mapping[str, Any], talk: Conversation) -> None:
    role = _string(turn, "role", "user")
    if role not in ("user", "model", "function", "system"):
        raise BadRequest(f"a content has the role {role[:40]!r}, which nobody has")
    texts: list[str] = []
    for part in _items(turn, "parts"):
        call, result = _sub(part, "functionCall"), _sub(part, "functionResponse")
        if call:
            talk.call(_string(call, "name"), canonical(_sub(call, "args")))
        elif result:
            talk.result(_result(_sub(result, "response")))
        elif isinstance(part.get("text"), str):
            if part.get("thought") is True:
                continue  # the thoughts of earlier turns are not read again
            if role == "model":
                talk.model(part["text"])
            else:
                texts.append(part["text"])
        elif _get(part, "inlineData") is not None:
            talk.attach(_sub(part, "inlineData").get("data"))
        elif _get(part, "fileData") is not None:
            talk.attach(_get(_sub(part, "fileData"), "fileUri"))
        elif part:
            talk.model(canonical({key: value for key, value in part.items() if key != "thoughtSignature"}))
    talk.user([text for text in texts if text])


def _result(response: Mapping[str, Any]) -> str:
    """Return the result of a tool: clients wrap a text into an object of one key."""
    if len(response) == 1:
        key, value = next(iter(response.items()))
        if key in ("result", "output") and isinstance(value, str):
            return value
    if set(response) == {"name", "content"} and isinstance(response["content"], str):
        return response["content"]
    return canonical(response)


def _forced(body: Mapping[str, Any], tools: list[Tool]) -> tuple[str, ...]:
    how = _sub(_sub(body, "toolConfig"), "functionCallingConfig")
    mode = _string(how, "mode", "AUTO").upper()
    if mode not in ("ANY", "AUTO", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise BadRequest(f"`mode` is {mode[:40]!r}: it is AUTO, ANY, NONE or VALIDATED")
    if mode != "ANY":
        return ()
    allowed = _get(how, "allowedFunctionNames")
    if allowed is None or allowed == []:
        return tuple(tool.name for tool in tools)
    if not isinstance(allowed, list) or not all(isinstance(one, str) for one in allowed):
        raise BadRequest("`allowedFunctionNames` is no list of names")
    known = [tool.name for tool in tools]
    unknown = [one for one in allowed if one not in known]
    if unknown:
        raise BadRequest(f"`allowedFunctionNames` names a tool that is not offered: {unknown[0][:80]}")
    return tuple(allowed)


def plain_schema(schema: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """Return a schema of the vendor's own kind as a JSON schema: types are in capitals there, and counts are texts."""
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            made["type"] = value.lower()
        elif key == "properties" and isinstance(value, dict):
            made["properties"] = {one: _below(sub, depth) for one, sub in value.items()}
        elif key == "items":
            made["items"] = _below(value, depth)
        elif key in ("anyOf", "any_of") and isinstance(value, list):
            made["anyOf"] = [_below(sub, depth) for sub in value]
        elif key in _COUNTS:
            made[_COUNTS[key]] = int(value) if isinstance(value, str) and value.isdecimal() else value
        elif key not in ("nullable", "propertyOrdering", "property_ordering", "example", "format"):
            made[key] = value
    if schema.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
    return made


_COUNTS = {
    key: camel
    for camel, snake in {
        "minItems": "min_items",
        "maxItems": "max_items",
        "minLength": "min_length",
        "maxLength": "max_length",
        "minProperties": "min_properties",
        "maxProperties": "max_properties",
    }.items()
    for key in (camel, snake)
}


def _below(schema: object, depth: int) -> Any:
    if depth > 64:
        raise BadRequest("the schema is nested too deeply")
    return plain_schema(schema, depth + 1) if isinstance(schema, dict) else schema


def answer(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:
    """Return the answer in the vendor's shape."""
    ident = ident_of(ident)
    if not asked.stream:
        return plain_answer(_document(asked, _parts(reply, ident), usage, ident, _reason(reply)))
    chunks = list(_events(asked, reply, usage, ident))
    if ("list", 1) not in asked.details:
        return Answer(200, EVENTS, tuple(event(one) for one in chunks))
    opened = [(b"," if at else b"[") + written(one) for at, one in enumerate(chunks)]
    return Answer(200, JSON, (*opened, b"]"))


def _document(
    asked: Asked, parts: list[dict[str, Any]], usage: Usage | None, ident: str, reason: str | None, last: bool = True
) -> dict[str, Any]:
    candidates: list[dict[str, Any]] = [
        {"content": {"parts": parts, "role": "model"}, "index": at} for at in range(asked.choices)
    ]
    if reason is not None:
        for candidate in candidates:
            candidate["finishReason"] = reason
    document: dict[str, Any] = {"candidates": candidates}
    if usage is not None:
        document["usageMetadata"] = told(usage, last)
    return {**document, "modelVersion": asked.model, "responseId": ident}


def told(usage: Usage, last: bool = True) -> dict[str, Any]:
    """Return the usage as the vendor tells it: thoughts are beside the candidates, cached content is in the prompt.

    ``last`` is false in the earlier chunks of a stream, which tell the prompt only.
    """
    shown: dict[str, Any] = {"promptTokenCount": usage.input}
    if last:
        shown["candidatesTokenCount"] = usage.output - usage.reasoning
        if usage.reasoning:
            shown["thoughtsTokenCount"] = usage.reasoning
    shown["totalTokenCount"] = usage.input + (usage.output if last else 0)
    shown["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.input}]
    if usage.cached:
        shown["cachedContentTokenCount"] = usage.cached
        shown["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.cached}]
    return shown


def _reason(reply: Reply) -> str:
    return "MAX_TOKENS" if reply.truncated else "STOP"


def _parts(reply: Reply, ident: str) -> list[dict[str, Any]]:
    texts: list[dict[str, Any]] = [{"text": reply.text}] if reply.text or not reply.calls else []
    return texts + [
        {"functionCall": {"id": f"call_{ident}_{at}", "name": call.name, "args": dict(call.arguments)}}
        for at, call in enumerate(reply.calls)
    ]


def _events(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks: a call is never cut, and the last one tells why the model ended."""
    parts = _parts(reply, ident)
    cut = [{"text": piece} for piece in pieces(clean(reply.text))] + [part for part in parts if "text" not in part]
    for part in cut[:-1]:
        yield _document(asked, [part], usage, ident, None, last=False)
    yield _document(asked, [cut[-1] if cut else {"text": ""}], usage, ident, _reason(reply))


def heard(answer: Answer) -> tuple[Reply, Usage | None]:
    """Return what an answer says, and the usage that it tells. Raises ``BadRequest``."""
    text, reason, usage = "", "", None
    calls: list[ToolCall] = []
    for document in documents(answer):
        if document.get("usageMetadata") is not None:
            usage = _usage(_inner(document, "usageMetadata"))
        for candidate in _items(document, "candidates"):
            if candidate.get("index", 0) != 0:
                continue
            reason = _string(candidate, "finishReason", reason)
            for part in _items(_inner(candidate, "content"), "parts"):
                if part.get("functionCall") is not None:
                    call = _inner(part, "functionCall")
                    calls.append(ToolCall(_string(call, "name"), parsed(call.get("args") or {})))
                elif part.get("thought") is not True:
                    text += _string(part, "text", "")
    if not reason:
        raise BadRequest("the answer has no `finishReason`: it is no content, or was cut")
    return Reply(text, tuple(calls), reason == "MAX_TOKENS"), usage


def _usage(said: Mapping[str, Any]) -> Usage:
    thoughts = tokens(said, "thoughtsTokenCount")
    try:
        return Usage(
            tokens(said, "promptTokenCount") + tokens(said, "toolUsePromptTokenCount"),
            tokens(said, "candidatesTokenCount") + thoughts,
            tokens(said, "cachedContentTokenCount"),
            0,
            thoughts,
        )
    except ValueError as problem:
        raise BadRequest(f"the usage contradicts itself: {problem}") from None


def error(status: int, message: str, code: str = "") -> Answer:
    """Return an error in the vendor's shape; ``code`` is the name of its status."""
    shown = code or STATUSES.get(status, "UNKNOWN")
    return plain_answer({"error": {"code": status, "message": message, "status": shown, "details": []}}, status)


def _snake(key: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", key)


def _key(body: Mapping[str, Any], key: str) -> str:
    return key if key in body or _snake(key) not in body else _snake(key)


def _get(body: Mapping[str, Any], key: str) -> Any:
    """Return what is below ``key``, which the vendor takes in either spelling."""
    return body.get(_key(body, key))


def _sub(body: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _inner(body, _key(body, key))


def _list(body: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return _items(body, _key(body, key))


def _word(body: Mapping[str, Any], key: str) -> str:
    return _string(body, _key(body, key), "")


def _number(body: Mapping[str, Any], key: str) -> int | None:
    return _whole(body, _key(body, key))
