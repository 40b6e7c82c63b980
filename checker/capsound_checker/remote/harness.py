"""The Python harness: drives one adapter class in this interpreter, for a checker at the other end of the pipe.

    python harness.py my_adapter.py:MyAdapter
    python harness.py package.module:MyAdapter

One module, because it is run as a file by another interpreter, Python 3.9 and later, with the standard library only.
Nothing of capsound is installed there: ``capsound.adapter`` is read from the folder of the checker. It is kept apart
from ``sys.path``, so that nothing else comes with it.
"""

# ruff: noqa: UP006, UP035, UP042, UP045, B010  Python 3.9 has the older words only

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
import importlib
import importlib.util
import inspect
import json
import math
import os
import platform
import sys
import traceback
import types
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

VERSION = 1
PATIENCE = 1_000
ODD: Dict[str, Any] = {
    "nan": math.nan,
    "infinity": math.inf,
    "-infinity": -math.inf,
    "text": "5",
    "true": True,
    "fraction": 1.5,
    "float": 2.0,
    "null": None,
    "list": [],
    "bytes": b"5",
    "complex": 1 + 0j,
}

SUBJECTS = {
    "reserve": ("scope", "amount"),
    "sent": ("hold",),
    "settle": ("hold", "actual"),
    "extend": ("hold", "amount"),
    "release": ("hold",),
    "forfeit": ("hold",),
    "check": ("scope", "amount"),
    "charge": ("scope", "amount"),
    "record": ("scope", "amount"),
    "delegate": ("scope", "amount"),
    "close": ("scope",),
    "merge": ("target", "source"),
    "spent": ("scope",),
    "held": ("scope",),
    "remaining": ("scope",),
    "balances": ("scope",),
    "journal": ("scope",),
    "rest": ("scope",),
    "open": ("cap",),
}

CLAIMS = ("strict", "complete", "threads", "handlers", "zero_is_unlimited", "eventual")

NO_LOOP = "only `provider()` and `asyncio.sleep(0)` can be awaited here: no event loop is running"


class ProviderError(Exception):
    """What the provider raises when a call fails; a library passes it on or wraps it."""


class AtProvider:
    """What a suspended call yields when it is the provider that it waits for."""


AT_PROVIDER = AtProvider()


@types.coroutine
def suspend() -> Any:
    """Wait for the checker to speak as the provider."""
    return (yield AT_PROVIDER)


@dataclasses.dataclass
class Call:
    """One call of the library: its coroutine, and what the provider is to say."""

    coroutine: Any = None
    bill: Optional[int] = None


