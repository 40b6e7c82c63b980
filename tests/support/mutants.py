"""Small faults, one at a time, in the reference implementation; and the suites, which are to notice every one.

A mutant is the source with one edit of its syntax tree, compiled into a package of its own that never touches the
disk. ``mutants`` lists all of them, always in the same order; ``kill`` runs the engines of ``capsound_checker`` on
one, the cheap ones first, and returns what noticed it. From ``tests/support``,

    python mutants.py                 runs them all and prints what is left
    python mutants.py --write         and brings the list of survivors and its numbers up to date
    python mutants.py settle end      runs those whose name contains one of the words

Nothing but behaviour is mutated: no strings except the names of balances, no annotations, no texts of errors.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import time
import tomllib
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

from block_adapter import BlockAdapter
from reference_adapter import CallAdapter, JournalAdapter, ReferenceAdapter

import capsound.adapter
import capsound_reference
from capsound.adapter import Adapter
from capsound_checker.check.judging import Hunt
from capsound_checker.programs.driver import Driver
from capsound_checker.programs.journaling import problems
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import AMOUNTS, FAULTY, MISUSE, OVERRUNS, PROFILES, Profile, Step
from capsound_checker.programs.watch import Hung, patience
from capsound_checker.schedules.threads import interrupt, pairs, race

SOURCE = Path(capsound_reference.__file__).parent
MODULES = ("errors", "arithmetic", "journal", "budget")
"""In the order in which they import each other."""

SURVIVORS = Path(__file__).parents[1] / "quality" / "mutants_survivors.toml"

TEXTS = ("_where", "_outcome", "_used", "__repr__", "__str__", "shown", "closed", "failed", "BudgetError.__init__")
"""Functions that only word a message."""

ELSEWHERE = ("reset",)
"""What only the ceilings use, which these engines do not drive: planted faults in ``tests/contracts`` are noticed."""

TEXT_NAMES = {"message", "cure", "what", "left", "debt", "room"}
"""Variables that only word a message."""

BALANCES = ("available", "held", "charged", "forfeited", "delegated", "returned", "granted")
STATES = ("HELD", "SENT", "RELEASED", "SETTLED")
ACCOUNTS = {"its": "parent", "self": "parent", "target": "parent"}
"""Variables that stand for an account (`self` in its own class only), whose money is moved to another instead."""

AMOUNT_NAMES = {"amount", "_amount", "cost", "wanted", "actual", "back", "free", "estimate"}

# --------------------------------------------------------------------------------------- what is mutated


@dataclass(frozen=True)
class Mutant:
    """One edit: ``id`` does not change when lines move; ``change`` says what is edited."""

    id: str
    module: str
    line: int
    change: str
    number: int
    asynchronous: bool
    """Whether it is in the clean-up after an exception from outside: see ``docs/mutants.md``."""


@dataclass
class _Edit:
    kind: str
    scope: str
    line: int
    change: str
    place: Any
    field: str
    new: Any
    asynchronous: bool = False

    def swap(self) -> None:
        """Do the edit; done again, it is undone."""
        old = getattr(self.place, self.field)
        setattr(self.place, self.field, self.new)
        self.new = old


def _one_line(node: ast.AST) -> str:
    text = ast.unparse(node).replace("\n", " ; ")
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 90 else text[:87] + "..."


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
}


class _Finder:
    """Walks one module and lists every edit."""

    def __init__(self, tree: ast.Module) -> None:
        self.edits: list[_Edit] = []
        self.scope: list[str] = []
        self.classes: list[str] = []
        self.asynchronous = 0
        self._walk(tree, in_function=False)

    # ------------------------------------------------------------------------------------- bookkeeping

    def _name(self) -> str:
        return ".".join(self.scope) or "module"

    def _add(self, kind: str, node: ast.AST, new: object, place: Any, field: str, change: str = "") -> None:
        told = change or f"{_one_line(node)} -> {_one_line(new)}"  # type: ignore[arg-type]
        line = getattr(node, "lineno", 0)
        outside = self.asynchronous > 0 or _catches_all(node)
        self.edits.append(_Edit(kind, self._name(), line, told, place, field, new, outside))

    def _put(
        self, kind: str, node: ast.expr, new: ast.expr, hole: tuple[Any, str, int | None], change: str = ""
    ) -> None:
        """Edit: ``new`` where ``node`` is."""
        place, field, index = hole
        if index is None:
            self._add(kind, node, new, place, field, change or f"{_one_line(node)} -> {_one_line(new)}")
            return
        items = list(getattr(place, field))
        items[index] = new
        self._add(kind, node, items, place, field, change or f"{_one_line(node)} -> {_one_line(new)}")

    # ------------------------------------------------------------------------------------------ walking

    def _walk(self, node: ast.AST, *, in_function: bool) -> None:
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                self._block(node, field, block, in_function=in_function)
        for handler in getattr(node, "handlers", []):
            outside = _catches_all(handler)
            self.asynchronous += outside
            self._walk(handler, in_function=in_function)
            self.asynchronous -= outside

    def _block(self, place: ast.AST, field: str, block: list[ast.stmt], *, in_function: bool) -> None:
        for at, statement in enumerate(block):
            if in_function and not _is_text(statement):
                outside = _about_interrupts(statement)
                self.asynchronous += outside
                self._statement(place, field, block, at)
                self.asynchronous -= outside
            if isinstance(statement, ast.ClassDef):
                self.scope.append(statement.name)
                self.classes.append(statement.name)
                self._walk(statement, in_function=False)
                self.classes.pop()
                self.scope.pop()
            elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(place, field, block, at)
            elif in_function:
                outside = _about_interrupts(statement)
                self.asynchronous += outside
                self._parts(statement)
                self._walk(statement, in_function=True)
                self.asynchronous -= outside
            elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                self._constant_definition(statement)

    def _function(self, place: ast.AST, field: str, block: list[ast.stmt], at: int) -> None:
        function = block[at]
        assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        self.scope.append(function.name)
        if not any(self._name() == text or self._name().endswith("." + text) for text in (*TEXTS, *ELSEWHERE)):
            for index, default in enumerate(function.args.defaults):
                self._expression(default, (function.args, "defaults", index))
            if isinstance(function, ast.AsyncFunctionDef):
                make: Any = ast.FunctionDef
                plain = make(**{name: getattr(function, name, None) for name in function._fields})
                self._replace("async-removed", place, field, block, at, [plain], "async def -> def")
            self._walk(function, in_function=True)
        self.scope.pop()

    def _constant_definition(self, statement: ast.Assign | ast.AnnAssign) -> None:
        """The states are named at the top of the module; `__slots__` and the values of enums are left alone."""
        if isinstance(statement.value, ast.Attribute) and isinstance(statement.target, ast.Name):  # type: ignore[union-attr]
            self._expression(statement.value, (statement, "value", None))

    # --------------------------------------------------------------------------------------- statements

    def _replace(
        self,
        kind: str,
        place: ast.AST,
        field: str,
        block: list[ast.stmt],
        at: int,
        new: list[ast.stmt],
        change: str = "",
    ) -> None:
        node = block[at]
        for statement in new:
            ast.copy_location(statement, node)
        self._add(kind, node, [*block[:at], *new, *block[at + 1 :]], place, field, change)

    def _statement(self, place: ast.AST, field: str, block: list[ast.stmt], at: int) -> None:
        node = block[at]
        change = _one_line(node)
        if isinstance(node, ast.Pass | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if not isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.Try):
            self._replace("removed", place, field, block, at, [ast.Pass()], f"removed: {change}")
        if isinstance(node, ast.For):
            self._replace("removed", place, field, block, at, [ast.Pass()], f"removed: {change}")
        if isinstance(node, ast.With):
            inline: list[ast.stmt] = [ast.If(ast.Constant(True), node.body, [])]
            self._replace("with-removed", place, field, block, at, inline, f"removed: with {_one_line(node.items[0])}")
        if isinstance(node, ast.Try):
            for number, handler in enumerate(node.handlers):
                rest = [*node.handlers[:number], *node.handlers[number + 1 :]]
                if rest or node.finalbody:
                    self._add("handler-removed", handler, rest, node, "handlers", f"removed: {_one_line(handler)}")
                else:
                    plain: list[ast.stmt] = [ast.If(ast.Constant(True), node.body, [])]
                    self.asynchronous += _catches_all(handler)
                    self._replace("handler-removed", place, field, block, at, plain, f"removed: {_one_line(handler)}")
                    self.asynchronous -= _catches_all(handler)
            if node.finalbody and node.handlers:
                self._add("finally-removed", node.finalbody[0], [], node, "finalbody", "removed: the finally")
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple):
            self._stores(node)
        if isinstance(node, ast.Return) and node.value is not None:
            self._returns(node)
        if isinstance(node, ast.If | ast.While):
            self._guard(node)
        if at + 1 < len(block) and not _is_text(block[at + 1]) and _depend(node, block[at + 1]):
            swapped = [*block[:at], block[at + 1], node, *block[at + 2 :]]
            self._add("swapped", node, swapped, place, field, f"swapped: {change} <-> {_one_line(block[at + 1])}")

    def _stores(self, node: ast.Assign) -> None:
        """Of several stores in one statement one is lost, or two go to each other's place."""

        def leaves(place: ast.Tuple) -> None:
            for index, target in enumerate(place.elts):
                if isinstance(target, ast.Tuple):
                    leaves(target)
                elif isinstance(target, ast.Attribute):
                    lost = [*place.elts[:index], ast.Name("_", ast.Store()), *place.elts[index + 1 :]]
                    self._add("store-lost", target, lost, place, "elts", f"lost: the store to {_one_line(target)}")
            for index in range(len(place.elts) - 1):
                one, two = place.elts[index : index + 2]
                if not isinstance(one, ast.Tuple) and not isinstance(two, ast.Tuple) and isinstance(two, ast.Attribute):
                    both = [*place.elts[:index], two, one, *place.elts[index + 2 :]]
                    self._add(
                        "stores-swapped", one, both, place, "elts", f"swapped: {_one_line(one)} <-> {_one_line(two)}"
                    )

        target = node.targets[0]
        assert isinstance(target, ast.Tuple)
        leaves(target)

    def _returns(self, node: ast.Return) -> None:
        value = node.value
        assert value is not None
        told = _one_line(node)
        candidates: list[tuple[str, ast.expr]] = []
        if not (isinstance(value, ast.Constant) and value.value is None):
            candidates.append(("none", ast.Constant(None)))
        if isinstance(value, ast.Compare):
            candidates += [("true", ast.Constant(True)), ("false", ast.Constant(False))]
        if isinstance(value, ast.Call | ast.BinOp | ast.Name | ast.Attribute):
            candidates.append(("zero", ast.Constant(0)))
        for name, new in candidates:
            ast.copy_location(new, value)
            self._add(f"return-{name}", node, new, node, "value", f"{told} -> return {_one_line(new)}")

    def _guard(self, node: ast.If | ast.While) -> None:
        test = node.test
        head = f"{type(node).__name__.lower()} {_one_line(test)}"
        if isinstance(test, ast.Constant):
            if isinstance(node, ast.While):
                self._add("loop-never", node, ast.Constant(False), node, "test", f"{head} -> never")
            return
        self._add("guard-negated", node, ast.UnaryOp(ast.Not(), test), node, "test", f"{head} -> negated")
        self._add("guard-always", node, ast.Constant(True), node, "test", f"{head} -> always")
        self._add("guard-never", node, ast.Constant(False), node, "test", f"{head} -> never")

    # -------------------------------------------------------------------------------------- expressions

    def _parts(self, statement: ast.stmt) -> None:
        """Mutate the expressions of a statement, but not those of the statements inside it."""
        if _is_text(statement):
            return
        for field, value in ast.iter_fields(statement):
            if field in ("body", "orelse", "finalbody", "handlers", "annotation"):
                continue
            if isinstance(value, ast.expr):
                self._expression(value, (statement, field, None))
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.expr):
                        self._expression(item, (statement, field, index))
        # The context of a `with` and the type of an `except` are mutated as statements.

    def _expression(self, node: ast.expr, hole: tuple[Any, str, int | None]) -> None:
        if isinstance(node, ast.JoinedStr) or _is_error(node):
            return
        if isinstance(node, ast.Compare):
            whole = hole[1] == "test" and isinstance(hole[0], ast.If | ast.While)  # its negation is made there
            for new in _COMPARISONS[type(node.ops[0])][: 1 if whole else None]:
                if whole and len(_COMPARISONS[type(node.ops[0])]) == 1:
                    continue
                name = f"{type(node.ops[0]).__name__}->{new.__name__}".lower()
                self._add(f"compare:{name}", node, [new()], node, "ops", f"{_one_line(node)}: {name}")
        if isinstance(node, ast.BinOp):
            self._arithmetic(node, hole)
        if isinstance(node, ast.BoolOp):
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            name = "and->or" if isinstance(node.op, ast.And) else "or->and"
            self._add(f"bool:{name}", node, other, node, "op", f"{_one_line(node)}: {name}")
            for index, part in enumerate(node.values):
                rest = [*node.values[:index], *node.values[index + 1 :]]
                fewer = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                self._put("operand-removed", node, fewer, hole, f"removed: {_one_line(part)} of {_one_line(node)}")
        if isinstance(node, ast.UnaryOp) and not (hole[1] == "test" and isinstance(hole[0], ast.If | ast.While)):
            self._put("sign-removed", node, node.operand, hole)
        if isinstance(node, ast.IfExp):
            self._add("choice:always", node, ast.Constant(True), node, "test", f"{_one_line(node)}: always the first")
            self._add("choice:never", node, ast.Constant(False), node, "test", f"{_one_line(node)}: always the second")
        if isinstance(node, ast.Constant):
            self._constant(node, hole)
        if isinstance(node, ast.Call):
            self._call(node, hole)
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
            self._tuple(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and node.slice.upper is not None:
            more = ast.BinOp(node.slice.upper, ast.Add(), ast.Constant(1))
            self._add("slice:+1", node, more, node.slice, "upper")
        if isinstance(node, ast.Name | ast.Attribute):
            self._reference(node, hole)
        if isinstance(node, ast.Dict):
            for index, value in enumerate(node.values):
                self._expression(value, (node, "values", index))
            return
        if isinstance(node, ast.ListComp):
            self._expression(node.elt, (node, "elt", None))
            return
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                self._expression(value, (node, field, None))
            elif isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.expr):
                        self._expression(item, (node, field, index))

    def _arithmetic(self, node: ast.BinOp, hole: tuple[Any, str, int | None]) -> None:
        if any(isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right)):
            return
        other = _OPERATORS.get(type(node.op))
        if other is not None:
            name = f"{type(node.op).__name__}->{other.__name__}".lower()
            self._add(f"operator:{name}", node, other(), node, "op", f"{_one_line(node)}: {name}")
        self._put("right-dropped", node, node.left, hole)
        if not isinstance(node.right, ast.Constant):
            self._put("left-dropped", node, node.right, hole)

    def _constant(self, node: ast.Constant, hole: tuple[Any, str, int | None]) -> None:
        value = node.value
        if isinstance(value, bool):
            self._put("flipped", node, ast.Constant(not value), hole)
        elif isinstance(value, int):
            side = isinstance(hole[0], ast.BinOp) and value == 1  # one less is the side left out
            for step in (1,) if side else (1, -1):
                self._put(f"constant:{step:+}", node, ast.Constant(value + step), hole)
        elif isinstance(value, str) and value in BALANCES:
            other = BALANCES[(BALANCES.index(value) + 1) % len(BALANCES)]
            self._put("other-balance", node, ast.Constant(other), hole)

    def _call(self, node: ast.Call, hole: tuple[Any, str, int | None]) -> None:
        for index in range(len(node.args) - 1):
            one, two = node.args[index : index + 2]
            if isinstance(node.func, ast.Name) and node.func.id == "max":
                break
            if isinstance(one, ast.Starred) or isinstance(two, ast.Starred):
                continue
            args = [*node.args[:index], two, one, *node.args[index + 2 :]]
            self._add(
                "arguments-swapped",
                node,
                args,
                node,
                "args",
                f"{_one_line(node)}: {_one_line(one)} <-> {_one_line(two)}",
            )
        for index, keyword in enumerate(node.keywords):
            rest = [*node.keywords[:index], *node.keywords[index + 1 :]]
            told = f"{_one_line(node)}: without {keyword.arg}"
            self._add("keyword-removed", node, rest, node, "keywords", told)
            self._expression(keyword.value, (keyword, "value", None))
        if isinstance(node.func, ast.Name) and node.func.id == "max":
            for arg in node.args:
                if not isinstance(arg, ast.Constant):
                    self._put("clamp-removed", node, arg, hole)

    def _tuple(self, node: ast.Tuple) -> None:
        states = all(isinstance(item, ast.Name) and item.id in STATES for item in node.elts)  # only looked into by `in`
        for index in range(0 if states else len(node.elts) - 1):
            one, two = node.elts[index : index + 2]
            elts = [*node.elts[:index], two, one, *node.elts[index + 2 :]]
            self._add(
                "items-swapped", node, elts, node, "elts", f"{_one_line(node)}: {_one_line(one)} <-> {_one_line(two)}"
            )
        if states:
            for index, item in enumerate(node.elts):
                rest = [*node.elts[:index], *node.elts[index + 1 :]]
                self._add("item-removed", node, rest, node, "elts", f"{_one_line(node)}: without {_one_line(item)}")

    def _reference(self, node: ast.Name | ast.Attribute, hole: tuple[Any, str, int | None]) -> None:
        name = node.id if isinstance(node, ast.Name) else node.attr
        if isinstance(node, ast.Name) and name in STATES and isinstance(node.ctx, ast.Load):
            self._put("other-state", node, ast.Name(STATES[(STATES.index(name) + 1) % 4], ast.Load()), hole)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "HoldState":
            for other in [s for s in STATES if s != name][:2]:
                self._put("other-state", node, ast.Attribute(node.value, other, ast.Load()), hole)
        if isinstance(node, ast.Attribute) and name in BALANCES and not isinstance(hole[0], ast.Call | ast.arguments):
            other = BALANCES[(BALANCES.index(name) + 1) % len(BALANCES)]
            self._put("other-balance", node, ast.Attribute(node.value, other, node.ctx), hole)
        if isinstance(node, ast.Attribute) and name in ("holds", "slices"):
            other = "slices" if name == "holds" else "holds"
            self._put("other-count", node, ast.Attribute(node.value, other, node.ctx), hole)
        if name in AMOUNT_NAMES and isinstance(node.ctx, ast.Load):
            for op, sign in ((ast.Add(), "+1"), (ast.Sub(), "-1")):
                self._put(f"amount:{sign}", node, ast.BinOp(node, op, ast.Constant(1)), hole)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = node.value.id
            account = owner in ("its", "target") or (owner == "self" and "_Account" in self.classes)
            if account and name in (*BALANCES, "holds", "slices", "ended"):
                upper = ast.BoolOp(ast.Or(), [ast.Attribute(node.value, "parent", ast.Load()), node.value])
                told = f"{_one_line(node)} -> that of the parent"
                self._put("other-account", node, ast.Attribute(upper, name, node.ctx), hole, told)
            if account and name == "parent" and isinstance(node.ctx, ast.Load):
                self._put("other-account", node, node.value, hole)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and "_Account" in self.classes:
            other_name = {"target": "self", "step": "self"}.get(name)
            if other_name is not None and self._name().split(".")[-1] in ("moved", "end", "add"):
                self._put("other-account", node, ast.Name(other_name, ast.Load()), hole)


