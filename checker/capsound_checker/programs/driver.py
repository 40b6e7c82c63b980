"""The fast engine: random bytes become programs, an implementation runs them, integers check it.

A Hypothesis machine makes some thousands of steps a second, nearly all of them inside Hypothesis. This driver
makes about a hundred thousand, and leaves the shrinking to ``shrinking``. It only *suspects*: what
it finds is done again in lock step with the model, and the monitor decides.
"""

from __future__ import annotations

import inspect
import random
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from capsound.adapter import Adapter, Errors, Gate, Granted, Refused, Rejected, Stale, offers
from capsound.events import TOLD
from capsound.ledger_fast import HELD, SENT, USED, FastLedger
from capsound_checker.programs.clock import STEPS
from capsound_checker.programs.dimensions import CAPS, dimensions
from capsound_checker.programs.driver_fast import FAST, FastLoop, agrees
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import CONCURRENT, Profile, Program, Step, decode
from capsound_checker.programs.turns import in_one_turn
from capsound_checker.programs.watch import Hung, held, limit


@dataclass(slots=True)
class _View:
    """What can be used now, kept up to date by the loop."""

    ledger: FastLedger
    opened: list[int] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    at_provider: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    accounts: int = 0
    holds: int = 0
    roots: int = 0

    def room(self, hold: int) -> int:
        return self.ledger.amount[hold] - self.ledger.billed[hold]

    def amount(self, hold: int) -> int:
        return self.ledger.amount[hold]

    def passing(self, choice: int) -> int:
        return STEPS[choice % len(STEPS)]


