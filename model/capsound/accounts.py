"""Accounts, holds and calls, and the transition function: the reference semantics of a budget.

Read it as a specification. ``RULES`` lists what a sound ledger never does, one sentence each. ``move`` does
the bookkeeping of an event whether or not it is allowed; ``breaches`` names the rules that the event breaks;
``apply`` is the transition function proper, which refuses what breaks a rule. The monitor uses the first two,
so that it can go on after a violation and still tell the truth about the balances.

One module, because it is the specification: a rule is read beside the bookkeeping that it judges, and the contracts,
the theorems and the planted faults are about this text.

Conservation, per account (design section 2)::

    available + held + charged + forfeited + delegated + returned = granted

Only ``available`` is ever negative: a bill above its hold is charged in full, and the account is in debt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from capsound.amounts import AccountId, AgentId, CallId, HoldId
from capsound.errors import EXIT_BAD_INPUT, BadTrace, CapsoundError
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Expire,
    Extend,
    Forfeit,
    Merge,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
)


class HoldState(StrEnum):
    """Where a hold is in the life of its call (design section 2)."""

    HELD = "held"
    SENT = "sent"
    SETTLED = "settled"
    RELEASED = "released"
    FORFEITED = "forfeited"


RESOLVED = frozenset({HoldState.SETTLED, HoldState.RELEASED, HoldState.FORFEITED})


@dataclass(frozen=True, slots=True)
class Account:
    """A root or a slice. Balances are in the unit of the scenario; ``billed`` is the ghost of true bills.

    ``leaked`` is what the last reset of a root forgot: amounts of holds whose calls were still open.
    """

    id: AccountId
    root: AccountId
    parent: AccountId | None
    granted: int
    available: int
    held: int = 0
    charged: int = 0
    forfeited: int = 0
    delegated: int = 0
    returned: int = 0
    billed: int = 0
    closed: bool = False
    leaked: int = 0

    @property
    def spent(self) -> int:
        """All that counts as spent: charged, or written off because its cost is unknown."""
        return self.charged + self.forfeited

    @property
    def conserved(self) -> bool:
        """Whether the balances add up to what was granted."""
        return self.granted == (
            self.available + self.held + self.charged + self.forfeited + self.delegated + self.returned
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation of ``amount``; ``billed`` is the ghost of what its calls were truly billed."""

    id: HoldId
    account: AccountId
    amount: int
    state: HoldState = HoldState.HELD
    agent: AgentId | None = None
    billed: int = 0

    @property
    def deficit(self) -> int:
        """By how much the true bill is above the hold: zero under A1."""
        return max(0, self.billed - self.amount)


@dataclass(frozen=True, slots=True)
class State:
    """Everything the ledger and the provider know. Never changed in place."""

    accounts: Mapping[AccountId, Account] = field(default_factory=lambda: MappingProxyType({}))
    holds: Mapping[HoldId, Hold] = field(default_factory=lambda: MappingProxyType({}))
    calls: Mapping[CallId, HoldId] = field(default_factory=lambda: MappingProxyType({}))

    def account(self, name: AccountId) -> Account:
        """Return the account ``name``; raises ``BadTrace`` when it was never opened."""
        try:
            return self.accounts[name]
        except KeyError:
            raise BadTrace(f"account {name!r} was never opened or delegated") from None

    def hold(self, name: HoldId) -> Hold:
        """Return the hold ``name``; raises ``BadTrace`` when it was never reserved."""
        try:
            return self.holds[name]
        except KeyError:
            raise BadTrace(f"hold {name!r} was never reserved") from None

    def hold_of(self, call: CallId) -> Hold:
        """Return the hold that covers ``call``; raises ``BadTrace`` when it was never sent."""
        try:
            return self.holds[self.calls[call]]
        except KeyError:
            raise BadTrace(f"call {call!r} was never sent") from None

    def path(self, name: AccountId) -> Iterator[Account]:
        """Yield the account and its ancestors, up to its root."""
        step: AccountId | None = name
        while step is not None:
            account = self.account(step)
            yield account
            step = account.parent

    def below(self, name: AccountId) -> Iterator[Account]:
        """Yield the account and everything delegated from it, in the order of creation."""
        inside = {name}
        for account in self.accounts.values():
            if account.id == name or account.parent in inside:
                inside.add(account.id)
                yield account

    def billed_below(self, name: AccountId) -> int:
        """Return the true bills of all calls sent from the account or from anything below it."""
        return sum(account.billed for account in self.below(name))

    def exposure(self, root: AccountId) -> int:
        """Return what the root may already owe: charged, forfeited, and the holds of sent calls."""
        inside = {account.id for account in self.below(root)}
        sent = sum(h.amount for h in self.holds.values() if h.state is HoldState.SENT and h.account in inside)
        return sum(self.accounts[name].spent for name in inside) + sent


