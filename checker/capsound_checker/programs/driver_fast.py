"""The loop of the fast driver once more, made for speed: decoding, books and comparison are one function on lists.

``Driver.readable`` is the specification: each step decoded by ``program.decode``, done on the implementation and on a
``FastLedger``. This loop must do the same steps, and suspect the same programs at the same step, whatever the
implementation does; a property test (tests/unit/test_driver_fast.py) draws profiles, bytes and faults.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from capsound.adapter import Adapter, Errors, Granted
from capsound.ledger_fast import HELD, SENT, USED, FastLedger
from capsound_checker.programs.program import Profile

Did = tuple[str, int, int, int, int, int]
"""The fields of a ``Step``: one is made of them only where somebody is shown the program."""

_NAMES = ("reserve", "send", "settle", "release", "forfeit", "extend", "open", "delegate", "close", "merge")
_RESERVE, _SEND, _SETTLE, _RELEASE, _FORFEIT, _EXTEND, _OPEN, _DELEGATE, _CLOSE, _MERGE = range(len(_NAMES))
_FIRST = bytes([_OPEN])

FAST = frozenset(_NAMES)
"""The steps that the loop knows; a profile with others is run in lock step from the start."""


class FastLoop:
    """What is done for one profile: ``run`` does what bytes say, and keeps what it has done.

    ``table`` is that of the profile, of steps in ``FAST``; ``visit`` is called with the books after every step.
    """

    __slots__ = ("_codes", "_profile", "_visit", "ledger", "operations", "program", "scopes")

    def __init__(self, profile: Profile, table: Sequence[str], visit: Callable[[FastLedger], None] | None) -> None:
        self._profile = profile
        self._codes = bytes(_NAMES.index(do) for do in table)
        self._visit = visit
        self.program: list[Did] = []
        """The steps of the last run, the one at which it stopped included."""
        self.operations = 0
        """How many steps of the last run came back, or were refused."""
        self.ledger = FastLedger()
        """The books of the last run."""
        self.scopes: list[object] = []
        """Its accounts, by number."""

    def run(self, adapter: Adapter, refused: Errors, data: bytes, *, tells_sent: bool) -> bool:
        """Do every step that ``data`` stands for; return False, and stop, where the implementation is not as the books.

        ``refused`` are the exceptions by which it says no. What a step does to other accounts than its own is compared
        where money moves between accounts, and for the rest left to whoever asks at the end. Raises ``Hung``.
        """
        profile, visit = self._profile, self._visit
        strict, no_zero, observe = adapter.strict, adapter.zero_is_unlimited, adapter.observe
        reserve, settle, tell_sent = adapter.reserve, adapter.settle, adapter.sent
        agents, amounts, caps = profile.agents, profile.amounts, profile.caps
        amount_count, most_holds, a1 = len(amounts), profile.holds, profile.a1
        alone, honest = not profile.overlap, 64 - profile.misuse
        ledger = self.ledger = FastLedger()
        available, held, charged, forfeited = ledger.available, ledger.held, ledger.charged, ledger.forfeited
        granted, ended, busy = ledger.granted, ledger.closed, ledger.busy
        owner, amount_of, state, billed = ledger.owner, ledger.amount, ledger.state, ledger.billed
        opened: list[int] = []
        closed: list[int] = []
        unsent: list[int] = []
        sent: list[int] = []
        used: list[int] = []
        scopes: list[object] = []
        handles: list[object] = []
        program: list[Did] = []
        self.scopes, self.program = scopes, program
        operations = roots = account = amount = 0
        handle: object = None
        scope: object = None
        allowed = done = True
        # The first byte is the cap of the first root; each step after it is four bytes.
        codes, picks = _FIRST + data[1::4].translate(self._codes), b"\0" + data[2::4]
        try:
            for code, a, b, c in zip(codes, picks, data[:1] + data[3::4], b"\0" + data[4::4], strict=False):
                if code == _RESERVE:
                    hold = len(owner)
                    if hold >= most_holds or (alone and (unsent or sent)):
                        continue
                    pool = closed if closed and (c & 63) >= honest else opened
                    if not pool:
                        continue
                    account = pool[(a >> 3) % len(pool)]
                    amount = amounts[b % amount_count]
                    program.append(("reserve", a % agents, account, hold, amount, 0))
                    allowed = (
                        not ended[account]
                        and amount <= available[account]
                        and (amount == 0 or charged[account] + forfeited[account] < granted[account])
                    )
                    try:
                        handle = reserve(scopes[account], amount)
                        done = True
                    except refused:
                        done = False
                    except Exception:  # noqa: BLE001 - lock step will say what it is
                        return False
                    operations += 1
                    if done is not allowed:
                        return False
                    if done:
                        handles.append(handle)
                        unsent.append(hold)
                        available[account] -= amount
                        held[account] += amount
                        busy[account] += 1
                        owner.append(account)
                        amount_of.append(amount)
                        state.append(HELD)
                        billed.append(0)
                elif code == _SEND:
                    if used and (c & 63) >= honest:
                        hold, bill = used[(a >> 3) % len(used)], 0
                    else:
                        pool = unsent or sent
                        if not pool:
                            continue
                        hold = pool[(a >> 3) % len(pool)]
                        room, choice = max(0, amount_of[hold] - billed[hold]), c & 3
                        if choice == 3 and not a1:
                            bill = amount_of[hold] + 1 + (c >> 5)
                        else:
                            bill = (c >> 2) % (room + 1) if choice == 2 else 0 if choice == 1 else room
                    program.append(("send", a % agents, hold, 0, 0, bill))
                    account, was = owner[hold], state[hold]
                    done = allowed = was != USED
                    if tells_sent:
                        try:
                            tell_sent(handles[hold])
                            done = True
                        except refused:
                            done = False
                        except Exception:  # noqa: BLE001 - lock step will say what it is
                            return False
                    elif not allowed:
                        continue
                    operations += 1
                    if done is not allowed:
                        return False
                    if done:
                        if was == HELD:
                            unsent.remove(hold)
                            sent.append(hold)
                            state[hold] = SENT
                        billed[hold] += bill
                elif code <= _EXTEND:  # a step on one hold
                    if code == _RELEASE:
                        pool = (sent if c & 1 else used) if (c & 63) >= honest else unsent
                    elif code == _EXTEND:
                        pool = used if (c & 63) >= honest else sent if c & 3 else unsent
                    else:
                        pool = (used if c & 1 or not strict else unsent) if (c & 63) >= honest else sent
                    if not pool:
                        continue
                    hold = pool[(a >> 3) % len(pool)]
                    amount = amounts[b % amount_count] if code == _EXTEND else 0
                    program.append((_NAMES[code], a % agents, hold, 0, amount, 0))
                    account, was, kept = owner[hold], state[hold], amount_of[hold]
                    allowed = done = was != USED
                    try:
                        if code == _SETTLE:
                            settle(handles[hold], billed[hold])
                        elif code == _RELEASE:
                            if was == SENT and not tells_sent:
                                continue
                            allowed = was == HELD
                            adapter.release(handles[hold])
                        elif code == _FORFEIT:
                            adapter.forfeit(handles[hold])
                        else:
                            allowed = ledger.may_extend(hold, amount)
                            adapter.extend(handles[hold], amount)
                        done = True
                    except refused:
                        done = False
                    except Exception:  # noqa: BLE001 - lock step will say what it is
                        return False
                    operations += 1
                    if done is not allowed:
                        return False
                    if done and code == _EXTEND:
                        ledger.extend(hold, amount)
                    elif done:
                        (sent if was == SENT else unsent).remove(hold)
                        used.append(hold)
                        state[hold] = USED
                        held[account] -= kept
                        busy[account] -= 1
                        if code == _SETTLE:
                            cost = billed[hold]
                            charged[account] += cost
                            available[account] += kept - cost
                        elif code == _RELEASE:
                            available[account] += kept
                        else:
                            forfeited[account] += kept
                elif code == _OPEN:
                    if roots >= profile.roots and program:
                        continue
                    account, amount = len(scopes), caps[b % len(caps)]
                    program.append(("open", 0, 0, account, amount, 0))
                    try:
                        scope = adapter.open(amount)
                        done = True
                    except refused:
                        done = False
                    except Exception:  # noqa: BLE001 - lock step will say what it is
                        return False
                    operations += 1
                    if not done:
                        return False
                    opened.append(ledger.open(amount))
                    scopes.append(scope)
                    roots += 1
                else:  # money moves between accounts
                    misuse, other = (c & 63) >= honest, 0
                    if code == _DELEGATE:
                        amount, other = amounts[b % amount_count], len(scopes)
                        pool = closed if misuse and closed else opened
                        if other >= profile.accounts or (no_zero and not amount):
                            continue
                    elif code == _CLOSE:
                        pool = closed if misuse else opened
                        if c & 7 and len(pool) > 1 and not misuse:
                            pool = pool[1:]  # rarely the first root: the program would be over
                    else:
                        pool = opened + closed if misuse else opened
                    if not pool:
                        continue
                    account = pool[(a >> 3) % len(pool)]
                    if code == _MERGE:
                        other = pool[b % len(pool)]
                    program.append((_NAMES[code], a % agents, account, other, amount if code == _DELEGATE else 0, 0))
                    scope = None
                    try:
                        if code == _DELEGATE:
                            allowed = ledger.may_delegate(account, amount)
                            scope = adapter.delegate(scopes[account], amount)
                        elif code == _CLOSE:
                            allowed = ledger.may_close(account)
                            adapter.close(scopes[account])
                        else:
                            allowed = ledger.may_merge(account, other)
                            adapter.merge(scopes[account], scopes[other])
                        done = True
                    except refused:
                        done = False
                    except Exception:  # noqa: BLE001 - lock step will say what it is
                        return False
                    operations += 1
                    if done is not allowed or type(scope) is Granted:
                        return False  # lock step knows what to do with another amount
                    if done and code == _DELEGATE:
                        opened.append(ledger.delegate(account, amount))
                        scopes.append(scope)
                    elif done:
                        (ledger.close(account) if code == _CLOSE else ledger.merge(account, other))
                        gone = account if code == _CLOSE else other
                        opened.remove(gone)
                        closed.append(gone)
                # A refusal must change nothing, and a success nothing but what it should: both show here.
                for number in (account,) if code < _DELEGATE else opened:
                    if ended[number]:
                        continue
                    try:
                        says_spent, says_held, says_free = observe(scopes[number])
                    except Exception:  # noqa: BLE001 - lock step will say what it is
                        return False
                    free = available[number]
                    if (
                        says_spent != charged[number] + forfeited[number]
                        or says_held != held[number]
                        or (says_free != free and not (free < 0 and says_free == 0))
                    ):
                        return False
                if visit is not None:
                    visit(ledger)
            return True
        finally:
            self.operations = operations


def agrees(
    observe: Callable[[Any], tuple[int | None, int | None, int | None]], scope: object, ledger: FastLedger, number: int
) -> bool:
    """Return whether an account says of itself what is in the books; a debt may be told as 0 remaining."""
    try:
        spent, held, remaining = observe(scope)
    except Exception:  # noqa: BLE001 - lock step will say what it is
        return False
    free = ledger.available[number]
    if (spent, held) != (ledger.charged[number] + ledger.forfeited[number], ledger.held[number]):
        return False
    return remaining == free or (free < 0 and remaining == 0)
