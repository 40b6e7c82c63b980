"""Who spent what, and when a cap was exceeded: counted while a log is read, beside the monitor.

Exact, and therefore with one number for each agent, model and hour: of each at most ``KEYS``; what comes beyond them is
counted together, and said. What is told to have no agent, model or time is counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from capsound.amounts import CallId, HoldId
from capsound.live_books import LiveAccount, LiveHold
from capsound.monitor_fast import FastMonitor
from capsound.windows import HOUR
from capsound_checker.audit.moments import When, hour_named, nanoseconds
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.spent import Part, Passed, Share, Spent
from capsound_checker.audit.times import Moment

if TYPE_CHECKING:
    from capsound_checker.audit.ceilings import Capped, Ceilings
    from capsound_checker.audit.series import Curves
    from capsound_checker.audit.whatif import WhatIf

KEYS = 100_000
"""Of how many agents, models and hours the spending is kept apart."""

SHOWN = 10
"""How many of each are told, those that spent most first."""

Hook = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Tally:
    """What was spent by each of one kind: an agent, a model, an hour. None stands for those that are not told."""

    amounts: dict[str | int | None, int] = field(default_factory=dict)
    beyond: int = 0

    def add(self, key: str | int | None, amount: int) -> None:
        """Count an amount."""
        if key in self.amounts:
            self.amounts[key] += amount
        elif len(self.amounts) < KEYS or key is None:
            self.amounts[key] = amount
        else:
            self.beyond += amount

    def share(self, kind: str) -> Share:
        """Return those that spent most, those without a name among them."""
        ranked = sorted(self.amounts.items(), key=lambda pair: (-pair[1], pair[0] is None, pair[0] or 0, str(pair[0])))
        parts = [Part(hour_named(key) if isinstance(key, int) else key, amount) for key, amount in ranked]
        others = sum(part.amount for part in parts[SHOWN:]) + self.beyond
        return Share(kind, tuple(parts[:SHOWN]), max(0, len(parts) - SHOWN), others, bool(self.beyond))


@dataclass(frozen=True, slots=True)
class Tallied:
    """What was counted of a stretch of a log: the total, by agent, model and hour."""

    total: int
    tallies: tuple[Tally, Tally, Tally]


@dataclass(slots=True)
class Spending:
    """Follows what is billed. ``follow`` is told of events after the monitor took them.

    ``model`` is that of the event at hand, ``agent`` that of a cost without a call.
    """

    SET_UP: ClassVar[frozenset[str]] = frozenset({"monitor", "notes", "caps", "drawn", "exact", "_holds", "_calls"})

    monitor: FastMonitor
    notes: Notes
    caps: Sequence[int] = ()
    drawn: bool = False
    ceilings: Ceilings | None = None
    """The caps of a file, if there is one."""
    exact: bool = False
    """Whether times are nanoseconds; else what they are is told by their size."""
    model: str = ""
    agent: str = ""
    total: int = 0
    agents: Tally = field(default_factory=Tally)
    models: Tally = field(default_factory=Tally)
    hours: Tally = field(default_factory=Tally)
    first: Passed | None = None
    largest: Passed | None = None
    supposed: WhatIf | None = field(init=False)
    curves: Curves | None = field(init=False)
    named: dict[str, str] = field(default_factory=dict)
    """The models of the calls whose holds are known to the monitor, and of some that it forgot."""
    _most_named: int = 1000
    _at: Moment | None = None
    _ns: int = 0
    _hour: int = 0
    """The time of the latest bill, in nanoseconds and hours: the next one is often of the same."""
    _holds: Mapping[HoldId, LiveHold] = field(init=False)
    _calls: Mapping[CallId, HoldId] = field(init=False)

    def __post_init__(self) -> None:
        self._holds = cast("Mapping[HoldId, LiveHold]", self.monitor.state.holds)
        self._calls = self.monitor.state.calls
        self.supposed, self.curves = None, None
        if self.caps:
            from capsound_checker.audit.whatif import WhatIf

            self.supposed = WhatIf(self.caps, self.monitor.memory)
        if self.drawn:
            from capsound_checker.audit.series import Curves

            self.curves = Curves()

    def join(self, hooks: dict[object, Hook]) -> None:
        """Add to ``hooks``, by kinds of events, what to do here after the monitor took one."""
        for kind, hook in self.follow.items():
            hooks[kind] = _both(hooks.get(kind), hook)

    @property
    def follow(self) -> dict[object, Hook]:
        """What to do after the monitor took an event of a kind, for the kinds that matter here."""
        hooks: dict[object, Hook] = {"bill": self._billed, "reserve": self._reserved}
        if self.supposed is not None:
            hooks |= {
                "extend": lambda data: self._supposed().extend(data["hold"], data["amount"]),
                "settle": lambda data: self._supposed().resolve(data["hold"], data["amount"]),
                "release": lambda data: self._supposed().resolve(data["hold"]),
                "forfeit": lambda data: self._supposed().resolve(data["hold"], written_off=True),
                "record": self._recorded,
            }
        return hooks

    def spent(self) -> Spent:
        """Return what was spent by whom, where the cap was exceeded, and what other caps would have done."""
        shares = (self.agents.share("agent"), self.models.share("model"), self.hours.share("hour"))
        supposed = () if self.supposed is None else self.supposed.results()
        return Spent(self.total, shares, self.first, self.largest, supposed)

    def capped(self, unknown: int) -> tuple[Capped, ...]:
        """Return what became of the caps of the file; ``unknown`` is how many calls have no known bill."""
        return () if self.ceilings is None else self.ceilings.results(unknown)

    def bill(self, account: LiveAccount, amount: int, hold: LiveHold | None) -> None:
        """Count a bill of an account, of a call under ``hold`` if there is one."""
        agent, model = self._whose(hold)
        if hold is not None and self.supposed is not None:
            self.supposed.bill(hold.id, amount)
        if not amount:
            return
        self.total += amount
        self.agents.add(agent, amount)
        self.models.add(model, amount)
        at = self._now()
        self.hours.add(None if at is None else self._hour, amount)
        if self.ceilings is not None:
            self.ceilings.bill(account, agent, model, at, amount)
        root = account.top or account
        if self.curves is not None:
            self.curves.add(root.id, at, self.notes.at, amount)
        if root.below > root.granted:
            over = root.below - root.granted
            if self.largest is None or over > self.largest.over:
                self.largest = Passed(root.id, root.granted, over, self._when())
                self.first = self.first or self.largest

    def bills(self, agents: Mapping[str | None, int]) -> None:
        """Count bills within their caps of which neither the time nor the model is told, by agent."""
        for agent, amount in agents.items():
            self.total += amount
            self.agents.add(agent, amount)
            self.models.add(None, amount)
            self.hours.add(None, amount)

    @property
    def one_by_one(self) -> bool:
        """Whether each bill has to be told: else they may be added up by agent, as long as no model or time is told."""
        return bool(self.named) or self.drawn or self.ceilings is not None

    def tallied(self) -> Tallied:
        """Return what was counted, to be joined with that of other stretches of the log."""
        return Tallied(self.total, (self.agents, self.models, self.hours))

    def put_in(self, part: Tallied) -> None:
        """Add what was counted of a stretch, within every cap."""
        self.total += part.total
        for mine, other in zip((self.agents, self.models, self.hours), part.tallies, strict=True):
            for key, amount in other.amounts.items():
                mine.add(key, amount)

    def more(self, account: LiveAccount, most: int | None, hold: LiveHold | None = None) -> None:
        """Count what a call may have cost beyond what it was billed; None: nothing bounds it."""
        if self.ceilings is not None:
            self.ceilings.more(account, *self._whose(hold), self._now(), most)

    def request(self, data: Mapping[str, Any]) -> None:
        """Count a request that was sent, or a cost that stands for some."""
        if self.ceilings is None:
            return
        if data["event"] == "record":
            owner = cast("LiveAccount", self.monitor.state.accounts[data["account"]])
            self.ceilings.request(owner, *self._whose(None), self._now(), several=True)
            return
        hold = self._holds[data["hold"]]
        self.ceilings.request(hold.owner, *self._whose(hold), self._now())

    def _whose(self, hold: LiveHold | None) -> tuple[str | None, str | None]:
        """Return the agent and the model of the event at hand, each None where it is not told."""
        if hold is None:
            return self.agent or None, self.model or None
        return hold.agent, self.model or self.named.get(hold.id)

    def _now(self) -> int | None:
        """Return when the event at hand happened, in nanoseconds since 1970."""
        at = self.notes.now
        if at is None:
            return None
        if at != self._at:
            self._at, self._ns = at, int(at) if self.exact else nanoseconds(at)
            self._hour = self._ns // HOUR
        return self._ns

    def _supposed(self) -> WhatIf:
        assert self.supposed is not None
        return self.supposed

    def _when(self) -> When:
        return When(self.notes.at, self._now())

    def _reserved(self, data: Mapping[str, Any]) -> None:
        hold = data["hold"]
        if self.model:
            self.named[hold] = self.model
            if len(self.named) > self._most_named:
                self._forget()
        elif self.named:
            self.named.pop(hold, None)  # of another call that had this name, and was forgotten
        if self.supposed is not None:
            self.supposed.reserve(self._root(data["account"]), hold, data["amount"], self._when())

    def _forget(self) -> None:
        """Forget the models of calls that the monitor forgot. The next time is when there are twice as many as now."""
        self.named = {hold: model for hold, model in self.named.items() if self.monitor.hold(hold) is not None}
        self._most_named = 1000 + 2 * len(self.named)

    def _billed(self, data: Mapping[str, Any]) -> None:
        hold = self._holds[self._calls[data["call"]]]
        self.bill(hold.owner, data["amount"], hold)

    def _recorded(self, data: Mapping[str, Any]) -> None:
        self._supposed().record(self._root(data["account"]), data["amount"], self._when())

    def _root(self, account: str) -> str:
        return self.monitor.state.accounts[account].root  # type: ignore[index]


def _both(one: Hook | None, other: Hook) -> Hook:
    """Return what does one thing, if there is one, and then the other."""
    if one is None:
        return other
    first = one

    def both(data: Mapping[str, Any]) -> None:
        first(data)
        other(data)

    return both
