"""Disciplines: ways of admitting calls, as lists of atomic blocks (design section 1).

A discipline is data. To add one, write its blocks; five lines are enough::

    TWO_PHASE = discipline(
        "two-phase", "the estimate is checked, then reserved in a second step",
        [[CHECK], [RESERVE], [SEND], [SETTLE]],
        before_send=[RELEASE], after_send=[FORFEIT],
    )

What stands in one block happens at once; between two blocks any other agent may run. A race is a block that
was cut in two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from capsound.errors import BadDiscipline, nearest
from capsound.frames import Step
from capsound.steps import (
    CARVE,
    CHECK,
    CHECK_SPENT,
    COPY,
    COPY_ALL,
    DEBIT,
    EXTEND,
    FORFEIT,
    FORGET,
    GIVE_BACK,
    LOCK,
    MOVE_ALL,
    NEXT_CHUNK,
    READ,
    RELEASE,
    RESERVE,
    SEND,
    SEND_STREAM,
    SETTLE,
    SETTLE_CAPPED,
    TAIL,
    UNLOCK,
    WRITE,
)
from capsound.wellformed import Block, flaws

__all__ = ["DISCIPLINES", "Block", "Discipline", "Retry", "discipline", "get_discipline"]


class Retry(StrEnum):
    """What an agent does when the reply never comes."""

    NEVER = "never"
    SAME_HOLD = "same hold"
    NEW_HOLD = "new hold"


@dataclass(frozen=True, slots=True)
class Discipline:
    """A way of admitting calls.

    ``blocks`` is the life of a call. ``before_send`` and ``after_send`` are run at once when the call is
    cancelled or times out; ``on_refuse`` when it is refused. ``stream`` is repeated for each further chunk of
    a streamed call, and ``on_abort`` run when a chunk is refused. ``delegate`` opens a slice, ``move`` passes
    all of a handle on to a new one, and ``close``, if any, ends a slice. ``affine`` says whether a handle
    program is checked for second uses before it runs. ``slots`` is how many calls fit into its semaphore, if any;
    ``lag`` how much an agent keeps to itself at most before it writes back; ``turn`` of how many calls of an agent
    only the first is checked. ``one_by_one`` says whether, of several ceilings over one call, each is asked in blocks
    of its own: the agent's own first.
    """

    name: str
    says: str
    blocks: tuple[Block, ...]
    before_send: Block = ()
    after_send: Block = ()
    on_refuse: Block = ()
    stream: tuple[Block, ...] = ()
    on_abort: Block = ()
    delegate: Block = (CARVE,)
    move: Block = (MOVE_ALL,)
    close: Block = ()
    retry: Retry = Retry.NEVER
    affine: bool = False
    slots: int = 0
    one_by_one: bool = False
    lag: int = 0
    turn: int = 1

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def sending(self) -> int:
        """The index of the block that sends the request."""
        return next(i for i, block in enumerate(self.blocks) if any("sends" in step.tags for step in block))

    @property
    def tries(self) -> bool:
        """Whether calls are added to the counter before they are admitted."""
        return any("tries" in step.tags for block in self.blocks for step in block)

    @property
    def frees_what_others_took(self) -> bool:
        """Whether an agent that never sends may free the lock, or the slot, of another: refused, or given up."""
        handlers = [step.name for step in (*self.on_refuse, *self.before_send)]
        if not {"unlock", "leave"} & set(handlers):
            return False
        admits = next(i for i, block in enumerate(self.blocks) if any("admits" in step.tags for step in block))
        taken = [(i, s.name) for i, block in enumerate(self.blocks) for s in block if s.name in ("lock", "enter")]
        return not taken or not (taken[0][0] < admits or taken[0] == (admits, "lock"))

    @property
    def may_keep_holds(self) -> bool:
        """Whether a call that is over may leave its hold behind: nothing that ends holds resolved it."""
        steps = [step for block in self.blocks for step in block]
        if not any("holds" in step.tags for step in steps):
            return False
        resolving = [s for s in (*steps, *self.before_send, *self.after_send) if "resolves" in s.tags]
        left = self.tries and not any("undoes" in step.tags for step in self.on_refuse)
        return left or any("ends-hold" not in step.tags for step in resolving)

    @property
    def streams(self) -> bool:
        """Whether calls are streamed."""
        return any(step is SEND_STREAM for block in self.blocks for step in block)

    @property
    def parts(self) -> dict[str, tuple[Block, ...]]:
        """The blocks of each part, under the names that a scenario file uses; a handler is one block, or none."""
        handlers = {
            "before-send": self.before_send,
            "after-send": self.after_send,
            "on-refuse": self.on_refuse,
            "on-abort": self.on_abort,
            "delegate": self.delegate,
            "move": self.move,
            "close": self.close,
        }
        lists = {"blocks": self.blocks, "stream": self.stream}
        return lists | {name: (block,) if block else () for name, block in handlers.items()}

    @property
    def rules(self) -> tuple[object, ...]:
        """What it does, without its name and its sentence: equal for disciplines that do the same."""
        return (tuple(self.parts.items()), self.retry, self.affine, self.slots, self.lag, self.turn, self.one_by_one)

    def __str__(self) -> str:
        return " ".join("[" + ", ".join(step.name for step in block) + "]" for block in self.blocks)


def _validate(d: Discipline) -> None:
    """Refuse a discipline that could not run. Raises ``BadDiscipline``."""
    same_hold = d.retry is Retry.SAME_HOLD
    for flaw in flaws(d.parts, same_hold=same_hold, slots=d.slots, lag=d.lag, turn=d.turn, one_by_one=d.one_by_one):
        raise BadDiscipline(f"discipline {d.name!r} {flaw.says}", cause=flaw.cause, hint=flaw.hint)


def discipline(
    name: str,
    says: str,
    blocks: Iterable[Iterable[Step]],
    *,
    before_send: Sequence[Step] = (),
    after_send: Sequence[Step] = (),
    on_refuse: Sequence[Step] = (),
    stream: Iterable[Iterable[Step]] = (),
    on_abort: Sequence[Step] = (),
    delegate: Sequence[Step] = (CARVE,),
    move: Sequence[Step] = (MOVE_ALL,),
    close: Sequence[Step] = (),
    retry: Retry = Retry.NEVER,
    affine: bool = False,
    slots: int = 0,
    one_by_one: bool = False,
    lag: int = 0,
    turn: int = 1,
) -> Discipline:
    """Return a discipline from plain lists of steps. Raises ``BadDiscipline`` when it could not run."""
    return Discipline(
        name,
        says,
        tuple(tuple(block) for block in blocks),
        before_send=tuple(before_send),
        after_send=tuple(after_send),
        on_refuse=tuple(on_refuse),
        stream=tuple(tuple(block) for block in stream),
        on_abort=tuple(on_abort),
        delegate=tuple(delegate),
        move=tuple(move),
        close=tuple(close),
        retry=retry,
        affine=affine,
        slots=slots,
        one_by_one=one_by_one,
        lag=lag,
        turn=turn,
    )


_SOUND = [[CHECK, RESERVE], [SEND], [SETTLE]]

DISCIPLINES: dict[str, Discipline] = {
    d.name: d
    for d in (
        discipline(
            "four-line-counter",
            "refuse if spent + estimate > cap; call; spent += actual, with nothing in between",
            [[CHECK, SEND, DEBIT]],
        ),
        discipline(
            "racy-counter",
            "the four-line counter with an await around the call",
            [[CHECK], [SEND], [DEBIT]],
            before_send=[FORGET],
            after_send=[FORGET],
        ),
        discipline(
            "lost-update-counter",
            "a counter that reads, adds and writes back in separate steps",
            [[CHECK], [SEND], [READ], [WRITE]],
            before_send=[FORGET],
            after_send=[FORGET],
        ),
        discipline(
            "lock-whole-call",
            "one lock is held from the check to the debit, across the provider call",
            [[LOCK], [CHECK], [SEND], [DEBIT, UNLOCK]],
            before_send=[FORGET, UNLOCK],
            after_send=[FORGET, UNLOCK],
            on_refuse=[UNLOCK],
        ),
        discipline(
            "reserve-settle",
            "check and reserve at once; charge the bill in full when it is known, and free the rest",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "two-phase",
            "the estimate is checked, then reserved in a second step",
            [[CHECK], [RESERVE], [SEND], [SETTLE]],
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "settle-capped",
            "reserve-settle that never charges more than the hold",
            [[CHECK, RESERVE], [SEND], [SETTLE_CAPPED]],
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "release-on-cancel",
            "reserve-settle that gives the hold back when the call is cancelled, sent or not",
            _SOUND,
            before_send=[RELEASE],
            after_send=[RELEASE],
        ),
        discipline(
            "forfeit-on-cancel",
            "reserve-settle that writes the hold off when a sent call is cancelled",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "retry-same-hold",
            "reserve-settle that sends again under the same hold when the reply never comes",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            retry=Retry.SAME_HOLD,
        ),
        discipline(
            "retry-new-hold",
            "reserve-settle that forfeits and reserves anew when the reply never comes",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            retry=Retry.NEW_HOLD,
        ),
        discipline(
            "record-after",
            "calls are let through until recorded spend has reached the cap; cost is recorded afterwards",
            [[CHECK_SPENT], [SEND], [DEBIT]],
            before_send=[FORGET],
            after_send=[FORGET],
        ),
        discipline(
            "prepay",
            "the whole estimate counts as spent, and nothing comes back",
            [[CHECK, RESERVE], [SEND], [FORFEIT]],
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "split-per-agent",
            "every agent has a slice of its own and prepays from it; nothing comes back",
            [[CHECK, RESERVE], [SEND], [FORFEIT]],
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
        discipline(
            "split-and-return",
            "every agent reserves and settles on a slice of its own, and gives back the unspent at its end",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            close=[GIVE_BACK],
        ),
        discipline(
            "copied-slices",
            "a slice is granted without being taken out of its parent",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            delegate=[COPY],
        ),
        discipline(
            "affine-handles",
            "every handle is used once: a program that uses one twice is rejected before it runs",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            close=[GIVE_BACK],
            affine=True,
        ),
        discipline(
            "copied-handles",
            "handles are plain values: a copy, or a second use, finds the old balance",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            close=[GIVE_BACK],
            move=[COPY_ALL],
        ),
        discipline(
            "stream-extend",
            "one chunk beyond what is billed is always held; a refused extension aborts the stream",
            [[CHECK, RESERVE], [SEND_STREAM], [SETTLE]],
            stream=[[EXTEND], [NEXT_CHUNK]],
            on_abort=[TAIL],
            before_send=[RELEASE],
            after_send=[FORFEIT],
        ),
    )
}


OVER_CEILINGS: dict[str, Discipline] = {
    d.name: d
    for d in (
        discipline(
            "one-by-one",
            "reserve-settle that asks one ceiling after the other, and gives back what it held when one refuses",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            on_refuse=[RELEASE],
            one_by_one=True,
        ),
        discipline(
            "one-by-one-kept",
            "reserve-settle that asks one ceiling after the other, and keeps what it held when one refuses",
            _SOUND,
            before_send=[RELEASE],
            after_send=[FORFEIT],
            one_by_one=True,
        ),
    )
}
"""Disciplines that are something of their own only where a call counts in several ceilings."""

KNOWN: dict[str, Discipline] = {**DISCIPLINES, **OVER_CEILINGS}
"""Every discipline that a scenario can name."""


def get_discipline(name: str) -> Discipline:
    """Return the discipline called ``name``; raises ``BadDiscipline`` with the nearest match."""
    try:
        return KNOWN[name]
    except KeyError:
        raise BadDiscipline(f"there is no discipline {name!r}", hint=nearest(name, KNOWN)) from None