# --------------------------------------------------------------------------------------------- the rules


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a sound ledger never does. ``says`` is the rule; ``told`` argues a breach in words."""

    id: str
    says: str
    anomaly: str
    told: str


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that an event breaks, with the names and numbers that show it."""

    rule: Rule
    facts: tuple[tuple[str, int | str], ...]

    @property
    def sentence(self) -> str:
        """The breach in words."""
        told = self.rule.told.format(**dict(self.facts))
        return told.replace("only 0 was free", "nothing was free").replace("left only 0", "left nothing")

    @property
    def numbers(self) -> dict[str, int | str]:
        """The names and numbers of the breach, by what they are called in the sentence."""
        return dict(self.facts)


RULES: dict[str, Rule] = {
    r.id: r
    for r in (
        Rule(
            "R1",
            "A call is admitted only if its estimate fits alongside everything settled and outstanding.",
            "stale-admit",
            "admitted {amount} on {account} although only {free} was free: "
            "it ignored {outstanding} held by calls in flight",
        ),
        Rule(
            "R2",
            "A call is never admitted on more than what settled calls have left.",
            "over-admit",
            "admitted {amount} on {account} although settled calls had left only {left}",
        ),
        Rule(
            "R3",
            "Once recorded spend has reached the grant, no call is admitted.",
            "no-stop",
            "admitted {amount} on {account} although its recorded spend {spent} had reached the grant {granted}",
        ),
        Rule(
            "R4",
            "A slice is delegated only out of what is available.",
            "minted",
            "delegated {amount} from {account} although only {free} was free",
        ),
        Rule(
            "R5",
            "A closed or merged account is not used again.",
            "use-after-move",
            "{event} used {account} after it was closed or merged",
        ),
        Rule(
            "R6",
            "A hold is resolved once.",
            "double-settle",
            "{event} resolved {hold} again: it was already {state}",
        ),
        Rule(
            "R7",
            "A resolved hold covers no further request.",
            "use-after-move",
            "{event} used {hold} again: it was already {state}",
        ),
        Rule(
            "R8",
            "A hold is released only before its call is sent.",
            "refund-after-send",
            "{hold} returned {amount} to {account} after its call was sent and before its bill was known",
        ),
        Rule(
            "R9",
            "A call is settled at what the provider billed.",
            "ledger-drift",
            "settled {hold} at {amount} although the provider billed {billed}",
        ),
        Rule(
            "R10",
            "The true bills of a root never exceed its cap.",
            "overshoot",
            "{account} was billed {billed} of a cap of {granted}: {over} over",
        ),
        Rule(
            "R11",
            "The true bills below a slice never exceed what it was granted and has not returned.",
            "slice-overshoot",
            "{account} and its slices were billed {billed} of a grant of {granted}: {over} over",
        ),
        Rule(
            "R12",
            "Only a call that does not fit is refused.",
            "false-refusal",
            "refused {amount} on {account} although {free} was free",
        ),
        Rule(
            "R13",
            "Money never moves between roots.",
            "wrong-root",
            "merged {source}, which belongs to {other}, into {account}, which belongs to {root}",
        ),
        Rule(
            "R14",
            "An account is never merged with itself.",
            "minted",
            "merged {account} with itself",
        ),
        Rule(
            "R15",
            "A slice is closed or merged only when it holds nothing and all of its own slices are closed.",
            "vanished",
            "ended {account} while {holds} of its holds and {slices} of its slices were open",
        ),
        Rule(
            "R16",
            "A call is refused before it is sent, or not at all.",
            "late-refusal",
            "refused {amount} on {account} after {hold} was sent: the provider may have billed it",
        ),
        Rule(
            "R17",
            "A hold is kept until its call is over.",
            "expired-hold",
            "{hold} was let go while its call was open: {amount} of {account} can be admitted twice",
        ),
        Rule(
            "R18",
            "A reset keeps what open calls hold.",
            "window-leak",
            "{account} was billed {billed} of a cap of {granted} in the window after a reset that forgot {leaked} "
            "held by open calls",
        ),
    )
}


