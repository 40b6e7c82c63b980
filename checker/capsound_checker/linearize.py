"""Linearizability: an order of concurrent operations that the model allows and that keeps who came before whom.

Wing and Gong (1993) ask for such an order, a *linearization*; Lowe (2017) remembers the configurations that were
seen, and linearizes an operation only when its response is due; Horn and Kroening (2015) check the parts of a state
that share nothing one by one, here the roots. The sequential specification is ``capsound.accounts``, in integers:
what an account has available, holds and has spent, and where each hold is in its life.

The history is read once, in the order of time, and the set of *configurations* is kept: which of the operations
that are under way have been linearized, and the state after them. An invocation adds an operation. A response
demands that it be linearized in each configuration: those in which it cannot be are dropped, and when none is left
the history has no linearization. So a rejection needs no backtracking, and where nothing is under way the
configurations of one state fall together. Four things keep the sets small; each loses no linearization:

* *Passive operations first.* A refusal or a read changes nothing. Where it is allowed now, every continuation with it
  later is one with it now. (Not so for a settlement that may be ignored, where the hold was resolved before: it
  also may move money later. It waits.)
* *One state a set.* What operations add to balances does not depend on their order, and whatever closing an
  account moves is decided by the operations on it, which all come before. So the state is a function of which
  operations took effect. Of two configurations with the same ones, the one with fewer passive ones done is dropped.
  (Of two settlements of one hold at different amounts either may be the one that counts: hence "took effect".)
* *Not before it is needed.* When x is due, another operation y goes first only if that makes x possible, or a passive
  operation that is under way. Otherwise x, then what adds to the balance, then what takes from it under the
  guard, then what takes without one, is allowed as well and leads to the same state: the sum after all of it was
  not below zero before either. (Wrong if x takes without a guard and leaves too little for the others: ``reserve``
  and an overrun in this order may both be right, and not in the other. Wrong beside ``close`` and ``merge``: a
  ``charge`` before the ``close`` of its account is allowed, and after it is not. Wrong for two operations on one
  hold, of which one must be stale. In these cases every order is tried.)
* *Only what matters.* An operation that shares no account and no hold with x, with a passive operation under way, or
  with what these share one with in turn, commutes with all of them and waits.

R3 ("once the spend has reached the grant, no call is admitted") needs no books of its own: while no balance but
``available`` is negative, nothing is available then.
"""

# ruff: noqa: ARG001  every rule of the specification has the same arguments

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from capsound.errors import BadTrace
from capsound.verdict import Verdict

STEPS = 20_000_000
"""How many transitions are tried before the verdict is ``unknown``."""

READS = ("spent", "held", "remaining", "used", "free")
"""What can be read of an account; ``used`` is spent and held together, ``free`` what may or may not count holds."""

