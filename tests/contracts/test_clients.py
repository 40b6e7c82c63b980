"""The real clients take what the dialects answer: each is run, and what its own types say is compared with what was meant.

The environments are pinned (``tests/support/clients``) and made in a cache folder; without a network, or without node,
the tests are skipped by name. Figures of a usage are written down here client by client, not taken from the dialects.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import provider
import pytest
from provider import Meant

from capsound_checker.wire.dialects.counting import input_tokens
from capsound_checker.wire.dialects.shapes import Reply, ToolCall, Usage

CLIENTS = Path(__file__).resolve().parent.parent / "support" / "clients"
sys.path.insert(0, str(CLIENTS))
import environment  # noqa: E402

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

OSLO, BERGEN = {"city": "Oslo", "days": 3}, {"city": "Bergen", "days": 2}
REPLIES = {
    "text": Reply("The capital is Oslö."),
    "call": Reply("", (ToolCall("plan", OSLO),)),
    "both": Reply("Let me look.", (ToolCall("plan", OSLO), ToolCall("plan", BERGEN))),
    "short": Reply("Let", (), truncated=True),
}
USAGES = {
    "simple": Usage(120, 30),
    "cached": Usage(120, 30, cached=40),
    "written": Usage(120, 30, written=20),
    "hour": Usage(120, 30, cached=40, written=20, written_long=5),
    "reasoned": Usage(120, 30, reasoning=10),
    "full": Usage(120, 30, 40, 20, 10, 5),
    "untold": None,
}
STREAMS = {
    "openai-chat": (False, True, "helper", "silent"),
    "openai-responses": (False, True, "helper"),
    "anthropic": (False, True, "helper"),
    "google-genai": (False, True),
    "ai/openai": (False, True),
    "ai/openai-chat": (False, True),
    "ai/anthropic": (False, True),
    "ai/google": (False, True),
}
PYTHON = ("openai-chat", "openai-responses", "anthropic", "google-genai")
NODE = (
    "openai-chat",
    "openai-responses",
    "anthropic",
    "google-genai",
    "ai/openai",
    "ai/openai-chat",
    "ai/anthropic",
    "ai/google",
)
STATUSES = (400, 401, 404, 429, 500, 503, 529)


@dataclass(frozen=True)
class Case:
    where: str
    run: str
    reply: str
    usage: str
    stream: bool | str = False
    asynchronous: bool = False
    tools: bool | str = False
    structured: bool = False
    on: str = ""
    status: int = 200

    @property
    def name(self) -> str:
        how = {False: "plain", True: "streamed"}.get(self.stream, self.stream)  # type: ignore[call-overload]
        both = "async" if self.asynchronous else "sync"
        kind = f"{self.on}-{self.status}-{how}" if self.on else f"{self.reply}-{self.usage}-{how}-{both}"
        return f"{self.where}-{self.run}-{kind}".replace("/", "_")

    @property
    def meant(self) -> Meant:
        usage = Usage(7, 0) if self.reply in ("float", "base64") else USAGES.get(self.usage)
        first = REPLIES["both"] if self.run == "turns" else None
        return Meant(REPLIES.get(self.reply), usage, self.status, first=first)

    def job(self, base: str) -> dict[str, Any]:
        return {
            "id": self.name,
            "run": self.run,
            "on": self.on,
            "base": f"{base}/{self.name}",
            "stream": self.stream,
            "async": self.asynchronous,
            "tools": self.tools,
            "structured": self.structured,
        }


def cases() -> Iterator[Case]:
    for where, runs in (("python", PYTHON), ("node", NODE)):
        for both in (False, True) if where == "python" else (False,):
            for run in runs:
                for reply in REPLIES:
                    for usage in USAGES:
                        for stream in STREAMS[run]:
                            yield Case(where, run, reply, usage, stream, both, reply in ("call", "both"))
                yield Case(where, run, "forced", "full", False, both, "forced")
                yield Case(where, run, "schema", "full", False, both, False, True)
            for encoding in ("float", "base64"):
                yield Case(where, "openai-embeddings", encoding, "simple", False, both, encoding)
            yield Case(where, "side", "side", "simple", False, both)
        for run in (*runs, "openai-embeddings"):
            for status in STATUSES:
                yield Case(where, "failing", "error", "simple", on=run, status=status)
    yield Case("node", "ai/embed", "float", "simple", False, False)
    for run in (run for run in NODE if run.startswith("ai/")):
        for stream in (False, True):
            yield Case("node", "turns", "turns", "simple", stream, on=run)


CASES = list(cases())


class Ran:
    """What the clients of one language said in all the cases, and what was asked for in them."""

    def __init__(self, where: str) -> None:
        mine = [case for case in CASES if case.where == where]
        try:
            command, env = self.command(where)
        except (environment.NotThere, OSError, subprocess.TimeoutExpired) as error:
            self.missing, self.results, self.asked = f"no clients of {where}: {error}", {}, {}
            return
        self.missing = ""
        with provider.serving({case.name: case.meant for case in mine}) as serving:
            jobs = json.dumps([case.job(serving.base) for case in mine])
            done = subprocess.run(
                command, input=jobs, env=env, capture_output=True, text=True, timeout=600, check=False
            )
        assert done.returncode == 0, done.stderr[-2000:]
        self.results: dict[str, Any] = json.loads(done.stdout)
        self.asked = serving.asked
        self.unknown = serving.unknown

    @staticmethod
    def command(where: str) -> tuple[list[str], dict[str, str]]:
        if where == "python":
            return [str(environment.python()), str(CLIENTS / "run_python.py")], dict(os.environ)
        return ["node", str(CLIENTS / "run_node.mjs")], {**os.environ, "CLIENTS": str(environment.node())}


@cache
def ran(where: str) -> Ran:
    """Run all cases of a language, once."""
    return Ran(where)


def usage_of(case: Case, usage: Usage) -> dict[str, int]:
    """Return what the client's own object has to say, number by number, zeros left out."""
    fresh = usage.input - usage.cached - usage.written
    total = usage.input + usage.output
    if case.run == "openai-chat":
        said = {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": total,
            "prompt_tokens_details.cached_tokens": usage.cached,
            "prompt_tokens_details.cache_write_tokens": usage.written,
            "completion_tokens_details.reasoning_tokens": usage.reasoning,
        }
    elif case.run == "openai-responses":
        said = {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": total,
            "input_tokens_details.cached_tokens": usage.cached,
            "input_tokens_details.cache_write_tokens": usage.written,
            "input_tokens_details.cache_write_tokens_details.ttl_30m_tokens": usage.written - usage.written_long,
            "input_tokens_details.cache_write_tokens_details.ttl_12h_tokens": usage.written_long,
            "output_tokens_details.reasoning_tokens": usage.reasoning,
        }
    elif case.run == "anthropic":
        said = {
            "input_tokens": fresh,
            "output_tokens": usage.output,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": usage.written,
            "cache_creation.ephemeral_5m_input_tokens": usage.written - usage.written_long,
            "cache_creation.ephemeral_1h_input_tokens": usage.written_long,
            "output_tokens_details.thinking_tokens": usage.reasoning,
        }
    elif case.run == "google-genai":
        said = {
            "prompt_token_count": usage.input,
            "candidates_token_count": usage.output - usage.reasoning,
            "thoughts_token_count": usage.reasoning,
            "cached_content_token_count": usage.cached,
            "total_token_count": total,
        }
        if case.where == "node":
            said = {re.sub("_(.)", lambda found: found[1].upper(), key): value for key, value in said.items()}
    else:
        written = 0 if case.run == "ai/google" else usage.written
        said = {
            "inputTokens": usage.input,
            "inputTokenDetails.noCacheTokens": usage.input - usage.cached - written,
            "inputTokenDetails.cacheReadTokens": usage.cached,
            "inputTokenDetails.cacheWriteTokens": written,
            "cachedInputTokens": usage.cached,
            "outputTokens": usage.output,
            "outputTokenDetails.textTokens": usage.output - usage.reasoning,
            "outputTokenDetails.reasoningTokens": usage.reasoning,
            "reasoningTokens": usage.reasoning,
            "totalTokens": total,
        }
    return {key: value for key, value in said.items() if value}


