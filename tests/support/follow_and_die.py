"""Follow a log with a state, and die by SIGKILL at one moment: at the call of a function that is the N-th.

    python follow_and_die.py LOG STATE MOMENT SAVE_LINES [MAPPING]

Prints the number of calls, and the report as JSON, if it lived that long: the log is read to what is its end now.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from capsound_checker.audit import following
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import load_mapping
from capsound_checker.audit.resuming import keeping

log, state, moment, save_lines = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
mapping = load_mapping(sys.argv[5]) if len(sys.argv) > 5 else None
following.SAVE_LINES = save_lines
following._CHUNK = 500
calls = 0


def count(_frame: Any, event: str, _arg: Any) -> None:
    global calls
    if event in ("call", "c_call"):
        calls += 1
        if calls == moment:
            os.kill(os.getpid(), signal.SIGKILL)


sys.setprofile(count)
with keeping(log, state, "1") as keeper:
    keeper.tail.stop = lambda: True
    keeper.tail.sleep = lambda _seconds: None
    taken = keeper.taken(mapping)
    keeper.bind({}, taken.mapping)
    told = audit(taken.lines, name="log", mapping=mapping, cap=None if mapping is None else 10**9, keeper=keeper)
sys.setprofile(None)
data = told.data()
del data["notes"]
sys.stdout.write(f"{calls}\n{json.dumps(data, sort_keys=True)}\n")
