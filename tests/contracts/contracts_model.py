"""Contracts on the transition function of the model, for CrossHair.

Each function takes any integers; its leading asserts say from which of them a state is built; then there is one
event (or a short run of them), and what is asserted of the outcome is the contract. Balances other than `available`,
and amounts, are not negative; `available` is any integer, since an account may be in debt.

Two contracts for most events: what it moves, whether or not it is allowed (`move`), and which rules forbid it
(`breaches`, `apply`). The second restates the rules in other words than the model does.
"""

# ruff: noqa: PT018 (what a contract assumes is one assertion)

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from capsound.accounts import Account, Hold, HoldState, RuleBroken, State, apply, breaches, move
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.errors import BadTrace
from capsound.events import (
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
    Stall,
    Timeout,
)

ROOT, ELSEWHERE = AccountId("root"), AccountId("elsewhere")
SLICE, SIBLING, INNER, NEW = AccountId("slice"), AccountId("sibling"), AccountId("inner"), AccountId("new")
HOLD, OTHER, NEW_HOLD = HoldId("hold"), HoldId("other"), HoldId("new")
CALL, SECOND = CallId("call"), CallId("second")
EVENTS = 9
STATES = tuple(HoldState)
HELD, SENT, SETTLED = range(3)
"""The numbers of the first states; those from `SETTLED` on are resolved."""
OPEN = (HoldState.HELD, HoldState.SENT)


# ------------------------------------------------------------------------------------ the states, and what is valid


def account(
    name: AccountId,
    available: int,
    *,
    held: int = 0,
    charged: int = 0,
    forfeited: int = 0,
    delegated: int = 0,
    returned: int = 0,
    billed: int = 0,
    closed: bool = False,
    parent: AccountId | None = None,
    root: AccountId = ROOT,
) -> Account:
    """Return an account that conserves: what it was granted is the sum of its balances."""
    granted = available + held + charged + forfeited + delegated + returned
    return Account(
        name, root, parent, granted, available, held, charged, forfeited, delegated, returned, billed, closed
    )


def state_of(*accounts: Account, holds: tuple[Hold, ...] = (), calls: dict[CallId, HoldId] | None = None) -> State:
    return State(
        MappingProxyType({a.id: a for a in accounts}),
        MappingProxyType({h.id: h for h in holds}),
        MappingProxyType(calls or {}),
    )


def in_use(free: int, amount: int, other: int, charged: int, above: int, at: int, *, billed: int = 0) -> State:
    """Return a root with a slice in which a hold of `amount` is in state number `at`, and another one is open.

    `free` is what the slice has left, `charged` what it has spent, `above` what its root has left.
    """
    step = state_at(at)
    held = other + (amount if step in OPEN else 0)
    inner = account(SLICE, free, held=held, charged=charged, billed=billed, parent=ROOT)
    holds = Hold(HOLD, SLICE, amount, step, billed=billed), Hold(OTHER, SLICE, other)
    return state_of(account(ROOT, above, delegated=inner.granted), inner, holds=holds, calls={CALL: HOLD})


def state_at(number: int) -> HoldState:
    """Return the state of that number. Compared one by one: an index would make CrossHair pick a number."""
    for index, step in enumerate(STATES):
        if number == index:
            return step
    raise IndexError(number)


def valid(state: State) -> bool:
    """Whether the books of all accounts are in order, as they are after every sound run."""
    for a in state.accounts.values():
        if not a.conserved or min(a.held, a.charged, a.forfeited, a.delegated, a.returned) < 0:
            return False
        if a.held != sum(h.amount for h in state.holds.values() if h.account == a.id and h.state in OPEN):
            return False
        if a.delegated != sum(c.granted - c.returned for c in state.accounts.values() if c.parent == a.id):
            return False
    return True


def worth(state: State, root: AccountId = ROOT) -> int:
    """Return all the money below a root: free, held and spent, wherever it is."""
    return sum(a.available + a.held + a.spent for a in state.accounts.values() if a.root == root)


def others_kept(before: State, after: State, *touched: AccountId) -> bool:
    """Whether every account but those named is as it was, and none has gone."""
    return all(after.accounts[name] == a for name, a in before.accounts.items() if name not in touched)