class Harness:
    """One adapter class, and the handles of the run in progress."""

    def __init__(self, cls: Any, model: Any) -> None:
        self.cls, self.model = cls, model
        self.offers = model.offers(cls)
        here = bool({"clock", "reset", "ceiling"} & set(self.offers))
        if here or any(getattr(cls, name, None) for name in ("window", "expires", "dimensions")):
            told = "has a window, a clock, ceilings or dimensions: that works only in the process of capsound"
            raise RuntimeError(f"{cls.__name__} {told}")
        self.tells = [name for name in ("spent", "held", "remaining", "balances") if name in self.offers]
        # Whoever overrides `observe` tells all three at once.
        self.at_once = cls.observe is not model.Adapter.observe
        self.reset()

    def reset(self) -> None:
        """Forget everything, and begin a run with an adapter of its own."""
        self.adapter = self.cls()
        self.handles: Dict[str, Any] = {}
        self.scopes: List[str] = []
        self.calls: Dict[str, Call] = {}

    # ------------------------------------------------------------------------------------------- requests

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Return the answer to a request, without its seq."""
        cmd = request["cmd"]
        if cmd == "start":
            return self.started()
        if cmd == "reset":
            self.reset()
            return {"answer": "done", "value": None}
        if cmd == "observe":
            return self.outcome(lambda: self.observe(request["scope"]))
        if cmd in ("call", "reply", "fail", "cancel", "crash", "step"):
            return self.observed(self.go_on(cmd, request))
        if cmd == "turn":
            return self.observed({"answer": "turned", "calls": self.turn(request["steps"]), "every_await": True})
        if cmd == "copy":
            return self.observed(self.copied(request["of"], request["deep"]))
        if cmd not in SUBJECTS:
            return {"answer": "errored", "message": f"this harness knows no request {cmd!r}", "traceback": ""}
        if cmd not in self.offers:
            return {"answer": "skipped", "reason": f"{self.cls.__name__} does not offer {cmd!r}"}
        args = [self.argument(name, request[name]) for name in SUBJECTS[cmd]]
        answer = self.outcome(lambda: self.value(cmd, finished(getattr(self.adapter, cmd)(*args), cmd)))
        return answer if cmd in self.tells or cmd == "journal" else self.observed(answer)

    def started(self) -> Dict[str, Any]:
        """Return what is under test, what it offers, and what it claims."""
        return {
            "answer": "started",
            "version": VERSION,
            "harness": {
                "name": self.cls.__name__,
                "language": "Python",
                "implementation": self.cls.__module__,
                "version": platform.python_version(),
            },
            "gate": str(self.cls.gate.value),
            "offers": sorted(self.offers),
            "claims": {
                "copies": True,
                **{name: bool(getattr(self.cls, name)) for name in CLAIMS},
            },
            "assumes": sorted(set(getattr(self.cls, "assumes", ()))),
            "odd": list(ODD),
        }

    def copied(self, name: str, deep: bool) -> Dict[str, Any]:
        """Copy a handle; one that refuses to be copied, however it does that, is answered `rejected`."""
        thing = self.handles[name]
        try:
            twin = copy.deepcopy(thing) if deep else copy.copy(thing)
        except Exception as error:  # noqa: BLE001
            return {"answer": "rejected", "why": f"{type(error).__name__}: {error}"}
        return {"answer": "done", "value": None if twin is thing else self.handle("k", twin)}

    def argument(self, name: str, value: Any) -> Any:
        """Return an argument as the adapter knows it."""
        if name in ("scope", "hold", "target", "source"):
            return self.handles[value]
        return ODD[value["odd"]] if isinstance(value, dict) else value

    def handle(self, letter: str, thing: Any) -> str:
        """Return the id of a new scope or hold: the same in every run that does the same."""
        name = f"{letter}{len(self.handles)}"
        self.handles[name] = thing
        if letter == "s":
            self.scopes.append(name)
        return name

    def value(self, cmd: str, value: Any) -> Any:
        """Return what came back as JSON can say it."""
        if cmd in ("reserve", "charge"):
            return self.handle("h", value)
        if cmd == "open":
            return self.handle("s", value)
        if cmd == "delegate":
            if isinstance(value, self.model.Granted):
                return {"scope": self.handle("s", value.scope), "granted": value.amount}
            return self.handle("s", value)
        if cmd == "check":
            return bool(value)
        if cmd in ("spent", "held", "remaining"):
            return number(cmd, value)
        if cmd == "balances":
            return {name: number(name, amount) for name, amount in value.items()}
        if cmd == "journal":
            return [str(line) for line in value]
        return None

    # ----------------------------------------------------------------------------------- what a scope says

    def observe(self, scope: str) -> Dict[str, Any]:
        """Return all that a scope says of itself."""
        thing = self.handles[scope]
        if self.at_once:
            told = zip(("spent", "held", "remaining"), finished(self.adapter.observe(thing), "observe"), strict=False)
            says = {name: number(name, value) for name, value in told}
            if "balances" in self.offers:
                says["balances"] = self.value("balances", self.adapter.balances(thing))
            return says
        return {name: self.value(name, finished(getattr(self.adapter, name)(thing), name)) for name in self.tells}

    def observed(self, answer: Dict[str, Any]) -> Dict[str, Any]:
        """Add to an answer what every scope says, which saves a question for each; one that raises is asked again."""
        if answer["answer"] in ("errored", "skipped", "hung"):
            return answer
        says = {}
        for scope in self.scopes:
            try:
                says[scope] = self.observe(scope)
            except Exception:  # noqa: BLE001  # whoever asks for it hears what is wrong
                continue
        answer["observed"] = says
        return answer

    # ------------------------------------------------------------------------------ calls of the library

    def go_on(self, cmd: str, request: Dict[str, Any]) -> Dict[str, Any]:
        """Begin a call, or let it go on, to its next suspension or its end."""
        name = request["call"]
        if cmd == "call":
            call = self.calls[name] = Call()

            async def provider() -> int:
                await suspend()
                if call.bill is None:
                    raise ProviderError("the provider answered with an error")
                return call.bill

            def begin() -> Any:
                call.coroutine = self.adapter.call(self.handles[request["scope"]], request["estimate"], provider)
                return call.coroutine.send(None)

            return self.outcome(begin, name)
        call = self.calls[name]
        call.bill = request.get("bill")
        if cmd == "cancel":
            import asyncio

            return self.outcome(lambda: call.coroutine.throw(asyncio.CancelledError("the caller gave up")), name)
        if cmd == "crash":
            return self.outcome(lambda: call.coroutine.throw(GeneratorExit()), name)
        return self.outcome(lambda: call.coroutine.send(None), name)

    def turn(self, steps: List[Dict[str, Any]]) -> Dict[str, Any]:
        """Begin calls, or let them go on, in one turn; between two of them those before have turns of their own.

        Nothing is run to its end afterwards: each call is left where it is suspended.
        """
        said: Dict[str, Any] = {}
        for step in steps:
            for _ in range(step.get("after", 0)):
                for name, last in said.items():
                    if last["answer"] == "waiting" and last["for"] == "turn":
                        said[name] = self.go_on("step", {"call": name})
            said[step["call"]] = self.go_on(step["cmd"], step)
        return said

    def outcome(self, do: Callable[[], Any], call: str = "") -> Dict[str, Any]:
        """Do one thing and say how it ended; nothing that is raised passes unclassified, but Ctrl-C."""
        try:
            value = do()
        except StopIteration as end:
            if call:
                return {"answer": "done", "value": None}
            return failed(end)
        except Endless as endless:
            return {"answer": "hung", "why": str(endless)}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # SystemExit of a library is an outcome too
            told = self.model.classify(self.adapter, error)
            kind = str(told.kind.value)
            if kind in ("refused", "rejected", "stale"):
                return {"answer": kind, "why": told.why}
            if kind == "hung":
                return {"answer": "hung", "why": told.why}
            if call and from_us(error):
                return {"answer": "raised", "why": told.why}
            return failed(error)
        if not call:
            return {"answer": "done", "value": value}
        if value is AT_PROVIDER:
            return {"answer": "waiting", "call": call, "for": "provider"}
        if value is None:
            return {"answer": "waiting", "call": call, "for": "turn"}
        return {"answer": "errored", "message": f"call waits for {value!r}; {NO_LOOP}", "traceback": ""}


class Endless(Exception):
    """A coroutine that waits for something that nobody will do."""


def finished(value: Any, operation: str) -> Any:
    """Return a value, of a coroutine what it returns in the end."""
    if not inspect.iscoroutine(value):
        return value
    for _ in range(PATIENCE):
        try:
            value.send(None)
        except StopIteration as end:
            return end.value
    with contextlib.suppress(RuntimeError):  # it will not be closed either
        value.close()
    raise Endless(f"{operation} was suspended {PATIENCE} times")


def number(name: str, value: Any) -> Any:
    """Return a number exactly if it is whole, and as a float if it is not; raise ``TypeError`` for anything else."""
    if value is None or type(value) is int:
        return value
    try:
        whole = int(value)
        if whole == value and not isinstance(value, (str, bytes)):
            return whole
        rounded = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} returned {value!r}, which is no number") from None
    if isinstance(value, (str, bytes)) or not math.isfinite(rounded):
        raise TypeError(f"{name} returned {value!r}, which is no number")
    return rounded


def failed(error: BaseException) -> Dict[str, Any]:
    """Return the answer for what nobody has classified."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__)[-12:])
    return {"answer": "errored", "message": f"{type(error).__name__}: {error}", "traceback": trace}


