"""What the sections of a scenario file have in common: single values of it, and blame for those that make no sense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeVar

from capsound.amounts import as_ratio
from capsound.errors import BadAmount
from capsound.loading.money import WHOLE, Scale
from capsound.loading.problems import Notes
from capsound.loading.words import guess, show, spell
from capsound.positions import KeyPath
from capsound.scenario import ANY, Interval, decimal

_T = TypeVar("_T")

Accounts = Mapping[str, Interval]
"""The accounts of a scenario by name, each with what it is granted."""


class Values:
    """The data of a file that keeps to the schema, read value by value; what makes no sense goes into ``notes``."""

    def __init__(self, data: Mapping[str, Any], notes: Notes, scale: Scale = WHOLE) -> None:
        self.data = data
        self.notes = notes
        self.scale = scale

    def told(self, amount: int) -> str:
        """Return an amount as the file writes it."""
        return decimal(amount, self.scale.digits, self.scale.places)

    def get(self, path: KeyPath, default: Any = None) -> Any:
        """Return what is at ``path``, or ``default``."""
        found: Any = self.data
        for key in path:
            if isinstance(found, dict) and key not in found:
                return default
            found = found[key]
        return found

    def interval(self, path: KeyPath) -> Interval:
        """Return the amounts from which the environment chooses; blame a range that is empty."""
        value = self.get(path, "any")
        if value == "any":
            return ANY
        if isinstance(value, int):
            return Interval.exactly(value)
        low, high = value.get("min", 0), value.get("max", "any")
        if high == "any":
            return Interval(low, None)
        if low > high:
            tokens = path[-1] in ("bytes", "input_tokens", "output_tokens")
            least, most = (low, high) if tokens else (self.told(low), self.told(high))
            message = f"{spell(path)} has min {least} above max {most}"
            self.notes.value((*path, "min"), message, "swap the two")
        return Interval(low, high)

    def interval_if_given(self, path: KeyPath) -> Interval | None:
        """Return the same, or None where the file says nothing."""
        return None if self.get(path) is None else self.interval(path)

    def ratio(self, path: KeyPath, least: int = 0) -> Fraction:
        """Return a factor, exactly; blame one below ``least``."""
        value = self.get(path)
        try:
            ratio = as_ratio(value)
        except BadAmount:
            message = f"{spell(path)} is {show(value)}, a division by zero"
            self.notes.value(path, message, "give a finite number")
            return Fraction(1)
        if ratio < least:
            message = f"{spell(path)} is {show(value)}, less than {least}"
            self.notes.value(path, message, f"give a number of at least {least}")
        return ratio

    def section(self, name: str, kind: type[_T]) -> _T:
        """Return a section whose keys are the fields of a dataclass."""
        ratios = ("margin", "tokens_per_byte")
        table = self.get((name,), {})
        return kind(**{key: self.ratio((name, key)) if key in ratios else table[key] for key in table})

    def unknown(self, path: KeyPath, what: str, known: Iterable[str]) -> None:
        """Blame the name at ``path``: there is no such ``what``. Where a name was lost, it may be that one."""
        if self.notes.lost:
            return
        value = self.get(path)
        hint = guess(value, known) if self.notes.hints_left else ""
        self.notes.value(path, f"there is no {what} {show(value)}", hint)

    def unique(self, path: KeyPath, values: Sequence[object]) -> None:
        """Blame what an array names twice."""
        for number, value in enumerate(values):
            if value in values[:number]:
                message = f"{show(value)} is there twice in {spell(path)}"
                self.notes.value((*path, number), message, "name it once")

    def names(self, table: str, names: Sequence[str], taken: Sequence[str] = ()) -> bool:
        """Blame every name that is used a second time; return whether there was none."""
        seen = {name: f"{show(name)} is taken: it is the account with the cap" for name in taken}
        clean = True
        for number, name in enumerate(names):
            if name in seen:
                hint = "give each entry a name of its own"
                self.notes.value((table, number, "name"), seen[name], hint)
                clean = False
            else:
                line = self.notes.places.value((table, number, "name")).line
                seen[name] = f"two [[{table}]] are called {show(name)}; the first is in line {line}"
        return clean