ON_ACCOUNT = frozenset({"reserve", "charge", "record", "check", "delegate", "close", "merge", *READS})
ON_HOLD = frozenset({"sent", "settle", "release", "forfeit", "extend"})
OPERATIONS = ("open", *sorted(ON_ACCOUNT - set(READS)), *sorted(ON_HOLD), *READS)
CREATES = {"open": "account", "delegate": "account", "reserve": "hold"}
OUTCOMES = ("done", "refused", "rejected", "stale", "pending")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client, from its invocation to its response.

    ``on`` is the number of an account or a hold, ``new`` that of the account or hold that it creates (or the source
    of a merge). ``called`` and ``returned`` are times of one clock; ``returned`` is None where no response came
    (``pending``): it may have taken effect at any time after its invocation, or never. ``amount`` of ``sent`` is the
    true bill, which the ledger does not see. ``value`` is what a read returned; of ``check``, 1 or 0.
    """

    client: int
    do: str
    on: int
    called: int
    returned: int | None
    outcome: str = "done"
    new: int = -1
    amount: int = 0
    value: int | None = None

    def __str__(self) -> str:
        """Return the operation as a call with its outcome."""
        what = f"h{self.on}" if self.do in ON_HOLD else f"a{self.on}"
        args = [] if self.do == "open" else [what]
        if self.do == "merge":
            args.append(f"a{self.new}")
        if self.do in ("open", "reserve", "charge", "record", "check", "delegate", "settle", "extend"):
            args.append(str(self.amount))
        said = self.outcome
        if self.do in READS or (self.do == "check" and self.outcome == "done"):
            said = str(self.value) if self.do in READS else ("yes" if self.value else "no")
        elif self.do in CREATES and self.outcome == "done":
            said = f"{'h' if CREATES[self.do] == 'hold' else 'a'}{self.on if self.do == 'open' else self.new}"
        elif self.do == "sent" and self.outcome == "done":
            said = f"done (billed {self.amount})"
        return f"{self.do}({', '.join(args)}) -> {said}"


@dataclass(frozen=True, slots=True)
class Offence:
    """Where a history stops being explainable.

    ``operation`` is the one that no order allows. ``window`` are the operations on the same accounts and holds, by
    invocation, that overlap the time from ``since`` (the last read of the same balance that could be explained; None:
    the beginning) to its response: what is wrong lies in it, unless another wrong answer made up for it at ``since``.
    """

    operation: int
    since: int | None
    window: tuple[int, ...]
    anomaly: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Linearization:
    """The answer: ``order`` are positions of operations, one valid order of all that took effect or were answered."""

    verdict: Verdict
    order: tuple[int, ...] = ()
    offence: Offence | None = None
    steps: int = 0


Account = tuple[int, int, int, int, int]  # available, held, spent, open holds and slices, the key of the parent
Hold = tuple[int, int, int]  # the key of the account, amount, whether its request has left
State = dict[int, tuple[int, ...] | None]  # None: ended, and not yet known to exist to all

Rule = Callable[["_Op", State, "_Spec"], State | None]
"""Return the state after an operation, the same object where nothing changes, None where it is not allowed."""


class _Op:
    """One operation, prepared: ``on`` and ``new`` are keys, ``rule`` is the specification of its outcome."""

    __slots__ = ("amount", "bit", "do", "index", "judged", "keys", "new", "on", "passive", "rule", "value", "wide")

    def __init__(self, index: int, said: Operation, judged: bool) -> None:
        self.index, self.do, self.amount, self.value = index, said.do, said.amount, said.value
        self.on = _hold(said.on) if said.do in ON_HOLD else _account(said.on)
        self.new = _hold(said.new) if said.do == "reserve" else _account(said.new)
        self.judged = judged
        self.bit = 0
        self.wide = said.do in ("close", "merge")
        self.keys: frozenset[int] = frozenset()
        no = said.outcome in ("refused", "rejected", "stale")
        self.passive = said.do in READS or said.do == "check" or (no and said.do != "settle")
        self.rule: Rule = _NO[said.do] if no else _DONE[said.do]


def _account(number: int) -> int:
    return 2 * number


def _hold(number: int) -> int:
    return 2 * number + 1


class _Spec:
    """What the implementation claims, and what is known to have been created."""

    __slots__ = ("born", "complete", "strict")

    def __init__(self, strict: bool, complete: bool) -> None:
        self.strict, self.complete = strict, complete
        self.born: set[int] = set()

    def ended(self, key: int, state: State) -> bool:
        """Whether a key exists, or did; if not, it is not there yet."""
        return key in state or key in self.born

    def harmless(self, key: int, state: State) -> State | None:
        """Answer a misuse that was done: it changed nothing, unless it was claimed to be refused."""
        return None if self.strict or not self.ended(key, state) else state

    def end(self, state: State, key: int) -> None:
        if key in self.born:
            del state[key]
        else:
            state[key] = None


# ------------------------------------------------------------------------------------------ the specification


def _open(op: _Op, state: State, spec: _Spec) -> State | None:
    return {**state, op.on: (op.amount, 0, 0, 0, -1)}


def _reserve(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None or op.amount > account[0]:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held + op.amount, spent, busy + 1, parent)
    after[op.new] = (op.on, op.amount, 0)
    return after


def _charge(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    return None if account is None or op.amount > account[0] else _record(op, state, spec)


def _record(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held, spent + op.amount, busy, parent)
    return after


def _delegate(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None or op.amount > account[0]:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held, spent, busy + 1, parent)
    after[op.new] = (op.amount, 0, 0, 0, op.on)
    return after


def _close(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None or account[3]:
        return spec.harmless(op.on, state)
    after = state.copy()
    spec.end(after, op.on)
    if account[4] >= 0:
        _give(after, account[4], max(0, account[0]), 1)
    return after


def _merge(op: _Op, state: State, spec: _Spec) -> State | None:
    source, target = state.get(op.new), state.get(op.on)
    if source is None or target is None or source[3] or op.on == op.new:
        known = spec.ended(op.on, state) and spec.ended(op.new, state)
        return state if known and not spec.strict else None
    after = state.copy()
    spec.end(after, op.new)
    if source[4] >= 0:
        _give(after, source[4], 0, 1)
        if after.get(op.on) is None:
            return None
    _give(after, op.on, max(0, source[0]), 0)
    return after


def _give(state: State, key: int, amount: int, fewer: int) -> None:
    account = state[key]
    if account is not None:
        available, held, spent, busy, parent = account
        state[key] = (available + amount, held, spent, busy - fewer, parent)


def _sent(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return spec.harmless(op.on, state)
    return {**state, op.on: (hold[0], hold[1], 1)}


def _settle(op: _Op, state: State, spec: _Spec) -> State | None:
    return _resolve(op, state, spec, op.amount)


def _release(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    return spec.harmless(op.on, state) if hold is None or hold[2] else _resolve(op, state, spec, 0)


def _forfeit(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    return spec.harmless(op.on, state) if hold is None else _resolve(op, state, spec, hold[1])


def _resolve(op: _Op, state: State, spec: _Spec, cost: int) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return spec.harmless(op.on, state)
    key, amount, _ = hold
    account = state[key]
    assert account is not None, "an account with an open hold is never closed"
    available, held, spent, busy, parent = account
    after = state.copy()
    spec.end(after, op.on)
    after[key] = (available + amount - cost, held - amount, spent + cost, busy - 1, parent)
    return after


def _extend(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return spec.harmless(op.on, state)
    key, amount, sent = hold
    account = state[key]
    assert account is not None, "an account with an open hold is never closed"
    available, held, spent, busy, parent = account
    if op.amount > available:
        return None
    after = state.copy()
    after[op.on] = (key, amount + op.amount, sent)
    after[key] = (available - op.amount, held + op.amount, spent, busy, parent)
    return after


def _check(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if not op.value and spec.ended(op.on, state) else None
    return state if bool(op.value) == (op.amount <= account[0]) else None


def _read(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None:  # who has ended need not speak
        return state if spec.ended(op.on, state) else None
    low, high = _range(op.do, account)
    return state if low <= (op.value or 0) <= high or (op.do in _FREE and op.value == 0 > account[0]) else None


_FREE = ("remaining", "free")


def _range(do: str, account: tuple[int, ...]) -> tuple[int, int]:
    """Return the least and the most that a read may return."""
    available, held, spent = account[:3]
    if do == "free":
        return available, available + held
    value = {"spent": spent, "held": held, "remaining": available}.get(do, spent + held)
    return value, value


def _no_room(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if spec.ended(op.on, state) else None
    return None if op.judged and op.amount <= account[0] else state


def _no_extension(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    account = state[hold[0]]
    return None if op.judged and account is not None and op.amount <= account[0] else state


def _no_settlement(op: _Op, state: State, spec: _Spec) -> State | None:
    """Settle all the same: the ledger was told what was billed, whatever it answered."""
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    return _resolve(op, state, spec, op.amount) if hold[2] or spec.complete else state


def _no_end(op: _Op, state: State, spec: _Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    return None if spec.complete and not (op.do == "release" and hold[2]) else state


def _no_close(op: _Op, state: State, spec: _Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if spec.ended(op.on, state) else None
    return None if spec.complete and not account[3] and account[4] >= 0 else state


def _no_merge(op: _Op, state: State, spec: _Spec) -> State | None:
    source, target = state.get(op.new), state.get(op.on)
    if source is None or target is None:
        return state if spec.ended(op.on, state) and spec.ended(op.new, state) else None
    return None if spec.complete and op.on != op.new and not source[3] else state


def _unjudged(op: _Op, state: State, spec: _Spec) -> State | None:
    return state if spec.ended(op.on, state) else None


_DONE: Mapping[str, Rule] = {
    "open": _open,
    "reserve": _reserve,
    "charge": _charge,
    "record": _record,
    "check": _check,
    "delegate": _delegate,
    "close": _close,
    "merge": _merge,
    "sent": _sent,
    "settle": _settle,
    "release": _release,
    "forfeit": _forfeit,
    "extend": _extend,
    **dict.fromkeys(READS, _read),
}
_NO: Mapping[str, Rule] = {
    "reserve": _no_room,
    "charge": _no_room,
    "record": _unjudged,
    "check": _unjudged,
    "delegate": _no_room,
    "close": _no_close,
    "merge": _no_merge,
    "sent": _no_end,
    "settle": _no_settlement,
    "release": _no_end,
    "forfeit": _no_end,
    "extend": _no_extension,
    **dict.fromkeys(READS, _unjudged),
}


# ------------------------------------------------------------------------------------------------- the search

Path = tuple[int, "Path"] | None  # the operations linearized so far, last one first


class _Config:
    """One configuration: which operations under way took effect, which were answered without one, and the state."""

    __slots__ = ("answered", "effect", "path", "skipped", "state")

    def __init__(self, effect: int, answered: int, skipped: frozenset[int], state: State, path: Path) -> None:
        self.effect, self.answered, self.skipped, self.state, self.path = effect, answered, skipped, state, path


class _OutOfSteps(Exception):
    pass


class _Search:
    """One pass over the operations of one root."""

    def __init__(self, ops: Sequence[_Op], spec: _Spec, steps: int) -> None:
        self.ops, self.spec, self.left = ops, spec, steps
        self.under_way: list[_Op] = []
        self.configs = [_Config(0, 0, frozenset(), {}, None)]
        self.free_bits: list[int] = []
        self.bits = 0
        self.wide = 0  # how many under way are not simple
        self.used: dict[int, int] = {}  # how many under way work on a hold
        self.shared = 0  # how many holds are worked on by several
        self.careful = False  # something was used before its creation was answered
        self.seen: list[State] | None = None

    def invoke(self, op: _Op) -> None:
        """Take note that an operation is under way; answer it where it is passive and allowed."""
        if self.free_bits:
            op.bit = self.free_bits.pop()
        else:
            op.bit = 1 << self.bits
            self.bits += 1
        self.under_way.append(op)
        if op.passive:
            for config in self.configs:
                self.left -= 1
                if op.rule(op, config.state, self.spec) is not None:
                    config.answered |= op.bit
                    config.path = (op.index, config.path)
            return
        self.wide += op.wide
        if op.on & 1:
            count = self.used[op.on] = self.used.get(op.on, 0) + 1
            self.shared += count == 2
        if op.do != "open" and op.on not in self.spec.born:
            self.careful = True

    def respond(self, op: _Op) -> bool:
        """Demand that an operation is linearized; return whether that is possible."""
        bit = op.bit
        kept: list[_Config] = []
        for config in self.configs:
            if (config.effect | config.answered) & bit:
                kept.append(config)
            else:
                self.due(op, config, kept)
        if not kept:
            return False
        self.under_way.remove(op)
        self.free_bits.append(bit)
        if not op.passive:
            self.wide -= op.wide
            if op.on & 1:
                self.used[op.on] -= 1
                self.shared -= self.used[op.on] == 1
                if not self.used[op.on]:
                    del self.used[op.on]
            if op.do == "open":
                self.spec.born.add(op.on)
            elif op.do in CREATES:
                self.spec.born.add(op.new)
        for config in kept:
            config.effect &= ~bit
            config.answered &= ~bit
        self.configs = kept if len(kept) == 1 else self.distinct(kept)
        if self.left < 0:
            raise _OutOfSteps
        return True

    def distinct(self, configs: list[_Config]) -> list[_Config]:
        """Drop every configuration that another one of the same state does better than."""
        groups: dict[tuple[int, frozenset[int]], list[_Config]] = {}
        for config in configs:
            groups.setdefault((config.effect, config.skipped), []).append(config)
        kept: list[_Config] = []
        for group in groups.values():
            kept += _best(group)
        if any(config.skipped for config in kept):  # different ones were ignored, and yet the state may be the same
            kept = [c for n, c in enumerate(kept) if not any(_beats(b, c) for b in kept[:n])]
        if len(kept) == 1:
            kept[0].skipped = frozenset()
        return kept

    def due(self, op: _Op, start: _Config, kept: list[_Config]) -> None:
        """Add each configuration after ``start`` in which ``op`` is linearized, and nothing else without need."""
        spec, rule = self.spec, op.rule
        waiting = [p for p in self.under_way if p.passive and not p.bit & start.answered and p is not op]
        lazy = not self.wide and not self.shared and not self.careful
        self.left -= 1
        if self.seen is not None:
            self.seen.append(start.state)
        after = rule(op, start.state, spec)
        lazy = lazy and not self._starves(op, start)
        if after is not None:
            kept.append(self.linearized(op, start, after, waiting))
            if lazy and not waiting:
                return
        others = self.relevant(op, start, waiting)
        # One layer for each number of operations that go first; `known` are the sets that were reached.
        layer, known = [(start, after is not None)], {(start.effect, start.answered, start.skipped)}
        while layer:
            following: dict[tuple[int, int, frozenset[int]], tuple[_Config, bool]] = {}
            for config, possible in layer:
                if lazy and possible and all(p.bit & config.answered for p in waiting):
                    continue
                for other in others:
                    if other.bit & (config.effect | config.answered):
                        continue
                    self.left -= 1
                    state = other.rule(other, config.state, spec)
                    if state is None:
                        continue
                    then = self.linearized(other, config, state, waiting)
                    key = then.effect, then.answered, then.skipped
                    answered_more = (then.answered & ~other.bit) != config.answered
                    if key in known and not answered_more:
                        continue
                    if self.seen is not None:
                        self.seen.append(state)
                    end = rule(op, state, spec)
                    if end is not None and (not lazy or not possible or answered_more):
                        kept.append(self.linearized(op, then, end, waiting))
                    if op.passive and end is not None:
                        continue  # answered where it first can be: it changes nothing
                    if key not in known:
                        known.add(key)
                        following[key] = then, end is not None
                if self.left < 0:
                    raise _OutOfSteps
            layer = list(following.values())

    def _starves(self, op: _Op, start: _Config) -> bool:
        """Whether ``op`` takes without a guard, and might leave too little for what is under way."""
        state, done = start.state, start.effect | start.answered
        account: tuple[int, ...] | None
        if op.do == "record":
            account, takes = state.get(op.on), op.amount
        elif op.do == "settle" and (hold := state.get(op.on)) is not None and op.amount > hold[1]:
            account, takes = state[hold[0]], op.amount - hold[1]
        else:
            return False
        others = sum(o.amount for o in self.under_way if not o.passive and not o.bit & done and o is not op)
        return account is None or account[0] - takes < others

    def linearized(self, op: _Op, config: _Config, state: State, waiting: Iterable[_Op]) -> _Config:
        """Return the configuration after ``op``, with every passive operation answered that the new state allows."""
        if state is config.state:
            skipped = config.skipped if op.passive else config.skipped | {op.index}
            return _Config(config.effect, config.answered | op.bit, skipped, state, (op.index, config.path))
        then = _Config(config.effect | op.bit, config.answered, config.skipped, state, (op.index, config.path))
        for passive in waiting:
            if not passive.bit & then.answered:
                self.left -= 1
                if passive.rule(passive, state, self.spec) is not None:
                    then.answered |= passive.bit
                    then.path = (passive.index, then.path)
        return then

    def relevant(self, op: _Op, config: _Config, waiting: Sequence[_Op]) -> list[_Op]:
        """Return the operations under way that can matter to ``op`` or to a passive operation that waits."""
        done = config.effect | config.answered
        rest = [o for o in self.under_way if not o.passive and not o.bit & done and o is not op]
        keys = set(op.keys).union(*(p.keys for p in waiting))
        chosen: list[_Op] = []
        while True:
            more = [o for o in rest if not keys.isdisjoint(o.keys)]
            if not more:
                return sorted(chosen, key=lambda o: o.index)
            chosen += more
            rest = [o for o in rest if keys.isdisjoint(o.keys)]
            keys.update(*(o.keys for o in more))


def _best(group: list[_Config]) -> list[_Config]:
    """Return the configurations of one state of which no other one has answered as much and more."""
    if len(group) == 1:
        return group
    by_answers: dict[int, _Config] = {}
    for config in group:
        by_answers.setdefault(config.answered, config)
    answers = list(by_answers)
    return [by_answers[a] for a in answers if not any(a != b and a & b == a for b in answers)]


def _beats(one: _Config, other: _Config) -> bool:
    answers = one.answered | other.answered == one.answered
    return one.effect == other.effect and answers and one.state == other.state


def linearize(
    operations: Sequence[Operation], *, strict: bool = False, complete: bool = False, steps: int = STEPS
) -> Linearization:
    """Return whether the operations have a linearization that the model allows.

    ``strict`` and ``complete`` are what the implementation claims (``capsound.adapter.Adapter``): without the first, a
    misuse that was answered with "done" may have changed nothing; without the second, "rejected" and "stale" are limits
    of the library and never wrong. After ``steps`` transitions the verdict is ``unknown``. Every account and hold that
    is named must be created by an operation that was done or is pending: raises ``BadTrace`` otherwise.
    """
    root_of, parent_of, owner_of = _family(operations)
    parts: dict[int, list[_Op]] = {}
    for index, said in enumerate(operations):
        if said.outcome == "pending" and (said.do in READS or said.do == "check"):
            continue  # nobody has seen an answer
        if said.do == "open" and said.outcome not in ("done", "pending"):
            continue
        account = owner_of.get(said.on, -1) if said.do in ON_HOLD else said.on
        if account not in root_of or (said.do == "merge" and said.new not in root_of):
            raise BadTrace(f"operation {index + 1}, {said}, names what no operation has created")
        op = _Op(index, said, judged=said.outcome == "refused" or complete)
        if said.do == "merge" and root_of[said.new] != root_of[said.on]:
            if said.outcome == "done" and strict:
                sentence = f"a{said.on} and a{said.new} belong to two roots, and were merged"
                return Linearization(Verdict.VIOLATED, (), Offence(index, None, (index,), "wrong-root", sentence))
            continue
        op.keys = _keys(op, said, account, parent_of)
        parts.setdefault(root_of[account], []).append(op)
    order: list[int] = []
    left = steps
    for ops in parts.values():
        search = _Search(ops, _Spec(strict, complete), left)
        try:
            failed = _run(search, operations)
        except _OutOfSteps:
            return Linearization(Verdict.UNKNOWN, steps=steps)
        left = search.left
        if failed is not None:
            try:
                offence = _offence(search, failed, operations)
            except _OutOfSteps:
                return Linearization(Verdict.UNKNOWN, steps=steps)
            return Linearization(Verdict.VIOLATED, (), offence, steps - left)
        order += _unwound(search.configs[0].path)
    return Linearization(Verdict.SOUND, tuple(order), None, steps - left)


def _run(search: _Search, operations: Sequence[Operation]) -> _Op | None:
    """Read the operations of one root in the order of time; return the first whose response nothing explains."""
    moments: list[tuple[int, int, int, _Op]] = []
    for op in search.ops:  # at one moment invocations come first: whoever overlaps by a moment overlaps
        said = operations[op.index]
        moments.append((said.called, 0, op.index, op))
        if said.returned is not None:
            moments.append((said.returned, 1, op.index, op))
    moments.sort(key=lambda moment: moment[:3])
    for _, ends, _, op in moments:
        if not ends:
            search.invoke(op)
        elif not search.respond(op):
            return op
    return None


def _unwound(path: Path) -> list[int]:
    order: list[int] = []
    while path is not None:
        index, path = path
        order.append(index)
    return order[::-1]


def _family(operations: Sequence[Operation]) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Return the root and the parent of every account, and the account of every hold."""
    parent: dict[int, int] = {}
    owner: dict[int, int] = {}
    for said in operations:
        if said.outcome not in ("done", "pending"):
            continue
        if said.do == "open":
            parent[said.on] = -1
        elif said.do == "delegate" and said.new >= 0:
            parent[said.new] = said.on
        elif said.do == "reserve" and said.new >= 0:
            owner[said.new] = said.on
    root: dict[int, int] = {}
    for account in parent:
        step = account
        while parent[step] >= 0:
            step = parent[step]
        root[account] = step
    return root, parent, owner


