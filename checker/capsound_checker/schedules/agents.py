"""Programs of agents: what each calls, how its calls end, which are tried of an adapter, and which are simpler."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

from capsound.adapter import Adapter, Gate, offers
from capsound.errors import CapsoundError
from capsound_checker.programs.program import GATES

T = TypeVar("T")

ENDS = ("reply", "error", "timeout", "never")
"""How the provider ends a call: all of them bill it; ``never`` keeps the agent waiting until it gives up."""


class BadProgram(CapsoundError):
    """A written program of agents is not one."""

    name = "bad-program"
    exit_status = 65


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an agent: what it is estimated at, what it is billed, and how it ends, one of ``ENDS``."""

    estimate: int
    bill: int
    ends: str = "reply"


@dataclass(frozen=True, slots=True)
class Program:
    """What the agents do: the calls of each, in units of the cap.

    ``cancels`` is how many cancellations may come, each at any point at which an agent is suspended. With ``slice``,
    so much is delegated first; the first ``sliced`` agents work on the slice, and the last of them to end closes it.
    """

    cap: int
    agents: tuple[tuple[Call, ...], ...]
    cancels: int = 0
    slice: int | None = None
    sliced: int = 0

    def __str__(self) -> str:
        """Return the program in words."""
        out: list[str] = []
        for calls, group in groupby(self.agents):
            count = len(list(group))
            listed = ", then ".join(
                f"{c.estimate} billed {c.bill}" + ("" if c.ends == "reply" else f" ({c.ends})") for c in calls
            )
            out.append(f"{count} agent{'s' if count > 1 else ''} with {listed}")
        more = f"; {self.cancels} cancelled anywhere" if self.cancels else ""
        part = "" if self.slice is None else f"; the first {self.sliced} on a slice of {self.slice}"
        return f"cap {self.cap}: {'; '.join(out)}{part}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return the program as plain JSON data."""
        agents = [[[call.estimate, call.bill, call.ends] for call in calls] for calls in self.agents]
        data: dict[str, Any] = {"cap": self.cap, "agents": agents}
        if self.cancels:
            data["cancels"] = self.cancels
        if self.slice is not None:
            data |= {"slice": self.slice, "sliced": self.sliced}
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Program:
        """Return the program that ``data`` describes. Raises ``BadProgram``."""
        try:
            agents = tuple(tuple(Call(_whole(e), _whole(b), ends) for e, b, ends in calls) for calls in data["agents"])
            part = data.get("slice")
            made = Program(
                _whole(data["cap"]),
                agents,
                _whole(data.get("cancels", 0)),
                None if part is None else _whole(part),
                _whole(data.get("sliced", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadProgram(f"this is no program of agents: {error}", hint=_FORM) from None
        if odd := [call.ends for calls in agents for call in calls if call.ends not in ENDS]:
            raise BadProgram(f"a call cannot end by {odd[0]!r}", hint=f"one of: {', '.join(ENDS)}")
        if not agents or made.sliced > len(agents) or set(data) - {"cap", "agents", "cancels", "slice", "sliced"}:
            raise BadProgram("this is no program of agents", hint=_FORM)
        return made

    def dumps(self) -> str:
        """Return the program as one line of JSON."""
        return json.dumps(self.to_dict())

    @staticmethod
    def loads(text: str) -> Program:
        """Return the program that a line of JSON describes. Raises ``BadProgram``."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise BadProgram(f"this is no JSON: {error}", hint=_FORM) from None
        if not isinstance(data, dict):
            raise BadProgram("this is no program of agents", hint=_FORM)
        return Program.from_dict(data)


_FORM = (
    '{"cap": 3, "agents": [[[2, 2, "reply"]], [[2, 1, "reply"]]]}: estimate, bill and end of each call of each agent'
)


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no whole number from 0")
    return value


def programs(adapter: type[Adapter]) -> tuple[Program, ...]:
    """Return what is tried of an adapter, small before large: what it does not offer is left out."""
    two, less = Call(2, 2), Call(2, 1)
    out = [
        Program(3, ((two, two),)),
        Program(3, ((two,), (two,))),
        Program(3, ((less,), (less,))),
        Program(4, ((Call(3, 1),), (Call(3, 3),))),
        Program(1, ((Call(1, 1), Call(1, 1)), (Call(1, 1),))),
    ]
    if "delegate" in offers(adapter):
        out.append(Program(4, ((two,), (two,), (two,)), slice=2, sliced=2))
        out.append(Program(4, ((less,), (less,), (two,)), slice=3, sliced=2))
    for ends in ("error", "timeout"):
        out.append(Program(3, ((Call(2, 2, ends), Call(1, 1)), (less,))))
        if "delegate" in offers(adapter):
            out.append(Program(4, ((Call(2, 2, ends),), (less,)), slice=3, sliced=2))
    out += [
        Program(3, ((two, two),), cancels=1),
        Program(3, ((two,), (two,)), cancels=1),
        Program(4, ((two, less), (less,)), cancels=1),
        Program(3, ((Call(2, 2, "never"),), (less,))),
        Program(3, ((two,), (two,), (two,))),
        Program(3, ((Call(2, 4),), (two,))),
        Program(6, ((Call(2, 5),), (two, two))),
        Program(4, ((less, less),) * 3),
    ]
    return tuple(out)


def possible(adapter: type[Adapter]) -> bool:
    """Whether the adapter offers what agents need: to admit a call and to tell its cost."""
    mine = offers(adapter)
    if adapter.gate is Gate.CALL:
        return {"open", "call"} <= mine
    admit, tell = GATES[adapter.gate]
    return "open" in mine and admit | tell <= mine


def size(program: Program) -> tuple[int, ...]:
    """Return what programs are compared by: agents, calls, faults, bills above their estimates, numbers."""
    calls = [call for agent in program.agents for call in agent]
    return (
        len(program.agents),
        len(calls),
        program.cancels + sum(call.ends != "reply" for call in calls) + (program.slice is not None),
        sum(call.bill > call.estimate for call in calls),
        program.cap + (program.slice or 0) + sum(c.estimate + c.bill + (3 if not c.estimate else 0) for c in calls),
        program.sliced,
    )


def simpler(program: Program) -> Iterator[Program]:
    """Yield simpler programs: fewer agents, calls and faults first, then smaller numbers."""
    agents = program.agents
    for at in range(len(agents)):
        if len(agents) > 1:
            sliced = program.sliced - (at < program.sliced)
            yield replace(program, agents=agents[:at] + agents[at + 1 :], sliced=sliced)
    for at, calls in enumerate(agents):
        for drop in range(len(calls)):
            if len(calls) > 1:
                yield replace(program, agents=_with(agents, at, calls[:drop] + calls[drop + 1 :]))
    if program.slice is not None:
        yield replace(program, slice=None, sliced=0)
    if program.cancels:
        yield replace(program, cancels=program.cancels - 1)
    for at, calls in enumerate(agents):
        for which, call in enumerate(calls):
            for simpler in _calls(call):
                yield replace(program, agents=_with(agents, at, _with(calls, which, simpler)))
    for unit in (1, 2):
        ones = tuple(tuple(replace(c, estimate=unit, bill=min(c.bill, unit)) for c in calls) for calls in agents)
        yield replace(program, cap=1, agents=ones)
        yield replace(program, cap=unit, agents=ones)
    for less in _below(program.cap):
        yield replace(program, cap=less)
        yield _lowered(program, less - program.cap)
    if program.slice is not None:
        for less in _below(program.slice):
            yield replace(program, slice=less)


def _with(items: tuple[T, ...], at: int, item: T) -> tuple[T, ...]:
    return (*items[:at], item, *items[at + 1 :])


def _calls(call: Call) -> Iterator[Call]:
    if call.ends != "reply":
        yield replace(call, ends="reply")
    if call.bill > call.estimate:
        yield replace(call, bill=call.estimate)
    for less in _below(call.estimate):
        yield replace(call, estimate=less, bill=min(call.bill, less))
        yield replace(call, estimate=less)
    for less in _below(call.bill):
        yield replace(call, bill=less)


def _lowered(program: Program, by: int) -> Program:
    """Return the program with the cap and all amounts that much lower, but not below 0."""
    agents = tuple(
        tuple(replace(c, estimate=max(0, c.estimate + by), bill=max(0, c.bill + by)) for c in calls)
        for calls in program.agents
    )
    part = None if program.slice is None else max(0, program.slice + by)
    return replace(program, cap=max(0, program.cap + by), agents=agents, slice=part)


def _below(value: int) -> Iterator[int]:
    yield from dict.fromkeys(n for n in (1, 0, value // 2, value - 1) if 0 <= n < value)
