"""Tables of docs/wire-dialects.md: what is served, and which clients took it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from book import ROOT, fragment, table

from capsound_checker.wire.dialects.registry import DIALECTS

ACCEPTED = "2026-11-28"
"""When tests/contracts/test_clients.py last passed with these versions."""

SERVED = {
    "openai-chat": ("`POST .../chat/completions`", "with `stream_options.include_usage` only"),
    "openai-responses": ("`POST .../responses`", "in `response.completed`"),
    "openai-embeddings": ("`POST .../embeddings`", "no streams"),
    "anthropic-messages": ("`POST .../messages`", "input in `message_start`, output in `message_delta`"),
    "gemini": ("`POST .../models/NAME:generateContent`, `:streamGenerateContent`", "in each chunk, whole in the last"),
}
LIMITS = {
    "openai-chat": "`max_completion_tokens` or `max_tokens`, times `n`",
    "openai-responses": "`max_output_tokens`",
    "openai-embeddings": "0",
    "anthropic-messages": "`max_tokens`",
    "gemini": "`maxOutputTokens`, times `candidateCount`",
}
RUNS = {
    "openai": ("openai-chat", "openai-responses", "openai-embeddings"),
    "anthropic": ("anthropic",),
    "@anthropic-ai/sdk": ("anthropic",),
    "google-genai": ("google-genai",),
    "@google/genai": ("google-genai",),
    "ai": ("ai/openai", "ai/openai-chat", "ai/anthropic", "ai/google", "ai/embed"),
}


@fragment
def write_dialects(page: Path, argument: str) -> str:
    """What each dialect serves, its limit, and where its stream tells the usage."""
    del page, argument
    rows = [(f"`{d.name}`", SERVED[d.name][0], LIMITS[d.name], SERVED[d.name][1]) for d in DIALECTS]
    return table(("dialect", "request", "limit of the output", "usage in a stream"), rows)


@fragment
def write_clients(page: Path, argument: str) -> str:
    """Which clients took the answers, how many cases, and when."""
    del page, argument
    sys.path.insert(0, str(ROOT / "tests" / "contracts"))
    from test_clients import CASES

    clients = ROOT / "tests" / "support" / "clients"
    pins = [line.split("==") for line in (clients / "requirements.txt").read_text().splitlines() if "==" in line]
    npm = json.loads((clients / "package.json").read_text())["dependencies"]
    cases = Counter((case.where, case.on or case.run) for case in CASES)
    rows = []
    for where, versions in (("python", dict(pins)), ("node", npm)):
        for name, version in sorted(versions.items()):
            if name not in RUNS:
                continue
            mine = [run for run in RUNS[name] if (where, run) in cases]
            beside = {key: npm[key] for key in sorted(npm) if key.startswith("@ai-sdk/")} if name == "ai" else {}
            with_ = "".join(f", `{key}` {value}" for key, value in beside.items())
            count = sum(cases[where, run] for run in mine)
            place = "PyPI" if where == "python" else "npm"
            rows.append((f"`{name}` {version} ({place}){with_}", str(count), ACCEPTED))
    return table(("client", "cases", "accepted"), rows)
