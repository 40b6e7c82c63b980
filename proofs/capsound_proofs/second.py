"""A second opinion: every unbounded proof is decided again by cvc5, from SMT-LIB text.

The text is the interface on purpose: nothing of z3's own structures reaches the second solver.
"""

from __future__ import annotations

from typing import Any

import z3

from capsound.errors import Disagreement
from capsound_proofs.invariants import Invariant
from capsound_proofs.terms import Term, truth
from capsound_proofs.transitions import Transition
from capsound_proofs.work import Ceiling

WORK = 3_000_000
"""The work for one obligation, as cvc5 counts it."""


def obligations(invariant: Invariant, goal: Term) -> list[tuple[str, list[Term]]]:
    """Return what has to be unsatisfiable for ``goal`` to be proved: start, every step, and the conclusion."""
    system = invariant.abstraction.system
    inv = [c.formula for c in invariant.kept]
    whole = z3.And(*inv) if inv else z3.BoolVal(True)
    out: list[tuple[str, list[Term]]] = [("start", [*system.axioms, *system.start, z3.Not(whole)])]
    out += [(transition.name, _step(invariant, transition, whole)) for transition in system.transitions]
    out.append(("goal", [*system.axioms, *inv, z3.Not(truth(goal))]))
    return out


def _step(invariant: Invariant, transition: Transition, whole: Term) -> list[Term]:
    system = invariant.abstraction.system
    # The axioms are facts about sums of calls: true before the step and after it, by construction.
    later = system.axioms_after(transition)
    broken = z3.Not(system.after(whole, transition))
    return [*system.axioms, *[c.formula for c in invariant.kept], transition.guard, *later, broken]


def smt_text(terms: list[Term]) -> str:
    """Return an obligation as SMT-LIB 2."""
    solver = z3.Solver()
    solver.add(*[truth(term) for term in terms])
    body: str = solver.to_smt2()
    return "(set-logic QF_LIA)\n" + "\n".join(
        line for line in body.splitlines() if not line.startswith(("(set-info", ";"))
    )


def decide(text: str, work: int = WORK, ceiling: Ceiling | None = None) -> str:
    """Return what cvc5 says of SMT-LIB text: ``sat``, ``unsat`` or ``unknown``."""
    import importlib

    # cvc5 fills its module at run time, which type checkers cannot see.
    cvc5: Any = importlib.import_module("cvc5")

    terms = cvc5.TermManager()
    solver = cvc5.Solver(terms)
    solver.setOption("rlimit-per", str(work))
    seconds = ceiling.left() if ceiling is not None else None
    if seconds is not None:
        solver.setOption("tlimit-per", str(int(seconds * 1000) + 1))
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "obligation")
    symbols = parser.getSymbolManager()
    answer = ""
    while True:
        command = parser.nextCommand()
        if command.isNull():
            return answer or "unknown"
        printed = command.invoke(solver, symbols).strip()
        if printed:
            answer = printed.splitlines()[-1]


def confirm(invariant: Invariant, goal: Term, ceiling: Ceiling | None = None) -> str:
    """Decide all obligations of a proof again; return what to say of it.

    Raises ``Disagreement`` when the second solver finds a model of what the first proved impossible.
    """
    undecided = 0
    checked = obligations(invariant, goal)
    for name, terms in checked:
        answer = decide(smt_text(terms), ceiling=ceiling)
        if answer == "sat":
            raise Disagreement(
                f"z3 proved the obligation {name!r} and cvc5 refutes it",
                cause="the two solvers disagree, so the proof is not shown",
                hint="please report the scenario: one of the two solvers, or the encoding, is wrong",
            )
        undecided += answer != "unsat"
    if undecided:
        return f"z3; cvc5 confirmed {len(checked) - undecided} of {len(checked)} obligations"
    return f"z3 and cvc5, {len(checked)} obligations"
