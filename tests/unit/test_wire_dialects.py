"""The dialects: what a request asks for, what is counted, and that no body, however broken, raises anything but one error."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from exchanges import PATHS, SAID, SCHEMA, SYSTEM, TALKING, USAGE, ask, conversation
from hypothesis import given
from hypothesis import strategies as st

from capsound_checker.wire.dialects.counting import input_tokens
from capsound_checker.wire.dialects.registry import DIALECTS, dialect_named, dialect_of
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, ToolCall, Usage
from capsound_checker.wire.dialects.side import unbilled

every = pytest.mark.parametrize("name", list(PATHS))
talking = pytest.mark.parametrize("name", TALKING)


@every
def test_a_path_tells_the_dialect(name: str) -> None:
    for path in (PATHS[name], PATHS[name] + "?key=k", "/proxy" + PATHS[name]):
        found = dialect_of(path)
        assert found is not None
        assert found.name == name


def test_a_path_that_nobody_serves() -> None:
    for path in ("/", "/v1/messages/count_tokens", "/v1/models", "/v1/responses/r_1", "/v1beta/models/m:embedContent"):
        assert dialect_of(path) is None


@talking
@pytest.mark.parametrize("turns", [0, 1, 3])
def test_one_conversation_is_the_same_in_every_dialect(name: str, turns: int) -> None:
    asked, other = ask(name, conversation(name, turns)), ask("openai-chat", conversation("openai-chat", turns))
    for key in ("text", "said", "system", "turn", "tools", "limit", "structured", "model", "beside"):
        assert getattr(asked, key) == getattr(other, key), key
    assert (asked.said, asked.system, asked.turn, asked.limit) == (SAID, SYSTEM, turns, 50)


def test_input_is_four_bytes_a_token() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "12345678"}]}
    assert input_tokens(ask("openai-chat", body)) == 2
    body["messages"] = [{"role": "user", "content": "123456789"}]
    assert input_tokens(ask("openai-chat", body)) == 3
    body["messages"] = [{"role": "user", "content": ""}]
    assert input_tokens(ask("openai-chat", body)) == 1
    assert input_tokens(ask("openai-embeddings", {"model": "m", "input": [[1, 2, 3], [4]]})) == 4


def test_an_attachment_is_256_tokens_and_the_same_in_every_dialect() -> None:
    image = "aGVsbG8="
    bodies = {
        "openai-chat": {
            "model": "m",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}],
                }
            ],
        },
        "openai-responses": {
            "model": "m",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{image}"}],
                }
            ],
        },
        "anthropic-messages": {
            "model": "m",
            "max_tokens": 1,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "base64", "data": image}}],
                }
            ],
        },
        "gemini": {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": image}}]}]},
    }
    assert {input_tokens(ask(name, body)) for name, body in bodies.items()} == {256 + 5}  # "attachment 2cf24dba"


LIMITS: list[tuple[str, dict[str, Any], int | None]] = [
    ("openai-chat", {"max_tokens": None}, None),
    ("openai-chat", {"n": 3}, 150),
    ("openai-chat", {"max_tokens": None, "max_completion_tokens": 7, "n": 2}, 14),
    ("openai-responses", {"max_output_tokens": None}, None),
    ("anthropic-messages", {"max_tokens": 0}, 0),
    ("anthropic-messages", {"max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}}, 2048),
    ("gemini", {"generationConfig": {"candidateCount": 2, "maxOutputTokens": 10}}, 20),
    ("gemini", {"generationConfig": {"maxOutputTokens": 10, "thinkingConfig": {"thinkingBudget": 5}}}, 10),
    ("gemini", {"generation_config": {"max_output_tokens": 10}, "generationConfig": None}, None),
    ("openai-embeddings", {}, 0),
]


@pytest.mark.parametrize(("name", "change", "limit"), LIMITS)
def test_the_limit_is_of_all_choices_with_thinking(name: str, change: dict[str, Any], limit: int | None) -> None:
    assert ask(name, {**conversation(name), **change}).limit == limit


FORCED = {
    "openai-chat": {"tool_choice": "required"},
    "openai-responses": {"tool_choice": {"type": "function", "name": "plan"}},
    "anthropic-messages": {"tool_choice": {"type": "any"}},
    "gemini": {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["plan"]}}},
}
SHAPED = {
    "openai-chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    "openai-responses": {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
    "anthropic-messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
}


@talking
def test_the_default_is_what_the_request_demands(name: str) -> None:
    assert ask(name, conversation(name)).default == Reply("Done.")
    forced = ask(name, {**conversation(name), **FORCED[name]})
    assert forced.default == Reply("", (ToolCall("plan", {"city": "text"}),))
    shaped = ask(name, {**conversation(name), **SHAPED[name]})
    assert json.loads(shaped.default.text) == {"city": "text"}
    assert shaped.structured
    assert not shaped.doubt


def test_a_forced_tool_is_not_called_for_ever() -> None:
    """Of several, the last one ends most frameworks' turns; one that was called gives way to one that was not."""
    body = conversation("openai-chat", 0)
    body["tools"].append({"type": "function", "function": {"name": "final", "parameters": {}}})
    body["tool_choice"] = "required"
    assert ask("openai-chat", body).default.calls[0].name == "final"
    called = {"id": "c", "type": "function", "function": {"name": "final", "arguments": "{}"}}
    body["messages"].append({"role": "assistant", "tool_calls": [called]})
    assert ask("openai-chat", body).default.calls[0].name == "plan"


