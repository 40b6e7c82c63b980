"""Theorem 5: without A1 the overshoot is at most the deficits of calls in flight or lost, and that is attained.

Here the monitor itself is run on symbolic amounts, so the windows of the theorem are those that it judges runs by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import z3

from capsound.accounts import HoldState, State
from capsound.events import Event
from capsound.monitor import Monitor, RootBooks
from capsound_proofs.symbolic import Amount, Choices, merged, term_of, ways
from capsound_proofs.terms import Term
from capsound_proofs.theorem import Fact, Kind, Obligation, System, Theorem, Transition, Witness, run
from capsound_proofs.theorems.books import (
    AMOUNT,
    APART,
    BILLED,
    HOLD_VARIABLES,
    LIFE,
    LIFE_OF,
    NEW,
    ORDERLY,
    REST,
    SUMS,
    X,
    balances,
    conserved,
    event_of,
    hold_before,
    hold_transitions,
    of,
    read_balances,
)
from capsound_proofs.theorems.trees import SHAPES, merge, slices

DEFICIT, WINDOW, EXCESS = z3.Ints("a.deficit a.window excess")
"""What the monitor keeps of an account: open deficits, and those since the last admission."""

OVER = z3.If(BILLED > AMOUNT, BILLED - AMOUNT, 0)
UNKNOWN = z3.Or(LIFE[HoldState.SENT] == LIFE_OF, LIFE[HoldState.FORFEITED] == LIFE_OF)
REST_DEFICIT = z3.Int("rest.deficit")


def _watch(state: State, choices: Choices, *events: Event, in_flight: bool = False) -> Mapping[str, Term]:
    """Feed events to a monitor that has seen some run, of which only the sums are known; return what it keeps."""
    account: Any = "a"
    windows: Any = {account: Amount(WINDOW, choices)}
    deficits: Any = {account: Amount(DEFICIT, choices)}
    monitor = Monitor(
        state=state,
        _books={account: RootBooks()},
        _windows=windows,
        _open_deficit=deficits,
        _in_flight=set(state.holds) if in_flight else set(),
    )
    for event in events:
        monitor.feed(event)
    kept = {"a.deficit": deficits[account], "a.window": windows[account], **read_balances("a")(monitor.state)}
    return {name: term_of(value) for name, value in kept.items()}


_ROWS: dict[str, tuple[Any, ...]] = {
    "reserve": ("reserve", "a", "hold", X),
    "extend": ("extend", "hold", X),
    "send": ("send", "hold", "again"),
    "bill": ("bill", "call", X),
    "settle": ("settle", "hold", X),
    "release": ("release", "hold"),
    "forfeit": ("forfeit", "hold"),
}


EXPLAINED = (
    Fact("a debt is explained by the window", DEFICIT - of("a", "available") <= WINDOW),
    Fact("the window holds all open deficits", DEFICIT <= WINDOW),
)
COUNTED = Fact(
    "every deficit of a call whose bill was never told is counted", z3.If(UNKNOWN, OVER, 0) + REST_DEFICIT == DEFICIT
)
OTHERS = (
    Fact("the other holds are not negative", z3.And(*[rest >= 0 for rest in (*REST.values(), REST_DEFICIT)])),
    Fact(
        "the other holds and their deficits cover their bills",
        REST["billed"] <= REST["held"] + REST["charged"] + REST["forfeited"] + REST_DEFICIT,
    ),
)


INVARIANT = (conserved("a"), *SUMS, *APART, *ORDERLY, COUNTED, *EXPLAINED)


def _monitored(transition: Transition) -> Transition:
    """Return a transition of the books with what the monitor does beside it, in every state of the invariant."""
    kind = transition.name.split()[0]
    code = next(f.term for f in transition.guard if f.name == "life")
    state = next(s for s, number in LIFE.items() if code.eq(number == LIFE_OF))

    def feed(choices: Choices) -> Mapping[str, Term]:
        in_flight = state in (HoldState.HELD, HoldState.SENT)
        return _watch(hold_before(state)(choices), choices, event_of(_ROWS[kind])(choices), in_flight=in_flight)

    found = list(ways(feed, [f.term for f in (*INVARIANT, *OTHERS, *transition.guard)]))
    after = {name: z3.simplify(term) for name, term in merged(found).items()}
    beside = {name: after[name] for name in ("a.deficit", "a.window") if not after[name].eq(z3.Int(name))}
    return replace(transition, after={**transition.after, **beside})


def _books_part(transition: Transition) -> Transition:
    free = replace(transition, guard=tuple(f for f in transition.guard if f.name != "A1"))
    return free if free.forbidden else _monitored(free)


def _account() -> System:
    """Return one account with any holds, watched by the monitor, without A1."""
    granted = of("a", "granted") - of("a", "delegated") - of("a", "returned")
    return System(
        variables={**HOLD_VARIABLES, "a.deficit": DEFICIT, "a.window": WINDOW},
        start=(*NEW, Fact("no deficit", z3.And(DEFICIT == 0, WINDOW == 0, REST_DEFICIT == 0))),
        transitions=tuple(_books_part(t) for t in hold_transitions()),
        invariant=INVARIANT,
        always=OTHERS,
        codes=("hold.life", "hold.calls"),
        goal=(
            Fact(
                "the bills of an account are within what it has and its window", of("a", "billed") <= granted + WINDOW
            ),
        ),
    )


def _in_debt(system: System, names: Iterable[str]) -> System:
    """Return changes of a tree whose accounts may be in debt, each within its window."""
    windows = {name: (z3.Int(f"{name}.deficit"), z3.Int(f"{name}.window")) for name in names}
    kept = [f for f in system.invariant if "in debt" not in f.name]
    explained = [
        Fact(f"a debt of {name} is explained", z3.And(d - of(name, "available") <= w, d <= w))
        for name, (d, w) in windows.items()
    ]
    quiet = Fact("no deficit anywhere", z3.And(*[term == 0 for pair in windows.values() for term in pair]))
    return replace(system, invariant=(*kept, *explained), start=(*system.start, quiet))


def _more_calls() -> System:
    """Return a root on which call after call is admitted and billed above its hold, by any amounts."""
    rows = (_ROWS["reserve"], ("send", "hold", "new"), ("bill", "new", X + EXCESS))

    def feed(choices: Choices) -> Mapping[str, Term]:
        return _watch(hold_before(None)(choices), choices, *[event_of(row)(choices) for row in rows])

    guard = (
        Fact("the hold fits", of("a", "available") >= X),
        Fact("amounts are not negative", z3.And(X >= 0, EXCESS >= 0)),
    )
    used = of("a", "granted") - of("a", "available")
    apart = [of("a", name) == 0 for name in ("charged", "forfeited", "delegated", "returned")]
    invariant = (
        Fact("every deficit is still open", DEFICIT == WINDOW),
        Fact("the bills are what is used and the window", of("a", "billed") == used + WINDOW),
        Fact("what is used is held", z3.And(of("a", "held") == used, *apart)),
        Fact("something may be left", of("a", "available") >= 0),
    )
    found = list(ways(feed, [f.term for f in (*invariant, *guard)]))
    after = {k: z3.simplify(v) for k, v in merged(found).items()}
    changes = {k: v for k, v in after.items() if not v.eq(z3.Int(k))}
    return System(
        variables={**balances("a"), "a.deficit": DEFICIT, "a.window": WINDOW},
        start=(*NEW[:3], Fact("no deficit", z3.And(DEFICIT == 0, WINDOW == 0))),
        transitions=(Transition("one more call above its hold", guard, changes),),
        invariant=invariant,
        goal=(
            Fact(
                "once all is held, the overshoot is the window",
                z3.Implies(of("a", "available") == 0, of("a", "billed") - of("a", "granted") == WINDOW),
            ),
        ),
    )


def _systems() -> tuple[System, ...]:
    merges = [merge(up, down) for up, down in SHAPES]
    trees = [_in_debt(m, sorted({name.split(".")[0] for name in m.variables})) for m in merges]
    return (_account(), _in_debt(slices(), "ps"), *trees, _more_calls())


def _build() -> tuple[Obligation, ...]:
    billed, windows = z3.Ints("below.billed below.windows")
    step = Obligation(
        "so the bills below an account are within its grant and the windows below it",
        (
            Fact(
                "its own bills are within what it has and its window",
                of("a", "billed") <= of("a", "granted") - of("a", "delegated") - of("a", "returned") + WINDOW,
            ),
            Fact("so it is one level down", billed <= of("a", "delegated") + windows),
        ),
        of("a", "billed") + billed <= of("a", "granted") - of("a", "returned") + WINDOW + windows,
    )
    return (step,)


def attained(deficits: tuple[int, ...], hold: int = 10) -> Witness:
    """Return a run of one call for each of the deficits, all in flight at once, under a cap that they use up."""
    admitted: list[tuple[Any, ...]] = [("open", "root", hold * len(deficits))]
    sent: list[tuple[Any, ...]] = []
    for number, deficit in enumerate(deficits, start=1):
        admitted.append(("reserve", "root", f"R{number}", hold))
        sent += [("send", f"R{number}", f"C{number}"), ("bill", f"C{number}", hold + deficit)]
    return Witness(
        f"{len(deficits)} calls in flight with deficits of {', '.join(map(str, deficits))}",
        run(*admitted, *sent),
        anomalies=("overshoot",),
        overshoot={"root": sum(deficits)},
        deficits={"root": sum(deficits)},
    )


def _witnesses() -> tuple[Witness, ...]:
    return tuple(attained(deficits) for deficits in ((1,), (3, 4), (5, 0, 7, 1, 2)))


ANEW = "to start the window anew only makes it smaller"
TIGHT = "a larger window is a weaker bound: that it is no larger than need be is the second half"

THEOREM = Theorem(
    number=5,
    name="overshoot-bound",
    kind=Kind.PROVED,
    statement="Without A1 the overshoot is at most the deficits of calls in flight or lost, and that is attained.",
    mathematics="sum of true bills below a <= granted(a) - returned(a) + sum of window below a; "
    "for all holds h_i that use up the cap and all d_i >= 0, bills h_i + d_i reach sum of d_i above it",
    assumptions=("A7",),
    bound="all amounts, agents, calls, trees and schedules; the accounts on the way of a merge by their five roles",
    idea="The monitor is run on symbolic amounts beside the books. What an account owes beyond its grant is never more "
    "than its window: the deficits of calls unresolved or lost at its last admission, and those that came since. An "
    "overrun that is settled puts the account in debt, and who is in debt admits nothing. Calls that use up the cap, "
    "each billed above its hold by any amount, attain the bound, for every number of calls",
    build=_build,
    systems=_systems,
    witnesses=_witnesses,
    equivalent={
        "reserve*, hold.billed not updated": "what is not reserved has no bill either",
        "settle of a hold that is held, a.charged not updated": "R9: what was never billed is settled at 0",
        "settle*, without: amounts are not negative": "R9: the amount is the bill, which is not negative",
        "send of a hold that is sent, hold.calls not updated": "a hold that was sent once may be billed as it is",
        "send of a hold that is *, without: R7": "no bill comes after a settlement (A7), and a lost one is counted",
        "reserve*, a.window not updated": ANEW,
        "extend*, a.window not updated": ANEW,
        "* of a hold that is *, a.window one more": TIGHT,
        "delegate, s.* not updated": "a slice that does not exist yet has nothing",
        "close, without: the slice exists": "an account with nothing has nothing to give back",
    },
)