class RuleBroken(CapsoundError):
    """An event that the reference semantics does not allow; ``breaches`` names the rules."""

    name = "rule-broken"
    exit_status = EXIT_BAD_INPUT

    def __init__(self, event: Event, broken: tuple[Breach, ...]) -> None:
        super().__init__(
            f"{event.kind} breaks {', '.join(b.rule.id for b in broken)}: {broken[0].sentence}",
            cause=broken[0].rule.says,
        )
        self.event = event
        self.breaches = broken


def _breach(rule: str, **facts: int | str) -> Breach:
    return Breach(RULES[rule], tuple(facts.items()))


def _closed(state: State, name: AccountId, event: Event) -> Iterator[Breach]:
    if state.account(name).closed:
        yield _breach("R5", account=name, event=event.kind)


def _admission(state: State, name: AccountId, amount: int) -> Iterator[Breach]:
    """Judge the admission of ``amount``: R1 when only calls in flight are in the way, else R2, and R3."""
    account = state.account(name)
    if amount > account.available:
        left = account.available + account.held
        if amount <= left:
            yield _breach("R1", account=name, amount=amount, free=max(0, account.available), outstanding=account.held)
        else:
            yield _breach("R2", account=name, amount=amount, left=max(0, left))
    if account.spent >= account.granted and amount > 0:
        yield _breach("R3", account=name, amount=amount, spent=account.spent, granted=account.granted)


def _reserve(state: State, event: Reserve) -> Iterator[Breach]:
    yield from _closed(state, event.account, event)
    yield from _admission(state, event.account, event.amount)


def _refuse(state: State, event: Refuse) -> Iterator[Breach]:
    account = state.account(event.account)
    if event.hold is not None and state.hold(event.hold).state is HoldState.SENT:
        yield _breach("R16", account=event.account, amount=event.amount, hold=event.hold)
    elif event.amount <= account.available and not account.closed:
        yield _breach("R12", account=event.account, amount=event.amount, free=account.available)


def _extend(state: State, event: Extend) -> Iterator[Breach]:
    hold = state.hold(event.hold)
    if hold.state in RESOLVED:
        yield _breach("R7", hold=event.hold, state=hold.state.value, event=event.kind)
    yield from _admission(state, hold.account, event.amount)


def _send(state: State, event: Send) -> Iterator[Breach]:
    hold = state.hold(event.hold)
    if hold.state in RESOLVED:
        yield _breach("R7", hold=event.hold, state=hold.state.value, event=event.kind)


def _resolve(state: State, event: Settle | Release | Forfeit) -> Iterator[Breach]:
    hold = state.hold(event.hold)
    if hold.state in RESOLVED:
        yield _breach("R6", hold=event.hold, state=hold.state.value, event=event.kind)
    elif isinstance(event, Release) and hold.state is HoldState.SENT:
        yield _breach("R8", hold=event.hold, amount=hold.amount, account=hold.account)
    elif isinstance(event, Settle) and event.amount != hold.billed:
        yield _breach("R9", hold=event.hold, amount=event.amount, billed=hold.billed)


