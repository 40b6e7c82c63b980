"""From a scenario file to a ``Scenario``, or to ``BadScenario``: all that is wrong, where, and the cure.

The language is ``scenario.schema.json``. A file passes four gates: it can be read, it is TOML of a sane size,
it keeps to the schema, it makes sense. A gate reports all that it finds before the next one is tried.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from capsound.affine import BadProgram, parse_program
from capsound.amounts import as_ratio
from capsound.errors import EXIT_BAD_INPUT, BadAmount, CapsoundError, nearest
from capsound.positions import KeyPath, Place, Positions
from capsound.properties import JUDGED_ON_RUNS, Property
from capsound.scenario import (
    ANY,
    ROOT,
    Agents,
    Assume,
    CallKind,
    Estimator,
    Expect,
    Faults,
    Interval,
    Plain,
    Prices,
    Provider,
    Request,
    Scenario,
    Search,
    Slice,
    Stream,
)
from capsound.verdict import Verdict

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

MAX_FILE = 1024 * 1024
"""The largest scenario file, in bytes."""

MAX_NUMBER = 10**18
"""The largest number that a scenario may hold."""

MAX_ITEMS = 1000
"""The most entries of one array or table; the schema is stricter where it can say why."""

MAX_OWN_SLICES = 64
"""The most agents that may take a slice of their own: each is an account in every state of the search."""

SHAPES: Mapping[str, tuple[str, ...]] = {
    "plain": ("estimate", "bill"),
    "request": ("bytes", "messages", "tools", "max_output", "input_tokens", "output_tokens", "growth"),
    "stream": ("chunk", "chunks"),
}
"""The keys of each shape of a call; one call has one shape."""

_SHOWN, _QUOTED, _HINTED = 8, 3, 40
_WIDTH = 96
_T = TypeVar("_T")
_Accounts = Mapping[str, Interval]


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
        rest = f" (and {_some(more, 'more problem')})" if more else ""
        return f"{self.message} at {self.where}{'; ' if self.hint else ''}{self.hint}{rest} [{self.name}]"

    def render(self) -> str:
        """Return what a person should see, on one screen: the first problems with their lines quoted."""
        lines = [f"{self.path} has {_some(len(self.problems), 'problem')} [{self.name}]"]
        for number, problem in enumerate(self.problems[:_SHOWN]):
            where = f"{self.path}:{problem.line}:{problem.column}" if problem.line else self.path
            if number >= _QUOTED:
                lines.append(f"{where}: {problem.message}{'; ' if problem.hint else ''}{problem.hint}")
                continue
            lines += ["", f"{where}: {problem.message}", *_quote(problem)]
            if problem.hint:
                lines.append(f"      = {problem.hint}")
            if number == _QUOTED - 1 and len(self.problems) > _QUOTED:
                lines.append("")
        if len(self.problems) > _SHOWN:
            lines.append(f"and {len(self.problems) - _SHOWN} more")
        return "\n".join(lines)


def load_scenario(path: str | Path, *, known_disciplines: Collection[str]) -> Scenario:
    """Read, check and return the scenario in the file ``path``; raises ``BadScenario``."""
    shown = _printable(os.fspath(path))
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise BadScenario(shown, [_unreadable(path, error)]) from None
    if len(data) > MAX_FILE:
        raise BadScenario(shown, [_too_large(max(size, len(data)))])
    data = data.removeprefix(BOM_UTF8)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadScenario(shown, [_not_utf8(data, error)]) from None
    return parse_scenario(text, path=shown, known_disciplines=known_disciplines)


def parse_scenario(text: str, *, path: str = "<text>", known_disciplines: Collection[str]) -> Scenario:
    """Check and return the scenario that ``text`` says; ``path`` is for messages. Raises ``BadScenario``."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_FILE:
        raise BadScenario(path, [_too_large(size)])
    notes = _Notes(path, text.removeprefix("\ufeff").replace("\r\n", "\n"))
    try:
        data = _read_toml(notes)
        _check_values(data, notes)
        _check_schema(data, notes)
        return _Reader(data, notes, known_disciplines).scenario()
    except RecursionError:
        notes.at(Place(1, 1), "the file nests too deep", _DEPTH_CURE)
        raise notes.error() from None


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files: a copy of one's own."""
    schema: dict[str, Any] = json.loads(_resource("scenario.schema.json"))
    return schema


def scenario_template() -> str:
    """Return the commented scenario that ``capsound new scenario`` writes."""
    return _resource("template.toml")


