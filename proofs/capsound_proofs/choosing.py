"""How the environment chooses amounts where a run is played: at their extremes, or by what they leave for the others.

Nothing here is believed: what is chosen is executed on integers, within what the scenario allows, and judged by the
monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from capsound.disciplines import Retry
from capsound.frames import CallVars, Frame, Ledger
from capsound.machine import Config, Machine, Place
from capsound.scenario import Plain
from capsound.schedule import INTS

Draw = Callable[[str, int, int | None], int]
"""What chooses an amount, by its name, from the least to the most that it may be (None: no end)."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """Whether bills, and estimates, are the largest that are bounded, or the smallest.

    ``any_size`` is the largest estimate where any is possible: one that covers the largest bill. With ``fills``, each
    call of an agent but its last is billed so that what is left admits as many others as it can, and nothing more.
    With ``fits``, a call is estimated at the most that is admitted now, and a slice granted all that there is. With
    ``saves``, all calls of an agent but the last leave as much as admits the last, which is the largest. ``ends`` is,
    for each process, the place at which it ends, where it makes fewer calls than it could.
    """

    bills: bool
    sizes: bool
    any_size: int = 0
    fills: bool = False
    fits: bool = False
    saves: bool = False
    ends: tuple[int, ...] = ()

    def choose(self, name: str, lo: int, hi: int | None) -> int:
        """Return the amount that is drawn, of those from ``lo`` to ``hi``."""
        if name == "more" and hi is not None:
            return hi
        top = self.sizes if name == "size" else self.bills and name not in ("grant", "told", "cached")
        if top and hi is not None:
            return max(lo, hi)
        return max(lo, self.any_size) if name == "size" and self.sizes else lo


LEAST = Extremes(bills=False, sizes=False)

GREEDY = Extremes(bills=True, sizes=True, fits=True)
"""All that is admitted is taken: where amounts may be of any size, that goes furthest over a cap."""

EXTREMES = (
    Extremes(bills=True, sizes=False),
    LEAST,
    Extremes(bills=True, sizes=True),
    Extremes(bills=True, sizes=False, fills=True),
)
"""The estimate that leaves most room for others is the smallest; under A1 the largest bill needs the largest."""

SAVING = Extremes(bills=True, sizes=False, saves=True)
"""What is left of an account is used by one last call: where bills exceed their estimates, that goes furthest."""


def extremes_of(machine: Machine) -> tuple[Extremes, ...]:
    """Return the extremes of a machine."""
    bills = [kind.cost.bill.hi or 0 for kind in machine.scenario.calls if isinstance(kind.cost, Plain)]
    return tuple(replace(extremes, any_size=max(bills, default=0)) for extremes in EXTREMES)


def chooser(machine: Machine, config: Config, index: int, extremes: Extremes) -> Draw:
    """Return what chooses the amounts of the next block of a process."""
    process, at = machine.processes[index], config.running[index].at
    if extremes.fits:
        return _fitting(config, process.places[at], extremes)
    if extremes.saves:
        return _saving(machine, config, index, extremes)
    end = extremes.ends[index] if extremes.ends else process.done
    if not extremes.fills or not any(place.draws_size for place in process.places[at + 1 : end]):
        return extremes.choose
    ledger, cover = config.ledgers[process.places[at].account], config.running[index].call.cover
    # What the call itself holds is free again once it is settled.
    left = (ledger.available + ledger.held) % cover if cover > 0 else 0

    def choose(name: str, lo: int, hi: int | None) -> int:
        if name != "bill" or cover <= 0:
            return extremes.choose(name, lo, hi)
        return max(lo, left) if hi is None else min(max(lo, left), max(lo, hi))

    return choose


def _fitting(config: Config, place: Place, extremes: Extremes) -> Draw:
    """Return what chooses the largest estimate, and the largest grant, that is admitted now."""
    account = place.parent if place.kind == "delegate" else place.account
    most = config.ledgers[account].available

    def choose(name: str, lo: int, hi: int | None) -> int:
        if name == "grant" or (name == "size" and (place.costs is None or isinstance(place.costs.cost, Plain))):
            return max(lo, int(most) if hi is None else min(hi, int(most)))
        return extremes.choose(name, lo, hi)

    return choose


def _saving(machine: Machine, config: Config, index: int, extremes: Extremes) -> Draw:
    """Return what chooses the amounts of a call so that the last one of its agent is still admitted, and the largest.

    A call that will time out is lost to the ledger: it takes nothing from what is left, and may cost what it can.
    """
    process, at = machine.processes[index], config.running[index].at
    place = process.places[at]
    end = extremes.ends[index] if extremes.ends else process.done
    to_come = [later for later in process.places[at + 1 : end] if later.draws_size and later.costs is not None]
    if place.costs is None or not to_come:
        return replace(extremes, sizes=True).choose
    if lost_next(machine, config, index) and len(to_come) == 1:
        return replace(extremes, sizes=True).choose
    last = to_come[-1].costs
    assert last is not None
    size = last.size.lo if last.size.hi is None else last.size.hi
    reserve = last.estimate(Frame(INTS, Ledger(), CallVars(size=size), last, lambda *_: 0, lambda *_: None))
    left = max(0, int(config.ledgers[place.account].available - reserve))
    prices, taken = place.costs.prices, 0

    def choose(name: str, lo: int, hi: int | None) -> int:
        nonlocal taken
        if name not in ("input", "output", "bill"):
            return extremes.choose(name, lo, hi)
        if name == "bill":
            return max(lo, left if hi is None else min(left, hi))
        price = max(1, prices.input if name == "input" else prices.output)
        tokens = max(lo, (left * prices.per - taken) // price)
        tokens = tokens if hi is None else min(tokens, max(lo, hi))
        taken += tokens * price
        return tokens

    return choose


def lost_next(machine: Machine, config: Config, index: int) -> bool:
    """Return whether a timeout is left for the call of a process, its last but one."""
    process, at = machine.processes[index], config.running[index].at
    if len(config.faults) < 2 or not 0 <= at < process.done or machine.discipline.retry is not Retry.NEVER:
        return False
    left = sum(1 for later in process.places[at + 1 :] if later.draws_size)
    ahead = sum(1 for running in config.running[:index] if running.at >= 0)
    return left == 1 and ahead < machine.faults[1]
