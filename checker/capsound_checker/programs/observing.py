"""What the accounts say of themselves, told to the monitor after every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

from capsound.adapter import Gate
from capsound.amounts import AccountId
from capsound.events import TOLD, Observe
from capsound_checker.programs.asking import AdapterFailed, Asker, checked_observation
from capsound_checker.programs.record import Record, account_id

balances = attrgetter(*TOLD, "held", "closed")
"""What an account can be seen by: a bill moves nothing of it."""


class Observer:
    """Observes every account after a step, and tells what is new."""

    __slots__ = ("_asker", "_last_observed", "_record")

    def __init__(self, record: Record, asker: Asker) -> None:
        self._record = record
        self._asker = asker
        self._last_observed: dict[AccountId, tuple[Observe, tuple[int, ...]]] = {}

    def observation(self, number: int) -> Observe | None:
        """Return what an account says of itself as an event; None where it does not say enough."""
        record = self._record
        spent, held, remaining = self._asker.observed(number)
        if spent is None or remaining is None:
            return None
        if record.adapter.gate is Gate.CHARGE:  # what it debits before the call is held until the call has ended
            outstanding = record.state.accounts[account_id(number)].held
            spent, held = spent - outstanding, outstanding
        return Observe(account_id(number), spent, remaining, held, **self._balances(number))

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
        """Return the further balances that an account tells, if it tells any."""
        if "balances" not in self._record.offers:
            return {}
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
        for number in record.scopes if "balances" in record.offers else record.opened:
            observation = self.observation(number)
            for one in (*([] if observation is None else [observation]), *self._further(number)):
                observed = one, balances(record.state.accounts[one.account])
                if self._last_observed.get(one.account) != observed:
                    self._last_observed[one.account] = observed
                    record.tell(one)
