"""Logs that programs really write, recognised without a word, against the bills that the provider counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LOGS = Path(__file__).parents[1] / "support" / "logs"
CASES = Path(__file__).parents[1] / "cases" / "reports"
SPANS = Path(__file__).parents[1] / "support" / "spans"

USD = 10**12

TOKENS = [
    ("claude-code/plain/main.jsonl", "claude-code", 6_205, 6_205),
    ("claude-code/tool/main.jsonl", "claude-code", 12_412, 12_412),
    ("claude-code/fork/main.jsonl", "claude-code", 18_617, 18_617),
    ("claude-code/retry500/main.jsonl", "claude-code", 12_418, 12_418),
    ("claude-code/agent", "claude-code", 68_365, 68_365),
    ("claude-code/cut/main.jsonl", "claude-code", 6_005, None),  # 6,024 were billed: 20 of output, of which it tells 1
    ("claude-code-otel/plain.jsonl", "claude-code-otel", 6_205, 6_205),
    ("claude-code-otel/tool.jsonl", "claude-code-otel", 12_412, 12_412),
    ("claude-code-otel/fork.jsonl", "claude-code-otel", 6_205, 6_205),
    ("claude-code-otel/retry500.jsonl", "claude-code-otel", 12_418, 12_418),
    ("claude-code-otel/agent.jsonl", "claude-code-otel", 68_365, 68_365),
    ("claude-code-otel/cut.jsonl", "claude-code-otel", 6_005, None),
    ("langfuse/page.json", "langfuse", 2_200, 2_200),
    ("langfuse/with-an-error.jsonl", "langfuse", 2_200, None),
    ("openai/usage-page.json", "openai-usage", 3_947_000, 3_947_000),
    ("openai/usage-export.json", "openai-usage", 3_947_000, 3_947_000),
    ("calls/calls.jsonl", "calls", 1_570, 2_070),
]
"""Each log, the mapping that it is recognised as, and both ends of its bill in tokens: None is no upper end."""

DOLLARS = [
    ("claude-code/tool/main.jsonl", ["--prices"], "0.0165639"),
    ("claude-code/agent", ["--prices"], "0.0918588"),
    ("claude-code-otel/agent.jsonl", ["--prices"], "0.0918588"),
    ("claude-code-otel/agent.jsonl", ["--price", "other=1/1"], "0.0918588"),
    ("claude-code/plain/main.jsonl", ["--price", "claude-sonnet-4-5=3/15/0.30/3.75"], "0.0082743"),
    ("litellm/rows.jsonl", ["--price", "my-own-model=1/2"], "0.0042412"),
    ("litellm/rows.jsonl", ["--prices", "--price", "my-own-model=1/2"], "0.0042412"),
    ("langfuse/page.json", ["--prices"], "0.003667"),
    ("openai/costs.json", [], "1.26"),
    ("calls/calls.jsonl", ["--prices"], "0.002792"),
]
"""Logs in dollars: those of Claude Code are what it says itself (`total_cost_usd`), those of LiteLLM its `spend`."""


def told(ran: Any) -> dict[str, Any]:
    assert ran.status in (0, 1, 2), ran.err
    data: dict[str, Any] = json.loads(ran.out)
    return data


@pytest.mark.parametrize(("log", "mapping", "low", "high"), TOKENS, ids=[case[0] for case in TOKENS])
def test_a_log_is_recognised_and_tells_its_bill(
    capsound: Callable[..., Any], log: str, mapping: str, low: int, high: int | None
) -> None:
    def audited(cap: int) -> dict[str, Any]:
        return told(capsound("audit", str(LOGS / log), "--cap", str(cap), "--json", "--assume", "A10"))

    data = audited(2 * low - 1 if high is None else low)
    root = max(data["roots"], key=lambda root: root["billed"])
    if mapping != "openai-usage":
        assert (root["billed"], root["billed_at_most"]) == (low, high)
    assert sum(root["billed"] for root in data["roots"]) == low
    assert any(note.startswith(f"recognised as {mapping} by ") for note in data["notes"])
    assert data["verdict"] == ("sound" if low == high and "openai" not in log else "unknown")
    assert audited(low - 1)["verdict"] == "violated"
    assert low == high or audited(low)["verdict"] != "sound"


@pytest.mark.parametrize(("log", "options", "dollars"), DOLLARS, ids=[f"{case[0]} {case[1]}" for case in DOLLARS])
def test_a_log_in_dollars_is_exact(capsound: Callable[..., Any], log: str, options: list[str], dollars: str) -> None:
    if "--prices" in options:
        pytest.importorskip("genai_prices")
    ran = capsound("audit", str(LOGS / log), "--cap", f"${dollars}", *options, "--json")
    data = told(ran)
    whole, _, part = dollars.partition(".")
    (root,) = data["roots"]
    assert (data["unit"], root["billed"]) == ("pico-USD", int(whole) * USD + int(f"{part:0<12}"))
    text = capsound("audit", str(LOGS / log), "--cap", f"${dollars}", *options).out
    assert f"root: cap ${dollars}, billed ${dollars}" in text
    assert all("price" not in option or "priced by: price" in text for option in options)


def test_without_a_price_there_is_a_doubt_and_no_zero(capsound: Callable[..., Any]) -> None:
    data = told(capsound("audit", str(LOGS / "litellm/rows.jsonl"), "--cap", "10usd", "--json"))
    (root,) = data["roots"]
    assert (data["verdict"], root["billed_at_most"], root["unknown_calls"]) == ("unknown", None, 2)
    assert {w["name"] for w in data["warnings"]} == {"unpriced", "retries"}
    assert any("no price is given for my-own-model" in doubt for doubt in data["doubts"])


@pytest.mark.parametrize(
    ("name", "mapping", "billed"),
    [
        ("b1-claude-code-session/session.jsonl", "claude-code", 96_545),
        ("b2-litellm-spend-logs/as-served.json", "litellm", 377 * 10**6),
        ("b2-litellm-spend-logs/rows.jsonl", "litellm", 377 * 10**6),
        ("b3-otlp-genai/exported-twice.jsonl", "otel-genai", 700),
        ("b7-copilot-otel-file/spans.jsonl", "otel-genai", 71_700),
    ],
)
def test_public_cases_are_not_counted_twice(capsound: Callable[..., Any], name: str, mapping: str, billed: int) -> None:
    cap = "$5" if mapping == "litellm" else str(2 * billed)
    data = told(capsound("audit", str(CASES / name), "--cap", cap, "--json"))
    assert any(f"recognised as {mapping}" in note for note in data["notes"])
    assert [root["billed"] for root in data["roots"]] == [billed]


def test_every_span_file_is_recognised(capsound: Callable[..., Any]) -> None:
    for path in sorted(SPANS.glob("recorded.*.jsonl")):
        ran = capsound("audit", str(path), "--cap", "1000000", "--json")
        assert ran.status == 65 or "recognised as otel-genai" in json.loads(ran.out)["notes"][0], path.name


def test_a_log_that_fits_two_mappings_names_both(capsound: Callable[..., Any], tmp_path: Path) -> None:
    both = tmp_path / "both.jsonl"
    both.write_text((LOGS / "claude-code/plain/main.jsonl").read_text() + (LOGS / "litellm/rows.jsonl").read_text())
    ran = capsound("audit", str(both), "--cap", "100")
    assert ran.status == 65
    assert "several mappings fit: claude-code (2 of 12 records), litellm (5 of 12 records)" in ran.err
    assert "--mapping" in ran.err


def test_a_log_that_fits_none_is_no_guess(capsound: Callable[..., Any], tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"usage": {"tokens": 5}}\n' * 3)
    ran = capsound("audit", str(other), "--cap", "100")
    assert ran.status == 65
    assert "otel-genai" in ran.err


def test_what_comes_later_and_is_of_another_kind_is_a_doubt(capsound: Callable[..., Any], tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.jsonl"
    mine = json.dumps({"llm_call": "{n}", "input_tokens": 1, "output_tokens": 1, "began": 1, "ended": 2})
    mixed.write_text(
        "".join(mine.replace("{n}", str(n)) + "\n" for n in range(300)) + (LOGS / "litellm/rows.jsonl").read_text()
    )
    data = told(capsound("audit", str(mixed), "--cap", "1000", "--json"))
    assert data["verdict"] == "unknown"
    assert "left-out" in {w["name"] for w in data["warnings"]}