@dataclass
class Driver:
    """One adapter and one profile: ``run`` does what bytes say, ``hunt`` does so for many seeds."""

    adapter: type[Adapter]
    profile: Profile
    visit: Callable[[FastLedger], None] | None = None
    """Called with the books after every step: to count what was visited."""
    operations: int = 0
    programs: int = 0

    def __post_init__(self) -> None:
        if self.adapter.zero_is_unlimited:
            self.profile = replace(self.profile, caps=tuple(cap for cap in self.profile.caps if cap))
        if dimensions(self.adapter):
            self.profile = replace(self.profile, caps=CAPS)
        self.table = self.profile.table(self.adapter)
        self._offers = offers(self.adapter)
        self._random = random.Random(0)

    @cached_property
    def _loop(self) -> FastLoop:
        return FastLoop(self.profile, self.table, self.visit)

    @cached_property
    def fast(self) -> bool:
        """Whether the books alone can be compared; asked for when the first program is run, since it may hang."""
        observable = {"spent", "held", "remaining"} <= offers(self.adapter)
        if self.adapter.eventual or dimensions(self.adapter):
            return False
        return set(self.table) <= FAST and self.adapter.gate is Gate.RESERVE and observable and _plain(self.adapter)

    def hunt(self, seeds: Iterable[int]) -> Iterator[list[Step]]:
        """Yield every suspicious program that the seeds stand for; before the first, those that share one turn."""
        with held():
            for number, seed in enumerate(seeds):
                if not number and "turn" in self.table and self.profile.name.endswith(CONCURRENT.name):
                    yield from self._in_one_turn()
                program = self.run(self.bytes_of(seed))
                if program is not None:
                    yield program

    def _in_one_turn(self) -> Iterator[list[Step]]:
        """Yield each of the programs with calls in one turn that is suspicious."""
        for program in in_one_turn():
            self.programs += 1
            run = Lockstep(self.adapter()).run(program)
            self.operations += len(run.steps)
            if run.wrong():
                yield run.steps

    def run(self, data: bytes) -> list[Step] | None:
        """Do what ``data`` says; return the program if something is not as in the model."""
        self.programs += 1
        if not self.fast:
            return self._slow(data)
        loop, tells_sent = self._loop, "sent" in self._offers
        loop.program, loop.operations = [], 0
        try:
            with limit(self.adapter.timeout):
                adapter = self.adapter()
                if loop.run(adapter, _refusals(adapter), data, tells_sent=tells_sent) and self._all_agree(
                    adapter, loop.scopes, loop.ledger
                ):
                    return None
        except Hung:  # in the implementation, or on a machine that was busy: lock step will tell
            pass
        finally:
            self.operations += loop.operations
        return [Step(*did) for did in loop.program]

    def further(self, program: Program, data: bytes) -> Lockstep:
        """Do a program in lock step, and then what ``data`` says, whatever was found before."""
        run = Lockstep(self.adapter())
        for step in program:
            run.do(step)
        for step in self.decoded(run, data):
            run.do(step)
        return run

    def bytes_of(self, seed: int) -> bytes:
        """Return the bytes that a seed stands for: enough for a program of this profile."""
        self._random.seed(seed)  # one that is made anew seeds itself twice
        return self._random.randbytes(4 * self.profile.length + 1)

    def opening(self, data: bytes) -> Step:
        """Return the first step that ``data`` stands for; the others are decoded from what comes after one byte."""
        return Step("open", amount=self.profile.caps[data[0] % len(self.profile.caps)])

    def decoded(self, run: Lockstep, data: bytes) -> Iterator[Step]:
        """Yield the steps that ``data`` stands for, each decoded when the one before has been done."""
        for at in range(0, len(data) - 3, 4):
            if run.spoiled:
                return
            do, a, b, c = self.table[data[at]], data[at + 1], data[at + 2], data[at + 3]
            step = decode(run, self.profile, do, a, b, c, strict=run.adapter.strict)
            if step is not None:
                yield step

    def _slow(self, data: bytes) -> list[Step] | None:
        """Do every step in lock step with the model and the monitor."""
        run = Lockstep(self.adapter())
        try:
            return self._steps(run, data)
        finally:
            run.drop()

    def _steps(self, run: Lockstep, data: bytes) -> list[Step] | None:
        run.do(self.opening(data))
        for step in self.decoded(run, data[1:]):
            run.do(step)
            self.operations += 1
            if run.findings and run.wrong():
                break
        run.finish()
        return run.steps if run.wrong() else None

    def readable(self, data: bytes) -> list[Step] | None:
        """Do every step on the implementation and on integers; stop at the first difference.

        This is what ``FastLoop`` does, step by step: its specification, to read and to compare it with.
        """
        adapter = self.adapter()
        strict = adapter.strict
        refused = _refusals(adapter)
        observe = adapter.observe
        ledger = FastLedger()
        view = _View(ledger)
        opened, closed, unsent, sent, used = view.opened, view.closed, view.held, view.sent, view.used
        state, owner = ledger.state, ledger.owner
        scopes: list[object] = []
        handles: list[object] = []
        table, profile, visit = self.table, self.profile, self.visit
        program: list[Step] = []
        pending: Step | None = self.opening(data)
        at = 1
        last = len(data) - 3
        tells_sent = "sent" in self._offers
        no_zero = adapter.zero_is_unlimited
        while True:
            step = pending
            if step is None:
                if at >= last:
                    break
                step = decode(view, profile, table[data[at]], data[at + 1], data[at + 2], data[at + 3], strict=strict)
                at += 4
                if step is None or (no_zero and step.do == "delegate" and not step.amount):
                    continue
            pending = None
            do, _, on, new, amount, bill = step
            program.append(step)
            account = on
            done = allowed = True
            handle: object = None
            try:
                if do == "reserve":
                    allowed = ledger.may_reserve(on, amount)
                    handle = adapter.reserve(scopes[on], amount)
                elif do == "send":
                    account = owner[on]
                    allowed = state[on] != USED
                    if tells_sent:
                        adapter.sent(handles[on])
                    elif not allowed:
                        continue
                elif do == "settle":
                    account = owner[on]
                    allowed = state[on] != USED
                    adapter.settle(handles[on], ledger.billed[on])
                elif do == "release":
                    if state[on] == SENT and not tells_sent:
                        continue
                    account = owner[on]
                    allowed = state[on] == HELD
                    adapter.release(handles[on])
                elif do == "forfeit":
                    account = owner[on]
                    allowed = state[on] != USED
                    adapter.forfeit(handles[on])
                elif do == "extend":
                    account = owner[on]
                    allowed = ledger.may_extend(on, amount)
                    adapter.extend(handles[on], amount)
                elif do == "delegate":
                    allowed = ledger.may_delegate(on, amount)
                    handle = adapter.delegate(scopes[on], amount)
                elif do == "close":
                    allowed = ledger.may_close(on)
                    adapter.close(scopes[on])
                elif do == "merge":
                    allowed = ledger.may_merge(on, new)
                    adapter.merge(scopes[on], scopes[new])
                else:
                    allowed = True
                    account = new
                    handle = adapter.open(amount)
            except refused:
                done = False
            except Exception:  # noqa: BLE001 - lock step will say what it is
                return program
            self.operations += 1
            if done is not allowed:
                return program
            if done:
                if do == "reserve":
                    unsent.append(ledger.reserve(on, amount))
                    handles.append(handle)
                    view.holds += 1
                elif do == "send":
                    if state[on] == HELD:
                        unsent.remove(on)
                        sent.append(on)
                    ledger.send(on, bill)
                elif do == "settle":
                    (sent if state[on] == SENT else unsent).remove(on)
                    ledger.settle(on)
                    used.append(on)
                elif do == "release":
                    unsent.remove(on)
                    ledger.release(on)
                    used.append(on)
                elif do == "forfeit":
                    (sent if state[on] == SENT else unsent).remove(on)
                    ledger.forfeit(on)
                    used.append(on)
                elif do == "extend":
                    ledger.extend(on, amount)
                elif do == "delegate":
                    if type(handle) is Granted:
                        return program  # lock step knows what to do with another amount
                    opened.append(ledger.delegate(on, amount))
                    scopes.append(handle)
                    view.accounts += 1
                elif do == "close":
                    ledger.close(on)
                    opened.remove(on)
                    closed.append(on)
                elif do == "merge":
                    ledger.merge(on, new)
                    opened.remove(new)
                    closed.append(new)
                else:
                    opened.append(ledger.open(amount))
                    scopes.append(handle)
                    view.accounts += 1
                    view.roots += 1
            # A refusal must change nothing, and a success nothing but what it should: both show here.
            touched = opened if do in _FAR else (account,)
            if not all(ledger.closed[n] or agrees(observe, scopes[n], ledger, n) for n in touched):
                return program
            if visit is not None:
                visit(ledger)
        return None if self._all_agree(adapter, scopes, ledger) else program

    def _all_agree(self, adapter: Adapter, scopes: Sequence[object], ledger: FastLedger) -> bool:
        """Whether every account says what is in the books: what one step did to another account shows here.

        One that is closed need say nothing but its ``balances``.
        """
        observe, tells = adapter.observe, "balances" in self._offers
        for number, scope in enumerate(scopes):
            if not ledger.closed[number] and not agrees(observe, scope, ledger, number):
                return False
            if tells and not _balances_agree(adapter, scope, ledger, number):
                return False
        return True


