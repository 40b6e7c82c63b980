"""Reading the state of somebody's objects, so that two states can be told to be the same.

A state is read structurally: attributes, containers, where each coroutine is suspended with its local variables and
with what it has on its stack, what each future waits for, and the variables of classes, modules and closures that the
code of the implementation can reach. What cannot be read exactly is ``Opaque``: two states of which one does not
know are never taken for one.
"""

# ruff: noqa: ARG001, ARG005  all readers have one form

from __future__ import annotations

import asyncio
import collections
import contextvars
import functools
import gc
import random
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from operator import attrgetter
from typing import Any

from capsound_checker.programs.exhaust import Opaque
from capsound_checker.schedules.eventloop import Handle, Loop

_PLAIN = frozenset({int, float, complex, str, bytes, bool, type(None), type(Ellipsis), type(NotImplemented), range})
_BY_REPR = frozenset(
    {
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("datetime", "datetime"),
        ("datetime", "date"),
        ("datetime", "timedelta"),
        ("datetime", "timezone"),
        ("uuid", "UUID"),
        ("itertools", "count"),
        ("types", "GenericAlias"),
        ("types", "UnionType"),
        ("re", "Pattern"),
        ("pathlib", "PosixPath"),
    }
)
_ITERATORS: frozenset[type] = frozenset(
    {type(iter([])), type(iter(())), type(iter(range(0))), type(iter("")), enumerate}
)
_AWAITED = frozenset({"coroutine_wrapper", "FutureIter", "async_generator_asend", "async_generator_anext_awaitable"})
_OURS = ("capsound", "capsound_checker")
_DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)
_FUTURE = attrgetter("_state", "_result", "_exception", "_callbacks")
_TASK = attrgetter("_must_cancel", "_fut_waiter")
"""Reads what a future and a task of asyncio keep to themselves: that is their state."""

_SHARED_RANDOM: object = attrgetter("__self__")(random.random)
"""The generator that all functions of ``random`` share."""

_SLOTS_MOST = 400
_HEAP_TYPE = 1 << 9
_POINTER = 8


def _package(name: str | None) -> str:
    return (name or "").partition(".")[0]


def _known(name: str | None) -> bool:
    """Whether a module is of the standard library or ours: its variables are no state of an implementation."""
    package = _package(name)
    return package in sys.stdlib_module_names or package in _OURS


def _our_code(code: types.CodeType) -> bool:
    return _our_file(code.co_filename)


@functools.cache
def _our_file(name: str) -> bool:
    return "/capsound_checker/" in name.replace("\\", "/")


class World:
    """The variables outside all objects that some code can reach: of modules, of classes, and of closures.

    Names that only a string spells, as in ``getattr(module, name)``, are not seen.
    """

    def __init__(self) -> None:
        self.slots: list[tuple[str, Callable[[], Any]]] = []
        self.chance = False
        """Whether the code uses ``random``, whose state is then part of every state."""
        self._seen: set[int] = set()
        self._keep: list[Any] = []

    def reach(self, value: Any) -> bool:
        """Walk into a function, a class or a module; return whether ``value`` is one, and so is no state itself."""
        if isinstance(value, types.MethodType):
            return self.reach(value.__func__) and False
        if isinstance(value, classmethod | staticmethod):
            return self.reach(value.__func__)
        if isinstance(value, property):
            for part in (value.fget, value.fset, value.fdel):
                self.reach(part)
            return True
        if not isinstance(value, type | types.FunctionType | types.ModuleType | types.BuiltinFunctionType):
            return isinstance(value, _DESCRIPTORS)
        if id(value) in self._seen:
            return True
        self._seen.add(id(value))
        self._keep.append(value)
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type) and not _known(value.__module__):
            for name, part in list(vars(value).items()):
                if not self.reach(part) and not name.startswith(("__", "_abc_")):
                    self._slot(f"{value.__qualname__}.{name}", functools.partial(_attribute, value, name))
            for base in value.__bases__:
                self.reach(base)
        elif isinstance(value, types.ModuleType) and not _known(value.__name__):
            for name in list(vars(value)):
                self._variable(vars(value), name)
        return True

    def _function(self, function: types.FunctionType) -> None:
        if _known(function.__module__):
            return
        for name in _names(function.__code__):
            self.chance = self.chance or name == "random" or _drawn(function.__globals__.get(name))
            self._variable(function.__globals__, name)
        for held in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            if not self.reach(held):
                self._slot(function.__qualname__, functools.partial(_same, held))
        for cell in function.__closure__ or ():
            if not self.reach(_contents(cell)):
                self._slot(function.__qualname__, functools.partial(_contents, cell))

    def _variable(self, variables: dict[str, Any], name: str) -> None:
        if name in variables and not name.startswith("__") and not self.reach(variables[name]):
            key = id(variables) ^ hash(name)
            if key not in self._seen:
                self._seen.add(key)
                self._slot(name, functools.partial(variables.get, name))

    def _slot(self, name: str, read: Callable[[], Any]) -> None:
        self.slots.append((name, read))
        if len(self.slots) > _SLOTS_MOST:
            raise Opaque("the code reaches too many variables outside its objects", hint="no two states are merged")


