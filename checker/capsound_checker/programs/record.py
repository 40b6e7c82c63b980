"""The bookkeeping of a run: what everything is called, which events were told, and what the monitor found in them.

The harness is the provider: it knows every true bill. What the implementation does becomes events here, and the
monitor alone decides what is wrong. The other parts of a run (``operations``, ``library_calls``, ``misuse``) write
into one ``Record``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from capsound.accounts import RESOLVED, HoldState, State
from capsound.adapter import Adapter, offers
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.events import Bill, Event, Extend, Observe, Open, Refuse, Reserve, Send, Settle, Stall
from capsound.monitor import Finding, Monitor, Report
from capsound.monitor_fast import FastMonitor
from capsound.properties import Property
from capsound.rolled_up import CeilingMonitor
from capsound.sizes import Size
from capsound.verdict import Verdict
from capsound.windows import Window
from capsound_checker.programs import clock
from capsound_checker.programs.dimensions import billed_sizes, cap_sizes, dimensions, held_sizes
from capsound_checker.programs.program import Step
from capsound_checker.programs.timing import Timing, steps_of_time, timing

Observed = tuple[int | None, int | None, int | None]
"""What an account says of itself: spent, held and remaining, as far as it is offered."""

NOT_OBSERVED: Observed = (None, None, None)

Handler = Callable[[Step], bool]
"""Does a step; returns False where the step refers to nothing and is skipped."""


@cache
def account_id(number: int) -> AccountId:
    """Return how an account is called in events."""
    return AccountId(f"a{number}")


@cache
def hold_id(number: int) -> HoldId:
    """Return how a hold is called in events."""
    return HoldId(f"h{number}")


@cache
def agent_id(number: int) -> AgentId:
    """Return how an agent is called in events."""
    return AgentId(f"p{number}")


_SIZED = frozenset({"reserve", "begin", "extend"})
"""The steps that ask for an amount."""


def hold_number(name: HoldId) -> int:
    """Return the number of the hold that is called ``name`` in events, or of the call that it is of."""
    return int(name[1:].rstrip("+"))


def account_number(name: AccountId) -> int:
    """Return the number of the account that is called ``name`` in events."""
    return int(name[1:])


@dataclass(slots=True, eq=False)
class LibraryCall:
    """One call that the library makes itself: where it is, and what its account said on the way."""

    hold: int
    account: int
    agent: int
    estimate: int
    bill: int
    coroutine: Coroutine[Any, Any, Any] | None
    """None where an event loop drives the call."""
    observed_at_begin: Observed
    """What the account said when the call began."""
    place: str = "waiting"
    """Where it is: ``waiting`` on its way to the provider, ``at provider``, ``returning``, ``ended``."""
    outcome: str = ""
    """What ends it, once that is known: ``reply``, ``fail``, ``cancel`` or ``crash``."""
    hold_seen: bool = False
    """Whether the estimate was seen to be kept."""
    suspended: bool = False
    """Whether it was suspended on its way to the provider."""
    observed_at_step: Observed = NOT_OBSERVED
    """What the account said before the last step of the call."""
    hold_id: HoldId = HoldId("")
    call_id: CallId = CallId("")
    told: int = 0
    """What the provider has said so far, in all its replies, that the requests under ``hold_id`` cost."""
    again: bool = False
    """Whether more than one request has left under ``hold_id``."""
    company: Company | None = None
    """What else happened in the turn in which it went on; None where it did so alone."""


@dataclass(frozen=True, slots=True)
class Company:
    """What else happened in the turn of a call, in an order that nobody has seen."""

    beside: int
    """The estimates of the other calls: each may have been held when this one was refused."""
    replied: bool
    """Whether another call got its reply in the same turn."""


@dataclass
class Record:
    """The books of a run: what exists in it, what was told, and what the monitor found."""

    adapter: Adapter
    monitor: Monitor = field(default_factory=lambda: FastMonitor(memory=sys.maxsize))
    events: list[Event] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    spoiled: bool = False
    """Whether the run is over: a bad amount was accepted or the implementation hangs."""

    def __post_init__(self) -> None:
        self.offers = offers(self.adapter)
        self.scopes: dict[int, Any] = {}
        self.handles: dict[int, Any] = {}
        self.clones: dict[int, Any] = {}
        self.calls: dict[int, LibraryCall] = {}
        self.current_agent = 0
        """The agent whose step is being done: who hangs, if the implementation does not come back."""
        self.requests_sent = 0
        self.refusal_excused: Callable[[Step, int], bool] | None = None
        """Whether there was a moment at which the refusal of a step, by an account, was right."""
        self._excused: set[int] = set()
        self.timing: Timing | None = timing(self.adapter)
        self.now = 0 if self.timing is None else self.timing.begin
        """The moment of a run in time, in nanoseconds since 1970."""
        self.moments: list[int] = []
        """The moment of each event, where the run is one in time."""
        self.under: dict[AccountId, AccountId] = {}
        """Which account each ceiling is under."""
        self.reserved: dict[int, int] = {}
        """When each hold was made."""
        self.dimensions = dimensions(self.adapter)
        self.sizes: dict[int, Mapping[str, int]] = {}
        """How large the amount of an event is in further dimensions, by its place."""
        self.billed: set[CallId] = set()
        """The requests that were billed: what is billed later is no request more."""

    # ------------------------------------------------------------------------------ what can be done now

    @property
    def state(self) -> State:
        """The books of the model."""
        return self.monitor.state

    @property
    def opened(self) -> list[int]:
        """The accounts in use."""
        accounts = self.state.accounts
        return [n for n in self.scopes if not accounts[account_id(n)].closed]

    @property
    def closed(self) -> list[int]:
        """The accounts that were closed or merged."""
        accounts = self.state.accounts
        return [n for n in self.scopes if accounts[account_id(n)].closed]

    def _holds(self, *states: HoldState) -> list[int]:
        holds = self.state.holds
        return [n for n in self.handles if holds[hold_id(n)].state in states and n not in self.calls]

    @property
    def held(self) -> list[int]:
        """The holds whose request has not left."""
        return self._holds(HoldState.HELD)

    @property
    def sent(self) -> list[int]:
        """The holds whose request has left."""
        return self._holds(HoldState.SENT)

    @property
    def used(self) -> list[int]:
        """The holds that are resolved."""
        return self._holds(*RESOLVED)

    @property
    def at_provider(self) -> list[int]:
        """The calls of the library that wait for the provider."""
        return [n for n, call in self.calls.items() if call.place == "at provider"]

    @property
    def waiting(self) -> list[int]:
        """The calls of the library that are suspended anywhere else."""
        return [n for n, call in self.calls.items() if call.place in ("waiting", "returning")]

    @property
    def accounts(self) -> int:
        """How many accounts were created."""
        return len(self.scopes)

    @property
    def holds(self) -> int:
        """How many holds were created."""
        return len(self.handles) + len(self.calls)

    @property
    def roots(self) -> int:
        """How many roots were opened."""
        return sum(account.parent is None for account in self.state.accounts.values())

    def room(self, hold: int) -> int:
        """Return what the bills under a hold can still grow by without exceeding it."""
        known = self.state.holds[hold_id(hold)]
        return known.amount - known.billed

    def amount(self, hold: int) -> int:
        """Return what a hold keeps."""
        return self.state.holds[hold_id(hold)].amount

    def passing(self, choice: int) -> int:
        """Return how many seconds pass by a tick: around the ends of windows, where the run is one in time."""
        if self.timing is None:
            return clock.STEPS[choice % len(clock.STEPS)]
        moments = [at for at, event in zip(self.moments, self.events, strict=True) if not isinstance(event, Observe)]
        options = steps_of_time(self.timing, self.window, self.now, moments)
        return options[choice % len(options)]

    @property
    def window(self) -> Window:
        """The window of a run in time: where it begins with the first root, as it began."""
        timing = self.timing
        assert timing is not None
        return timing.window if not timing.anchored else timing.anchored_at(timing.begin)

    def pending(self, call: LibraryCall) -> bool:
        """Whether a call is on its way to the provider, and nobody knows yet whether it was admitted."""
        return call.place == "waiting" and call.hold_id not in self.monitor.state.holds

    # ------------------------------------------------------------------------------------ what is told

    def carry_out(self, step: Step, handler: Handler, observe: Callable[[], None]) -> None:
        """Let ``handler`` do a step; unless that was skipped, observe the accounts, and note the step."""
        events = len(self.events)
        if handler(step) is not False:
            observe()
            self.steps.append(step)
        elif len(self.events) != events:
            raise AssertionError(f"a skipped step was told: {step}")

    def sizes_of(self, event: Event) -> Mapping[str, int]:
        """Return how large the amount of an event is in further dimensions; empty where it has none."""
        names = self.dimensions
        match event:
            case Open(root=root, cap=cap):
                return cap_sizes(names, account_number(root), cap)
            case Reserve(hold=hold, amount=amount):
                return held_sizes(names, hold_number(hold), amount)
            case Extend(hold=hold, amount=amount):
                return held_sizes(names, hold_number(hold), amount, requests=0)
            case Bill(call=call, amount=amount):
                hold = self.state.hold_of(call).id
                first = call not in self.billed
                self.billed.add(call)
                return billed_sizes(names, hold_number(hold), amount, requests=int(first))
            case Settle(hold=hold, amount=amount):
                sent = sum(owner == hold for owner in self.state.calls.values())
                return billed_sizes(names, hold_number(hold), amount, requests=sent)
            case _:
                return {}

    @property
    def several(self) -> bool:
        """Whether the run is judged in several dimensions."""
        return bool(self.dimensions) and isinstance(self.monitor, CeilingMonitor)

    def sized(self, event: Open | Reserve | Extend | Settle) -> int:
        """Return the amount of an event as an adapter is handed it: with its sizes, where there are several."""
        amount = event.cap if isinstance(event, Open) else event.amount
        return Size(amount, self.sizes_of(event)) if self.several else amount

    def replied(self, call: LibraryCall) -> int:
        """Return what the provider says that a request of a call has cost."""
        return Size(call.bill, billed_sizes(self.dimensions, call.hold, call.bill)) if self.several else call.bill

    def tell(self, event: Event, sizes: Mapping[str, int] | None = None) -> None:
        """Tell the monitor of an event that was seen; of a refusal, with the ``sizes`` of what it refused."""
        if isinstance(self.monitor, CeilingMonitor) and self.dimensions:
            told = self.sizes_of(event) if sizes is None else sizes
            if told:
                self.sizes[len(self.events)] = told
                self.monitor.sized(told)
        self.events.append(event)
        if self.timing is not None:
            self.moments.append(self.now)
        found = self.monitor.feed(event)
        if found:
            self.keep(found)

    def say(self, *event: Any) -> None:
        """Tell of the event of a type, the first argument, with the fields that follow it.

        Whoever has heard it before may remember it by them.
        """
        self.tell(event[0](*event[1:]))

    def keep(self, found: Iterable[Finding]) -> None:
        """Keep what the monitor found in the last event."""
        for finding in found:
            self.findings.append(finding)
            if finding.anomaly in ("overshoot", "slice-overshoot", "window-leak"):
                deficits = self._deficits(AccountId(str(finding.numbers["account"])))
                if 0 < int(finding.numbers["over"]) <= deficits:
                    self._excused.add(id(finding))

    def _deficits(self, account: AccountId) -> int:
        """Return by how much bills that count in an account have exceeded their holds."""
        if isinstance(self.monitor, CeilingMonitor):
            return self.monitor.deficits_in(account)
        below = {a.id for a in self.state.below(account)}
        return sum(h.deficit for h in self.state.holds.values() if h.account in below)

    def tell_request(self, hold: HoldId, bill: int) -> CallId:
        """Tell that a request has left under a hold, and is billed now; return how the request is called."""
        self.requests_sent += 1
        name = self.last_request
        self.say(Send, hold, name)
        self.say(Bill, name, bill)
        return name

    @property
    def last_request(self) -> CallId:
        """How the last request that has left is called in events."""
        return CallId(f"c{self.requests_sent}")

    def refuse(self, step: Step, why: str, account: int | None = None) -> None:
        """Tell a refusal, unless it is expected (of a closed account) or may have been right while it was made."""
        number = step.on if account is None else account
        if self.refusal_excused is not None and self.refusal_excused(step, number):
            return
        name = account_id(number)
        known = self.state.account(name)
        # What calls that are still on their way to the provider have taken is not in the books yet.
        pending = [call for call in self.calls.values() if self.pending(call)]
        if not known.closed and (not pending or self._fits_beside(pending, step, name)):
            sizes = {} if step.do not in _SIZED else self._asked(step)
            self.tell(Refuse(name, Amount(step.amount), why, agent_id(step.agent)), sizes)

    def _asked(self, step: Step) -> Mapping[str, int]:
        """Return how large what a step asks for is in further dimensions."""
        extends = step.do == "extend"
        return held_sizes(self.dimensions, step.on if extends else step.new, step.amount, requests=int(not extends))

    def _fits_beside(self, pending: Sequence[LibraryCall], step: Step, account: AccountId) -> bool:
        """Whether a call fits beside others that may hold something by now."""
        amount = step.amount + sum(call.estimate for call in pending)
        if not isinstance(self.monitor, CeilingMonitor):
            return amount <= self.state.account(account).available
        sizes = Counter(self._asked(step))
        for call in pending:
            sizes.update(held_sizes(self.dimensions, call.hold, call.estimate))
        return self.monitor.fits(account, amount, sizes)

    def stall(self, agents: list[int]) -> None:
        """Tell that agents hang; the run is over."""
        self.tell(Stall(tuple(agent_id(a) for a in agents)))
        self.spoiled = True

    # ----------------------------------------------------------------------------------- what was found

    def report(self) -> Report:
        """Return what the monitor says of the run so far."""
        return self.monitor.report()

    def wrong(self) -> list[Finding]:
        """Return the findings that are the implementation's fault.

        Bills above their holds are the provider's: an overshoot is excused as far as they explain it, by the
        property ``overrun``. Whoever admits although those bills have used up the cap breaks that property.
        """
        wrong = [finding for finding in self.findings if id(finding) not in self._excused]
        if not self._excused:
            return wrong
        report = self.report()
        excused = report.exercise.overran and report.verdicts[Property.OVERRUN] is not Verdict.VIOLATED
        return wrong if excused else self.findings