def refused_for(state: State, event: Event) -> set[str]:
    """Return the rules for which `apply` refuses the event, none if it does not; the state must be as it was."""
    before = dict(state.accounts), dict(state.holds), dict(state.calls)
    try:
        after = apply(state, event)
    except RuleBroken as refusal:
        rules = {breach.rule.id for breach in refusal.breaches}
    else:
        rules = set()
        assert not breaches(state, event)
        assert after == move(state, event)
    assert (dict(state.accounts), dict(state.holds), dict(state.calls)) == before
    return rules


def those(**rules: bool) -> set[str]:
    """Return the names of the rules that are said to be broken."""
    return {name for name, broken in rules.items() if broken}


# -------------------------------------------------------------------------------------------- opening and admission


def open_gives_a_root_its_cap_and_takes_it_from_nobody(cap: int, free: int) -> None:
    assert cap >= 0
    before = state_of(account(ELSEWHERE, free, root=ELSEWHERE))
    after = apply(before, Open(ROOT, Amount(cap)))
    assert after.accounts[ROOT] == Account(ROOT, ROOT, None, granted=cap, available=cap)
    assert others_kept(before, after)
    assert valid(after)
    assert worth(after) == cap


def reserve_sets_exactly_the_amount_aside(free: int, other: int, charged: int, above: int, amount: int) -> None:
    assert other >= 0 and charged >= 0 and amount >= 0
    assert free + other + charged >= 0
    before = in_use(free, 0, other, charged, above, SETTLED)
    assert valid(before)
    after = move(before, Reserve(SLICE, NEW_HOLD, Amount(amount)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.spent) == (free - amount, other + amount, charged)
    assert after.holds == {**before.holds, NEW_HOLD: Hold(NEW_HOLD, SLICE, amount)}
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)
    assert valid(after)


def reserve_is_refused_exactly_when_it_does_not_fit(
    free: int, held: int, charged: int, forfeited: int, amount: int, closed: bool
) -> None:
    assert held >= 0 and charged >= 0 and forfeited >= 0 and amount >= 0
    before = state_of(account(ROOT, free, held=held, charged=charged, forfeited=forfeited, closed=closed))
    rules = refused_for(before, Reserve(ROOT, HOLD, Amount(amount)))
    assert rules == those(
        R1=free < amount <= free + held,
        R2=free + held < amount and free < amount,
        R3=amount > 0 and free + held <= 0,  # all that was granted, less what is spent
        R5=closed,
    )
    if not rules:
        assert move(before, Reserve(ROOT, HOLD, Amount(amount))).accounts[ROOT].available >= 0


