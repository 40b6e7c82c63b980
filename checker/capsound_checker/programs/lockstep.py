"""An implementation and the model in lock step: each step is done to both, and the monitor listens.

The harness is the provider: it knows every true bill. What the implementation does becomes events, what it says
of itself becomes ``observe``; the monitor alone decides what is wrong. Nothing here chooses steps: that is done
by a Hypothesis machine, by the fast driver, by the explorer of programs, or by hand::

    run = Lockstep(MyAdapter())
    run.open(new=0, amount=60)
    run.reserve(on=0, new=0, amount=31)
    run.send(on=0, bill=23)
    run.settle(on=0)
    print(run.story())
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import sys
import types
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from capsound.accounts import RESOLVED, HoldState, State, breaches
from capsound.adapter import Adapter, Answer, Gate, Granted, Kind, ask, classify, offers
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound.events import (
    TOLD,
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Open,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
    Stall,
    Timeout,
    event_to_dict,
)
from capsound.monitor import Finding, Monitor, Report
from capsound.monitor_fast import FastMonitor
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_checker.programs.program import FIELDS, Step, call, written
from capsound_checker.programs.watch import Hung, held, limit

BAD_AMOUNTS: tuple[Any, ...] = (-1, float("nan"), float("inf"), float("-inf"), "5", -(10**30))
"""What nobody may accept as an amount."""

BAD_FOR_STRICT: tuple[Any, ...] = (*BAD_AMOUNTS, True, 1.5, 2.0, None, [], b"5", 1 + 0j)
"""What one that claims to refuse every misuse may not accept either."""

PROBED = ("reserve", "settle", "delegate", "extend", "open", "charge", "record", "check")
"""Which operations are probed with bad amounts: the number is the ``new`` of a ``bad`` step."""

NO_LOOP = "only `provider()` and `asyncio.sleep(0)` can be awaited here: no event loop is running"
_SPIN = "wait for a lock of asyncio by `while lock.locked(): await asyncio.sleep(0)`"

_CLASSIFY = "list its class under `refused`, `rejected` or `stale` of the adapter"

T = TypeVar("T")

_PROVIDER = object()
"""What a suspended call yields when it is the provider that it waits for."""


Says = tuple[int | None, int | None, int | None]
"""What an account says of itself: spent, held and remaining, as far as it is offered."""

_NOTHING: Says = (None, None, None)


class AdapterFailed(CapsoundError):
    """An adapter let an exception out that it does not classify: nothing can be said of the implementation."""

    name = "adapter-failed"
    exit_status = EXIT_BAD_INPUT


class ProviderError(Exception):
    """What the provider of the harness raises when a call fails; a library passes it on or wraps it."""


@types.coroutine
def _suspend() -> Generator[object, Any, Any]:
    return (yield _PROVIDER)


@dataclass
class _Call:
    """One call that the library makes itself: where it is, and what was seen when it left."""

    hold: int
    account: int
    agent: int
    estimate: int
    bill: int
    coroutine: Coroutine[Any, Any, Any]
    before: Says
    place: str = "waiting"  # then at provider, returning, ended
    how: str = ""
    keeps: bool = False
    waited: bool = False
    resumed: Says = (None, None, None)
    name: HoldId = HoldId("")
    call: CallId = CallId("")


@dataclass
class Lockstep:
    """A run in progress; every method is one step, and returns what the monitor found in it.

    Raises ``AdapterFailed`` when the adapter lets out an exception that it does not classify.
    """

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
        self.calls: dict[int, _Call] = {}
        self._said: dict[int, tuple[Observe, tuple[int, ...]]] = {}
        self._sent = 0
        self._excused: set[int] = set()
        self._actor = 0

    # ------------------------------------------------------------------------------ what can be done now

    @property
    def state(self) -> State:
        """The books of the model."""
        return self.monitor.state

    @property
    def opened(self) -> list[int]:
        """The accounts in use."""
        return [n for n in self.scopes if not self.state.accounts[account_id(n)].closed]

    @property
    def closed(self) -> list[int]:
        """The accounts that were closed or merged."""
        return [n for n in self.scopes if self.state.accounts[account_id(n)].closed]

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
        return [n for n, made in self.calls.items() if made.place == "at provider"]

    @property
    def waiting(self) -> list[int]:
        """The calls of the library that are suspended anywhere else."""
        return [n for n, made in self.calls.items() if made.place in ("waiting", "returning")]

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

    # --------------------------------------------------------------------------------------- doing steps

    def do(self, step: Step) -> tuple[Finding, ...]:
        """Do one step; a step that refers to nothing, or comes after the run is over, is skipped."""
        if self.spoiled:
            return ()
        before = len(self.findings)
        heard = len(self.events)
        if getattr(self, f"_{step.do}")(step) is not False:
            self._observe()
            self.steps.append(step)
        elif len(self.events) != heard:
            raise AssertionError(f"a skipped step was heard: {step}")
        return tuple(self.findings[before:])

    def __getattr__(self, name: str) -> Any:
        """Return the step called ``name`` as a method: ``run.reserve(on=0, new=1, amount=3)``."""
        if name not in FIELDS:
            raise AttributeError(f"there is no step {name!r}")
        return lambda **said: self.do(Step(name, **said))

    def run(self, program: Iterable[Step]) -> Lockstep:
        """Do all steps, then look whether anything is left that nobody can finish."""
        try:
            with held():
                for step in program:
                    self.do(step)
                self.finish()
        finally:
            self.drop()
        return self

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

    def tell(self, event: Event) -> None:
        """Tell the monitor of an event that the harness has seen."""
        self.events.append(event)
        for finding in self.monitor.feed(event):
            self.findings.append(finding)
            if finding.anomaly in ("overshoot", "slice-overshoot"):
                below = {a.id for a in self.state.below(AccountId(str(finding.numbers["account"])))}
                deficits = sum(h.deficit for h in self.state.holds.values() if h.account in below)
                if 0 < int(finding.numbers["over"]) <= deficits:
                    self._excused.add(id(finding))

    def _ask(self, operation: str, *args: Any) -> Answer:
        try:
            with limit():
                answer = ask(self.adapter, operation, *args)
        except Hung:  # it rang on the way out
            answer = Answer(Kind.HUNG)
        if answer.kind is Kind.HUNG:
            self._hang([self._actor])
        elif answer.kind is Kind.FAILED:
            raise self._unclassified(operation, answer)
        return answer

    def _unopened(self, cap: int, answer: Answer) -> AdapterFailed:
        """Return the error for a root that cannot be opened: there would be nothing to judge, and nothing wrong."""
        return _failed(
            f"{type(self.adapter).__name__}.open({cap}) was {answer.kind}: {answer.why}",
            "without a root there is nothing to judge, and every cap that is a whole number above 0 is a cap",
            "let the adapter scale the unit, if the library wants larger caps",
        )

    def _unclassified(self, operation: str, answer: Answer) -> AdapterFailed:
        cause, hint = "the adapter does not say what this exception means", _CLASSIFY
        if "event loop" in answer.why or "create_future" in answer.why:
            cause, hint = NO_LOOP, _SPIN
        return _failed(f"{type(self.adapter).__name__}.{operation} raised {answer.why}", cause, hint)

    def _look(self, number: int, *, quiet: bool = False) -> Says:
        """Return what an account says of itself; nothing when it does not come back.

        One that is closed need not speak, nor (``quiet``) one that may just have been.
        """
        what = "observe (spent, held, remaining)"
        says = self._read(what, self.adapter.observe, number, quiet=quiet) or _NOTHING
        if any(value is not None and not _counts(value) for value in says):
            raise AdapterFailed(
                f"{type(self.adapter).__name__}.{what} returned {says!r}",
                cause="that is no number of units",
                hint="return whole numbers of the smallest unit; convert in the adapter, exactly",
            )
        return says

    def _read(self, what: str, read: Callable[[Any], T], number: int, *, quiet: bool = False) -> T | None:
        if self.spoiled:
            return None
        try:
            with limit():
                return read(self.scopes[number])
        except Hung:
            self._hang([self._actor])
        except Exception as error:
            if not quiet and not self.state.accounts[account_id(number)].closed:
                raise self._unclassified(what, classify(self.adapter, error)) from error
        return None

    def _hang(self, agents: list[int]) -> None:
        self.tell(Stall(tuple(agent_id(a) for a in agents)))
        self.spoiled = True

    def _moved(self, account: int, before: Says) -> bool:
        """Whether a misuse that was answered with "done" is one, as far as can be seen."""
        return self._loud(before, self._look(account, quiet=True))

    # --------------------------------------------------------------------------------- accounts and slices

    def _open(self, step: Step) -> bool:
        if step.new in self.scopes:
            return False
        self._actor = step.agent
        answer = self._ask("open", step.amount)
        if answer.kind is not Kind.DONE:
            if step.amount > 0 or self.adapter.complete:
                raise self._unopened(step.amount, answer)
            return False
        self.tell(Open(account_id(step.new), Amount(step.amount)))
        self.scopes[step.new] = answer.value
        return True

    def _delegate(self, step: Step) -> bool:
        if step.on not in self.scopes or step.new in self.scopes:
            return False
        self._actor = step.agent
        answer = self._ask("delegate", self.scopes[step.on], step.amount)
        if answer.kind is Kind.DONE:
            granted, scope = step.amount, answer.value
            if isinstance(scope, Granted):
                granted, scope = scope.amount, scope.scope
            self.tell(Delegate(account_id(step.on), account_id(step.new), Amount(granted)))
            self.scopes[step.new] = scope
        elif self._says_no(answer):
            self._refuse(step, f"delegate: {answer.why}")
        return True

    def _says_no(self, answer: Answer) -> bool:
        """Whether an answer is a refusal that must be right, and not a limit of the library."""
        return answer.kind is Kind.REFUSED or (self.adapter.complete and answer.kind in (Kind.REJECTED, Kind.STALE))

    def _refuse(self, step: Step, why: str, account: int | None = None) -> None:
        """Tell a refusal; of a closed account it is expected, whatever it is called."""
        name = account_id(step.on if account is None else account)
        known = self.state.account(name)
        # What calls that are still on their way to the provider have taken is not in the books yet.
        pending = sum(made.estimate for made in self.calls.values() if self._pending(made))
        if not known.closed and (not pending or step.amount + pending <= known.available):
            self.tell(Refuse(name, Amount(step.amount), why, agent_id(step.agent)))

    def _close(self, step: Step) -> bool:
        if step.on not in self.scopes:
            return False
        self._actor = step.agent
        account = self.state.account(account_id(step.on))
        event = Close(account.id)
        legal = not breaches(self.state, event)
        before = self._seen_by(step.on, account.parent)
        answer = self._ask("close", self.scopes[step.on])
        if answer.kind is Kind.HUNG:
            return True
        # A slice that should close and does not is told all the same where that is claimed never to happen: its owner
        # is gone, and what is in it is lost.
        if answer.kind is Kind.DONE:
            told = legal or self._loud(before, self._seen_by(step.on, account.parent))
        else:
            told = legal and account.parent is not None and self.adapter.complete
        if told:
            self.tell(event)
        return True

    def _loud(self, before: object, after: object) -> bool:
        """Whether a misuse that was answered with "done" is one: it moved money, or was claimed to be refused."""
        return self.adapter.strict or before != after

    def _seen_by(self, account: int, parent: AccountId | None) -> object:
        numbers = {account_id(n): n for n in self.scopes}
        scopes = [account] if parent is None else [account, numbers[parent]]
        return [self._look(n, quiet=True) for n in scopes]

    def _merge(self, step: Step) -> bool:
        if step.on not in self.scopes or step.new not in self.scopes:
            return False
        self._actor = step.agent
        target, source = self.state.account(account_id(step.on)), self.state.account(account_id(step.new))
        before = [self._seen_by(step.on, None), self._seen_by(step.new, None)]
        answer = self._ask("merge", self.scopes[step.on], self.scopes[step.new])
        if answer.kind is Kind.HUNG:
            return True
        event = Merge(target.id, source.id)
        legal = not breaches(self.state, event)
        after = [self._seen_by(step.on, None), self._seen_by(step.new, None)]
        if answer.kind is Kind.DONE:
            if legal or self._loud(before, after):
                self.tell(event)
        elif legal and self.adapter.complete:
            free = max(0, source.available)
            self.tell(Refuse(source.id, Amount(free), f"merge: {answer.why}", agent_id(step.agent)))
        return True

    # --------------------------------------------------------------------------------------- calls by hand

    def _reserve(self, step: Step) -> bool:
        if step.on not in self.scopes or step.new in self.handles or step.new in self.calls:
            return False
        self._actor = step.agent
        scope, gate = self.scopes[step.on], self.adapter.gate
        if gate is Gate.RESERVE or gate is Gate.CHARGE:
            answer = self._ask(gate.value, scope, step.amount)
        elif gate is Gate.CHECK:
            answer = self._ask("check", scope, step.amount)
            if answer.kind is Kind.DONE and not answer.value:
                answer = Answer(Kind.REFUSED, why="check says no")
        else:
            answer = Answer(Kind.DONE)
        if answer.kind is Kind.DONE:
            name = hold_id(step.new)
            self.tell(Reserve(account_id(step.on), name, Amount(step.amount), agent_id(step.agent)))
            self.handles[step.new] = answer.value
        elif self._says_no(answer):
            self._refuse(step, answer.why)
        return True

    def _send(self, step: Step) -> bool:
        if step.on not in self.handles:
            return False
        self._actor = step.agent
        hold = self.state.hold(hold_id(step.on))
        used = hold.state in RESOLVED
        if hold.state is HoldState.SENT and hold.billed + step.bill > hold.amount >= step.bill:
            return False  # two requests that share a hold too small for both: that would be our fault
        if "sent" in self.offers:
            answer = self._ask("sent", self.handles[step.on])
            if answer.kind is Kind.HUNG:
                return True
            if answer.kind is not Kind.DONE:
                if hold.state is HoldState.HELD or (not used and self.adapter.complete):
                    # the hold was good, so that turning its request away is a refusal of nothing
                    self._refuse(step, f"sent: {answer.why}", _number(hold.account))
                return True
        elif used:
            return False  # nobody was asked, so nobody can have said no
        if used and not self.adapter.strict:
            return True
        self._leave(hold.id, step.bill)
        return True

    def _leave(self, hold: HoldId, bill: int) -> CallId:
        self._sent += 1
        name = CallId(f"c{self._sent}")
        self.tell(Send(hold, name))
        self.tell(Bill(name, Amount(bill)))
        return name

    def _settle(self, step: Step) -> bool:
        if step.on not in self.handles:
            return False
        self._actor = step.agent
        hold = self.state.hold(hold_id(step.on))
        used, account = hold.state in RESOLVED, _number(hold.account)
        before = self._look(account)
        gate = self.adapter.gate
        if gate is Gate.CHECK or gate is Gate.RECORD:
            if used:
                return False
            answer = self._ask("record", self.scopes[account], hold.billed)
        elif gate is Gate.CHARGE and "settle" not in self.offers:
            if used:
                return False
            self.tell(Forfeit(hold.id))
            return True
        else:
            answer = self._ask("settle", self._handle(step.on, used=used), hold.billed)
        if answer.kind is Kind.HUNG:
            return True
        if not used and answer.kind is Kind.REFUSED and gate in (Gate.CHECK, Gate.RECORD):
            self.tell(Refuse(hold.account, Amount(hold.amount), answer.why, hold=hold.id))
        if answer.kind is Kind.DONE:
            told = not used or self._moved(account, before)
        else:  # the ledger was told what was billed, whatever it answered: what it made of that shows in what it says
            told = not used and (hold.state is HoldState.SENT or self.adapter.complete)
        if told:
            self.tell(Settle(hold.id, Amount(hold.billed)))
        return True

    def _handle(self, hold: int, *, used: bool) -> Any:
        """Return the handle of a hold; once that is used up, its copy where one could be made."""
        return self.clones.get(hold, self.handles[hold]) if used else self.handles[hold]

    def _end(self, step: Step, operation: str, event: type[Release | Forfeit], *, legal: bool) -> bool:
        self._actor = step.agent
        hold = self.state.hold(hold_id(step.on))
        account = _number(hold.account)
        before = self._look(account)
        answer = self._ask(operation, self._handle(step.on, used=hold.state in RESOLVED))
        if answer.kind is Kind.HUNG:
            return True
        done = answer.kind is Kind.DONE
        if (legal and (done or self.adapter.complete)) or (done and not legal and self._moved(account, before)):
            if hold.state is HoldState.SENT and event is Release:
                self.tell(Cancel(hold.id))  # why else would anybody give up a request that has left
            self.tell(event(hold.id))
        return True

    def _release(self, step: Step) -> bool:
        if step.on not in self.handles:
            return False
        state = self.state.hold(hold_id(step.on)).state
        if state is HoldState.SENT and "sent" not in self.offers:
            return False  # nobody told it that the request had left
        return self._end(step, "release", Release, legal=state is HoldState.HELD)

    def _forfeit(self, step: Step) -> bool:
        if step.on not in self.handles:
            return False
        return self._end(step, "forfeit", Forfeit, legal=self.state.hold(hold_id(step.on)).state not in RESOLVED)

    def _extend(self, step: Step) -> bool:
        if step.on not in self.handles:
            return False
        self._actor = step.agent
        hold = self.state.hold(hold_id(step.on))
        used, account = hold.state in RESOLVED, _number(hold.account)
        before = self._look(account)
        answer = self._ask("extend", self._handle(step.on, used=used), step.amount)
        if answer.kind is Kind.HUNG:
            return True
        if answer.kind is Kind.DONE:
            if not used or self._moved(account, before):
                self.tell(Extend(hold.id, Amount(step.amount)))
        elif hold.state is HoldState.SENT or (not used and self._says_no(answer)):
            self._refuse(step, f"extend: {answer.why}", account)
        return True

    # -------------------------------------------------------------------------- calls made by the library

    def _begin(self, step: Step) -> bool:
        if step.on not in self.scopes or step.new in self.calls or step.new in self.handles:
            return False
        made = _Call(
            step.new,
            step.on,
            step.agent,
            step.amount,
            step.bill,
            name=hold_id(step.new),
            coroutine=None,  # type: ignore[arg-type]  # it needs the provider, which needs the call
            before=self._look(step.on),
        )

        async def provider() -> int:
            self._reached(made)
            await _suspend()
            if made.how == "fail":
                raise ProviderError("the provider answered with an error")
            return made.bill

        made.coroutine = self.adapter.call(self.scopes[step.on], step.amount, provider)
        self.calls[step.new] = made
        self._resume(made)
        return True

    def _admitted(self, made: _Call, before: Says) -> None:
        """Tell the admission of a call that waits on its way to the provider, once its estimate is seen to be kept."""
        hold, now, was = made.name, self._look(made.account)[2], before[2]
        kept = now is not None and was is not None and was - now >= made.estimate > 0
        made.waited = True
        if made.place == "waiting" and hold not in self.state.holds and kept:
            made.keeps = True
            self.tell(Reserve(account_id(made.account), hold, Amount(made.estimate), agent_id(made.agent)))

    def _reached(self, made: _Call) -> None:
        """Tell that the library has admitted the call: its request is at the provider, and is billed now."""
        if made.name in self.state.holds and made.call:  # it sends again
            self._tried_before(made)
        if made.name not in self.state.holds:
            if made.waited and not made.estimate and self.state.account(account_id(made.account)).available < 0:
                self.spoiled = True  # nobody has seen when it was admitted: before the debt, or in it
                return
            self.tell(Reserve(account_id(made.account), made.name, Amount(made.estimate), agent_id(made.agent)))
        made.call = self._leave(made.name, made.bill)
        made.place = "at provider"
        now, was = self._look(made.account)[2], made.before[2]
        made.keeps = made.keeps or (now is not None and was is not None and now < was)

    def _tried_before(self, made: _Call) -> None:
        """Tell what became of the hold of the try before, if it has been resolved: then this one has its own."""
        spent, was = self._look(made.account)[0], made.resumed[0]
        grown = 0 if spent is None or was is None else spent - was
        if grown:
            bill = self.state.hold(made.name).billed
            settled = grown == bill != made.estimate
            self.tell(Settle(made.name, Amount(bill)) if settled else Forfeit(made.name))
            made.name = HoldId(f"{made.name}+")

    def _pending(self, made: _Call) -> bool:
        """Whether a call is on its way to the provider, and nobody knows yet whether it was admitted."""
        return made.place == "waiting" and made.name not in self.state.holds

    def _resume(self, made: _Call, error: BaseException | None = None) -> None:
        """Let a call run to its next suspension; when it ends, tell what became of its hold."""
        before = made.resumed = self._look(made.account)
        place = made.place
        try:
            with limit():
                yielded = made.coroutine.send(None) if error is None else made.coroutine.throw(error)
        except StopIteration:
            self._ended(made, before, Answer(Kind.DONE))
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001 - whatever a library lets out is an outcome
            answer = classify(self.adapter, raised)
            if answer.kind is Kind.FAILED and _ours(raised):
                answer = Answer(Kind.DONE)
            self._ended(made, before, answer)
        else:
            if yielded is _PROVIDER:
                made.place = "at provider"
            elif yielded is None:
                made.place = "waiting" if place == "waiting" else "returning"
                self._admitted(made, before)
            else:
                raise AdapterFailed(
                    f"{type(self.adapter).__name__}.call waits for {yielded!r}",
                    cause=NO_LOOP,
                    hint=_SPIN,
                )

    def _ended(self, made: _Call, before: Says, answer: Answer) -> None:
        reached, made.place = made.place not in ("waiting", ""), "ended"
        if answer.kind is Kind.FAILED:
            raise self._unclassified("call", answer)
        if answer.kind is Kind.HUNG:
            self._hang([made.agent])
            return
        if not reached and made.name in self.state.holds:
            self._resolved(made, before)
            return
        if not reached:
            step = Step("begin", made.agent, made.account, made.hold, made.estimate)
            if made.how != "cancel" and made.how != "crash":
                self._refuse(step, answer.why or "the call was not made")
            return
        hold = made.name
        if self.state.hold(hold).state in RESOLVED:
            return
        if answer.kind in (Kind.REFUSED, Kind.REJECTED, Kind.STALE):
            self.tell(Refuse(account_id(made.account), Amount(made.estimate), answer.why, agent_id(made.agent), hold))
        self._resolved(made, before)

    def _resolved(self, made: _Call, before: Says) -> None:
        """Tell what became of the hold of a call that has ended."""
        after = self._look(made.account)
        if made.how != "reply" and (before[0] is None or after[0] is None) and (before[2] is None or after[2] is None):
            self.spoiled = True  # nobody can say: from here on nothing could be judged
            return
        event = self._resolution(made, before, after)
        if event is not None:
            self.tell(event)

    def _resolution(self, made: _Call, before: Says, after: Says) -> Settle | Forfeit | Release | None:
        """Return what became of the hold of a call that ended, by how what the library says has changed.

        A call that got its reply is settled: the library was told. After anything else it has three honest ways:
        charge the bill, write off the estimate, or keep it; a fourth gives it back.
        """
        hold, known = made.name, self.state.hold(made.name)
        if made.how == "reply":
            return Settle(hold, Amount(made.bill))
        bill, sent = known.billed, known.state is HoldState.SENT
        back = 0 if before[2] is None or after[2] is None else after[2] - before[2]
        if before[0] is None or after[0] is None:
            grown = made.estimate - back if made.keeps else -back
        else:
            grown = after[0] - before[0]
        if grown or not made.estimate:  # writing nothing off looks like giving nothing back
            return Settle(hold, Amount(bill)) if grown == bill != made.estimate else Forfeit(hold)
        if back <= 0 and made.keeps:
            return None
        if before[2] is None and bill:  # kept, or given back: nobody can see it
            return None
        return Settle(hold, Amount(0)) if bill == 0 and sent else Release(hold)

    def _step(self, step: Step) -> bool:
        made = self.calls.get(step.on)
        if made is None or made.place not in ("waiting", "returning"):
            return False
        self._resume(made)
        return True

    def _provider_says(self, step: Step, how: str) -> bool:
        made = self.calls.get(step.on)
        if made is None or made.place != "at provider":
            return False
        self._actor = step.agent
        made.how, made.place = how, "returning"
        self._resume(made)
        return True

    def _reply(self, step: Step) -> bool:
        return self._provider_says(step, "reply")

    def _fail(self, step: Step) -> bool:
        """Let the provider answer with an error, although it has billed what it has billed (which may be 0)."""
        made = self.calls.get(step.on)
        if made is None or made.place != "at provider":
            return False
        self.tell(Timeout(made.call))
        return self._provider_says(step, "fail")

    def _cancel(self, step: Step) -> bool:
        """Cancel a call wherever it is suspended."""
        return self._give_up(step, "cancel", asyncio.CancelledError("the caller gave up"))

    def _crash(self, step: Step) -> bool:
        """Kill the task of a call: its ``finally`` blocks still run, nothing else does."""
        return self._give_up(step, "crash", GeneratorExit())

    def _give_up(self, step: Step, how: str, error: BaseException) -> bool:
        made = self.calls.get(step.on)
        if made is None or made.place == "ended":
            return False
        self._actor = step.agent
        made.how = how
        if not self._pending(made):
            self.tell(Cancel(made.name))
        if made.place == "at provider":
            made.place = "returning"
        self._resume(made, error)
        return True

    def finish(self) -> tuple[Finding, ...]:
        """Let what is suspended run on; whoever cannot, while nobody waits for the provider, hangs."""
        before = len(self.findings)
        if not self.spoiled and not self.at_provider:
            for _ in range(_ROUNDS):
                for number in self.waiting:
                    self._resume(self.calls[number])
                    self._observe()
                if self.at_provider or not self.waiting:
                    break
            else:
                self._hang([self.calls[n].agent for n in self.waiting])
        if not self.spoiled:
            self._abandoned()
        self.drop()
        return tuple(self.findings[before:])

    def drop(self) -> None:
        """Drop the calls that are still suspended, without listening any more: each may want to clean up slowly."""
        for made in self.calls.values():
            for _ in range(_PATIENCE if made.place != "ended" else 0):
                with contextlib.suppress(Exception, asyncio.CancelledError, GeneratorExit), limit():
                    made.coroutine.close()
                    break
            made.place = "ended"

    def _abandoned(self) -> None:
        """Tell of holds whose call has ended and that are not resolved: nobody will ever give them back."""
        left = [m for m in self.calls.values() if m.place == "ended" and m.how and self._left(m)]
        for made in left:
            self.tell(Crash(agent_id(made.agent)))
        if left:
            known = {(f.anomaly, f.facts) for f in self.findings}
            report = self.monitor.report()
            new = [f for f in report.findings if f.anomaly == "stranded" and (f.anomaly, f.facts) not in known]
            self.findings.extend(new)

    def _left(self, made: _Call) -> bool:
        """Whether the hold of a call that has ended is still kept, as far as what is seen can tell."""
        known = self.state.holds.get(made.name)
        return known is not None and known.state not in RESOLVED and made.keeps

    def _unresolved(self, hold: int) -> bool:
        known = self.state.holds.get(hold_id(hold))
        return known is not None and known.state not in RESOLVED

    # -------------------------------------------------------------------------------------------- misuse

    def _clone_hold(self, step: Step) -> bool:
        """Copy a handle; the copy is used as soon as the handle itself is used up."""
        handle = self.handles.get(step.on)
        if handle is None:
            return False
        twin = _copied(handle, deep=bool(step.amount))
        if twin is None or twin is handle:
            return True
        self.clones[step.on] = twin
        return True

    def _clone_scope(self, step: Step) -> bool:
        """Copy a scope; where the copy can spend and the original does not notice, it is a mint.

        A copy through which the same books are seen is only a second name: that is allowed.
        """
        if step.on not in self.scopes or step.new in self.scopes:
            return False
        account = self.state.account(account_id(step.on))
        scope = self.scopes[step.on]
        twin = _copied(scope, deep=bool(step.amount))
        if account.closed or twin is None or twin is scope:
            return True
        before, room = self._look(step.on), self.adapter.observe(twin)[2]
        if not room or room < 1 or self._ask("reserve", twin, 1).kind is not Kind.DONE:
            return True
        if self._look(step.on) != before:
            self.spoiled = True  # a second name of the same books: harmless, but the harness lost count
            return True
        self.tell(Delegate(account.id, account_id(step.new), Amount(room)))
        self.scopes[step.new] = twin
        self.tell(self._heard(step.on) or Observe(account.id, 0, 0))
        self.spoiled = True
        return True

    def _bad(self, step: Step) -> bool:
        """Offer something that is no amount; who takes it has taken anything."""
        operation = PROBED[step.new % len(PROBED)]
        if operation not in self.offers:
            return False
        values = BAD_FOR_STRICT if self.adapter.strict else BAD_AMOUNTS
        value = values[step.amount % len(values)]
        if operation in ("settle", "extend"):
            if step.on not in self.handles or not self._unresolved(step.on):
                return False
            subject, account = self.handles[step.on], _number(self.state.hold(hold_id(step.on)).account)
        else:
            if step.on not in self.scopes or self.state.account(account_id(step.on)).closed:
                return False
            subject, account = self.scopes[step.on], step.on
        args = (value,) if operation == "open" else (subject, value)
        before = self._look(account)
        try:
            answer = self._ask(operation, *args)
        except AdapterFailed:
            answer = Answer(Kind.FAILED)  # any exception says no
        taken = answer.kind is Kind.DONE and not (operation == "check" and not answer.value)
        # Refused, and yet the books have moved, nobody knows by how much: `inf` counted, then turned away.
        if taken or self._look(account, quiet=True) != before:
            self.tell(Accept(account_id(account), operation, repr(value)))
            self.spoiled = True
        return True

    # --------------------------------------------------------------------------------------- what it says

    def _heard(self, number: int) -> Observe | None:
        spent, held, remaining = self._look(number)
        if spent is None or remaining is None:
            return None
        if self.adapter.gate is Gate.CHARGE:  # what it debits before the call is held until the call has ended
            outstanding = self.state.accounts[account_id(number)].held
            spent, held = spent - outstanding, outstanding
        return Observe(account_id(number), spent, remaining, held, **self._balances(number))

    def _balances(self, number: int) -> Mapping[str, int]:
        """Return the further balances that an account tells, if it tells any."""
        if "balances" not in self.offers:
            return {}
        told = self._read("balances", self.adapter.balances, number) or {}
        if odd := [name for name, value in told.items() if name not in TOLD or type(value) is not int]:
            raise AdapterFailed(
                f"{type(self.adapter).__name__}.balances returned {odd[0]!r}: {told[odd[0]]!r}",
                cause="that is no balance of ours, or no whole number",
                hint=f"return a mapping of some of {', '.join(TOLD)} to int",
            )
        return told

    def _observe(self) -> None:
        """Listen to every open scope; what says the same of the same books as before is not told again.

        One that tells all its balances still does so when it has ended.
        """
        if self.spoiled or any(self._pending(made) for made in self.calls.values()):
            return
        for number in self.scopes if "balances" in self.offers else self.opened:
            heard = self._heard(number)
            if heard is None:
                continue
            account = self.state.accounts[account_id(number)]
            said = heard, balances(account)
            if self._said.get(number) != said:
                self._said[number] = said
                self.tell(heard)

    def journal(self, number: int = 0) -> list[str]:
        """Return the journal of the root of an account."""
        lines: list[str] = self.adapter.journal(self.scopes[number])
        return lines

    # ------------------------------------------------------------------------------------------ the story

    def program(self) -> str:
        """Return the steps done so far as Python that can be pasted."""
        return written(self.steps, type(self.adapter).__name__, type(self.adapter).__module__)

    def story(self) -> str:
        """Return the run in words: each step, its events, and what the monitor found."""
        replay = Lockstep(type(self.adapter)())
        parts: list[tuple[str, int, tuple[Finding, ...]]] = []
        for number, step in enumerate(self.steps, start=1):
            found = replay.do(step)
            parts.append((f"[{number}] {call(step)}", len(replay.events), found))
        if ended := replay.finish():
            parts.append(("[end]", len(replay.events), ended))
        wrong = {id(finding) for finding in replay.wrong()}
        lines: list[str] = []
        heard = 0
        for head, until, found in parts:
            lines += [head, *_told(replay.events[heard:until], found, wrong)]
            heard = until
        report = replay.report()
        if report.refuted is not None:
            lines.append(f"hence not {report.refuted.label}: at most {report.strongest.label}")
        elif not replay.wrong():
            lines.append("nothing is wrong")
        return "\n".join(lines)


def _told(events: list[Event], found: tuple[Finding, ...], wrong: set[int]) -> list[str]:
    """Return events as JSON, and findings; of what an implementation says only what is wrong."""
    about = {id(f.event) for f in found}
    shown = [e for e in events if not isinstance(e, Observe) or id(e) in about]
    lines = [f"      {json.dumps(event_to_dict(e))}" for e in shown]
    for finding in found:
        mark, why = ("**", "") if id(finding) in wrong else ("--", "; a bill above its hold explains it")
        lines.append(f"   {mark} {finding.anomaly}: {finding.sentence}{why}")
    return lines


def _failed(what: str, cause: str, hint: str) -> AdapterFailed:
    failed = AdapterFailed(what, cause=cause, hint=hint)
    failed.add_note(f"{cause}; {hint}")  # a test runner shows this one
    return failed


def _ours(error: BaseException) -> bool:
    """Whether an error comes from the provider or from a cancellation of ours, however often it was wrapped."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        if isinstance(step, ProviderError | asyncio.CancelledError | GeneratorExit):
            return True
        seen.add(id(step))
        step = step.__cause__ or step.__context__
    return False


def _counts(value: object) -> bool:
    """Whether something can be compared with a balance; NaN compares with nothing."""
    return isinstance(value, int | float | Decimal | Fraction) and not isinstance(value, bool) and value == value


def _copied(handle: Any, *, deep: bool) -> Any:
    try:
        return copy.deepcopy(handle) if deep else copy.copy(handle)
    except Exception:  # noqa: BLE001 - a refused copy is what is hoped for, however it is refused
        return None


def provider_file() -> str:
    """Return the file in which a call waits for the provider: what is suspended there is ours, not the library's."""
    return _suspend.__code__.co_filename


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


def _number(name: AccountId) -> int:
    return int(name[1:])


balances = attrgetter(*TOLD, "held", "closed")
"""What an account can be seen by: a bill moves nothing of it."""

_ROUNDS = 60
_PATIENCE = 3
