"""How the process that drives a target is heard: messages over a pipe, a sign of life, and what it is doing."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field

from capsound_checker.programs.watch import pulse

_BEAT = 0.25


@dataclass
class Voice:
    """The pipe to the process that judges, and the file that says which program is being run."""

    pipe: int
    at: int
    where: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def say(self, what: str, **data: object) -> None:
        """Send one message."""
        line = json.dumps({"say": what, **data}).encode() + b"\n"
        with self.lock:
            while line:
                line = line[os.write(self.pipe, line) :]

    def doing(self, where: str) -> None:
        """Note which program comes next: read by whoever finds this process dead."""
        self.where = where
        os.pwrite(self.at, where.encode().ljust(60)[:60], 0)

    def beat(self) -> None:
        """Show for ever that this process is alive, as long as something in it moves."""
        last = -1
        while True:
            if pulse[0] != last:
                last = pulse[0]
                self.say("beat", where=self.where)
            time.sleep(_BEAT)
