"""Solvers bounded by work: what they decide is the same on every machine and under any load.

z3 counts what it does. Work is measured in that count, and never in seconds: a busy machine takes longer and says
the same. The count depends on what the same context has solved before, so a ``Work`` has a context of its own, and
with it every search and every proof begins afresh. The clock only matters where the user has set a ``Ceiling``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import z3

from capsound_proofs.building import all_of
from capsound_proofs.terms import Term, truth

_MOST = 2**32 - 1
"""The largest limit that z3 can be given."""


@dataclass(slots=True)
class Ceiling:
    """The seconds that the user allows for a whole file, None for as many as it takes.

    ``struck`` says whether something was given up because they were over.
    """

    seconds: float | None = None
    began: float = field(default_factory=time.monotonic)
    struck: bool = False

    def left(self) -> float | None:
        """Return how many seconds are left, at least 0; None where there is no ceiling."""
        return None if self.seconds is None else max(0.0, self.seconds - (time.monotonic() - self.began))

    def over(self) -> bool:
        """Return whether no time is left, and note that it mattered."""
        over = self.left() == 0.0
        self.struck = self.struck or over
        return over


class Work:
    """So much work, to be shared by the solvers that it makes; ``left`` is what they have not used."""

    def __init__(self, limit: int, ceiling: Ceiling | None = None) -> None:
        self.left = limit
        self.ceiling = ceiling or Ceiling()
        self.context = z3.Context()
        self.counted = 0
        self._there: dict[int, tuple[Term, Term]] = {}

    def solver(self, logic: str = "") -> Solver:
        """Return a new solver without facts; for an SMT-LIB logic, if one is given."""
        return Solver(self, logic)

    def spend(self, units: int) -> None:
        """Count work that is done outside of a solver, such as building what it is asked."""
        self.left -= units

    def translated(self, term: Term) -> Term:
        """Return a term of z3's own context in the context of this work."""
        known = self._there.get(term.get_id())
        if known is None:
            # The term is kept as well: z3 gives the number of a term that nobody keeps to another.
            known = self._there[term.get_id()] = (term, term.translate(self.context))
        return known[1]


class Solver:
    """A z3 solver that gives up when the work is used up, or when the user's time is over."""

    def __init__(self, work: Work, logic: str) -> None:
        self._work = work
        self._solver = z3.SolverFor(logic, work.context) if logic else z3.SimpleSolver(ctx=work.context)

    def add(self, *facts: Term) -> None:
        """Assert facts."""
        if facts:
            # As one fact: each that is asserted passes through the binding by itself.
            self._solver.add(all_of(*facts).translate(self._work.context))

    def track(self, fact: Term, name: str) -> None:
        """Assert a fact that can be part of a core, under this name."""
        self._solver.assert_and_track(self._work.translated(truth(fact)), name)

    def push(self) -> None:
        """Remember the facts so far."""
        self._solver.push()

    def pop(self) -> None:
        """Forget the facts since the last ``push``."""
        self._solver.pop()

    def check(self, *assumptions: Term) -> z3.CheckSatResult:
        """Return whether the facts and assumptions are possible together: ``unknown`` when the work is used up."""
        work = self._work
        if work.left <= 0 or work.ceiling.over():
            return z3.unknown
        self._solver.set("rlimit", min(work.left, _MOST))
        seconds = work.ceiling.left()
        if seconds is not None:
            self._solver.set("timeout", int(seconds * 1000) + 1)
        before = work.counted
        answer = self._solver.check(*[work.translated(truth(a)) for a in assumptions])
        work.counted = self._count()
        work.left -= max(1, work.counted - before)
        if answer == z3.unknown:
            work.ceiling.over()
        return answer

    def _count(self) -> int:
        # The count of the whole context: what it took to assert since the last check is in it too.
        found = self._solver.statistics()
        context = found.ctx.ref()
        for index in reversed(range(len(found))):
            if z3.Z3_stats_get_key(context, found.stats, index) == "rlimit count":
                return int(z3.Z3_stats_get_uint_value(context, found.stats, index))
        return 0

    def model(self) -> Model:
        """Return the model of the last ``check``, which found one."""
        return Model(self._work, self._solver.model())

    def core(self) -> list[str]:
        """Return the names of tracked facts that contradict the rest."""
        found: Any = self._solver.unsat_core()
        return [name.decl().name() for name in found]


class Model:
    """What a solver found: it evaluates terms of z3's own context."""

    def __init__(self, work: Work, model: z3.ModelRef) -> None:
        self._work = work
        self._model = model

    def eval(self, term: Term, model_completion: bool = True) -> Term:
        """Return the value of a term."""
        return self._model.eval(self._work.translated(truth(term)), model_completion=model_completion)

    def holds(self, term: Term) -> bool:
        """Return whether a Boolean term is true."""
        return bool(z3.is_true(self.eval(term)))
