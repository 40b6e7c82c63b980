"""Records with the rules of a mapping in them, written down: the rules, which are code, by their numbers."""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

from capsound_checker.audit.rules import LogMapping, MappingRule


class Writer(pickle.Pickler):
    """Writes rules by their numbers in the mapping: it is on both sides."""

    def __init__(self, file: BinaryIO, mapping: LogMapping | None) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers = {} if mapping is None else {id(rule): number for number, rule in enumerate(mapping.rules)}

    def persistent_id(self, obj: Any) -> int | None:
        """Return the number of a rule."""
        return self.numbers[id(obj)] if type(obj) is MappingRule else None


class Reader(pickle.Unpickler):
    """Reads rules by their numbers."""

    def __init__(self, file: BinaryIO, mapping: LogMapping | None) -> None:
        super().__init__(file)
        self.rules = () if mapping is None else mapping.rules

    def persistent_load(self, pid: Any) -> MappingRule:
        """Return a rule by its number."""
        return self.rules[int(pid)]
