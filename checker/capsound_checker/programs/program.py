"""Programs: what is done to an implementation, step by step, and how bytes become a program.

A program is a list of ``Step``; it holds no handles, only numbers given when something was created, so that any
step can be left out: what refers to nothing is skipped. ``decode`` is the one place where chance becomes a
step; the fast driver feeds it random bytes, Hypothesis feeds it bytes that it can shrink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from capsound.adapter import Adapter, Gate, offers
from capsound_checker.programs import clock
from capsound_checker.programs.timing import timing


class Step(NamedTuple):
    """One step of one agent.

    ``on`` is the number of the account or hold that it is about, ``new`` that of what it creates (for ``merge``
    the source, for ``bad`` which operation is probed), ``amount`` and ``bill`` are in units; the ``amount`` of a
    ``turn`` is how many micro-tasks lie between the calls that follow it, that of a ``tick`` how many seconds pass.
    """

    do: str
    agent: int = 0
    on: int = 0
    new: int = 0
    amount: int = 0
    bill: int = 0


Program = Sequence[Step]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "open": ("new", "amount"),
    "delegate": ("on", "new", "amount", "agent"),
    "ceiling": ("on", "new", "amount", "agent"),
    "close": ("on", "agent"),
    "merge": ("on", "new", "agent"),
    "reserve": ("on", "new", "amount", "agent"),
    "send": ("on", "bill", "agent"),
    "bill": ("on", "bill", "agent"),
    "settle": ("on", "agent"),
    "extend": ("on", "amount", "agent"),
    "release": ("on", "agent"),
    "forfeit": ("on", "agent"),
    "begin": ("on", "new", "amount", "bill", "agent"),
    "turn": ("amount",),
    "tick": ("amount",),
    "step": ("on", "agent"),
    "reply": ("on", "agent"),
    "fail": ("on", "agent"),
    "cancel": ("on", "agent"),
    "crash": ("on", "agent"),
    "clone_hold": ("on", "amount", "agent"),
    "clone_scope": ("on", "new", "amount", "agent"),
    "bad": ("on", "new", "amount", "agent"),
}
"""Which fields of a step mean something, by what it does; the order in which they are printed."""

NEEDS: Mapping[str, frozenset[str]] = {
    "open": frozenset({"open"}),
    "delegate": frozenset({"delegate"}),
    "ceiling": frozenset({"ceiling"}),
    "close": frozenset({"delegate", "close"}),
    "merge": frozenset({"delegate", "merge"}),
    "extend": frozenset({"reserve", "extend"}),
    "release": frozenset({"reserve", "release"}),
    "forfeit": frozenset({"reserve", "forfeit"}),
    "begin": frozenset({"call"}),
    "turn": frozenset({"call"}),
    "step": frozenset({"call"}),
    "reply": frozenset({"call"}),
    "fail": frozenset({"call"}),
    "cancel": frozenset({"call"}),
    "crash": frozenset({"call"}),
    "clone_scope": frozenset({"reserve", "spent", "remaining"}),
}
"""Which operations a step cannot do without, beside those of the gate."""

GATES: Mapping[Gate, tuple[frozenset[str], frozenset[str]]] = {
    Gate.RESERVE: (frozenset({"reserve"}), frozenset({"settle"})),
    Gate.CHARGE: (frozenset({"charge"}), frozenset()),
    Gate.CHECK: (frozenset({"check"}), frozenset({"record"})),
    Gate.RECORD: (frozenset(), frozenset({"record"})),
}
"""What admission and settlement need, by gate; the gate ``call`` does both at once."""


def possible(adapter: Adapter | type[Adapter]) -> frozenset[str]:
    """Return the kinds of steps that an adapter can be asked for."""
    mine = offers(adapter)
    out = {do for do, needs in NEEDS.items() if needs <= mine}
    if adapter.gate is not Gate.CALL:
        admit, tell = GATES[adapter.gate]
        out |= {"reserve", "send"} if admit <= mine else set()
        out |= {"settle"} if tell <= mine else set()
        out |= {"clone_hold"} if "reserve" in mine else set()
    else:
        out -= {"clone_scope", "release", "forfeit", "extend"}  # the library keeps the holds to itself
    if not takes_turns(adapter):
        out.discard("turn")
    if clock.installed() or timing(adapter) is not None:
        out.add("tick")
    if timing(adapter) is not None and {"send", "begin"} & out:
        out.add("bill")
    return frozenset(out | {"bad"})


def takes_turns(adapter: Adapter | type[Adapter]) -> bool:
    """Whether an adapter can do several things in one turn of an event loop that is not ours (``turns``)."""
    return bool(getattr(adapter, "turns", False))


@dataclass(frozen=True)
class Profile:
    """What kind of programs to make: which steps how often, how large, and what the provider may do.

    ``overlap`` is False where a call ends before the next is admitted; ``a1`` is True where no bill is above its
    hold. ``misuse`` is how many of 64 steps pick a handle that is used up.
    """

    name: str
    weights: Mapping[str, int]
    caps: tuple[int, ...] = (4, 3, 6, 1, 9, 0)
    amounts: tuple[int, ...] = (1, 2, 0, 3, 4, 5, 6, 9)
    length: int = 24
    agents: int = 3
    accounts: int = 6
    roots: int = 1
    holds: int = 12
    overlap: bool = True
    a1: bool = True
    misuse: int = 4

    def table(self, adapter: Adapter | type[Adapter]) -> tuple[str, ...]:
        """Return 256 kinds of steps, each as often as its weight says; those not possible are left out."""
        can = possible(adapter)
        chosen = [(do, weight) for do, weight in self.weights.items() if do in can and weight]
        total = sum(weight for _, weight in chosen)
        out: list[str] = []
        seen = 0
        for do, weight in chosen:
            seen += weight
            out += [do] * (256 * seen // total - len(out))
        return tuple(out)


class View(Protocol):
    """What ``decode`` has to know of a run: the numbers of what can be used now."""

    @property
    def opened(self) -> list[int]:
        """The accounts in use."""
        ...

    @property
    def closed(self) -> list[int]:
        """The accounts that were closed or merged."""
        ...

    @property
    def held(self) -> list[int]:
        """The holds whose request has not left."""
        ...

    @property
    def sent(self) -> list[int]:
        """The holds whose request has left."""
        ...

    @property
    def used(self) -> list[int]:
        """The holds that are resolved."""
        ...

    @property
    def at_provider(self) -> list[int]:
        """The calls of the library that wait for the provider."""
        ...

    @property
    def waiting(self) -> list[int]:
        """The calls of the library that are suspended anywhere else."""
        ...

    @property
    def accounts(self) -> int:
        """How many accounts were created."""
        ...

    @property
    def holds(self) -> int:
        """How many holds were created."""
        ...

    @property
    def roots(self) -> int:
        """How many roots were opened."""
        ...

    def room(self, hold: int) -> int:
        """Return what the bills under a hold can still grow by without exceeding it."""
        ...

    def amount(self, hold: int) -> int:
        """Return what a hold keeps."""
        ...

    def passing(self, choice: int) -> int:
        """Return how many seconds a tick lets pass, by a number that was drawn."""
        ...


def decode(view: View, profile: Profile, do: str, a: int, b: int, c: int, *, strict: bool) -> Step | None:
    """Return the step that three bytes stand for, or None where there is nothing to do it on.

    Small bytes mean the first agent, the first handle and the first amounts of the profile, so that bytes
    shrink towards few agents and small amounts.
    """
    agent = a % profile.agents
    pick = a // 8
    amount = profile.amounts[b % len(profile.amounts)]
    misuse = c % 64 >= 64 - profile.misuse
    if do == "reserve" or do == "begin":
        if view.holds >= profile.holds or _busy(view, profile):
            return None
        pool = view.closed if misuse and view.closed else view.opened
        if not pool:
            return None
        if do == "reserve":
            return Step("reserve", agent, pool[pick % len(pool)], view.holds, amount)
        bill = _bill(amount, amount, c, profile)
        return Step("begin", agent, pool[pick % len(pool)], view.holds, amount, bill)
    if do == "turn":
        return Step("turn", amount=_BETWEEN[b % len(_BETWEEN)]) if profile.overlap else None
    if do == "tick":
        return Step("tick", amount=view.passing(b))
    if do == "bill":
        pool = [hold for hold in (view.sent or view.at_provider) if view.room(hold) > 0 or not profile.a1]
        if not pool:
            return None
        hold = pool[pick % len(pool)]
        return Step("bill", agent, hold, bill=_bill(view.room(hold), view.amount(hold), c, profile))
    if do == "send":
        if misuse and view.used:
            hold = view.used[pick % len(view.used)]
            return Step("send", agent, hold, 0, 0, 0)
        pool = view.held or view.sent
        if not pool:
            return None
        hold = pool[pick % len(pool)]
        return Step("send", agent, hold, bill=_bill(view.room(hold), view.amount(hold), c, profile))
    if do in ("settle", "forfeit"):
        pool = view.sent
        if misuse:
            pool = view.used if c % 2 or not strict else view.held
        return Step(do, agent, pool[pick % len(pool)]) if pool else None
    if do == "release":
        pool = view.held
        if misuse:
            pool = view.sent if c % 2 else view.used
        return Step(do, agent, pool[pick % len(pool)]) if pool else None
    if do == "extend":
        pool = view.sent if c % 4 else view.held
        if misuse:
            pool = view.used
        return Step(do, agent, pool[pick % len(pool)], amount=amount) if pool else None
    if do == "ceiling":
        if view.accounts >= profile.accounts:
            return None
        return Step(do, agent, view.opened[pick % len(view.opened)], view.accounts, profile.caps[b % len(profile.caps)])
    if do == "delegate":
        if view.accounts >= profile.accounts:
            return None
        pool = view.closed if misuse and view.closed else view.opened
        return Step(do, agent, pool[pick % len(pool)], view.accounts, amount) if pool else None
    if do == "close":
        pool = view.closed if misuse else view.opened
        if c % 8 and len(pool) > 1 and not misuse:
            pool = pool[1:]  # rarely the first root: the program would be over
        return Step(do, agent, pool[pick % len(pool)]) if pool else None
    if do == "merge":
        pool = view.opened + view.closed if misuse else view.opened
        return Step(do, agent, pool[pick % len(pool)], pool[b % len(pool)]) if pool else None
    if do in ("reply", "fail", "cancel", "crash"):
        pool = view.at_provider
        if do in ("cancel", "crash") and (misuse or not pool):
            pool = view.waiting
        return Step(do, agent, pool[pick % len(pool)]) if pool else None
    if do == "step":
        pool = view.waiting
        return Step(do, agent, pool[pick % len(pool)]) if pool else None
    if do == "open":
        if view.roots >= profile.roots:
            return None
        return Step("open", 0, 0, view.accounts, profile.caps[b % len(profile.caps)])
    if do == "clone_hold":
        pool = view.held or view.sent
        return Step(do, agent, pool[pick % len(pool)], amount=b % 2) if pool else None
    if do == "clone_scope":
        pool = view.opened
        return Step(do, agent, pool[pick % len(pool)], view.accounts, amount=b % 2) if pool else None
    pool = view.opened if c % 2 else (view.held or view.sent)
    return Step("bad", agent, pool[pick % len(pool)], 2 * (b % 4) + (not c % 2), b // 4) if pool else None


_BETWEEN = (0, 0, 1, 0, 2, 0, 3, 4)
"""How many micro-tasks lie between the calls of one turn."""


def _busy(view: View, profile: Profile) -> bool:
    """Whether a call is under way and the profile wants the next to wait for its end."""
    return not profile.overlap and bool(view.held or view.sent or view.at_provider or view.waiting)


def _bill(room: int, held: int, c: int, profile: Profile) -> int:
    """Return a bill: often all of the hold, and above it only where A1 is off."""
    room = max(0, room)
    if not profile.a1 and c % 4 == 3:
        return held + 1 + c // 32
    return (room, 0, c // 4 % (room + 1), room)[c % 4]


CALLS = {"reserve": 10, "send": 9, "settle": 8, "release": 4, "begin": 10, "turn": 4, "reply": 8, "step": 4}
TREES = {"open": 1, "delegate": 5, "close": 4, "merge": 2}
FAULTS = {"forfeit": 3, "fail": 3, "cancel": 3, "crash": 2}

SEQUENTIAL = Profile("sequential", {**CALLS, "extend": 8}, overlap=False, misuse=3)
CONCURRENT = Profile("concurrent", {**CALLS, "extend": 3}, misuse=3)
DELEGATED = Profile("delegated", {**CALLS, **TREES, "extend": 2}, roots=2, misuse=4)
FAULTY = Profile("faults", {**CALLS, **TREES, **FAULTS, "extend": 2}, roots=2, misuse=6)
OVERRUNS = Profile("overruns", {**CALLS, **TREES, **FAULTS, "extend": 2}, a1=False, roots=2)
STREAMS = Profile("streaming", {"reserve": 6, "send": 6, "extend": 12, "settle": 5, "forfeit": 1, "release": 1})
MISUSE = Profile("misuse", {**CALLS, **TREES, **FAULTS, "extend": 2, "clone_hold": 3, "clone_scope": 2}, misuse=24)
AMOUNTS = Profile("bad amounts", {"reserve": 6, "send": 4, "settle": 2, "delegate": 2, "bad": 12}, misuse=0)
DEEP = Profile("deep slices", {"reserve": 2, "delegate": 10, "merge": 5, "close": 2}, (9,), (3, 2, 1, 6), accounts=9)
STOPS = Profile("stops", {**CALLS}, overlap=False, a1=False, misuse=0)

PROFILES: Mapping[str, Profile] = {
    p.name: p for p in (STOPS, SEQUENTIAL, CONCURRENT, DELEGATED, FAULTY, OVERRUNS, STREAMS, DEEP, MISUSE, AMOUNTS)
}

SMALL_CHANGE = Profile(
    "amounts to a thousand",
    {**CALLS},
    (10, 100, 101, 1_000),
    (10, 9, 1, 50, 99, 100, 101, 11, 500, 999, 1_000, 0),
    misuse=0,
)
LARGE = Profile(
    "amounts from 2^31",
    {**CALLS},
    (2**31, 2**53 + 2, 2**63, 2**53),
    (2**31 - 1, 2**31, 2**53, 1, 2**53 + 1, 2**63 - 1, 2**30, 2**63),
    misuse=0,
)
PASSING = Profile("time passes", {**CALLS, "tick": 12, "forfeit": 1}, misuse=0)

UNSEEN = Profile("unseen", {**CALLS, "forfeit": 1}, misuse=0)

TIMED = {**CALLS, "reserve": 12, "begin": 12, "extend": 2, "tick": 8, "bill": 7}
WINDOWS = tuple(
    Profile(f"windows, {name}", weights, (3, 2, 4, 1, 6), (1, 2, 1, 3, 2, 4), 32, 3, overlap=overlap, a1=a1, misuse=0)
    for name, weights, overlap, a1 in (
        ("stops", {**CALLS, "tick": 9}, False, False),
        ("sequential", TIMED, False, True),
        ("concurrent", TIMED, True, True),
        ("faults", {**TIMED, **FAULTS}, True, True),
        ("overruns", {**TIMED, **FAULTS}, True, False),
    )
)
"""What is tried of an adapter with a window: time passes around its ends, with and without calls in flight."""

CEILINGS = tuple(
    Profile(
        f"ceilings, {name}",
        {**TIMED, **more, "ceiling": 6},
        (4, 3, 2, 6),
        (1, 2, 3, 4, 1),
        32,
        3,
        3,
        1,
        overlap=overlap,
        a1=a1,
        misuse=0,
    )
    for name, more, overlap, a1 in (
        ("sequential", {}, False, True),
        ("concurrent", {}, True, True),
        ("faults", FAULTS, True, True),
        ("overruns", FAULTS, True, False),
    )
)
"""What is tried of an adapter with several ceilings over one call, in time where it has a window."""

BEYOND: Mapping[str, Profile] = {p.name: p for p in (SMALL_CHANGE, LARGE, PASSING, UNSEEN, *WINDOWS, *CEILINGS)}
"""What is varied beyond small amounts and the moment: amounts at boundaries, a clock that moves, and where it runs."""


def written(steps: Iterable[Step], target: str = "MyAdapter", module: str = "my_adapter") -> str:
    """Return a program as Python that can be pasted: it does the steps and prints what the monitor says."""
    lines = [
        "from capsound_checker.lockstep import Lockstep",
        f"from {module} import {target}",
        "",
        f"run = Lockstep({target}())",
    ]
    lines += [f"run.{call(step)}" for step in steps]
    return "\n".join([*lines, "print(run.story())", ""])


def call(step: Step) -> str:
    """Return one step as a call: ``reserve(on=0, new=1, amount=3)``; an agent only where it is not the first."""
    fields = [f"{name}={getattr(step, name)}" for name in FIELDS[step.do] if name != "agent" or step.agent]
    return f"{step.do}({', '.join(fields)})"
