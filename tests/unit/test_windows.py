"""The window of an offence: nothing explains it, whatever the balances were before, and no later beginning would do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pytest
from histories import corrupted, simulate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from capsound.verdict import Verdict
from capsound_checker.histories.linearize import linearize
from capsound_checker.histories.sequential import (
    ON_HOLD,
    READS,
    Moment,
    Op,
    Operation,
    Spec,
    State,
    family,
    keys_of,
    moments,
)
from capsound_checker.histories.windows import Range, Window, after, explained, shortest

ROOT = 0  # the key of account 0


# ---------------------------------------------------------------------- every order and every balance, one by one


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """One account, holds on it, and a few operations that overlap anyhow; most answers are wrong."""
    amounts = st.integers(0, 2)
    made = [Operation(0, "open", 0, 1, 2, amount=draw(st.integers(1, 5)))]
    first = range(draw(st.integers(0, 2)))
    made += [Operation(0, "reserve", 0, 0, 0, new=new, amount=draw(amounts)) for new in first]
    holds = [op.new for op in made if op.do == "reserve"]
    reads = draw(
        st.sampled_from([("remaining", "spent"), ("remaining", "held"), ("free", "spent"), ("used", "remaining")])
    )
    kinds = ["reserve", "charge", "record", "check", *reads] + (sorted(ON_HOLD) * 2 if holds else [])
    few = draw(st.lists(st.sampled_from(kinds), min_size=2, max_size=3, unique=True))  # so that they meet
    for new in range(10, 10 + draw(st.integers(2, 5))):
        do = draw(st.sampled_from([*few, *reads]))
        outcome = "done" if do in READS else draw(st.sampled_from(["done", "done", "done", "refused", "pending"]))
        on = draw(st.sampled_from(holds)) if do in ON_HOLD else 0
        created = new if do == "reserve" and outcome != "refused" else -1
        value = draw(st.integers(0, 4)) if do in READS else draw(st.integers(0, 1)) if do == "check" else None
        made.append(Operation(0, do, on, 0, 0, outcome, created, draw(amounts), value))
    timed = made[:1]
    for op in made[1:]:
        early = op.do == "reserve" and op.new < 10
        called = draw(st.integers(2, 4 if early else 10))
        back = None if op.outcome == "pending" else called + draw(st.integers(0, 2 if early else 6))
        timed.append(replace(op, called=called, returned=back))
    return timed


def prepared(history: Sequence[Operation], complete: bool) -> list[Op]:
    """Return the operations with their rules, as ``linearize`` prepares them."""
    ops = []
    for index, said in enumerate(history):
        if said.outcome == "pending" and (said.do in READS or said.do == "check"):
            continue
        op = Op(index, said, judged=said.outcome == "refused" or complete)
        op.keys = keys_of(op, said, 0, {0: -1})
        ops.append(op)
    return ops


def starts(state: State, ops: Sequence[Op], forgets_held: bool) -> Iterator[State]:
    """Yield a state with every balance that could matter, one after the other."""
    account = state.get(ROOT)
    if account is None:
        yield state
        return
    asked = {op.do for op in ops}
    spent = range(-9, 10) if asked & {"spent", "used"} else (0,)
    held = range(-9, 10) if "held" in asked and forgets_held else (account[1],)
    for one, two, three in product(range(-9, 13), held, spent):
        yield {**state, ROOT: (one, two, three, *account[3:])}


def some_order_explains(
    history: Sequence[Operation], ops: Sequence[Op], story: Sequence[Moment], cut: int, strict: bool, complete: bool
) -> bool:
    """Whether some balances at ``cut`` and some order explain the rest of a story, all of them tried."""
    before = {m.op.index for m in story[:cut] if not m.ends}
    over = {m.op.index for m in story[:cut] if m.ends}
    named = {m.op.index for m in story if not m.ends}
    mine = [op for op in ops if op.index in named]
    due = {m.op.index for m in story if m.ends}
    reads = {history[op.index].do for op in mine}
    spec = Spec(strict, complete)
    plenty = 10**6

    def standing(state: State, left: frozenset[int]) -> Iterator[tuple[State, frozenset[int]]]:
        """Yield what may stand at the cut; answers that change nothing were right before it."""
        if not left & over:
            yield state, left
        last = min((history[i].returned or 0 for i in left & over), default=10**6)
        for op in mine:
            if op.index in left and op.index in before and history[op.index].called <= last:
                account = state.get(ROOT)
                wide: State = state if account is None else {**state, ROOT: (plenty, *account[1:])}
                then = op.rule(op, wide, spec)
                if then is not None:
                    yield from standing(then, left - {op.index})

    def explains(state: State, left: frozenset[int]) -> bool:
        if not left & due:
            return True
        last = min(history[i].returned or 0 for i in left & due)
        return any(
            op.index in left
            and history[op.index].called <= last
            and (then := op.rule(op, state, spec)) is not None
            and explains(then, left - {op.index})
            for op in mine
        )

    active = frozenset(op.index for op in mine if not (op.passive and op.index in before))
    within = [op for op in mine if op.index in active - over]
    forgets_held = not reads & {"free", "used"}
    return any(
        explains(start, left) for state, left in standing({}, active) for start in starts(state, within, forgets_held)
    )


def found_in(history: list[Operation], strict: bool, complete: bool) -> tuple[list[Op], list[Moment], Window] | None:
    found = linearize(history, strict=strict, complete=complete)
    if found.offence is None:
        return None
    ops = prepared(history, complete)
    failed = next(op for op in ops if op.index == found.offence.operation)
    story = moments(ops, history)
    window = shortest(failed, story, history, strict=strict, complete=complete)
    assert window is not None
    end = next(n for n, m in enumerate(story) if m.ends and m.op is failed) + 1
    return ops, story[:end], window


@settings(max_examples=1_500, deadline=None)
@given(histories(), st.booleans(), st.booleans())
def test_nothing_explains_it_and_a_later_beginning_would_be_explained(
    history: list[Operation], strict: bool, complete: bool
) -> None:
    offence = found_in(history, strict, complete)
    assume(offence is not None)
    assert offence is not None
    ops, story, window = offence
    assert window.shortest
    returned = {m.op.index for m in story[: window.begin] if m.ends}
    spared = [op for op in ops if op.passive and op.index not in returned and op.index not in window.operations]
    shown = [op for op in ops if op not in spared]
    told = [m for m in story if m.op in shown]
    begin = sum(m.op in shown for m in story[: window.begin])
    assert not some_order_explains(history, shown, told, begin, strict, complete)
    later = window.begin + 1
    assert later == len(story) or some_order_explains(history, ops, story, later, strict, complete)


def test_a_wrong_read_shows_from_the_read_before_it() -> None:
    done = [
        Operation(0, "open", 0, 1, 2, amount=10),
        Operation(0, "charge", 0, 3, 4, amount=2),
        Operation(0, "remaining", 0, 5, 6, value=8),
        Operation(0, "reserve", 0, 7, 8, "refused", amount=11),
        Operation(0, "charge", 0, 9, 10, amount=3),
        Operation(0, "remaining", 0, 11, 12, value=6),
    ]
    found = linearize(done).offence
    assert found is not None
    assert found.window == (2, 4, 5)  # the refusal has nothing to do with it
    assert found.shortest


def test_what_was_admitted_wrongly_shows_from_the_refusal_before_it() -> None:
    done = [
        Operation(0, "open", 0, 1, 2, amount=10),
        Operation(0, "reserve", 0, 3, 4, new=0, amount=6),
        Operation(1, "reserve", 0, 5, 6, "refused", amount=5),
        Operation(0, "spent", 0, 7, 8, value=0),
        Operation(1, "reserve", 0, 9, 10, new=1, amount=5),
    ]
    found = linearize(done).offence
    assert found is not None
    assert found.window == (2, 4)


# ------------------------------------------------------------------------------------------------- large ones


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.data())
def test_every_window_of_a_sound_history_is_explained(
    seed: int, overlap: int, clients: int, data: st.DataObject
) -> None:
    """With slices that are opened, closed and merged, and whatever the window begins and ends with."""
    history = simulate(60, clients=clients, seed=seed, cap=90, overlap=overlap)
    _, parent, owner = family(history)
    ops = []
    for index, said in enumerate(history):
        op = Op(index, said, judged=True)
        op.keys = keys_of(op, said, owner[said.on] if said.do in ON_HOLD else said.on, parent)
        ops.append(op)
    story = moments(ops, history)
    ends = [n for n, moment in enumerate(story) if moment.ends]
    end = data.draw(st.sampled_from(ends)) + 1
    cut = data.draw(st.integers(0, end - 1))
    assert explained(story[end - 1].op, story[:end], history, cut, strict=True, complete=True) is not False


@pytest.mark.parametrize("how", ["admit", "amount", "drop", "read"])
def test_large_histories_have_small_windows(how: str) -> None:
    """Eight clients with up to eight moments of overlap: in most of them the shortest is found, and in all a small one."""
    proved = 0
    for seed in range(5):
        cap = 600 if how == "admit" else 20_000  # where nothing is refused nothing can be admitted wrongly
        history, changed = corrupted(simulate(2_000, seed=seed, overlap=8, cap=cap), random.Random(seed), how)
        assert changed is not None
        found = linearize(history, strict=True, complete=True)
        assert found.verdict is Verdict.VIOLATED
        assert found.offence is not None
        window = [history[i] for i in found.offence.window]
        assert history[found.offence.operation] in window
        assert min(op.called for op in window) <= (changed.returned or 0)
        assert max(op.returned or 0 for op in window) >= changed.called
        assert len(window) <= (30 if found.offence.shortest else 120)
        proved += found.offence.shortest
    assert proved >= 4


# ---------------------------------------------------------------------------------------------------- ranges


@given(st.integers(-5, 5), st.integers(0, 5), st.integers(-3, 3), st.integers(-6, 6))
def test_a_rule_on_a_range_comes_to_what_it_comes_to_on_each_number(
    low: int, width: int, amount: int, value: int
) -> None:
    """A read after a debit: the numbers that are left are those for which the read is right."""
    debit = Op(0, Operation(0, "record", 0, 1, 2, amount=amount), judged=True)
    read = Op(1, Operation(0, "remaining", 0, 3, 4, value=value), judged=True)
    spec = Spec(True, True)
    start = {ROOT: (Range(low, low + width), 0, 0, 0, -1)}
    (debited,) = after(debit, start, spec)  # type: ignore[arg-type]
    left = set()
    for state in after(read, debited, spec):
        account = state[ROOT]
        assert account is not None
        rest = account[0]
        assert isinstance(rest, Range)
        left |= set(range(int(rest.low), int(rest.high) + 1))
    right = {n - amount for n in range(low, low + width + 1) if n - amount == value or value == 0 > n - amount}
    assert left == right
