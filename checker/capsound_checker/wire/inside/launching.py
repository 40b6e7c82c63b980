"""Starting the process in which an application runs: early, so that both sides load what they need at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from capsound_checker.remote.lifeline import guarded, lifeline
from capsound_checker.wire.application import environment


@dataclass(slots=True)
class Launched:
    """A process that waits for its request on standard input."""

    process: subprocess.Popen[bytes]
    out: int
    """Where it tells what it sees."""
    stop: IO[bytes]
    """A file that is not empty once no more is wanted."""
    taken: bool = False
    """Whether somebody else sees to its end."""

    def end(self) -> None:
        """End it, unless somebody has taken it."""
        if self.taken:
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.stop):
            if stream is not None:
                stream.close()
        os.close(self.out)


def launch(variables: tuple[str, ...]) -> Launched:
    """Start a process; ``variables`` are further ones that lead to the provider."""
    read, write = os.pipe()
    pipe, stop = lifeline(), tempfile.TemporaryFile()  # noqa: SIM115 - it is closed by whoever ends the process
    path = os.pathsep.join(dict.fromkeys(p for p in sys.path if p))
    own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "capsound_checker.wire.inside.worker", str(write), str(stop.fileno())]
    try:
        process = subprocess.Popen(
            guarded(command, pipe),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(write, stop.fileno(), pipe),
            start_new_session=True,
            env={**os.environ, **environment(9, variables), **own},
        )
    finally:
        os.close(write)
    return Launched(process, read, stop)
