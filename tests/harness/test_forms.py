"""The adapter forms of ``capsound new adapter``: each works as it stands, and is judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("one_nursery")

FORMS = {
    "reserve": ("sound", "overrun-bounded", set[str]()),
    "charge": ("sound", "overrun-bounded", set[str]()),
    "check": ("violated", "sequential", {"stale-admit", "overshoot"}),
    "record": ("violated", "none", {"no-stop", "over-admit"}),
    "call": ("sound", "overrun-bounded", set[str]()),
}
"""By gate: the verdict, the strongest guarantee, and anomalies that say why."""


@pytest.mark.parametrize("more", [(), ("--async",)])
@pytest.mark.parametrize("gate", FORMS)
def test_each_form_works_and_gets_a_verdict(gate: str, more: tuple[str, ...], capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    assert capsound("new", "adapter", path, "--gate", gate, *more).status == 0
    assert ("async def" in path.read_text(encoding="utf-8")) is (bool(more) or gate == "call")
    smoked = capsound("smoke", f"{path}:MyBudget", "--json")
    told = json.loads(smoked.out)
    assert (smoked.status, told["gate"], told["trouble"]) == (0, gate, [])
    ran = capsound("check", f"{path}:MyBudget", "--programs", 10, "--schedules", 60, "--budget", "60m", "--json")
    told = json.loads(ran.out)
    verdict, strongest, anomalies = FORMS[gate]
    assert (told["verdict"], told["strongest"]) == (verdict, strongest), ran.out
    assert anomalies <= {found["anomaly"] for found in told["found"]}
    assert told["adapter"]["waits"] is (bool(more) or gate == "call")
    assert ran.status == (verdict != "sound")


@pytest.mark.parametrize("what", ["scenario", "app"])
def test_a_gate_belongs_to_an_adapter(what: str, capsound: Runs) -> None:
    for more in (("--gate", "call"), ("--async",)):
        ran = capsound("new", what, *more)
        assert ran.status == 64
        assert "are for an adapter" in ran.err