def _names(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _names(const)


def _drawn(value: Any) -> bool:
    """Whether a value is a function of the generator that all of ``random`` shares."""
    return getattr(value, "__self__", None) is _SHARED_RANDOM


def _same(value: Any) -> Any:
    return value


def _attribute(cls: type, name: str) -> Any:
    return vars(cls).get(name)


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _in_python(cls: type) -> bool:
    """Whether a class is written in Python: its instances are no larger than what a class statement adds."""
    slots = vars(cls).get("__slots__", ())
    added = 1 if isinstance(slots, str) else len(tuple(slots))
    room = cls.__basicsize__ - (cls.__base__ or object).__basicsize__ - _POINTER * added
    return bool(cls.__flags__ & _HEAP_TYPE) and room <= 2 * _POINTER  # its dictionary, and weak references


class Reader:
    """Turns values into nested tuples; an object met again is told by the number that it was given first."""

    def __init__(self, world: World, loop: Loop | None = None, names: dict[int, object] | None = None) -> None:
        self.world = world
        self.loop = loop
        self.names: dict[int, object] = {} if names is None else names
        self.keep: list[Any] = []

    def fork(self) -> Reader:
        """Return a reader that knows what this one has met, and gives numbers of its own from here on."""
        return Reader(self.world, self.loop, dict(self.names))

    def variables(self) -> object:
        """Read the variables that the code reaches outside all objects."""
        parts = tuple((name, self.read(read())) for name, read in tuple(self.world.slots))
        return (parts, random.getstate()) if self.world.chance else parts

    def read(self, value: Any) -> object:
        """Return ``value`` as nested tuples. Raises ``Opaque`` for what cannot be read exactly."""
        kind = type(value)
        if kind in _PLAIN:
            return (kind.__name__, repr(value))
        special = _EXACT.get(kind)
        if special is not None:
            if id(value) in self.names:
                return ("again", self.names[id(value)])
            self.names[id(value)] = len(self.names)
            self.keep.append(value)
            return special(self, value)
        if isinstance(value, Enum):
            return repr(value)
        if isinstance(value, type):
            self.world.reach(value)
            return value.__qualname__
        if isinstance(value, types.ModuleType):
            self.world.reach(value)
            return value.__name__
        if isinstance(value, _DESCRIPTORS):
            return (kind.__name__, value.__qualname__)
        if id(value) in self.names:
            return ("again", self.names[id(value)])
        self.names[id(value)] = len(self.names)
        self.keep.append(value)  # so that no other object is given the same id meanwhile
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(self, value)
        for base, reads in _BASES:
            if isinstance(value, base):
                return reads(self, value)
        if (kind.__module__, kind.__name__) in _BY_REPR or kind.__module__ in ("typing", "logging", "dataclasses"):
            return (kind.__name__, repr(value))
        if kind.__name__ in _AWAITED:
            return (kind.__name__, tuple(self.read(part) for part in gc.get_referents(value)))
        if kind.__name__ == "TaskStepMethWrapper":
            return ("step", self.read(value.__self__))
        if kind.__module__ in ("_thread", "threading") and hasattr(value, "acquire"):
            locked = getattr(value, "locked", None)
            return (kind.__name__, str(locked()) if locked is not None else repr(value).split(" at ")[0])
        return self.plain(value)

    def all(self, values: Iterable[Any]) -> object:
        """Read several values in their order."""
        return tuple([self.read(value) for value in values])

    def plain(self, value: Any, base: object = None) -> object:
        """Read the attributes of an instance of a class that is written in Python."""
        kind = type(value)
        if _package(kind.__module__) in _OURS:
            return ("ours", kind.__name__)
        parts: list[tuple[str, object]] = []
        for cls in kind.__mro__[:-1]:
            if cls in _CONTAINERS:
                continue
            made = vars(cls)
            slots = made.get("__slots__", ())
            if cls.__module__ == "typing" and cls.__basicsize__ == object.__basicsize__:
                continue  # Generic and its like add nothing
            if not _in_python(cls) or not ("__slots__" in made or hasattr(value, "__dict__")):
                raise Opaque(
                    f"the state of a {kind.__name__} cannot be read",
                    cause="it is made by an extension module",
                    hint="no two states are merged: every schedule is run",
                )
            for slot in (slots,) if isinstance(slots, str) else tuple(slots):
                name = f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") else slot
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    parts.append((name, self.read(getattr(value, name))))
        self.world.reach(kind)
        parts += [(k, self.read(v)) for k, v in getattr(value, "__dict__", {}).items()]
        return (kind.__name__, base, tuple(parts))


# ------------------------------------------------------------------------------------------ one kind each


def _dict(reader: Reader, value: dict[Any, Any]) -> object:
    parts = tuple([(reader.read(k), reader.read(v)) for k, v in value.items()])
    return ("dict", parts) if type(value) is dict else reader.plain(value, parts)


def _sequence(reader: Reader, value: Any) -> object:
    parts = reader.all(value)
    return (type(value).__name__, parts) if type(value) in _CONTAINERS else reader.plain(value, parts)


def _set(reader: Reader, value: Any) -> object:
    # Objects have an order only by chance: they are read by what they look like, then by their place in that order.
    parts = reader.all(sorted(value, key=lambda v: repr(reader.fork().read(v))))
    return ("set", parts) if type(value) in _CONTAINERS else reader.plain(value, parts)


def _number(reader: Reader, value: Any) -> object:
    base: Any = next(b for b in (int, float, str, bytes, complex) if isinstance(value, b))
    return reader.plain(value, base.__repr__(value))


def _function(reader: Reader, value: types.FunctionType) -> object:
    if _our_code(value.__code__):
        return ("ours", value.__qualname__)
    if reader.world.reach(value) and _known(value.__module__) and not value.__closure__:
        return ("function", value.__qualname__)
    cells = reader.all(_contents(cell) for cell in value.__closure__ or ())
    held = reader.all((*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()))
    return ("function", value.__qualname__, value.__code__.co_firstlineno, cells, held)


def _method(reader: Reader, value: types.MethodType) -> object:
    return ("method", value.__func__.__qualname__, reader.read(value.__func__), reader.read(value.__self__))


def _builtin(reader: Reader, value: Any) -> object:
    owner = getattr(value, "__self__", None)
    return ("builtin", value.__name__, None if isinstance(owner, types.ModuleType) else reader.read(owner))


def _suspended(reader: Reader, value: Any) -> object:
    prefix = {types.CoroutineType: "cr", types.GeneratorType: "gi"}.get(type(value), "ag")
    code: types.CodeType = getattr(value, f"{prefix}_code")
    frame = getattr(value, f"{prefix}_frame")
    if frame is None:
        return ("ended", code.co_qualname)
    at = (code.co_qualname, code.co_firstlineno, frame.f_lasti)
    if _our_code(code):
        return ("ours", at, reader.read(getattr(value, "cr_await", None)))
    names = {id(code), id(frame), id(value.__name__), id(value.__qualname__), id(frame.f_globals), id(frame.f_builtins)}
    # What is on the stack is no local variable: `spent += await provider()` has read `spent` already.
    return ("suspended", at, reader.all(part for part in gc.get_referents(value) if id(part) not in names))


def _future(reader: Reader, value: Any) -> object:
    state, result, exception, callbacks = _FUTURE(value)
    calls = tuple([reader.read(call) for call, _ in callbacks or ()])
    known: tuple[object, ...] = (state, reader.read(result), reader.read(exception), calls)
    if isinstance(value, asyncio.Task):
        coroutine = value.get_coro()
        must_cancel, waits_for = _TASK(value)
        more = (must_cancel, value.cancelling(), reader.read(coroutine), reader.read(waits_for))
        return ("task", known, more)
    return ("future", known)


def _handle(reader: Reader, value: Handle) -> object:
    now = reader.loop.now if reader.loop is not None else 0.0
    left = round(value.when() - now, 9) if value.when() > now else 0
    return ("handle", left, value.cancelled(), reader.read(value.callback), reader.all(value.args))


def _error(reader: Reader, value: BaseException) -> object:
    return (type(value).__qualname__, reader.all(value.args), reader.read(dict(vars(value))))


def _iterator(reader: Reader, value: Any) -> object:
    return (type(value).__name__, reader.all(value.__reduce__()[1:]))


def _partial(reader: Reader, value: functools.partial[Any]) -> object:
    return ("partial", reader.read(value.func), reader.all(value.args), reader.read(value.keywords))


def _no_context(reader: Reader, value: Any) -> object:
    raise Opaque(
        "the state of a context variable cannot be read",
        cause="each task has a value of its own",
        hint="no two states are merged: every schedule is run",
    )


_CONTAINERS = frozenset(
    {dict, list, tuple, set, frozenset, collections.deque, collections.OrderedDict, collections.defaultdict}
) | frozenset({int, float, str, bytes, complex})

_SPECIAL: dict[type, Callable[[Reader, Any], object]] = {
    dict: _dict,
    list: _sequence,
    tuple: _sequence,
    types.FunctionType: _function,
    types.MethodType: _method,
    types.BuiltinFunctionType: _builtin,
    types.MethodWrapperType: _builtin,
    functools.partialmethod: lambda reader, value: ("partial", value.func.__qualname__, reader.all(value.args)),
    types.CoroutineType: _suspended,
    types.GeneratorType: _suspended,
    types.AsyncGeneratorType: _suspended,
    types.CellType: lambda reader, value: ("cell", reader.read(_contents(value))),
    functools.partial: _partial,
    weakref.ref: lambda reader, value: ("weak", reader.read(value())),
    contextvars.ContextVar: _no_context,
    contextvars.Token: _no_context,
    Handle: _handle,
    types.MappingProxyType: lambda reader, value: ("proxy", reader.read(dict(value))),
    random.Random: lambda reader, value: ("random", repr(value.getstate())),
    **dict.fromkeys(_ITERATORS, _iterator),
}
_BASES: tuple[tuple[Any, Callable[[Reader, Any], object]], ...] = (
    (asyncio.Future, _future),
    (BaseException, _error),
    (dict, _dict),
    ((list, tuple, collections.deque), _sequence),
    ((set, frozenset), _set),
    ((int, float, str, bytes, complex), _number),
)

_EXACT: dict[type, Callable[[Reader, Any], object]] = {
    kind: reads
    for kind, reads in {**_SPECIAL, asyncio.Future: _future, asyncio.Task: _future}.items()
    if not issubclass(kind, (Enum, type, types.ModuleType, *_DESCRIPTORS))
}
"""How values of just these types are read, which are most of them: nothing else need be asked of their type."""