def _resource(name: str) -> str:
    return resources.files("capsound").joinpath(name).read_text(encoding="utf-8")


class _Notes:
    """What was found wrong so far, and where things stand in the text."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.places = Positions(text)
        self._lines = text.split("\n")
        self._problems: dict[Problem, None] = {}
        self.blamed: set[KeyPath] = set()
        self.misspelt: set[KeyPath] = set()

    def at(self, place: Place, message: str, hint: str = "") -> None:
        source = self._lines[place.line - 1] if 0 < place.line <= len(self._lines) else ""
        self._problems[Problem(message, place.line, place.column, hint, source)] = None

    def value(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Blame the value at ``path``."""
        self.at(self.places.value(path), message, hint)

    def key(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Blame the key at ``path``."""
        self.at(self.places.key(path), message, hint)

    def error(self) -> BadScenario:
        in_order = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        return BadScenario(self.path, in_order)

    def gate(self) -> None:
        """Raise what was found, if anything was."""
        if self._problems:
            raise self.error()

    @property
    def generous(self) -> bool:
        """Whether the nearest name is still looked for: nobody reads the fortieth, and it takes time."""
        return len(self._problems) < _HINTED


# ---------------------------------------------------------------------- the first gates


def _unreadable(path: str | Path, error: OSError | ValueError) -> Problem:
    if isinstance(error, FileNotFoundError):
        folder = Path(path).parent
        try:
            beside = [file.name for file in islice(folder.glob("*.toml"), MAX_ITEMS)]
        except OSError:
            beside = []
        guess = _guess(Path(path).name, beside)
        hint = guess if guess.startswith("did") else "`capsound new scenario` writes one to begin with"
        return Problem("there is no such file", 0, 0, _printable(hint))
    if isinstance(error, IsADirectoryError):
        return Problem("this is a directory, not a scenario file", 0, 0, "name a file in it")
    if isinstance(error, PermissionError):
        return Problem("the file may not be read", 0, 0, "check its permissions")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Problem(f"the file cannot be read: {reason}", 0, 0, "check the path")


def _too_large(size: int) -> Problem:
    return Problem(
        f"the file is too large: {size:,} bytes, and a scenario may have {MAX_FILE:,} (1 MiB)",
        1,
        1,
        "is this the right file? Identical agents need one entry, with count = N",
    )


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> Problem:
    start = data.rfind(b"\n", 0, error.start) + 1
    line = data.count(b"\n", 0, error.start) + 1
    column = len(data[start : error.start].decode()) + 1
    message = f"the file is not UTF-8: byte 0x{data[error.start]:02x} has no meaning here"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16, not UTF-8"
    source = data[start:].partition(b"\n")[0].decode(errors="replace")
    return Problem(message, line, column, "save the file as UTF-8", source)


_SYNTAX = re.compile(
    r"(?P<what>.*?)\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_CURES = (
    ("Invalid value", 'text needs quotes, as in discipline = "racy-counter"; numbers and true, false do not'),
    ("Cannot overwrite", "this key has a value already: keep one of the two"),
    (
        "Cannot declare",
        "this table is there already: join the two, or use [[two brackets]] for one more entry",
    ),
    ("Cannot mutate", "this table is closed already: write its keys in one place"),
    ("Cannot redefine", "this table is there already: join the two"),
    ("Expected '='", "a line is key = value, [table] or [[entry of an array]]"),
    ("Expected newline", "one key = value on each line"),
    ("Invalid statement", "a line is key = value, [table] or [[entry of an array]]"),
    ("Illegal character '\\n'", "close the string on the line where it begins"),
    ("Illegal character", "control characters are not allowed; in strings write \\n or \\t"),
    ("Unterminated string", "close the string"),
    ("Unescaped '\\'", "write \\\\ for a backslash, or use 'single quotes'"),
    ("Unclosed array", "close the array with ], and put commas between its values"),
    ("Unclosed inline", "close the table with }, on the same line"),
    ("Expected ']", "close the header of the table"),
)


def _read_toml(notes: _Notes) -> dict[str, Any]:
    if notes.places.too_much:
        what, place = notes.places.too_much
        notes.at(place, f"the file {what}", f"{_DEPTH_CURE}; many agents need one entry, with count = N")
        raise notes.error()
    try:
        data = tomllib.loads(notes.text, parse_float=_exact)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        what = found["what"] if found else str(error)
        what = re.sub(r"\('(.*)',?\)", lambda keys: "[" + keys[1].replace("', '", ".") + "]", what)
        if found and found["line"]:
            place = Place(int(found["line"]), int(found["column"]))
        else:
            place = notes.places.place(len(notes.text.rstrip()))
        hint = next((cure for start, cure in _CURES if what.startswith(start)), "see https://toml.io/en/v1.0.0")
        notes.at(place, f"this is not TOML: {_printable(what[:1].lower() + what[1:])}", hint)
        raise notes.error() from None
    except ValueError:
        # Python converts no decimal integer above some thousand digits, so there is no value to look at.
        digits = re.compile(r"[+-]?[0-9_]{600}")
        paths = (path for path in notes.places.paths() if digits.match(notes.places.value_text(path)))
        path = next(paths, ())
        notes.value(path, f"{_spell(path)} is too large: {_TOO_LARGE}", _LARGE_CURE)
        raise notes.error() from None
    if not data:
        what = "holds nothing but comments" if notes.text.strip() else "is empty"
        notes.at(Place(1, 1), f"the file {what}", "`capsound new scenario` writes one to begin with")
        raise notes.error()
    return data


class _Unrepresentable(Decimal):
    """A decimal whose exponent is beyond what ``Decimal`` can hold."""


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        return _Unrepresentable("inf")


_DEPTH_CURE = "a scenario needs a depth of four at most"
_FINITE_CURE = 'give a finite number; for an amount, a cap or a count, "any" says that there is no limit'
_TOO_LARGE = "no number of a scenario is above 10^18"
_LARGE_CURE = "count in a larger unit"


def _check_values(data: dict[str, Any], notes: _Notes) -> None:
    """Find what cannot be calculated with: NaN, infinities, numbers and arrays of absurd size.

    Such a number is replaced by 1 and blamed, so that the schema sees only tame values.
    """
    todo: list[tuple[KeyPath, Any]] = [((), data)]
    while todo:
        path, container = todo.pop()
        if len(container) > MAX_ITEMS:
            message = f"{_spell(path)} has {len(container):,} entries, more than {MAX_ITEMS:,}"
            notes.key(path, message, "identical agents need one entry, with count = N")
            raise notes.error()
        for key in list(container) if isinstance(container, dict) else range(len(container)):
            here, value = (*path, key), container[key]
            if isinstance(value, dict | list):
                todo.append((here, value))
            elif isinstance(value, int | Decimal) and (wrong := _untame(value)):
                notes.value(here, f"{_spell(here)} {wrong[0]}", wrong[1])
                notes.blamed.add(here)
                container[key] = 1


def _untame(value: int | Decimal) -> tuple[str, str] | None:
    """Return what is wrong with a number and the cure, or None."""
    if isinstance(value, int):
        if value < -MAX_NUMBER:
            return "is negative, and far too large", "amounts are whole numbers of at least 0"
        return (f"is too large: {_TOO_LARGE}", _LARGE_CURE) if value > MAX_NUMBER else None
    if value.is_zero():
        return None
    if value.is_nan():
        return "is nan, which is not a number", _FINITE_CURE
    if isinstance(value, _Unrepresentable) or (value.is_finite() and value.adjusted() > 18):
        return f"is too large: {_TOO_LARGE}", _LARGE_CURE
    if value.is_infinite():
        return f"is {'-' if value.is_signed() else ''}inf, which is not finite", _FINITE_CURE
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and (exponent < -18 or exponent > 18):
        return "has too many digits", "18 on each side of the decimal point are the most"
    return None


# ---------------------------------------------------------------------- the schema's gate


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(scenario_schema())


def _check_schema(data: dict[str, Any], notes: _Notes) -> None:
    # Unknown keys come first: a misspelt key explains why the right one is missing.
    for error in sorted(_validator().iter_errors(data), key=lambda error: error.validator == "required"):
        _explain(error, tuple(error.absolute_path), notes)
    notes.gate()


def _explain(error: ValidationError, path: KeyPath, notes: _Notes) -> None:
    """Turn one error of the validator into a message for people."""
    value: Any = error.instance
    schema: Any = error.schema
    rule = str(error.validator)
    if path in notes.blamed:
        return
    if rule == "anyOf" and (branch := _branch(error)):
        for deeper in branch:
            _explain(deeper, tuple(deeper.absolute_path), notes)
        return
    if rule == "additionalProperties":
        for key in value:
            if key not in schema["properties"]:
                hint = _misplaced(key, value[key], path, schema) if notes.generous else ""
                notes.key((*path, key), f"unknown key {_show(key)}{_within(path)}", hint)
                notes.misspelt.update((*path, right) for right in re.findall('did you mean "(.*)"', hint))
    elif rule == "required":
        for key in schema["required"]:
            if key not in value and (*path, key) not in notes.misspelt:
                _missing(key, path, notes)
    elif rule == "oneOf":
        _explain_shapes(value, path, notes)
    elif rule == "const" and path == ("schema",):
        notes.value(path, f"this file is written for schema {_show(value)}", "this capsound reads schema 1")
    elif rule == "minItems":
        notes.value(path, f"{_spell(path)} is empty", f"give at least {_article(str(path[-1]))}")
    elif rule == "maxItems":
        message = f"{_spell(path)} has {len(value)} entries; {error.validator_value} is the most"
        notes.value(path, message, "remove some; identical agents need one entry, with count = N")
    elif rule == "minProperties":
        notes.value(path, f"{_spell(path)} is an empty table", "give min, max or both")
    else:
        message, hint = _misfit(value, rule, schema, notes)
        notes.value(path, f"{_spell(path)} {message}", hint)


def _branch(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the one alternative that fits the kind of value, if there is just one."""
    by_branch: dict[object, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(inner.relative_schema_path[0], []).append(inner)
    fitting = [
        errors
        for errors in by_branch.values()
        if not any(inner.validator in ("type", "const") and not inner.relative_path for inner in errors)
    ]
    return fitting[0] if len(fitting) == 1 else []


def _misfit(value: Any, rule: str, schema: Mapping[str, Any], notes: _Notes) -> tuple[str, str]:
    """Say what is wrong with a single value, and what is wanted in its place."""
    wanted = _wanted(schema)
    numeric = "whole number" in wanted or "number of" in wanted or "a number" in wanted
    if isinstance(value, bool):
        return f"is {_show(value)}, a boolean", f"give {wanted}"
    if isinstance(value, int | Decimal) and numeric:
        if value < 0:
            return f"is {_show(value)}, which is negative", f"give {wanted}"
        if isinstance(value, Decimal) and "whole number" in wanted:
            return (
                f"is {_show(value)}, not a whole number",
                f"give {wanted}; count in the smallest unit, for example micro-USD instead of dollars",
            )
        if rule == "minimum":
            return f"is {_show(value)}, less than {_show(schema['minimum'])}", f"give {wanted}"
        if rule == "maximum":
            return f"is {_show(value)}, more than {_show(schema['maximum'])}", f"give {wanted}"
    if isinstance(value, str):
        if "enum" in schema and notes.generous:
            return f"is {_show(value)}", _guess(value, schema["enum"])
        if rule == "maxLength":
            return f"is too long: {len(value)} characters, {schema['maxLength']} are the most", "shorten it"
        return f"is {_show(value)}", f"give {wanted}"
    if isinstance(value, dict) and schema.get("type") == "array":
        key = schema.get("title", "").lower()
        return "is a single table, not an array of them", f"write [[{key}]], with two brackets on each side"
    if isinstance(value, list) and schema.get("type") == "object":
        return "is an array, not a table", "write its header with one bracket on each side"
    return f"is {_show(value)}", f"give {wanted}"


def _wanted(schema: Mapping[str, Any]) -> str:
    """Return what a schema wants, in words."""
    if "anyOf" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return " or ".join(_show(name) for name in schema["enum"])
    if "const" in schema:
        return _show(schema["const"])
    kind = schema.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        least, most = schema.get("minimum", 0), schema.get("maximum", MAX_NUMBER)
        return f"{noun} from {least} to {most}" if most < MAX_NUMBER else f"{noun} of at least {least}"
    if kind == "string":
        if "A-Z" in schema.get("pattern", ""):
            return "a name: letters, digits, '_', '.' and '-', no digit first, 60 characters at most"
        if "0-9" in schema.get("pattern", ""):
            return 'a number such as 2, 1.875 or "3/2"'
        return "one line of text, without control characters"
    return {"boolean": "true or false", "array": "an array in [ ]", "object": "a table"}[str(kind)]


def _missing(key: str, path: KeyPath, notes: _Notes) -> None:
    if path:
        notes.key(path, f"{_show(key)} is missing{_within(path)}", f"add {key} = ..., below its header")
    elif key in ("agents", "calls"):
        notes.key((), f"the scenario has no {key}", f"add an entry [[{key}]]")
    else:
        example = {"cap": "cap = 60", "discipline": 'discipline = "racy-counter"'}[key]
        notes.key((), f"{_show(key)} is missing", f"add {example} at the top, before the first [table]")


def _explain_shapes(call: Mapping[str, Any], path: KeyPath, notes: _Notes) -> None:
    shape_of = {key: shape for shape, keys in SHAPES.items() for key in keys}
    used = [key for key in call if key in shape_of]
    shapes = list(dict.fromkeys(shape_of[key] for key in used))
    if len(shapes) == 1:
        needed = {"request": ("bytes",), "stream": SHAPES["stream"]}[shapes[0]]
        lack = " and ".join(key for key in needed if key not in call)
        notes.key(
            (*path, used[0]),
            f"a {shapes[0]} needs {lack}{_within(path)}",
            f"the keys of a {shapes[0]} are {', '.join(SHAPES[shapes[0]])}",
        )
        return
    used.sort(key=lambda key: notes.places.key((*path, key)))
    first = shape_of[used[0]]
    odd = next(key for key in used if shape_of[key] != first)
    notes.key(
        (*path, odd),
        f"{_show(odd)} belongs to a {shape_of[odd]} call, {_show(used[0])} to a {first} call: one call has one shape",
        " · ".join(f"{shape}: {', '.join(keys)}" for shape, keys in SHAPES.items()),
    )


def _misplaced(key: str, value: Any, path: KeyPath, schema: Mapping[str, Any]) -> str:
    """Return the cure for an unknown key: the table where it belongs, or the nearest key known here."""
    homes = [name for name, keys in _tables().items() if key in keys and not isinstance(value, dict | list)]
    if homes and path[:1] not in {(home.strip("[]"),) for home in homes}:
        if homes[0]:
            return f"{_show(key)} belongs in {' or '.join(homes)}"
        return f"{_show(key)} belongs at the top of the file, before the first [table]"
    return _guess(key, schema["properties"])


@cache
def _tables() -> dict[str, frozenset[str]]:
    """Return the keys of each table of the language; the top of the file has no name."""
    schema = scenario_schema()
    tables = {"": frozenset(schema["properties"])}
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            tables[f"[{name}]"] = frozenset(rule["properties"])
    rules = {"[[agents]]": "agents", "[[calls]]": "call", "[[slices]]": "slice", "[expect]": "expect"}
    for name, rule in rules.items():
        tables[name] = frozenset(schema["$defs"][rule]["properties"])
    return tables


# ---------------------------------------------------------------------- the sense's gate


class _Reader:
    """Builds the dataclasses from data that keep to the schema, and finds what makes no sense."""

    def __init__(self, data: Mapping[str, Any], notes: _Notes, known_disciplines: Collection[str]) -> None:
        self._data = data
        self._notes = notes
        self._known_disciplines = known_disciplines

    def scenario(self) -> Scenario:
        data, path = self._data, self._notes.path
        if data["discipline"] not in self._known_disciplines:
            self._unknown(("discipline",), "discipline", self._known_disciplines)
        self._unique(("properties",), data.get("properties", []))
        for number, name in enumerate(data.get("properties", [])):
            if Property(name) in JUDGED_ON_RUNS:
                solvable = ", ".join(p.value for p in Property if p not in JUDGED_ON_RUNS)
                message = f"{_show(name)} is judged on single runs only: no scenario can ask for a proof of it"
                self._notes.value(("properties", number), message, f"choose among {solvable}")
        cap = self._interval(("cap",))
        calls = tuple(self._call(number) for number in range(len(data["calls"])))
        self._names("calls", [kind.name for kind in calls])
        slices = tuple(self._slice(number) for number in range(len(data.get("slices", []))))
        named_once = self._names("slices", [piece.name for piece in slices], taken=(ROOT,))
        accounts = {ROOT: cap, **{piece.name: piece.grant for piece in slices}}
        self._tree(slices, accounts, named_once=named_once)
        agents = tuple(self._agents(number, calls, accounts) for number in range(len(data["agents"])))
        self._names("agents", [group.name for group in agents])
        self._own_slices(agents)
        scenario = Scenario(
            name=Path(path).stem if not path.startswith("<") else path.strip("<>"),
            cap=cap,
            discipline=data["discipline"],
            agents=agents,
            calls=calls,
            title=data.get("title", ""),
            unit=data.get("unit", "units"),
            slices=slices,
            estimator=self._section("estimator", Estimator),
            provider=self._section("provider", Provider),
            prices=self._section("prices", Prices),
            assume=self._assume(calls),
            faults=self._section("faults", Faults),
            properties=tuple(Property(name) for name in data.get("properties", [])),
            expect=self._expect(),
            search=self._section("search", Search),
            path=path,
        )
        self._notes.gate()
        return scenario

    # Values

    def _get(self, path: KeyPath, default: Any = None) -> Any:
        found: Any = self._data
        for key in path:
            if isinstance(found, dict) and key not in found:
                return default
            found = found[key]
        return found

    def _interval(self, path: KeyPath) -> Interval:
        value = self._get(path, "any")
        if value == "any":
            return ANY
        if isinstance(value, int):
            return Interval.exactly(value)
        low, high = value.get("min", 0), value.get("max", "any")
        if high == "any":
            return Interval(low, None)
        if low > high:
            message = f"{_spell(path)} has min {low} above max {high}"
            self._notes.value((*path, "min"), message, "swap the two")
        return Interval(low, high)

    def _interval_if_given(self, path: KeyPath) -> Interval | None:
        return None if self._get(path) is None else self._interval(path)

    def _ratio(self, path: KeyPath, least: int = 0) -> Fraction:
        value = self._get(path)
        try:
            ratio = as_ratio(value)
        except BadAmount:
            message = f"{_spell(path)} is {_show(value)}, a division by zero"
            self._notes.value(path, message, "give a finite number")
            return Fraction(1)
        if ratio < least:
            message = f"{_spell(path)} is {_show(value)}, less than {least}"
            self._notes.value(path, message, f"give a number of at least {least}")
        return ratio

    def _section(self, name: str, kind: type[_T]) -> _T:
        ratios = ("margin", "tokens_per_byte")
        table = self._get((name,), {})
        return kind(**{key: self._ratio((name, key)) if key in ratios else table[key] for key in table})

    def _unknown(self, path: KeyPath, what: str, known: Iterable[str]) -> None:
        value = self._get(path)
        hint = _guess(value, known) if self._notes.generous else ""
        self._notes.value(path, f"there is no {what} {_show(value)}", hint)

    def _unique(self, path: KeyPath, values: Sequence[object]) -> None:
        for number, value in enumerate(values):
            if value in values[:number]:
                message = f"{_show(value)} is there twice in {_spell(path)}"
                self._notes.value((*path, number), message, "name it once")

    def _names(self, table: str, names: Sequence[str], taken: Sequence[str] = ()) -> bool:
        """Blame every name that is used a second time; return whether there was none."""
        seen = {name: f"{_show(name)} is taken: it is the account with the cap" for name in taken}
        clean = True
        for number, name in enumerate(names):
            if name in seen:
                hint = "give each entry a name of its own"
                self._notes.value((table, number, "name"), seen[name], hint)
                clean = False
            else:
                line = self._notes.places.value((table, number, "name")).line
                seen[name] = f"two [[{table}]] are called {_show(name)}; the first is in line {line}"
        return clean

    # Entries

    def _call(self, number: int) -> CallKind:
        here = ("calls", number)
        table = self._get(here)
        name = table.get("name", "call")
        if "bytes" in table:
            given = ("messages", "tools", "max_output", "growth")
            return CallKind(
                name,
                Request(
                    self._interval((*here, "bytes")),
                    input_tokens=self._interval_if_given((*here, "input_tokens")),
                    output_tokens=self._interval_if_given((*here, "output_tokens")),
                    **{key: table[key] for key in given if key in table},
                ),
            )
        if "chunk" in table:
            return CallKind(name, Stream(self._interval((*here, "chunk")), table["chunks"]))
        return CallKind(name, Plain(self._interval((*here, "estimate")), self._interval((*here, "bill"))))

    def _slice(self, number: int) -> Slice:
        table = self._get(("slices", number))
        return Slice(table["name"], table.get("parent", ROOT), self._interval(("slices", number, "grant")))

    def _tree(self, slices: Sequence[Slice], accounts: _Accounts, *, named_once: bool) -> None:
        known = True
        for number, piece in enumerate(slices):
            here = ("slices", number)
            if piece.parent in accounts:
                who = f"slice {_show(piece.name)}"
                self._fits((*here, "grant"), piece.grant, who, piece.parent, accounts)
            else:
                self._unknown((*here, "parent"), "account", accounts)
                known = False
        if slices and known and named_once:
            from capsound.tree import cycles

            order = [piece.name for piece in slices]
            for cycle in cycles(slices):
                self._notes.value(
                    ("slices", order.index(cycle[0]), "parent"),
                    f"the slices form a cycle: {' -> '.join([*cycle, cycle[0]])}",
                    'every slice must lead up to the root: give one of them parent = "root"',
                )

    def _fits(self, path: KeyPath, grant: Interval, who: str, parent: str, accounts: _Accounts) -> None:
        most = accounts[parent].hi
        if most is not None and grant.lo > most:
            self._notes.value(
                path,
                f"{who} is granted {grant.lo}, but its parent {_show(parent)} has {most} at most",
                f"grant {most} or less, or give {_show(parent)} more",
            )

    def _agents(self, number: int, calls: Sequence[CallKind], accounts: _Accounts) -> Agents:
        here = ("agents", number)
        table = self._get(here)
        name, account = table.get("name", "agent"), table.get("account", ROOT)
        kinds = [kind.name for kind in calls]
        if account not in accounts:
            self._unknown((*here, "account"), "account", accounts)
        if "call" in table and table["call"] not in kinds:
            self._unknown((*here, "call"), "kind of call", kinds)
        if "call" not in table and len(set(kinds)) > 1:
            names = ", ".join(map(_show, dict.fromkeys(kinds)))
            self._notes.key(here, f"which calls does {_show(name)} make? There are {names}", "add call = ...")
        own = self._interval_if_given((*here, "slice"))
        if own is not None and account in accounts:
            self._fits((*here, "slice"), own, f"each of {_show(name)}", account, accounts)
        self._program((*here, "program"), table, accounts)
        count = table.get("count", 1)
        return Agents(
            name=name,
            count=None if count == "any" else count,
            account=account,
            call=table.get("call", kinds[0]),
            calls=table.get("calls", 1),
            own_slice=own,
            program=tuple(table.get("program", ())),
        )

    def _program(self, path: KeyPath, table: Mapping[str, Any], accounts: Collection[str]) -> None:
        """Blame the first line of a program that is no operation."""
        lines = table.get("program", [])
        here = path[:-1]
        cures = {"calls": "leave it out", "slice": 'begin the program with "delegate ACCOUNT 20 -> mine"'}
        for key, cure in cures.items():
            if lines and key in table:
                message = f"{_show(key)} has no meaning{_within(here)}: its program says it all"
                self._notes.key((*here, key), message, cure)
        for length in range(1, len(lines) + 1):
            try:
                amount = parse_program(lines[:length], accounts)[-1].amount
            except BadProgram as error:
                self._notes.value((*path, length - 1), error.message, error.hint)
                return
            if amount is not None and amount > MAX_NUMBER:
                message = f"the amount in line {length} of the program is too large: {_TOO_LARGE}"
                self._notes.value((*path, length - 1), message, _LARGE_CURE)
                return

    def _own_slices(self, agents: Sequence[Agents]) -> None:
        total = 0
        for number, group in enumerate(agents):
            before, total = total, total + (group.count or 1 if group.own_slice is not None else 0)
            if before <= MAX_OWN_SLICES < total:
                self._notes.value(
                    ("agents", number, "slice"),
                    f"{total} agents take a slice of their own; {MAX_OWN_SLICES} are the most",
                    'lower the count, or ask about every number with count = "any"',
                )

    # Assumptions and expectations

    def _assume(self, calls: Sequence[CallKind]) -> Assume:
        table = self._get(("assume",), {})
        has_requests = any(isinstance(kind.cost, Request) for kind in calls)
        a1: bool | None = table.get("A1", None if has_requests else True)
        if a1 is False and has_requests:
            self._notes.value(
                ("assume", "A1"),
                "A1 = false does not go with requests: whether A1 holds has to follow from the estimator",
                "leave A1 out and capsound finds out whether it holds; A1 = true assumes it",
            )
        elif "shortfall" in table and a1 is not False:
            why = "A1 (a bill never exceeds its hold) is assumed" if a1 else "the requests say what is billed"
            cure = "leave it out" if has_requests else "set A1 = false in [assume], or leave shortfall out"
            self._notes.key(("assume", "shortfall"), f"shortfall has no meaning: {why}", cure)
        for key, name in (("rise", "A8"), ("hidden_retries", "A10")):
            if key in table and table.get(name, True):
                message = f"{key} has no meaning while {name} is assumed"
                self._notes.key(("assume", key), message, f"set {name} = false in [assume]")
        if a1:
            for number, kind in enumerate(calls):
                self._affordable(("calls", number, "bill"), kind)
        said: dict[str, Any] = {key.lower(): value for key, value in table.items() if key not in ("A1", "A2")}
        said |= {key: self._ratio(("assume", key), 1) for key in ("shortfall", "rise") if key in table}
        return Assume(a1=a1, **said)

    def _affordable(self, path: KeyPath, kind: CallKind) -> None:
        cost = kind.cost
        if isinstance(cost, Plain) and cost.estimate.hi is not None and cost.bill.lo > cost.estimate.hi:
            self._notes.value(
                path,
                f"{_show(kind.name)} bills at least {cost.bill.lo} and is estimated at {cost.estimate.hi} "
                "at most, although A1 (a bill never exceeds its hold) is assumed",
                "set A1 = false in [assume], or estimate more",
            )

    def _expect(self) -> Expect:
        from capsound.anomalies import ANOMALIES

        table = self._get(("expect",), {})
        if isinstance(table, str):
            return Expect(verdict=Verdict(table))
        for number, name in enumerate(table.get("anomalies", [])):
            if name not in ANOMALIES:
                self._unknown(("expect", "anomalies", number), "anomaly", ANOMALIES)
        for key in ("anomalies", "flags"):
            self._unique(("expect", key), table.get(key, []))
        return Expect(
            verdict=Verdict(table["verdict"]) if "verdict" in table else None,
            properties={Property(name): Verdict(said) for name, said in table.get("properties", {}).items()},
            anomalies=tuple(table.get("anomalies", ())),
            flags=tuple(table.get("flags", ())),
            overshoot=table.get("overshoot"),
            steps=table.get("steps"),
            margin=self._ratio(("expect", "margin")) if "margin" in table else None,
            overhead=table.get("overhead"),
        )


# ---------------------------------------------------------------------- the words


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _article(plural: str) -> str:
    return {"agents": "one [[agents]]", "calls": "one [[calls]]"}.get(plural, "one entry")


def _show(value: object) -> str:
    """Return a value as TOML would write it, short enough for a message."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _printable(json.dumps(value if len(value) <= 40 else value[:39] + "…", ensure_ascii=False))
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return str(value)


def _printable(text: str) -> str:
    """Return ``text`` with one mark for each character that a terminal would act upon, or cannot show."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _header(path: KeyPath) -> tuple[str, KeyPath]:
    """Split a path into the table that it is in, as written in the file, and the rest."""
    if len(path) > 1 and isinstance(path[1], int) and path[0] in ("agents", "calls", "slices"):
        return f"[[{path[0]}]] number {path[1] + 1}", path[2:]
    if len(path) > 1 and path[0] != "properties":
        return f"[{_printable(str(path[0]))[:40]}]", path[1:]
    return "", path


def _spell(path: KeyPath) -> str:
    """Name the thing at ``path`` in words."""
    header, rest = _header(path)
    if not rest:
        return header or "the scenario"
    name = str(rest[0]) + "".join(f"[{key + 1}]" if isinstance(key, int) else f".{key}" for key in rest[1:])
    return f"{_show(name)} in {header}" if header else _show(name)


def _within(path: KeyPath) -> str:
    """Say which table a key is in; nothing for the top of the file."""
    header, rest = _header((*path, "key"))
    inner = ".".join(str(key) for key in rest[:-1])
    return f" in {_show(inner)} of {header}" if inner and header else f" in {header}" if header else ""


def _guess(word: str, known: Iterable[str]) -> str:
    """Return ``errors.nearest``, which also knows words that begin alike: captokens and cap."""
    names = list(known)
    hint = nearest(word[:60], names).replace("'", '"')
    if not hint.startswith("did"):
        folded = word.casefold().replace("-", "_")
        long = [name for name in names if min(len(name), len(folded)) > 2]
        alike = [name for name in long if folded.startswith(name) or name.startswith(folded)]
        if alike:
            return f'did you mean "{max(alike, key=len)}"?'
    return hint


def _quote(problem: Problem) -> Iterator[str]:
    """Yield the line of a problem and a caret below it; of a long line the part around the caret."""
    if not problem.line or not problem.source.strip():
        return
    line, place = problem.source, problem.column - 1
    start = max(0, place - _WIDTH // 2) if len(line) > _WIDTH else 0
    end = start + _WIDTH
    left, right = "…" if start else "", "…" if end < len(line) else ""
    shown, before = left + line[start:end] + right, left + line[start:place]
    margin = f"{problem.line:>5} | "
    yield margin + _printable(shown.replace("\t", " ")).rstrip()
    yield " " * (len(margin) - 2) + "| " + " " * sum(map(_columns, before)) + "^"


def _columns(sign: str) -> int:
    """Return how many columns of a terminal one character takes."""
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