def extend_adds_exactly_the_amount_to_its_hold(
    free: int, amount: int, other: int, charged: int, above: int, sent: bool, more: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and more >= 0
    assert free + amount + other + charged >= 0
    before = in_use(free, amount, other, charged, above, SENT if sent else HELD)
    assert valid(before)
    after = move(before, Extend(HOLD, Amount(more)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.spent) == (free - more, amount + other + more, charged)
    assert (after.holds[HOLD].amount, after.holds[HOLD].state) == (amount + more, before.holds[HOLD].state)
    assert after.holds[OTHER] == before.holds[OTHER]
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)
    assert valid(after)


def extend_is_refused_exactly_when_it_does_not_fit_or_comes_late(
    free: int, amount: int, other: int, charged: int, at: int, more: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and more >= 0 and 0 <= at < len(STATES)
    before = in_use(free, amount, other, charged, 0, at)
    held = before.accounts[SLICE].held
    assert refused_for(before, Extend(HOLD, Amount(more))) == those(
        R1=free < more <= free + held,
        R2=free + held < more and free < more,
        R3=more > 0 and free + held <= 0,
        R7=at > SENT,
    )


# -------------------------------------------------------------------------------------------------- requests and bills


def send_moves_no_money_and_marks_its_hold(free: int, amount: int, other: int, charged: int, at: int) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES)
    before = in_use(free, amount, other, charged, 0, at)
    after = move(before, Send(HOLD, SECOND))
    assert others_kept(before, after)
    assert after.holds[HOLD].state is (HoldState.SENT if at <= SENT else state_at(at))
    assert (after.holds[HOLD].amount, after.holds[OTHER]) == (amount, before.holds[OTHER])
    assert after.calls == {CALL: HOLD, SECOND: HOLD}
    assert refused_for(before, Send(HOLD, SECOND)) == those(R7=at > SENT)


def bill_is_kept_in_the_shadow_ledger_and_moves_no_balance(
    free: int, amount: int, other: int, charged: int, at: int, billed: int, bill: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES) and billed >= 0 and bill >= 0
    assert free + amount + other + charged >= 0
    before = in_use(free, amount, other, charged, 0, at, billed=billed)
    after = move(before, Bill(CALL, Amount(bill)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.spent, mine.billed) == (
        free,
        before.accounts[SLICE].held,
        charged,
        billed + bill,
    )
    assert (after.holds[HOLD].billed, after.holds[HOLD].state) == (billed + bill, state_at(at))
    assert after.holds[HOLD].deficit == (billed + bill - amount if billed + bill > amount else 0)
    assert others_kept(before, after, SLICE)


def bill_breaks_a_cap_exactly_when_the_bills_below_it_exceed_it(
    cap: int, granted: int, returned: int, charged: int, billed: int, beside: int, bill: int
) -> None:
    assert 0 <= returned <= granted <= cap and charged >= 0 and billed >= 0 and beside >= 0 and bill >= 0
    # The root has granted the slice its part, and the slice may have given some of it back; `beside` was
    # billed to the root itself.
    before = state_of(
        account(ROOT, cap - granted + returned - charged, charged=charged, delegated=granted - returned, billed=beside),
        account(SLICE, granted - returned, returned=returned, billed=billed, parent=ROOT),
        holds=(Hold(HOLD, SLICE, bill, HoldState.SENT),),
        calls={CALL: HOLD},
    )
    assert refused_for(before, Bill(CALL, Amount(bill))) == those(
        R10=bill > 0 and beside + billed + bill > cap,
        R11=bill > 0 and billed + bill > granted - returned,
    )


# ------------------------------------------------------------------------------------------------------- the ends


def settle_charges_exactly_the_bill(
    free: int, amount: int, other: int, charged: int, above: int, sent: bool, bill: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and bill >= 0
    assert free + amount + other + charged >= 0
    before = in_use(free, amount, other, charged, above, SENT if sent else HELD)
    assert valid(before)
    after = move(before, Settle(HOLD, Amount(bill)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held) == (free + amount - bill, other)
    assert (mine.charged, mine.forfeited) == (charged + bill, 0)
    assert after.holds == {**before.holds, HOLD: Hold(HOLD, SLICE, amount, HoldState.SETTLED)}
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)
    assert valid(after)


def settle_is_refused_exactly_when_it_comes_twice_or_drifts(
    free: int, amount: int, other: int, charged: int, at: int, billed: int, told: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES) and billed >= 0 and told >= 0
    before = in_use(free, amount, other, charged, 0, at, billed=billed)
    again = at > SENT
    assert refused_for(before, Settle(HOLD, Amount(told))) == those(R6=again, R9=not again and told != billed)


def settle_again_asks_for_the_money_again(
    free: int, amount: int, other: int, charged: int, above: int, at: int, bill: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and SENT < at < len(STATES) and bill >= 0
    assert free + other + charged >= 0
    before = in_use(free, amount, other, charged, above, at)
    after = move(before, Settle(HOLD, Amount(bill)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.charged) == (free - bill, other, charged + bill)
    assert after.holds == before.holds
    assert others_kept(before, after, SLICE)
    assert valid(after)


def release_gives_back_exactly_the_hold(free: int, amount: int, other: int, charged: int, above: int, at: int) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES)
    assert free + amount + other + charged >= 0
    before = in_use(free, amount, other, charged, above, at)
    after = move(before, Release(HOLD))
    mine = after.accounts[SLICE]
    back = amount if at <= SENT else 0
    assert (mine.available, mine.held, mine.spent) == (free + back, other, charged)
    assert after.holds[HOLD].state is (HoldState.RELEASED if at <= SENT else state_at(at))
    assert (after.holds[HOLD].amount, after.holds[OTHER]) == (amount, before.holds[OTHER])
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)


def release_is_refused_exactly_when_sent_or_resolved(free: int, amount: int, other: int, charged: int, at: int) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES)
    before = in_use(free, amount, other, charged, 0, at)
    assert refused_for(before, Release(HOLD)) == those(R6=at > SENT, R8=at == SENT)


def forfeit_writes_off_exactly_the_hold(free: int, amount: int, other: int, charged: int, above: int, at: int) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES)
    assert free + amount + other + charged >= 0
    before = in_use(free, amount, other, charged, above, at)
    after = move(before, Forfeit(HOLD))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.charged) == (free, other, charged)
    assert mine.forfeited == (amount if at <= SENT else 0)
    assert after.holds[HOLD].state is (HoldState.FORFEITED if at <= SENT else state_at(at))
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)
    assert refused_for(before, Forfeit(HOLD)) == those(R6=at > SENT)


