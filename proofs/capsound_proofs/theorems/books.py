"""The accounts and holds that the theorems about the books share: the model's own transitions, on any amounts.

An account has any number of holds. One of them is looked at; the others are their sums, ``rest``. An event touches
one hold, so it is the one that is looked at, and the rest stays as it was. That is proved, and with it every fact
about single holds becomes a fact about their sums (docs/decisions/0006-counter-abstraction.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import z3

from capsound.accounts import Account, Hold, HoldState, State
from capsound.events import Event
from capsound_proofs.symbolic import Amount, Choices, effect
from capsound_proofs.terms import Term
from capsound_proofs.theorem import Fact, System, Transition, run

BALANCES = ("granted", "available", "held", "charged", "forfeited", "delegated", "returned", "billed")
KEPT = ("R1", "R2", "R4", "R5", "R6", "R7", "R8", "R9", "R13", "R14", "R15")
"""The rules that a sound ledger keeps. R10 and R11 are what is to be proved, R12 and R16 are about refusals,
and R3 (no admission once all is spent) follows from R1 and R2 where nobody is in debt."""

LIFE: dict[HoldState | None, int] = {None: 0, **{state: code for code, state in enumerate(HoldState, start=1)}}
"""Where a hold is in its life, as a number; 0 before it is reserved."""

X, LIFE_OF, AMOUNT, BILLED, CALLS = z3.Ints("x hold.life hold.amount hold.billed hold.calls")
"""The amount of the event, and the hold that is looked at."""

NOT_NEGATIVE = Fact("amounts are not negative", X >= 0)
A1 = Fact("A1", BILLED + X <= AMOUNT)
SENT_ONCE = Fact("only a call that was sent is billed", CALLS >= 1)
A7 = Fact("A7", False)
"""What was told at settlement was the whole bill: a settled call is billed no more."""


def of(name: str, balance: str) -> Term:
    """Return a balance of an account as a variable."""
    return z3.Int(f"{name}.{balance}")


def balances(*names: str) -> dict[str, Term]:
    """Return all balances of some accounts, by the names of their variables."""
    return {f"{name}.{b}": of(name, b) for name in names for b in BALANCES}


def account(choices: Choices, name: str, parent: str | None = None, root: str = "a") -> Account:
    """Return an account whose balances can be anything."""
    values: dict[str, Any] = {b: Amount(of(name, b), choices) for b in BALANCES}
    ids: dict[str, Any] = {"id": name, "root": root, "parent": parent}
    return Account(**ids, **values)


def books(accounts: Iterable[Account], hold: Hold | None = None) -> State:
    """Return a state of these accounts, and of one hold and a call under it, if any."""
    named: Any = {a.id: a for a in accounts}
    holds: Any = {hold.id: hold} if hold is not None else {}
    calls: Any = {"call": hold.id if hold is not None else "hold"}
    return State(MappingProxyType(named), MappingProxyType(holds), MappingProxyType(calls))


def read_balances(*names: str) -> Callable[[State], Mapping[str, Any]]:
    """Return a reader of all balances of these accounts."""

    def read(state: State) -> Mapping[str, Any]:
        return {f"{name}.{b}": getattr(state.account(_id(name)), b) for name in names for b in BALANCES}

    return read


def changed(after: Mapping[str, Term]) -> dict[str, Term]:
    """Return only what an event changes."""
    return {name: term for name, term in after.items() if not term.eq(z3.Int(name))}


def conserved(name: str) -> Fact:
    """Say that the balances of an account add up to what it was granted."""
    parts = ("available", "held", "charged", "forfeited", "delegated", "returned")
    return Fact(f"{name} is conserved", z3.Sum(*[of(name, part) for part in parts]) == of(name, "granted"))


def solvent(name: str) -> Fact:
    """Say that an account is not in debt."""
    return Fact(f"{name} is not in debt", of(name, "available") >= 0)


# ------------------------------------------------------------------------------------- one account, any holds

_EVENTS: tuple[tuple[Any, ...], ...] = (
    ("extend", "hold", X),
    ("send", "hold", "again"),
    ("bill", "call", X),
    ("settle", "hold", X),
    ("release", "hold"),
    ("forfeit", "hold"),
)


def hold_transitions(rules: Iterable[str] = KEPT, *, assume: bool = True) -> tuple[Transition, ...]:
    """Return every event on an account and on one of its holds, at every point of the life of the hold.

    Each is guarded by the rules that the model says it can break, and by A1 and A7 where it is a bill.
    """
    rows = [(state, row) for state in HoldState for row in _EVENTS]
    # A bill is for a call, and a hold in these states has none: see ORDERLY.
    rows = [(s, row) for s, row in rows if row[0] != "bill" or s not in (HoldState.HELD, HoldState.RELEASED)]
    new = _transition(None, ("reserve", "a", "hold", X), rules, assume=assume)
    return (new, *(_transition(state, row, rules, assume=assume) for state, row in rows))


def hold_before(state: HoldState | None) -> Callable[[Choices], State]:
    """Return the states of an account and a hold at one point of its life, on any amounts."""

    def before(choices: Choices) -> State:
        if state is None:
            return books([account(choices, "a")])
        fields: dict[str, Any] = {"id": "hold", "account": "a"}
        amounts: dict[str, Any] = {"amount": Amount(AMOUNT, choices), "billed": Amount(BILLED, choices)}
        return books([account(choices, "a")], Hold(**fields, **amounts, state=state))

    return before


def event_of(row: tuple[Any, ...]) -> Callable[[Choices], Event]:
    """Return an event whose amounts are terms."""
    return lambda choices: run(tuple(Amount(p, choices) if isinstance(p, z3.ExprRef) else p for p in row))[0]


def _read_hold(after: State) -> Mapping[str, Any]:
    hold = after.hold(_id("hold"))
    return {
        **read_balances("a")(after),
        "hold.amount": hold.amount,
        "hold.billed": hold.billed,
        "hold.life": LIFE[hold.state],
        "hold.calls": CALLS + (len(after.calls) - 1),
    }


def _transition(state: HoldState | None, row: tuple[Any, ...], rules: Iterable[str], *, assume: bool) -> Transition:
    found = effect(hold_before(state), event_of(row), _read_hold)
    guard = [Fact("life", LIFE[state] == LIFE_OF)]
    if any(isinstance(part, z3.ExprRef) for part in row):
        guard.append(NOT_NEGATIVE)
    if row[0] == "bill":
        if state is not HoldState.SENT:
            guard.append(SENT_ONCE)
        if assume:
            guard.append(A7 if state is HoldState.SETTLED else A1)
    guard += [Fact(rule, z3.Not(found.broken[rule])) for rule in rules if rule in found.broken]
    after = changed(found.after)
    if after["hold.life"].eq(z3.IntVal(LIFE[state])):
        del after["hold.life"]
    return Transition(f"{row[0]} of a hold that is {state.value if state else 'new'}", tuple(guard), after)


def _id(name: str) -> Any:
    return name


def _is(*states: HoldState) -> Term:
    return z3.Or(*[LIFE[state] == LIFE_OF for state in states])


OPEN = _is(HoldState.HELD, HoldState.SENT)
SETTLED, FORFEITED = _is(HoldState.SETTLED), _is(HoldState.FORFEITED)

SHARES: dict[str, Term] = {
    "held": z3.If(OPEN, AMOUNT, 0),
    "charged": z3.If(SETTLED, BILLED, 0),
    "forfeited": z3.If(FORFEITED, AMOUNT, 0),
    "billed": BILLED,
}
"""What the hold that is looked at adds to each balance of its account."""

REST: dict[str, Term] = {name: z3.Int(f"rest.{name}") for name in SHARES}
"""What all other holds of the account add."""

HOLD_VARIABLES: dict[str, Term] = {
    **balances("a"),
    "hold.life": LIFE_OF,
    "hold.amount": AMOUNT,
    "hold.billed": BILLED,
    "hold.calls": CALLS,
}

SUMS = tuple(
    Fact(f"{name} is the sum over the holds", of("a", name) == share + REST[name]) for name, share in SHARES.items()
)
APART = tuple(
    Fact(f"{name} is not touched by holds", of("a", name) == z3.Int(f"outer.{name}"))
    for name in ("granted", "delegated", "returned")
)
ORDERLY = (
    Fact("a hold is somewhere in its life", z3.And(LIFE_OF >= 0, len(HoldState) >= LIFE_OF)),
    Fact("a hold and its bill are not negative", z3.And(AMOUNT >= 0, BILLED >= 0, CALLS >= 0)),
    Fact("nothing is held before it is reserved", z3.Implies(LIFE_OF == 0, AMOUNT == 0)),
    Fact(
        "what is new, held or released was never sent",
        z3.Implies(z3.Or(LIFE_OF == 0, _is(HoldState.HELD, HoldState.RELEASED)), CALLS == 0),
    ),
    Fact("what is sent has a call", z3.Implies(_is(HoldState.SENT), CALLS >= 1)),
    Fact("what was never sent is not billed", z3.Implies(CALLS == 0, BILLED == 0)),
)
WITHIN = Fact("a hold covers its bill", z3.Implies(_is(HoldState.SENT, HoldState.FORFEITED), BILLED <= AMOUNT))
OTHERS = (
    Fact("the other holds are not negative", z3.And(*[rest >= 0 for rest in REST.values()])),
    Fact("the other holds cover their bills", REST["billed"] <= REST["held"] + REST["charged"] + REST["forfeited"]),
)
"""The same facts, summed over the other holds: each of them satisfies what is proved of the one looked at."""

NEW = (
    Fact("all of the grant is free", of("a", "available") == of("a", "granted")),
    Fact("the grant is not negative", of("a", "granted") >= 0),
    Fact("the account is new", z3.And(*[of("a", b) == 0 for b in BALANCES if b not in ("granted", "available")])),
    Fact("no hold", z3.And(LIFE_OF == 0, AMOUNT == 0, BILLED == 0, CALLS == 0, *[rest == 0 for rest in REST.values()])),
    Fact(
        "nothing around it",
        z3.And(*[z3.Int(f"outer.{b}") == of("a", b) for b in ("granted", "delegated", "returned")]),
    ),
)


def covered(rules: Iterable[str] = KEPT) -> System:
    """Return one account with any holds under the rules and A1: what is billed on it is held, charged or forfeited."""
    return System(
        variables=HOLD_VARIABLES,
        start=NEW,
        transitions=hold_transitions(rules),
        invariant=(conserved("a"), solvent("a"), *SUMS, *APART, *ORDERLY, WITHIN),
        always=OTHERS,
        codes=("hold.life", "hold.calls"),
        goal=(
            Fact(
                "the bills of an account are within what it holds, has charged and has forfeited",
                of("a", "billed") <= of("a", "held") + of("a", "charged") + of("a", "forfeited"),
            ),
        ),
    )
