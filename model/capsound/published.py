"""The published aggregate budget model, explored state by state: six pools of money and nothing else.

The model is that of arXiv 2606.04056: one budget ``B0`` is divided among six pools, and every action moves a
whole amount from one pool to others. Nothing here is copied; the actions are written from their description.

**What it shows.** 252 distinct states at B0 = 5, 3,003 at 10, 53,130 at 20 and 324,632 at 30 (all the ways
to divide B0 among six pools, C(B0 + 5, 5)); every one keeps its invariants. A model checker also counts each
transition, duplicates included, plus one for the initial state: 1,921 at B0 = 5 and 52,911 at B0 = 10 for
the six actions that change something, and the published 4,267 and 103,390 with the four below.

**What it does not show.** Published cap soundness, ``charged <= B0``, follows from conservation alone: pools
that are never negative and sum to B0 cannot hold more than B0 each. Conservation in turn holds because every
cost ``c`` is *chosen* between 0 and its reserve ``r``. The true bill is not in the model: a provider that
charges ``r + 1`` is not refused there, it cannot even be written down. Admit it and the first step is already
a violation (``tests/unit/test_published.py``).

**Where the four other actions come from.** The paper's two counts alone do not fix them. Over five kinds of
action (a stutter in every state; an ``r`` from one pool; an ``(r, c)`` pair from one pool; such a pair with
``1 <= c``; a refusal of every ``r`` with ``live < r <= B0``), the surplus of 2,346 and 50,479 transitions has
exactly four decompositions, of 5, 6, 9 and 10 actions, and none of them is the published one: they only tie
with it. The list here is that of the authors' artifact (``tla/Budget.tla`` in the GitHub repository
``sajjadanwar0/token-budgets-formals``, commit 80a9c79): a spend is refused for every ``r`` up to **B0 + 1**,
one more than the budget; a spend that fails after its check repeats ``spend_success``; ``split`` and
``merge`` stutter. (The refusal of ``B0 + 1`` happens in every state, so it counts like a third stutter.)

This module is the specification, written to be read; ``capsound.published_fast`` counts the same faster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, NamedTuple

from capsound.amounts import as_amount
from capsound.errors import BadDiscipline


class State(NamedTuple):
    """The six pools; plain integers, since a wrong action may drive one below zero."""

    live: int
    receipts: int
    refunds: int
    charged: int
    unrecoverable: int
    released: int


class Move(NamedTuple):
    """One transition: the amount ``r``, the cost ``c`` if the action has one, and the state after it."""

    amount: int
    cost: int | None
    after: State


class Step(NamedTuple):
    """One step of a counterexample."""

    action: str
    amount: int
    cost: int | None
    after: State


Action = Callable[[State], Iterator[Move]]
"""All transitions of one action from one state; it may yield the same state twice."""

Invariant = Callable[[State, int], bool]
"""Whether a state is good for this budget."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant, and a shortest way to break it from the initial state."""

    invariant: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What an exploration met.

    ``generated`` counts the initial state once and every transition, whether or not its target was new;
    ``depth`` is the number of steps to the farthest state. ``complete`` is false if the exploration stopped
    early, at a violation or at its limit of states: the other figures then count what was met so far.
    """

    distinct: int
    generated: int
    depth: int
    complete: bool
    violation: Violation | None = None


def initial(budget: int) -> State:
    """Return the state in which the whole budget is live."""
    return State(live=budget, receipts=0, refunds=0, charged=0, unrecoverable=0, released=0)


def spend_success(state: State) -> Iterator[Move]:
    """Spend a live reserve ``r`` at a cost ``c <= r``; the rest of the reserve is lost."""
    for r in range(1, state.live + 1):
        for c in range(r + 1):
            yield Move(
                r,
                c,
                state._replace(
                    live=state.live - r,
                    charged=state.charged + c,
                    unrecoverable=state.unrecoverable + (r - c),
                ),
            )


def consume(state: State) -> Iterator[Move]:
    """Release ``r`` of the live budget to the host program, which never gives it back."""
    for r in range(1, state.live + 1):
        yield Move(r, None, state._replace(live=state.live - r, released=state.released + r))


def reserve(state: State) -> Iterator[Move]:
    """Put ``r`` of the live budget aside, against a receipt."""
    for r in range(1, state.live + 1):
        yield Move(r, None, state._replace(live=state.live - r, receipts=state.receipts + r))


def confirm_with_refund(state: State) -> Iterator[Move]:
    """Redeem a receipt of ``r`` at a cost ``c <= r``; the rest becomes a refund."""
    for r in range(1, state.receipts + 1):
        for c in range(r + 1):
            yield Move(
                r,
                c,
                state._replace(
                    receipts=state.receipts - r,
                    charged=state.charged + c,
                    refunds=state.refunds + (r - c),
                ),
            )


def forfeit(state: State) -> Iterator[Move]:
    """Lose a receipt of ``r``."""
    for r in range(1, state.receipts + 1):
        yield Move(r, None, state._replace(receipts=state.receipts - r, unrecoverable=state.unrecoverable + r))


def refund_to(state: State) -> Iterator[Move]:
    """Make ``r`` of the refunds live again."""
    for r in range(1, state.refunds + 1):
        yield Move(r, None, state._replace(refunds=state.refunds - r, live=state.live + r))


def refuse_spend(budget: int, state: State) -> Iterator[Move]:
    """Refuse to spend more than is live, for every ``r`` up to one more than the budget."""
    for r in range(state.live + 1, budget + 2):
        yield Move(r, None, state)


def fail_after_check(state: State) -> Iterator[Move]:
    """Fail a call after its check, when the provider may have charged already: a second ``spend_success``."""
    yield from spend_success(state)


def split(state: State) -> Iterator[Move]:
    """Split a budget in two, which the sum of all live budgets does not see."""
    yield Move(0, None, state)


def merge(state: State) -> Iterator[Move]:
    """Merge two budgets, which the sum of all live budgets does not see."""
    yield Move(0, None, state)


def actions_of(budget: int, *, published_actions: bool = False) -> dict[str, Action]:
    """Return the actions by name: the six that change something, or all ten that were published."""
    actions: dict[str, Action] = {
        "spend_success": spend_success,
        "consume": consume,
        "reserve": reserve,
        "confirm_with_refund": confirm_with_refund,
        "forfeit": forfeit,
        "refund_to": refund_to,
    }
    if published_actions:
        actions["refuse_spend"] = partial(refuse_spend, budget)
        actions["fail_after_check"] = fail_after_check
        actions["split"] = split
        actions["merge"] = merge
    return actions


def is_conserving(state: State, budget: int) -> bool:
    """Tell whether the pools still sum to the budget (conservation)."""
    return sum(state) == budget


def is_non_negative(state: State, _budget: int) -> bool:
    """Tell whether no pool is in debt (the published type invariant)."""
    return min(state) >= 0


def is_within_cap(state: State, budget: int) -> bool:
    """Tell whether no more was charged than the budget (published cap soundness)."""
    return state.charged <= budget


INVARIANTS: Final[Mapping[str, Invariant]] = MappingProxyType(
    {"conservation": is_conserving, "non-negative": is_non_negative, "cap-soundness": is_within_cap}
)
"""The published invariants, in the order in which they are checked."""


def explore(
    budget: int,
    *,
    published_actions: bool = False,
    replacing: Mapping[str, Action] | None = None,
    invariants: Mapping[str, Invariant] = INVARIANTS,
    max_states: int | None = None,
) -> Counts:
    """Visit every reachable state, breadth first, and check every invariant at each.

    ``replacing`` puts a wrong action in the place of a published one, to see whether the invariants notice;
    the exploration stops at the first violation, which is a shortest one. A wrong action may have no end of
    states: ``max_states`` stops the exploration before it stores more (the initial state is always stored).

    Raises ``BadAmount`` for a budget or a limit that is not an amount, and ``BadDiscipline`` for the
    replacement of an action that is not there.
    """
    whole = as_amount(budget)
    limit = None if max_states is None else as_amount(max_states)
    actions = actions_of(whole, published_actions=published_actions)
    for name, action in (replacing or {}).items():
        if name not in actions:
            raise BadDiscipline(f"there is no action {name!r} to replace", hint="the actions are " + ", ".join(actions))
        actions[name] = action

    start = initial(whole)
    if (broken := _first_broken(start, whole, invariants)) is not None:
        return Counts(1, 1, 0, complete=False, violation=Violation(broken, ()))
    arrivals: dict[State, tuple[State, Step] | None] = {start: None}
    depths = {start: 0}
    queue = deque([start])
    generated, deepest = 1, 0
    while queue:
        state = queue.popleft()
        for name, action in actions.items():
            for amount, cost, after in action(state):
                generated += 1
                if after in arrivals:
                    continue
                if limit is not None and len(arrivals) >= limit:
                    return Counts(len(arrivals), generated, deepest, complete=False)
                arrivals[after] = (state, Step(name, amount, cost, after))
                depths[after] = deepest = depths[state] + 1
                queue.append(after)
                if (broken := _first_broken(after, whole, invariants)) is not None:
                    found = Violation(broken, _steps_to(after, arrivals))
                    return Counts(len(arrivals), generated, deepest, complete=False, violation=found)
    return Counts(len(arrivals), generated, deepest, complete=True)


def _first_broken(state: State, budget: int, invariants: Mapping[str, Invariant]) -> str | None:
    """Return the name of the first invariant that ``state`` breaks, if any."""
    return next((name for name, holds in invariants.items() if not holds(state, budget)), None)


def _steps_to(state: State, arrivals: Mapping[State, tuple[State, Step] | None]) -> tuple[Step, ...]:
    """Return the steps by which the exploration first came to ``state``."""
    steps: list[Step] = []
    arrival = arrivals[state]
    while arrival is not None:
        before, step = arrival
        steps.append(step)
        arrival = arrivals[before]
    return tuple(reversed(steps))