# ------------------------------------------------------------------------------------------------------ slices


def delegate_moves_exactly_the_amount_into_a_new_slice(
    above: int, free: int, other: int, charged: int, amount: int, inner: bool
) -> None:
    assert other >= 0 and charged >= 0 and amount >= 0
    assert free + other + charged >= 0
    before = in_use(free, 0, other, charged, above, SETTLED)
    assert valid(before)
    parent = SLICE if inner else ROOT
    was = before.accounts[parent]
    after = move(before, Delegate(parent, NEW, Amount(amount)))
    assert after.accounts[NEW] == Account(NEW, ROOT, parent, granted=amount, available=amount)
    now = after.accounts[parent]
    assert (now.available, now.delegated) == (was.available - amount, was.delegated + amount)
    assert (now.granted, now.held, now.spent, now.returned) == (was.granted, was.held, was.spent, was.returned)
    assert others_kept(before, after, parent)
    assert worth(after) == worth(before)
    assert valid(after)


def delegate_is_refused_exactly_when_it_is_more_than_what_is_free(free: int, amount: int, closed: bool) -> None:
    assert amount >= 0
    before = state_of(account(ROOT, free, closed=closed))
    assert refused_for(before, Delegate(ROOT, NEW, Amount(amount))) == those(R4=free < amount, R5=closed)


def close_gives_its_parent_exactly_what_is_free(
    above: int, free: int, charged: int, forfeited: int, returned: int, beside: int, ended: bool
) -> None:
    assert charged >= 0 and forfeited >= 0 and returned >= 0 and beside >= 0
    assert free + charged + forfeited >= 0
    before = state_of(
        account(ROOT, above, delegated=free + charged + forfeited + beside),
        account(SLICE, free, charged=charged, forfeited=forfeited, returned=returned, parent=ROOT, closed=ended),
        account(SIBLING, beside, parent=ROOT),
    )
    assert valid(before)
    was = before.accounts[SLICE]
    after = move(before, Close(SLICE))
    back = free if free > 0 and not ended else 0  # a debt stays, and so does what comes free after the end
    root = after.accounts[ROOT]
    assert after.accounts[SLICE] == replace(was, available=free - back, returned=returned + back, closed=True)
    assert (root.available, root.delegated) == (above + back, before.accounts[ROOT].delegated - back)
    assert others_kept(before, after, SLICE, ROOT)
    assert worth(after) == worth(before)
    assert valid(after)
    assert move(after, Close(ROOT)).accounts[ROOT] == replace(root, closed=True)  # a root has nobody to give to


def close_is_refused_exactly_when_something_in_it_is_open(
    free: int, amount: int, at: int, closed: bool, inner: bool, ended: bool, granted: int
) -> None:
    assert amount >= 0 and 0 <= at < len(STATES) and granted >= 0
    parts = [
        account(ROOT, 0),
        account(SLICE, free, held=amount if at <= SENT else 0, closed=closed, parent=ROOT),
        account(SIBLING, 0, parent=ROOT),
    ]
    if inner:  # a slice of the slice, or of its sibling
        parts.append(account(INNER, granted, closed=ended, parent=SLICE))
    holds = Hold(HOLD, SLICE, amount, state_at(at)), Hold(OTHER, SIBLING, amount)
    before = state_of(*parts, holds=holds)
    assert refused_for(before, Close(SLICE)) == those(R5=closed, R15=at <= SENT or (inner and not ended))


def tree(above: int, free: int, charged: int, beside: int, below: int, spent: int) -> State:
    """Return a root with two slices, of which one has a slice of its own; `free`, `beside`, `below` may be debts."""
    inner = account(INNER, below, charged=spent, parent=SLICE)
    outer = account(SLICE, free, charged=charged, delegated=inner.granted, parent=ROOT)
    sibling = account(SIBLING, beside, charged=charged, parent=ROOT)
    return state_of(account(ROOT, above, delegated=outer.granted + sibling.granted), outer, sibling, inner)


