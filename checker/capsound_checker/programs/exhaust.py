"""Every program of a small scope, shortest first, on the implementation itself.

Breadth-first over what an implementation can be brought to: two programs that leave it, and the books of the
model, in the same state need not both be continued. The state of the implementation is read structurally,
attribute by attribute, so that a hidden flag keeps two states apart. What is found is the shortest possible
within the scope; when nothing is found, the scope is what was shown.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from capsound.adapter import Adapter
from capsound.errors import CapsoundError
from capsound_checker.programs.asking import AdapterFailed
from capsound_checker.programs.driven_calls import provider_file
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.misuse import BAD_AMOUNTS, BAD_FOR_STRICT, PROBED
from capsound_checker.programs.observing import balances
from capsound_checker.programs.program import Step, possible


@dataclass(frozen=True, slots=True)
class Bounds:
    """The scope: how many of what, which amounts, and how many steps at most."""

    steps: int = 6
    caps: tuple[int, ...] = (1, 2)
    amounts: tuple[int, ...] = (0, 1, 2)
    over: tuple[int, ...] = (1,)
    """By how much a bill may be above its hold; empty under A1."""
    accounts: int = 3
    holds: int = 2
    roots: int = 1
    runs: int = 200_000


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What was found: the shortest program that shows it, or none; ``complete`` up to ``steps`` steps."""

    program: tuple[Step, ...] | None
    steps: int
    runs: int
    complete: bool


class Opaque(CapsoundError):
    """The state of an implementation cannot be read, so that no two states can be told to be the same."""

    name = "opaque-state"


def shortest(
    adapter: type[Adapter],
    shows: Callable[[Lockstep], bool],
    bounds: Bounds = Bounds(),
    only: Sequence[str] | None = None,
) -> Exhausted:
    """Return the shortest program of the scope whose run ``shows`` accepts.

    ``only`` limits the kinds of steps. The search is complete for the scope unless ``runs`` is used up.
    """
    kinds = possible(adapter) if only is None else possible(adapter) & set(only)
    level: list[tuple[Step, ...]] = [(Step("open", amount=cap),) for cap in bounds.caps]
    seen: set[object] = set()
    runs = 0
    for depth in range(1, bounds.steps + 1):
        following: list[tuple[Step, ...]] = []
        for program in level:
            if runs >= bounds.runs:
                return Exhausted(None, depth - 1, runs, complete=False)
            runs += 1
            run = Lockstep(adapter())
            try:
                for step in program:
                    run.do(step)
                key = None if run.spoiled else (_books(run), fingerprint(run))
                steps = () if run.spoiled or depth == bounds.steps else tuple(_next(run, kinds, bounds))
                run.finish()
            except AdapterFailed:
                continue
            finally:
                run.drop()
            if len(run.steps) != len(program):
                continue
            if shows(run):
                return Exhausted(program, depth, runs, complete=True)
            if key is None or key in seen:
                continue
            seen.add(key)
            following += [(*program, step) for step in steps]
        level = following
    return Exhausted(None, bounds.steps, runs, complete=True)


def _books(run: Lockstep) -> object:
    state = run.state
    return (
        tuple((a.id, a.parent, a.billed, *balances(a)) for a in state.accounts.values()),
        tuple((h.id, h.account, h.amount, h.state, h.billed) for h in state.holds.values()),
        tuple((c.hold, c.place, c.outcome) for c in run.calls.values()),
        tuple(f.anomaly for f in run.findings),
        tuple(sorted(run.clones)),
    )


