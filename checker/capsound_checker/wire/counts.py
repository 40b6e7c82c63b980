"""Which count an application must have kept: one under which every request that it sent would have fitted.

The wire shows requests and bills, and no code. But an application that looks at a cap before it sends has some count
of what is spent. A count that leaves something out (what is in flight, what failed, what another process was billed)
and still lets each request of a run through explains that run; one under which a single request would have been
refused does not. So a name is given only to what every request agrees with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from capsound_checker.wire.acting import Did
from capsound_checker.wire.billing import FREE
from capsound_checker.wire.dialects.shapes import Asked
from capsound_checker.wire.judge import TELLING


@dataclass(slots=True)
class Entry:
    """One request as a count may see it."""

    did: Did
    amount: int
    """What it was billed, or while that is not settled the most that it permits."""
    how: str = "flying"
    """``flying``, ``told``, ``cached``, ``no-usage``, ``error``, ``left``, ``timed-out``."""
    stalled: bool = False
    repeated: bool = False
    """Whether it has been sent again."""

    @property
    def asked(self) -> Asked:
        """What it asks for."""
        assert self.did.asked is not None
        return self.did.asked


@dataclass(frozen=True, slots=True)
class Sent:
    """A request at the moment at which it is sent, with all that was sent before it."""

    entry: Entry
    before: tuple[Entry, ...]
    most: int
    """The largest bill that it permits."""
    continues: bool
    """Whether it goes on with the messages of a request before it."""

    def fits(self, cap: int, leaves_out: Callable[[Entry, Sent], bool], *, estimates: bool) -> bool:
        """Whether a count that leaves some entries out lets it through.

        A count that estimates wants room for the largest bill; another one is content with any room.
        """
        counted = sum(entry.amount for entry in self.before if not leaves_out(entry, self))
        return counted + self.most <= cap if estimates else counted < cap


@dataclass(frozen=True, slots=True)
class Counts:
    """All counts that an application may have kept in one run."""

    did: Sequence[Did]
    cap: int
    continuing: frozenset[int]
    """The requests that go on with the messages of one before them."""

    @classmethod
    def of(cls, did: Sequence[Did], cap: int) -> Counts:
        """Return those of a run under a cap."""
        return cls(did, cap, continuing(did))

    def explain(self, leaves_out: Callable[[Entry, Sent], bool], *, estimates: bool) -> bool:
        """Whether a count, given by what it leaves out, lets every request of the run through."""
        return all(sent.fits(self.cap, leaves_out, estimates=estimates) for sent in sent_in(self.did, self.continuing))


@dataclass
class _Book:
    bills: dict[int, int]
    ceilings: dict[int, int]
    entries: dict[int, Entry] = field(default_factory=dict)

    def end(self, number: int, how: str) -> None:
        entry = self.entries.get(number)
        if entry is not None and entry.how == "flying":
            entry.how = how
            entry.amount = self.bills.get(number, entry.amount)


def sent_in(did: Sequence[Did], continuing: frozenset[int] = frozenset()) -> Iterator[Sent]:
    """Yield each request of a run at the moment at which it was sent. What is yielded holds for that moment only."""
    billed = {one.number: one.bill for one in did if one.what == "billed" and one.bill is not None}
    book = _Book(
        {number: bill.amount or 0 for number, bill in billed.items()},
        {number: bill.ceiling or 0 for number, bill in billed.items()},
    )
    for one in did:
        match one.what:
            case "arrived" if one.asked is not None:
                for entry in book.entries.values():
                    entry.repeated = entry.repeated or (one.repeats != "" and entry.did.label == one.repeats)
                most = book.ceilings.get(one.number, 0)
                new = Entry(one, most)
                yield Sent(new, tuple(book.entries.values()), most, one.number in continuing)
                book.entries[one.number] = new
            case "answered":
                book.end(one.number, _heard(one.act))
            case "stalled" if one.number in book.entries:
                book.entries[one.number].stalled = True
            case "left" | "closed" if one.number in book.entries:
                book.end(one.number, "timed-out" if book.entries[one.number].stalled else "left")


def _heard(act: str) -> str:
    if act in ("cached", "no-usage"):
        return act
    return "told" if act in TELLING or act in FREE else "error"


def continuing(did: Sequence[Did]) -> frozenset[int]:
    """Return the requests that send all of a request before them and then more, as a turn with tools does."""
    found: set[int] = set()
    seen: set[str] = set()
    for one in did:
        if one.what == "arrived" and one.asked is not None:
            text = one.asked.text
            ends = (at for at, letter in enumerate(text) if letter == "\n")
            if one.asked.turn or one.asked.continues or any(text[:at] in seen for at in ends):
                found.add(one.number)
            seen.add(text)
    return frozenset(found)