def _catches_all(node: ast.AST) -> bool:
    """Whether this is ``except BaseException``, which is there for Ctrl-C and its like."""
    return isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "BaseException"


def _about_interrupts(statement: ast.stmt) -> bool:
    """Whether a statement only sets the flag that tells an interrupted ``write`` from others."""
    return isinstance(statement, ast.Assign) and _one_line(statement.targets[0]) == "writing"


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement only words a message, or is a docstring."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return True
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = [
            t for target in statement.targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
    elif isinstance(statement, ast.AnnAssign):
        if statement.value is None:
            return True  # a declaration
        targets = [statement.target]
    return bool(targets) and all(isinstance(t, ast.Name) and t.id in TEXT_NAMES for t in targets)


_ERRORS = {
    name
    for name in capsound_reference.__all__
    if re.match("Bad|Block|Copy|Merge|Budget.|Hold[SU]sed|Hold.+|Journal", name)
} - {"HoldState"}


def _is_error(node: ast.expr) -> bool:
    """Whether an expression makes an error: its arguments are its text."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return name in _ERRORS or name in ("_used", "failed", "shown", "require")


_PURE = {"arithmetic", "max", "type", "isinstance", "partial", "map", "moved", "count", "deque", "set"}
"""What may be called without a trace; a statement that calls nothing else can change nothing but its own names."""


def _depend(one: ast.stmt, two: ast.stmt) -> bool:
    """Whether the order of two statements can matter.

    It does not where neither stores what the other uses, and one of them only computes or both only store: then the
    swap is left out.
    """
    if isinstance(one, ast.Return | ast.Raise | ast.Break | ast.FunctionDef) or isinstance(two, ast.FunctionDef):
        return False
    if _stored(one) & _used_in(two) or _stored(two) & _used_in(one) or _stored(one) & _stored(two):
        return True
    plain = ast.Assign | ast.AnnAssign
    return not (_only_computes(one) or _only_computes(two) or (isinstance(one, plain) and isinstance(two, plain)))


def _only_computes(node: ast.stmt) -> bool:
    for part in ast.walk(node):
        if isinstance(part, ast.Return | ast.Raise | ast.Break | ast.With | ast.Try | ast.While):
            return False
        if isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store):
            return False
        if isinstance(part, ast.Call):
            root: ast.expr = part.func
            names = {root.attr} if isinstance(root, ast.Attribute) else set()
            while isinstance(root, ast.Attribute | ast.Subscript):
                root = root.value
            names |= {root.id} if isinstance(root, ast.Name) else set()
            if not names & _PURE:
                return False
    return True


def _stored(node: ast.stmt) -> set[str]:
    return {
        _one_line(n) for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute) and isinstance(n.ctx, ast.Store)
    }


def _used_in(node: ast.stmt) -> set[str]:
    return {
        _one_line(n) for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute) and isinstance(n.ctx, ast.Load)
    }


@cache
def _module(name: str) -> tuple[ast.Module, list[_Edit]]:
    tree = ast.parse((SOURCE / f"{name}.py").read_text())
    return tree, _Finder(tree).edits


@cache
def mutants() -> tuple[Mutant, ...]:
    """Return every mutant, in the order of the source."""
    out: list[Mutant] = []
    for name in MODULES:
        seen: Counter[str] = Counter()
        for number, edit in enumerate(_module(name)[1]):
            stem = f"{name}.py:{edit.scope}:{edit.kind}"
            seen[stem] += 1
            out.append(Mutant(f"{stem}#{seen[stem]}", name, edit.line, edit.change, number, edit.asynchronous))
    return tuple(out)


# ------------------------------------------------------------------------------------- a mutant to import

_names = iter(range(10**9))


def package(mutant: Mutant | None) -> types.ModuleType:
    """Return a new package with one edit, or with none; the source tree and ``capsound_reference`` are left alone."""
    name = f"capsound_mutant_{next(_names)}"
    whole = types.ModuleType(name)
    whole.__path__ = []
    mine = {name: whole}
    sys.modules[name] = whole
    try:
        for module in MODULES:
            part = types.ModuleType(f"{name}.{module}")
            part.__file__ = f"<{name}.{module}>"
            sys.modules[part.__name__] = mine[part.__name__] = part
            exec(_compiled(module, name, mutant), part.__dict__)
            setattr(whole, module, part)
    finally:
        for known in mine:
            sys.modules.pop(known, None)
    return whole


def _compiled(module: str, name: str, mutant: Mutant | None) -> types.CodeType:
    tree, edits = _module(module)
    edit = edits[mutant.number] if mutant is not None and mutant.module == module else None
    if edit is not None:
        edit.swap()
    try:
        ast.fix_missing_locations(tree)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        before = [node.module for node in imports]
        try:
            for node in imports:
                node.module = (node.module or "").replace("capsound_reference", name)
            return compile(tree, f"<{name}.{module}>", "exec")
        finally:
            for node, known in zip(imports, before, strict=True):
                node.module = known
    finally:
        if edit is not None:
            edit.swap()


# ----------------------------------------------------------------------------------------- the adapters


@dataclass(frozen=True)
class Adapters:
    """The adapters over one package."""

    reference: type[Adapter]
    journal: type[Adapter]
    call: type[Adapter]
    block: type[Adapter]


def adapters_for(module: types.ModuleType) -> Adapters:
    """Return the adapters of ``reference_adapter``, and the one above, over another package of the same shape."""
    errors, budget = module.errors, module.budget
    said = {
        "refused": (errors.BudgetRefused,),
        "stale": (errors.BudgetClosed, errors.HoldSent, errors.HoldUsed),
        "rejected": (errors.BudgetBusy, errors.BudgetError),
        "files": tuple(f"<{module.__name__}.{part}>" for part in ("budget", "arithmetic", "journal")),
        "errors": errors.BudgetError,
    }

    def plain(self: Any, cap: int) -> Any:
        return budget.Budget(cap)

    def journaled(self: Any, cap: int) -> Any:
        name = f"root{len(self.lines)}"
        lines: list[str] = []
        self.lines[name] = lines
        return budget.Budget(cap, name, journal=lines.append)

    def over(base: type[Adapter], opened: Callable[[Any, int], Any]) -> type[Adapter]:
        return type(f"Mutant{base.__name__}", (base,), {**said, "open": opened, "__module__": __name__})

    return Adapters(
        over(ReferenceAdapter, plain),
        over(JournalAdapter, journaled),
        over(CallAdapter, plain),
        over(BlockAdapter, journaled),
    )


# ------------------------------------------------------------------------------------------ the engines


class Endless(BaseException):
    """A mutant goes on although it was told to stop; no ``except Exception`` of it gets in the way of this."""


class Noticed(Exception):
    """Something is wrong: the words say what."""


def _programs(profiles: Iterable[Profile], adapter: type[Adapter], seeds: range) -> None:
    """What the fast driver suspects is done again in lock step; the first few are continued, as ``suite`` does."""
    for number, profile in enumerate(profiles):
        driver = Driver(adapter, profile)
        if not driver.table:
            continue
        start = number * 10_000_000
        hunt = Hunt(adapter)
        for program in driver.hunt(range(start + seeds.start, start + seeds.stop)):
            _say(Lockstep(adapter()).run(program))
            if hunt.taken < CONTINUED:
                hunt.take(program, driver, random.Random(0))
            for name in hunt.by_name:
                raise Noticed(name)


def _locksteps(profiles: Iterable[Profile], adapter: type[Adapter], seeds: range, *, journaled: bool = False) -> None:
    """Every step in lock step, as a machine of Hypothesis does it; at the end the journal is read."""
    for profile in profiles:
        driver = Driver(adapter, profile)
        for seed in seeds:
            data = random.Random(seed).randbytes(4 * profile.length + 1)
            caps = profile.caps
            run = driver.further([Step("open", amount=caps[data[0] % len(caps)])], data[1:])
            run.finish()
            _say(run)
            if journaled and (told := problems(run)):
                raise Noticed(f"journal: {told[0]}")


def _say(run: Lockstep) -> None:
    if wrong := run.wrong():
        raise Noticed(wrong[0].anomaly)


def _at_once(schedule: Callable[..., Any], adapter: type[Adapter], operations: Sequence[str]) -> None:
    """Two operations at once, as ``schedule`` brings them together; one of them is of ``operations``."""
    for before, one, two in pairs(adapter):
        if one.do in operations or (schedule is interrupt and two.do in operations):
            found, _ = schedule(adapter, before, one, two)
            if found is not None:
                raise Noticed(f"{found.anomaly}, {found.where}")


RACED = {
    "Hold.sent": ("send",),
    "Hold.extend": ("extend",),
    "Hold.settle": ("settle",),
    "Hold._end": ("release", "forfeit"),
    "Budget.reserve": ("reserve",),
    "Budget.delegate": ("delegate",),
    "_Account.end": ("close", "merge"),
    "_Account.moved": ("close", "merge"),
    "_Account.admit": ("reserve", "extend", "delegate"),
    "Journal.flush": ("reserve", "settle"),
}
"""Which operations come through a function: a mutant that touches the lock or the turn in it is raced in these."""

ENGINES = ("driver", "misuse", "amounts", "calls", "lockstep", "journal", "blocks", "threads", "handlers")
"""The engines of the suites, in the order in which they are tried."""

CONTINUED = 20
"""How many suspicious programs of a profile are continued."""

_QUICK = tuple(p for p in PROFILES.values() if p not in (MISUSE, AMOUNTS))
_BOOKS = tuple(PROFILES[name] for name in ("overruns", "streaming", "misuse", "delegated"))


Engine = tuple[str, Callable[[], None]]


def suites(adapters: Adapters, first: int, last: int) -> Iterator[Engine]:
    """Yield the engines of the suites, for as many programs of each profile as there are from ``first`` to ``last``."""
    few = range(first, first + (last - first) // 10)
    some = range(first, first + (last - first) // 5)
    many = range(first, last)
    yield "driver", partial(_programs, _QUICK, adapters.reference, many)
    yield "misuse", partial(_programs, (MISUSE,), adapters.reference, some)
    yield "amounts", partial(_programs, (AMOUNTS,), adapters.reference, many)
    yield "calls", partial(_programs, (*_QUICK, MISUSE), adapters.call, few)
    yield "lockstep", partial(_locksteps, _BOOKS, adapters.reference, few)
    yield "journal", partial(_locksteps, _BOOKS, adapters.journal, some, journaled=True)
    yield "blocks", partial(_locksteps, (MISUSE, FAULTY, OVERRUNS), adapters.block, some, journaled=True)


def _raced(mutant: Mutant | None) -> list[str]:
    """Return the operations that are raced: all of the original, of a mutant where it touches the lock or the turn."""
    if mutant is None:
        return sorted({do for dos in RACED.values() for do in dos})
    function = mutant.id.split(":")[1]
    touches = function == "Journal.flush" or re.search("turn|lock|break|journal", mutant.change)
    return list(RACED.get(function, ())) if touches else []


def engines(adapters: Adapters, mutant: Mutant | None, *, quick: bool, threads: bool) -> Iterator[Engine]:
    """Yield everything that is tried: first a few programs of each kind, and (``quick``) the slow engines last."""
    operations = _raced(mutant) if threads else []
    handlers: list[Engine] = [
        ("handlers", partial(_at_once, interrupt, adapter, operations))
        for adapter in ((adapters.reference, adapters.journal) if operations else ())
    ]
    races: list[Engine] = [("threads", partial(_at_once, race, adapters.reference, operations))] if operations else []
    yield from suites(adapters, 0, 30)
    yield from handlers if quick else ()
    yield from suites(adapters, 30, 400)
    yield from races
    yield from () if quick else handlers


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant: ``engine`` noticed it and said ``why``; nothing did where it is empty."""

    id: str
    status: str  # killed, survived, stillborn
    engine: str = ""
    why: str = ""
    seconds: float = 0.0


def kill(mutant: Mutant | None, *, quick: bool = False, threads: bool = True) -> Verdict:
    """Let the suites hunt one mutant; without one, the original."""
    begin = time.perf_counter()
    with _calm():
        status, engine, why = _hunt(mutant, quick=quick, threads=threads)
        capsound.adapter._OFFERS.clear()
    name = "original" if mutant is None else mutant.id
    return Verdict(name, status, engine, why, time.perf_counter() - begin)


def _hunt(mutant: Mutant | None, *, quick: bool, threads: bool) -> tuple[str, str, str]:
    try:
        adapters = adapters_for(package(mutant))
    except Exception as error:  # noqa: BLE001 - whatever happens to a mutant at its birth
        return "stillborn", "", f"{type(error).__name__}: {error}"
    for engine, run in engines(adapters, mutant, quick=quick, threads=threads):
        raced = engine in ("threads", "handlers")
        why = _tried(run, None if raced else _BRIEF)
        if "hang" in why and not raced:
            why = _tried(run, 2.0)  # again, with all the patience there is
        if why:
            return "killed", engine, why
    return "survived", "", ""


def _tried(run: Callable[[], None], seconds: float | None) -> str:
    """Return what an engine notices; ``seconds`` is how long a step may take."""
    if seconds is not None:
        signal.setitimer(signal.ITIMER_VIRTUAL, _PROCESSOR, 0.2)
    try:
        with patience(seconds or 2.0):
            run()
    except Noticed as noticed:
        return str(noticed)
    except (Endless, Hung):
        return "hang"
    except Exception as error:  # noqa: BLE001 - AdapterFailed, and what comes through the driver
        return f"{type(error).__name__}: {error}"[:150]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return ""


_BRIEF = 0.25
_PROCESSOR = 2.0
"""How many seconds of the processor an engine may take; it takes less than one."""


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """Keep what dying mutants leave behind (coroutines that were never awaited, threads that raise) to themselves.

    A mutant that catches the alarm of ``limit`` and goes on is stopped by its use of the processor, again and again.
    """

    def silent(_: object) -> None:
        """Say nothing."""

    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = threading.excepthook = silent
    before = signal.signal(signal.SIGVTALRM, _stop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            finally:
                gc.collect()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        sys.unraisablehook, threading.excepthook = hooks


def _stop(signum: int, frame: types.FrameType | None) -> NoReturn:
    raise Endless("it goes on for ever")


def kill_all(chosen: Iterable[Mutant], processes: int | None = None) -> Iterator[Verdict]:
    """Hunt many mutants, on all processors, and yield what became of each, in order."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes or os.cpu_count(), context) as pool:
        yield from pool.map(kill, list(chosen))


# ------------------------------------------------------------------------------------------- survivors


@dataclass(frozen=True)
class Listed:
    """A survivor that is known. ``status`` is `equivalent` (nothing that it does differs) or `survived`."""

    id: str
    change: str
    status: str
    reason: str


def known() -> dict[str, Any]:
    """Return the list of survivors as it is on the disk."""
    return tomllib.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}


def survivors() -> dict[str, Listed]:
    """Return the survivors that are known, by id."""
    return {
        name: Listed(name, change, group["status"], group["reason"])
        for group in known().get("group", [])
        for name, change in group["mutants"].items()
    }


def counted(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return the numbers of a complete run."""
    verdicts = list(verdicts)
    statuses = Counter(v.status for v in verdicts)
    return {
        "generated": len(mutants()),
        "excluded": sum(m.asynchronous for m in mutants()),
        "stillborn": statuses["stillborn"],
        "killed": statuses["killed"],
        "engines": dict(sorted(Counter(v.engine for v in verdicts if v.engine).items())),
    }


def score(numbers: dict[str, Any], equivalent: int) -> float:
    """Return the part of the mutants that differ from the original and are killed."""
    total: int = numbers["generated"] - numbers["excluded"] - numbers["stillborn"] - equivalent
    return float(numbers["killed"] / total)


def write(verdicts: Iterable[Verdict]) -> None:
    """Bring the list up to date: who is killed leaves it, who is new has no reason yet, which no test accepts."""
    verdicts = list(verdicts)
    changes = {m.id: m.change for m in mutants()}
    left = {v.id for v in verdicts if v.status == "survived"}
    groups: list[dict[str, Any]] = known().get("group", [])
    for group in groups:
        group["mutants"] = {name: changes[name] for name in group["mutants"] if name in left}
        left -= set(group["mutants"])
    if left:
        groups.append({"status": "new", "reason": "", "mutants": {n: c for n, c in changes.items() if n in left}})
    numbers = counted(verdicts)
    lines = ["# Mutants of the reference implementation that the suites let live: docs/mutants.md.", "", "[counted]"]
    lines += [f"{name} = {value}" for name, value in numbers.items() if name != "engines"]
    lines += ["", "[counted.engines]", *(f"{name} = {value}" for name, value in numbers["engines"].items())]
    for group in groups:
        if group["mutants"]:
            head = f'status = "{group["status"]}"\nreason = {json.dumps(group["reason"], ensure_ascii=False)}'
            lines += ["", "[[group]]", head, "[group.mutants]"]
            lines += [f"{json.dumps(n)} = {json.dumps(c, ensure_ascii=False)}" for n, c in group["mutants"].items()]
    SURVIVORS.write_text("\n".join(lines) + "\n")


def summary() -> str:
    """Return the numbers as the tables of ``docs/mutants.md``."""
    numbers, groups = known()["counted"], known()["group"]
    engines = numbers["engines"]
    equivalent = sum(len(g["mutants"]) for g in groups if g["status"] == "equivalent")
    alive = sum(len(g["mutants"]) for g in groups if g["status"] == "survived")
    rows = [
        *[(name, f"{numbers[name]:,}") for name in ("generated", "excluded", "stillborn")],
        ("equivalent", f"{equivalent:,}"),
        ("killed", f"{numbers['killed']:,}"),
        ("survived", f"{alive:,}"),
        ("killed, of all that differ", f"{100 * score(numbers, equivalent):.1f} %"),
    ]
    lines = ["| mutants | number |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)]
    lines += ["", "| first to notice | mutants |", "| --- | --- |"]
    lines += [f"| {name} | {engines.get(name, 0):,} |" for name in ENGINES]
    for status, head in (("survived", "why it lives"), ("equivalent", "why nothing differs")):
        lines += ["", f"| {status} | {head} |", "| --- | --- |"]
        lines += [f"| {len(g['mutants'])} | {g['reason']} |" for g in groups if g["status"] == status]
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> None:
    everything = not words or words == ["--write"]
    chosen = [m for m in mutants() if not m.asynchronous and (everything or any(word in m.id for word in words))]
    by_id = {m.id: m for m in chosen}
    begin = time.perf_counter()
    verdicts: list[Verdict] = []
    for verdict in kill_all(chosen):
        verdicts.append(verdict)
        if verdict.status != "killed" or not everything:
            m = by_id[verdict.id]
            said = f"{verdict.status:9} {verdict.engine:8} {m.id} (line {m.line}): {m.change}  {verdict.why}"
            sys.stdout.write(said + "\n")
            sys.stdout.flush()
    if words == ["--write"]:
        write(verdicts)
    sys.stdout.write(f"{counted(verdicts)} {time.perf_counter() - begin:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
