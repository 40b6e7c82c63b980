"""What one operation after the other may answer: the sequential specification of a history.

``Operation`` is what a client did and was told. The rules are those of ``capsound.accounts``, in integers: what an
account has available, holds and has spent, and where each hold is in its life. Each says what the state is after an
operation with this answer, and whether the answer is allowed at all.

R3 ("once the spend has reached the grant, no call is admitted") needs no books of its own: while no balance but
``available`` is negative, nothing is available then.
"""

# ruff: noqa: ARG001  every rule of the specification has the same arguments

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
        result = self.outcome
        if self.do in READS or (self.do == "check" and self.outcome == "done"):
            result = str(self.value) if self.do in READS else ("yes" if self.value else "no")
        elif self.do in CREATES and self.outcome == "done":
            result = f"{'h' if CREATES[self.do] == 'hold' else 'a'}{self.on if self.do == 'open' else self.new}"
        elif self.do == "sent" and self.outcome == "done":
            result = f"done (billed {self.amount})"
        return f"{self.do}({', '.join(args)}) -> {result}"


Account = tuple[int, int, int, int, int]  # available, held, spent, open holds and slices, the key of the parent
Hold = tuple[int, int, int]  # the key of the account, amount, whether its request has left
State = dict[int, tuple[int, ...] | None]  # None: ended, and not yet known to exist to all

Rule = Callable[["Op", State, "Spec"], State | None]
"""Return the state after an operation, the same object where nothing changes, None where it is not allowed."""


class Op:
    """One operation, prepared: ``on`` and ``new`` are keys, ``rule`` is the specification of its outcome."""

    __slots__ = ("amount", "bit", "do", "index", "judged", "keys", "new", "on", "passive", "rule", "value", "wide")

    def __init__(self, index: int, operation: Operation, judged: bool) -> None:
        self.index, self.do, self.amount, self.value = index, operation.do, operation.amount, operation.value
        self.on = hold_key(operation.on) if operation.do in ON_HOLD else account_key(operation.on)
        self.new = hold_key(operation.new) if operation.do == "reserve" else account_key(operation.new)
        self.judged = judged
        self.bit = 0
        self.wide = operation.do in ("close", "merge")
        self.keys: frozenset[int] = frozenset()
        no = operation.outcome in ("refused", "rejected", "stale")
        self.passive = operation.do in READS or operation.do == "check" or (no and operation.do != "settle")
        self.rule: Rule = _NO[operation.do] if no else _DONE[operation.do]


class Moment(NamedTuple):
    """An invocation, or the response that ends it."""

    op: Op
    ends: bool


def moments(ops: Iterable[Op], operations: Sequence[Operation]) -> list[Moment]:
    """Return invocations and responses in the order of time.

    At one moment invocations come first: whoever overlaps by a moment overlaps.
    """
    found: list[tuple[int, int, int, Moment]] = []
    for op in ops:
        operation = operations[op.index]
        found.append((operation.called, 0, op.index, Moment(op, False)))
        if operation.returned is not None:
            found.append((operation.returned, 1, op.index, Moment(op, True)))
    return [moment for *_, moment in sorted(found, key=lambda one: one[:3])]


def connected(keys: Iterable[int], ops: Sequence[Op]) -> list[Op]:
    """Return the operations that share one of ``keys``, or an account or a hold with others that do, in turn."""
    reached, rest, found = set(keys), list(ops), list[Op]()
    while more := [op for op in rest if not reached.isdisjoint(op.keys)]:
        found += more
        rest = [op for op in rest if reached.isdisjoint(op.keys)]
        reached.update(*(op.keys for op in more))
    return found


def starves(op: Op, state: State, others: Iterable[Op]) -> bool:
    """Whether ``op`` takes without a guard, and might leave too little for ``others``, which are under way as well."""
    if op.do == "record":
        account, takes = state.get(op.on), op.amount
    elif op.do == "settle" and (hold := state.get(op.on)) is not None and op.amount > hold[1]:
        account, takes = state[hold[0]], op.amount - hold[1]
    else:
        return False
    return account is None or account[0] - takes < sum(other.amount for other in others if not other.passive)


def account_key(number: int) -> int:
    """Return the key of an account in a state: even, so that holds have the odd ones."""
    return 2 * number


def hold_key(number: int) -> int:
    """Return the key of a hold in a state."""
    return 2 * number + 1


class Spec:
    """What the implementation claims, and what is known to have been created."""

    __slots__ = ("complete", "created", "strict")

    def __init__(self, strict: bool, complete: bool) -> None:
        self.strict, self.complete = strict, complete
        self.created: set[int] = set()

    def ended(self, key: int, state: State) -> bool:
        """Whether a key exists, or did; if not, it is not there yet."""
        return key in state or key in self.created

    def harmless(self, key: int, state: State) -> State | None:
        """Answer a misuse that was done: it changed nothing, unless it was claimed to be refused."""
        return None if self.strict or not self.ended(key, state) else state

    def end(self, state: State, key: int) -> None:
        """Take an account or a hold out of a state; keep in mind that it was there, if nobody knows that yet."""
        if key in self.created:
            del state[key]
        else:
            state[key] = None


# ------------------------------------------------------------------------------------------ the specification


def _open(op: Op, state: State, spec: Spec) -> State | None:
    return {**state, op.on: (op.amount, 0, 0, 0, -1)}


