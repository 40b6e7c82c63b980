"""The operations of a budget, one step each: what the implementation answers, and the event that this becomes."""

from __future__ import annotations

from typing import Any

from capsound.accounts import RESOLVED, HoldState, breaches
from capsound.adapter import Answer, Gate, Granted, Kind
from capsound.amounts import AccountId, Amount
from capsound.events import (
    Bill,
    Cancel,
    Close,
    Delegate,
    Extend,
    Forfeit,
    Merge,
    Open,
    Refuse,
    Release,
    Reserve,
    Settle,
)
from capsound.rolled_up import CeilingMonitor
from capsound.sizes import REQUESTS
from capsound_checker.programs.asking import AdapterFailed, Asker, failed
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import Observed, Record, account_id, account_number, agent_id, hold_id


class Operations:
    """Every method does one step; it returns False where the step refers to nothing, and is skipped."""

    __slots__ = ("_adapter", "_ask", "_observed", "_record")

    def __init__(self, record: Record, asker: Asker) -> None:
        self._record = record
        self._adapter = record.adapter
        self._ask = asker.ask
        self._observed = asker.observed

    # --------------------------------------------------------------------------------- accounts and slices

    def open(self, step: Step) -> bool:
        """Open a root."""
        record = self._record
        if step.new in record.scopes or self._is_no_cap(step):
            return False
        record.current_agent = step.agent
        name, cap = account_id(step.new), Amount(step.amount)
        answer = self._ask("open", record.sized(Open(name, cap)) if record.several else cap)
        if answer.kind is Kind.HUNG:
            return True
        if answer.kind is not Kind.DONE:
            if step.amount > 0 or self._adapter.complete:
                raise self._unopened(step.amount, answer)
            return False
        record.say(Open, name, cap)
        record.scopes[step.new] = answer.value
        return True

    def _is_no_cap(self, step: Step) -> bool:
        """Whether an account of this size would have no cap, as the adapter says: nothing is to be judged there."""
        return self._adapter.zero_is_unlimited and step.amount == 0

    def _unopened(self, cap: int, answer: Answer) -> AdapterFailed:
        """Return the error for a root that cannot be opened: there would be nothing to judge, and nothing wrong."""
        return failed(
            f"{type(self._adapter).__name__}.open({cap}) was {answer.kind}: {answer.why}",
            "without a root there is nothing to judge, and every cap that is a whole number above 0 is a cap",
            "let the adapter scale the unit, if the library wants larger caps",
        )

    def delegate(self, step: Step) -> bool:
        """Delegate a slice of an account."""
        record = self._record
        if step.on not in record.scopes or step.new in record.scopes or self._is_no_cap(step):
            return False
        record.current_agent = step.agent
        answer = self._ask("delegate", record.scopes[step.on], step.amount)
        if answer.kind is Kind.DONE:
            granted, scope = step.amount, answer.value
            if isinstance(scope, Granted):
                granted, scope = scope.amount, scope.scope
            record.tell(Delegate(account_id(step.on), account_id(step.new), Amount(granted)))
            record.scopes[step.new] = scope
        elif self._must_be_right(answer):
            record.refuse(step, f"delegate: {answer.why}")
        return True

    def _must_be_right(self, answer: Answer) -> bool:
        """Whether an answer is a refusal that must be right, and not a limit of the library."""
        return answer.kind is Kind.REFUSED or (self._adapter.complete and answer.kind in (Kind.REJECTED, Kind.STALE))

    def ceiling(self, step: Step) -> bool:
        """Open a ceiling under an account."""
        record = self._record
        if step.on not in record.scopes or step.new in record.scopes or self._is_no_cap(step):
            return False
        monitor = record.monitor
        assert isinstance(monitor, CeilingMonitor)
        record.current_agent = step.agent
        child, parent = account_id(step.new), account_id(step.on)
        event = Open(child, Amount(step.amount))
        answer = self._ask("ceiling", record.scopes[step.on], record.sized(event))
        if answer.kind is Kind.DONE:
            record.under[child] = parent
            monitor.under(child, parent)
            record.tell(event)
            record.scopes[step.new] = answer.value
        elif answer.kind is not Kind.HUNG and (step.amount > 0 or self._adapter.complete):
            raise self._unopened(step.amount, answer)
        return answer.kind in (Kind.DONE, Kind.HUNG)

    def close(self, step: Step) -> bool:
        """Close an account."""
        record = self._record
        if step.on not in record.scopes:
            return False
        record.current_agent = step.agent
        account = record.state.account(account_id(step.on))
        event = Close(account.id)
        legal = not breaches(record.state, event)
        before = self._observed_with_parent(step.on, account.parent)
        answer = self._ask("close", record.scopes[step.on])
        if answer.kind is Kind.HUNG:
            return True
        # A slice that should close and does not is told all the same where that is claimed never to happen: its owner
        # is gone, and what is in it is lost.
        if answer.kind is Kind.DONE:
            happened = legal or self._is_misuse(before, self._observed_with_parent(step.on, account.parent))
        else:
            happened = legal and account.parent is not None and self._adapter.complete
        if happened:
            record.tell(event)
        return True

    def _is_misuse(self, before: object, after: object) -> bool:
        """Whether a misuse that was answered with "done" is one: it moved money, or was claimed to be refused."""
        return self._adapter.strict or before != after

    def _has_moved(self, account: int, before: Observed) -> bool:
        """Whether a misuse that was answered with "done" is one, as far as can be seen of an account now."""
        return self._is_misuse(before, self._observed(account, quiet=True))

    def _observed_with_parent(self, account: int, parent: AccountId | None) -> object:
        numbers = {account_id(n): n for n in self._record.scopes}
        scopes = [account] if parent is None else [account, numbers[parent]]
        return [self._observed(n, quiet=True) for n in scopes]

    def merge(self, step: Step) -> bool:
        """Merge the account ``new`` into the account ``on``."""
        record = self._record
        if step.on not in record.scopes or step.new not in record.scopes:
            return False
        record.current_agent = step.agent
        target, source = record.state.account(account_id(step.on)), record.state.account(account_id(step.new))
        before = [self._observed_with_parent(step.on, None), self._observed_with_parent(step.new, None)]
        answer = self._ask("merge", record.scopes[step.on], record.scopes[step.new])
        if answer.kind is Kind.HUNG:
            return True
        event = Merge(target.id, source.id)
        legal = not breaches(record.state, event)
        after = [self._observed_with_parent(step.on, None), self._observed_with_parent(step.new, None)]
        if answer.kind is Kind.DONE:
            if legal or self._is_misuse(before, after):
                record.tell(event)
        elif legal and self._adapter.complete:
            free = max(0, source.available)
            record.tell(Refuse(source.id, Amount(free), f"merge: {answer.why}", agent_id(step.agent)))
        return True

    # --------------------------------------------------------------------------------------- calls by hand

    def reserve(self, step: Step) -> bool:
        """Ask for the admission of a call, by whatever gates calls."""
        record = self._record
        if step.on not in record.scopes or step.new in record.handles or step.new in record.calls:
            return False
        record.current_agent = step.agent
        scope, gate = record.scopes[step.on], self._adapter.gate
        event = Reserve(account_id(step.on), hold_id(step.new), Amount(step.amount), agent_id(step.agent))
        if gate is Gate.RESERVE or gate is Gate.CHARGE:
            answer = self._ask(gate.value, scope, record.sized(event))
        elif gate is Gate.CHECK:
            answer = self._ask("check", scope, record.sized(event))
            if answer.kind is Kind.DONE and not answer.value:
                answer = Answer(Kind.REFUSED, why="check says no")
        else:
            answer = Answer(Kind.DONE)
        if answer.kind is Kind.DONE:
            record.tell(event)
            record.handles[step.new] = answer.value
            record.reserved[step.new] = record.now
        elif self._must_be_right(answer):
            record.refuse(step, answer.why)
        return True

    def send(self, step: Step) -> bool:
        """Send a request under a hold: the provider bills it."""
        record = self._record
        if step.on not in record.handles:
            return False
        record.current_agent = step.agent
        hold = record.state.hold(hold_id(step.on))
        used = hold.state in RESOLVED
        if hold.state is HoldState.SENT and hold.billed + step.bill > hold.amount >= step.bill:
            return False  # two requests that share a hold too small for both: that would be our fault
        if hold.state is HoldState.SENT and REQUESTS in record.dimensions:
            return False  # the same, where a hold is for one request
        if "sent" in record.offers:
            answer = self._ask("sent", record.handles[step.on])
            if answer.kind is Kind.HUNG:
                return True
            if answer.kind is not Kind.DONE:
                if hold.state is HoldState.HELD or (not used and self._adapter.complete):
                    # the hold was good, so that turning its request away is a refusal of nothing
                    record.refuse(step, f"sent: {answer.why}", account_number(hold.account))
                return True
        elif used:
            return False  # nobody was asked, so nobody can have said no
        if used and not self._adapter.strict:
            return True
        record.tell_request(hold.id, step.bill)
        return True

    def bill(self, step: Step) -> bool:
        """Let the provider bill more for the last request under a hold, which has left before."""
        record = self._record
        call = record.calls.get(step.on)
        name = hold_id(step.on) if call is None else call.hold_id
        hold = record.state.holds.get(name)
        if hold is None or hold.state is not HoldState.SENT or (call is not None and call.place != "at provider"):
            return False
        request = [call for call, owner in record.state.calls.items() if owner == name][-1]
        if call is not None:
            call.bill += step.bill
        record.tell(Bill(request, Amount(step.bill)))
        return True

    def settle(self, step: Step) -> bool:
        """Settle a hold at what it was billed."""
        record = self._record
        if step.on not in record.handles:
            return False
        record.current_agent = step.agent
        hold = record.state.hold(hold_id(step.on))
        used, account = hold.state in RESOLVED, account_number(hold.account)
        before = self._observed(account)
        gate = self._adapter.gate
        event = Settle(hold.id, Amount(hold.billed))
        if gate is Gate.CHECK or gate is Gate.RECORD:
            if used:
                return False
            answer = self._ask("record", record.scopes[account], record.sized(event))
        elif gate is Gate.CHARGE and "settle" not in record.offers:
            if used:
                return False
            record.tell(Forfeit(hold.id))
            return True
        else:
            answer = self._ask("settle", self._handle(step.on, used=used), record.sized(event))
        if answer.kind is Kind.HUNG:
            return True
        if not used and answer.kind is Kind.REFUSED and gate in (Gate.CHECK, Gate.RECORD):
            record.tell(Refuse(hold.account, Amount(hold.amount), answer.why, hold=hold.id))
        if answer.kind is Kind.DONE:
            happened = not used or self._has_moved(account, before)
        else:  # the ledger was told what was billed, whatever it answered: what it made of that shows in what it says
            happened = not used and (hold.state is HoldState.SENT or self._adapter.complete)
        if happened:
            record.tell(event)
        return True

    def _handle(self, hold: int, *, used: bool) -> Any:
        """Return the handle of a hold; once that is used up, its copy where one could be made."""
        record = self._record
        return record.clones.get(hold, record.handles[hold]) if used else record.handles[hold]

    def release(self, step: Step) -> bool:
        """Release a hold: nothing was sent under it."""
        record = self._record
        if step.on not in record.handles:
            return False
        state = record.state.hold(hold_id(step.on)).state
        if state is HoldState.SENT and "sent" not in record.offers:
            return False  # nobody told it that the request had left
        return self._resolve(step, "release", Release, legal=state is HoldState.HELD)

    def forfeit(self, step: Step) -> bool:
        """Forfeit a hold: what was billed is not known."""
        record = self._record
        if step.on not in record.handles:
            return False
        legal = record.state.hold(hold_id(step.on)).state not in RESOLVED
        return self._resolve(step, "forfeit", Forfeit, legal=legal)

    def _resolve(self, step: Step, operation: str, event: type[Release | Forfeit], *, legal: bool) -> bool:
        record = self._record
        record.current_agent = step.agent
        hold = record.state.hold(hold_id(step.on))
        account = account_number(hold.account)
        before = self._observed(account)
        answer = self._ask(operation, self._handle(step.on, used=hold.state in RESOLVED))
        if answer.kind is Kind.HUNG:
            return True
        done = answer.kind is Kind.DONE
        if (legal and (done or self._adapter.complete)) or (done and not legal and self._has_moved(account, before)):
            if hold.state is HoldState.SENT and event is Release:
                record.tell(Cancel(hold.id))  # why else would anybody give up a request that has left
            record.tell(event(hold.id))
        return True

    def extend(self, step: Step) -> bool:
        """Extend a hold."""
        record = self._record
        if step.on not in record.handles:
            return False
        record.current_agent = step.agent
        hold = record.state.hold(hold_id(step.on))
        used, account = hold.state in RESOLVED, account_number(hold.account)
        before = self._observed(account)
        event = Extend(hold.id, Amount(step.amount))
        answer = self._ask("extend", self._handle(step.on, used=used), record.sized(event))
        if answer.kind is Kind.HUNG:
            return True
        if answer.kind is Kind.DONE:
            if not used or self._has_moved(account, before):
                record.tell(event)
        elif hold.state is HoldState.SENT or (not used and self._must_be_right(answer)):
            record.refuse(step, f"extend: {answer.why}", account)
        return True
