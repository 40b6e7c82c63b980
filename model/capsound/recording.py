"""What a machine of ceilings emits, as events: each ceiling is a root of its own.

A call has a hold in each that it counts in: that of the first is R1, that of the others R1@team and R1@root. So the
monitor judges each ceiling by what happened in it alone.
"""

from __future__ import annotations

from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.ceilings import Charge
from capsound.events import (
    Bill,
    Cancel,
    Crash,
    Expire,
    Extend,
    Forfeit,
    Observe,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
    Timeout,
)
from capsound.machine import Branch, Config, Machine
from capsound.schedule import Recorder


class CeilingRecorder(Recorder):
    """The same where accounts are ceilings: what happens to a call is an event in each ledger that it counts in."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.held: dict[tuple[int, int], HoldId] = {}
        self.billed: dict[tuple[int, int], CallId] = {}
        self.numbered: dict[int, tuple[int, list[int]]] = {}
        self.called: dict[int, tuple[int, list[int]]] = {}

    def __call__(
        self,
        kind: str,
        amount: int | None,
        branch: Branch,
        _config: Config,
        charge: Charge | None = None,
    ) -> None:
        """Record one emission of ``branch`` in one ledger."""
        assert charge is not None
        process = self.machine.processes[branch.process]
        account = AccountId(self.machine.accounts[charge.ledger].name)
        agent, call, me = AgentId(process.name), charge.call, branch.process
        at = (me, charge.ledger)
        match kind:
            case "reserve":
                self.admitted += self._begins(self.numbered, at, self.admitted)
                self.held[at] = HoldId(f"R{self._named(self.numbered, at)}")
                self.events.append(Reserve(account, self.held[at], Amount(call.cover), agent))
            case "refuse":
                place = process.places[branch.place]
                hold = self.held[me, place.admitted_on[0]] if place.admitted_on and not place.aborts else None
                self.events.append(Refuse(account, Amount(amount or 0), "does not fit", agent, hold))
            case "send":
                self.sent += self._begins(self.called, at, self.sent)
                self.billed[at] = CallId(f"C{self._named(self.called, at)}")
                self.events.append(Send(self.held[at], self.billed[at]))
            case "bill":
                self.events.append(Bill(self.billed[at], Amount(amount or 0)))
            case "settle":
                self.events.append(Settle(self.held[at], Amount(call.told)))
            case "extend":
                self.events.append(Extend(self.held[at], Amount(call.size)))
            case "reset":
                lost = tuple(self.held[other, charge.ledger] for other in charge.others)
                self.events.append(Reset(account, lost))
            case "age":
                self.events += [Expire(self.held[other, charge.ledger]) for other in charge.others]
            case "timeout":
                self.events.append(Timeout(self.billed[at]))
            case "crash":
                self.events.append(Crash(agent))
            case _:
                self.events.append(_ENDS[kind](self.held[at]))

    def _begins(self, known: dict[int, tuple[int, list[int]]], at: tuple[int, int], last: int) -> bool:
        """Note the ledger of a hold or a call; return whether it is the first of a new one."""
        process, ledger = at
        number, ledgers = known.get(process, (0, []))
        if number and ledger not in ledgers:
            ledgers.append(ledger)
            return False
        known[process] = (last + 1, [ledger])
        return True

    def _named(self, known: dict[int, tuple[int, list[int]]], at: tuple[int, int]) -> str:
        number, ledgers = known[at[0]]
        return f"{number}" if at[1] == ledgers[0] else f"{number}@{self.machine.accounts[at[1]].name}"

    def observe(self, branch: Branch, before: Config, after: Config) -> None:
        """Record what every ceiling that changed, or in which a call was resolved, now says of itself."""
        place = self.machine.processes[branch.process].places[branch.place]
        touched = set[int]()
        if any(isinstance(event, Settle | Release | Forfeit) for event in self.events):
            touched = {*place.ledgers, *place.admitted_on}
        for index, info in enumerate(self.machine.accounts):
            old, new = before.ledgers[index], after.ledgers[index]
            spent = new.charged + new.forfeited
            if index in touched or (spent, new.available) != (old.charged + old.forfeited, old.available):
                self.events.append(Observe(AccountId(info.name), spent, new.available))


_ENDS: dict[str, type[Release | Forfeit | Cancel | Expire]] = {
    "release": Release,
    "forfeit": Forfeit,
    "cancel": Cancel,
    "expire": Expire,
}
