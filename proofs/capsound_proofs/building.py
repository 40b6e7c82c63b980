"""Terms of z3 built without the detours of its Python binding.

Building a term takes the binding some ten microseconds: it looks up sorts, coerces both sides, checks for errors, and
does so again in each of the calls below. Here the functions of its C interface are called as they are, on terms that
are known to be integers or truth values of z3's own context; anything else is left to the binding. The terms are those
of the binding in all respects: a ``Number`` is an ``ArithRef``, a ``Truth`` is a ``BoolRef``.

A call that fails returns no term; it raises ``Z3Exception`` here as it would there.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import z3
import z3.z3core

_CONTEXT = z3.main_ctx()
_C: Any = _CONTEXT.ref()


def _function(name: str, result: Any = z3.Ast) -> Callable[..., Any]:
    """Return a function of the C interface: an object of its own, so that the binding keeps its checks."""
    (bound,) = getattr(z3.z3core, name).__defaults__
    found = type(bound.f)(ctypes.cast(bound.f, ctypes.c_void_p).value)
    found.restype = result
    return cast("Callable[..., Any]", found)


_inc_ref, _dec_ref = _function("Z3_inc_ref", None), _function("Z3_dec_ref", None)
_mk_add, _mk_sub, _mk_mul = _function("Z3_mk_add"), _function("Z3_mk_sub"), _function("Z3_mk_mul")
_mk_le, _mk_lt, _mk_ge, _mk_gt = (_function(f"Z3_mk_{name}") for name in ("le", "lt", "ge", "gt"))
_mk_eq, _mk_unary_minus = _function("Z3_mk_eq"), _function("Z3_mk_unary_minus")
_mk_and, _mk_or, _mk_not = _function("Z3_mk_and"), _function("Z3_mk_or"), _function("Z3_mk_not")
_mk_implies, _mk_ite, _mk_const = _function("Z3_mk_implies"), _function("Z3_mk_ite"), _function("Z3_mk_const")
_mk_string_symbol = _function("Z3_mk_string_symbol", z3.Symbol)
_substitute, _get_app_arg = _function("Z3_substitute"), _function("Z3_get_app_arg")
_Two = z3.Ast * 2
_new: Any = object.__new__


def _kept(kind: type[Any], ast: Any) -> Any:
    if not ast:
        raise z3.Z3Exception("no such term: " + str(z3.Z3_get_error_msg(_C, z3.Z3_get_error_code(_C))))
    _inc_ref(_C, ast)
    made = _new(kind)
    made.ast = ast
    made.ctx = _CONTEXT
    return made


def _operand(value: Any) -> Any:
    """Return a term of an integer, None for what the binding has to look at."""
    if isinstance(value, Number):
        return value.ast
    return constant(value).ast if type(value) is int else None


def _combining(make: Callable[..., Any], name: str) -> Any:
    """Return an operator of numbers: that of the binding, but for two integers."""
    slow = getattr(z3.ArithRef, name)
    turned = name.startswith("__r")

    def operator(self: Any, other: Any) -> Any:
        theirs = _operand(other)
        if theirs is None:
            return slow(self, other)
        mine = self.ast
        return _kept(Number, make(_C, 2, _Two(theirs, mine) if turned else _Two(mine, theirs)))

    return operator


def _comparing(make: Callable[..., Any], name: str) -> Any:
    slow = getattr(z3.ArithRef, name)

    def operator(self: Any, other: Any) -> Any:
        theirs = _operand(other)
        return slow(self, other) if theirs is None else _kept(Truth, make(_C, self.ast, theirs))

    return operator


def _forget(self: Any, _dec_ref: Callable[..., Any] = _dec_ref) -> None:
    context = self.ctx.ctx
    if context is not None:
        _dec_ref(context, self.ast)


def _is(self: Any, other: Any) -> bool:
    """Return whether both are the very same term."""
    return bool(self.ast.value == other.ast.value)


class Number(z3.ArithRef):  # type: ignore[misc] # the binding has no types
    """An integer term."""

    __del__ = _forget
    eq = _is
    __add__, __radd__ = _combining(_mk_add, "__add__"), _combining(_mk_add, "__radd__")
    __sub__, __rsub__ = _combining(_mk_sub, "__sub__"), _combining(_mk_sub, "__rsub__")
    __mul__, __rmul__ = _combining(_mk_mul, "__mul__"), _combining(_mk_mul, "__rmul__")
    __le__, __lt__ = _comparing(_mk_le, "__le__"), _comparing(_mk_lt, "__lt__")
    __ge__, __gt__ = _comparing(_mk_ge, "__ge__"), _comparing(_mk_gt, "__gt__")
    __eq__ = _comparing(_mk_eq, "__eq__")
    __hash__ = z3.ArithRef.__hash__

    def __neg__(self) -> Any:
        """Return the opposite."""
        return _kept(Number, _mk_unary_minus(_C, self.ast))


class Numeral(Number, z3.IntNumRef):  # type: ignore[misc] # the binding has no types
    """An integer constant."""


class Truth(z3.BoolRef):  # type: ignore[misc] # the binding has no types
    """A truth value."""

    __del__ = _forget
    eq = _is


@lru_cache(maxsize=8192)
def constant(value: int) -> Any:
    """Return an integer constant."""
    return _kept(Numeral, z3.IntVal(value).ast)


_INTS, _BOOLS = z3.IntSort(), z3.BoolSort()
_TRUE, _FALSE = z3.BoolVal(True), z3.BoolVal(False)


def named(name: str) -> Any:
    """Return an integer variable."""
    return _kept(Number, _mk_const(_C, _mk_string_symbol(_C, name.encode()), _INTS.ast))


def proposition(name: str) -> Any:
    """Return a variable that is true or false."""
    return _kept(Truth, _mk_const(_C, _mk_string_symbol(_C, name.encode()), _BOOLS.ast))


def _side(value: Any) -> Any:
    """Return a term that is true or false."""
    return value if isinstance(value, z3.BoolRef) else _TRUE if value else _FALSE


def all_of(*terms: Any) -> Any:
    """Return the conjunction."""
    sides = [_side(term) for term in terms]  # kept until the call is over
    return _kept(Truth, _mk_and(_C, len(sides), (z3.Ast * len(sides))(*[side.ast for side in sides])))


def any_of(*terms: Any) -> Any:
    """Return the disjunction."""
    sides = [_side(term) for term in terms]
    return _kept(Truth, _mk_or(_C, len(sides), (z3.Ast * len(sides))(*[side.ast for side in sides])))


def no(term: Any) -> Any:
    """Return the negation."""
    return _kept(Truth, _mk_not(_C, _side(term).ast))


def implies(left: Any, right: Any) -> Any:
    """Return that the left side has the right side as a consequence."""
    return _kept(Truth, _mk_implies(_C, _side(left).ast, _side(right).ast))


def choice(condition: Any, then: Any, otherwise: Any) -> Any:
    """Return one of two integers: ``then`` where the condition holds."""
    then, otherwise = as_number(then), as_number(otherwise)
    return _kept(Number, _mk_ite(_C, _side(condition).ast, then.ast, otherwise.ast))


def as_number(value: Any) -> Any:
    """Return an integer term for a constant, or for any integer term of the binding."""
    if isinstance(value, Number):
        return value
    if isinstance(value, int):
        return constant(int(value))
    if not z3.is_int(value):
        raise z3.Z3Exception(f"no integer: {value}")
    return _kept(Number, value.ast)


def as_truth(value: Any) -> Any:
    """Return a term for a truth value."""
    return _side(value)


def put(term: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Return a term with variables replaced, all at once."""
    size = len(pairs)
    old, new = (
        (z3.Ast * size)(*[before.ast for before, _ in pairs]),
        (z3.Ast * size)(*[after.ast for _, after in pairs]),
    )
    return _kept(Truth if isinstance(term, z3.BoolRef) else Number, _substitute(_C, term.ast, size, old, new))


def changed_parts(before: Any, after: Any, number: int) -> dict[int, Any]:
    """Return those of the first parts of a conjunction that are others in a second one, by their place."""
    changed: dict[int, Any] = {}
    for place in range(number):
        part = _get_app_arg(_C, after.ast, place)
        if part.value != _get_app_arg(_C, before.ast, place).value:
            changed[place] = _kept(Truth, part)
    return changed
