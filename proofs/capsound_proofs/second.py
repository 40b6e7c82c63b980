"""A second opinion: every unbounded proof is decided again by cvc5, from SMT-LIB text.

The text is the interface on purpose: nothing of z3's own structures reaches the second solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import z3

from capsound.errors import Disagreement
from capsound_proofs.building import all_of, as_truth, implies, no, proposition
from capsound_proofs.invariants import PROVE, Invariant
from capsound_proofs.terms import Term, truth
from capsound_proofs.transitions import Transition
from capsound_proofs.work import Ceiling

WORK = 3_000_000
"""The work for one obligation, as cvc5 counts it."""


def obligations(invariant: Invariant, goal: Term) -> list[tuple[str, list[Term]]]:
    """Return what has to be unsatisfiable for ``goal`` to be proved: start, every step, and the conclusion."""
    system = invariant.abstraction.system
    inv = [c.formula for c in invariant.kept]
    whole = all_of(*inv) if inv else as_truth(True)
    out: list[tuple[str, list[Term]]] = [("start", [*system.axioms, *system.start, no(whole)])]
    out += [(transition.name, _step(invariant, transition, whole)) for transition in system.transitions]
    out.append(("goal", [*system.axioms, *inv, no(truth(goal))]))
    return out


def _step(invariant: Invariant, transition: Transition, whole: Term) -> list[Term]:
    system = invariant.abstraction.system
    # The axioms are facts about sums of calls: true before the step and after it, by construction.
    later = system.axioms_after(transition)
    broken = no(system.after(whole, transition))
    return [*system.axioms, *[c.formula for c in invariant.kept], transition.guard, *later, broken]


def smt_text(terms: list[Term]) -> str:
    """Return an obligation as SMT-LIB 2."""
    solver = z3.Solver()
    solver.add(all_of(*terms))
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
    return confirm_all([(invariant, goal)], ceiling)


def confirm_all(proofs: Iterable[tuple[Invariant, Term]], ceiling: Ceiling | None = None) -> str:
    """Decide all obligations of several proofs again, as ``confirm``."""
    undecided = 0
    checked = [
        (premises, *found)
        for invariant, goal in proofs
        for premises in [Premises(invariant)]
        for found in obligations(invariant, goal)
    ]
    for premises, name, terms in checked:
        answer = decide(smt_text(premises.used(terms)), ceiling=ceiling)
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


class Premises:
    """Which premises of the obligations of an invariant z3 needs.

    What is impossible with fewer premises is impossible with all. It is read and decided in a tenth of the time.
    """

    def __init__(self, invariant: Invariant) -> None:
        self.solver = invariant.begun(PROVE).solver()
        self.marks: dict[int, tuple[Term, Term]] = {}

    def used(self, terms: list[Term]) -> list[Term]:
        """Return those terms that contradict each other by themselves; all, where z3 finds no contradiction."""
        sides = [truth(term) for term in terms]
        new = [side for side in sides if side.ast.value not in self.marks]
        for side in new:
            # The term is kept as well: z3 gives the place of a term that nobody keeps to another.
            self.marks.setdefault(side.ast.value, (proposition(f"premise{len(self.marks)}"), side))
        self.solver.add(*[implies(self.marks[side.ast.value][0], side) for side in new])
        named = {self.marks[side.ast.value][0].decl().name(): side for side in sides}
        if self.solver.check(*[self.marks[side.ast.value][0] for side in sides]) != z3.unsat:
            return terms
        core = set(self.solver.core())
        return [side for name, side in named.items() if name in core]
