"""What each property says of one state of a machine; on integers and on z3 terms alike."""

from __future__ import annotations

from collections.abc import Sequence

from capsound.frames import Algebra, Bool, Ledger, Num
from capsound.machine import LEDGER_FIELDS, Config, Machine, blocked
from capsound.properties import Property
from capsound.scenario import MONEY

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
    if len(machine.accounts) > 1 and not machine.alone:
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


def billed_in_trees(machine: Machine, ledgers: Sequence[Ledger]) -> list[Num]:
    """Return ``billed_below`` of every account, in one pass for all."""
    billed: list[Num] = [ledger.billed for ledger in ledgers]
    # Children come after their parents, so what is below an account is in its sum before that is passed on.
    for index in range(len(machine.accounts) - 1, 0, -1):
        parent = machine.accounts[index].parent
        if parent is not None:
            billed[parent] = billed[parent] + billed[index]
    return billed


def balance(ledger: Ledger) -> Num:
    """Return the sum of the balances of an account: what conservation compares with its grant."""
    return ledger.available + ledger.held + ledger.charged + ledger.forfeited + ledger.delegated + ledger.returned


def unbalanced(machine: Machine, ledger: Ledger, algebra: Algebra) -> Bool:
    """Return whether capacity of an account came from nothing, or was lost."""
    # A slice that its parent was not debited for is capacity from nothing.
    broken = algebra.either(balance(ledger) != ledger.granted, ledger.carved != ledger.delegated)
    if not machine.discipline.may_keep_holds:
        return broken
    return algebra.either(broken, left_behind(ledger, algebra))


def left_behind(ledger: Ledger, algebra: Algebra) -> Bool:
    """Return whether something is held although no call is left: where the ledger is right, and not in debt."""
    idle = algebra.both(ledger.outstanding == 0, ledger.held > 0)
    right = algebra.both(
        ledger.charged + ledger.forfeited == ledger.booked,
        ledger.granted - ledger.booked - ledger.carved - ledger.returned >= 0,
    )
    return algebra.both(idle, right)


def largest_number(machine: Machine) -> int:
    """Return the largest number that fits the signed machine integers of a scenario."""
    return (1 << ((machine.scenario.assume.width or 64) - 1)) - 1


def sum_billed(config: Config) -> Num:
    """Return the true bills of the root."""
    return sum((ledger.billed for ledger in config.ledgers[1:]), config.ledgers[0].billed)


def overshoot(machine: Machine, config: Config, algebra: Algebra) -> Num:
    """Return by how much the true bills of the root are above its cap; of ceilings in money, by how much at most."""
    root = config.ledgers[0]
    if not machine.alone:
        return sum_billed(config) - root.granted
    most: Num = root.billed - root.granted
    for info, ledger in zip(machine.accounts[1:], config.ledgers[1:], strict=True):
        if info.dimension == MONEY:
            over = ledger.billed - ledger.granted
            most = algebra.ite(over > most, over, most)
    return most


def violates(machine: Machine, config: Config, prop: Property, algebra: Algebra) -> Bool:
    """Return whether the state breaks the property."""
    root = config.ledgers[0]
    if machine.alone and prop is Property.CAP:
        return _any(algebra, [ledger.billed > ledger.granted for ledger in config.ledgers])
    if machine.discipline.one_by_one and prop is Property.CONSERVATION:
        return _any(algebra, [_unbalanced(ledger, algebra) for ledger in config.ledgers])
    if machine.alone and prop is Property.OVERRUN:
        return _any(algebra, [ledger.billed > ledger.granted + ledger.window for ledger in config.ledgers])
    if prop is Property.CAP:
        return sum_billed(config) > root.granted
    if prop is Property.OVERRUN:
        window = sum((ledger.window for ledger in config.ledgers[1:]), root.window)
        return sum_billed(config) > root.granted + window
    if prop is Property.SLICE:
        billed = billed_in_trees(machine, config.ledgers)
        return _any(algebra, [_slice_over(config.ledgers[i], billed[i]) for i in range(1, len(machine.accounts))])
    if prop is Property.TRUTH:
        return _any(algebra, [ledger.charged != ledger.settled for ledger in config.ledgers])
    if prop is Property.CONSERVATION:
        return _any(algebra, [unbalanced(machine, ledger, algebra) for ledger in config.ledgers])
    if prop is Property.PROGRESS:
        return _stuck(machine, config, algebra)
    if prop is Property.WIDTH:
        most = largest_number(machine)
        return _any(algebra, [value > most for value in balances(config)])
    raise ValueError(prop)


def _unbalanced(ledger: Ledger, algebra: Algebra) -> Bool:
    """Return whether capacity of a ceiling came from nothing, or is held for no call: nobody will give it back."""
    return algebra.either(balance(ledger) != ledger.granted, ledger.held > ledger.outstanding)


def balances(config: Config) -> list[Num]:
    """Return every number that an implementation keeps, ghosts left out."""
    kept = LEDGER_FIELDS[: LEDGER_FIELDS.index("lock")]
    return [getattr(ledger, name) for ledger in config.ledgers for name in kept]


def _slice_over(ledger: Ledger, billed: Num) -> Bool:
    return billed > ledger.granted - ledger.returned


def _stuck(machine: Machine, config: Config, algebra: Algebra) -> Bool:
    """Return whether work is left and no process can take a step of its own."""
    left: Bool = False
    none: Bool = True
    for index, process in enumerate(machine.processes):
        if process.clock:
            continue
        at = config.running[index].at
        if isinstance(at, int):
            places = range(at, at + 1) if 0 <= at < process.done else range(0)
        else:
            places = range(process.done)
        for place in places:
            here = at == place
            if here is False:
                continue
            left = algebra.either(left, here)
            none = algebra.both(
                none, algebra.either(algebra.negate(here), blocked(machine, config, index, place, algebra))
            )
            if none is False:
                return False  # somebody can: the others need not be asked
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
        if running.at != process.done and running.at >= 0 and not process.clock
    ]
