"""The fast way through a log says what the readable one says: the same report, or the same error at the same line."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from long_logs import log

from capsound.errors import CapsoundError
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.capsfile import read_caps

pytest.importorskip("msgspec")

SEEDS = st.integers(0, 1 << 48)


def told(lines: list[str], **how: Any) -> object:
    """Return everything that an audit says, also where it is an error."""
    try:
        return audit(iter(lines), **how).data()
    except CapsoundError as error:
        return str(error), error.hint


@given(
    SEEDS, st.sampled_from(["logged", "late", "settled"]), st.sampled_from([0.0, 0.02]), st.booleans(), st.booleans()
)
def test_both_ways_say_the_same(seed: int, bills: str, wrong: float, beside: bool, lenient: bool) -> None:
    rnd = Random(seed)
    lines = log(
        rnd, rnd.choice([12, 60, 300]), bills=bills, wrong=wrong, beside=beside, odd=rnd.choice([0.0, 0.02, 0.2])
    )
    how: dict[str, Any] = {
        "lenient": lenient,
        "memory": rnd.choice([1, 5, 10_000]),
        "cap": rnd.choice([None, None, 50]),
    }
    how["bills"] = rnd.choice(["auto", "auto", "logged", "settled"])
    fast, slow = told(lines, fast=True, **how), told(lines, fast=False, **how)
    event(f"ends with {'a report' if isinstance(slow, dict) else 'an error'}")
    assert fast == slow


CAPS = read_caps(
    {
        "cap": [
            {"limit": 30, "window": "day"},
            {"limit": "5 requests", "each": "agent"},
            {"limit": 20, "models": "small", "window": "sliding 24h"},
        ]
    },
    "caps.toml",
    "units",
)


@given(SEEDS, st.sampled_from(["logged", "late", "settled"]), st.booleans(), st.booleans(), st.booleans())
def test_both_ways_draw_and_cap_the_same(seed: int, bills: str, beside: bool, drawn: bool, capped: bool) -> None:
    rnd = Random(seed)
    lines = log(rnd, rnd.choice([12, 60, 300]), bills=bills, beside=beside, odd=rnd.choice([0.0, 0.02, 0.2]))
    how: dict[str, Any] = {"lenient": True, "memory": rnd.choice([5, 10_000]), "cap": rnd.choice([None, 50])}
    how |= {"drawn": drawn, "ceilings": CAPS if capped else ()}
    fast, slow = (audit(iter(lines), fast=fast, **how) for fast in (True, False))
    assert fast.data() == slow.data()
    assert fast.curves == slow.curves


@pytest.mark.parametrize("root", ["team", "other"])
def test_a_name_that_is_used_again_brings_no_model_with_it(root: str) -> None:
    calls = [
        ("team", "h", 10, {"model": "m"}),
        ("team", "i", 20, {"model": "n"}),
        ("team", "j", 1, {}),
        (root, "h", 5, {}),
    ]
    events: list[dict[str, Any]] = [{"event": "open", "root": name, "cap": 1000} for name in ("team", "other")]
    for account, hold, amount, beside in calls:
        events += [
            {"event": "reserve", "account": account, "hold": hold, "amount": amount, **beside},
            {"event": "send", "hold": hold, "call": f"{hold}{amount}"},
            {"event": "bill", "call": f"{hold}{amount}", "amount": amount},
            {"event": "settle", "hold": hold, "amount": amount},
        ]
    lines = [json.dumps(one) + "\n" for one in events]
    fast, slow = (audit(iter(lines), memory=1, fast=fast) for fast in (True, False))
    assert fast.data() == slow.data()
    models = next(share for share in slow.spent.shares if share.kind == "model")
    assert {part.name: part.amount for part in models.parts} == {"m": 10, "n": 20, None: 6}