def from_us(error: BaseException) -> bool:
    """Whether an error comes from our provider or a cancellation of ours, however often it was wrapped."""
    import asyncio

    seen = set()
    step: Optional[BaseException] = error
    while step is not None and id(step) not in seen:
        if isinstance(step, (ProviderError, asyncio.CancelledError, GeneratorExit)):
            return True
        seen.add(id(step))
        step = step.__cause__ or step.__context__
    return False


# ---------------------------------------------------------------------------------------------- the adapter


def load_model() -> Any:
    """Return ``capsound.adapter`` from the folder of the checker, also on a Python that is older than it wants."""
    here = Path(__file__).resolve()
    folders = [os.environ.get("CAPSOUND_MODEL", ""), str(here.parents[2] / "capsound")]
    folders.append(str(here.parents[3] / "model" / "capsound"))
    folder = next((Path(f) for f in folders if f and (Path(f) / "adapter.py").is_file()), None)
    if folder is None:
        raise ImportError("capsound.adapter is not where the checker is; set CAPSOUND_MODEL to its folder")
    where = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location("capsound", where, submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["capsound"] = package
    spec.loader.exec_module(package)
    return importlib.import_module("capsound.adapter") if hasattr(enum, "StrEnum") else older_python()


def older_python() -> Any:
    """Return ``capsound.adapter``, lending it for the time of its import what Python 3.9 and 3.10 do not have."""
    own = dataclasses.dataclass

    def without_slots(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("slots", None)
        return own(*args, **kwargs)

    class StrEnum(str, enum.Enum):
        __str__ = str.__str__

    setattr(dataclasses, "dataclass", without_slots)
    setattr(enum, "StrEnum", StrEnum)
    try:
        return importlib.import_module("capsound.adapter")
    finally:
        setattr(dataclasses, "dataclass", own)
        delattr(enum, "StrEnum")


def load_target(text: str) -> Any:
    """Import the module of a target and return the class in it."""
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise ImportError(f"{text!r} does not name an adapter class: write my_adapter.py:MyAdapter")
    if not place.endswith(".py"):
        sys.path.insert(0, str(Path.cwd()))
        return getattr(importlib.import_module(place), name)
    path = Path(place).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def take_streams() -> Tuple[Any, int]:
    """Return our own ends of the pipe, and leave to the target an empty input and standard error."""
    reader, writer = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return reader, writer


def main(argv: List[str]) -> int:
    """Answer requests until ``stop``, or until there are no more."""
    reader, writer = take_streams()
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
    broken: Optional[BaseException] = None
    harness: Any = None
    sys.argv = [""]
    try:
        harness = Harness(load_target_with(argv), sys.modules["capsound.adapter"])
        out_of_sight()
    except BaseException as error:  # noqa: BLE001  # whatever an import raises is told as the first answer
        broken = error
    for line in reader:
        request = json.loads(line)
        if request["cmd"] == "stop":
            break
        try:
            answer = harness.answer(request) if broken is None else failed(broken)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            answer = failed(error)
        data = json.dumps({"seq": request["seq"], **answer}, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(writer, data) :]
    sys.stderr.flush()
    os._exit(0)  # threads of the target have no say in it


class Known:
    """Finds modules that were imported before, and makes none anew."""

    def __init__(self, modules: Dict[str, Any]) -> None:
        self.modules = modules

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> Any:
        """Return how a module is found again."""
        return importlib.util.spec_from_loader(name, self) if name in self.modules else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> Any:
        """Return the module as it was."""
        return self.modules[spec.name]

    def exec_module(self, module: Any) -> None:
        """Do nothing: it was executed."""


def out_of_sight() -> None:
    """Take our modules out of ``sys.modules``: who looks there sees what it sees elsewhere; an import finds them."""
    ours = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "capsound"}
    sys.meta_path.insert(0, Known(ours))
    for name in ours:
        del sys.modules[name]


def load_target_with(argv: List[str]) -> Any:
    """Load the model, then the target."""
    load_model()
    if len(argv) != 2:
        raise ImportError(
            "usage: harness.py TARGET, where TARGET is my_adapter.py:MyAdapter or package.module:MyAdapter"
        )
    return load_target(argv[1])


if __name__ == "__main__":
    main(sys.argv)
