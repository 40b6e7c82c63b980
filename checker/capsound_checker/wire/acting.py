"""What is done to requests, and what is noted of it: the same for an application that is run and one that is inside."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from capsound_checker.wire.billing import Bill, Billing
from capsound_checker.wire.dialects.shapes import Asked
from capsound_checker.wire.held import Held, Order
from capsound_checker.wire.replies import Progress, Replies, Said
from capsound_checker.wire.schedule import Choice

ERRORS = {
    "500": (500, "The server had an error while processing your request"),
    "500-free": (500, "The server had an error while processing your request"),
    "503": (503, "The engine is currently overloaded, please try again later"),
    "529": (529, "Overloaded"),
    "429": (429, "Rate limit reached, please try again"),
}
SOON = ("retry-after-ms", "20")
"""What is said beside an error: clients that can be told to try again soon do so."""


@dataclass(frozen=True, slots=True)
class Did:
    """One thing that happened, in order."""

    what: str
    """Of a request: ``arrived``, ``billed``, ``begun`` (a part of a stream was sent), ``answered``, ``stalled``,
    ``closed`` (a stalled one), ``left`` (its client gave up), ``leaves`` (a client of ours was told to); ``refused`` is
    said of a call of ours that came no further than the gateway.
    """
    label: str = ""
    act: str = ""
    number: int = 0
    bill: Bill | None = None
    asked: Asked | None = None
    repeats: str = ""
    process: int = 0
    """Which process of the application it was, from 1; 0 where it is not known."""
    segment: int = 0
    """How many choices were made before."""
    at: int = 0
    """When a request arrived, or was billed, in nanoseconds since 1970; 0 for all else, and inside."""


def _clock() -> Callable[[], int]:
    """Return a clock of nanoseconds since 1970 that never goes back."""
    begun, since = time.time_ns(), time.monotonic_ns()
    return lambda: begun + time.monotonic_ns() - since


@dataclass
class Acting:
    """The requests of one run, and what happens to them. ``arrived`` and ``left`` are told by whoever receives them."""

    billing: Billing
    did: list[Did] = field(default_factory=list)
    choices: list[tuple[Choice, tuple[str, ...]]] = field(default_factory=list)
    """What was chosen at each step, and the names of those that were held then."""
    held: list[Held] = field(default_factory=list)
    """All that have arrived, those that have ended too."""
    bills: dict[int, Bill] = field(default_factory=dict)
    replies: Replies = Replies()
    """Who decides what the model says."""
    progress: Progress = field(default_factory=Progress)
    said: dict[int, Said] = field(default_factory=dict)
    clock: Callable[[], int] = field(default_factory=_clock)

    def arrived(self, held: Held, seat: int = 0) -> None:
        """Note a request; ``seat`` is the process that has sent it, from 1, where it is known."""
        repeats = held.named.repeats.label if held.named.repeats is not None else ""
        self.said[held.number], self.progress = self.replies.say(self.progress, held.asked, held.body)
        segment, now = len(self.choices), self.clock()
        self.did.append(Did("arrived", held.label, "", held.number, None, held.asked, repeats, seat, segment, now))

    def seat(self, seats: Mapping[int, int]) -> None:
        """Note which process has sent requests, by their numbers."""
        self.did[:] = [
            replace(one, process=seats[one.number]) if one.what == "arrived" and one.number in seats else one
            for one in self.did
        ]

    def left(self, held: Held) -> None:
        """Note that the client of a request gave it up."""
        held.named.failed = True
        if held.number not in self.bills:  # what was not answered is charged all the same
            self._bill(held, "left")
        self.did.append(Did("left", held.label, "", held.number, segment=len(self.choices)))

    def offered(self) -> list[Held]:
        """Return the requests with which something can still be done."""
        return [one for one in self.held if one.state in ("held", "begun")]

    def give_up_waiting(self) -> bool:
        """Close the connections that wait longer than there is patience; return whether there were any."""
        stalled = [one for one in self.held if one.state == "stalled"]
        for one in stalled:
            one.state = "ended"
            one.orders.put_nowait(Order(one.dialect.error(504, "no answer"), (), "break"))
            self.did.append(Did("closed", one.label, "stall", one.number, segment=len(self.choices)))
        return bool(stalled)

    def do(self, choice: Choice, held: Held) -> None:
        """Do to a request what was chosen.

        A stream that has begun goes on as it was begun, where nothing else happens to it.
        """
        act = held.begun if held.begun and choice.act == "answer" else choice.act
        if act == "stall":
            self._stall(held)
            return
        bill = self.bills.get(held.number) or self._bill(held, act)
        if act in ERRORS:
            status, message = ERRORS[act]
            answer = held.dialect.error(status, message)
            answer = replace(answer, headers=(*answer.headers, SOON))
            held.named.failed = True
            self._order(held, Order(answer, answer.chunks), "answered", act, bill)
            return
        usage = None if act == "no-usage" else bill.usage
        said = self.said[held.number]
        answer = held.dialect.answer(held.asked, said.reply, usage, held.ident)
        if said.recorded is not None and act == "answer":
            answer = said.recorded
        if act == "drop" or (act == "half" and held.begun):
            held.named.failed = True
            self._order(held, Order(answer, (), "break"), "answered", act, bill)
        elif act == "half":
            held.named.failed = True
            self._order(held, Order(answer, answer.half, "break"), "answered", act, bill)
        elif held.asked.stream and held.state == "held" and len(answer.chunks) > 1:
            held.begun = act
            self._order(held, Order(answer, answer.half, "more"), "begun", act, bill)
        else:
            rest = answer.chunks[len(answer.half) :] if held.state == "begun" else answer.chunks
            self._order(held, Order(answer, rest), "answered", act, bill)

    def _order(self, held: Held, order: Order, what: str, act: str, bill: Bill) -> None:
        self.did.append(Did(what, held.label, act, held.number, bill, segment=len(self.choices)))
        if what == "answered":
            held.state = "ended"
        held.orders.put_nowait(order)

    def _stall(self, held: Held) -> None:
        """Give no answer, or no more of it: the client has to give up by itself."""
        if held.number not in self.bills:  # a stream that has begun is billed already
            self._bill(held, "stall")
        self.did.append(Did("stalled", held.label, "stall", held.number, segment=len(self.choices)))
        held.named.failed = True
        held.state = "stalled"

    def _earlier(self, held: Held) -> int:
        """Return the tokens of the conversation that a request goes on with by the id of an answer."""
        wanted = held.asked.continues
        kept = [one for one in self.held if one.number in self.bills and one.ident in wanted]
        if not kept:
            return 0
        usage = self.bills[max(kept, key=lambda one: len(one.ident)).number].usage
        return usage.input + usage.output

    def _bill(self, held: Held, act: str) -> Bill:
        decided = self.said[held.number].usage if act != "most" else None
        bill = self.billing.bill(held.asked, act, self._earlier(held), decided)
        self.bills[held.number] = bill
        segment, now = len(self.choices), self.clock()
        self.did.append(Did("billed", held.label, act, held.number, bill, segment=segment, at=now))
        return bill


def in_order(did: Sequence[Did]) -> tuple[Did, ...]:
    """Return what happened, with requests that arrived between two choices by name: which came first means nothing.

    So it is with those that were given up. Requests and processes are numbered as they are met then.
    """
    out: list[Did] = []
    for alike, group in itertools.groupby(did, _alike):
        members = list(group)
        out += sorted(members, key=lambda one: one.label) if alike else members
    seats: dict[int, int] = {0: 0}
    numbers: dict[int, int] = {0: 0}
    return tuple(
        replace(
            one,
            process=seats.setdefault(one.process, len(seats)),
            number=numbers.setdefault(one.number, len(numbers)),
        )
        for one in out
    )


def _alike(one: Did) -> tuple[str, int] | None:
    """Return what things have in common whose order means nothing; None where it means something."""
    if one.what == "arrived":
        return "arrived", one.segment
    if one.what == "left" or (one.what == "billed" and one.act == "left"):
        return "left", one.segment
    return None
