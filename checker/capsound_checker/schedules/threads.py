"""Two operations at once, and one preemption at every instruction: the race between a read and a write.

A stress test meets such a race once in some ten thousand runs. Here the first operation is stopped inside the
implementation's own code, at one bytecode instruction after the other; the second runs meanwhile, to its end or
until it waits for a lock; then the first goes on. Where it lets a lock go, the second that waits for it goes first:
so a lock that is held twice, and not in between, is no cover. Whatever comes out must also come out of one of the two
orders one after the other. A second thread that sleeps is taken for one that waits: that loses a schedule and accuses
nobody. One that a busy machine keeps waiting is waited for.

Places between which the first touches only its own stack and local variables are one place (Godefroid 1996). So are
places where the second waits, as long as the first neither calls nor writes in between: it has let no lock go.

``interrupt`` does the same in one thread: the second operation is a signal handler's, in the middle of the first. A
lock does not help there; one that is not reentrant hangs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from capsound.adapter import Adapter, Gate
from capsound_checker.programs.asking import AdapterFailed
from capsound_checker.programs.program import Program, Step
from capsound_checker.programs.watch import held
from capsound_checker.schedules.orders import both_orders, is_there, prepared
from capsound_checker.schedules.preempting import Interrupted, Preempted
from capsound_checker.schedules.races import BEFORE, GATES, OPERATIONS, Race, at_the_gate, pairs

__all__ = [
    "BEFORE",
    "BEFOREHAND",
    "GATES",
    "NEEDS_LOOP",
    "OPERATIONS",
    "Race",
    "again",
    "hunt",
    "interrupt",
    "pairs",
    "race",
]

BEFOREHAND = 3
"""How often two operations run before their first schedule: in both orders, and to find the places of the first."""


NEEDS_LOOP = "an event loop is needed"
"""What stands for schedules in which an operation could not go on as it does among coroutines: they show nothing."""


@held()  # each of thousands of steps would install a handler and put the old one back
def race(
    adapter: type[Adapter], before: Program, one: Step, two: Step, *, most: int = 400, patience: float | None = None
) -> tuple[Race | None, int]:
    """Preempt ``one`` at each of its instructions in turn and run ``two`` there; return the first race, if any.

    Also returns how many schedules were run. ``patience`` is how many seconds a thread may hang, or None for what the
    adapter allows.
    """
    schedules = 0
    for found in _schedules(adapter, before, one, two, patience):
        schedules += 1
        if found is not None or schedules == most:
            return found, schedules
    return None, schedules


@held()
def hunt(
    adapter: type[Adapter],
    tried: Iterable[tuple[Program, Step, Step]] | None = None,
    *,
    most: int = 400_000,
    patience: float | None = None,
    told: Callable[[Step, Step], None] = lambda _one, _two: None,
    raced: dict[str, int] | None = None,
) -> tuple[Race | None, int]:
    """Race ``tried``, by default all ``pairs``, and return the first race, if any, and how often two operations ran.

    Each pair in turn gets one schedule, and operations of one kind come before all others. Of the places of an
    operation, those right before a write or a ``with`` come first. So a race between a check and what it guards shows
    early, whichever pair it is in. All executions are counted: the two orders of a pair, and the run that finds the
    places, as well. ``told`` is called before each turn; ``patience`` is how many seconds a thread may hang. ``raced``
    is told how many schedules could have shown a race at the adapter's gate, by what is raced there (``GATES``), and
    how many could not go on (``NEEDS_LOOP``): with none of the first, or any of the second, nothing is known of it.
    """
    raced = {} if raced is None else raced
    every = list(pairs(adapter) if tried is None else tried)
    count = 0
    for alike in (True, False):
        turns = deque(
            (one, two, _schedules(adapter, before, one, two, patience, early_first=True, raced=raced))
            for before, one, two in every
            if (one.do == two.do) is alike
        )
        fresh = len(turns)
        while turns and count + 1 + (BEFOREHAND if fresh > 0 else 0) <= most:
            one, two, rest = turns.popleft()
            told(one, two)
            if fresh > 0:
                count += BEFOREHAND
            fresh -= 1
            try:
                found = next(rest)
            except StopIteration:
                continue
            count += 1
            if found is not None:
                return found, count
            turns.append((one, two, rest))
    return None, count


def _schedules(
    adapter: type[Adapter],
    before: Program,
    one: Step,
    two: Step,
    patience: float | None,
    *,
    early_first: bool = False,
    raced: dict[str, int] | None = None,
) -> Iterator[Race | None]:
    """Stop ``one`` at each of its places in turn, and yield what each schedule shows."""
    if not _possible(adapter, before, one, two):
        return
    orders = both_orders(adapter, before, one, two)
    alone = Preempted(adapter, before, one, two, 0, patience)
    alone.run()
    places = dict(enumerate(alone.places, start=1))
    both = at_the_gate(adapter, one) and at_the_gate(adapter, two)
    counts = both and (adapter.gate is Gate.RECORD or orders.one_of_two)
    waited: set[int] = set()
    for at in sorted(places, key=lambda at: (early_first and not places[at].early, at)):
        if places[at].segment in waited:
            continue
        run = Preempted(adapter, before, one, two, at, patience)
        run.run()
        if run.needs_loop:
            if raced is not None:
                raced[NEEDS_LOOP] = raced.get(NEEDS_LOOP, 0) + 1
            continue  # it waits as coroutines do: nothing can be said of it here
        found = run.shows(orders)
        if raced is not None and run.where and counts:
            raced[GATES[adapter.gate]] = raced.get(GATES[adapter.gate], 0) + 1
        yield found
        if found is not None:
            return
        if run.waited:
            waited.add(places[at].segment)


def _possible(adapter: type[Adapter], before: Program, one: Step, two: Step) -> bool:
    """Whether two operations can be raced: what they are about was made before, and not refused."""
    try:
        base = prepared(adapter, before)
    except AdapterFailed:
        if adapter.gate is Gate.CALL:
            return False  # its calls wait as coroutines do, and it is the loop's turn
        raise
    return is_there(base, one) and is_there(base, two)


@held()
def interrupt(
    adapter: type[Adapter], before: Program, one: Step, two: Step, *, most: int = 400
) -> tuple[Race | None, int]:
    """Do ``two`` in the middle of ``one``, in the same thread, wherever a signal handler can come in.

    Return the first schedule that no order of the two explains, if any, and how many were run. Where a journal is
    offered, it too must read as one of the two orders.
    """
    if not _possible(adapter, before, one, two):
        return None, 0
    orders = both_orders(adapter, before, one, two)
    for at in range(1, most + 1):
        run = Interrupted(adapter, before, one, two, at, 0.0)
        run.run()
        if not run.where:
            return None, at
        found = run.shows(orders)
        if found is not None:
            return found, at
    return None, most


def again(
    adapter: type[Adapter],
    before: Program,
    one: Step,
    two: Step,
    at: int,
    *,
    handler: bool,
    patience: float | None = None,
) -> tuple[Race | None, int]:
    """Run one schedule once more; return the race that it shows, if any, and how many schedules that took.

    Where it shows nothing, all others of the two operations are tried: another version of the implementation, or of
    Python, has other instructions.
    """
    if not _possible(adapter, before, one, two):
        return None, 0
    orders = both_orders(adapter, before, one, two)
    kind = Interrupted if handler else Preempted
    raced = kind(adapter, before, one, two, at, patience)
    raced.run()
    found = raced.shows(orders)
    if found is not None:
        return found, 1
    found, more = (interrupt if handler else race)(adapter, before, one, two)
    return found, 1 + more