def merge_moves_exactly_what_is_free(
    above: int, free: int, charged: int, beside: int, below: int, spent: int, way: int
) -> None:
    assert charged >= 0 and spent >= 0 and 0 <= way < 6
    assert below + spent >= 0 and free + charged >= 0 and beside + charged >= 0
    before = tree(above, free, charged, beside, below, spent)
    assert valid(before)
    source, target = way_of(way)
    after = move(before, Merge(target, source))
    mine, theirs = after.accounts[source], after.accounts[target]
    back = max(0, before.accounts[source].available)
    assert mine.closed
    assert mine.available == before.accounts[source].available - back
    assert theirs.available == before.accounts[target].available + back
    for name, was in before.accounts.items():
        now = after.accounts[name]
        assert (now.held, now.charged, now.forfeited) == (was.held, was.charged, was.forfeited)
        assert name in (source, target) or now.available == was.available
        assert now.closed == (name == source)
    assert worth(after) == worth(before)
    assert valid(after)


def way_of(number: int) -> tuple[AccountId, AccountId]:
    """Return the source and the target of a merge: up, across, down, and around a corner."""
    ways = (SLICE, SIBLING), (SLICE, ROOT), (SLICE, INNER), (INNER, SLICE), (INNER, ROOT), (INNER, SIBLING)
    for index, way in enumerate(ways):
        if number == index:
            return way
    raise IndexError(number)


def merge_is_refused_exactly_when_an_end_or_a_root_is_wrong(
    free: int, beside: int, amount: int, at: int, itself: bool, foreign: bool, ended: bool, closed: bool
) -> None:
    assert amount >= 0 and 0 <= at < len(STATES)
    root = ELSEWHERE if foreign else ROOT
    before = state_of(
        account(ROOT, 0),
        account(ELSEWHERE, 0, root=ELSEWHERE),
        account(SLICE, free, held=amount if at <= SENT else 0, closed=ended, parent=ROOT),
        account(SIBLING, beside, closed=closed, parent=root, root=root),
        holds=(Hold(HOLD, SLICE, amount, state_at(at)),),
    )
    rules = refused_for(before, Merge(SLICE if itself else SIBLING, SLICE))
    if itself:
        assert rules == those(R14=True)
    else:
        assert rules == those(R5=ended or closed, R13=foreign, R15=at <= SENT)


# ------------------------------------------------------------------------------------------- told, seen and injected


def record_charges_exactly_what_is_told(
    free: int, other: int, charged: int, above: int, amount: int, closed: bool
) -> None:
    assert other >= 0 and charged >= 0 and amount >= 0
    assert free + other + charged >= 0
    inner = account(SLICE, free, held=other, charged=charged, parent=ROOT, closed=closed)
    before = state_of(account(ROOT, above, delegated=inner.granted), inner, holds=(Hold(OTHER, SLICE, other),))
    assert valid(before)
    after = move(before, Record(SLICE, Amount(amount)))
    mine = after.accounts[SLICE]
    assert (mine.available, mine.held, mine.charged, mine.forfeited) == (free - amount, other, charged + amount, 0)
    assert others_kept(before, after, SLICE)
    assert worth(after) == worth(before)
    assert valid(after)
    assert refused_for(before, Record(SLICE, Amount(amount))) == those(R5=closed)


def refusals_are_false_exactly_when_the_call_fits_and_late_when_it_was_sent(
    free: int, held: int, asked: int, at: int, named: bool, closed: bool
) -> None:
    assert held >= 0 and asked >= 0 and 0 <= at < len(STATES)
    before = state_of(account(ROOT, free, held=held, closed=closed), holds=(Hold(HOLD, ROOT, held, state_at(at)),))
    event = Refuse(ROOT, Amount(asked), hold=HOLD if named else None)
    late = named and at == SENT
    after = move(before, event)
    assert others_kept(before, after)
    assert after.holds == before.holds
    assert refused_for(before, event) == those(R12=free >= asked and not closed and not late, R16=late)


def what_is_seen_or_injected_moves_nothing(
    free: int, amount: int, other: int, charged: int, at: int, spent: int, remaining: int
) -> None:
    assert amount >= 0 and other >= 0 and charged >= 0 and 0 <= at < len(STATES)
    before = in_use(free, amount, other, charged, 0, at)
    agent = AgentId("agent")
    seen: tuple[Event, ...] = (
        Cancel(HOLD),
        Timeout(CALL),
        Crash(agent),
        Observe(SLICE, spent, remaining),
        Observe(SLICE, spent, remaining, held=other),
        Accept(SLICE, "settle", "-1"),
        Stall((agent,)),
    )
    for event in seen:
        after = apply(before, event)
        assert others_kept(before, after)
        assert (after.holds, after.calls) == (before.holds, before.calls)


