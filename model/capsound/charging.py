"""The places of a call that counts in several ceilings: who is asked when, who holds, and who has let go.

A ledger that lets a hold go while its call is open changes nothing but where the call stands: it goes on at a *twin* of
its place, at which that ledger holds nothing. There is a twin for each set of ledgers that can have let go together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from itertools import combinations

from capsound.costs import CallCosts, counted
from capsound.disciplines import Block, Discipline
from capsound.errors import BadDiscipline
from capsound.processes import AccountInfo, Machine, Place, Process
from capsound.scenario import MONEY, ROOT, Scenario, Stream, Window

UNDERSTOOD = frozenset(
    {"check", "check-spent", "admit", "reserve", "send", "settle", "settle-capped", "debit", "read", "write"}
    | {"release", "forfeit", "forget", "send-stream", "next-chunk", "extend", "tail", "lock", "unlock"}
    | {"enter", "leave"}
)
"""The steps that may work on several ledgers: of each it was seen what it does where a hold was let go."""

KEPT = frozenset(
    {"name", "says", "blocks", "before_send", "after_send", "on_refuse", "stream", "on_abort", "retry", "one_by_one"}
    | {"delegate", "move", "close", "affine", "slots"}
)
"""What of a discipline is kept over ceilings, or has no meaning there: any other part that is used is refused."""

FORGETFUL = 3
"""How many ceilings over one call may forget its hold by themselves: each doubles the places of a call."""


def ceiling_accounts(scenario: Scenario, d: Discipline) -> tuple[list[AccountInfo], int]:
    """Return the accounts of a scenario whose accounts stand alone, the root first, and how many views there are.

    Accounts that count the same share a view of the call, but for disciplines that read a balance into it.
    """
    reads = any(step.name == "read" for block in d.blocks for step in block)
    views: dict[object, int] = {MONEY if not reads else 0: 0}
    found = [AccountInfo(ROOT, None, scenario.cap)]
    for number, ceiling in enumerate(scenario.ceilings, start=1):
        view = views.setdefault(number if reads else ceiling.dimension, len(views))
        found.append(AccountInfo(ceiling.name, None, ceiling.cap, view, ceiling.dimension))
    return found, len(views)


def windows_of(scenario: Scenario) -> list[Window | None]:
    """Return the window of each account, the root first."""
    return [scenario.window, *(ceiling.window for ceiling in scenario.ceilings)]


def clock(account: int, name: str, window: Window, entry: int) -> Process:
    """Return what resets one ceiling: as often as its window says, or again and again."""
    number = 1 if window.resets is None else window.resets
    places = tuple(
        Place(
            "reset",
            (),
            account=account,
            parent=account,
            next=0 if window.resets is None else at + 1,
            refused=at,
            label="reset",
            ledgers=(account,),
            keeps=window.keeps,
        )
        for at in range(number)
    )
    return Process(f"window of {name}", f"window of {name}", places, is_agent=False, entry=entry, clock=True)


def call_places(
    d: Discipline,
    ledgers: Sequence[int],
    costs: CallCosts,
    start: int,
    number: int,
    *,
    forgetful: Collection[int],
    expires: bool,
) -> list[Place]:
    """Return the places of one call that counts in ``ledgers``, its twins behind them.

    Raises ``BadDiscipline`` for a call that the discipline cannot make over ceilings.
    """
    blocks = _blocks(d, costs, ledgers, bool(forgetful) or expires)
    gone_sets = _gone_sets(ledgers, forgetful, expires)
    places = _main_places(d, blocks, tuple(ledgers), costs, start, number)
    holding = [place for place in places if place.held_on]
    at: dict[tuple[int, tuple[int, ...]], int] = {}
    for gone in gone_sets:
        for place in holding:
            mine = tuple(i for i in place.held_on if i in gone)
            if mine and (place.main, mine) not in at:
                at[place.main, mine] = start + len(places) + len(at)
    end = start + len(places) + len(at)

    def moved(place: Place, gone: tuple[int, ...]) -> Place:
        def there(target: int) -> int:
            if target >= start + len(places):
                return end
            return at.get((target, gone), target)

        twins = {g: n for (main, g), n in at.items() if main == place.main and set(g) > set(gone)}
        return replace(
            place,
            gone=gone,
            next=there(place.next),
            refused=there(place.refused),
            send=there(place.send),
            end=end,
            twins=tuple(twins.items()),
        )

    by_main = {place.main: place for place in places}
    return [*(moved(place, ()) for place in places), *(moved(by_main[main], gone) for main, gone in at)]


def _blocks(
    d: Discipline, costs: CallCosts, ledgers: Sequence[int], lets_go: bool
) -> list[tuple[Block, tuple[int, ...]]]:
    """Return the blocks of a call in order, each with the ledgers that it works on."""
    _understood(d)
    blocks = with_chunks(d, costs, d.blocks)
    if d.streams and lets_go:
        raise BadDiscipline(
            "a stream extends its hold, which cannot be let go on the way",
            hint='leave out expire in [faults], and use in_flight = "kept"',
        )
    everywhere = tuple(ledgers)
    if not d.one_by_one:
        return [(block, everywhere) for block in blocks]
    if lets_go:
        raise BadDiscipline(
            f"discipline {d.name!r} asks its ceilings one by one, and holds may be let go in between",
            hint='leave out expire in [faults], and use in_flight = "kept"',
        )
    if d.may_keep_holds:
        raise BadDiscipline(
            f"discipline {d.name!r} asks its ceilings one by one, and a call of it may be over before its hold ends",
            hint="end the hold in the block that ends the call, as settle, forfeit and release do",
        )
    if not d.sending:
        raise BadDiscipline(
            f"discipline {d.name!r} asks its ceilings one by one, and sends in the block in which it asks",
            hint="give the send a block of its own, for example [[CHECK, RESERVE], [SEND], [SETTLE]]",
        )
    asked = [(block, (ledger,)) for ledger in ledgers for block in blocks[: d.sending]]
    return [*asked, *((block, everywhere) for block in blocks[d.sending :])]


def _understood(d: Discipline) -> None:
    """Raise ``BadDiscipline`` for steps, or an order of them, that nobody has thought through over ceilings."""
    handlers = (d.before_send, d.after_send, d.on_refuse, d.on_abort, *d.stream)
    odd = [step.name for block in (*d.blocks, *handlers) for step in block if step.name not in UNDERSTOOD]
    if odd:
        raise BadDiscipline(
            f"discipline {d.name!r} has the step {odd[0]!r}, which does not go together with ceilings and windows yet",
            hint="ask about it with one cap, without a window and without expire",
        )
    if d.turn > 1:
        raise BadDiscipline(
            f"discipline {d.name!r} checks once for a turn, which does not go together with ceilings and windows yet",
            hint="leave turn out, or ask about it with one cap, without a window and without expire",
        )
    used = [part.name for part in fields(d) if part.name not in KEPT and getattr(d, part.name) != part.default]
    if used:
        raise BadDiscipline(
            f"discipline {d.name!r} says {used[0]!r}, which does not go together with ceilings and windows yet",
            hint="ask about it with one cap, without a window and without expire",
        )
    over = next((n for n, block in enumerate(d.blocks) if _has(block, "resolves")), len(d.blocks))
    if over < len(d.blocks) - 1:
        raise BadDiscipline(
            f"discipline {d.name!r} goes on after its call is over, which does not go together with ceilings yet",
            hint="put the last steps into one block, for example [DEBIT, UNLOCK]",
        )


def _main_places(
    d: Discipline,
    blocks: list[tuple[Block, tuple[int, ...]]],
    charged: tuple[int, ...],
    costs: CallCosts,
    start: int,
    number: int,
) -> list[Place]:
    places: list[Place] = []
    sent = next(n for n, (block, _) in enumerate(blocks) if any("sends" in step.tags for step in block))
    send, end = start + sent, start + len(blocks)
    extra = (costs.cost.chunks - 1) * len(d.stream) if isinstance(costs.cost, Stream) else 0
    admitted: list[int] = []
    held: list[int] = []
    for offset, (block, on) in enumerate(blocks):
        at = start + offset
        aborts = at > send and any(step.guard is not None for step in block)
        places.append(
            Place(
                "call",
                block,
                account=on[0],
                parent=on[0],
                next=at + 1,
                refused=send + 1 + extra if aborts else end,
                phase="sent" if at > send else "admitted" if admitted else "new",
                holds=bool(held),
                label="+".join(step.name for step in block),
                costs=costs,
                draws_size=offset == 0,
                on_refuse=d.on_abort if aborts else d.on_refuse,
                aborts=aborts,
                end=end,
                start=start,
                send=send,
                number=number,
                charged=charged,
                ledgers=on,
                admitted_on=tuple(admitted),
                held_on=tuple(held),
                main=at,
                chunks_left=chunks_left(d, extra, offset - sent - 1),
            )
        )
        admitted += [i for i in on if _has(block, "admits") and i not in admitted]
        held += [i for i in on if _has(block, "holds") and i not in held]
    return places


def with_chunks(d: Discipline, costs: CallCosts, blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks of one call, those of each further chunk of a stream behind the one that sends.

    Raises ``BadDiscipline`` where the call is streamed and the discipline does not stream, or the other way round.
    """
    if not isinstance(costs.cost, Stream):
        if d.streams:
            raise BadDiscipline(
                f"discipline {d.name!r} needs streamed calls",
                hint="give the call `chunk` and `chunks` instead of an estimate",
            )
        return list(blocks)
    if not d.streams:
        raise BadDiscipline(
            f"discipline {d.name!r} does not stream", hint="use stream-extend, or give an estimate and a bill"
        )
    extra = [block for _ in range(costs.cost.chunks - 1) for block in d.stream]
    return [*blocks[: d.sending + 1], *extra, *blocks[d.sending + 1 :]]


