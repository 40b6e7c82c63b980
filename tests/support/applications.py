"""Applications under ``capsound wire``, run from a test in this process."""

from __future__ import annotations

from collections.abc import Sequence

from capsound.guarantees import LADDER
from capsound_checker.wire.checking import check, replay
from capsound_checker.wire.judge import Judged
from capsound_checker.wire.money import parse_cap
from capsound_checker.wire.running import Limits
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.setting import Setting
from capsound_checker.wire.verdicts import Wired

PLAIN = Schedule()
LIMITS = Limits()


def run_once(command: Sequence[str], cap: str, schedule: Schedule = PLAIN, limits: Limits = LIMITS) -> Judged:
    """Run an application once, under a cap of tokens or requests."""
    return replay(Setting(tuple(command), parse_cap(cap), limits=limits), schedule).runs[0]


def searched(command: Sequence[str], cap: str, runs: int, limits: Limits = LIMITS) -> Wired:
    """Search an application for a schedule that breaks its cap."""
    return check(Setting(tuple(command), parse_cap(cap), limits=limits, runs=runs))


def kept(wired: Wired) -> list[str]:
    """Return the guarantees that are kept."""
    return [rung.guarantee.label for rung in LADDER[1:] if wired.state(rung.guarantee)[0] == "kept"]
