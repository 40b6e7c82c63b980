"""The search for a linearization agrees with trying every order on the specification, and is quick where that is not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from histories import corrupted, simulate
from hypothesis import given, settings
from hypothesis import strategies as st

from capsound.accounts import RESOLVED, HoldState, State, breaches, move
from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.errors import BadTrace
from capsound.events import Close, Delegate, Event, Extend, Forfeit, Merge, Open, Record, Release, Reserve, Send, Settle
from capsound.verdict import Verdict
from capsound_checker.histories.linearize import linearize
from capsound_checker.histories.sequential import ON_HOLD, READS, Operation

SOUND, VIOLATED, UNKNOWN = Verdict.SOUND, Verdict.VIOLATED, Verdict.UNKNOWN


# ------------------------------------------------------------------------- every order, on the specification


def after(state: State, op: Operation, index: int, strict: bool, complete: bool) -> State | None:
    """The specification once more, in the words of ``capsound.accounts``: the state after, None if not allowed."""
    amount, on, name = Amount(op.amount), AccountId(f"a{op.on}"), HoldId(f"h{op.on}")
    if op.do == "open":
        return move(state, Open(on, amount))
    if (name not in state.holds) if op.do in ON_HOLD else (on not in state.accounts):
        return None
    source = AccountId(f"a{op.new}")
    if op.do == "merge" and source not in state.accounts:
        return None
    hold = state.holds[name] if op.do in ON_HOLD else None
    used = hold is not None and hold.state in RESOLVED
    account = state.accounts[hold.account if hold is not None else on]
    new = HoldId(f"h{op.new}")
    misuse = None if strict else state
    events: dict[str, Event] = {
        "reserve": Reserve(on, new, amount),
        "charge": Reserve(on, HoldId(f"charge {index}"), amount),
        "check": Reserve(on, HoldId(f"check {index}"), amount),
        "record": Record(on, amount),
        "delegate": Delegate(on, source, amount),
        "close": Close(on),
        "merge": Merge(on, source),
        "sent": Send(name, CallId(f"c{index}")),
        "settle": Settle(name, amount),
        "release": Release(name),
        "forfeit": Forfeit(name),
        "extend": Extend(name, amount),
    }
    if op.do in READS:
        if op.outcome != "done" or account.closed:
            return state
        says = {"spent": account.spent, "held": account.held, "used": account.spent + account.held}
        if op.do in says:
            return state if op.value == says[op.do] else None
        if op.value == 0 and account.available < 0:
            return state
        more = account.held if op.do == "free" else 0
        return state if account.available <= (op.value or 0) <= account.available + more else None
    event = events[op.do]
    legal = not breaches(state, event) if op.do != "settle" else not used
    if op.do == "check":
        return state if op.outcome != "done" or legal == bool(op.value) else None
    if op.outcome in ("done", "pending"):
        if legal:
            return move(state, Record(on, amount) if op.do == "charge" else event)
        return misuse if op.do in ("close", "merge", "sent", "settle", "release", "forfeit") or used else None
    judged = op.outcome == "refused" or complete
    if op.do == "settle":
        told = not used and ((hold is not None and hold.state is HoldState.SENT) or complete)
        return move(state, event) if told else state
    if op.do in ("reserve", "charge", "delegate", "extend"):
        return None if judged and legal else state
    if op.do == "record" or (op.do == "close" and account.parent is None):
        return state
    return None if complete and legal else state


def some_order(ops: list[Operation], strict: bool, complete: bool) -> bool:
    """Try every order in which nothing comes before what had returned when it was called."""
    full = (1 << len(ops)) - 1
    optional = sum(1 << i for i, op in enumerate(ops) if op.outcome == "pending")

    def search(state: State, left: int) -> bool:
        if not left & ~optional:
            return True
        first = min(ops[i].returned for i in range(len(ops)) if left >> i & 1 and ops[i].returned is not None)
        for i, op in enumerate(ops):
            if left >> i & 1 and op.called <= first:
                then = after(state, op, i, strict, complete)
                if then is not None and search(then, left & ~(1 << i)):
                    return True
        return False

    return search(State(), full)


@st.composite
def small_histories(draw: st.DrawFn) -> list[Operation]:
    """A root with two holds and perhaps a slice, then up to five more operations, overlapping anyhow."""
    amounts = st.integers(0, 4)
    cap = draw(st.integers(1, 8))
    made = [Operation(0, "open", 0, 1, 2, amount=cap)]
    first = range(draw(st.integers(0, 2)))
    made += [Operation(0, "reserve", 0, 0, 0, new=new, amount=draw(amounts)) for new in first]
    holds = [op.new for op in made if op.do == "reserve"]
    accounts = [0]
    if draw(st.booleans()):
        made.append(Operation(0, "delegate", 0, 0, 0, new=1, amount=draw(amounts)))
        accounts.append(1)
    on_account = ["reserve", "charge", "record", "check", "close", *READS]
    for new in range(10, 10 + draw(st.integers(1, 5))):
        kinds = on_account + (["merge"] if len(accounts) > 1 else []) + (sorted(ON_HOLD) * 2 if holds else [])
        do = draw(st.sampled_from(kinds))
        outcome = draw(st.sampled_from(["done"] * 5 + ["refused", "stale", "pending"]))
        on = draw(st.sampled_from(holds if do in ON_HOLD else accounts))
        created = new if do == "reserve" and outcome in ("done", "pending") else -1
        if do == "merge":
            created = draw(st.sampled_from(accounts))
        value = draw(st.integers(0, 6)) if do in READS or do == "check" else None
        made.append(Operation(0, do, on, 0, 0, outcome, created, draw(amounts), value))
    timed = made[:1]
    for op in made[1:]:
        called = draw(st.integers(2, 12))
        back = None if op.outcome == "pending" else called + draw(st.integers(0, 8))
        timed.append(replace(op, called=called, returned=back))
    return timed


@settings(max_examples=1_500, deadline=None)
@given(small_histories(), st.booleans(), st.booleans())
def test_it_agrees_with_trying_every_order(history: list[Operation], strict: bool, complete: bool) -> None:
    found = linearize(history, strict=strict, complete=complete)
    assert (found.verdict is SOUND) == some_order(history, strict, complete)
    if found.verdict is SOUND:
        state: State | None = State()
        for index in found.order:
            state = after(state, history[index], index, strict, complete)
            assert state is not None, "the order that was returned is not allowed"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_a_program_with_one_change_agrees_with_every_order(seed: int, overlap: int, clients: int, change: bool) -> None:
    history = simulate(11, clients=clients, seed=seed, cap=70, overlap=overlap)
    if change:
        history = corrupted(history, random.Random(seed))[0]
    found = linearize(history, strict=True, complete=True)
    assert (found.verdict is SOUND) == some_order(history, True, True)
    assert change or found.verdict is SOUND


# ------------------------------------------------------------------------------------------- large histories


@pytest.mark.parametrize("overlap", [1, 4, 16])
@pytest.mark.parametrize("seed", range(4))
def test_sound_histories_are_explained_however_much_overlaps(overlap: int, seed: int) -> None:
    history = simulate(2_000, seed=seed, overlap=overlap, cap=20_000 if seed % 2 else 300)
    found = linearize(history, strict=True, complete=True)
    assert found.verdict is SOUND
    assert sorted(found.order) == list(range(len(history)))


def test_rejecting_costs_no_more_than_accepting() -> None:
    history = simulate(2_000, seed=3, overlap=16, cap=20_000)
    sound = linearize(history, strict=True, complete=True)
    wrong = linearize(corrupted(history, random.Random(0), "read")[0], strict=True, complete=True)
    assert wrong.steps <= 2 * sound.steps


def test_too_few_steps_are_no_answer() -> None:
    history = simulate(500, seed=1, overlap=8)
    assert linearize(history, steps=100).verdict is UNKNOWN
    assert linearize(history).verdict is SOUND


# ---------------------------------------------------------------------------------- schedules, one idea each


def op(do: str, on: int, called: int, returned: int | None, said: str = "done", **more: int) -> Operation:
    return Operation(0, do, on, called, returned, said, **more)


OPEN = op("open", 0, 1, 2, amount=10)


def named(*ops: Operation, strict: bool = True) -> str | None:
    found = linearize([OPEN, *ops], strict=strict, complete=True)
    return None if found.offence is None else found.offence.anomaly


def test_two_admissions_that_do_not_fit_together_are_a_stale_admission() -> None:
    assert named(op("reserve", 0, 3, 9, new=0, amount=6), op("reserve", 0, 4, 8, new=1, amount=6)) == "stale-admit"


def test_an_admission_may_come_after_a_settlement_that_it_overlaps_but_not_before_it_was_called() -> None:
    held, more = op("reserve", 0, 3, 4, new=0, amount=6), op("reserve", 0, 5, 9, new=1, amount=6)
    assert named(held, more, op("settle", 0, 8, 12, amount=1)) is None
    assert named(held, more, op("settle", 0, 10, 12, amount=1)) == "stale-admit"


def test_a_refusal_must_be_right_at_some_moment() -> None:
    held, no = op("reserve", 0, 3, 4, new=0, amount=6), op("reserve", 0, 7, 9, "refused", amount=6)
    assert named(held, op("settle", 0, 5, 6, amount=1), no) == "false-refusal"
    assert named(held, op("settle", 0, 5, 7, amount=1), no) is None


def test_an_admission_may_have_to_wait_for_an_overrun_to_pass() -> None:
    # Taken first, the overrun leaves nothing for the admission: what takes without a guard cannot always go first.
    held, over = op("reserve", 0, 3, 4, new=0, amount=6), op("settle", 0, 5, 8, amount=12)
    assert named(held, over, op("reserve", 0, 6, 20, new=1, amount=4)) is None


def test_a_read_sees_one_moment() -> None:
    first, second = op("reserve", 0, 3, 9, new=0, amount=3), op("reserve", 0, 3, 9, new=1, amount=4)
    for value, wrong in ((0, None), (3, None), (4, None), (7, None), (5, "ledger-drift")):
        assert named(first, second, op("held", 0, 4, 8, value=value)) == wrong
    for value, wrong in ((11, "minted"), (2, "vanished")):
        assert named(first, second, op("remaining", 0, 4, 8, value=value)) == wrong


def test_two_reads_that_see_two_orders_contradict_each_other() -> None:
    both = op("reserve", 0, 3, 20, new=0, amount=3), op("reserve", 0, 3, 20, new=1, amount=4)
    assert named(*both, op("held", 0, 4, 5, value=3), op("held", 0, 6, 7, value=7)) is None
    assert named(*both, op("held", 0, 4, 5, value=3), op("held", 0, 6, 7, value=4)) == "ledger-drift"


def test_an_operation_without_an_answer_may_have_happened_or_not() -> None:
    lost = op("reserve", 0, 3, None, "pending", new=0, amount=6)
    assert named(lost, op("held", 0, 4, 5, value=0), op("held", 0, 6, 7, value=6)) is None
    assert named(lost, op("held", 0, 4, 5, value=6), op("held", 0, 6, 7, value=0)) == "ledger-drift"
    assert named(lost, op("held", 0, 1, 2, value=0)) is None


def test_of_two_settlements_at_once_one_is_stale_whichever_it_is() -> None:
    held = op("reserve", 0, 3, 4, new=0, amount=6)
    one, two = op("settle", 0, 5, 9, amount=2), op("settle", 0, 5, 9, "stale", amount=2)
    assert named(held, one, two) is None
    assert named(held, one, replace(two, outcome="done")) == "double-settle"
    assert named(held, one, replace(two, outcome="done"), strict=False) is None


@pytest.mark.parametrize(("spent", "wrong"), [(2, None), (5, None), (7, "ledger-drift")])
def test_of_two_different_settlements_either_may_count_but_not_both(spent: int, wrong: str | None) -> None:
    held = op("reserve", 0, 3, 4, new=0, amount=6)
    one, two = op("settle", 0, 5, 9, amount=2), op("settle", 0, 5, 9, amount=5)
    assert named(held, one, two, op("spent", 0, 10, 11, value=spent), strict=False) == wrong


def test_a_slice_that_is_closed_under_an_admission_was_closed_too_early() -> None:
    child = op("delegate", 0, 3, 4, new=1, amount=5)
    assert named(child, op("close", 1, 5, 9), op("reserve", 1, 5, 9, "stale", amount=1)) is None
    assert named(child, op("close", 1, 5, 9), op("reserve", 1, 5, 9, new=0, amount=1)) in ("use-after-move", "vanished")


def test_roots_are_judged_apart_and_never_merged() -> None:
    other = op("open", 1, 1, 2, amount=5)
    assert named(other, op("merge", 0, 3, 4, "rejected", new=1)) is None
    assert named(other, op("merge", 0, 3, 4, new=1)) == "wrong-root"


def test_who_never_was_created_is_an_error() -> None:
    with pytest.raises(BadTrace, match="operation 2"):
        linearize([OPEN, op("settle", 7, 3, 4)])


def test_a_long_run_of_lost_answers_does_not_explode() -> None:
    # Two hundred answers that never came: tried only where a read needs them.
    lost = [op("sent", n, 5 + n, None, "pending") for n in range(200)]
    holds = [op("reserve", 0, 3, 4, new=n, amount=0) for n in range(200)]
    reads = [op("held", 0, 300 + 2 * n, 301 + 2 * n, value=0) for n in range(200)]
    assert linearize([OPEN, *holds, *lost, *reads], steps=200_000).verdict is SOUND
