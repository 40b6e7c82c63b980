"""The process that drives a target: it loads it, runs the engines, and says what it finds as it finds it.

It trusts nothing of the target and is trusted with nothing: whatever it claims to have found is a program and a list of
events, which the process that judges folds again through its own monitor.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import traceback
from functools import partial
from typing import Any, NoReturn

from capsound.adapter import Adapter
from capsound.errors import CapsoundError
from capsound.windows import SECOND
from capsound_checker.check.jobs import job_named
from capsound_checker.check.parts import Parts
from capsound_checker.check.targets import load, parse
from capsound_checker.check.voice import Voice
from capsound_checker.display.telling import error_data
from capsound_checker.programs import clock
from capsound_checker.programs.dimensions import seen_in
from capsound_checker.programs.failing import AdapterFailed
from capsound_checker.programs.timing import timing
from capsound_checker.programs.watch import held
from capsound_checker.remote.client import remote, remote_adapter
from capsound_checker.remote.isolation import limit_memory
from capsound_checker.remote.lifeline import end_with
from capsound_checker.remote.nursery import serve
from capsound_checker.remote.process import LOAD_SECONDS, is_address, python_address


def main() -> None:
    """Do what the request on standard input asks for; as a nursery, fork whoever does."""
    parts = Parts()
    if sys.argv[1] == "--nursery":
        parts.note()
        serve(int(sys.argv[2]), partial(_work, parts))
    request = json.loads(sys.stdin.buffer.read())
    end_with(int(request["parent"]))
    _drive(request, int(sys.argv[1]), parts)


def _work(parts: Parts, pipe: int) -> None:
    with open(0, "rb", closefd=False) as stdin:
        _drive(json.loads(stdin.read()), pipe, parts)


def _drive(request: dict[str, Any], pipe: int, parts: Parts) -> NoReturn:
    voice = Voice(pipe, int(request["at"]))
    sys.argv = [""]
    _quiet()
    os.environ.pop("PYTHONPATH", None)  # it was for this process: another interpreter would break on it
    if request["pythonpath"] is not None:
        os.environ["PYTHONPATH"] = request["pythonpath"]
    if not request["python"] and not is_address(request["target"]):  # else it is not here that memory is eaten
        limit_memory(int(request["memory"]))
    job = job_named(request["job"])
    parts.note()
    threading.Thread(target=voice.beat, daemon=True).start()
    if request.get("clock") or any(step[0] == "tick" for step in request.get("program", ())):
        clock.install()  # before anything of the target can take hold of a clock
    try:
        python = sys.executable if request.get("elsewhere") else request["python"]
        adapter = _target(request["target"], python, request.get("load", LOAD_SECONDS))
        if request.get("dimension"):
            adapter = seen_in(adapter, request["dimension"])
        voice.say("loaded", timeout=_timeout(adapter))
        kept = timing(adapter)
        if kept is not None and clock.installed():
            clock.stand_still(kept.begin // SECOND)
        with held():
            job(adapter, request, voice)
    except CapsoundError as error:
        voice.say("failed", **error_data(error))
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a target are no orders
        told = "".join(traceback.format_exception(error)[-6:])
        voice.say("broke", error=f"{type(error).__name__}: {error}", trace=told, ours=_is_ours(error))
    voice.say("end", intact=parts.intact())  # of a module that the target itself has imported nothing is used
    os._exit(0)  # threads and exit handlers of the target have no say in it


def _target(text: str, python: str, load_seconds: float) -> type[Adapter]:
    """Return the adapter: of this interpreter, of another one, or over a command that speaks the protocol."""
    if is_address(text):
        return remote_adapter(text, start=load_seconds)
    target = parse(text)
    if python:
        return remote(python_address(python, str(target), start=load_seconds))
    return clock.true_where_needed(lambda: load(target))


_DAY = 86_400


def _timeout(adapter: type[Adapter]) -> float:
    """Return how many seconds an operation may take; raises ``AdapterFailed`` where that is no such number."""
    told: object = adapter.timeout
    if isinstance(told, bool) or not isinstance(told, int | float) or not 0 < told < _DAY:
        raise AdapterFailed(
            f"{adapter.__name__}.timeout is {told!r}",
            cause="it is how many seconds an operation may take",
            hint="a number above 0",
        )
    return float(told)


def _quiet() -> None:
    """Leave nothing on standard input that a target could wait for."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = io.StringIO()


def _is_ours(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "capsound_checker" in frames[-1].filename and not isinstance(error, MemoryError)


if __name__ == "__main__":
    main()
