"""Theorem 14: a counter with an await around the call keeps the cap where every agent has an account of its own.

The steps are those of the shipped discipline ``racy-counter`` (``capsound.disciplines``): its blocks, and how it opens
a slice. Accounts of which all that is known is that they keep their grants are summed up.
"""

from __future__ import annotations

from typing import Any

import z3

from capsound.disciplines import get_discipline
from capsound.frames import IntAlgebra
from capsound.steps import CallVars, Ledger
from capsound_proofs.children import slice_frame
from capsound_proofs.terms import TERMS, Term, conj
from capsound_proofs.theorem import Fact, Kind, System, Theorem, Transition, Witness, run
from capsound_proofs.theorems.check_then_act import run_block

RACY = get_discipline("racy-counter")
IDLE, WAITING, SENT = 0, 1, 2
SIZE, BILL, GRANT = z3.Ints("size new.bill grant")

KEPT = ("granted", "available", "charged", "billed")
OWN: dict[str, Term] = {name: z3.Int(name) for name in (*KEPT, "at", "cover", "bill")}
"""An account with one agent: where its call is, what it was admitted for, and what of it is billed and not charged."""

ABOVE: dict[str, Term] = {name: z3.Int(name) for name in ("granted", "available", "delegated", "net", "below")}
"""A root, and the sums over all accounts below it: what they were granted, and what they are billed."""

ONE = z3.Ints("one.net one.billed one.billed.next")


def _step(number: int, at: int, facts: tuple[Fact, ...], then: int) -> Transition:
    """Return one block of the discipline as a transition of an account with one agent."""
    block = RACY.blocks[number]
    ledger = Ledger(**{name: OWN[name] for name in KEPT})
    call = CallVars(size=SIZE, cover=OWN["cover"], bill=OWN["bill"] if at == SENT else 0, told=OWN["bill"])
    lets = run_block(block, ledger, call, lambda *_: BILL, TERMS)
    after = {name: getattr(ledger, name) for name in KEPT}
    changed = {name: term for name, term in after.items() if not term.eq(OWN[name])}
    changed |= {"at": z3.IntVal(then)}
    if at == IDLE:
        changed["cover"] = call.cover
    if at == WAITING:
        changed["bill"] = BILL
    if at == SENT:
        changed |= {"cover": z3.IntVal(0), "bill": z3.IntVal(0)}
    guard = (Fact("its one call is there", OWN["at"] == at), *facts)
    return Transition(block[0].name, (*guard, Fact("the check", conj(lets))) if lets else guard, changed)


def alone() -> System:
    """Return one agent with an account, which makes any number of calls, one after the other."""
    v = OWN
    return System(
        variables=v,
        start=(
            Fact("nothing has happened", z3.And(*[v[n] == 0 for n in ("charged", "billed", "at", "cover", "bill")])),
            Fact("all of the grant is free", z3.And(v["available"] == v["granted"], v["granted"] >= 0)),
        ),
        transitions=(
            _step(0, IDLE, (Fact("a call is not negative", SIZE >= 0),), WAITING),
            _step(1, WAITING, (Fact("A1", z3.And(BILL >= 0, v["cover"] >= BILL)),), SENT),
            _step(2, SENT, (), IDLE),
        ),
        invariant=(
            Fact("what is not charged is available", v["available"] == v["granted"] - v["charged"]),
            Fact("bills are charged or in flight", v["billed"] == v["charged"] + v["bill"]),
            Fact("the call in flight fits", v["cover"] <= v["available"]),
            Fact("its bill is within it", z3.And(v["bill"] >= 0, v["bill"] <= v["cover"])),
            Fact("it is billed once it was sent", z3.Implies(v["at"] != SENT, v["bill"] == 0)),
            Fact("between calls there is none", z3.Implies(v["at"] == IDLE, v["cover"] == 0)),
        ),
        goal=(Fact("its bills are within its grant", v["billed"] <= v["granted"]),),
        codes=("at",),
    )


