"""Several caps over one log, each with its window: what was billed under each, at least and at most.

A bill counts at the time that the log tells for it. What may count, since its time, its agent, its model or its amount
is not told, counts at the upper end only: it breaks no cap, and no cap is kept that it could break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from capsound.live_books import LiveAccount
from capsound.verdict import Verdict
from capsound.windows import Calendar, Meter, Over, Whole
from capsound_checker.audit.capsfile import Ceiling, matches
from capsound_checker.audit.moments import DATES

SHOWN = 5
"""How many of those that exceeded a cap of their own are told, the worst first."""


@dataclass(slots=True)
class Book:
    """What was billed to one of those that have a cap of their own, or to all of them together."""

    low: Meter
    more: Meter
    """What may have been billed beyond that."""

    def most(self) -> int:
        """Return what may have been billed in one window at most."""
        both = Meter(self.low.window, dict(self.low.sums))
        for place, amount in self.more.sums.items():
            both.put(place, amount)
        return both.most()[1]


@dataclass(slots=True)
class Account:
    """What is known of one cap while the log is read."""

    ceiling: Ceiling
    books: dict[str, Book] = field(default_factory=dict)
    loose: int = 0
    """What may count in any window, for anybody."""
    loose_calls: int = 0
    unbounded: int = 0
    """How many calls count of which nothing bounds what they cost."""

    def add(self, names: Sequence[str], at: int | None, low: int, more: int | None, *, certain: bool) -> None:
        """Count between ``low`` and ``low + more`` (None: no end) for each of ``names``; not ``certain`` to count."""
        if more is None:
            self.unbounded += 1
        place = None if at is None or not certain else self._place(at)
        if place is None:
            self.loose += low + (more or 0)
            self.loose_calls += 1
            return
        for name in names:
            book = self.books.get(name)
            if book is None:
                book = self.books[name] = Book(Meter(self.ceiling.window), Meter(self.ceiling.window))
            book.low.put(place, low)
            if more:
                book.more.put(place, more)

    def _place(self, at: int) -> int | None:
        """Return the window of a moment; None where no calendar has it, or where its clock began with the log."""
        window = self.ceiling.window
        if at < DATES and isinstance(window, Calendar):
            return None
        try:
            return window.place(at)
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Who exceeded a cap: a name where each has its own, how often, and where."""

    who: str
    over: Over
    first: str
    largest: str


@dataclass(frozen=True, slots=True)
class Capped:
    """What became of one cap."""

    ceiling: Ceiling
    verdict: Verdict
    why: str
    """Why it is unknown."""
    low: int
    """What was billed in the worst window at least."""
    high: int | None
    """And at most; None where nothing bounds it."""
    where: str
    """What the worst window is called."""
    who: str
    windows: int
    """In how many windows something was billed."""
    holders: int
    """How many had the cap for themselves, or 1."""
    exceeded: tuple[Exceeded, ...]
    exceeding: int
    """How many exceeded it, also those that are not listed."""

    @property
    def in_play(self) -> bool:
        """Whether half of it was used."""
        return 2 * self.low >= self.ceiling.limit

    def sentence(self, unit: str) -> str:
        """Return it in one line: the verdict, the amounts, where."""
        return f"{self.verdict.value:9} {self.told(unit)}"

    def told(self, unit: str) -> str:
        """Return the amounts, and where they were billed."""
        ceiling = self.ceiling
        if not self.windows and self.high == 0:
            return f"{ceiling.name}: {self.why}"
        most = ceiling.written(self.low, unit)
        if self.high is not None and self.high != self.low and self.verdict is not Verdict.VIOLATED:
            most += f" to {ceiling.written(self.high, unit)}"
        who = f" by {self.who}" if self.who else ""
        place = "" if isinstance(ceiling.window, Whole) or not self.where else f" {_on(self.where)}"
        told = f"{ceiling.name}: {most} of {ceiling.written(ceiling.limit, unit)}{who}{place}"
        if self.verdict is Verdict.UNKNOWN:
            return f"{told}; {self.why}"
        if self.verdict is Verdict.SOUND:
            return told
        times = sum(one.over.times for one in self.exceeded)
        if not isinstance(ceiling.window, Whole) and self.exceeding <= len(self.exceeded):
            told += f"; exceeded {times:,} time{'s' * (times != 1)}"
        if ceiling.each:
            told += f"; {self.exceeding:,} of {self.holders:,} {ceiling.each}s exceeded it"
        return told

    def data(self, unit: str) -> dict[str, object]:
        """Return it as JSON data; amounts are whole numbers of the unit of the log, or of requests."""
        return {
            "name": self.ceiling.name,
            "verdict": self.verdict.value,
            "sentence": self.sentence(unit),
            "counts": "requests" if self.ceiling.requests else unit,
            "limit": self.ceiling.limit,
            "billed": self.low,
            "at_most": self.high,
            "where": self.where,
            "who": self.who,
            "windows": self.windows,
            "exceeded": [
                {
                    "who": one.who,
                    "times": one.over.times,
                    "first": {"where": one.first, "billed": one.over.first[1]},
                    "largest": {"where": one.largest, "billed": one.over.largest[1]},
                }
                for one in self.exceeded
            ],
            "exceeding": self.exceeding,
        }


