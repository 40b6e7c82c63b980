"""What Langfuse and OpenAI export, by the field names of their clients and servers; and who hides that a request was sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping
from capsound_checker.audit.money import in_money

A10 = frozenset({"A10"})
BEGIN = 1_767_225_600


def judged(records: list[dict[str, Any]], mapping: str, cap: int, assume: frozenset[str] = A10) -> Audit:
    lines = [json.dumps(record) + "\n" for record in records]
    return audit(lines, mapping=in_money(load_mapping(mapping), [], table=False), cap=cap, assume=assume)


def warned(told: Audit) -> dict[str, int]:
    return {w.name: w.count for w in told.warnings}


# ------------------------------------------------------------------------------------------- Langfuse


def generation(n: int = 0, usage: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": f"g{n}",
        "traceId": "t",
        "type": "GENERATION",
        "startTime": f"2026-11-20T09:00:{n:02}Z",
        "endTime": f"2026-11-20T09:01:{n:02}Z",
        "model": "gpt-4o",
        "usageDetails": usage or {},
        **more,
    }


def beside(used: int, got: int, inputs: dict[str, int], outputs: dict[str, int]) -> dict[str, int]:
    """Return usage as Langfuse keeps it: each detail under a name of its own, and taken out of the input or output."""
    told = {"input": used - sum(inputs.values()), "output": got - sum(outputs.values()), "total": used + got}
    return told | {f"input_{k}": v for k, v in inputs.items()} | {f"output_{k}": v for k, v in outputs.items()}


@pytest.mark.parametrize(
    "usage",
    [
        beside(1000, 50, {"cached_tokens": 800}, {"reasoning_tokens": 20}),
        beside(1000, 50, {"cached_tokens": 300, "cache_write_tokens": 400, "audio_tokens": 200}, {"audio_tokens": 30}),
        beside(1000, 50, {}, {"accepted_prediction_tokens": 10, "rejected_prediction_tokens": 25}),
        beside(1000, 50, {"cache_read": 800, "cache_creation": 100}, {"reasoning": 40, "audio": 5}),
        beside(1000, 50, {"modality_TEXT": 700, "modality_AUDIO": 300}, {"modality_text": 50}),
        {"input": 100, "output": 50, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 100, "total": 1050},
        {"input": 200, "output": 50, "cached_modality_TEXT": 800, "total": 1050},
    ],
    ids=["openai", "openai-audio", "openai-predictions", "langchain", "vertex", "anthropic", "vertex-cached"],
)
def test_usage_is_told_exactly_by_every_name_that_langfuse_gives_it(usage: dict[str, int]) -> None:
    told = judged([generation(usage=usage)], "langfuse", 1050)
    assert (told.verdict, told.roots[0].billed, told.roots[0].at_most) == (Verdict.SOUND, 1050, 1050)


@pytest.mark.parametrize(
    "name", ["input_audio_tokens", "output_audio", "input_modality_AUDIO", "cached_modality_audio"]
)
def test_audio_is_not_priced_as_text(name: str) -> None:
    def in_dollars(**usage: int) -> Audit:
        mapping = in_money(load_mapping("langfuse"), [], table=True)
        line = json.dumps(generation(usage={"input": 700, "output": 50, **usage})) + "\n"
        return audit([line], mapping=mapping, cap=10**15, assume=A10)

    text, sound = in_dollars(**{name: 0}), in_dollars(**{name: 300})
    assert text.roots[0].billed > 0
    assert "unpriced" not in warned(text)
    assert warned(sound)["unpriced"] == 1
    assert (sound.roots[0].billed, sound.roots[0].at_most) == (0, None)
    assert sound.verdict is Verdict.UNKNOWN
    assert any("audio has a price of its own" in doubt for doubt in sound.doubts)


def test_a_name_that_is_not_known_is_a_doubt() -> None:
    told = judged([generation(usage=beside(1000, 50, {"of_another_kind": 600}, {}))], "langfuse", 1050)
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"contradiction": 1})


@pytest.mark.parametrize("unit", ["CHARACTERS", "SECONDS", "IMAGES"])
def test_what_is_not_counted_in_tokens_is_no_number_of_tokens(unit: str) -> None:
    odd = {**generation(1), "usage": {"input": 9, "output": 9, "total": 18, "unit": unit}}
    told = judged([generation(usage={"input": 900, "output": 100, "total": 1000}), odd], "langfuse", 1000)
    assert (told.verdict, told.roots[0].billed, warned(told)) == (Verdict.UNKNOWN, 1000, {"left-out": 1})


def test_old_names_of_usage_are_read() -> None:
    told = judged([generation(usage={"promptTokens": 1000, "completionTokens": 50})], "langfuse", 1050)
    assert told.roots[0].billed == 0, "they are not names of `usageDetails`"
    old = {**generation(), "usage": {"input": 1000, "output": 50, "total": 1050, "unit": "TOKENS"}}
    assert judged([old], "langfuse", 1050).verdict is Verdict.SOUND


# --------------------------------------------------------------------------------------------- OpenAI


def bucket(*results: dict[str, Any]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": BEGIN, "end_time": BEGIN + 86400, "results": list(results)}


def used(**more: Any) -> dict[str, Any]:
    row = {"object": "organization.usage.completions.result", "input_tokens": 900, "output_tokens": 100}
    return {**row, "num_model_requests": 3, "model": "gpt-4o", **more}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"batch": True}, {"batch": False}),
        ({"api_source": "agents_api"}, {"api_source": "unlabeled"}),
        ({"service_tier": "flex"}, {"service_tier": "default"}),
        ({"user_id": "u1"}, {"user_id": "u2"}),
    ],
)
def test_rows_that_were_grouped_apart_are_two_also_where_their_numbers_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    told = judged([bucket(used(**one), used(**other))], "openai-usage", 10_000)
    assert (told.roots[0].billed, warned(told)) == (2000, {})
    again = judged([bucket(used(**one)), bucket(used(**one))], "openai-usage", 10_000)
    assert (again.roots[0].billed, warned(again)) == (1000, {"repeated": 1})


def test_input_contains_what_was_written_to_a_cache() -> None:
    row = used(input_cached_tokens=300, input_cache_write_tokens=200, input_uncached_tokens=400, input_audio_tokens=50)
    assert judged([bucket(row)], "openai-usage", 1000).roots[0].billed == 1000


def test_batches_have_the_price_of_batches() -> None:
    pytest.importorskip("genai_prices")
    mapping = in_money(load_mapping("openai-usage"), [], table=True)
    late = {"start_time": 1_795_000_000}
    rows = [json.dumps({**bucket(used(batch=batch, model="gpt-5")), **late}) + "\n" for batch in (True, False)]
    batch, plain = (audit([row], mapping=mapping, cap=10**13).roots[0].billed for row in rows)
    assert 2 * batch == plain


def test_costs_that_were_grouped_apart_are_two() -> None:
    cost = {"object": "organization.costs.result", "amount": {"value": 1.5, "currency": "usd"}}
    rows = [{**cost, "user_id": user, "api_key_id": key} for user in ("u1", "u2") for key in ("k1", "k2")]
    told = judged([bucket(*rows)], "openai-costs", 10**14)
    assert (told.roots[0].billed, warned(told)) == (6 * 10**12, {})


# ------------------------------------------------------------------------------- who hides what is resent


def span(own: str, parent: str, scope: str, end: int, **attributes: Any) -> dict[str, Any]:
    values = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50}
    values |= {key.replace("__", "."): value for key, value in attributes.items()}
    one = {
        "traceId": "t",
        "spanId": own,
        "parentSpanId": parent,
        "startTimeUnixNano": str(BEGIN * 10**9),
        "endTimeUnixNano": str(BEGIN * 10**9 + end),
        "attributes": [
            {"key": k, "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
            for k, v in values.items()
        ],
    }
    return {"scope": {"name": scope}, "spans": [one]}


HIDES, TELLS = "opentelemetry.instrumentation.genai.anthropic", "com.anthropic.sdk.python"


def exported(*scopes: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": list(scopes)}]}


@pytest.mark.parametrize("turned", [False, True])
def test_a_client_that_tells_of_it_counts_wherever_its_span_stands(turned: bool) -> None:
    """An exporter groups spans by who wrote them, in any order: the one of the client is inside, and ended first."""
    pair = [span("in", "out", TELLS, 5), span("out", "", HIDES, 9)]
    told = judged([exported(*(pair[::-1] if turned else pair))], "otel-genai", 150, frozenset())
    assert (told.verdict, warned(told)) == (Verdict.SOUND, {"repeated": 1})


@pytest.mark.parametrize("assume", [frozenset(), A10])
def test_what_a_second_account_knows_of_a_call_is_not_lost(assume: frozenset[str]) -> None:
    """The span of the client comes later, in an export of its own: it says that the request was sent three times."""
    records = [
        exported(span("out", "", HIDES, 9)),
        exported(span("in", "out", TELLS, 5, http__request__resend_count=2)),
    ]
    told = judged(records, "otel-genai", 150, assume)
    assert told.verdict is Verdict.UNKNOWN
    assert any("sent the request again" in doubt for doubt in told.doubts)


def test_the_doubt_names_who_hides_it_and_what_to_do() -> None:
    told = judged([exported(span("a", "", "openinference.instrumentation.openai", 5))], "otel-genai", 150, frozenset())
    (doubt,) = told.doubts
    assert "written by openinference.instrumentation.openai" in doubt
    assert "Set the retries of the client to 0" in doubt
    assert "--assume A10" in doubt


@pytest.mark.parametrize("scope", ["ai", TELLS, "some.instrumentation"])
def test_who_was_not_measured_to_hide_it_is_not_doubted(scope: str) -> None:
    told = judged([exported(span("a", "", scope, 5))], "otel-genai", 150, frozenset())
    assert (told.verdict, warned(told)) == (Verdict.SOUND, {})


def row(**more: Any) -> dict[str, Any]:
    told = {"request_id": "r1", "call_type": "acompletion", "startTime": "2026-11-28T16:45:26Z", "spend": 0.003}
    times = {"endTime": "2026-11-28T16:45:27Z", "status": "success", "model": "gpt-4o", "cache_hit": "False"}
    return {**told, **times, "prompt_tokens": 100, "completion_tokens": 50, **more}


def test_a_row_of_litellm_hides_what_its_proxy_sent_again() -> None:
    """Measured: of two failures that were billed and an answer, one row tells the answer."""
    told = judged([row()], "litellm", 3 * 10**9, frozenset())
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"retries": 1})
    assert "written by LiteLLM" in told.doubts[0]
    assert judged([row()], "litellm", 3 * 10**9).verdict is Verdict.SOUND
    cached = row(request_id="r2", cache_hit="True", spend=0)
    assert warned(judged([row(), cached], "litellm", 3 * 10**9, frozenset())) == {"retries": 1}


def test_a_generation_of_langfuse_hides_it_too() -> None:
    """Measured with langfuse 5.0.4 around openai 3.57.0: three requests, of which two failed, are one generation."""
    usage = {"input": 100, "output": 50, "total": 150}
    told = judged([generation(usage=usage)], "langfuse", 150, frozenset())
    assert (told.verdict, warned(told)) == (Verdict.UNKNOWN, {"retries": 1})
