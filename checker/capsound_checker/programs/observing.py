"""What the accounts say of themselves, told to the monitor after every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from capsound.adapter import Gate
from capsound.amounts import AccountId
from capsound.events import TOLD, Observe
from capsound_checker.programs.asking import AdapterFailed, Asker, checked_observation
from capsound_checker.programs.record import Record, account_id

balances = attrgetter(*TOLD, "held", "closed")
"""What an account can be seen by: a bill moves nothing of it."""

Said = tuple[Any, ...]
"""The fields of an ``Observe``."""


class Observer:
    """Observes every account after a step, and tells what is new."""

    __slots__ = ("_asker", "_charges", "_last_observed", "_record", "_with_balances", "_with_remaining")

    def __init__(self, record: Record, asker: Asker) -> None:
        self._record = record
        self._asker = asker
        self._last_observed: dict[AccountId, tuple[object, tuple[int, ...]]] = {}
        self._charges = record.adapter.gate is Gate.CHARGE
        self._with_balances = "balances" in record.offers
        self._with_remaining = "remaining" in record.offers

    def observation(self, number: int) -> Observe | None:
        """Return what an account says of itself as an event; None where it does not say enough."""
        said = self._said(number)
        return None if said is None else Observe(*said)

    def _said(self, number: int) -> Said | None:
        """Return the fields of the event by which an account says what it does; None where that is not enough."""
        record = self._record
        spent, held, remaining = self._asker.observed(number)
        if spent is None or (remaining is None and self._with_remaining):
            return None
        if self._charges:  # what it debits before the call is held until the call has ended
            outstanding = record.monitor.state.accounts[account_id(number)].held
            spent, held = spent - outstanding, outstanding
        if remaining is None:  # it says only what it has spent: whatever it sees is left after that is not judged
            account = record.monitor.state.accounts[account_id(number)]
            remaining = account.available + account.spent - spent
        if not self._with_balances:
            return account_id(number), spent, remaining, held
        given = {**self._balances(number)}
        return account_id(number), spent, remaining, held, *map(given.get, TOLD)

    def _further(self, number: int) -> Iterator[Observe]:
        """Yield what an account says of itself in further dimensions, as far as it says anything there."""
        record = self._record
        if "observe_in" not in record.offers or not record.several:
            return
        adapter = record.adapter
        for dimension in record.dimensions[1:]:
            spent, held, remaining = checked_observation(self._asker, adapter, number, quiet=False, dimension=dimension)
            if spent is None or remaining is None:
                continue
            name = AccountId(f"{account_id(number)}/{dimension}")
            if adapter.gate is Gate.CHARGE:
                outstanding = record.state.accounts[name].held
                spent, held = spent - outstanding, outstanding
            yield Observe(name, spent, remaining, held)

    def _balances(self, number: int) -> Mapping[str, int]:
        """Return the further balances that an account tells."""
        adapter = self._record.adapter
        given = self._asker.read("balances", adapter.balances, number) or {}
        if odd := [name for name, value in given.items() if name not in TOLD or type(value) is not int]:
            raise AdapterFailed(
                f"{type(adapter).__name__}.balances returned {odd[0]!r}: {given[odd[0]]!r}",
                cause="that is no balance of ours, or no whole number",
                hint=f"return a mapping of some of {', '.join(TOLD)} to int",
            )
        return given

    def observe(self) -> None:
        """Tell what every open account says; the same of the same books as before is not told again.

        One that tells all its balances still does so when it has ended.
        """
        record = self._record
        if record.spoiled:
            return
        for call in record.calls.values():
            if record.pending(call):
                return
        for number in record.scopes if self._with_balances else record.opened:
            said = self._said(number)
            if said is not None and self._is_new(said[0], said):
                record.say(Observe, *said)
            for one in self._further(number):
                if self._is_new(one.account, one):
                    record.tell(one)

    def _is_new(self, account: AccountId, said: object) -> bool:
        """Return whether an account has not said that of the books as they are; it is remembered."""
        observed = said, balances(self._record.monitor.state.accounts[account])
        new = self._last_observed.get(account) != observed
        self._last_observed[account] = observed
        return new
