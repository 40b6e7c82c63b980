"""Misuse on purpose: copies of handles and scopes, and amounts that are none."""

from __future__ import annotations

import copy
from typing import Any

from capsound.accounts import RESOLVED
from capsound.adapter import Answer, Kind
from capsound.amounts import Amount
from capsound.events import Accept, Delegate, Observe
from capsound_checker.programs.asking import AdapterFailed, Asker
from capsound_checker.programs.observing import Observer
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import NOT_OBSERVED, Observed, Record, account_id, account_number, hold_id

BAD_AMOUNTS: tuple[Any, ...] = (-1, float("nan"), float("inf"), float("-inf"), "5", -(10**30))
"""What nobody may accept as an amount."""

BAD_FOR_STRICT: tuple[Any, ...] = (*BAD_AMOUNTS, True, 1.5, 2.0, None, [], b"5", 1 + 0j)
"""What one that claims to refuse every misuse may not accept either."""

PROBED = ("reserve", "settle", "delegate", "extend", "open", "charge", "record", "check")
"""Which operations are probed with bad amounts: the number is the ``new`` of a ``bad`` step."""


class Misuse:
    """Every method does one step; it returns False where the step refers to nothing, and is skipped."""

    __slots__ = ("_ask", "_observed", "_observer", "_record")

    def __init__(self, record: Record, asker: Asker, observer: Observer) -> None:
        self._record = record
        self._ask = asker.ask
        self._observed = asker.observed
        self._observer = observer

    def clone_hold(self, step: Step) -> bool:
        """Copy a handle; the copy is used as soon as the handle itself is used up."""
        handle = self._record.handles.get(step.on)
        if handle is None:
            return False
        twin = self._copied(handle, deep=bool(step.amount))
        if twin is None or twin is handle:
            return True
        self._record.clones[step.on] = twin
        return True

    def clone_scope(self, step: Step) -> bool:
        """Copy a scope; where the copy can spend and the original does not notice, it is a mint.

        A copy through which the same books are seen is only a second name: that is allowed.
        """
        record = self._record
        if step.on not in record.scopes or step.new in record.scopes:
            return False
        account = record.state.account(account_id(step.on))
        scope = record.scopes[step.on]
        twin = self._copied(scope, deep=bool(step.amount))
        if account.closed or twin is None or twin is scope:
            return True
        before, room = self._observed(step.on), record.adapter.observe(twin)[2]
        if not room or room < 1 or self._ask("reserve", twin, 1).kind is not Kind.DONE:
            return True
        if self._observed(step.on) != before:
            record.spoiled = True  # a second name of the same books: harmless, but the harness lost count
            return True
        record.tell(Delegate(account.id, account_id(step.new), Amount(room)))
        record.scopes[step.new] = twin
        record.tell(self._observer.observation(step.on) or Observe(account.id, 0, 0))
        record.spoiled = True
        return True

    def _copied(self, handle: Any, *, deep: bool) -> Any:
        """Return a copy, or None where it is refused; what lives in another process is copied there."""
        there = getattr(self._record.adapter, "copied", None)
        try:
            if there is not None:
                return there(handle, deep=deep)
            return copy.deepcopy(handle) if deep else copy.copy(handle)
        except Exception:  # noqa: BLE001 - a refused copy is what is hoped for, however it is refused
            return None

    def bad(self, step: Step) -> bool:
        """Offer something that is no amount; who takes it has taken anything."""
        record = self._record
        operation = PROBED[step.new % len(PROBED)]
        if operation not in record.offers:
            return False
        values = BAD_FOR_STRICT if record.adapter.strict else BAD_AMOUNTS
        value = values[step.amount % len(values)]
        if operation in ("settle", "extend"):
            if step.on not in record.handles or not self._unresolved(step.on):
                return False
            subject = record.handles[step.on]
            account = account_number(record.state.hold(hold_id(step.on)).account)
        else:
            if step.on not in record.scopes or record.state.account(account_id(step.on)).closed:
                return False
            subject, account = record.scopes[step.on], step.on
        args = (value,) if operation == "open" else (subject, value)
        before = self._observed(account)
        try:
            answer = self._ask(operation, *args)
        except AdapterFailed:
            answer = Answer(Kind.FAILED)  # any exception says no
        taken = answer.kind is Kind.DONE and not (operation == "check" and not answer.value)
        # Refused, and yet the books have moved, nobody knows by how much: `inf` counted, then turned away.
        if taken or self._has_moved(account, before):
            record.tell(Accept(account_id(account), operation, repr(value)))
            record.spoiled = True
        elif before == NOT_OBSERVED:  # one that says something would have been caught if its books had moved
            record.spoiled = True
        return True

    def _has_moved(self, account: int, before: Observed) -> bool:
        """Whether an account says something else than before, if what it says is a number at all."""
        try:
            return self._observed(account, quiet=True) != before
        except AdapterFailed:  # it said numbers before
            return True

    def _unresolved(self, hold: int) -> bool:
        known = self._record.state.holds.get(hold_id(hold))
        return known is not None and known.state not in RESOLVED
