"""One conversation in every dialect, for tests: instructions, a tool, a question, a call of the tool and its result."""

from __future__ import annotations

import json
from typing import Any

from capsound_checker.wire.dialects.registry import dialect_named
from capsound_checker.wire.dialects.shapes import Asked, Usage

PATHS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "openai-embeddings": "/v1/embeddings",
    "anthropic-messages": "/v1/messages",
    "gemini": "/v1beta/models/m:generateContent",
}
TALKING = tuple(name for name in PATHS if name != "openai-embeddings")
USAGE = Usage(120, 30, 40, 20, 10, 5)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SYSTEM, SAID, RESULT, ARGUMENTS = "You plan trips.", "Where to, in summer? Ö", "sunny", {"city": "Oslo"}


def conversation(name: str, turns: int = 1) -> dict[str, Any]:
    """Return the body of a request; ``turns`` is how often the tool has been called."""
    several = range(turns)
    if name == "openai-chat":
        call = {"name": "plan", "arguments": json.dumps(ARGUMENTS)}
        talk: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": SAID}]
        for at in several:
            called = [{"id": f"call_{at}", "type": "function", "function": call}]
            talk.append({"role": "assistant", "content": None, "tool_calls": called})
            talk.append({"role": "tool", "tool_call_id": f"call_{at}", "content": RESULT})
        tool = {"name": "plan", "description": "plans", "parameters": SCHEMA}
        return {"model": "m", "messages": talk, "tools": [{"type": "function", "function": tool}], "max_tokens": 50}
    if name == "openai-responses":
        talk = [{"role": "user", "content": [{"type": "input_text", "text": SAID}]}]
        for at in several:
            link = {"call_id": f"call_{at}"}
            talk.append({"type": "function_call", "name": "plan", "arguments": json.dumps(ARGUMENTS), **link})
            talk.append({"type": "function_call_output", "output": RESULT, **link})
        tool = {"type": "function", "name": "plan", "description": "plans", "parameters": SCHEMA}
        return {"model": "m", "instructions": SYSTEM, "input": talk, "tools": [tool], "max_output_tokens": 50}
    if name == "anthropic-messages":
        talk = [{"role": "user", "content": SAID}]
        for at in several:
            use = {"type": "tool_use", "id": f"toolu_{at}", "name": "plan", "input": ARGUMENTS}
            talk.append({"role": "assistant", "content": [use]})
            result = {"type": "tool_result", "tool_use_id": f"toolu_{at}", "content": RESULT}
            talk.append({"role": "user", "content": [result]})
        tool = {"name": "plan", "description": "plans", "input_schema": SCHEMA}
        return {"model": "m", "system": SYSTEM, "messages": talk, "tools": [tool], "max_tokens": 50}
    if name == "gemini":
        talk = [{"role": "user", "parts": [{"text": SAID}]}]
        for _ in several:
            talk.append({"role": "model", "parts": [{"functionCall": {"name": "plan", "args": ARGUMENTS}}]})
            result = {"functionResponse": {"name": "plan", "response": {"result": RESULT}}}
            talk.append({"role": "user", "parts": [result]})
        capitals = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
        tool = {"functionDeclarations": [{"name": "plan", "description": "plans", "parameters": capitals}]}
        return {
            "systemInstruction": {"parts": [{"text": SYSTEM}]},
            "contents": talk,
            "tools": [tool],
            "generationConfig": {"maxOutputTokens": 50},
        }
    return {"model": "m", "input": SAID}


def ask(name: str, body: dict[str, Any]) -> Asked:
    """Return what a body asks for."""
    return dialect_named(name).asked(PATHS[name], body)
