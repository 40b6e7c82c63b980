"""From a program that shows something to the smallest one that still shows it.

Smaller means, in this order: fewer steps, fewer agents, fewer changes of agent, smaller amounts. Every
candidate is run on a fresh implementation, so that what is left is a run and not a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from capsound_checker.programs.clock import STEPS
from capsound_checker.programs.program import FIELDS, Program, Step

Shows = Callable[[Program], bool]
"""Whether a program still shows what is looked for."""


def shrink(program: Program, shows: Shows, most: int = 20_000) -> list[Step]:
    """Return a locally minimal program that ``shows`` accepts: no simpler neighbour does.

    ``program`` itself must be accepted. After ``most`` tries the smallest so far is returned.
    """
    best = list(program)
    improved = True
    while improved:
        improved = False
        for candidate in _simpler(best):
            if _size(candidate) < _size(best):
                most -= 1
                if shows(candidate):
                    best, improved = candidate, True
                    break
            if most <= 0:
                return _in_order(best, shows)
    return _in_order(best, shows)


def _in_order(program: list[Step], shows: Shows) -> list[Step]:
    """Return a program renumbered, if it still shows what it did: the size of a call may follow from its number."""
    straight = renumbered(program)
    return straight if straight == program or shows(straight) else program


def _size(program: Program) -> tuple[int, ...]:
    switches = sum(a.agent != b.agent for a, b in pairwise(program))
    agents = len({step.agent for step in program})
    return (
        len(program),
        agents,
        switches,
        sum(step.agent for step in program),
        sum(_misuse(step) for step in program),
        sum(_amount(step) for step in program),
    )


def _amount(step: Step) -> int:
    """Return how large the numbers of a step are; an estimate or a cap of 0 is stranger than one of 1."""
    return (2 * step.amount or (3 if step.do in _MONEY else 0)) + 2 * step.bill


_MONEY = frozenset({"open", "reserve", "begin", "delegate", "ceiling", "extend"})


def _misuse(step: Step) -> int:
    return step.do in ("clone_hold", "clone_scope", "bad", "cancel", "crash", "fail")


def _simpler(program: list[Step]) -> Iterator[list[Step]]:
    """Yield simpler programs: whole stretches left out first, then single steps, then pairs, then numbers."""
    length = len(program)
    size = length // 2
    while size >= 1:
        for start in range(length - size, -1, -size):
            yield program[:start] + program[start + size :]
        size //= 2
    for first in range(length):
        for second in range(first + 1, length):
            yield program[:first] + program[first + 1 : second] + program[second + 1 :]
    for agent in sorted({step.agent for step in program}, reverse=True):
        for into in range(agent):
            yield [step._replace(agent=into) if step.agent == agent else step for step in program]
    for at, step in enumerate(program):
        for into in range(step.agent):
            yield [*program[:at], step._replace(agent=into), *program[at + 1 :]]
    for at, step in enumerate(program):
        if step.do == "tick":
            shorter = [seconds for seconds in sorted(STEPS) if seconds < step.amount]
            yield from ([*program[:at], step._replace(amount=n), *program[at + 1 :]] for n in shorter)
    amounts = sorted({step.amount for step in program if "amount" in FIELDS[step.do]})
    for value in reversed(amounts):  # the same amount everywhere at once, so that what depends on it stays true
        for less in _below(value):
            yield [s._replace(amount=less) if s.amount == value else s for s in program]
    for at, step in enumerate(program):
        if "amount" in FIELDS[step.do]:
            yield from ([*program[:at], step._replace(amount=n), *program[at + 1 :]] for n in _below(step.amount))
        if "bill" in FIELDS[step.do]:
            yield from ([*program[:at], step._replace(bill=n), *program[at + 1 :]] for n in _below(step.bill))
    for first, one in enumerate(program):
        for second in range(first + 1, length):
            two = program[second]
            if one.amount and two.amount:  # two amounts one lower, for what depends on their difference
                lower = list(program)
                lower[first] = one._replace(amount=one.amount - 1)
                lower[second] = two._replace(amount=two.amount - 1)
                yield lower
                if two.bill:
                    yield [*lower[:second], lower[second]._replace(bill=two.bill - 1), *lower[second + 1 :]]
            if one.amount and two.bill:
                lower = list(program)
                lower[first] = one._replace(amount=one.amount - 1)
                lower[second] = two._replace(bill=two.bill - 1)
                yield lower


def _below(value: int) -> Iterator[int]:
    seen = {value}
    near = (value - (1 << bits) for bits in range(value.bit_length() - 2, 0, -1)) if value > _FEW else ()
    for less in (1, 0, value // 2, *near, value - 1):
        if less >= 0 and (less < value or value == 0) and less not in seen:
            seen.add(less)
            yield less


_FEW = 16
"""Amounts above are halved, and then come closer in halves: one at a time they would take for ever."""


def renumbered(program: Program) -> list[Step]:
    """Return the program with accounts, holds and agents numbered in the order of their appearance."""
    accounts: dict[int, int] = {}
    holds: dict[int, int] = {}
    agents: dict[int, int] = {}

    def of(table: dict[int, int], number: int) -> int:
        return table.setdefault(number, len(table))

    out: list[Step] = []
    for step in program:
        on, new = step.on, step.new
        if step.do in ("open", "delegate", "ceiling", "clone_scope"):
            on = of(accounts, on) if step.do != "open" else on
            new = of(accounts, new)
        elif step.do == "close":
            on = of(accounts, on)
        elif step.do == "merge":
            on, new = of(accounts, on), of(accounts, new)
        elif step.do == "tick":
            pass
        elif step.do in ("reserve", "begin"):
            on, new = of(accounts, on), of(holds, new)
        elif step.do == "bad":
            on = of(holds, on) if step.new % 8 in (1, 3) else of(accounts, on)
        else:
            on = of(holds, on)
        agent = of(agents, step.agent) if step.do != "open" else 0
        out.append(step._replace(on=on, new=new, agent=agent))
    return out
