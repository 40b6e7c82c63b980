"""Runs cases with the real clients of Python: cases come on standard input, results leave on standard output.

A result holds what the client's own types say: the text, the calls, and each number of the usage by its own name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Annotated, Any

import anthropic
import openai
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from pydantic import BaseModel, Field

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
}
TEXT = "Plan the trip"


class Trip(BaseModel):
    city: str
    days: Annotated[int, Field(ge=2)]


def numbers(usage: Any) -> dict[str, int] | None:
    """Return each number of a usage by its path, in the names of the client."""
    if usage is None:
        return None
    found: dict[str, int] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{path}.{key}" if path else key)
        elif isinstance(value, int) and not isinstance(value, bool):
            found[path] = value

    walk(usage if isinstance(usage, dict) else usage.model_dump(), "")
    return found


def result(text: Any, calls: list[tuple[str, Any]], usage: Any, **more: Any) -> dict[str, Any]:
    return {"text": text, "calls": [list(call) for call in calls], "usage": numbers(usage), **more}


async def each(stream: Any) -> list[Any]:
    """Return all that a stream yields, of either kind."""
    if hasattr(stream, "__aiter__"):
        return [one async for one in stream]
    return list(stream)


async def now(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


# ------------------------------------------------------------------------------------------------- OpenAI


def openai_client(case: dict[str, Any]) -> Any:
    kind = openai.AsyncOpenAI if case["async"] else openai.OpenAI
    return kind(base_url=case["base"] + "/v1", api_key="k", max_retries=0)


async def openai_chat(case: dict[str, Any]) -> dict[str, Any]:
    client = openai_client(case)
    asked: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": TEXT}]}
    if case["tools"]:
        asked["tools"] = [{"type": "function", "function": {"name": "plan", "parameters": SCHEMA}}]
        if case["tools"] == "forced":
            asked["tool_choice"] = "required"
    if case["structured"]:
        done = await now(client.chat.completions.parse(**asked, response_format=Trip))
        return result(done.choices[0].message.parsed.model_dump(), [], done.usage)
    if not case["stream"]:
        done = await now(client.chat.completions.create(**asked, n=case.get("n", 1)))
        says = [choice.message for choice in done.choices]
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in says[0].tool_calls or []]
        return result(says[0].content, calls, done.usage, choices=len(says), reason=done.choices[0].finish_reason)
    if case["stream"] == "helper":
        async_helper = case["async"]
        manager = client.chat.completions.stream(**asked, stream_options={"include_usage": True})
        if async_helper:
            async with manager as stream:
                done = await stream.get_final_completion()
        else:
            with manager as stream:
                done = stream.get_final_completion()
        says = done.choices[0].message
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in says.tool_calls or []]
        return result(says.content, calls, done.usage, reason=done.choices[0].finish_reason)
    options = {} if case["stream"] == "silent" else {"stream_options": {"include_usage": True}}
    chunks = await each(await now(client.chat.completions.create(**asked, stream=True, **options)))
    text, calls, usage, reason = "", {}, None, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                name, arguments = calls.get(call.index, ("", ""))
                calls[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    made = [(name, json.loads(arguments)) for name, arguments in calls.values()]
    return result(text, made, usage, reason=reason, chunks=len(chunks))


async def openai_responses(case: dict[str, Any]) -> dict[str, Any]:
    client = openai_client(case)
    asked: dict[str, Any] = {"model": "gpt-5", "input": TEXT}
    if case["tools"]:
        asked["tools"] = [{"type": "function", "name": "plan", "parameters": SCHEMA, "strict": False}]
        if case["tools"] == "forced":
            asked["tool_choice"] = "required"
    if case["structured"]:
        done = await now(client.responses.parse(**asked, text_format=Trip))
        return result(done.output_parsed.model_dump(), [], done.usage)
    events: list[str] = []
    if case["stream"] == "helper":
        manager = client.responses.stream(**asked)
        if case["async"]:
            async with manager as stream:
                events = [event.type async for event in stream]
                done = await stream.get_final_response()
        else:
            with manager as stream:
                events = [event.type for event in stream]
                done = stream.get_final_response()
    elif case["stream"]:
        found = await each(await now(client.responses.create(**asked, stream=True)))
        events = [event.type for event in found]
        done = found[-1].response
        deltas = "".join(event.delta for event in found if event.type == "response.output_text.delta")
        assert deltas == done.output_text, (deltas, done.output_text)
        assert [event.sequence_number for event in found] == list(range(len(found)))
    else:
        done = await now(client.responses.create(**asked))
    calls = [(item.name, json.loads(item.arguments)) for item in done.output if item.type == "function_call"]
    return result(done.output_text, calls, done.usage, reason=done.status, events=events)


async def openai_embeddings(case: dict[str, Any]) -> dict[str, Any]:
    client = openai_client(case)
    how = {"encoding_format": "float"} if case["tools"] == "float" else {}
    done = await now(client.embeddings.create(model="text-embedding-3-small", input=["a", "b"], **how))
    again = await now(client.embeddings.create(model="text-embedding-3-small", input="a", encoding_format="float"))
    same = max(abs(x - y) for x, y in zip(done.data[0].embedding, again.data[0].embedding, strict=True))
    lengths = [len(one.embedding) for one in done.data]
    return result("", [], done.usage, lengths=lengths, same=same < 1e-6, differ=done.data[0] != done.data[1])


# ---------------------------------------------------------------------------------------------- Anthropic


async def anthropic_messages(case: dict[str, Any]) -> dict[str, Any]:
    kind = anthropic.AsyncAnthropic if case["async"] else anthropic.Anthropic
    client = kind(base_url=case["base"], api_key="k", max_retries=0)
    asked: dict[str, Any] = {
        "model": "claude-opus-4-5",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": TEXT}],
    }
    if case["tools"]:
        asked["tools"] = [{"name": "plan", "input_schema": SCHEMA}]
        if case["tools"] == "forced":
            asked["tool_choice"] = {"type": "any"}
    if case["structured"]:
        done = await now(client.messages.parse(**asked, output_format=Trip))
        return result(done.parsed_output.model_dump(), [], done.usage)
    events: list[str] = []
    if case["stream"] == "helper":
        manager = client.messages.stream(**asked)
        if case["async"]:
            async with manager as stream:
                done = await stream.get_final_message()
        else:
            with manager as stream:
                done = stream.get_final_message()
    elif case["stream"]:
        found = await each(await now(client.messages.create(**asked, stream=True)))
        events = [event.type for event in found]
        text, calls, usage, reason = "", {}, {}, None
        for event in found:
            if event.type == "message_start":
                usage.update(numbers(getattr(event.message, "usage", None)) or {})
            elif event.type == "content_block_start" and event.content_block.type == "tool_use":
                calls[event.index] = (event.content_block.name, "")
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
            elif event.type == "content_block_delta":
                calls[event.index] = (calls[event.index][0], calls[event.index][1] + event.delta.partial_json)
            elif event.type == "message_delta":
                reason = event.delta.stop_reason
                usage.update(numbers(getattr(event, "usage", None)) or {})
        made = [(name, json.loads(arguments)) for name, arguments in calls.values()]
        return result(text, made, usage or None, reason=reason, events=events)
    else:
        done = await now(client.messages.create(**asked))
    text = "".join(block.text for block in done.content if block.type == "text")
    calls = [(block.name, block.input) for block in done.content if block.type == "tool_use"]
    return result(text, calls, getattr(done, "usage", None), reason=done.stop_reason, events=events)


# ------------------------------------------------------------------------------------------------- Google


async def google_genai(case: dict[str, Any]) -> dict[str, Any]:
    client = genai.Client(api_key="k", http_options=genai_types.HttpOptions(base_url=case["base"]))
    models = client.aio.models if case["async"] else client.models
    config: dict[str, Any] = {}
    if case["tools"]:
        function = {"name": "plan", "description": "", "parameters_json_schema": SCHEMA}
        config["tools"] = [{"function_declarations": [function]}]
        config["automatic_function_calling"] = {"disable": True}
        if case["tools"] == "forced":
            config["tool_config"] = {"function_calling_config": {"mode": "ANY"}}
    if case["structured"]:
        config |= {"response_mime_type": "application/json", "response_schema": Trip}
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": TEXT, "config": config}
    if not case["stream"]:
        done = await now(models.generate_content(**asked))
        if case["structured"]:
            return result(done.parsed.model_dump(), [], done.usage_metadata)
        chunks = [done]
    else:
        chunks = await each(await now(models.generate_content_stream(**asked)))
    text, calls, usage, reason = "", [], None, None
    for chunk in chunks:
        usage = chunk.usage_metadata or usage
        for candidate in chunk.candidates or []:
            reason = candidate.finish_reason.value if candidate.finish_reason else reason
            for part in candidate.content.parts or []:
                text += part.text or ""
                if part.function_call:
                    calls.append((part.function_call.name, part.function_call.args))
    return result(text, calls, usage, reason=reason, chunks=len(chunks))


# --------------------------------------------------------------------------------- what is beside the calls


async def side(case: dict[str, Any]) -> dict[str, Any]:
    base, message = case["base"], [{"role": "user", "content": TEXT}]
    openai_one = openai_client(case)
    claude = anthropic.Anthropic(base_url=base, api_key="k", max_retries=0)
    google = genai.Client(api_key="k", http_options=genai_types.HttpOptions(base_url=base))
    return {
        "openai models": [one.id for one in await each(openai_one.models.list())],
        "openai model": (await now(openai_one.models.retrieve("model-1"))).id,
        "openai count": (await now(openai_one.responses.input_tokens.count(model="m", input=TEXT))).input_tokens,
        "openai moderation": (await now(openai_one.moderations.create(input=TEXT))).results[0].flagged,
        "anthropic models": [one.id for one in claude.models.list()],
        "anthropic model": claude.models.retrieve("model-1").display_name,
        "anthropic count": claude.messages.count_tokens(model="m", messages=message).input_tokens,
        "google models": [one.name for one in google.models.list()],
        "google model": google.models.get(model="model-1").name,
        "google count": google.models.count_tokens(model="m", contents=TEXT).total_tokens,
    }


async def failing(case: dict[str, Any]) -> dict[str, Any]:
    run = RUNNERS[case["on"]]
    try:
        await run(case)
    except openai.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "code": error.code}
    except anthropic.APIStatusError as error:
        return {"error": type(error).__name__, "status": error.status_code, "code": error.body["error"]["type"]}
    except genai_errors.APIError as error:
        return {"error": type(error).__name__, "status": error.code, "code": error.status}
    return {"error": None}


RUNNERS = {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "openai-embeddings": openai_embeddings,
    "anthropic": anthropic_messages,
    "google-genai": google_genai,
    "side": side,
    "failing": failing,
}


def main() -> None:
    results = {}
    for case in json.load(sys.stdin):
        try:
            results[case["id"]] = asyncio.run(RUNNERS[case["run"]](case))
        except Exception as error:  # noqa: BLE001  a client that refuses what it got is a result
            results[case["id"]] = {"raised": f"{type(error).__name__}: {str(error)[:300]}"}
    json.dump(results, sys.stdout)


main()
