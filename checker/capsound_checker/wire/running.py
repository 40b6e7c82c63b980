"""One run of an application under one schedule: start it, go on from choice to choice, end it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from capsound_checker.wire import connections, idle
from capsound_checker.wire.acting import Acting
from capsound_checker.wire.application import Application, environment, is_guard
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.held import Held
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.replies import Replies
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.stepping import Limits, Run, Stepping, note_what_was_not_seen

__all__ = ["Limits", "Run", "run"]


@dataclass
class _Running(Stepping):
    """A run in progress of an application that is started for it."""

    seats: dict[int, int] = field(default_factory=dict)
    unseated: list[Held] = field(default_factory=list)

    def arrived(self, held: Held) -> None:
        """Take a request."""
        super().arrived(held)
        self.unseated.append(held)

    def at_rest(self) -> None:
        """See which process has sent what has come since: all of it still waits, with its connection open."""
        if not self.unseated:
            return
        pids = idle.tree(self.application.processes(), without=is_guard)
        ports = [one.port for one in self.unseated]
        owners = dict.fromkeys(ports, pids[0]) if len(pids) == 1 else connections.owners(ports, pids)
        self.acting.seat(
            {
                one.number: self.seats.setdefault(owners[one.port], len(self.seats) + 1)
                for one in self.unseated
                if one.port in owners
            }
        )
        self.unseated.clear()


_LIMITS = Limits()
_SILENT = Replies()


async def _run(
    command: Sequence[str],
    schedule: Schedule,
    acting: Acting,
    limits: Limits,
    variables: Sequence[str],
    folder: Path | None,
    until: float,
) -> Run:
    provider = Provider(lambda held: running.arrived(held), acting.left)
    port = await provider.start()
    application = Application(command, environment(port, variables), folder)
    running = _Running(application, provider, schedule, acting, limits, until)
    try:
        application.start()
        ended = await running.steps()
        status = application.status
        note_what_was_not_seen(provider)
    finally:
        application.end()
        await provider.stop()
    if ended == "exit" and status is not None and status < 0:
        ended, status = "signal", -status
    return running.result(ended, status or 0)


def run(
    command: Sequence[str],
    schedule: Schedule,
    billing: Billing,
    limits: Limits = _LIMITS,
    variables: Sequence[str] = (),
    folder: Path | None = None,
    until: float = float("inf"),
    replies: Replies = _SILENT,
) -> Run:
    """Run a command under a schedule; ``until`` is a time of ``time.monotonic``. Raises ``CannotRun``."""
    return asyncio.run(_run(command, schedule, Acting(billing, replies=replies), limits, variables, folder, until))
