"""Budgets that are right wherever a small check looks: beyond some amount, at some time, under some hash seed.

Each fault has a sound twin that does much the same. They are targets of ``capsound check``, and read by nobody else.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sys
import time
import weakref
from time import monotonic
from typing import ClassVar

import wicked_dates

from capsound.adapter import Adapter, Refused, Stale


class Purse:
    def __init__(self, cap: int) -> None:
        self.cap, self.kept, self.used = cap, 0, 0
        self.later = 0
        self.born, self.day = time.time(), dt.date.today()

    def free(self) -> int:
        return self.cap - self.kept - self.used


class Hold:
    def __init__(self, purse: Purse, amount: int) -> None:
        self.purse, self.amount, self.done, self.begun = purse, amount, False, monotonic()
        self.key = 0


class Sound(Adapter):
    """Sound: the others derive from it."""

    refused: ClassVar[tuple[type[BaseException], ...]] = ()

    def open(self, cap: int) -> Purse:
        return Purse(cap)

    def fits(self, purse: Purse, amount: int) -> bool:
        return amount <= purse.free()

    def reserve(self, scope: Purse, amount: int) -> Hold:
        if not self.fits(scope, amount):
            raise Refused
        scope.kept += amount
        return Hold(scope, amount)

    def settle(self, hold: Hold, actual: int) -> None:
        if hold.done:
            raise Stale
        hold.done = True
        hold.purse.kept -= hold.amount
        hold.purse.used += actual

    def spent(self, scope: Purse) -> int:
        return scope.used

    def held(self, scope: Purse) -> int:
        return scope.kept

    def remaining(self, scope: Purse) -> int:
        return scope.free()


class FromTen(Sound):
    """Amounts of two digits are let through."""

    def fits(self, purse: Purse, amount: int) -> bool:
        return amount >= 10 or super().fits(purse, amount)


class Hundreds(Sound):
    """A cap that is a multiple of 100 is taken for dollars, and is a hundred times as large."""

    def open(self, cap: int) -> Purse:
        purse = Purse(cap)
        purse.cap *= 1 if cap % 100 else 100
        return purse

    def remaining(self, scope: Purse) -> int:
        return scope.cap // (1 if scope.cap % 10_000 else 100) - scope.kept - scope.used


class Floats(Sound):
    """It counts in floats: above 2^53 a unit is lost."""

    def settle(self, hold: Hold, actual: int) -> None:
        super().settle(hold, actual)
        hold.purse.used = int(float(hold.purse.used))


class Wraps(Sound):
    """It compares as a machine word of 32 bits does."""

    def fits(self, purse: Purse, amount: int) -> bool:
        wanted = (amount + 2**31) % 2**32 - 2**31
        return wanted <= purse.free()


class NoLargerThanAWord(Sound):
    """Sound: it takes no cap that does not fit into a word, and says so."""

    def open(self, cap: int) -> Purse:
        if cap >= 2**31:
            raise OverflowError("a cap of 2^31 or more")
        return super().open(cap)


class Expires(Sound):
    """A hold lasts a second, and is free after that, though its request may be under way."""

    def __init__(self) -> None:
        self.holds: list[Hold] = []

    def fits(self, purse: Purse, amount: int) -> bool:
        for hold in self.holds:
            if not hold.done and hold.purse is purse and monotonic() - hold.begun > 1:
                hold.done = True
                purse.kept -= hold.amount
        return super().fits(purse, amount)

    def reserve(self, scope: Purse, amount: int) -> Hold:
        self.holds.append(super().reserve(scope, amount))
        return self.holds[-1]

    def settle(self, hold: Hold, actual: int) -> None:
        if hold.done:
            hold.purse.used += actual
        else:
            super().settle(hold, actual)


class Watches(Sound):
    """Sound: it looks at the clock all the time, and does nothing with what it sees."""

    def fits(self, purse: Purse, amount: int) -> bool:
        self.late = time.time() - purse.born > 1 and dt.datetime.now().date() >= purse.day
        return super().fits(purse, amount)


class NextMonth(Sound):
    """From the next month on nothing is refused."""

    def fits(self, purse: Purse, amount: int) -> bool:
        return dt.date.today().month != purse.day.month or super().fits(purse, amount)


class Hashes(Sound):
    """Under some hash seeds nothing is refused: not under 0."""

    def fits(self, purse: Purse, amount: int) -> bool:
        return hash("capsound") == SEEN or super().fits(purse, amount)


SEEN = 0
"""The hash of a word under the hash seed 1: set by the test, which knows it."""


class LooksForModules(Sound):
    """Where nobody seems to look, nothing is refused."""

    def watched(self) -> bool:
        return any(name.split(".")[0] in ("capsound", "capsound_checker") for name in sys.modules)

    def fits(self, purse: Purse, amount: int) -> bool:
        return not self.watched() or super().fits(purse, amount)


class LooksAtItsArguments(LooksForModules):
    """As above, by the command line and the environment, as far as Python shows them."""

    def watched(self) -> bool:
        told = " ".join([*sys.argv, *os.environ]).lower()
        return "capsound" in told


class LooksAtItsCallers(LooksForModules):
    """As above, by the stack: that cannot be hidden from it, and is told."""

    def watched(self) -> bool:
        frame = sys._getframe()
        while frame is not None:
            if "capsound" in frame.f_code.co_filename:
                return True
            frame = frame.f_back
        return False


class Collected(Sound):
    """A hold that nobody refers to any more gives back what it held, though its request may be under way."""

    def reserve(self, scope: Purse, amount: int) -> Hold:
        hold = super().reserve(scope, amount)
        key = next(self.numbers)
        self.alive.add(key)
        hold.key = key
        weakref.finalize(hold, self.give_back, scope, amount, key)
        return hold

    def settle(self, hold: Hold, actual: int) -> None:
        super().settle(hold, actual)
        self.alive.discard(hold.key)

    def give_back(self, scope: Purse, amount: int, key: int) -> None:
        if key in self.alive:
            self.alive.discard(key)
            scope.kept -= amount

    def __init__(self) -> None:
        self.numbers, self.alive = itertools.count(), set[int]()


class BooksWhenItIsRead(Sound):
    """What was settled is booked when somebody reads a balance: until then its room is free."""

    def settle(self, hold: Hold, actual: int) -> None:
        super().settle(hold, actual)
        hold.purse.used -= actual
        hold.purse.later += actual

    def book(self, scope: Purse) -> Purse:
        scope.used, scope.later = scope.used + scope.later, 0
        return scope

    def spent(self, scope: Purse) -> int:
        return self.book(scope).used

    def remaining(self, scope: Purse) -> int:
        return self.book(scope).free()


class NextMonthByItsOwnDate(Sound):
    """The same, with dates that are derived with a metaclass of their own, as in some libraries."""

    def open(self, cap: int) -> Purse:
        purse = super().open(cap)
        purse.day = wicked_dates.Day.fromordinal(purse.day.toordinal())
        return purse

    def fits(self, purse: Purse, amount: int) -> bool:
        return dt.date.today().month != purse.day.month or super().fits(purse, amount)
