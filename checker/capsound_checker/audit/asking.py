"""How a log is judged: what everybody who judges some of it has to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from capsound_checker.audit.audited import Shown
from capsound_checker.audit.auditing import Auditor
from capsound_checker.audit.capsfile import Ceiling
from capsound_checker.audit.rules import LogMapping


@dataclass(frozen=True, slots=True)
class Asked:
    """How a log is judged: what everybody has to know of it. The fields are as in ``audit``."""

    name: str
    cap: int | None = None
    bills: str = "auto"
    lenient: bool = False
    memory: int = 10_000
    show: int = 5
    assume: frozenset[str] = frozenset()
    what_if: tuple[int, ...] = ()
    drawn: bool = False
    ceilings: tuple[Ceiling, ...] = ()
    fast: bool = True

    def auditor(
        self,
        mapping: LogMapping | None = None,
        notes: tuple[str, ...] = (),
        tell: Callable[[Shown], object] | None = None,
    ) -> Auditor:
        """Return an auditor that has seen nothing; the rest is as in ``audit``."""
        begun = Auditor(
            self.name,
            mapping,
            self.cap,
            self.bills,
            self.lenient,
            self.memory,
            self.show,
            tell,
            self.assume,
            notes,
            self.what_if,
            self.drawn,
            self.ceilings,
        )
        begun.fast = self.fast
        return begun
