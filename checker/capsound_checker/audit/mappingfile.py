"""Reading a mapping file: its tables and keys become rules, and what no mapping can say becomes an error.

The message of every error names the key, as it stands in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any

from capsound.errors import nearest
from capsound.events import EVENT_TYPES, TOLD
from capsound_checker.audit.calls import BESIDE_INPUT, DOLLARS, INSIDE, OF_TOKENS, TOKENS, CallSpec, call_fields
from capsound_checker.audit.mappingvalues import BadMapping, Condition, ValueReader
from capsound_checker.audit.rules import BELOW, BESIDE, KEEPS, Check, Emit, Key, LogMapping, MappingRule, Tree
from capsound_checker.audit.shapes import PARENT, Path
from capsound_checker.audit.values import UNBOUNDED, Field, Get, as_name, shown

__all__ = ["BadMapping", "read_mapping"]

_NUMBERS = frozenset({"amount", "at_most", "cap", "spent", "remaining", "held", *TOLD})
SIDES = ("awaits", "answers")
"""What two records of one request have in common: on the side of the request, and on that of its stream."""

_TEXTS = ("title", "unit", "written_by", "counts")
_LISTS = ("notes", "assumed", "records", "attributes", "json")
_TABLES = ("values", "open", "order", "tree", "key", "recognise", "checks", "rules")


def read_mapping(data: dict[str, Any], path: str) -> LogMapping:
    """Return the mapping that ``data`` describes; ``path`` is named in errors. Raises ``BadMapping``."""
    return _Parser(path).mapping(data)


@dataclass(slots=True)
class _Parser(ValueReader):
    def mapping(self, data: dict[str, Any]) -> LogMapping:
        self.only(data, (*_TEXTS, *_LISTS, *_TABLES), "")
        self.named = self.table(data.get("values", {}), "values", data.get("values", {}))
        opened = self.table(data.get("open", {}), "open", ("root", "cap"))
        window = self.window(data)
        rules = data.get("rules")
        if not isinstance(rules, list) or not rules:
            raise self.error("rules", "there is none", "write at least one [[rules]] with one [[rules.emit]]")
        if "root" in opened and "cap" not in opened:
            raise self.error("open.cap", "is missing", "say how much the root may spend, or leave out `root`")
        counts = data.get("counts", TOKENS)
        if counts not in (TOKENS, DOLLARS):
            raise self.error("counts", f"{shown(counts)} is not {TOKENS!r} or {DOLLARS!r}")
        made = tuple(self.rule(rule, f"rules[{number}]", window is not None) for number, rule in enumerate(rules, 1))
        recognised = [
            self.conditions(one, f"recognise[{n}]") for n, one in enumerate(self.tables(data, "recognise"), 1)
        ]
        attributes, texts = (self.path_list(data.get(name, []), name) for name in ("attributes", "json"))
        tree = self.tree(data["tree"]) if "tree" in data else None
        key = self.key(data["key"]) if "key" in data else None
        checks = self.checks(data.get("checks", []))
        return LogMapping(
            path=self.path,
            title=self.text(data.get("title", ""), "title"),
            unit=self.text(data.get("unit", "units"), "unit"),
            written_by=self.text(data.get("written_by", ""), "written_by"),
            notes=self.texts(data.get("notes", []), "notes"),
            records=self.paths(data.get("records", []), "records"),
            attributes=attributes,
            json=texts,
            nested=self.nested,
            root=self.text(opened["root"], "open.root") if "root" in opened else None,
            cap=self.amount(opened["cap"], "open.cap") if "cap" in opened else None,
            window=window,
            nanoseconds=self.units,
            rules=made,
            amounts=tuple(self.amounts),
            checks=checks,
            tree=tree,
            key=key,
            recognised=tuple(recognised),
            assumed=self.texts(data.get("assumed", []), "assumed"),
            counts=str(counts),
        )

    def window(self, data: dict[str, Any]) -> int | None:
        """Return the window of the order, in the unit of the times: nanoseconds where a unit is given."""
        order = self.table(data.get("order", {}), "order", ("window", "unit"))
        window = order.get("window")
        if "order" not in data:
            return None
        if type(window) is not int or window < 0:
            raise self.error(
                "order.window", f"{shown(window)} is no span of time", "a whole number, in the unit of `at`"
            )
        if "unit" in order:
            self.unit = self.time_unit(order["unit"], "order.unit")
            return window * self.unit
        return window

    def tables(self, data: dict[str, Any], key: str) -> list[Any]:
        found = data.get(key, [])
        if not isinstance(found, list):
            raise self.error(key, f"{shown(found)} is no list of tables", f"write [[{key}]] for each")
        return found

    def paths(self, data: object, key: str) -> tuple[Path, ...]:
        """Return the paths of lists that contain records: one, or several of which the first that is there counts."""
        if isinstance(data, list) and data and all(isinstance(item, list) and item for item in data):
            return tuple(self.texts(item, f"{key}[{n}]") for n, item in enumerate(data, 1))
        one = self.texts(data, key)
        return (one,) if one else ()

    def path_list(self, data: object, key: str) -> tuple[Path, ...]:
        paths = tuple(tuple(name.split("/")) for name in self.texts(data, key))
        self.nested = self.nested or any(PARENT in path for path in paths)
        return paths

    def key(self, data: object) -> Key:
        table = self.table(data, "key", ("of", "keep", "within"))
        self.all_of(("of", "keep"), table, "key")
        keep, within = table["keep"], table.get("within", 1000)
        if keep not in KEEPS:
            raise self.error("key.keep", f"{shown(keep)} is no way to choose", f"one of: {', '.join(KEEPS)}")
        if type(within) is not int or not 0 < within <= 100_000:
            raise self.error("key.within", f"{shown(within)} is no number of records", "1 to 100,000")
        return Key(self.value(table["of"], "key.of", False), str(keep), within)

    def checks(self, data: object) -> tuple[Check, ...]:
        data = self.tables({"checks": data}, "checks")
        made = []
        for number, item in enumerate(data, 1):
            key = f"checks[{number}]"
            table = self.table(item, key, ("name", "least", "most"))
            self.all_of(("name", "least", "most"), table, key)
            least, most = (self.value(table[side], f"{key}.{side}", True) for side in ("least", "most"))
            made.append(Check(self.text(table["name"], f"{key}.name"), least, most))
        return tuple(made)

    def tree(self, data: object) -> Tree:
        table = self.table(data, "tree", ("group", "id", "parent", "same"))
        self.all_of(("group", "id", "parent"), table, "tree")
        group, own, parent = (self.value(table[name], f"tree.{name}", False) for name in ("group", "id", "parent"))
        return Tree(group, own, parent, self.value(table["same"], "tree.same", False) if "same" in table else None)

    def rule(self, data: object, key: str, ordered: bool) -> MappingRule:
        table = self.table(data, key, ("name", "when", "emit", "call", "repeats", "amount", "credit", *SIDES))
        repeats = table.get("repeats", "")
        if "repeats" in table and repeats not in (BELOW, BESIDE):
            raise self.error(f"{key}.repeats", f"{shown(repeats)} is not {BELOW!r} or {BESIDE!r}")
        if bool(repeats) is not (("amount" in table) or ("call" in table and bool(repeats))) or (
            repeats and "emit" in table
        ):
            raise self.error(f"{key}.repeats", "goes with `amount`, and without `emit`", "say what the record repeats")
        if "call" in table and ("emit" in table or "amount" in table):
            raise self.error(f"{key}.call", "stands in place of `emit` and `amount`", "give one of them")
        if "credit" in table and {"emit", "call", "repeats"} & set(table):
            raise self.error(f"{key}.credit", "stands in place of `emit`", "give one of them")
        sides = [side for side in SIDES if side in table]
        if sides and ("call" not in table or repeats or len(sides) > 1):
            raise self.error(f"{key}.{sides[0]}", "goes with `call`", "give one of: awaits, answers, repeats")
        emits = [] if repeats or {"call", "credit"} & set(table) else table.get("emit")
        if not isinstance(emits, list):
            raise self.error(f"{key}.emit", "is missing", "write one [[rules.emit]] for each event")
        return MappingRule(
            name=self.text(table.get("name", key), f"{key}.name"),
            when=self.conditions(table.get("when", {}), f"{key}.when"),
            emit=tuple(self.emit(emit, f"{key}.emit[{n}]", ordered) for n, emit in enumerate(emits, 1)),
            repeats=repeats,
            amount=self.value(table["amount"], f"{key}.amount", True) if "amount" in table else None,
            expected=tuple(self.expected(emits, key)),
            credit=self.value(table["credit"], f"{key}.credit", True) if "credit" in table else None,
            call=self.call(table["call"], f"{key}.call", ordered, bool(repeats)) if "call" in table else None,
            awaits=self.value(table["awaits"], f"{key}.awaits", False) if "awaits" in table else None,
            answers=self.value(table["answers"], f"{key}.answers", False) if "answers" in table else None,
        )

    def call(self, data: object, key: str, ordered: bool, repeats: bool) -> CallSpec:
        """Return where a record says what a call used."""
        names = ("model", "provider", "tier")
        more = ("id", "cache", "unknown_zero", "failed", "resent", "writer", "sums", "free", "required")
        table = self.table(data, key, (*call_fields(), *more))
        if not repeats:
            self.all_of(("id", *(("began", "ended") if ordered else ())), table, key)
        if not isinstance(table.get("sums", False), bool):
            raise self.error(f"{key}.sums", f"{shown(table['sums'])} is not true or false")
        cache = table.get("cache", INSIDE)
        if cache not in (INSIDE, BESIDE_INPUT):
            raise self.error(f"{key}.cache", f"{shown(cache)} is not {INSIDE!r} or {BESIDE_INPUT!r}")

        def get(name: str, number: bool | None) -> Get | None:
            return self.value(table[name], f"{key}.{name}", number) if name in table else None

        account = get("account", False)
        return CallSpec(
            key=key,
            ident=get("id", False) or as_name(lambda _record: "-"),
            account=account if account is not None else (lambda _record: "root"),
            agent=get("agent", False),
            began=get("began", None),
            ended=get("ended", None),
            numbers=tuple((name, found) for name in OF_TOKENS if (found := get(name, True)) is not None),
            names=tuple((name, found) for name in names if (found := get(name, False)) is not None),
            cost=self.raw(table["cost"], f"{key}.cost") if "cost" in table else None,
            cache=str(cache),
            unknown_zero=self.tokens(table, "unknown_zero", key),
            required=self.tokens(table, "required", key),
            sums=bool(table.get("sums", False)),
            failed=self.either(table.get("failed", []), f"{key}.failed"),
            free=self.either(table.get("free", []), f"{key}.free"),
            resent=self.either(table.get("resent", []), f"{key}.resent"),
            writer=get("writer", False),
        )

    def tokens(self, table: dict[str, Any], name: str, key: str) -> frozenset[str]:
        """Return the names of tokens that a list has: each of them has its field beside it."""
        names = self.texts(table.get(name, []), f"{key}.{name}")
        if odd := next((one for one in names if one not in table or one not in OF_TOKENS), None):
            raise self.error(f"{key}.{name}", f"{shown(odd)} is not told in this call", "name input or output, say")
        return frozenset(names)

    def raw(self, spec: object, key: str) -> Get:
        """Return how to get a number with its decimals, as it is."""
        return self.shape("field", self.table(self.resolved(spec, key), key, ("field",)), key, True)

    def either(self, data: object, key: str) -> tuple[Condition, ...]:
        if isinstance(data, str) and data.startswith("$"):
            data = self.resolved(data, key)
        if not isinstance(data, list):
            raise self.error(key, f"{shown(data)} is no list of tables", 'write: [{ "a/field" = "a value" }]')
        made: list[Condition] = []
        for number, one in enumerate(data, 1):
            parts = self.conditions(one, f"{key}[{number}]")
            made.append(lambda record, parts=parts: all(holds(record) for holds in parts))  # type: ignore[misc]
        return tuple(made)

    def expected(self, emits: list[Any], key: str) -> Iterator[Field]:
        """Yield the fields of amounts and times that a record may lack: nobody would notice a name that is misspelt.

        Where a bill has an upper end of its own, what is missing is counted there.
        """
        ranged = any("at_most" in emit for emit in emits)
        for number, emit in enumerate(emits, 1):
            for name, spec in emit.items():
                if name == "at" or (name in _NUMBERS and not ranged):
                    yield from self.optional(spec, f"{key}.emit[{number}].{name}", name == "at")

    def optional(self, spec: object, key: str, may_lack: bool) -> Iterator[Field]:
        spec = self.resolved(spec, key)
        if not isinstance(spec, dict) or spec.get("default") == UNBOUNDED:
            return
        if "field" in spec and (may_lack or "default" in spec):
            yield self.place(spec["field"], key)
        for number, part in enumerate(spec.get("sum", []), 1):
            yield from self.optional(part, f"{key}.sum[{number}]", False)

    def emit(self, data: object, key: str, ordered: bool) -> Emit:
        if not isinstance(data, dict):
            raise self.error(key, f"{shown(data)} is no table", "write one [[rules.emit]] for each event")
        kind = data.get("event")
        kinds = [k for k in EVENT_TYPES if k not in ("stall", "reset")]  # they have lists in them
        if kind not in kinds:
            raise self.error(f"{key}.event", f"{shown(kind)} is no event", nearest(str(kind), kinds))
        wanted = {f.name: f.default is not MISSING for f in fields(EVENT_TYPES[kind])}
        if kind == "bill":
            wanted["at_most"] = True
        self.only(data, ("event", "at", *wanted), key)
        for name, optional in wanted.items():
            if not optional and name not in data:
                raise self.error(f"{key}.{name}", "is missing", f"{kind} needs: {', '.join(_needed(wanted))}")
        if ordered and "at" not in data:
            raise self.error(f"{key}.at", "is missing", "where [order] is given, every event needs its time")
        return Emit(
            kind,
            tuple((n, self.value(data[n], f"{key}.{n}", n in _NUMBERS), wanted[n]) for n in wanted if n in data),
            self.value(data["at"], f"{key}.at", None) if "at" in data else None,
        )


def _needed(wanted: dict[str, bool]) -> list[str]:
    return [name for name, optional in wanted.items() if not optional]