def chunks_left(d: Discipline, extra: int, offset: int) -> int:
    """Return how many chunks of a stream are still to come at the ``offset``-th block after the first chunk."""
    return max(0, (extra - max(0, offset)) // max(1, len(d.stream)))


def only(machine: Machine, ledger: int, scenario: Scenario) -> Machine:
    """Return the machine as one of its ceilings sees it: every run of all is a run of this, but for what others do.

    Other ceilings may refuse what this one admits, and their resets change nothing here. ``scenario`` is the question
    about this ceiling alone; entries of agents keep their numbers.
    """
    info = machine.accounts[ledger]

    def here(ledgers: tuple[int, ...]) -> tuple[int, ...]:
        return (0,) if ledger in ledgers else ()

    def seen(place: Place) -> Place:
        costs = place.costs
        others = len(place.charged) > 1
        gone = here(place.gone)
        # Where another ceiling lets go, the call is at a place that is like this one.
        twins = tuple((here(left), at) for left, at in place.twins if here(left) != gone)
        return replace(
            place,
            account=0,
            parent=0,
            costs=costs if costs is None else counted(costs, info.dimension),
            charged=here(place.charged),
            ledgers=here(place.ledgers),
            admitted_on=here(place.admitted_on),
            held_on=here(place.held_on),
            gone=gone,
            twins=twins,
            elsewhere=others and any(step.guard is not None for step in place.block),
            # The others have other numbers here, or are not there: whoever need not wait can do all that it could.
            after=(),
        )

    processes = tuple(
        replace(process, places=tuple(seen(place) for place in process.places))
        for process in machine.processes
        if (process.places and ledger in (process.places[0].account, *process.places[0].ledgers))
        or any(ledger in place.charged for place in process.places)
    )
    account = AccountInfo(info.name, None, scenario.cap, 0, info.dimension)
    return replace(
        machine,
        scenario=scenario,
        accounts=(account,),
        processes=processes,
        cap=scenario.cap,
        views=1,
        slides=here(machine.slides),
    )


def _has(block: Block, tag: str) -> bool:
    return any(tag in step.tags for step in block)


def _gone_sets(ledgers: Sequence[int], forgetful: Collection[int], expires: bool) -> list[tuple[int, ...]]:
    """Return which ledgers can have let go of one call together: those that forget, in any set, and all at once."""
    mine = [i for i in ledgers if i in forgetful]
    if len(mine) > FORGETFUL:
        raise BadDiscipline(
            f"{len(mine)} ceilings over one call forget its hold at a reset, each by itself; {FORGETFUL} are the most",
            hint='let the others keep it: in_flight = "kept"',
        )
    found = [chosen for size in range(1, len(mine) + 1) for chosen in combinations(mine, size)]
    if expires and tuple(ledgers) not in found:
        found.append(tuple(ledgers))
    return found