def _reserve(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None or op.amount > account[0]:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held + op.amount, spent, busy + 1, parent)
    after[op.new] = (op.on, op.amount, 0)
    return after


def _charge(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    return None if account is None or op.amount > account[0] else _record(op, state, spec)


def _record(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held, spent + op.amount, busy, parent)
    return after


def _delegate(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None or op.amount > account[0]:
        return None
    available, held, spent, busy, parent = account
    after = state.copy()
    after[op.on] = (available - op.amount, held, spent, busy + 1, parent)
    after[op.new] = (op.amount, 0, 0, 0, op.on)
    return after


def _close(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None or account[3]:
        return spec.harmless(op.on, state)
    after = state.copy()
    spec.end(after, op.on)
    if account[4] >= 0:
        _give(after, account[4], max(0, account[0]), 1)
    return after


def _merge(op: Op, state: State, spec: Spec) -> State | None:
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


def _sent(op: Op, state: State, spec: Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return spec.harmless(op.on, state)
    return {**state, op.on: (hold[0], hold[1], 1)}


def _settle(op: Op, state: State, spec: Spec) -> State | None:
    return _resolve(op, state, spec, op.amount)


def _release(op: Op, state: State, spec: Spec) -> State | None:
    hold = state.get(op.on)
    return spec.harmless(op.on, state) if hold is None or hold[2] else _resolve(op, state, spec, 0)


def _forfeit(op: Op, state: State, spec: Spec) -> State | None:
    hold = state.get(op.on)
    return spec.harmless(op.on, state) if hold is None else _resolve(op, state, spec, hold[1])


def _resolve(op: Op, state: State, spec: Spec, cost: int) -> State | None:
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


def _extend(op: Op, state: State, spec: Spec) -> State | None:
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


def _check(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if not op.value and spec.ended(op.on, state) else None
    return state if bool(op.value) == (op.amount <= account[0]) else None


def _read(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None:  # who has ended need not speak
        return state if spec.ended(op.on, state) else None
    low, high = readable(op.do, account)
    return state if low <= (op.value or 0) <= high or (op.do in FREE and op.value == 0 > account[0]) else None


FREE = ("remaining", "free")


def readable(do: str, account: tuple[int, ...]) -> tuple[int, int]:
    """Return the least and the most that a read may return."""
    available, held, spent = account[:3]
    if do == "free":
        return available, available + held
    value = {"spent": spent, "held": held, "remaining": available}.get(do, spent + held)
    return value, value


def _no_room(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if spec.ended(op.on, state) else None
    return None if op.judged and op.amount <= account[0] else state


def _no_extension(op: Op, state: State, spec: Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    account = state[hold[0]]
    return None if op.judged and account is not None and op.amount <= account[0] else state


def _no_settlement(op: Op, state: State, spec: Spec) -> State | None:
    """Settle all the same: the ledger was told what was billed, whatever it answered."""
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    return _resolve(op, state, spec, op.amount) if hold[2] or spec.complete else state


def _no_end(op: Op, state: State, spec: Spec) -> State | None:
    hold = state.get(op.on)
    if hold is None:
        return state if spec.ended(op.on, state) else None
    return None if spec.complete and not (op.do == "release" and hold[2]) else state


def _no_close(op: Op, state: State, spec: Spec) -> State | None:
    account = state.get(op.on)
    if account is None:
        return state if spec.ended(op.on, state) else None
    return None if spec.complete and not account[3] and account[4] >= 0 else state


def _no_merge(op: Op, state: State, spec: Spec) -> State | None:
    source, target = state.get(op.new), state.get(op.on)
    if source is None or target is None:
        return state if spec.ended(op.on, state) and spec.ended(op.new, state) else None
    return None if spec.complete and op.on != op.new and not source[3] else state


def _unjudged(op: Op, state: State, spec: Spec) -> State | None:
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


def family(operations: Sequence[Operation]) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Return the root and the parent of every account, and the account of every hold."""
    parent: dict[int, int] = {}
    owner: dict[int, int] = {}
    for operation in operations:
        if operation.outcome not in ("done", "pending"):
            continue
        if operation.do == "open":
            parent[operation.on] = -1
        elif operation.do == "delegate" and operation.new >= 0:
            parent[operation.new] = operation.on
        elif operation.do == "reserve" and operation.new >= 0:
            owner[operation.new] = operation.on
    root: dict[int, int] = {}
    for account in parent:
        step = account
        while parent[step] >= 0:
            step = parent[step]
        root[account] = step
    return root, parent, owner


def keys_of(op: Op, operation: Operation, account: int, parent_of: Mapping[int, int]) -> frozenset[int]:
    """Return the accounts and holds that an operation can look at or change."""
    keys = {op.on}
    if operation.do in ON_HOLD and operation.do != "sent":
        keys.add(account_key(account))
    if operation.do in CREATES and operation.do != "open" and operation.outcome in ("done", "pending"):
        keys.add(op.new)
    if operation.do == "merge":
        keys |= {op.new, account_key(parent_of[operation.new])} if parent_of[operation.new] >= 0 else {op.new}
    if operation.do == "close" and parent_of[operation.on] >= 0:
        keys.add(account_key(parent_of[operation.on]))
    return frozenset(keys)