REASONS = {
    "openai-chat": ("stop", "tool_calls", "length"),
    "openai-responses": ("completed", "completed", "incomplete"),
    "anthropic": ("end_turn", "tool_use", "max_tokens"),
    "google-genai": ("STOP", "STOP", "MAX_TOKENS"),
    **dict.fromkeys(("ai/openai", "ai/openai-chat", "ai/anthropic", "ai/google"), ("stop", "tool-calls", "length")),
}


def refusal(case: Case) -> str:
    """Return what a client raises on an answer that it will not have; empty where it takes it.

    No client of Anthropic that puts a stream together does without the usage, which the vendor always tells. Two
    helpers of openai-python take a stream that the limit has ended for a failure.
    """
    if case.usage == "untold" and case.run == "ai/anthropic":
        return "APICallError"
    if case.usage == "untold" and (case.run, case.stream) == ("anthropic", "helper"):
        return "output_tokens"
    if case.where == "python" and case.reply == "short" and case.stream == "helper":
        return {"openai-chat": "LengthFinishReasonError", "openai-responses": "response.completed"}.get(case.run, "")
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_client_understands_what_was_meant(case: Case) -> None:
    mine = ran(case.where)
    if mine.missing:
        pytest.skip(mine.missing)
    said = mine.results[case.name]
    if refusal(case):
        assert refusal(case) in said["raised"]
        return
    assert "raised" not in said, said["raised"]
    if case.run == "failing":
        assert said["error"]
        assert said["status"] == case.status
    elif case.run == "side":
        count = 4  # "Plan the trip" has 13 bytes
        for key, value in said.items():
            wanted: dict[str, Any] = {"count": count, "moderation": False}
            names = ["models/model-1", "models/model-2"] if key.startswith("google") else ["model-1", "model-2"]
            wanted |= {"models": names, "model": names[0]}
            assert value == wanted[key.split()[1]], key
    elif case.run == "turns":
        assert (said["text"], said["steps"]) == ("Done.", 2)
        assert said["calls"] == [["plan", OSLO], ["plan", BERGEN]]
        assert (said["usage"]["inputTokens"], said["usage"]["outputTokens"]) == (240, 60)
        before, after = mine.asked[case.name]
        assert (before.turn, after.turn) == (0, 2)
        told = ["Let me look.", 'plan {"city":"Oslo","days":3}', 'plan {"city":"Bergen","days":2}']
        assert after.text == "\n".join([before.text, *told, "Oslo is free", "Bergen is free"])
    elif case.reply in ("float", "base64"):
        assert said["lengths"] == [1536, 1536]
        assert said["same"]
        assert said["differ"]
        assert set(said["usage"].values()) == {7}
    else:
        compare(case, said)


def compare(case: Case, said: dict[str, Any]) -> None:
    least = {"city": "text", "days": 1 if case.run == "ai/google" else 2}
    if case.reply == "schema":
        assert said["text"] == least
    elif case.reply == "forced":
        assert said["calls"] == [["plan", least]]
    else:
        meant = REPLIES[case.reply]
        assert (said["text"] or "") == meant.text
        assert said["calls"] == [[call.name, call.arguments] for call in meant.calls]
        assert said["reason"] == REASONS[case.run][2 if meant.truncated else 1 if meant.calls else 0]
    usage = None if case.stream == "silent" else USAGES[case.usage]
    if usage is None:
        assert not said["usage"]
        return
    assert {key: value for key, value in said["usage"].items() if value} == usage_of(case, usage)


@pytest.mark.parametrize("where", ["python", "node"])
def test_what_the_clients_ask_for_is_understood(where: str) -> None:
    """No request of any client was unknown, and one conversation counts the same, whoever sends it."""
    mine = ran(where)
    if mine.missing:
        pytest.skip(mine.missing)
    assert mine.unknown == []
    counts = {
        input_tokens(asked)
        for case in CASES
        if case.where == where and case.reply == "text"
        for asked in mine.asked[case.name]
    }
    assert counts == {4}
