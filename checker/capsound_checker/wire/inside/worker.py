"""The process in which an application runs inside: it loads it, lets it begin, and forks for every way on.

What it is told and what it tells are JSON lines; see ``driver`` for the other end.
"""

from __future__ import annotations

import contextlib
import ctypes  # noqa: F401 - each copy of this process would load it anew
import gc
import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.programs.modules import load_file
from capsound_checker.remote.isolation import limit_memory
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.inside.forking import Explorer, arm, default_signals, settle
from capsound_checker.wire.inside.session import SILENT, Bounds, Main
from capsound_checker.wire.inside.stage import Stage, own_modules
from capsound_checker.wire.inside.transport import available
from capsound_checker.wire.money import Unit, tariff
from capsound_checker.wire.replies import Replies
from capsound_checker.wire.replies_loading import load_replies


class BadMain(CapsoundError):
    """What is named is no coroutine function that can be called without arguments."""

    name = "bad-main"
    exit_status = EXIT_BAD_INPUT


def serve_session(
    load: Callable[[], Main],
    billing: Billing,
    bounds: Bounds,
    patience: float,
    talk: tuple[int, int, int],
    replies: Replies = SILENT,
) -> None:
    """Run an application inside this process, which is given up for it.

    ``load`` returns its main function; ``talk`` are the open files of what is asked for, what is told, and whether it
    is enough.
    """
    ask, out, stop = talk
    default_signals()
    stage = Stage(load, billing, bounds, replies)
    explorer = Explorer(stage, out, stop, patience)
    explorer.ends_here()
    arm(patience)
    try:
        session = stage.afresh()
    except CapsoundError as error:
        arm(0)
        explorer.write({"say": "failed", "message": error.message, "cause": error.cause, "hint": error.hint})
        return
    arm(0)
    explorer.write({"say": "loaded", "clients": stage.clients})
    gc.collect()
    gc.freeze()
    gc.disable()  # when it comes depends on all that was allocated before; a run is short
    explorer.attend(session)
    with open(ask, encoding="utf-8", closefd=False) as asked:

        def read() -> dict[str, Any] | None:
            line = asked.readline()
            return json.loads(line) if line else None

        settle(read, explorer)


def loading(place: str, name: str) -> Callable[[], Main]:
    """Return what loads ``file.py:name`` or ``package.module:name`` and gives its coroutine function.

    What it returns raises ``BadMain``.
    """

    def load() -> Main:
        try:
            module = _module(place)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is told
            told = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
            raise BadMain(f"{place} cannot be loaded: {told}", cause=_line(error, place)) from None
        main = getattr(module, name, None)
        if main is None:
            raise BadMain(f"{place} has no {name!r}", hint="name its coroutine function: app.py:main")
        return checked(main, f"{place}:{name}")

    return load


def checked(main: Any, name: str) -> Main:
    """Return the coroutine function, if it is one that needs no arguments. Raises ``BadMain``."""
    if not inspect.iscoroutinefunction(main):
        raise BadMain(
            f"{name} is no coroutine function",
            hint="name an `async def`; what calls asyncio.run itself is tried by `capsound wire -- python app.py`",
        )
    needed = [
        p.name
        for p in inspect.signature(main).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed:
        raise BadMain(f"{name} needs {', '.join(needed)}", hint="write an `async def` without parameters that calls it")
    return main  # type: ignore[no-any-return]


def _module(place: str) -> Any:
    if not place.endswith(".py"):
        if "" not in sys.path:
            sys.path.insert(0, "")
        for name in own_modules(Path.cwd()):
            del sys.modules[name]
        return importlib.import_module(place)
    path = Path(place).resolve()
    for name in own_modules(path.parent):
        del sys.modules[name]
    return load_file(path)


def _line(error: BaseException, place: str) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(Path(place).name)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def main() -> None:
    """Be the process: the request is on standard input, in the first line; the arguments are open files."""
    out, stop = int(sys.argv[1]), int(sys.argv[2])
    ask = os.dup(0)
    for name in available():
        importlib.import_module(name)  # while whoever asks is still loading what it needs itself
    with open(ask, "rb", buffering=0, closefd=False) as asked:
        request = json.loads(asked.readline())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit_memory(request["memory"])
    billing = Billing(
        tariff(Unit(request["unit"]), request["prices"], datetime.fromisoformat(request["at"])), request["output"]
    )
    with contextlib.suppress(ValueError):  # the folder of this module is no place for an application to import from
        sys.path.remove(str(Path(__file__).parent))
    sys.argv = [request["place"]]
    bounds = Bounds(**request["bounds"])
    load = loading(request["place"], request["name"])
    with contextlib.closing(load_replies(request["replies"])) as replies:
        serve_session(load, billing, bounds, request["patience"], (ask, out, stop), replies)


if __name__ == "__main__":
    main()
