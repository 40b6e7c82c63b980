"""What soundness costs by ``capsound ratio``, beside which the precision of targets is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from capsound.verdict import Verdict
from capsound_checker.costs.ratio import run_lab

WORKLOAD, CAP = "gen:chat", 100_000
"""A workload of every-day calls, and a cap under which some twenty of two hundred fit."""

STRATEGIES = ("history", "stream", "quantile")
"""A hold that is proved, one that is proved and grows with the answer, and one that is refuted."""


def price(tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Return how much of the cap strategies use, in per mille of what an oracle does, and whether they are proved."""
    lab = run_lab(WORKLOAD, STRATEGIES, cap=CAP, resamples=0, tell=tell)
    return {
        "command": f"capsound ratio {WORKLOAD} --cap {CAP} {' '.join(f'--strategy {name}' for name in STRATEGIES)}",
        "strategies": [
            {
                "name": figures.strategy,
                "proved": proved and verdict.verdict is Verdict.SOUND,
                "used_per_mille": int((figures.used.value or 0) * 1_000),
            }
            for figures, verdict, proved in zip(lab.figures, lab.verdicts, lab.proved, strict=True)
        ],
    }