def _bill(state: State, event: Bill) -> Iterator[Breach]:
    hold = state.hold_of(event.call)
    for account in state.path(hold.account):
        billed = state.billed_below(account.id) + event.amount
        # A slice answers for what it was granted and has not given back; a root has given nothing back.
        limit = account.granted - account.returned
        if event.amount > 0 and billed > limit:
            rule = "R10" if account.parent is None else "R11"
            yield _breach(rule, account=account.id, billed=billed, granted=limit, over=billed - limit)
            if account.leaked:
                yield leaked(account.id, billed, limit, account.leaked)


def leaked(name: AccountId, billed: int, granted: int, amount: int) -> Breach:
    """Return the breach of R18 by an account that is over its cap after a reset that forgot ``amount``."""
    return _breach("R18", account=name, billed=billed, granted=granted, leaked=amount)


def _expire(state: State, event: Expire) -> Iterator[Breach]:
    hold = state.hold(event.hold)
    if hold.state not in RESOLVED:
        yield _breach("R17", hold=event.hold, amount=hold.amount, account=hold.account)


def _delegate(state: State, event: Delegate) -> Iterator[Breach]:
    yield from _closed(state, event.parent, event)
    parent = state.account(event.parent)
    if event.amount > parent.available:
        yield _breach("R4", account=event.parent, amount=event.amount, free=max(0, parent.available))


def _end(state: State, name: AccountId, event: Close | Merge) -> Iterator[Breach]:
    yield from _closed(state, name, event)
    # Holds and slices are counted, not their balances: what a closed slice has spent stays delegated in its
    # parent for good, and an open hold or slice of 0 shows in no balance and can still be billed.
    holds = sum(h.account == name and h.state not in RESOLVED for h in state.holds.values())
    slices = sum(a.parent == name and not a.closed for a in state.accounts.values())
    if holds or slices:
        yield _breach("R15", account=name, holds=holds, slices=slices)


def _close(state: State, event: Close) -> Iterator[Breach]:
    yield from _end(state, event.child, event)


def _merge(state: State, event: Merge) -> Iterator[Breach]:
    source, target = state.account(event.source), state.account(event.target)
    if event.source == event.target:
        yield _breach("R14", account=event.target)
        return
    if source.root != target.root:
        yield _breach("R13", source=source.id, other=source.root, account=target.id, root=target.root)
    yield from _closed(state, event.target, event)
    yield from _end(state, event.source, event)


def _record(state: State, event: Record) -> Iterator[Breach]:
    yield from _closed(state, event.account, event)


_JUDGES: dict[type, Callable[[State, Any], Iterator[Breach]]] = {
    Reserve: _reserve,
    Refuse: _refuse,
    Extend: _extend,
    Send: _send,
    Settle: _resolve,
    Release: _resolve,
    Forfeit: _resolve,
    Expire: _expire,
    Bill: _bill,
    Delegate: _delegate,
    Close: _close,
    Merge: _merge,
    Record: _record,
}


def breaches(state: State, event: Event) -> tuple[Breach, ...]:
    """Return the rules that ``event`` breaks in ``state``, with the numbers that show it."""
    judge = _JUDGES.get(type(event))
    return tuple(judge(state, event)) if judge else ()


LEFT_SHORT = replace(
    RULES["R11"],
    told="the true bills below {account} reach {billed}: {over} more than the {granted} that it kept "
    "when it gave {returned} back",
)
"""R11 as ``left_short`` argues it: no bill came, the grant went."""


def left_short(was: State, now: State, event: Close | Merge) -> tuple[Breach, ...]:
    """Return R11 for every slice to which ``event``, on the way from ``was`` to ``now``, left less than its true bills.

    Only the monitors ask. ``breaches`` does not, because no ledger could refuse the event for this: where a
    cost was never told, or told too low, it gives back in good faith what the provider has billed.
    """
    ended = event.child if isinstance(event, Close) else event.source
    return tuple(_left_short(was, now, ended))


