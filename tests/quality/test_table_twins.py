"""Every way of using a shared counter that goes wrong has a twin that does not: both are written as tables, and judged."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES
from capsound.loading import parse_scenario
from capsound.verdict import Verdict
from capsound_proofs.solve import solve

HANDLED = 'before-send = ["release"]\nafter-send = ["forfeit"]\n'
TAIL = '["send"], ["settle"]]\n' + HANDLED
SLOTS = 'slots = 1\nblocks = [["enter"], ["check"], ["send"], ["debit", "leave"]]\n'

PAIRS = {
    "add, look and never take back": (
        f'blocks = [["add"], ["look"], {TAIL}',
        f'blocks = [["add"], ["look"], {TAIL}on-refuse = ["take-back"]\n',
        ("vanished",),
    ),
    "a read that is old when it is used": (
        f'blocks = [["see"], ["check-seen", "reserve"], {TAIL}',
        f'blocks = [["see"], ["unchanged", "check-seen", "reserve"], {TAIL}',
        ("stale-admit", "overshoot"),
    ),
    "a slot that a refused call keeps": (SLOTS, SLOTS + 'on-refuse = ["leave"]\n', ("hang",)),
    "two slots in place of one": (
        SLOTS.replace("slots = 1", "slots = 2") + 'on-refuse = ["leave"]\n',
        SLOTS + 'on-refuse = ["leave"]\n',
        ("stale-admit", "overshoot"),
    ),
    "a store that fails open": (
        f'blocks = [["check-or-admit", "reserve"], {TAIL}',
        f'blocks = [["check-or-refuse", "reserve"], {TAIL}',
        ("stale-admit", "overshoot"),
    ),
    "one check for a turn of two calls": (
        f'turn = 2\nblocks = [["check", "reserve"], {TAIL}',
        f'blocks = [["check", "reserve"], {TAIL}',
        ("overshoot",),
    ),
    "a hold that is forgotten": (
        f'blocks = [["check", "reserve"], {TAIL.replace("release", "forget")}',
        f'blocks = [["check", "reserve"], {TAIL}',
        ("vanished",),
    ),
}


def judged(table: str) -> tuple[Verdict, tuple[str, ...]]:
    text = (
        f"cap = 100\n[discipline]\n{table}[[agents]]\ncount = 3\ncalls = {2 if 'turn' in table else 1}\n"
        "[[calls]]\nestimate = 60\nbill = 60\n[faults]\ncancel = 1\n"
    )
    if "debit" in table:
        text = text.partition("[faults]")[0]
    outcome = solve(parse_scenario(text, known_disciplines=DISCIPLINES))
    return outcome.verdict, outcome.anomalies


@pytest.mark.parametrize("name", PAIRS)
def test_the_fault_is_found_and_its_twin_is_proved(name: str) -> None:
    faulty, sound, anomalies = PAIRS[name]
    verdict, found = judged(faulty)
    assert verdict is Verdict.VIOLATED
    assert set(anomalies) <= set(found)
    assert judged(sound)[0] is Verdict.SOUND
