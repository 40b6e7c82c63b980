"""What a check of an application is about: the command, its cap, the prices, and how far a run may go."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from capsound.guarantees import Guarantee
from capsound.windows import Whole, Window
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.money import Cap, tariff
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.stepping import Limits
from capsound_checker.wire.tokens import Kept, token
from capsound_checker.wire.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Setting:
    """A check of an application; ``prices`` are texts as ``prices.pricing.rates`` reads them."""

    command: tuple[str, ...]
    cap: Cap
    prices: tuple[str, ...] = ()
    output: int = 100
    """The output of an answer whose request sets no limit, in tokens."""
    limits: Limits = Limits()
    variables: tuple[str, ...] = ()
    """Names of further variables that lead to the provider."""
    require: Guarantee = Guarantee.FAULT_TOLERANT
    runs: int = 40
    seed: int = 0
    replies: tuple[str, ...] = ()
    """Who decides what the model says: see ``replies_loading``."""
    traffic: Traffic | None = None
    """What is sent where the command is a gateway; None where it is an application."""
    seconds: float | None = None
    """How long the search may take, in all; None for as long as its runs take."""
    inside: bool = False
    """Whether ``command`` names a coroutine function, which is run inside."""
    overruns: bool = False
    """Whether requests are billed above what they permit, too: A1 is switched off."""
    name: str = ""
    """What the cap is called, where it is one of several."""
    models: tuple[str, ...] = ()
    """Patterns of the models that count under the cap; none: all do."""
    window: Window = Whole()
    """The window over which the cap holds."""
    words: str = ""
    """The window as it was written; nothing for all time."""
    cancels: bool = False
    """Inside: whether tasks are cancelled while they wait for a request."""

    def token(self, schedule: Schedule) -> str:
        """Return the token of one run of this check."""
        return token(Kept(schedule, self.cap, self.prices, self.output))

    def billing(self) -> Billing:
        """Return how its requests are billed, at the prices of today. Raises ``BadPrice``."""
        return Billing(tariff(self.cap.unit, self.prices, datetime.now(UTC)), self.output)

    def until(self) -> float:
        """Return when a search that begins now has to end: a time of ``time.monotonic``."""
        return float("inf") if self.seconds is None else time.monotonic() + self.seconds
