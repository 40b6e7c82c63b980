"""What a test of pytest is given: a provider that answers, and one that explores."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.display.terminal import rendered
from capsound_checker.wire.acting import Acting
from capsound_checker.wire.application import KEY
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.held import Held
from capsound_checker.wire.inside.checking import search_of
from capsound_checker.wire.inside.driver import of_function
from capsound_checker.wire.inside.session import Bounds
from capsound_checker.wire.inside.worker import checked
from capsound_checker.wire.money import Tariff, Unit, parse_cap
from capsound_checker.wire.provider import Provider
from capsound_checker.wire.running import Limits
from capsound_checker.wire.schedule import Choice
from capsound_checker.wire.setting import Setting
from capsound_checker.wire.tokens import parse_token
from capsound_checker.wire.verdicts import Wired, render


class CapBroken(AssertionError):
    """A cap does not hold, or it cannot be said whether it does: the message shows the run and its token."""


class Provided:
    """A provider for one test; ``end`` it."""

    def __init__(self) -> None:
        self.key = KEY
        """A key that opens nothing."""
        self._live: _Live | None = None

    @property
    def base_url(self) -> str:
        """The address of a provider that answers every request at once, as ``OPENAI_BASE_URL`` has it (with /v1)."""
        if self._live is None:
            self._live = _Live()
        return f"http://127.0.0.1:{self._live.port}/v1"

    @property
    def requests(self) -> int:
        """How many requests for a model have come to ``base_url``."""
        return 0 if self._live is None else len(self._live.acting.held)

    def explore(
        self,
        main: Any,
        *,
        cap: str,
        price: str | Sequence[str] = (),
        output: int = 100,
        runs: int = 20_000,
        requests: int = 200,
        seed: int = 0,
        require: Guarantee = Guarantee.FAULT_TOLERANT,
        cancel: bool = False,
        replay: str = "",
    ) -> Wired:
        """Run a coroutine function under every order of answers, with every fault, and return what was found.

        ``main`` is run in copies of this process, with httpx or httpx2 ended in the explorer. Raises ``CapBroken``
        unless ``require`` is kept; ``replay`` is a token of such a failure, and runs its schedule alone.
        """
        __tracebackhide__ = True  # the message says it all
        prices = (price,) if isinstance(price, str) else tuple(price)
        name = getattr(main, "__qualname__", "main")
        setting = Setting(
            (name,),
            parse_cap(cap),
            prices,
            output,
            Limits(requests),
            (),
            require,
            runs,
            seed,
            inside=True,
            cancels=cancel,
        )
        billing = setting.billing()
        with of_function(checked(main, name), billing, bounds=Bounds(requests)) as inside:
            search = search_of(setting, billing, inside)
            wired = Wired(setting, search.replay(parse_token(replay).schedule) if replay else search.search())
        if wired.verdict is not Verdict.SOUND and not (replay and not wired.searched.found):
            raise CapBroken(_story(wired))
        return wired

    def end(self) -> None:
        """Stop answering."""
        if self._live is not None:
            self._live.end()


def _story(wired: Wired) -> str:
    """Return what was found, and how to see it again from the test."""
    lines = rendered(partial(render, wired=wired), False).splitlines()
    told = [line for line in lines if not line.startswith("  replay: ")]
    if (weakest := wired.searched.weakest) is not None:
        token = wired.setting.token(wired.searched.found[weakest].run.schedule)
        told.append(f"again: capsound_provider.explore({wired.setting.command[0]}, cap=..., replay={token!r})")
    return "\n".join(told)


class _Live:
    """A provider that answers, in a thread."""

    def __init__(self) -> None:
        self.acting = Acting(Billing(Tariff(Unit("tokens"), at=datetime.now(UTC))))
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._provider = Provider(self._arrived, self.acting.left)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="capsound provider")
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self.port = self._loop.run_until_complete(self._provider.start())
        finally:
            self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._provider.stop())
        self._loop.close()

    def _arrived(self, held: Held) -> None:
        self.acting.held.append(held)
        self.acting.arrived(held)
        while held.state in ("held", "begun"):
            self.acting.do(Choice(held.label), held)
            held.state = "ended" if held.state == "ended" else "begun"

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