def _keys(op: _Op, said: Operation, account: int, parent_of: Mapping[int, int]) -> frozenset[int]:
    """Return the accounts and holds that an operation can look at or change."""
    keys = {op.on}
    if said.do in ON_HOLD and said.do != "sent":
        keys.add(_account(account))
    if said.do in CREATES and said.do != "open" and said.outcome in ("done", "pending"):
        keys.add(op.new)
    if said.do == "merge":
        keys |= {op.new, _account(parent_of[said.new])} if parent_of[said.new] >= 0 else {op.new}
    if said.do == "close" and parent_of[said.on] >= 0:
        keys.add(_account(parent_of[said.on]))
    return frozenset(keys)


# ------------------------------------------------------------------------------------------------ the offence


def _offence(search: _Search, op: _Op, operations: Sequence[Operation]) -> Offence:
    """Say what is wrong with the operation that nothing explains, in the states that it could have met."""
    search.seen = []
    for config in search.configs:
        search.due(op, config, [])
    said = operations[op.index]
    anomaly, sentence = _named(op, said, search.seen)
    mine = [o.index for o in search.ops if not op.keys.isdisjoint(o.keys)]
    witness = said.do if said.do in READS else None
    agreed = [
        index
        for index in mine
        if (o := operations[index]).do in READS
        and (witness is None or o.do == witness)
        and o.returned is not None
        and o.returned < said.called
    ]
    since = max(agreed, key=lambda index: operations[index].returned or 0, default=None)
    begin = (
        min((operations[i].called for i in mine), default=said.called) if since is None else operations[since].called
    )
    end = said.returned if said.returned is not None else said.called
    window = [i for i in mine if operations[i].called <= end and (operations[i].returned or end) >= begin]
    window.sort(key=lambda index: (operations[index].called, index))
    return Offence(op.index, since, tuple(window), anomaly, sentence)


