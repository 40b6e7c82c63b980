"""Runs that are played by a rule: whole calls one after the other up to the brink of a cap, then all agents at once.

A cap that is hundreds of calls away is out of reach of any search that begins at the start. But what matters of those
calls is what they have left: after so many whole calls, in turn, the state is the same as after any others of the
same sum. So the way to the brink is played, and only what happens there is looked for. Nothing here is believed: a run
is a schedule like any other, executed on integers and judged by the monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush

from capsound.machine import Branch, Config, Env, Machine, fire, initial
from capsound.predicates import violates
from capsound.properties import Property
from capsound.schedule import INTS, Choice, NeedDraw, Schedule, Script, possible, settled
from capsound_proofs.choosing import Draw, Extremes, chooser, extremes_of, lost_next
from capsound_proofs.ranges import cost_ranges, largest_bill

PLAYED = 20_000
"""How many steps are played at most to find a run that breaks a property, with each kind of amounts."""


BACK = 32
"""From how many calls before the brink a run is played over it at most."""

FEW = 64
"""On machines of at most so many processes more runs are played."""

LARGE = 300
"""A search is begun without playing first where its branches, times the steps that it takes at least, are fewer."""


Order = Callable[[Machine, Config], list[int]]
"""Which processes take their next block, one after the other."""


def in_step(machine: Machine, config: Config) -> list[int]:
    """One block of every agent, then the next block of every agent; no window is reset."""
    return [i for i, p in enumerate(machine.processes) if 0 <= config.running[i].at < p.done and not p.clock]


def callers_first(machine: Machine, config: Config) -> list[int]:
    """One block of every agent, and only then one of what opens slices: a call is admitted on what is then granted."""
    return sorted(in_step(machine, config), key=lambda index: not machine.processes[index].is_agent)


def in_a_row(machine: Machine, config: Config) -> list[int]:
    """All blocks of the first agent, then those of the second."""
    agents = enumerate(machine.processes)
    first = next((i for i, p in agents if 0 <= config.running[i].at < p.done and not p.clock), None)
    return [] if first is None else [first]


def to_send(machine: Machine, config: Config) -> list[int]:
    """Each agent up to its send, one after the other, with the slices opened that it needs; then all in step."""
    for index, process in enumerate(machine.processes):
        at = config.running[index].at
        if not process.is_agent or not 0 <= at < process.done or process.places[at].phase == "sent":
            continue
        shut: int | None = process.places[at].account if process.places[at].waits_open else process.places[at].parent
        top = None
        while shut is not None and config.opened[shut] != 1:
            top, shut = shut, machine.accounts[shut].parent
        opener = index if top is None else _opener(machine, top)
        return in_step(machine, config) if opener is None else [opener]
    return in_step(machine, config)


def _opener(machine: Machine, account: int) -> int | None:
    """Return which process opens an account."""
    for index, process in enumerate(machine.processes):
        if any(place.kind == "delegate" and place.account == account for place in process.places):
            return index
    return None


def advance(
    machine: Machine,
    config: Config,
    choices: list[Choice],
    index: int,
    choose: Draw,
    emit: Callable[..., None] = lambda *_: None,
) -> bool:
    """Let one process take its block, or be refused, in place; return whether it could do either.

    What was chosen is added to ``choices``; ``emit`` is given the events, as in ``Env``.
    """
    at = config.running[index].at
    for kind in ("run", "refuse") if machine.processes[index].places[at].guarded else ("run",):
        drawn: list[int] = []

        def draw(name: str, lo: int, hi: int | None, drawn: list[int] = drawn) -> int:
            value = choose(name, lo, hi)
            if lo != hi:
                drawn.append(value)
            return value

        if settled(fire(machine, config, Branch(index, at, kind), Env(INTS, draw, emit))):
            choices.append(Choice(index, "run", tuple(drawn)))
            return True
    return False


def played(machine: Machine, schedule: Schedule) -> tuple[Config | None, list[Choice]]:
    """Return the state after a schedule, and its choices as a list to go on with."""
    config = initial(machine, schedule.cap)
    for choice in schedule.choices:
        try:
            branch = possible(machine, config, choice)
            if branch is None:
                return None, []
            fire(machine, config, branch, Env(INTS, Script(choice.draws)))
        except NeedDraw:
            return None, []
    return config, list(schedule.choices)


def play_on(
    machine: Machine, config: Config, choices: list[Choice], order: Order, extremes: Extremes
) -> Iterator[None]:
    """Run every process to its end, in place, with amounts at their extremes; yield after each step."""
    while True:
        moved = False
        for index in order(machine, config):
            lost = extremes.saves and lost_next(machine, config, index) and lose(machine, config, choices, index)
            if lost or advance(machine, config, choices, index, chooser(machine, config, index, extremes)):
                moved = True
                yield
        if not moved:
            if order is in_a_row and len(in_step(machine, config)) > 1:
                order = in_step
                continue
            return


def lose(machine: Machine, config: Config, choices: list[Choice], index: int) -> bool:
    """Let the request of a process time out, in place; return whether it could."""
    at = config.running[index].at
    branch = Branch(index, at, "timeout")
    if machine.processes[index].places[at].phase != "sent" or branch not in set(machine.branches_at(index, at)):
        return False
    if not settled(fire(machine, config, branch, Env(INTS, lambda _name, lo, _hi: lo))):
        return False
    choices.append(Choice(index, "timeout"))
    return True


def open_slices(machine: Machine, config: Config, choices: list[Choice], extremes: Extremes) -> None:
    """Open every slice that has a process of its own, parents first."""
    waiting = [i for i, p in enumerate(machine.processes) if not p.is_agent and not p.clock]
    moved = True
    while moved:
        moved = False
        for index in list(waiting):
            if advance(machine, config, choices, index, extremes.choose):
                waiting.remove(index)
                moved = True


def calls_in_turn(machine: Machine, cap: int, extremes: Extremes) -> tuple[Schedule, list[int]]:
    """Return a run of whole calls, one after the other, and after how many steps each of its calls begins.

    All slices are opened first. Those with most calls to come go first, so that at the end all agents have one left
    if it can be done. The run ends where a call is refused or cannot move; the last mark is where the last call that
    was admitted begins.
    """
    config = initial(machine, cap)
    choices: list[Choice] = []
    open_slices(machine, config, choices, extremes)
    marks: list[int] = []
    # The one with most to come first, of several the first; only the one that moves has less to come afterwards.
    live = [(config.running[i].at - machine.processes[i].done, i) for i in in_step(machine, config)]
    live = [(left, i) for left, i in live if machine.processes[i].is_agent]
    heapify(live)
    while live:
        _, index = heappop(live)
        place = machine.processes[index].places[config.running[index].at]
        before, refused = len(choices), False
        while 0 <= config.running[index].at < place.end:
            at = config.running[index].at
            if not advance(machine, config, choices, index, extremes.choose):
                return Schedule(cap, tuple(choices)), marks
            now = machine.processes[index].places[at]
            refused = now.draws_size and config.running[index].at == now.refused != now.next
        if place.kind == "call":
            if refused:
                break
            marks.append(before)
        at = config.running[index].at
        if 0 <= at < machine.processes[index].done:
            heappush(live, (at - machine.processes[index].done, index))
    return Schedule(cap, tuple(choices)), marks


def filled_up(machine: Machine, run: Schedule, marks: Sequence[int], extremes: Extremes) -> list[Schedule]:
    """Return the run up to one of its calls, billed so that what is left admits others, and nothing more.

    The last call leaves room for one: so a counter that only asks whether anything is left goes on with one unit, and
    all agents see it. The first call leaves room for as many as there can be: so no part of the cap is left unused.
    """
    if not marks:
        return []
    found = [_filled_up(machine, Schedule(run.cap, run.choices[: marks[-1]]), run.choices[marks[-1]].process, extremes)]
    if len(machine.processes) <= FEW:
        first = run.choices[marks[0]].process
        found.append(_filled_up(machine, Schedule(run.cap, run.choices[: marks[0]]), first, extremes, many=True))
    return [schedule for schedule in found if schedule is not None]


def _filled_up(
    machine: Machine, before: Schedule, index: int, extremes: Extremes, *, many: bool = False
) -> Schedule | None:
    """Return a run and a whole call after it, whose bill leaves room for one call like it, or for as many as fit."""
    config, choices = played(machine, before)
    assert config is not None
    place = machine.processes[index].places[config.running[index].at]
    asks = any(step.name == "check-spent" for step in place.block)
    while 0 <= config.running[index].at < place.end:
        ledger, cover = config.ledgers[place.account], config.running[index].call.cover
        # What the call itself holds is free again once it is settled.
        left = ledger.available + ledger.held - (1 if asks else cover)
        if many and cover and not asks:
            left %= cover

        def choose(name: str, lo: int, hi: int | None, left: int = left) -> int:
            if name != "bill":
                return extremes.choose(name, lo, hi)
            return max(lo, left) if hi is None else min(max(lo, left), max(lo, hi))

        if not advance(machine, config, choices, index, choose):
            return None
    return Schedule(before.cap, tuple(choices))


def first_breaks(
    machine: Machine, cap: int, props: Sequence[Property], enough: Mapping[Property, int] | None = None
) -> dict[Property, Schedule]:
    """Return, for each property that a played run breaks, the shortest such run: cut where it is broken.

    Nothing shorter is looked for than ``enough`` steps.
    """
    best: dict[Property, Schedule] = {}

    def wanted(steps: int) -> list[Property]:
        """Return what a run of so many steps, or of more, would still be news of."""
        least = enough or {}
        return [p for p in props if p not in best or max(steps, least.get(p, 0)) < len(best[p].choices)]

    for extremes in extremes_of(machine):
        left = PLAYED
        for begun, before in _starts(machine, cap, extremes, lambda steps: bool(wanted(steps))):
            for order in (to_send, in_step, in_a_row):
                open_ = wanted(len(before))
                if left <= 0 or not open_:
                    continue
                config, choices = begun.copy(), list(before)
                left -= len(choices)
                for _ in play_on(machine, config, choices, order, extremes):
                    left -= 1
                    for prop in open_:
                        if violates(machine, config, prop, INTS):
                            best[prop] = Schedule(cap, tuple(choices))
                    open_ = wanted(len(choices))
                    if not open_ or left <= 0:
                        break
    return best


def shortest_played(machine: Machine, cap: int, prop: Property, away: int) -> Schedule | None:
    """Return a run that breaks a property in ``away`` steps, if one is found: where no run is shorter, a shortest one.

    A slice is only broken by those who call on it or below it, and needs those above it to be opened: so the others
    stand still. For the cap all of them play, and then only those whose calls are billed most.
    """
    for only in _cones(machine, prop, away):
        for extremes in extremes_of(machine):

            def order(machine: Machine, config: Config, only: frozenset[int] = only) -> list[int]:
                return [i for i in in_step(machine, config) if i in only]

            config, choices = initial(machine, cap), list[Choice]()
            for _ in play_on(machine, config, choices, order, extremes):
                if violates(machine, config, prop, INTS):
                    return Schedule(cap, tuple(choices))
                if len(choices) >= away:
                    break
    return None


def _cones(machine: Machine, prop: Property, away: int) -> Iterator[frozenset[int]]:
    """Yield who can matter together: all, and for ``slice`` those below one account and what opens those above it.

    Where all of them together take more than ``away`` steps, as many as can send in so many: those who are billed most,
    or those who leave most for the others.
    """
    opens = {
        p.account: i for i, process in enumerate(machine.processes) for p in process.places if p.kind == "delegate"
    }
    if prop is not Property.SLICE:
        yield frozenset(range(len(machine.processes)))
        for callers in _callers(machine):
            few = callers[: away // (machine.discipline.sending + 1)]
            called = {place.account for index in few for place in machine.processes[index].places}
            yield frozenset(few).union(*[_above(machine, opens, account) for account in called])
        return
    for account in range(1, len(machine.accounts)):
        inside = {account}
        for index in range(account + 1, len(machine.accounts)):
            if machine.accounts[index].parent in inside:
                inside.add(index)
        cone = {i for i, process in enumerate(machine.processes) if any(p.account in inside for p in process.places)}
        yield frozenset(cone | _above(machine, opens, machine.accounts[account].parent))


def _above(machine: Machine, opens: Mapping[int, int], account: int | None) -> set[int]:
    """Return who opens an account and those above it."""
    found: set[int] = set()
    while account is not None:
        found |= {opens[account]} if account in opens else set()
        account = machine.accounts[account].parent
    return found


def _callers(machine: Machine) -> Iterator[list[int]]:
    """Yield the agents, those with the largest bill first; then those with the smallest estimate first."""
    most: dict[int, int] = {}
    least: dict[int, int] = {}
    for index, process in enumerate(machine.processes):
        costs = [place.costs for place in process.places if place.draws_size and place.costs is not None]
        if process.is_agent and costs:
            most[index] = max(largest_bill(cost) or 0 for cost in costs)
            least[index] = min(cost_ranges(cost)[0].lo for cost in costs)
    yield sorted(most, key=lambda index: -most[index])
    yield sorted(most, key=lambda index: (least[index], -most[index]))


def _starts(
    machine: Machine, cap: int, extremes: Extremes, is_news: Callable[[int], bool]
) -> Iterator[tuple[Config, tuple[Choice, ...]]]:
    """Yield where to begin, and the steps up to there: the start, and before each of the last calls before the brink.

    The latest comes first. The way there is gone once for all of them, and only if a run of so many steps is news.
    """
    config = initial(machine, cap)
    yield config.copy(), ()
    agents = sum(process.is_agent for process in machine.processes)
    run, marks = calls_in_turn(machine, cap, extremes)
    wanted = {mark for mark in marks[-min(agents, BACK) - 1 :] if is_news(mark)}
    found: list[tuple[Config, tuple[Choice, ...]]] = []
    for number, choice in enumerate(run.choices[: max(wanted, default=-1) + 1]):
        if number in wanted:
            found.append((config.copy(), run.choices[:number]))
        # The same choices again: what the extremes choose depends on nothing else.
        advance(machine, config, [], choice.process, extremes.choose)
    yield from reversed(found)
