"""Linearizability: an order of concurrent operations that the model allows and that keeps who came before whom.

Wing and Gong (1993) ask for such an order, a *linearization*; Lowe (2017) remembers the configurations that were
seen, and linearizes an operation only when its response is due; Horn and Kroening (2015) check the parts of a state
that share nothing one by one, here the roots. What one operation after the other may answer says ``sequential``.

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
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capsound.errors import BadTrace
from capsound.verdict import Verdict
from capsound_checker.histories.sequential import (
    CREATES,
    FREE,
    ON_HOLD,
    READS,
    Moment,
    Op,
    Operation,
    Spec,
    State,
    connected,
    family,
    keys_of,
    moments,
    readable,
    starves,
)
from capsound_checker.histories.windows import shortest

STEPS = 20_000_000
"""How many transitions are tried before the verdict is ``unknown``."""


@dataclass(frozen=True, slots=True)
class Offence:
    """Where a history stops being explainable.

    ``operation`` is the first that no order allows; ``window`` is the least part of the history that shows it
    (``windows``), by invocation. ``shortest`` is False where the search for that was given up. ``low`` says that it
    is a read which told of less spending, or of fewer holds, than there can have been.
    """

    operation: int
    window: tuple[int, ...]
    anomaly: str
    sentence: str
    shortest: bool = True
    low: bool = False
    interrupted: bool = False
    """Whether Ctrl-C ended the search for the least window."""


@dataclass(frozen=True, slots=True)
class Linearization:
    """The answer: ``order`` are positions of operations, one valid order of all that took effect or were answered."""

    verdict: Verdict
    order: tuple[int, ...] = ()
    offence: Offence | None = None
    steps: int = 0


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

    def __init__(self, ops: Sequence[Op], spec: Spec, steps: int) -> None:
        self.ops, self.spec, self.left = ops, spec, steps
        self.under_way: list[Op] = []
        self.configs = [_Config(0, 0, frozenset(), {}, None)]
        self.free_bits: list[int] = []
        self.bits = 0
        self.wide = 0  # how many under way are not simple
        self.used: dict[int, int] = {}  # how many under way work on a hold
        self.shared = 0  # how many holds are worked on by several
        self.careful = False  # something was used before its creation was answered
        self.seen: list[State] | None = None

    def invoke(self, op: Op) -> None:
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
        if op.do != "open" and op.on not in self.spec.created:
            self.careful = True

    def respond(self, op: Op) -> bool:
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
                self.spec.created.add(op.on)
            elif op.do in CREATES:
                self.spec.created.add(op.new)
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

    def due(self, op: Op, start: _Config, kept: list[_Config]) -> None:
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

    def _starves(self, op: Op, start: _Config) -> bool:
        done = start.effect | start.answered
        return starves(op, start.state, [o for o in self.under_way if not o.bit & done and o is not op])

    def linearized(self, op: Op, config: _Config, state: State, waiting: Iterable[Op]) -> _Config:
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

    def relevant(self, op: Op, config: _Config, waiting: Sequence[Op]) -> list[Op]:
        """Return the operations under way that can matter to ``op`` or to a passive operation that waits."""
        done = config.effect | config.answered
        rest = [o for o in self.under_way if not o.passive and not o.bit & done and o is not op]
        keys = op.keys.union(*(p.keys for p in waiting))
        return sorted(connected(keys, rest), key=lambda o: o.index)


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
    root_of, parent_of, owner_of = family(operations)
    parts: dict[int, list[Op]] = {}
    for index, operation in enumerate(operations):
        if operation.outcome == "pending" and (operation.do in READS or operation.do == "check"):
            continue  # nobody has seen an answer
        if operation.do == "open" and operation.outcome not in ("done", "pending"):
            continue
        account = owner_of.get(operation.on, -1) if operation.do in ON_HOLD else operation.on
        if account not in root_of or (operation.do == "merge" and operation.new not in root_of):
            raise BadTrace(f"operation {index + 1}, {operation}, names what no operation has created")
        op = Op(index, operation, judged=operation.outcome == "refused" or complete)
        if operation.do == "merge" and root_of[operation.new] != root_of[operation.on]:
            if operation.outcome == "done" and strict:
                sentence = f"a{operation.on} and a{operation.new} belong to different roots, and were merged"
                return Linearization(Verdict.VIOLATED, (), Offence(index, (index,), "wrong-root", sentence))
            continue
        op.keys = keys_of(op, operation, account, parent_of)
        parts.setdefault(root_of[account], []).append(op)
    order: list[int] = []
    left = steps
    for ops in parts.values():
        search = _Search(ops, Spec(strict, complete), left)
        history = moments(ops, operations)
        try:
            failed = _run(search, history)
        except _OutOfSteps:
            return Linearization(Verdict.UNKNOWN, steps=steps)
        left = search.left
        if failed is not None:
            try:
                offence = _offence(search, failed, history, operations)
            except _OutOfSteps:
                return Linearization(Verdict.UNKNOWN, steps=steps)
            return Linearization(Verdict.VIOLATED, (), offence, steps - left)
        order += _unwound(search.configs[0].path)
    return Linearization(Verdict.SOUND, tuple(order), None, steps - left)


def _run(search: _Search, history: Sequence[Moment]) -> Op | None:
    """Go through the moments of one root; return the first operation whose response nothing explains."""
    for op, ends in history:
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


# ------------------------------------------------------------------------------------------------ the offence


def _offence(search: _Search, op: Op, history: Sequence[Moment], operations: Sequence[Operation]) -> Offence:
    """Say what is wrong with the operation that nothing explains, in the states that it could have met."""
    search.seen = []
    for config in search.configs:
        search.due(op, config, [])
    operation = operations[op.index]
    anomaly, sentence = _named(op, operation, search.seen)
    low = operation.do in READS and operation.do not in FREE and _below(op, operation, search.seen)
    spec = search.spec
    window, interrupted = None, False
    try:
        window = shortest(op, history, operations, strict=spec.strict, complete=spec.complete)
    except KeyboardInterrupt:  # that it is an offence is known, and is told
        interrupted = True
    if window is not None and window.shortest:
        return Offence(op.index, window.operations, anomaly, sentence, low=low)
    known = [window.operations] if window is not None else []
    least = min([*known, _since_agreed(search.ops, op, operations)], key=len)
    return Offence(op.index, least, anomaly, sentence, shortest=False, low=low, interrupted=interrupted)


def _since_agreed(ops: Sequence[Op], op: Op, operations: Sequence[Operation]) -> tuple[int, ...]:
    """Return what touches the same accounts and holds, since the same balance was last read and could be explained."""
    operation = operations[op.index]
    mine = [o.index for o in ops if not op.keys.isdisjoint(o.keys)]
    witnesses = {operation.do} if operation.do in READS else set(READS)
    agreed = [
        operations[index]
        for index in mine
        if operations[index].do in witnesses and (operations[index].returned or operation.called) < operation.called
    ]
    last = max(agreed, key=lambda o: o.returned or 0, default=None)
    begin = min(operations[i].called for i in mine) if last is None else last.called
    end = operation.returned if operation.returned is not None else operation.called
    window = [i for i in mine if operations[i].called <= end and (operations[i].returned or end) >= begin]
    return tuple(sorted(window, key=lambda index: (operations[index].called, index)))


def _below(op: Op, operation: Operation, states: Sequence[State]) -> bool:
    """Whether a read told of less than there can have been, in all states that it could have met."""
    accounts = [account for state in states if (account := state.get(op.on)) is not None]
    return bool(accounts) and (operation.value or 0) < min(readable(operation.do, account)[0] for account in accounts)


def _named(op: Op, operation: Operation, states: Sequence[State]) -> tuple[str, str]:
    """Return the anomaly and a sentence; ``states`` are those in which the operation was tried."""
    met = states[0]
    hold = met.get(op.on) if op.on & 1 else None
    key = hold[0] if hold is not None else op.on
    accounts = [account for state in states if (account := state.get(key)) is not None]
    if op.on & 1 and hold is None:
        name = "use-after-move" if operation.do in ("sent", "extend") else "double-settle"
        return name, f"{operation}, although h{operation.on} was already resolved"
    if not accounts:
        return (
            "use-after-move",
            f"{operation}, although a{key // 2} was closed, merged or not yet created",
        )
    if operation.do in READS:
        ranges = sorted({readable(operation.do, account) for account in accounts})
        low, high, value = min(r[0] for r in ranges), max(r[1] for r in ranges), operation.value or 0
        could = " or ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in ranges[:8])
        if len(ranges) > 8:
            could += " or ..."
        name = "ledger-drift"
        if operation.do in FREE and not low <= value <= high:
            name = "minted" if value > high else "vanished"
        return (
            name,
            f"a{operation.on} reported {operation.do} {value}; during the read it can only have been {could}",
        )
    most = max(account[0] for account in accounts)
    least = min(account[0] for account in accounts)
    if operation.do == "check":
        name = "stale-admit" if operation.value else "false-refusal"
        return name, f"{operation}, although {least} to {most} was available"
    if operation.outcome in ("refused", "rejected", "stale"):
        return "false-refusal", f"{operation}, although {least} or more was available all the time"
    if operation.do in ("reserve", "charge", "extend"):
        beside = max(account[0] + account[1] for account in accounts)
        name = "stale-admit" if operation.amount <= beside else "over-admit"
        return name, f"{operation}, although never more than {most} was available"
    if operation.do == "delegate":
        return "minted", f"{operation}, although never more than {most} was available"
    if operation.do == "release":
        return "refund-after-send", f"{operation}, although its request was already sent"
    if operation.do == "merge" and operation.on == operation.new:
        return "minted", f"{operation}: merged an account with itself"
    return "vanished", f"{operation}, although it still had an open hold or slice"