def _left_short(was: State, now: State, ended: AccountId) -> Iterator[Breach]:
    for account in now.path(ended):
        # The cap of a root does not shrink: what leaves it for another root is a breach of R13.
        returned = account.returned - was.account(account.id).returned
        if returned and account.parent is not None:
            kept, billed = account.granted - account.returned, now.billed_below(account.id)
            if billed > kept:
                yield short_of_bills(account.id, billed, kept, returned)


def short_of_bills(name: AccountId, billed: int, granted: int, returned: int) -> Breach:
    """Return the breach of R11 by a slice that has ``granted`` left, after it gave ``returned`` back."""
    numbers = {"billed": billed, "granted": granted, "over": billed - granted, "returned": returned}
    return Breach(LEFT_SHORT, (("account", name), *numbers.items()))


# ---------------------------------------------------------------------------------------- the transition


def move(state: State, event: Event) -> State:
    """Return the state after ``event``, allowed or not; observations and faults move no money."""
    match event:
        case Open(root=root, cap=cap):
            return _add(state, Account(root, root=root, parent=None, granted=cap, available=cap))
        case Delegate(parent=parent, child=child, amount=amount):
            source = state.account(parent)
            taken = replace(source, available=source.available - amount, delegated=source.delegated + amount)
            new = Account(child, root=source.root, parent=parent, granted=amount, available=amount)
            return _add(_put(state, taken), new)
        case Close(child=child):
            return _move_close(state, child)
        case Merge(target=target, source=source_id):
            return state if target == source_id else _move_merge(state, target, source_id)
        case Reserve(account=name, hold=hold, amount=amount, agent=agent):
            if hold in state.holds:
                raise BadTrace(f"hold {hold!r} is reserved twice", hint="every reservation needs an id of its own")
            account = state.account(name)
            taken = replace(account, available=account.available - amount, held=account.held + amount)
            return _put_hold(_put(state, taken), Hold(hold, account=name, amount=amount, agent=agent))
        case Extend(hold=hold, amount=amount):
            held = state.hold(hold)
            if held.state in RESOLVED:
                return state  # a breach of R7; nobody would ever give back what it kept
            account = state.account(held.account)
            taken = replace(account, available=account.available - amount, held=account.held + amount)
            return _put_hold(_put(state, taken), replace(held, amount=held.amount + amount))
        case Send(hold=hold, call=call):
            if call in state.calls:
                raise BadTrace(f"call {call!r} is sent twice", hint="every request needs an id of its own")
            held = state.hold(hold)
            sent = held if held.state in RESOLVED else replace(held, state=HoldState.SENT)
            return State(state.accounts, _put_hold(state, sent).holds, MappingProxyType({**state.calls, call: hold}))
        case Bill(call=call, amount=amount):
            held = state.hold_of(call)
            account = state.account(held.account)
            billed = replace(account, billed=account.billed + amount)
            return _put_hold(_put(state, billed), replace(held, billed=held.billed + amount))
        case Settle(hold=hold, amount=amount):
            return _move_settle(state, hold, amount)
        case Release(hold=hold):
            return _move_free(state, hold, HoldState.RELEASED)
        case Forfeit(hold=hold):
            return _move_free(state, hold, HoldState.FORFEITED)
        case Record(account=name, amount=amount):
            account = state.account(name)
            return _put(
                state,
                replace(account, available=account.available - amount, charged=account.charged + amount),
            )
        case Reset():
            return _move_reset(state, event)
        case Expire(hold=hold):
            state.hold(hold)  # the books keep it: a sound ledger would
            return state
        case _:
            return state


def apply(state: State, event: Event) -> State:
    """Return the state after ``event``: one transition of the reference semantics, pure.

    Raises ``RuleBroken`` when the event breaks a rule (the state is then as it was), ``BadTrace`` when it
    names something that does not exist.
    """
    broken = breaches(state, event)
    if broken:
        raise RuleBroken(event, broken)
    return move(state, event)


def _put(state: State, account: Account) -> State:
    return State(MappingProxyType({**state.accounts, account.id: account}), state.holds, state.calls)


