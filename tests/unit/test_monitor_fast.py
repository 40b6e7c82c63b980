"""The monitor for long logs says what the readable one says, event by event, and forgets only what it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from capsound.accounts import HoldState, State, breaches, move
from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId
from capsound.errors import BadTrace
from capsound.events import (
    TOLD,
    Accept,
    Bill,
    Cancel,
    Close,
    Crash,
    Delegate,
    Event,
    Expire,
    Extend,
    Forfeit,
    Merge,
    Observe,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
    Stall,
    Timeout,
    event_to_dict,
)
from capsound.monitor import Monitor
from capsound.monitor_fast import FastMonitor, UnknownHandle

KINDS = (
    *("reserve", "send", "bill", "settle") * 4,
    *("reserve", "settle", "delegate", "observe", "refuse", "release", "forfeit", "extend", "close", "merge"),
    *("record", "cancel", "timeout", "crash", "accept", "stall", "open", "observe", "refuse", "delegate", "close"),
    *("expire", "reset"),
)


def decoded(data: bytes) -> Iterator[Event]:
    """Yield the events that ``data`` says, four bytes each: most name something that is there."""
    accounts, holds, calls = ["r0"], ["h0"], ["c0"]
    for kind, one, two, more in zip(*[iter(data)] * 4, strict=False):
        account, other = AccountId(_of(accounts, one)), AccountId(_of(accounts, two))
        hold, call = HoldId(_of(holds, one)), CallId(_of(calls, one))
        amount, agent = Amount(more % 16), AgentId(f"a{more % 2}") if more > 127 else None
        match KINDS[kind % len(KINDS)]:
            case "reserve":
                holds.append(_new("h", holds, two))
                yield Reserve(account, HoldId(holds[-1]), amount, agent)
            case "send":
                calls.append(_new("c", calls, two))
                yield Send(hold, CallId(calls[-1]))
            case "bill":
                yield Bill(call, amount)
            case "settle":
                yield Settle(hold, amount)
            case "release":
                yield Release(hold)
            case "forfeit":
                yield Forfeit(hold)
            case "extend":
                yield Extend(hold, amount)
            case "expire":
                yield Expire(hold)
            case "reset":
                yield Reset(account, (HoldId(_of(holds, two)),) if more > 63 else ())
            case "refuse":
                yield Refuse(account, amount, "", agent, HoldId(_of(holds, two)) if more > 63 else None)
            case "open":
                accounts.append(_new("r", accounts, two))
                yield Open(AccountId(accounts[-1]), Amount(more % 32))
            case "delegate":
                accounts.append(_new("s", accounts, two))
                yield Delegate(account, AccountId(accounts[-1]), amount)
            case "close":
                yield Close(account)
            case "merge":
                yield Merge(account, other)
            case "record":
                yield Record(account, amount)
            case "cancel":
                yield Cancel(hold)
            case "timeout":
                yield Timeout(call)
            case "crash":
                yield Crash(AgentId(f"a{more % 2}"))
            case "observe":
                told = {name: two % 7 for name in TOLD if more & 1}
                yield Observe(account, two % 24 - 2, more % 24 - 2, one % 8 if more & 4 else None, **told)
            case "accept":
                yield Accept(account, "reserve", "nan")
            case _:
                yield Stall((AgentId("a0"),))


def _of(names: list[str], byte: int) -> str:
    return names[byte % len(names)] if byte < 250 else "nobody"


def _new(letter: str, names: list[str], byte: int) -> str:
    return f"{letter}{len(names)}" if byte < 250 else names[0]


SEEDS = st.integers(0, 1 << 32).map(lambda seed: Random(seed).randbytes(240))
RUNS = (SEEDS | st.binary(max_size=160)).map(lambda data: list(decoded(data)))


def refusal(state: State, step: Event) -> str:
    """Return in which words the model refuses an event that names something unknown; nothing when it takes it."""
    try:
        breaches(state, step)
        move(state, step)
        if isinstance(step, Observe):
            state.account(step.account)
    except BadTrace as error:
        return error.message
    return ""


def both(feed: Callable[[FastMonitor, Event], object], run: list[Event]) -> tuple[Monitor, FastMonitor]:
    """Feed a run to both monitors; what the model refuses is refused in the same words, and changes nothing."""
    slow, fast = Monitor(), FastMonitor()
    for step in [Open(AccountId("r0"), Amount(20)), *run]:
        if why := refusal(slow.state, step):
            with pytest.raises(BadTrace) as refused:
                feed(fast, step)
            assert refused.value.message == why
            continue
        assert feed(fast, step) == slow.feed(step)
        event(step.kind)
    return slow, fast


def compare(slow: Monitor, fast: FastMonitor) -> None:
    ours, theirs = fast.report(), slow.report()
    assert ours.verdicts == theirs.verdicts
    assert (ours.refuted, ours.exercise, ours.steps) == (theirs.refuted, theirs.exercise, theirs.steps)
    assert (ours.overshoot, ours.deficits) == (theirs.overshoot, theirs.deficits)
    assert ours.anomalies() == theirs.anomalies()
    assert dict(ours.state.accounts) == dict(theirs.state.accounts)
    assert dict(ours.state.holds) == dict(theirs.state.holds)


@settings(max_examples=1000)
@given(RUNS)
def test_events_show_what_they_show_the_readable_monitor(run: list[Event]) -> None:
    compare(*both(FastMonitor.feed, run))


@settings(max_examples=1000)
@given(RUNS)
def test_records_show_what_events_show(run: list[Event]) -> None:
    compare(*both(lambda fast, step: fast.take(json.loads(json.dumps(event_to_dict(step)))), run))


@settings(max_examples=200)
@given(RUNS, st.integers(0, 60))
def test_a_fork_knows_the_same_and_changes_nothing(run: list[Event], at: int) -> None:
    taken: list[Event] = []
    state = State()
    for step in [Open(AccountId("r0"), Amount(20)), *run]:
        if not refusal(state, step):
            taken.append(step)
            state = move(state, step)
    whole, first = Monitor(), Monitor()
    found = [whole.feed(step) for step in taken]
    for step in taken[:at]:
        first.feed(step)
    before, forked = (first.report(), first.fingerprint()), first.fork()
    assert forked.fingerprint() == first.fingerprint()
    assert [forked.feed(step) for step in taken[at:]] == found[at:]
    assert forked.report() == whole.report()
    assert forked.fingerprint() == whole.fingerprint()
    assert (first.report(), first.fingerprint()) == before


def slices_above_grant(state: State) -> dict[AccountId, int]:
    """Return by how much the true bills below each slice are above what it was granted and has not returned."""
    return {
        slice_.id: state.billed_below(slice_.id) - (slice_.granted - slice_.returned)
        for slice_ in state.accounts.values()
        if slice_.parent is not None
    }


@settings(max_examples=500)
@given(RUNS)
def test_a_slice_is_judged_wherever_its_bills_get_ahead_of_its_grant(run: list[Event]) -> None:
    """What counts is the state, whichever event leads there; what an implementation says of itself is left out."""
    slow, fast = Monitor(), FastMonitor()
    for step in [Open(AccountId("r0"), Amount(20)), *run]:
        if isinstance(step, Observe) or refusal(slow.state, step):
            continue
        before = slices_above_grant(slow.state)
        found = slow.feed(step)
        assert fast.feed(step) == found
        after = slices_above_grant(slow.state)
        worse = {name for name, over in after.items() if over > max(0, before.get(name, 0))}
        assert {f.numbers["account"] for f in found if f.anomaly == "slice-overshoot"} == worse
        if worse:
            event(f"above its grant by {step.kind}")


def calls_of(count: int, *, bill: int = 1) -> list[Event]:
    out: list[Event] = [Open(AccountId("root"), Amount(count * 2))]
    for n in range(count):
        hold, call = HoldId(f"h{n}"), CallId(f"c{n}")
        out += [Reserve(AccountId("root"), hold, Amount(2)), Send(hold, call), Bill(call, Amount(bill))]
        out += [Settle(hold, Amount(bill))]
    return out


def test_only_the_last_resolved_holds_are_remembered() -> None:
    monitor = FastMonitor(memory=3)
    for step in calls_of(10):
        monitor.feed(step)
    assert [h.id for h in monitor.report().state.holds.values()] == ["h7", "h8", "h9"]
    assert monitor.forgotten == 7
    assert monitor.report().state.accounts[AccountId("root")].charged == 10


def test_an_open_hold_is_never_forgotten() -> None:
    monitor = FastMonitor(memory=1)
    run = calls_of(10)
    opened: list[Event] = [Reserve(AccountId("root"), HoldId("kept"), Amount(1)), Send(HoldId("kept"), CallId("call"))]
    for step in [run[0], *opened, *run[1:]]:
        monitor.feed(step)
    assert [h.id for h in monitor.open_holds()] == ["kept"]
    monitor.feed(Bill(CallId("call"), Amount(1)))
    monitor.feed(Settle(HoldId("kept"), Amount(1)))
    assert monitor.report().state.holds[HoldId("kept")].state is HoldState.SETTLED


def test_a_second_settlement_is_noticed_as_long_as_the_first_is_remembered() -> None:
    monitor = FastMonitor(memory=3)
    for step in calls_of(10):
        monitor.feed(step)
    assert [f.anomaly for f in monitor.feed(Settle(HoldId("h9"), Amount(1)))] == ["double-settle"]
    with pytest.raises(UnknownHandle, match="before the last 3 resolutions"):
        monitor.feed(Settle(HoldId("h1"), Amount(1)))
    with pytest.raises(UnknownHandle, match="c1"):
        monitor.feed(Bill(CallId("c1"), Amount(1)))


def test_what_was_never_known_is_told_from_what_was_forgotten() -> None:
    monitor = FastMonitor()
    for step in calls_of(2):
        monitor.feed(step)
    with pytest.raises(BadTrace, match="hold 'h7' was never reserved") as error:
        monitor.feed(Settle(HoldId("h7"), Amount(1)))
    assert not isinstance(error.value, UnknownHandle)
