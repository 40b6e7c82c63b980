"""Looking for a schedule inside: those that find most first, then all of them, tree by tree, then at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from capsound_checker.wire.inside.driver import AGAIN, Inside, OutOfTime, Went
from capsound_checker.wire.inside.forking import Tree
from capsound_checker.wire.inside.session import CANCEL
from capsound_checker.wire.judge import Judged
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.searching import Search, Searched
from capsound_checker.wire.stepping import Run

_WHOLE = 100
"""How many runs are kept whole; of the others only what a verdict needs."""


@dataclass
class InsideSearch(Search):
    """A search in progress of an application inside."""

    inside: Inside | None = None
    judging: Callable[[Run], Judged] | None = None
    most_billed: int = 0
    cancels: bool = False
    """Whether tasks that wait for a request are cancelled, too."""

    def search(self) -> Searched:
        """Do what the search of a command does, until the time is over."""
        try:
            return super().search()
        except OutOfTime:
            assert self.judging is not None
            self.seen.runs.append(self.judging(Run(Schedule(), (), (), "stopped", 0, (), {})))
            self.seen.explored.append("the time of --budget was over before all of it was gone through")
            return self.seen

    def _systematic(self) -> None:
        """Go through every order of answers, then with each fault once, everywhere."""
        acts = [*self._faults(), *([CANCEL] if self.cancels else [])]
        if not self._tree(Tree(), "every order of answers"):
            return
        whole = True
        schedules = runs = 0
        tried: list[str] = []
        for act in acts:
            begun = len(self.seen.runs)
            if self.seen.found or not self._more() or not self._tree(Tree((act,), 1, 1), "", telling=False):
                whole = False
                break
            tried.append(act)
            assert self.inside is not None
            schedules += self.inside.covered.schedules
            runs += len(self.seen.runs) - begun
        if tried:
            words = f"each of these once, at every request, in every order: {', '.join(tried)}"
            self.seen.explored.append(f"{words} ({schedules:,} schedules, {runs:,} runs)")
        self.seen.complete = self.seen.complete and whole
        if not whole and not self.seen.found:
            left = ", ".join(act for act in acts if act not in tried)
            self.seen.explored.append(f"not in every order, for want of --runs: {left}")

    def _tree(self, tree: Tree, words: str, *, telling: bool = True) -> bool:
        """Go through a tree; return whether all of it was gone through."""
        assert self.inside is not None
        begun, cut = len(self.seen.runs), ""
        for went in self.inside.go_through(tree):
            if went is AGAIN:
                del self.seen.runs[begun:]
                continue
            self._note(went)
            cut = cut or _why_cut(went)
            if self.seen.found or not self._more():
                cut = "not all of it, for want of --runs"
                break
        covered, runs = self.inside.covered, len(self.seen.runs) - begun
        if telling and not self.seen.found:
            told = f"{words} ({covered.schedules:,} schedules, {runs:,} runs)"
            self.seen.explored.append(f"{words}: {cut} ({runs:,} runs)" if cut else told)
            self.seen.complete = not cut
        return not cut

    def _note(self, went: Went) -> None:
        assert self.judging is not None
        judged = self.judging(went.run)
        number = len(self.seen.runs)
        if number % 100 == 0:
            self.tell(f"run {number + 1}")
        if judged.refuted is not None:
            self._keep(judged)
        elif number > _WHOLE and judged.billed <= self.most_billed:
            judged = replace(judged, events=(), run=replace(judged.run, did=()))
        self.most_billed = max(self.most_billed, judged.billed)
        self.seen.runs.append(judged)

    def _random(self) -> None:
        """Draw schedules only where not all of them were gone through."""
        if not self.seen.complete:
            super()._random()


def _why_cut(went: Went) -> str:
    if went.cut:
        return "time passes no more than a few times in a run while requests are held"
    if went.run.ended in ("hung", "requests", "signal"):
        return "some runs did not come to their end"
    return ""