# ----------------------------------------------------------------------------------------------------- short runs


def two_overlapping_calls_within_their_holds_stay_below_the_cap(
    cap: int, first: int, second: int, bill: int, late: int
) -> None:
    assert cap >= 0 and 0 <= bill <= first and 0 <= late <= second
    state = apply(State(), Open(ROOT, Amount(cap)))
    calls = (HOLD, CALL, first, bill), (OTHER, SECOND, second, late)
    admitted = []
    for hold, call, estimate, _ in calls:
        if breaches(state, Reserve(ROOT, hold, Amount(estimate))):
            assert estimate > state.accounts[ROOT].available or (estimate > 0 and cap == 0)
            continue
        state = apply(apply(state, Reserve(ROOT, hold, Amount(estimate))), Send(hold, call))
        admitted.append(hold)
    for hold, call, _, cost in reversed(calls):
        if hold in admitted:  # neither the bill nor the settlement breaks a rule
            state = apply(apply(state, Bill(call, Amount(cost))), Settle(hold, Amount(cost)))
    total = sum(cost for hold, _, _, cost in calls if hold in admitted)
    root = state.accounts[ROOT]
    assert total <= cap
    assert (root.available, root.held, root.charged, root.billed) == (cap - total, 0, total, total)
    assert valid(state)


def a_slice_gives_back_all_that_its_call_did_not_cost(cap: int, part: int, estimate: int, bill: int) -> None:
    assert 0 < part <= cap and 0 < estimate <= part and 0 <= bill <= estimate
    state = State()
    for event in (
        Open(ROOT, Amount(cap)),
        Delegate(ROOT, SLICE, Amount(part)),
        Reserve(SLICE, HOLD, Amount(estimate)),
        Send(HOLD, CALL),
        Bill(CALL, Amount(bill)),
        Settle(HOLD, Amount(bill)),
        Close(SLICE),
    ):
        state = apply(state, event)
        assert worth(state) == cap
        assert valid(state)
    root, ended = state.accounts[ROOT], state.accounts[SLICE]
    assert (root.available, root.delegated) == (cap - bill, bill)
    assert (ended.available, ended.returned, ended.charged) == (0, part - bill, bill)


def any_two_events_keep_the_books(cap: int, part: int, one: int, first: int, two: int, second: int) -> None:
    assert 0 <= part <= cap and first >= 0 and second >= 0
    assert 0 <= one < EVENTS and 0 <= two < EVENTS
    run = Run(cap, part)
    for choice, amount in ((one, first), (two, second)):
        run.go_on(choice, amount)
        assert worth(run.state) == cap
        assert all(a.conserved for a in run.state.accounts.values())
        assert not run.sound or valid(run.state)


def any_three_events_keep_the_books(
    cap: int, part: int, one: int, first: int, two: int, second: int, three: int, third: int
) -> None:
    assert 0 <= part <= cap and first >= 0 and second >= 0 and third >= 0
    assert 0 <= one < EVENTS and 0 <= two < EVENTS and 0 <= three < EVENTS
    run = Run(cap, part)
    for choice, amount in ((one, first), (two, second), (three, third)):
        run.go_on(choice, amount)
        assert worth(run.state) == cap
        assert all(a.conserved for a in run.state.accounts.values())
        assert not run.sound or valid(run.state)


class Run:
    """A root with a slice, and events one after the other, allowed or not; `sound` as long as they were."""

    def __init__(self, cap: int, part: int) -> None:
        self.state = apply(apply(State(), Open(ROOT, Amount(cap))), Delegate(ROOT, SLICE, Amount(part)))
        self.sound = True

    def go_on(self, choice: int, amount: int) -> None:
        event = event_of(choice, Amount(amount))
        try:
            self.sound = self.sound and not breaches(self.state, event)
            self.state = move(self.state, event)
        except BadTrace:  # it names what does not exist
            pass


def event_of(number: int, amount: Amount) -> Event:
    events: tuple[Event, ...] = (
        Reserve(SLICE, HOLD, amount),
        Reserve(ROOT, OTHER, amount),
        Extend(HOLD, amount),
        Settle(HOLD, amount),
        Release(HOLD),
        Forfeit(HOLD),
        Delegate(SLICE, NEW, amount),
        Close(SLICE),
        Merge(SLICE, NEW),
    )
    for index, event in enumerate(events):
        if number == index:
            return event
    raise IndexError(number)
