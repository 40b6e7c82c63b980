"""What is wrong with a scenario file, where, and the cure: collected, sorted, and shown with the lines quoted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, printable
from capsound.loading.words import some
from capsound.positions import KeyPath, Place, Positions

_SHOWN, _QUOTED, _HINTED = 8, 3, 40
_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file: what, where (line 0: the file as a whole), and the cure."""

    message: str
    line: int
    column: int
    hint: str = ""
    source: str = ""


class BadScenario(CapsoundError):
    """A scenario file cannot be used; ``problems`` says everything that is wrong with it, in file order."""

    name = "bad-scenario"
    exit_status = EXIT_BAD_INPUT

    def __init__(self, path: str, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(problems)
        first = self.problems[0]
        where = f"{path}:{first.line}:{first.column}" if first.line else path
        super().__init__(first.message, hint=first.hint, where=where)

    def __reduce__(self) -> tuple[type[BadScenario], tuple[str, tuple[Problem, ...]]]:
        return type(self), (self.path, self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - 1
        rest = f" (and {some(more, 'more problem')})" if more else ""
        return f"{self.message} at {self.where}{'; ' if self.hint else ''}{self.hint}{rest} [{self.name}]"

    def render(self) -> str:
        """Return what a person should see, on one screen: the first problems with their lines quoted."""
        lines = [f"{self.path} has {some(len(self.problems), 'problem')} [{self.name}]"]
        for number, problem in enumerate(self.problems[:_SHOWN]):
            where = f"{self.path}:{problem.line}:{problem.column}" if problem.line else self.path
            if number >= _QUOTED:
                lines.append(f"{where}: {problem.message}{'; ' if problem.hint else ''}{problem.hint}")
                continue
            lines += ["", f"{where}: {problem.message}", *quote(problem)]
            if problem.hint:
                lines.append(f"      = {problem.hint}")
            if number == _QUOTED - 1 and len(self.problems) > _QUOTED:
                lines.append("")
        if len(self.problems) > _SHOWN:
            lines.append(f"and {len(self.problems) - _SHOWN} more")
        return "\n".join(lines)


class Notes:
    """What was found wrong so far, and where things stand in the text.

    ``blamed`` are the values that were found wrong already, ``misspelt`` the keys that a misspelt one was meant for.
    What is in the place of a blamed value is a stand-in, which nobody blames; ``lost`` says that some name is one, or
    missing, so that what refers to it may be right.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.places = Positions(text)
        self._lines = text.split("\n")
        self._problems: dict[Problem, None] = {}
        self.blamed: set[KeyPath] = set()
        self.misspelt: set[KeyPath] = set()
        self.lost = False

    def at(self, place: Place, message: str, hint: str = "") -> None:
        """Blame a place in the text."""
        source = self._lines[place.line - 1] if 0 < place.line <= len(self._lines) else ""
        self._problems[Problem(message, place.line, place.column, hint, source)] = None

    def value(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Blame the value at ``path``, unless it is a stand-in."""
        if not self._is_stand_in(path):
            self.at(self.places.value(path), message, hint)

    def key(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Blame the key at ``path``, unless it holds a stand-in."""
        if not self._is_stand_in(path):
            self.at(self.places.key(path), message, hint)

    def _is_stand_in(self, path: KeyPath) -> bool:
        return any(path[:length] in self.blamed for length in range(1, len(path) + 1))

    @property
    def found(self) -> bool:
        """Whether anything was found."""
        return bool(self._problems)

    def error(self) -> BadScenario:
        """Return all that was found, as what to raise."""
        in_order = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        return BadScenario(self.path, in_order)

    def gate(self) -> None:
        """Raise what was found, if anything was."""
        if self._problems:
            raise self.error()

    @property
    def hints_left(self) -> bool:
        """Whether the nearest name is still looked for: nobody reads the fortieth, and it takes time."""
        return len(self._problems) < _HINTED


def quote(problem: Problem) -> Iterator[str]:
    """Yield the line of a problem and a caret below it; of a long line the part around the caret."""
    if not problem.line or not problem.source.strip():
        return
    line, place = problem.source, problem.column - 1
    start = max(0, place - _WIDTH // 2) if len(line) > _WIDTH else 0
    end = start + _WIDTH
    left, right = "…" if start else "", "…" if end < len(line) else ""
    shown, before = left + line[start:end] + right, left + line[start:place]
    margin = f"{problem.line:>5} | "
    yield margin + printable(shown.replace("\t", " ")).rstrip()
    yield " " * (len(margin) - 2) + "| " + " " * sum(map(_columns, printable(before.replace("\t", " ")))) + "^"


def _columns(sign: str) -> int:
    """Return how many columns of a terminal one character takes."""
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