def test_a_doubt_is_named() -> None:
    body = conversation("openai-chat")
    schema = {"type": "string", "pattern": "^(?=a)b"}
    body["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert "looks ahead" in ask("openai-chat", body).doubt


replies = st.builds(
    Reply,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    st.lists(st.builds(ToolCall, st.sampled_from(["plan", "book"]), st.just({"city": "Ö", "days": [1, None]})), max_size=2)
    .map(tuple),
    st.booleans(),
)  # fmt: skip
usages = st.builds(
    lambda cached, written, fresh, long, shown, reasoning: Usage(
        cached + written + fresh, shown + reasoning, cached, written, reasoning, min(long, written)
    ),
    *[st.integers(0, 99)] * 6,
)


def told(name: str, usage: Usage | None) -> Usage | None:
    """Return what of a usage the vendor tells."""
    if usage is None:
        return None
    if name == "openai-chat":
        return replace(usage, written_long=0)
    return replace(usage, written=0, written_long=0) if name == "gemini" else usage


@talking
@given(reply=replies, usage=st.none() | usages, stream=st.booleans())
def test_what_is_answered_is_heard(name: str, reply: Reply, usage: Usage | None, stream: bool) -> None:
    dialect, asked = dialect_named(name), replace(ask(name, conversation(name)), stream=stream)
    assert dialect.heard(dialect.answer(asked, reply, usage, "one")) == (reply, told(name, usage))


@talking
def test_a_stream_is_told_from_its_first_half(name: str) -> None:
    """A stream has at least two pieces of text, and without its end it is no answer."""
    dialect, asked = dialect_named(name), replace(ask(name, conversation(name)), stream=True)
    answer = dialect.answer(asked, Reply("Done."), USAGE, "one")
    assert len(answer.chunks) >= 2
    with pytest.raises(BadRequest):
        dialect.heard(replace(answer, chunks=answer.chunks[:1]))


def test_a_silent_stream_tells_no_usage() -> None:
    body = {**conversation("openai-chat"), "stream": True}
    asked = ask("openai-chat", body)
    assert not asked.usage_wanted
    assert (
        dialect_named("openai-chat").heard(dialect_named("openai-chat").answer(asked, Reply("x"), USAGE, "i"))[1]
        is None
    )
    assert ask("openai-chat", {**body, "stream_options": {"include_usage": True}}).usage_wanted


def test_a_stream_of_gemini_is_a_list_where_events_are_not_asked_for() -> None:
    dialect, body = dialect_named("gemini"), conversation("gemini")
    path = "/v1beta/models/m:streamGenerateContent"
    for query, kind in (("", "text/event-stream"), ("?alt=sse", "text/event-stream"), ("?key=k", "application/json")):
        answer = dialect.answer(dialect.asked(path + query, body), Reply("Hello"), USAGE, "i")
        assert answer.content_type == kind
        assert dialect.heard(answer)[0] == Reply("Hello")
    assert len(json.loads(b"".join(answer.chunks))) == 2


def test_an_answer_is_the_same_twice() -> None:
    for dialect in DIALECTS:
        asked = ask(dialect.name, conversation(dialect.name))
        assert dialect.answer(asked, Reply(), USAGE, "a b/c") == dialect.answer(asked, Reply(), USAGE, "a b/c")


# ------------------------------------------------------------------------------------------- bad requests

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("openai-chat", {"messages": []}, "needs `messages`"),
    ("openai-chat", {"model": 3}, "`model` is no text"),
    ("openai-chat", {"messages": [{"role": "me", "content": "x"}]}, "has the role 'me'"),
    ("openai-chat", {"max_tokens": -1}, "`max_tokens` is -1"),
    ("openai-chat", {"max_tokens": True}, "`max_tokens` is True"),
    ("openai-chat", {"max_completion_tokens": 3}, "exclude each other"),
    ("openai-chat", {"n": 1000}, "`n` is 1000"),
    ("openai-chat", {"tool_choice": {"type": "function", "function": {"name": "x"}}}, "not offered: x"),
    ("openai-chat", {"stream": "yes"}, "`stream` is neither"),
    ("openai-responses", {"input": 3}, "`input` is no list"),
    ("openai-responses", {"input": []}, "needs `input`"),
    ("openai-responses", {"background": True}, "background"),
    ("openai-embeddings", {"input": [1.5]}, "`input` is neither"),
    ("openai-embeddings", {"input": []}, "has 0 parts"),
    ("openai-embeddings", {"encoding_format": "int8"}, "float or base64"),
    ("anthropic-messages", {"max_tokens": None}, "`max_tokens` is missing"),
    ("anthropic-messages", {"messages": "hi"}, "`messages` is no list"),
    ("anthropic-messages", {"tool_choice": {"type": "tool", "name": "x"}}, "not offered: x"),
    ("gemini", {"contents": None}, "`contents` is missing"),
    ("gemini", {"contents": [{"role": "bot", "parts": []}]}, "has the role 'bot'"),
    ("gemini", {"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "`mode` is 'SOME'"),
]


@pytest.mark.parametrize(("name", "change", "words"), BAD)
def test_what_no_provider_would_take(name: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as raised:
        ask(name, {**conversation(name), **change})
    assert words in raised.value.message


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 10**12)
    | st.floats(allow_nan=True)
    | st.sampled_from(
        ["", "x", "user", "assistant", "tool", "text", "json_schema", "required", "function", "\ud800", "$ref"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "name",
                    "text",
                    "parts",
                    "schema",
                    "items",
                    "$ref",
                    "function",
                    "enum",
                    "input",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        found += places(value, (*path, key))
    return found


@every
@given(data=st.data())
def test_a_broken_body_is_answered_or_refused_in_a_sentence(name: str, data: st.DataObject) -> None:
    body = copy.deepcopy(conversation(name))
    body |= {"stream": data.draw(st.booleans())}
    if name in TALKING:
        body |= data.draw(st.sampled_from([{}, FORCED[name], SHAPED[name]]))
        body = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(places(body)[1:] or [("model",)]))
        at: Any = body
        for key in way:
            at = at[key]
        if data.draw(st.booleans()) or isinstance(at, list):
            at[last] = data.draw(junk)
        else:
            del at[last]
        if not places(body)[1:]:
            break
    dialect = dialect_named(name)
    try:
        asked = dialect.asked(PATHS[name], body)
    except BadRequest as error:
        refused = error.message
    else:
        refused = ""
    if refused:
        return
    assert isinstance(asked, Asked)
    assert input_tokens(asked) >= 1
    assert isinstance(dialect.answer(asked, asked.default, USAGE, "i").chunks[0], bytes)


@every
@given(body=junk, stream=st.booleans())
def test_a_broken_answer_is_no_answer(name: str, body: Any, stream: bool) -> None:
    kind, raw = ("text/event-stream", "data: ") if stream else ("application/json", "")
    with contextlib.suppress(BadRequest):
        dialect_named(name).heard(Answer(200, kind, ((raw + json.dumps(body) + "\n\n").encode(),)))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((10, 5, 11), "more than the input"),
        ((10, 5, 0, 0, 6), "more than the output"),
        ((10, 5, 0, 2, 0, 3), "written for long"),
        ((-1, 5), "negative"),
    ],
)
def test_a_usage_that_contradicts_itself(counts: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Usage(*counts)


# ----------------------------------------------------------------------------------------- errors, and the side


def test_errors_have_the_shape_of_the_vendor() -> None:
    def said(name: str, status: int, code: str = "") -> Any:
        answer = dialect_named(name).error(status, "no", code)
        assert answer.status == status
        return json.loads(answer.chunks[0])["error"]

    assert said("openai-chat", 429)["code"] == "rate_limit_exceeded"
    empty = said("openai-responses", 429, "insufficient_quota")
    assert (empty["type"], empty["code"]) == ("insufficient_quota", "insufficient_quota")
    assert said("anthropic-messages", 529)["type"] == "overloaded_error"
    assert said("gemini", 429)["status"] == "RESOURCE_EXHAUSTED"
    assert said("gemini", 503)["status"] == "UNAVAILABLE"


def test_requests_that_nobody_bills() -> None:
    def said(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = unbilled(method, path, body or {}, ("a", "b"))
        return None if answer is None else json.loads(answer.chunks[0])

    assert [one["id"] for one in said("GET", "/v1/models")["data"]] == ["a", "b"]
    assert said("GET", "/v1beta/models/x%2Fy?key=k")["name"] == "models/x/y"
    counts = [
        said("POST", "/v1/messages/count_tokens", conversation("anthropic-messages"))["input_tokens"],
        said("POST", "/v1/responses/input_tokens", conversation("openai-responses"))["input_tokens"],
        said("POST", "/v1beta/models/m:countTokens", {"generateContentRequest": conversation("gemini")})["totalTokens"],
    ]
    assert set(counts) == {input_tokens(ask("openai-chat", conversation("openai-chat")))}
    assert said("POST", "/v1/moderations", {"input": ["a", "b"]})["results"][1]["flagged"] is False
    assert said("POST", "/v1/chat/completions", conversation("openai-chat")) is None
    assert said("GET", "/v1/files") is None
    assert said("DELETE", "/v1/models/a") is None
    with pytest.raises(BadRequest):
        said("POST", "/v1/messages/count_tokens")
