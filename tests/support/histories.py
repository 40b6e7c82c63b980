"""Histories without threads: a program on the fast books, its order known, and intervals drawn around each moment."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from capsound.ledger_fast import HELD, USED, FastLedger
from capsound_checker.histories.sequential import READS, Operation


def simulate(
    operations: int,
    *,
    clients: int = 8,
    seed: int = 0,
    cap: int = 200,
    reads: float = 0.2,
    overlap: int = 4,
    bill: int = 1_000,
) -> list[Operation]:
    """Return a sound history in the order of its linearization, which is the order of the moments 1000, 2000, ...

    ``overlap`` is how many moments of others an interval reaches to either side, as far as its client was idle. With
    ``bill`` 0 nothing is ever spent, and a small cap stays contended.
    """
    chance = random.Random(seed)
    books = FastLedger()
    books.open(cap)
    said = [Operation(0, "open", 0, 1, 2, amount=cap)]
    mine: list[list[int]] = [[] for _ in range(clients)]  # the holds of each client
    slices: list[list[int]] = [[] for _ in range(clients)]
    turns = [c for _ in range(operations // clients + 1) for c in chance.sample(range(clients), clients)]
    for moment, client in enumerate(turns[: operations - 4], start=1):
        done = _one(books, client, mine[client], slices[client], chance, reads, bill)
        said.append(replace(done, called=1000 * moment, returned=1000 * moment))
    last = 1000 * len(said)
    for name in ("spent", "held", "remaining"):
        moment = last + 1000 * len(said)
        said.append(Operation(0, name, 0, moment, moment, value=_told(books, name, 0)))
    return _widened(said, overlap, chance)


def _one(
    books: FastLedger, client: int, mine: list[int], slices: list[int], chance: random.Random, reads: float, most: int
) -> Operation:
    account = chance.choice([0, 0, 0, *slices])
    dice = chance.random()
    if dice < reads:
        name = chance.choice(("spent", "held", "remaining"))
        return Operation(client, name, account, 0, 0, value=_told(books, name, account))
    if dice < reads + 0.03:
        amount = chance.randint(0, 12)
        if not books.may_delegate(account, amount):
            return Operation(client, "delegate", account, 0, 0, "refused", amount=amount)
        slices.append(books.delegate(account, amount))
        return Operation(client, "delegate", account, 0, 0, new=slices[-1], amount=amount)
    if dice < reads + 0.06 and slices:
        ended = chance.choice(slices)
        if not books.may_close(ended):
            return Operation(client, "close", ended, 0, 0, "rejected")
        books.close(ended)
        slices.remove(ended)
        return Operation(client, "close", ended, 0, 0)
    if not mine or dice < reads + 0.3:
        amount = chance.randint(1, 60)
        if not books.may_reserve(account, amount):
            return Operation(client, "reserve", account, 0, 0, "refused", amount=amount)
        mine.append(books.reserve(account, amount))
        return Operation(client, "reserve", account, 0, 0, new=mine[-1], amount=amount)
    hold = chance.choice(mine)
    if books.state[hold] == HELD and chance.random() < 0.9:
        bill = min(most, chance.randint(0, books.amount[hold]))
        bill = min(bill, 1) if books.available[0] + books.held[0] < 100 else bill
        books.send(hold, bill)
        return Operation(client, "sent", hold, 0, 0, amount=bill)
    mine.remove(hold)
    if books.state[hold] == HELD:
        books.release(hold)
        return Operation(client, "release", hold, 0, 0)
    if chance.random() < 0.02 and books.amount[hold] < 5:
        books.forfeit(hold)
        return Operation(client, "forfeit", hold, 0, 0)
    books.settle(hold)
    assert books.state[hold] == USED
    return Operation(client, "settle", hold, 0, 0, amount=books.billed[hold])


def _told(books: FastLedger, name: str, account: int) -> int:
    if name == "spent":
        return books.charged[account] + books.forfeited[account]
    return books.held[account] if name == "held" else books.available[account]


def _widened(said: list[Operation], overlap: int, chance: random.Random) -> list[Operation]:
    """Return the operations with intervals around their moments, so that those of one client do not overlap."""
    last: dict[int, int] = {}
    following: dict[int, list[int]] = {}
    for index, op in enumerate(said):
        following.setdefault(op.client, []).append(index)
    bounds: dict[int, int] = {}
    for indices in following.values():
        for index, then in pairwise(indices):
            bounds[index] = (said[index].called + said[then].called) // 2
    out = [said[0]]
    for index, op in enumerate(said[1:], start=1):
        reach = 1000 * overlap
        called = max(last.get(op.client, 2) + 1, op.called - chance.randint(1, max(1, reach)))
        returned = min(bounds.get(index, op.called + reach), op.called + chance.randint(1, max(1, reach)))
        last[op.client] = returned
        out.append(replace(op, called=called, returned=returned))
    return out


def corrupted(
    history: list[Operation], chance: random.Random, how: str | None = None
) -> tuple[list[Operation], Operation | None]:
    """Change one answer on the root in the second half; return the history and the operation that was changed."""
    how = how or chance.choice(["admit", "amount", "drop", "read"])
    late = range(len(history) // 2, len(history))
    mine = {op.new for op in history if op.do == "reserve" and op.on == 0}
    fits = {
        "admit": lambda op: op.on == 0 and op.do == "reserve" and op.outcome == "refused",
        "amount": lambda op: op.do == "settle" and op.on in mine,
        "drop": lambda op: op.do == "settle" and op.on in mine,
        "read": lambda op: op.do in READS and op.on == 0,
    }[how]
    found = [i for i in late if fits(history[i])]
    if not found:
        return history, None
    at = chance.choice(found)
    op = history[at]
    changed = list(history)
    if how == "admit":
        changed[at] = replace(op, outcome="done", new=10**6)
    elif how == "amount":
        changed[at] = replace(op, amount=op.amount + 1)
    elif how == "read":
        changed[at] = replace(op, value=(op.value or 0) + 10**6)
    else:
        del changed[at]
    return changed, op
