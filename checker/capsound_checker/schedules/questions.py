"""Asking an implementation on an event loop: the whole run is under one time limit, and an answer may be awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from capsound.accounts import State
from capsound.adapter import Adapter, Answer, Gate, Kind, ask, classify
from capsound.events import Observe
from capsound_checker.programs.asking import AdapterFailed, checked_observation, unclassified
from capsound_checker.programs.observing import Observer
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import NOT_OBSERVED, Observed, Record, account_id
from capsound_checker.programs.watch import Hung
from capsound_checker.schedules.eventloop import Loop
from capsound_checker.schedules.runstate import RunState

T = TypeVar("T")


class UnlimitedAsker:
    """An ``Asker`` without a time limit of its own; it gives the answer that was awaited, where there is one."""

    __slots__ = ("_adapter", "_loop", "_observe", "_observed", "_record", "_two", "awaited_answer")

    def __init__(self, record: Record, loop: Loop) -> None:
        self._record = record
        self._adapter = record.adapter
        self._observe = record.adapter.observe
        told = record.offers
        self._two = (
            getattr(self._observe, "__func__", None) is Adapter.observe
            and "spent" in told
            and "remaining" in told
            and "held" not in told
        )
        """Whether ``spent`` and ``remaining`` are all that accounts say, and nobody says it faster."""
        self._loop = loop
        self._observed: dict[int, Observed] = {}
        self.awaited_answer: Answer | None = None
        """The answer to the next question, which an agent has awaited."""

    def ask(self, operation: str, *args: Any) -> Answer:
        """Do as ``Asker`` says."""
        if self.awaited_answer is not None:
            answer, self.awaited_answer = self.awaited_answer, None
            return answer
        self._observed.clear()
        answer = ask(self._adapter, operation, *args)  # the run as a whole has a time limit
        if answer.kind is Kind.HUNG:
            self._record.stall([self._record.current_agent])
        elif answer.kind is Kind.FAILED:
            raise self.unclassified(operation, answer)
        return answer

    def observed(self, number: int, *, quiet: bool = False) -> Observed:
        """Do as ``Asker`` says."""
        record = self._record
        if record.spoiled:
            return NOT_OBSERVED
        try:
            scope = record.scopes[number]
            if self._two:
                return self._adapter.spent(scope), None, self._adapter.remaining(scope)
            return self._observe(scope)
        except Hung:
            raise
        except Exception:  # noqa: BLE001 - asked again, and told as always
            return checked_observation(self, self._adapter, number, quiet=quiet)

    def observed_between_steps(self, number: int) -> Observed:
        """Return what an account says: between two steps nobody can change it, and it is asked once."""
        observed = self._observed.get(number)
        if observed is None:
            observed = self._observed[number] = self.observed(number)
        return observed

    def forget(self) -> None:
        """Forget what the accounts said: a step comes."""
        self._observed.clear()

    def read(self, what: str, read: Callable[[Any], T], number: int, *, quiet: bool = False) -> T | None:
        """Do as ``Asker`` says."""
        record = self._record
        if record.spoiled:
            return None
        try:
            return read(record.scopes[number])
        except Hung:
            raise
        except Exception as error:
            if not quiet and not record.state.accounts[account_id(number)].closed:
                raise self.unclassified(what, classify(self._adapter, error)) from error
        return None

    def unclassified(self, operation: str, answer: Answer) -> AdapterFailed:
        """Do as ``Asker`` says. Raises ``NeedsRealLoop`` where that is why the operation failed."""
        if self._loop.needs is not None:
            raise self._loop.needs
        return unclassified(self._adapter, operation, answer)


class ScheduleObserver:
    """Does what ``Observer`` does, a little faster, and only while nobody awaits an operation."""

    __slots__ = ("_asker", "_by_hand", "_charges", "_last_observed", "_record", "_run", "_same", "_with_balances")

    def __init__(self, run: RunState, asker: UnlimitedAsker) -> None:
        self._run = run
        self._record = record = run.record
        self._asker = asker
        self._charges = record.adapter.gate is Gate.CHARGE
        self._by_hand = record.adapter.gate is not Gate.CALL
        self._last_observed: dict[int, object] = {}
        self._same: dict[int, tuple[State, Observed]] = {}
        """With which books each account said what, when it was compared last: nothing can be new while both stay."""
        self._with_balances = Observer(record, asker) if "balances" in record.offers else None

    def observe(self) -> None:
        """Tell what every open account says; the same of the same books as before is not told again."""
        record = self._record
        if record.spoiled:
            return
        if self._by_hand:
            for agent in self._run.agents:
                if agent.awaits is not None:
                    return
        if self._with_balances is not None:
            self._with_balances.observe()
            return
        state = record.monitor.state
        for call in record.calls.values():
            if call.place == "waiting" and call.hold_id not in state.holds:
                return
        accounts, same = state.accounts, self._same
        for number in record.scopes:
            account = accounts[account_id(number)]
            if account.closed:
                continue
            observed = self._asker.observed_between_steps(number)
            known = same.get(number)
            if known is not None and known[0] is state and known[1] == observed:
                continue
            same[number] = state, observed
            books = account.available, account.held, account.charged, account.forfeited, account.delegated
            both = observed, books, account.returned
            if self._last_observed.get(number) != both:
                spent, held, remaining = observed
                if spent is None or remaining is None:
                    continue
                self._last_observed[number] = both
                if self._charges:  # what it debits before the call is held until the call has ended
                    spent, held = spent - account.held, account.held
                record.say(Observe, account.id, spent, remaining, held)


def refusal_excused(run: RunState) -> Callable[[Step, int], bool]:
    """Return whether there was a moment, while a refusal was being made, at which it was right."""

    def excused(step: Step, account: int) -> bool:
        others = sum(a.awaits[1] for a in run.agents if a.awaits is not None and a.number != step.agent)
        least = run.least_available.get(step.agent)
        free = run.available(account)
        right = free - others if least is None else min(free - others, least)
        return right < step.amount <= free

    return excused