def _named(op: _Op, said: Operation, states: Sequence[State]) -> tuple[str, str]:
    """Return the anomaly and a sentence; ``states`` are those in which the operation was tried."""
    met = states[0]
    hold = met.get(op.on) if op.on & 1 else None
    key = hold[0] if hold is not None else op.on
    accounts = [account for state in states if (account := state.get(key)) is not None]
    if op.on & 1 and hold is None:
        name = "use-after-move" if said.do in ("sent", "extend") else "double-settle"
        return name, f"{said}, although h{said.on} had already been resolved"
    if not accounts:
        return "use-after-move", f"{said}, although a{key // 2} had already been closed or merged, or was not there yet"
    if said.do in READS:
        ranges = sorted({_range(said.do, account) for account in accounts})
        low, high, value = min(r[0] for r in ranges), max(r[1] for r in ranges), said.value or 0
        could = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in ranges[:8])
        if len(ranges) > 8:
            could += ", ..."
        name = "ledger-drift"
        if said.do in _FREE and not low <= value <= high:
            name = "minted" if value > high else "vanished"
        return name, f"a{said.on} said {said.do} {value}; at no moment of the read could it be other than: {could}"
    most = max(account[0] for account in accounts)
    least = min(account[0] for account in accounts)
    if said.do == "check":
        name = "stale-admit" if said.value else "false-refusal"
        return name, f"{said}, although between {least} and {most} was available"
    if said.outcome in ("refused", "rejected", "stale"):
        return "false-refusal", f"{said}, although at no moment of it less than {least} was available"
    if said.do in ("reserve", "charge", "extend"):
        beside = max(account[0] + account[1] for account in accounts)
        name = "stale-admit" if said.amount <= beside else "over-admit"
        return name, f"{said}, although at no moment of it more than {most} was available"
    if said.do == "delegate":
        return "minted", f"{said}, although at no moment of it more than {most} was available"
    if said.do == "release":
        return "refund-after-send", f"{said}, although its request had left"
    if said.do == "merge" and said.on == said.new:
        return "minted", f"{said}: an account was merged with itself"
    return "vanished", f"{said}, although something of it was still open"