def _on(where: str) -> str:
    return where if where.startswith(("from ", "up to ")) else f"on {where}" if where[:1].isdigit() else f"in {where}"


@dataclass(slots=True)
class Ceilings:
    """Counts what is billed under each cap."""

    accounts: list[Account]
    ranged: int = 0
    """How many calls are counted here whose bill is told as a range, or as doubtful."""

    def bill(self, owner: LiveAccount, agent: str | None, model: str | None, at: int | None, amount: int) -> None:
        """Count a bill of an account; ``at`` is its time in nanoseconds since 1970, None where it is not told."""
        self._add(owner, (agent, model), at, amount, 0)

    def more(self, owner: LiveAccount, agent: str | None, model: str | None, at: int | None, most: int | None) -> None:
        """Count what a call may have cost beyond what it was billed."""
        self.ranged += 1
        self._add(owner, (agent, model), at, 0, most)

    def request(
        self, owner: LiveAccount, agent: str | None, model: str | None, at: int | None, *, several: bool = False
    ) -> None:
        """Count a request; ``several``: it stands for a sum of many, nobody says of how many."""
        self._add(owner, (agent, model), at, 1, None if several else 0, requests=True)

    def _add(
        self,
        owner: LiveAccount,
        whose: tuple[str | None, str | None],
        at: int | None,
        low: int,
        more: int | None,
        *,
        requests: bool = False,
    ) -> None:
        agent, model = whose
        chain = tuple(_chain(owner))
        for account in self.accounts:
            ceiling = account.ceiling
            names = [name for name in chain if matches(ceiling.accounts, name)]
            if ceiling.requests is not requests or not names:
                continue
            certain, counts = _meant(
                (ceiling.agents, ceiling.each == "agent", agent), (ceiling.models, ceiling.each == "model", model)
            )
            if counts:
                holders = {"": [""], "account": names, "agent": [agent or ""], "model": [model or ""]}[ceiling.each]
                account.add(holders, 0 if isinstance(ceiling.window, Whole) else at, low, more, certain=certain)

    def results(self, unknown: int) -> tuple[Capped, ...]:
        """Return what became of each cap; ``unknown`` is how many calls of the log have no known bill."""
        return tuple(_capped(account, max(0, unknown - self.ranged)) for account in self.accounts)


def _chain(account: LiveAccount) -> Iterator[str]:
    node: LiveAccount | None = account
    while node is not None:
        yield node.id
        node = node.up


def _meant(*told: tuple[tuple[str, ...], bool, str | None]) -> tuple[bool, bool]:
    """Return whether it is certain that a bill counts, and whether it may: by patterns, and by what is told."""
    certain = True
    for patterns, needed, name in told:
        if name is None:
            certain = certain and not patterns and not needed
        elif not matches(patterns, name):
            return False, False
    return certain, True


def _capped(account: Account, unknown: int) -> Capped:
    ceiling, books = account.ceiling, account.books
    found = [(name, over) for name, book in books.items() if (over := book.low.over(ceiling.limit)) is not None]
    found.sort(key=lambda one: (-one[1].largest[1], one[0]))
    most = {name: book.low.most() for name, book in books.items()}
    worst = max(most, key=lambda name: most[name][1], default="")
    place, low = most.get(worst, (0, 0))
    high = None if account.unbounded else max((book.most() for book in books.values()), default=0) + account.loose
    named = ceiling.window.named
    if found:
        verdict, why = Verdict.VIOLATED, ""
    elif high is None or high > ceiling.limit:
        verdict, why = Verdict.UNKNOWN, _why(account)
    elif unknown and not ceiling.requests:
        calls = "1 call has" if unknown == 1 else f"{unknown:,} calls have"
        verdict, why = Verdict.UNKNOWN, f"{calls} no known bill"
    elif not (books or account.loose_calls):
        verdict, why = Verdict.UNKNOWN, "nothing that the log tells counts under it"
    else:
        verdict, why = Verdict.SOUND, ""
    return Capped(
        ceiling=ceiling,
        verdict=verdict,
        why=why,
        low=low,
        high=high,
        where=named(place) if books else "",
        who=worst,
        windows=sum(len(book.low.sums) for book in books.values()),
        holders=len(books),
        exceeded=tuple(
            Exceeded(name, over, named(over.first[0]), named(over.largest[0])) for name, over in found[:SHOWN]
        ),
        exceeding=len(found),
    )


def _why(account: Account) -> str:
    if account.unbounded:
        calls = "1 call has" if account.unbounded == 1 else f"{account.unbounded:,} calls have"
        return f"{calls} no upper end"
    if account.loose_calls:
        calls = "1 bill" if account.loose_calls == 1 else f"{account.loose_calls:,} bills"
        return f"{calls} may count in any window: the time, the agent or the model is not told"
    return "some bills are told as a range"
