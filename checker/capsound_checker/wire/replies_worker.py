"""The process in which a user's function decides replies: ``python -m ... FILE FUNCTION``, JSON lines in and out.

What the function prints goes to standard error; the lines leave by a copy of standard output that only this module has.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from types import SimpleNamespace
from typing import Any

_HINT = 'return a text, or an object such as {"text": "Done.", "usage": {"output": 20}}; None for the default'


def load(path: str, name: str) -> Callable[[Any, Any], Any]:
    """Return the function ``name`` of a file. Raises whatever the file raises, and ``LookupError``."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))  # noqa: PTH100, PTH120  nothing of pathlib is needed
    spec = importlib.util.spec_from_file_location("replies", path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["replies"] = module
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise LookupError(f"there is no function {name} in it")
    return found  # type: ignore[no-any-return]


def failed(what: str, error: BaseException, path: str, hint: str) -> dict[str, Any]:
    """Return an error as a message: what it was, and on which line of the user's file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    where = f"{path}:{lines[-1]}" if lines and lines[-1] else path
    return {"error": what, "cause": f"{type(error).__name__}: {error}", "hint": hint, "where": where}


def plain(said: Any) -> Any:
    """Return what a function returned as data: a ``Reply`` becomes an object."""
    return asdict(said) if is_dataclass(said) and not isinstance(said, type) else said


def answer(message: Mapping[str, Any], path: str, name: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one message."""
    if "load" in message:
        try:
            state["function"] = load(path, name)
        except BaseException as error:  # noqa: BLE001  the file is foreign: it may raise anything
            return failed("the file cannot be loaded", error, path, "run the file by hand")
        return {"said": None}
    try:
        said = plain(state["function"](SimpleNamespace(**message["asked"]), message["body"]))
        json.dumps(said, allow_nan=False)
    except BaseException as error:  # noqa: BLE001  so is the function
        return failed(f"{name}() raised an error, or returned what is no JSON", error, path, _HINT)
    return {"said": said}


def main(path: str, name: str) -> None:
    """Answer lines until there are no more."""
    own = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    state: dict[str, Any] = {}
    for line in sys.stdin.buffer:
        own.write(json.dumps(answer(json.loads(line), path, name, state)).encode() + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