def _next(run: Lockstep, kinds: frozenset[str], bounds: Bounds) -> Iterator[Step]:
    """Yield every step of the scope that is possible after a run."""
    accounts = list(run.scopes)
    new_account, new_hold = run.accounts, run.holds
    unresolved = run.held + run.sent
    if "open" in kinds and run.roots < bounds.roots:
        yield from (Step("open", new=new_account, amount=cap) for cap in bounds.caps)
    if new_hold < bounds.holds:
        for on in accounts:
            if "reserve" in kinds:
                yield from (Step("reserve", new_hold % 2, on, new_hold, amount) for amount in bounds.amounts)
            if "begin" in kinds:
                for amount in bounds.amounts:
                    yield from (Step("begin", new_hold % 2, on, new_hold, amount, b) for b in _bills(amount, bounds))
    for on in run.handles:
        if "send" in kinds:
            yield from (Step("send", on % 2, on, bill=b) for b in _bills(max(0, run.room(on)), bounds))
        for do in ("settle", "release", "forfeit"):
            if do in kinds:
                yield Step(do, on % 2, on)
        if "extend" in kinds:
            yield from (Step("extend", on % 2, on, amount=amount) for amount in bounds.amounts)
    if "clone_hold" in kinds:
        for on in unresolved:
            yield Step("clone_hold", on % 2, on, amount=0)
            yield Step("clone_hold", on % 2, on, amount=1)
    for on in accounts:
        if "delegate" in kinds and new_account < bounds.accounts:
            yield from (Step("delegate", 0, on, new_account, amount) for amount in bounds.amounts)
        if "close" in kinds:
            yield Step("close", 0, on)
        if "merge" in kinds:
            yield from (Step("merge", 0, on, source) for source in accounts)
        if "clone_scope" in kinds:
            yield Step("clone_scope", 0, on, new_account, amount=0)
            yield Step("clone_scope", 0, on, new_account, amount=1)
    for on in run.at_provider:
        yield from (Step(do, on % 2, on) for do in ("reply", "fail", "cancel", "crash") if do in kinds)
    for on in run.waiting:
        yield from (Step(do, on % 2, on) for do in ("cancel", "crash") if do in kinds)
    if "step" in kinds:
        yield from (Step("step", on % 2, on) for on in run.waiting)
    if "bad" in kinds:
        values = BAD_FOR_STRICT if run.adapter.strict else BAD_AMOUNTS
        for operation, name in enumerate(PROBED):
            if name in run.offers:
                pool = unresolved if name in ("settle", "extend") else accounts
                yield from (Step("bad", 0, on, operation, value) for on in pool[:1] for value in range(len(values)))


def _bills(room: int, bounds: Bounds) -> list[int]:
    return sorted({0, room, *(room + over for over in bounds.over)})


# ------------------------------------------------------------------------------ the state of somebody's objects


def fingerprint(run: Lockstep) -> object:
    """Return the state of everything that the adapter and its handles reach, as nested tuples.

    Raises ``Opaque`` for what cannot be read, such as an object of an extension module.
    """
    names: dict[int, int] = {}
    keep: list[Any] = []
    return _read([run.adapter, run.scopes, run.handles, run.clones, _calls(run)], names, keep)


def _calls(run: Lockstep) -> list[Any]:
    """Return where each coroutine of the library is suspended, and its local variables."""
    out: list[Any] = []
    for call in run.calls.values():
        inner: Any = call.coroutine
        while getattr(inner, "cr_frame", None) is not None and inner.cr_code.co_filename != provider_file():
            local = {k: v for k, v in inner.cr_frame.f_locals.items() if not callable(v)}
            out.append((call.hold, inner.cr_frame.f_lasti, local))
            inner = inner.cr_await
    return out


_PLAIN = (int, float, complex, str, bytes, bool, type(None), Enum)
_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


def _read(value: Any, names: dict[int, int], keep: list[Any]) -> object:
    """Return a value as a tuple; an object met before is told by the number it was given first."""
    if isinstance(value, _PLAIN):
        return (type(value).__name__, repr(value))
    if isinstance(value, _CODE):
        return getattr(value, "__qualname__", repr(value))
    if id(value) in names:
        return ("again", names[id(value)])
    names[id(value)] = len(names)
    keep.append(value)  # so that no other object is given the same id meanwhile
    if isinstance(value, dict):
        return ("dict", tuple((_read(k, names, keep), _read(v, names, keep)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(_read(v, names, keep) for v in value))
    if isinstance(value, set | frozenset):
        return ("set", tuple(sorted(repr(_read(v, names, keep)) for v in value)))
    if type(value).__module__ in ("_thread", "threading"):
        return (type(value).__name__, _locked(value))
    parts: list[tuple[str, object]] = []
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            name = f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") else slot
            if hasattr(value, name):
                parts.append((name, _read(getattr(value, name), names, keep)))
    parts += [(k, _read(v, names, keep)) for k, v in getattr(value, "__dict__", {}).items()]
    if not parts and not hasattr(value, "__dict__") and not hasattr(type(value), "__slots__"):
        raise Opaque(
            f"the state of a {type(value).__name__} cannot be read",
            hint="the exhaustive search of programs needs an implementation made of plain Python objects",
        )
    return (type(value).__name__, tuple(parts))


def _locked(lock: Any) -> str:
    locked = getattr(lock, "locked", None)
    return str(locked()) if locked is not None else repr(lock).split(" at ")[0]
