"""A log that is only a sample: with what was dropped unknown, there is no ``sound``."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Sequence

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping
from capsound_checker.audit.sampled import LEAST, Traces, told
from capsound_checker.audit.teams import audit_by

OTEL = load_mapping("otel-genai")

# What samplers of one in ten have left: opentelemetry-sdk 1.45.2 (PyPI), @opentelemetry/sdk-trace-node 2.12.1 and
# @opentelemetry/sampler-composite 0.223.0 (npm), each asked for 3,000 traces; the first 24.
KEPT = {
    "python": [
        "e49f324f80f4b99108c40d1998637fb1",
        "9b1caed86d185c6d12b38b1a0d41f063",
        "4f19db19c11cd1b7050f38b38fc68ec4",
        "8363c8e1594cac9d0444cd5ca8de8d30",
        "97da180abe409747094444026c30a42a",
        "c40e16f8d8911dea0718d12430c7e0ca",
        "61f81f60ded493b81316d409c5cca1bd",
        "e07b91b639d7ccfd0feb8e75489570e4",
        "3f70d91be99bf894009026dfdded218c",
        "858c0d98a66eace8023621bc3f979846",
        "fec3567077ea25580a3b7ea1fcafc7a1",
        "83b707570cbd50dd0dcca2667c19dcfc",
        "e4f28ea341688b560a08537b32311af8",
        "7b84330d17dd574b033092b4f947b431",
        "b670387972430b890d2f377a6577d36b",
        "b464a53acb26657f0a2c08e376dd0f03",
        "4ba23bb54c1872f50d32ff7884ab5e73",
        "e9da4b745f84102200a178ff2f1698c7",
        "a4af79bc5a889ab106ad36c954bdeac2",
        "1f0be4cb7ab31fc516f3f63965da3454",
        "5db4f2a10afac5210e6c2ebb56bad413",
        "1efbb6063e669b51136b505b35852362",
        "28493181b6d7878400cf58d2885bf41c",
        "845a8101245d027d18fd4f6732352504",
    ],
    "javascript": [
        "8008aef0d1de257f097910b15ecad10c",
        "84c8b44ad4423aa8fcf45f58bc1af929",
        "f5891b9c644ac90d8a2d4a370ede51c1",
        "d649cfc98385c69119fbba98452c3dbe",
        "01fb89f54d97b69e42826c1d02cb0c1b",
        "a412c620330a2ccc8850ae3e1f8bc949",
        "517ce31ca861a94136d2ef9fcb0448ab",
        "3b9f3f26da7a68a0007635c3e55bd07e",
        "25b02e9c65718377585e3e3100f5927b",
        "bc2cd4398f5e65c0e6894fabdd366769",
        "0bb3a36122e57704afb4d50d97042434",
        "0b6e0a6077706239e2d9873d926d8c0f",
        "5232ddd1d5156f79fdc7e0f577826abe",
        "1e580eba347574b2139630733035a62f",
        "142c33ac2cb9909881abd572af59ea04",
        "de0b328378faa7e70d4f3b57a7229da5",
        "58948e5858cd504602f1020517eb889b",
        "99e09a730ae0413aab8e267135549f28",
        "8d2b6997bf99761ca14aad27946c0f15",
        "d02746d21666c52d0e52f590c049f1b0",
        "bf86725a4d36b9750448dbedf04b3b72",
        "b9dd083f0e3abba8daecaeda6d11db73",
        "5ba5137ab543d6330c9121c4f5930298",
        "6083417ffd65d09b52a9f59edaa3feea",
    ],
    "consistent": [
        "5103bef1c6aba88f4ae6a7bae56e94d2",
        "0e8058d3f6b786a582fe7cf5365c5684",
        "5926e14ee62d6c1071e75f9df7a11cc0",
        "9813b582676a241943faccb984f40558",
        "b39d3911c0d6798068fdae3716c45d7d",
        "90503379a864a34d74f9ae99845346b1",
        "518f1163f7f8175aa6fbfa0133da20c5",
        "927faefba344641ffffa459d5ffa7c06",
        "748e4bc5755565e3ecebadda0cf8332a",
        "aebbeee1e2397a56d4f5ef304e90caf0",
        "896094df881be47e02fdf1ac8923a236",
        "8eac430e129aff1745e899b3f7c24541",
        "3b0ba661b47f59f374f05df72fc067de",
        "d3b55dc0596b31dcebf4f2c2eb2f06b3",
        "4811cf0929f32c6b8ffc99dcb382b82b",
        "004f3c7d1cf8060869f41dff2312ad3d",
        "19b1e4b1656c451853fe325efb58c79b",
        "34fa27fe7ab169e839eb8aef0494de8f",
        "4cee4f97a74a911704fbaddee2149a83",
        "b1ffcaea9995674715fca8658356cd67",
        "582ee235870398cd7be9e5490a4aaded",
        "89fbe9f2fa0ed6b1d2ec0f42160dc87d",
        "0b32e0751d80ec0532ff8048b14e593c",
        "6c31acd3a5cbff9395e8e0b8aff8133f",
    ],
}


def log(traces: Sequence[str], **more: str) -> list[str]:
    """Return a span of a call of 150 tokens for each trace."""
    usage = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50, "http.request.resend_count": 0}
    attributes = [{"key": key, "value": {"intValue": str(value)}} for key, value in usage.items()]
    attributes.append({"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}})
    time = 1_700_000_000_000_000_000
    return [
        json.dumps(
            {
                "traceId": trace,
                "spanId": f"{number:016x}",
                "startTimeUnixNano": str(time + 10 * number),
                "endTimeUnixNano": str(time + 10 * number + 5),
                "attributes": attributes,
                **more,
            }
        )
        + "\n"
        for number, trace in enumerate(traces)
    ]


def judged(lines: Sequence[str]) -> Audit:
    return audit(lines, mapping=OTEL, cap=200 * len(lines), assume=frozenset({"A10"}))


def drawn(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    return [f"{chance.getrandbits(128):032x}" for _ in range(count)]


def warned(found: Audit) -> dict[str, int]:
    return {w.name: w.count for w in found.warnings}


@pytest.mark.parametrize("sampler", KEPT)
def test_what_a_sampler_left_is_no_witness(sampler: str) -> None:
    found = judged(log(KEPT[sampler]))
    assert (found.verdict, warned(found)) == (Verdict.UNKNOWN, {"chosen": 1})
    assert "all 24 lie in 0." in found.warnings[0].detail


def test_all_traces_are_one() -> None:
    found = judged(log(drawn(24)))
    assert (found.verdict, warned(found)) == (Verdict.SOUND, {})


@pytest.mark.parametrize("sampler", KEPT)
def test_a_sample_is_found_by_the_least_number_of_traces(sampler: str) -> None:
    for count, chosen in ((LEAST - 1, False), (LEAST, True)):
        traces = Traces()
        for trace in KEPT[sampler][:count]:
            traces.add(trace)
        assert bool(traces.chosen()) is chosen


def test_half_of_the_traces_is_found_when_there_are_enough() -> None:
    chance = random.Random(1)
    traces = Traces()
    kept = 0
    while not traces.chosen():
        number = chance.getrandbits(128)
        if number % 2**64 < 2**63:
            traces.add(f"{number:032x}")
            kept += 1
    assert 28 <= kept <= 40


@pytest.mark.parametrize("seed", range(200))
def test_what_was_drawn_by_lot_is_not_accused(seed: int) -> None:
    traces = Traces()
    for trace in drawn(300, seed):
        traces.add(trace)
        assert len(traces.seen) % 16 or traces.chosen() == ""


@pytest.mark.parametrize(
    "written",
    [
        [uuid.UUID(int=random.Random(n).getrandbits(128), version=4).hex for n in range(300)],
        [f"{random.Random(n).getrandbits(63):032x}" for n in range(300)],
        [f"{n:032x}" for n in range(300)],
        [f"{n:016x}{n:016x}" for n in range(300)],
        [f"trace-{n}" for n in range(300)],
        ["0af7651916cd43dd8448eb211c80319c"] * 300,
    ],
    ids=["UUIDs", "63 bits", "numbers", "numbers twice", "names", "one"],
)
def test_identifiers_that_no_sampler_looked_at_are_not_accused(written: list[str]) -> None:
    traces = Traces()
    for trace in written:
        traces.add(trace)
    assert traces.chosen() == ""


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("ot=th:e6666666666666", "th:e6666666666666 in 'traceState'"),
        ("vendor=1,ot=rv:12345678901234;th:8", "th:8 in 'traceState'"),
        ("ot=th:0", ""),
        ("ot=rv:12345678901234", ""),
        ("other=th:8", ""),
        ("", ""),
    ],
)
def test_the_state_of_a_trace_tells_of_a_sampler(state: str, said: str) -> None:
    assert told({"traceState": state}) == said


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("more", [{}, {"traceState": "ot=th:8"}])
def test_a_record_that_tells_of_a_sampler_is_a_doubt(more: dict[str, str], workers: int) -> None:
    lines = log(drawn(300), **more)
    asked = Asked("log", 60_000, assume=frozenset({"A10"}))
    found = audit_by(iter(lines), asked, OTEL, workers=workers)
    assert warned(found) == ({"sampled": 300} if more else {})
    assert found.verdict is (Verdict.UNKNOWN if more else Verdict.SOUND)
