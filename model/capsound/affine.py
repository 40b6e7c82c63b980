"""Handle programs, and the linearity check that rejects a second use before anything runs.

An agent's ``program`` is a list of operations on handles of accounts::

    delegate root 20 -> b      # a slice of 20 leaves root; b is its handle
    call b -> c                # one call on b; c is the handle of what is left
    call c                     # one call on c; the handle is used up
    close c                    # what is left of c goes back where it came from

``root`` (and every slice of the scenario) is shared: any number of agents may use it. Every other handle is
affine: it is used at most once (arXiv 2606.04056; design section 2, `use-after-move`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from capsound.errors import EXIT_BAD_INPUT, CapsoundError


class BadProgram(CapsoundError):
    """A line of a program that is not an operation, or that names a handle that does not exist."""

    name = "bad-program"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: ``verb`` on ``handle``, ``amount`` for delegate, ``result`` the new handle if any."""

    verb: str
    handle: str
    amount: int | None = None
    result: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reuse:
    """A handle used a second time: in ``line`` (from 1), although ``moved_in`` had used it up."""

    handle: str
    line: int
    moved_in: int
    text: str
    moved_by: str

    @property
    def reason(self) -> str:
        """Why the program is rejected, in words."""
        return (
            f"line {self.line} ({self.text}) uses {self.handle!r}, "
            f"which line {self.moved_in} ({self.moved_by}) has already used up"
        )


_NAME = r"[A-Za-z_][\w.-]*"
_FORMS = (
    re.compile(rf"(?P<verb>delegate)\s+(?P<handle>{_NAME})\s+(?P<amount>\d+)\s*->\s*(?P<result>{_NAME})"),
    re.compile(rf"(?P<verb>call)\s+(?P<handle>{_NAME})(?:\s*->\s*(?P<result>{_NAME}))?"),
    re.compile(rf"(?P<verb>close)\s+(?P<handle>{_NAME})"),
)


def parse_program(lines: Iterable[str], shared: Collection[str]) -> tuple[Op, ...]:
    """Return the operations of a program whose ``shared`` accounts exist from the start.

    Raises ``BadProgram`` for a line that is no operation, an unknown handle, or a name given twice.
    """
    ops: list[Op] = []
    known = set(shared)
    for number, line in enumerate(lines, start=1):
        match = next((m for form in _FORMS if (m := form.fullmatch(line.strip()))), None)
        if match is None:
            raise BadProgram(
                f"line {number} of the program, {line!r}, is not an operation",
                hint="delegate A 20 -> B | call A | call A -> B | close A",
            )
        found = match.groupdict()
        op = Op(
            found["verb"],
            found["handle"],
            int(found["amount"]) if found.get("amount") else None,
            found.get("result"),
            line.strip(),
        )
        if op.handle not in known:
            raise BadProgram(
                f"line {number} of the program uses {op.handle!r}, which no earlier line makes",
                hint=f"known here: {', '.join(sorted(known))}",
            )
        if op.result is not None:
            if op.result in known:
                raise BadProgram(
                    f"line {number} of the program makes {op.result!r} a second time",
                    hint="give every handle a name of its own",
                )
            known.add(op.result)
        ops.append(op)
    return tuple(ops)


def check_linear(ops: Iterable[Op], shared: Collection[str]) -> Reuse | None:
    """Return the first second use of an affine handle, or None when the program is linear.

    A program that passes never resolves a handle twice: every operation consumes its handle, and no later
    operation may name it again.
    """
    moved: dict[str, tuple[int, str]] = {}
    for number, op in enumerate(ops, start=1):
        if op.handle in moved:
            where, by = moved[op.handle]
            return Reuse(op.handle, number, where, op.text, by)
        if op.handle not in shared:
            moved[op.handle] = (number, op.text)
    return None
