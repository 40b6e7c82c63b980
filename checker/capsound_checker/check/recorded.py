"""The job that records real runs of several threads, for the process that judges to explain."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from capsound.adapter import Adapter, Gate
from capsound_checker.check.racing import opens
from capsound_checker.check.voice import Voice
from capsound_checker.histories.blame import contended
from capsound_checker.histories.recording import record


def history(adapter: type[Adapter], request: Mapping[str, Any], voice: Voice) -> None:
    """Record real runs of several threads until they have met often enough at the gate, and send each as it was heard.

    Every second run does without slices: what it shows needs none.
    """
    if not opens(adapter, voice):
        return
    until = time.monotonic() + request["seconds"] if request["seconds"] else None
    met, runs, late = 0, 0, False
    for number in range(RUNS):
        late = until is not None and time.monotonic() > until
        if late or (number >= FEWEST and met >= MEETINGS):
            break
        seed = request["seed"] + number
        voice.doing(f"history {seed}")
        noise = NOISES[number // 2 % len(NOISES)]
        heard = record(adapter, seed=seed, operations=300, duplicates=False, noise=noise, slices=number % 2 == 1)
        met, runs = met + contended(heard.operations), runs + 1
        voice.say("history", lines=list(heard.lines()))
    voice.say("recorded", runs=runs, late=late, wanted=MEETINGS if adapter.gate is not Gate.RECORD else 0)


RUNS, FEWEST = 240, 12
"""How many histories are recorded at most, and at least: on a busy machine threads meet less often in each."""

MEETINGS = 600
"""How often two clients have to ask for admission at once, with one of them refused, before no race says anything."""

NOISES = (0.03, 0.15, 0.4)
"""How likely a client lets the others go first wherever a function is called: a race may need few stops, or many."""
