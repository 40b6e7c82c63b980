"""Where an application is begun afresh: its own modules are loaded anew, and its surroundings are as they were."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from capsound_checker.wire.billing import Billing
from capsound_checker.wire.dialects.shapes import Answer
from capsound_checker.wire.held import Held, Order
from capsound_checker.wire.inside.session import SILENT, Bounds, Main, Session
from capsound_checker.wire.inside.transport import MODULES, serve
from capsound_checker.wire.inside.world import surround
from capsound_checker.wire.replies import Replies


class Stage:
    """Holds the session that is in progress, and begins new ones. Putting it up changes this process for good."""

    def __init__(self, load: Callable[[], Main], billing: Billing, bounds: Bounds, replies: Replies = SILENT) -> None:
        self._load = load
        self._billing = billing
        self._bounds = bounds
        self._replies = replies
        self.session = Session(billing, bounds, replies)
        self.main: Main | None = None
        self.clients = serve(self)
        self._variables = dict(os.environ)
        self._folder = Path.cwd()
        surround(lambda: self.session.loop.now, self._sleep, self.unserved)

    def _sleep(self, seconds: float) -> None:
        self.session.loop.now += max(0.0, seconds)

    def afresh(self) -> Session:
        """Load the application and begin it, in a new session. Raises what loading raises."""
        before, self.session = self.session, Session(self._billing, self._bounds, self._replies)
        before.close()
        random.seed(0)
        setattr(os, "urandom", random.Random(0).randbytes)  # noqa: B010 - a type checker knows its own signature
        if dict(os.environ) != self._variables:
            os.environ.clear()
            os.environ.update(self._variables)
        os.chdir(self._folder)
        self.main = self._load()
        self.session.begin(self.main)
        return self.session

    # ------------------------------------------------------------------------------- what the transport asks

    def receive(self, method: str, path: str, raw: bytes, headers: Any, patience: float | None) -> Held | Answer:
        """Hand a request on to the session."""
        return self.session.receive(method, path, raw, headers, patience)

    async def order(self, held: Held) -> Order:
        """Wait in the session for what is chosen."""
        return await self.session.order(held)

    def left(self, held: Held) -> None:
        """Tell the session that a request was given up; one of an earlier session has ended with it."""
        if held in self.session.acting.held:
            self.session.left(held)

    def unserved(self, what: str) -> None:
        """Tell the session what is not served."""
        self.session.unserved(what)


_elsewhere: set[str] = set()
"""Names of modules that were seen to be no part of an application: there are thousands."""


def own_modules(folder: Path) -> list[str]:
    """Return the names of the modules that were loaded from a folder: those of an application itself."""
    inside = f"{folder}{os.sep}"
    found = []
    for name in sys.modules.keys() - _elsewhere - set(MODULES):
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and file.startswith(inside) and "site-packages" not in file[len(inside) :]:
            found.append(name)
        else:
            _elsewhere.add(name)
    return sorted(found)
