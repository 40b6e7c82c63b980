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
    Step,
)

Block = tuple[Step, ...]


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
    program is checked for second uses before it runs.
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

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def sending(self) -> int:
        """The index of the block that sends the request."""
        return next(i for i, block in enumerate(self.blocks) if any("sends" in step.tags for step in block))

    @property
    def streams(self) -> bool:
        """Whether calls are streamed."""
        return any(step is SEND_STREAM for block in self.blocks for step in block)

    def __str__(self) -> str:
        return " ".join("[" + ", ".join(step.name for step in block) + "]" for block in self.blocks)


def _validate(d: Discipline) -> None:
    """Refuse a discipline that could not run. Raises ``BadDiscipline``."""
    flat = [step for block in d.blocks for step in block]
    for tag, what in (("admits", "admits a call"), ("sends", "sends it")):
        count = sum(tag in step.tags for step in flat)
        if count != 1:
            raise BadDiscipline(
                f"discipline {d.name!r} has {count} steps that {what.split()[0]} the call",
                cause=f"exactly one step {what}",
                hint="list the blocks in order, for example [[CHECK, RESERVE], [SEND], [SETTLE]]",
            )
    admits = next(i for i, step in enumerate(flat) if "admits" in step.tags)
    sends = next(i for i, step in enumerate(flat) if "sends" in step.tags)
    if sends < admits:
        raise BadDiscipline(f"discipline {d.name!r} sends before it admits", hint="that would be a late refusal")
    holds = [i for i, step in enumerate(flat) if "holds" in step.tags]
    if holds and holds[0] < admits:
        raise BadDiscipline(
            f"discipline {d.name!r} reserves before it admits",
            cause="what is held is the estimate that the call was admitted for: before that it would hold nothing",
            hint="put RESERVE behind the step that admits, for example [[CHECK, RESERVE], [SEND], [SETTLE]]",
        )
    for block in d.blocks:
        guarded = [i for i, step in enumerate(block) if step.guard is not None or step.waits is not None]
        if guarded and guarded[-1] >= len(guarded):
            raise BadDiscipline(
                f"discipline {d.name!r} has a guard after an effect in {block}",
                cause="a block happens at once or not at all",
                hint="move the guard to the front of its block, or cut the block in two",
            )


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


def get_discipline(name: str) -> Discipline:
    """Return the discipline called ``name``; raises ``BadDiscipline`` with the nearest match."""
    try:
        return DISCIPLINES[name]
    except KeyError:
        raise BadDiscipline(f"there is no discipline {name!r}", hint=nearest(name, DISCIPLINES)) from None
