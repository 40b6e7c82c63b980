"""What each property says of one state of a machine; on integers and on z3 terms alike."""

from __future__ import annotations

from collections.abc import Sequence

from capsound.frames import Algebra, Bool, Ledger, Num
from capsound.machine import LEDGER_FIELDS, Config, Machine, blocked
from capsound.properties import Property

STATE_PROPERTIES = (
    Property.CAP,
    Property.SLICE,
    Property.OVERRUN,
    Property.TRUTH,
    Property.CONSERVATION,
    Property.PROGRESS,
    Property.WIDTH,
)
"""The properties that can be judged state by state; ``handles`` is judged before anything runs."""


def default_properties(machine: Machine) -> tuple[Property, ...]:
    """Return the properties that a scenario asks for when it names none."""
    asked = [Property.CAP]
    if len(machine.accounts) > 1:
        asked.append(Property.SLICE)
    if machine.scenario.assume.a1 is not True:
        asked.append(Property.OVERRUN)
    if machine.scenario.assume.width is not None:
        asked.append(Property.WIDTH)
    asked += [Property.TRUTH, Property.CONSERVATION, Property.PROGRESS]
    if machine.discipline.affine or machine.reuse is not None:
        asked.append(Property.HANDLES)
    return tuple(asked)


def billed_below(machine: Machine, ledgers: Sequence[Ledger], account: int) -> Num:
    """Return the true bills of an account and of everything delegated from it."""
    inside = {account}
    billed: Num = ledgers[account].billed
    # Parents come before their children, so one pass finds everything below.
    for index in range(account + 1, len(machine.accounts)):
        if machine.accounts[index].parent in inside:
            inside.add(index)
            billed = billed + ledgers[index].billed
    return billed


def balance(ledger: Ledger) -> Num:
    """Return the sum of the balances of an account: what conservation compares with its grant."""
    return ledger.available + ledger.held + ledger.charged + ledger.forfeited + ledger.delegated + ledger.returned


def largest_number(machine: Machine) -> int:
    """Return the largest number that fits the signed machine integers of a scenario."""
    return (1 << ((machine.scenario.assume.width or 64) - 1)) - 1


def sum_billed(config: Config) -> Num:
    """Return the true bills of the root."""
    return sum((ledger.billed for ledger in config.ledgers[1:]), config.ledgers[0].billed)


def violates(machine: Machine, config: Config, prop: Property, algebra: Algebra) -> Bool:
    """Return whether the state breaks the property."""
    root = config.ledgers[0]
    if prop is Property.CAP:
        return sum_billed(config) > root.granted
    if prop is Property.OVERRUN:
        window = sum((ledger.window for ledger in config.ledgers[1:]), root.window)
        return sum_billed(config) > root.granted + window
    if prop is Property.SLICE:
        return _any(algebra, [_slice_over(machine, config, i) for i in range(1, len(machine.accounts))])
    if prop is Property.TRUTH:
        return _any(algebra, [ledger.charged != ledger.settled for ledger in config.ledgers])
    if prop is Property.CONSERVATION:
        return _any(
            algebra,
            [
                # A slice that its parent was not debited for is capacity from nothing.
                algebra.either(balance(ledger) != ledger.granted, ledger.carved != ledger.delegated)
                for ledger in config.ledgers
            ],
        )
    if prop is Property.PROGRESS:
        return _stuck(machine, config, algebra)
    if prop is Property.WIDTH:
        most = largest_number(machine)
        return _any(algebra, [value > most for value in balances(config)])
    raise ValueError(prop)


def balances(config: Config) -> list[Num]:
    """Return every number that an implementation keeps, ghosts left out."""
    kept = LEDGER_FIELDS[: LEDGER_FIELDS.index("lock")]
    return [getattr(ledger, name) for ledger in config.ledgers for name in kept]


def _slice_over(machine: Machine, config: Config, account: int) -> Bool:
    ledger = config.ledgers[account]
    return billed_below(machine, config.ledgers, account) > ledger.granted - ledger.returned


def _stuck(machine: Machine, config: Config, algebra: Algebra) -> Bool:
    """Return whether work is left and no process can take a step of its own."""
    left: Bool = False
    none: Bool = True
    for index, process in enumerate(machine.processes):
        at = config.running[index].at
        for place in range(len(process.places)):
            here = at == place
            if here is False:
                continue
            left = algebra.either(left, here)
            none = algebra.both(
                none, algebra.either(algebra.negate(here), blocked(machine, config, index, place, algebra))
            )
    return algebra.both(left, none)


def _any(algebra: Algebra, terms: list[Bool]) -> Bool:
    result: Bool = False
    for term in terms:
        result = algebra.either(result, term)
    return result


def live(machine: Machine, config: Config) -> list[str]:
    """Return the names of the processes that have work left, in a concrete state."""
    return [
        process.name
        for process, running in zip(machine.processes, config.running, strict=True)
        if running.at != process.done and running.at >= 0
    ]