def _add(state: State, account: Account) -> State:
    if account.id in state.accounts:
        raise BadTrace(f"account {account.id!r} is created twice", hint="every account needs a name of its own")
    return _put(state, account)


def _put_hold(state: State, hold: Hold) -> State:
    return State(state.accounts, MappingProxyType({**state.holds, hold.id: hold}), state.calls)


def _move_settle(state: State, name: HoldId, amount: int) -> State:
    """Charge ``amount`` in full; what is left of the hold, if anything, is available again."""
    hold = state.hold(name)
    account = state.account(hold.account)
    if hold.state in RESOLVED:
        # A second settlement is a breach of R6; the truth is that the money is asked for once more.
        again = replace(account, available=account.available - amount, charged=account.charged + amount)
        return _put(state, again)
    settled = replace(
        account,
        held=account.held - hold.amount,
        charged=account.charged + amount,
        available=account.available + hold.amount - amount,
    )
    return _put_hold(_put(state, settled), replace(hold, state=HoldState.SETTLED))


def _move_free(state: State, name: HoldId, to: HoldState) -> State:
    """End a hold without a bill: its amount becomes available (released) or spent (forfeited)."""
    hold = state.hold(name)
    if hold.state in RESOLVED:
        return state
    account = state.account(hold.account)
    if to is HoldState.RELEASED:
        freed = replace(account, held=account.held - hold.amount, available=account.available + hold.amount)
    else:
        freed = replace(account, held=account.held - hold.amount, forfeited=account.forfeited + hold.amount)
    return _put_hold(_put(state, freed), replace(hold, state=to))


def _move_reset(state: State, event: Reset) -> State:
    """Begin a new window: what was spent and billed is free again, and what open calls hold stays held."""
    root = state.account(event.root)
    if any(account.parent == root.id for account in state.accounts.values()) or root.parent is not None:
        raise BadTrace(f"{event.root!r} is reset, and has a parent or slices", hint="reset accounts that stand alone")
    open_ = [hold for name in event.forgotten if (hold := state.hold(name)).state not in RESOLVED]
    again = root.available + root.charged + root.forfeited
    lost = sum(hold.amount for hold in open_ if hold.account == root.id)
    return _put(state, replace(root, available=again, charged=0, forfeited=0, billed=0, leaked=lost))


def _move_close(state: State, name: AccountId) -> State:
    """Return the free capacity of a slice to its parent; a debt stays where it was made."""
    child = state.account(name)
    if child.closed or child.parent is None:
        return _put(state, replace(child, closed=True))
    back = max(0, child.available)
    parent = state.account(child.parent)
    state = _put(state, replace(child, available=child.available - back, returned=child.returned + back, closed=True))
    return _put(
        state,
        replace(parent, available=parent.available + back, delegated=parent.delegated - back),
    )


def _move_merge(state: State, target: AccountId, source: AccountId) -> State:
    """Move the free capacity of ``source`` up to the nearest common ancestor and down into ``target``."""
    back = max(0, state.account(source).available)
    up = [account.id for account in state.path(source)]
    down = [account.id for account in state.path(target)]
    common = next((name for name in up if name in down), None)

    def flow(name: AccountId, end: AccountId, amount: int, *, grant: bool) -> None:
        """Move ``amount`` into one account: into what is free at the end of the path, else into what is delegated."""
        nonlocal state
        account = state.account(name)
        if grant:  # the account passes money between its parent and itself
            if amount < 0:
                account = replace(account, returned=account.returned - amount)
            else:
                account = replace(account, granted=account.granted + amount)
        if name == end:
            account = replace(account, available=account.available + amount)
        else:
            account = replace(account, delegated=account.delegated + amount)
        state = _put(state, account)

    for name in up[: up.index(common)] if common else up:
        flow(name, source, -back, grant=True)
    if common:
        flow(common, source, -back, grant=False)
        flow(common, target, back, grant=False)
    for name in reversed(down[: down.index(common)] if common else down):
        flow(name, target, back, grant=True)
    return _put(state, replace(state.account(source), closed=True))
