"""Theorem 8: a program that the linearity check accepts never resolves a handle twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from itertools import product

import z3

from capsound.affine import Op, Reuse, check_linear
from capsound_proofs.terms import Term, truth
from capsound_proofs.theorem import Computation, Fact, Kind, System, Theorem, Transition, Witness, run

NAMED, MOVED, RESOLVED, RUNS = z3.Ints("named moved resolved runs")
"""For one affine handle: operations that name it; whether the check has it in ``moved``; how often it was resolved."""

VARIABLES: dict[str, Term] = {"named": NAMED, "moved": MOVED, "resolved": RESOLVED}

USE = Transition(
    "an operation on the handle",
    (
        Fact("the check accepts it", MOVED == 0),
        Fact("the operation runs, or a fault stops the program before it", z3.And(RUNS >= 0, RUNS <= 1)),
    ),
    {"named": NAMED + 1, "moved": z3.IntVal(1), "resolved": RESOLVED + RUNS},
)
"""What one operation does to the handle that it names. One on another handle does nothing to it."""

SYSTEM = System(
    variables=VARIABLES,
    start=(Fact("nothing is named", z3.And(NAMED == 0, MOVED == 0, RESOLVED == 0)),),
    transitions=(USE,),
    invariant=(
        Fact("what was named is moved", MOVED == NAMED),
        Fact("only what was named is resolved", RESOLVED <= NAMED),
        Fact("it is named once or not", z3.And(NAMED >= 0, NAMED <= 1)),
    ),
    goal=(Fact("the handle is resolved at most once", RESOLVED <= 1),),
)

SHARED, HANDLES, LONGEST = "root", ("root", "b", "c"), 5

Check = Callable[[Iterable[Op], Collection[str]], Reuse | None]


def _accepted(uses: int) -> bool:
    """Return whether the transition of the theorem lets a handle be named so many times, by evaluating its terms."""
    state = dict.fromkeys(VARIABLES, 0)
    for _ in range(uses):
        values = [(VARIABLES[name], z3.IntVal(number)) for name, number in state.items()]
        values.append((RUNS, z3.IntVal(1)))
        if not z3.is_true(z3.simplify(z3.substitute(truth(USE.guard[0].term), *values))):
            return False
        after: dict[str, Term] = {n: z3.simplify(z3.substitute(term, *values)) for n, term in USE.after.items()}
        state |= {name: term.as_long() for name, term in after.items()}
    return True


def disagreement(check: Check) -> str:
    """Return the first program on which ``check`` and the transitions of the theorem differ, in words.

    Programs of up to five operations on two affine handles and a shared one: the check treats every name alike.
    """
    accepted = [_accepted(uses) for uses in range(LONGEST + 1)]
    for length in range(LONGEST + 1):
        for program in product(HANDLES, repeat=length):
            ops = [Op("call", handle, text=f"call {handle}") for handle in program]
            proved = all(accepted[program.count(handle)] for handle in HANDLES if handle != SHARED)
            if (check(ops, {SHARED}) is None) != proved:
                return f"the check and the proof differ on {'; '.join(op.text for op in ops)}"
    return ""


def _witnesses() -> tuple[Witness, ...]:
    twice = run(
        ("open", "root", 100),
        ("delegate", "root", "b", 20),
        ("close", "b"),
        ("close", "b"),
    )
    return (Witness("what the check rejects: close b, close b", twice, ("use-after-move",), {"root": 0}),)


THEOREM = Theorem(
    number=8,
    name="affine-handles",
    kind=Kind.PROVED,
    statement="A program that the linearity check accepts never resolves a handle twice.",
    mathematics="check_linear(p) accepts => in every run of p, each handle that is not shared is resolved <= 1 times",
    assumptions=("every handle has a name of its own", "no other program names it"),
    bound="all programs of any length, stopped by a fault anywhere; check and proof agree on all of up to 5 operations",
    idea="Each operation moves the handle that it names; the check lets none name a moved one. By induction over the "
    "program a handle is named at most once, and a run executes each operation at most once. That the check does what "
    "the induction says is computed for all short programs",
    systems=lambda: (SYSTEM,),
    computations=(Computation("check and proof agree on short programs", lambda: disagreement(check_linear)),),
    witnesses=_witnesses,
    equivalent={"an operation on the handle, resolved not updated": "what resolves nothing resolves nothing twice"},
)