def above() -> System:
    """Return a root that opens any number of accounts, each of which keeps its bills within its grant."""
    v = ABOVE
    net, billed, later = ONE
    root, slice_ = Ledger(available=v["available"], delegated=v["delegated"]), Ledger()
    frame = slice_frame(root, slice_, GRANT)
    lets = conj([step.guard(frame) for step in RACY.delegate if step.guard is not None])
    for step in RACY.delegate:
        step.effect(frame)
    opened = {"available": root.available, "delegated": root.delegated, "net": v["net"] + slice_.granted}
    others = z3.And(v["below"] - billed >= 0, v["below"] - billed <= v["net"] - net)
    return System(
        variables=v,
        start=(
            Fact("nothing has happened", z3.And(*[v[n] == 0 for n in ("delegated", "net", "below")])),
            Fact("all of the cap is free", z3.And(v["available"] == v["granted"], v["granted"] >= 0)),
        ),
        transitions=(
            Transition(
                "open an account",
                (Fact("a grant is not negative", GRANT >= 0), Fact("it fits", lets)),
                opened,
            ),
            Transition(
                "an account is billed",
                (
                    Fact("it is billed more, within its grant", z3.And(billed >= 0, later >= billed, later <= net)),
                    Fact("all others keep theirs", others),
                ),
                {"below": v["below"] - billed + later},
            ),
        ),
        invariant=(
            Fact("what is not delegated is available", v["available"] == v["granted"] - v["delegated"]),
            Fact("what is delegated is granted below", v["delegated"] == v["net"]),
            Fact("the root is not in debt", v["available"] >= 0),
            Fact("bills below are within the grants", z3.And(v["below"] >= 0, v["below"] <= v["net"])),
        ),
        goal=(Fact("the bills of the root are within its cap", v["below"] <= v["granted"]),),
    )


def side_by_side(agents: int, calls: int, grant: int, largest: int) -> Witness:
    """Return a run in which all agents check and send at the same time, each on its own account, until none may."""
    rows: list[tuple[Any, ...]] = [("open", "root", agents * grant)]
    ledgers = [Ledger(available=grant, granted=grant) for _ in range(agents)]
    rows += [("delegate", "root", f"s{n}", grant) for n in range(agents)]
    for number in range(calls):
        going = [(n, ledger, CallVars(size=largest)) for n, ledger in enumerate(ledgers)]
        for block, kinds in zip(RACY.blocks, (("reserve",), ("send", "bill"), ("settle",)), strict=True):
            left = []
            for n, ledger, call in going:
                if not all(run_block(block, ledger, call, lambda *_: largest, IntAlgebra())):
                    continue
                left.append((n, ledger, call))
                hold, name = f"R{number}.{n}", f"C{number}.{n}"
                row: dict[str, tuple[Any, ...]] = {
                    "reserve": ("reserve", f"s{n}", hold, call.cover, f"agent-{n}"),
                    "send": ("send", hold, name),
                    "bill": ("bill", name, call.bill),
                    "settle": ("settle", hold, call.told),
                }
                rows += [row[kind] for kind in kinds]
            going = left
    return Witness(f"{agents} agents, {calls} calls each", run(*rows), (), {"root": 0})


THEOREM = Theorem(
    number=14,
    name="own-accounts",
    kind=Kind.PROVED,
    statement="Check, call, debit keeps the cap where every agent has an account of its own, "
    "with any number of agents and calls.",
    mathematics="one agent: billed <= granted, for any number of calls; "
    "billed_i <= granted_i for all i, and sum of granted_i <= cap => sum of billed_i <= cap",
    assumptions=("A1", "A7", "no call is given up"),
    bound="all amounts, grants, numbers of agents, calls and schedules",
    idea="One agent has one call in flight: what it was admitted for is still available when it is billed. So its "
    "bills are within its grant. The root sums up its accounts, of which it only knows this. A grant leaves the root "
    "when an account is opened, so that all grants together are within the cap",
    systems=lambda: (alone(), above()),
    witnesses=lambda: (side_by_side(1, 3, 50, 31), side_by_side(3, 3, 50, 20), side_by_side(8, 2, 31, 31)),
    equivalent={
        "check, cover not updated": "a call that was admitted for nothing is billed nothing",
        "debit, without: its one call is there": "a call that is not billed yet is charged nothing",
        "debit, at not updated": "a call of nothing may be charged again",
        "an account is billed, below not updated": "a bill of nothing",
    },
)
