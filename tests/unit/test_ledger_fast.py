"""The fast books say yes and no exactly where the rules do, and hold the same balances after every operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound.accounts import HoldState, State, breaches, move
from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Bill, Close, Delegate, Event, Extend, Forfeit, Merge, Open, Release, Reserve, Send, Settle
from capsound.ledger_fast import HELD, SENT, USED, FastLedger

BALANCES = ("granted", "available", "held", "charged", "forfeited", "delegated", "returned", "closed")
STATES = {HoldState.HELD: HELD, HoldState.SENT: SENT}


def account_id(number: int) -> AccountId:
    return AccountId(f"a{number}")


def hold_id(number: int) -> HoldId:
    return HoldId(f"h{number}")


@dataclass
class Pair:
    """Both books, and every operation done to both."""

    fast: FastLedger = field(default_factory=FastLedger)
    state: State = field(default_factory=State)
    calls: int = 0
    done: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def tell(self, event: Event) -> None:
        self.state = move(self.state, event)

    def judged(self, event: Event, said: bool) -> bool:
        """Compare what both say of an operation; return whether it is allowed."""
        broken = breaches(self.state, event)
        assert said is (not broken), (event, [b.sentence for b in broken])
        (self.done if said else self.refused).add(event.kind)
        return said

    @property
    def accounts(self) -> int:
        return len(self.fast.parent)

    @property
    def holds(self) -> int:
        return len(self.fast.owner)

    def unresolved(self, hold: int) -> bool:
        return self.fast.state[hold] != USED

    # Every operation takes two picks and an amount, and returns at once where there is nothing to pick from.

    def open(self, a: int, b: int, amount: int) -> None:
        number = self.fast.open(amount)
        self.done.add("open")
        self.tell(Open(account_id(number), Amount(amount)))

    def delegate(self, a: int, b: int, amount: int) -> None:
        parent, child = a % self.accounts, self.accounts
        event = Delegate(account_id(parent), account_id(child), Amount(amount))
        if self.judged(event, self.fast.may_delegate(parent, amount)):
            assert self.fast.delegate(parent, amount) == child
            self.tell(event)

    def reserve(self, a: int, b: int, amount: int) -> None:
        account, hold = a % self.accounts, self.holds
        event = Reserve(account_id(account), hold_id(hold), Amount(amount))
        if self.judged(event, self.fast.may_reserve(account, amount)):
            assert self.fast.reserve(account, amount) == hold
            self.tell(event)

    def extend(self, a: int, b: int, amount: int) -> None:
        if not self.holds:
            return
        hold = a % self.holds
        event = Extend(hold_id(hold), Amount(amount))
        if self.judged(event, self.fast.may_extend(hold, amount)):
            self.fast.extend(hold, amount)
            self.tell(event)

    def send(self, a: int, b: int, amount: int) -> None:
        """A bill may be above the hold, and above every grant: the books go on."""
        if not self.holds or not self.unresolved(a % self.holds):
            return
        hold = a % self.holds
        self.calls += 1
        call = CallId(f"c{self.calls}")
        self.done.add("send")
        self.fast.send(hold, amount)
        self.tell(Send(hold_id(hold), call))
        self.tell(Bill(call, Amount(amount)))

    def settle(self, a: int, b: int, amount: int) -> None:
        if not self.holds:
            return
        hold = a % self.holds
        event = Settle(hold_id(hold), Amount(self.fast.billed[hold]))
        if self.judged(event, self.unresolved(hold)):
            self.fast.settle(hold)
            self.tell(event)

    def release(self, a: int, b: int, amount: int) -> None:
        if not self.holds:
            return
        hold = a % self.holds
        if self.judged(Release(hold_id(hold)), self.fast.may_release(hold)):
            self.fast.release(hold)
            self.tell(Release(hold_id(hold)))

    def forfeit(self, a: int, b: int, amount: int) -> None:
        if not self.holds:
            return
        hold = a % self.holds
        if self.judged(Forfeit(hold_id(hold)), self.unresolved(hold)):
            self.fast.forfeit(hold)
            self.tell(Forfeit(hold_id(hold)))

    def close(self, a: int, b: int, amount: int) -> None:
        account = a % self.accounts
        if self.judged(Close(account_id(account)), self.fast.may_close(account)):
            self.fast.close(account)
            self.tell(Close(account_id(account)))

    def merge(self, a: int, b: int, amount: int) -> None:
        target, source = a % self.accounts, b % self.accounts
        event = Merge(account_id(target), account_id(source))
        if self.judged(event, self.fast.may_merge(target, source)):
            self.fast.merge(target, source)
            self.tell(event)

    def compare(self) -> None:
        fast, state = self.fast, self.state
        assert [account_id(n) for n in range(self.accounts)] == list(state.accounts)
        for number, account in enumerate(state.accounts.values()):
            for name in BALANCES:
                assert getattr(fast, name)[number] == getattr(account, name), (account.id, name)
            parent = None if fast.parent[number] < 0 else account_id(fast.parent[number])
            assert (parent, account_id(fast.root[number])) == (account.parent, account.root)
            assert account.conserved
            mine = [n for n in range(self.holds) if fast.owner[n] == number]
            assert sum(fast.billed[n] for n in mine) == account.billed
            slices = sum(p == number and not shut for p, shut in zip(fast.parent, fast.closed, strict=True))
            assert fast.busy[number] == sum(self.unresolved(n) for n in mine) + slices
        for number, hold in enumerate(state.holds.values()):
            assert account_id(fast.owner[number]) == hold.account
            assert (fast.amount[number], fast.billed[number]) == (hold.amount, hold.billed)
            assert fast.state[number] == STATES.get(hold.state, USED)


OPERATIONS = ("open", "delegate", "reserve", "extend", "send", "settle", "release", "forfeit", "close", "merge")
WEIGHTED = (*OPERATIONS[1:], "delegate", "reserve", "reserve", "send", "settle", "merge", *OPERATIONS)

step = st.tuples(st.sampled_from(WEIGHTED), st.integers(0, 15), st.integers(0, 15), st.sampled_from((1, 0, 2, 3, 7)))
programs = st.lists(step, min_size=1, max_size=60)


def played(program: list[tuple[str, int, int, int]], caps: tuple[int, ...] = (5, 3)) -> Pair:
    pair = Pair()
    for cap in caps:
        pair.open(0, 0, cap)
    pair.compare()
    for name, a, b, amount in program:
        getattr(pair, name)(a, b, amount)
        pair.compare()
    return pair


@given(programs)
def test_both_books_agree_on_every_operation(program: list[tuple[str, int, int, int]]) -> None:
    played(program)


@given(programs)
def test_judging_changes_nothing(program: list[tuple[str, int, int, int]]) -> None:
    fast = played(program).fast
    before = {name: list(getattr(fast, name)) for name in FastLedger.__slots__}
    for a in range(len(fast.parent)):
        fast.may_close(a)
        for amount in (0, 1, 9):
            fast.may_reserve(a, amount)
            fast.may_delegate(a, amount)
        for b in range(len(fast.parent)):
            fast.may_merge(a, b)
    for hold in range(len(fast.owner)):
        fast.may_release(hold)
        fast.may_extend(hold, 1)
    assert {name: list(getattr(fast, name)) for name in FastLedger.__slots__} == before


def test_the_sequences_reach_everything() -> None:
    """One fixed sequence with every operation allowed and, where it can be, refused: the property is not empty."""
    import random

    done: set[str] = set()
    refused: set[str] = set()
    for seed in range(40):
        chance = random.Random(seed)
        pair = played(
            [
                (chance.choice(WEIGHTED), chance.randrange(16), chance.randrange(16), chance.choice((0, 1, 2, 3, 7)))
                for _ in range(60)
            ]
        )
        done |= pair.done
        refused |= pair.refused
    assert done == set(OPERATIONS)
    assert refused == set(OPERATIONS) - {"open", "send"}


def grown(*steps: tuple[str, int, int, int]) -> Pair:
    return played(list(steps), caps=(10,))


def test_a_merge_between_cousins_goes_over_the_common_ancestor() -> None:
    """0 -> 1 -> 3 and 0 -> 2 -> 4: what 3 has left is returned by 3 and 1, and granted anew to 2 and 4."""
    pair = grown(("delegate", 0, 0, 4), ("delegate", 0, 0, 3), ("delegate", 1, 0, 2), ("delegate", 2, 0, 1))
    pair.merge(4, 3, 0)
    pair.compare()
    fast = pair.fast
    assert fast.returned == [0, 2, 0, 2, 0]
    assert fast.granted == [10, 4, 5, 2, 3]
    assert fast.delegated == [7, 0, 3, 0, 0]
    assert fast.available == [3, 2, 2, 0, 3]
    assert fast.busy == [2, 0, 1, 0, 0]


@pytest.mark.parametrize("end", ["close", "merge"])
def test_a_debt_stays_where_it_was_made(end: str) -> None:
    pair = grown(("delegate", 0, 0, 2), ("reserve", 1, 0, 2), ("send", 0, 0, 7), ("settle", 0, 0, 0))
    assert pair.fast.available == [8, -5]
    if end == "close":
        pair.close(1, 0, 0)
    else:
        pair.merge(0, 1, 0)
    pair.compare()
    assert pair.fast.available == [8, -5]
    assert pair.fast.closed == [False, True]


def _reserve(ledger: FastLedger, amount: int) -> bool:
    return ledger.may_reserve(0, amount)


def _extend(ledger: FastLedger, amount: int) -> bool:
    return ledger.may_extend(0, amount)


@pytest.mark.parametrize("may", [_reserve, _extend])
def test_recorded_spend_stops_admission_although_money_was_merged_in(may: Callable[[FastLedger, int], bool]) -> None:
    """Rule R3: spent has reached the grant; only an overrun and money that came back make room at that point."""
    ledger = FastLedger()
    ledger.open(2)
    ledger.reserve(0, 0)
    ledger.charged[0] = 2
    ledger.available[0] = 1
    assert not may(ledger, 1)
    assert may(ledger, 0)
    ledger.charged[0] = 1
    assert may(ledger, 1)
    assert not may(ledger, 2)
