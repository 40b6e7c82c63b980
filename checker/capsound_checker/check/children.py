"""The processes in which a target runs: start one, hear it out, and say how it ended."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.check.plan import Plan
from capsound_checker.display.printing import printable
from capsound_checker.programs.program import Step, call
from capsound_checker.remote.interpreters import interpreter
from capsound_checker.remote.isolation import Child, Ended
from capsound_checker.remote.nursery import Nursery


class TargetFailed(CapsoundError):
    """The target could not be loaded: the message is that of the process that tried."""

    name = "target-failed"
    exit_status = EXIT_BAD_INPUT


def run_child(
    plan: Plan,
    request: Mapping[str, Any],
    hear: Callable[[dict[str, Any]], None],
    until: float,
    stop: threading.Event | None = None,
    nursery: Nursery | None = None,
) -> tuple[Ended, str]:
    """Run a child, forked of ``nursery`` if there is one; return how it ended, and which program it was at."""
    with tempfile.TemporaryFile() as at, interpreter(plan.environment) as who:
        full = {**request, "target": plan.target, "python": plan.python, "at": at.fileno(), "load": plan.load_seconds}
        stop = stop or threading.Event()
        child = Child(full, plan.memory, (at.fileno(),), plan.silence, stop, plan.load_seconds, nursery, who)
        ended = child.run(hear, until)
        return ended, os.pread(at.fileno(), 60, 0).decode(errors="replace").strip()


def describe(
    plan: Plan,
    tell: Callable[[str], None] = lambda _: None,
    nursery: Nursery | None = None,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """Load the target in a process of its own, and return what its adapter declares.

    Raises ``TargetFailed``, also when ``stop`` is set before it is loaded.
    """
    tell(f"loading {printable(plan.target)}")
    said: list[dict[str, Any]] = []
    ended, _ = run_child(plan, {"job": "describe"}, said.append, time.monotonic() + plan.silence, stop, nursery)
    for message in said:
        if message["say"] == "adapter":
            return message
        if message["say"] == "failed":
            raise TargetFailed(message["message"], where=message["where"], cause=message["cause"], hint=message["hint"])
        if message["say"] == "broke":
            raise TargetFailed(f"{plan.target} cannot be loaded: {message['error']}", cause=message["trace"])
    printed = f"it printed: {ended.printed[-1]}" if ended.printed else ""
    slow = "if it is slow and does not hang, give it more: --load-timeout 5m" if ended.how == "unloaded" else ""
    raise TargetFailed(f"{plan.target} cannot be loaded: {ended.words}", cause=printed, hint=slow)


_AGAIN = 4
"""How many programs are tried to show where a process came to its end."""


def evidence(plan: Plan, ended: Ended, where: str, job: str, nursery: Nursery | None = None) -> str:
    """Return what is known of a child that did not come to its end: the step in which it happens, if it does again."""
    printed = f"; it printed: {ended.printed[-1]}" if ended.printed else ""
    profile, _, seed = where.rpartition(" ")
    # It may have hung where each operation is tried once, before that program: then one of the next does the same.
    for number in range(_AGAIN) if job in ("programs", "misuse") and seed.isdigit() else ():
        steps: list[Step] = []

        def hear(message: dict[str, Any], steps: list[Step] = steps) -> None:
            if message["say"] == "step":
                steps.append(Step(*message["step"]))

        request = {"job": "trace", "profile": profile, "seed": int(seed) + number}
        again, _ = run_child(plan, request, hear, time.monotonic() + plan.silence / 2, None, nursery)
        if again.how != "done" and steps:
            program = "; ".join(call(step) for step in steps)
            return f"{ended.words}, in the last step of: {program}{printed}"
    return f"{ended.words}, at {where or 'its start'}{printed}"