def _refusals(adapter: Adapter) -> Errors:
    """Return the exceptions by which an implementation says no, whatever it means by them."""
    return (Refused, Rejected, Stale, *adapter.refused, *adapter.rejected, *adapter.stale)


def _balances_agree(adapter: Adapter, scope: object, ledger: FastLedger, number: int) -> bool:
    """Whether the further balances that an account tells are those of the books."""
    try:
        given = adapter.balances(scope)
    except Exception:  # noqa: BLE001 - lock step will say what it is
        return False
    return all(name in TOLD and value == getattr(ledger, name)[number] for name, value in given.items())


def _plain(adapter: type[Adapter]) -> bool:
    """Whether operations return what they return, and no coroutine: found out once, since one of them may hang."""
    known = _PLAIN.get(adapter)
    if known is None:
        known = _PLAIN[adapter] = _tried(adapter)
    return known


_PLAIN: weakref.WeakKeyDictionary[type[Adapter], bool] = weakref.WeakKeyDictionary()


def _tried(adapter: type[Adapter]) -> bool:
    """Do each operation once; return whether none of them is a coroutine, or fails."""
    mine, it = offers(adapter), adapter()
    coroutines = 0

    def do(operation: str, *args: Any) -> Any:
        nonlocal coroutines
        if operation not in mine:
            return None
        value = getattr(it, operation)(*args)
        if inspect.iscoroutine(value):
            coroutines += 1
            value.close()
        return value

    try:
        with limit(adapter.timeout):
            root = do("open", 9)
            for ending in ("settle", "release", "forfeit"):
                hold = do("reserve", root, 1)
                if ending != "release":
                    do("sent", hold)
                    do("extend", hold, 1)
                do(ending, hold, *((1,) if ending == "settle" else ()))
            one, two = do("delegate", root, 1), do("delegate", root, 1)
            do("merge", one, two)
            do("close", one)
    except Exception:  # noqa: BLE001 - whatever it is, lock step can tell it
        return False
    return not coroutines


_FAR = frozenset({"delegate", "close", "merge"})
"""The steps that move money between accounts."""
