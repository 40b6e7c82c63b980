"""Windows that slide: what leaves them, in the order in which it came, and the ledger that forgets with them.

A bill counts until it is as old as the window. Time is no number here. What was billed or charged in one block is an
*entry*; the environment decides when the oldest entry is as old as the window, and nothing leaves before what came
earlier. Nothing is lost by that: any such order of steps can be had with moments of time, for a window of any length
(``capsound.moments`` finds them; it is the theorem that proper interval graphs are unit interval graphs, Roberts 1969).

A ledger that counts the age of a cost from the settlement has it in the entry of the settlement; one that counts it
from the hold, in the entry that was made when the call was admitted. What it ought to count leaves with the settlement,
so that a ledger that forgets too early does not tell the truth. Holds stay whatever their age, or are let go with the
entry of their admission.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from capsound.disciplines import Block, Retry
from capsound.frames import Algebra, Bool, Ledger, Num
from capsound.moments import Kept, grid_of, moments
from capsound.processes import Branch, Machine, Place, Process, dead_at
from capsound.scenario import BUCKET, FIRST, HELD, Window
from capsound.windows import Buckets, Sliding, in_steps, in_words

if TYPE_CHECKING:
    from capsound.machine import Config, Running

FIELDS = ("billed", "charged", "forfeited", "settled", "lost", "booked")
"""What an entry keeps of each ledger: the true bill, then what the ledger was told and what that stands for."""

_COSTS = ("charged", "forfeited")
"""What the ledger counts; all else is what it ought to count, and leaves with the settlement."""

ASSUMED = 4
"""How many buckets a ledger has in a run that is shown, where it forgets by the bucket: the file does not say."""

_CHARGED, _FORFEITED = FIELDS.index("charged"), FIELDS.index("forfeited")
_BILLS = ("sends", "chunk", "tail")


def windows_of(machine: Machine) -> list[Window | None]:
    """Return the window of each account of a machine."""
    scenario = machine.scenario
    if len(machine.accounts) == 1:
        return [scenario.window]
    return [scenario.window, *(ceiling.window for ceiling in scenario.ceilings)]


def ages(ledgers: tuple[int, ...], entry: int, *, keeps: bool, buckets: bool = False) -> Process:
    """Return what lets time pass, as often as anything can leave a window that slides; or what drops a bucket."""
    name = "bucket" if buckets else "time"
    place = Place(
        "drop" if buckets else "age",
        (),
        account=ledgers[0],
        parent=ledgers[0],
        next=0,
        refused=0,
        label="drop bucket" if buckets else "leave window",
        ledgers=ledgers,
        keeps=keeps,
    )
    return Process(name, name, (place,), is_agent=False, entry=entry, clock=True)


def entries_of(processes: list[Process], timeouts: int, spent: int, *, linked: bool) -> int:
    """Return how many entries a state has at most: one for each block that admits, bills or ends a call."""
    found = bool(spent) + (linked + 2) * timeouts
    for process in processes:
        for at, place in enumerate(process.places):
            if place.kind == "call" and place.main == at:
                found += stamps(place.block) or (linked and _tagged(place.block, "admits"))
    return found


def stamps(block: Block) -> bool:
    """Whether something is billed in a block, or a call ends in it."""
    return _tagged(block, *_BILLS, "resolves")


def _tagged(block: Block, *tags: str) -> bool:
    return any(tag in step.tags for step in block for tag in tags)


def no_past(machine: Machine, ledgers: list[Ledger]) -> list[Num]:
    """Return the entries before anything has happened: what is already spent is one."""
    if not machine.past:
        return []
    first = _values([ledgers[index] for index in machine.slides])
    begun = 1 if any(value != 0 for value in first) else 0
    rest = [0] * (len(first) * (machine.past - begun))
    return [begun, *(first if begun else ()), *rest]


def past_names(machine: Machine) -> list[str]:
    """Return a name for every variable of the entries."""
    if not machine.past:
        return []
    each = [f"{machine.accounts[index].name}.{name}" for index in machine.slides for name in FIELDS]
    return ["past", *(f"past{number}.{name}" for number in range(1, machine.past + 1) for name in each)]


def _values(ledgers: list[Ledger]) -> list[Num]:
    return [getattr(ledger, name) for ledger in ledgers for name in FIELDS]


def snapshot(machine: Machine, config: Config) -> list[Ledger]:
    """Return copies of the ledgers whose windows slide."""
    return [replace(config.ledgers[index]) for index in machine.slides]


def note(machine: Machine, config: Config, branch: Branch, algebra: Algebra, before: list[Ledger]) -> None:
    """Keep what a block has billed and charged as an entry, in place; ``before`` are the ledgers before it."""
    place = machine.processes[branch.process].places[branch.place]
    running = config.running[branch.process]
    steps = _executed(machine, place, branch.kind)
    changed = [
        {name: _more(getattr(config.ledgers[index], name), getattr(old, name)) for name in FIELDS}
        for index, old in zip(machine.slides, before, strict=True)
    ]
    admits = branch.kind == "run" and _tagged(steps, "admits")
    over = _tagged(steps, "resolves")
    if machine.linked and over and not admits:
        _charge_at_hold(machine, config, place.charged, running, algebra, changed)
    if stamps(steps) or (machine.linked and admits):
        _push(machine, config, algebra, [change[name] for change in changed for name in FIELDS])
        if machine.linked and admits and not over:
            running.entry = config.past[0]
    if over:
        running.entry = 0


def _more(now: Num, before: Num) -> Num:
    return 0 if now is before else now - before


def _executed(machine: Machine, place: Place, kind: str) -> Block:
    """Return the steps of a branch that may bill or charge something: those of a call that was sent, or is now."""
    if kind == "run":
        return place.block if place.phase == "sent" or _tagged(place.block, "sends", "admits") else ()
    d = machine.discipline
    if place.phase != "sent":
        forfeits = kind == "cancel" and any(step.name == "forfeit" for step in d.before_send)
        return d.before_send if forfeits else ()
    if kind == "refuse":
        return place.on_refuse
    again = kind == "timeout" and d.retry is Retry.SAME_HOLD
    return d.after_send if kind in ("cancel", "timeout") and not again else ()


def _charge_at_hold(
    machine: Machine,
    config: Config,
    charged: tuple[int, ...],
    running: Running,
    algebra: Algebra,
    changed: list[dict[str, Num]],
) -> None:
    """Put what a ledger was told in the entry of the hold, where it counts the age from that: it may have left."""
    windows = windows_of(machine)
    width = len(machine.slides) * len(FIELDS)
    for number, (index, change) in enumerate(zip(machine.slides, changed, strict=True)):
        window = windows[index]
        assert window is not None
        if window.forgets != HELD or index not in charged:
            continue
        ledger = config.ledgers[index]
        late = running.entry == 0
        for name in _COSTS:
            told = change[name]
            for slot in range(machine.past):
                at = 1 + slot * width + number * len(FIELDS) + FIELDS.index(name)
                here = running.entry == slot + 1
                config.past[at] = algebra.ite(here, config.past[at] + told, config.past[at])
            gone = algebra.ite(late, told, 0)
            setattr(ledger, name, getattr(ledger, name) - gone)
            ledger.available = ledger.available + gone
            change[name] = 0


def _push(machine: Machine, config: Config, algebra: Algebra, values: list[Num]) -> None:
    past = config.past
    width = len(values)
    for slot in range(machine.past):
        free = past[0] == slot
        for offset, value in enumerate(values):
            at = 1 + slot * width + offset
            past[at] = algebra.ite(free, value, past[at])
    past[0] = past[0] + 1
    assert not isinstance(past[0], int) or past[0] <= machine.past, "there is room for every entry"


def leave(machine: Machine, config: Config, branch: Branch, algebra: Algebra) -> tuple[Bool, dict[int, list[int]]]:
    """Let the oldest entry leave its windows, in place.

    Return the condition under which there is one, and whose holds were let go, by ledger: in a concrete state.
    """
    place = machine.processes[branch.process].places[branch.place]
    past = config.past
    possible: Bool = past[0] >= 1
    lost: dict[int, list[int]] = {}
    if possible is False:
        return possible, lost
    width = len(machine.slides) * len(FIELDS)
    windows = windows_of(machine)
    # What is counted in buckets is forgotten before it is as old as the window, or just then.
    possible = algebra.both(possible, algebra.negate(_has_costs(machine, past, 0, in_buckets(machine), algebra)))
    if possible is False:
        return possible, lost
    for index in machine.slides:
        ledger, window, at = config.ledgers[index], windows[index], _at(machine, 0, index)
        values = past[at : at + len(FIELDS)]
        together = window is not None and window.forgets == FIRST
        for name, value in zip(FIELDS, values, strict=True):
            if together and name in _COSTS:
                continue
            setattr(ledger, name, getattr(ledger, name) - value)
            if name in _COSTS:
                ledger.available = ledger.available + value
        if together:
            cleared = _forget_all(ledger, values, algebra)
            for slot in range(machine.past):
                for field in (_CHARGED, _FORFEITED):
                    there = _at(machine, slot, index) + field
                    past[there] = algebra.ite(cleared, 0, past[there])
    config.past = [past[0] - 1, *past[1 + width :], *([0] * width)]
    if machine.linked:
        for process in range(len(machine.processes)):
            if not place.keeps:
                _let_go(machine, config, process, algebra, lost)
            running = config.running[process]
            running.entry = algebra.ite(running.entry > 0, running.entry - 1, 0)
    return possible, lost


def _forget_all(ledger: Ledger, values: list[Num], algebra: Algebra) -> Bool:
    """Forget all costs of a ledger if the oldest entry, of these values, has one; return whether it has."""
    first: Bool = values[_CHARGED] + values[_FORFEITED] > 0
    spent = algebra.ite(first, ledger.charged + ledger.forfeited, 0)
    ledger.available = ledger.available + spent
    for name in _COSTS:
        setattr(ledger, name, algebra.ite(first, 0, getattr(ledger, name)))
    return first


def drop(machine: Machine, config: Config, branch: Branch, algebra: Algebra) -> Bool:
    """Forget the oldest costs that are counted in buckets, in place; return the condition under which there are any."""
    past = config.past
    ledgers = machine.processes[branch.process].places[branch.place].ledgers
    none: Bool = True
    for slot in range(machine.past):
        has = _has_costs(machine, past, slot, ledgers, algebra)
        here = algebra.both(none, has)
        none = algebra.both(none, algebra.negate(has))
        for index in ledgers:
            ledger, at = config.ledgers[index], _at(machine, slot, index)
            for name in _COSTS:
                place = at + FIELDS.index(name)
                gone = algebra.ite(here, past[place], 0)
                past[place] = algebra.ite(here, 0, past[place])
                setattr(ledger, name, getattr(ledger, name) - gone)
                ledger.available = ledger.available + gone
    return algebra.negate(none)


def _has_costs(
    machine: Machine, past: Sequence[Num], slot: int, ledgers: tuple[int, ...], algebra: Algebra | None
) -> Bool:
    found: Bool = False
    for index in ledgers:
        at = _at(machine, slot, index)
        some = past[at + _CHARGED] + past[at + _FORFEITED] > 0
        found = some or found if algebra is None else algebra.either(found, some)
    return found


def _at(machine: Machine, slot: int, ledger: int) -> int:
    """Return where the values of a ledger stand in an entry."""
    return 1 + (slot * len(machine.slides) + machine.slides.index(ledger)) * len(FIELDS)


def in_buckets(machine: Machine) -> tuple[int, ...]:
    """Return the ledgers that forget costs by the bucket under a promise for any span of time."""
    windows = windows_of(machine)
    return tuple(i for i in machine.slides if (window := windows[i]) is not None and window.forgets == BUCKET)


def _let_go(machine: Machine, config: Config, process: int, algebra: Algebra, lost: dict[int, list[int]]) -> None:
    """Let go the hold whose entry leaves now, in every ledger that forgets it: the call goes on at its twin."""
    windows = windows_of(machine)
    forgetful = [i for i in machine.slides if (window := windows[i]) is not None and not window.keeps]
    running = config.running[process]
    oldest = running.entry == 1
    if oldest is False:
        return
    at = running.at
    calls = [running.call, *running.more]
    for here, place in enumerate(machine.processes[process].places):
        going = [i for i in forgetful if i in place.held_on and i not in place.gone]
        if not going:
            continue
        twin = dict(place.twins)[tuple(i for i in place.held_on if i in (*place.gone, *going))]
        for old, new in ((here, twin), (dead_at(here), dead_at(twin))):
            there = algebra.both(oldest, at == old)
            if there is False:
                continue
            for index in going:
                ledger = config.ledgers[index]
                cover = algebra.ite(there, calls[machine.accounts[index].view].cover, 0)
                ledger.held = ledger.held - cover
                ledger.available = ledger.available + cover
                if there is True:
                    lost.setdefault(index, []).append(process)
            running.at = algebra.ite(there, new, running.at)


def window_of(machine: Machine, account: int) -> Sliding | Buckets | None:
    """Return the window of time of an account that slides, None for others."""
    said = windows_of(machine)[account]
    found = in_words(said.written) if said is not None and said.slides else None
    if said is None or not isinstance(found, Sliding):
        return None
    return in_steps(found, said.buckets) or found if said.buckets else found


def kept(machine: Machine, past: Sequence[int]) -> Kept:
    """Return what is in the windows of a concrete state."""
    ledgers = in_buckets(machine)
    costs = tuple(n for n in range(machine.past if ledgers else 0) if _has_costs(machine, past, n, ledgers, None))
    return Kept(past[0], costs)


def bucket_of(machine: Machine) -> int:
    """Return how long a bucket is, 0 where nothing is counted in buckets."""
    window = window_of(machine, machine.slides[0])
    if isinstance(window, Buckets):
        return window.length
    return span_of(machine) // ASSUMED if in_buckets(machine) else 0


def span_of(machine: Machine) -> int:
    """Return how long the windows of a machine are, in nanoseconds: all that slide are alike."""
    window = window_of(machine, machine.slides[0])
    return window.length * (window.number if isinstance(window, Buckets) else 1) if window is not None else 0


def moments_of(machine: Machine, steps: Sequence[Kept]) -> tuple[int, ...] | None:
    """Return the moment of each step of a run, in nanoseconds; None where none are found.

    ``steps`` is what is in the windows at first and after each step.
    """
    by_bucket = isinstance(window_of(machine, machine.slides[0]), Buckets)
    found = moments(span_of(machine), steps, bucket_of(machine), leaves_by_bucket=by_bucket)
    return found or (None if len(steps) > 1 else ())


def begin_of_bucket(machine: Machine, steps: Sequence[Kept], when: Sequence[int] | None) -> int:
    """Return when a bucket begins in a run, where everything leaves a window by the bucket; otherwise 0."""
    if not when or not isinstance(window_of(machine, machine.slides[0]), Buckets):
        return 0
    return grid_of(when, steps, bucket_of(machine))
