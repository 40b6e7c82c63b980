"""What our modules and their classes consist of: a target that replaces a part of them is noticed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

_OURS = ("capsound", "capsound_checker")

_Part = tuple[Mapping[str, Any], str, object, object]
"""Where a part is found, its name there, what it is, and its code, if it has any."""


class Parts:
    """The functions, the classes and the methods of ours that were there when ``note`` was called last."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._parts: list[_Part] = []

    def note(self) -> None:
        """Note the parts of the modules that were imported since: whoever is forked has those of before noted."""
        for name, module in sys.modules.items():
            if name.partition(".")[0] in _OURS and name not in self._modules:
                self._modules[name] = module
                self._note(name, vars(module))

    def _note(self, name: str, space: Mapping[str, Any]) -> None:
        for attribute, value in space.items():
            if attribute.startswith("__") or not callable(value):
                continue
            self._parts.append((space, attribute, value, getattr(value, "__code__", None)))
            if isinstance(value, type) and value.__module__ == name:
                inside = vars(value)
                self._parts += [
                    (inside, inner, part, getattr(part, "__code__", None))
                    for inner, part in inside.items()
                    if callable(part) or isinstance(part, property | classmethod | staticmethod)
                ]

    def intact(self) -> bool:
        """Return whether every part is what it was, with the code that it had."""
        modules = sys.modules
        return all(modules.get(name) is module for name, module in self._modules.items()) and all(
            space.get(name) is part and getattr(part, "__code__", None) is code
            for space, name, part, code in self._parts
        )
