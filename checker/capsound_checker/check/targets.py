"""What is checked: an adapter class, named by ``file.py:Class`` or ``package.module:Class``, and loaded here.

Loading runs somebody else's code. It is done in the process that drives the target, never in the one that judges.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from capsound.adapter import Adapter, Gate, offers
from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound_checker.programs import modules
from capsound_checker.programs.program import possible


class BadTarget(CapsoundError):
    """A target that cannot be found, or is no adapter."""

    name = "bad-target"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Target:
    """Where an adapter class is: in a file, or in a module that can be imported."""

    place: str
    cls: str

    @property
    def file(self) -> Path | None:
        """The file, where a file is named."""
        return Path(self.place) if self.place.endswith(".py") else None

    def __str__(self) -> str:
        return f"{self.place}:{self.cls}"


def parse(text: str) -> Target:
    """Return the target that ``text`` names; raises ``BadTarget`` when it names none, or no file that exists."""
    place, colon, cls = text.rpartition(":")
    if not colon or not place or not cls.isidentifier():
        raise BadTarget(
            f"{text!r} does not name an adapter class",
            hint="write my_adapter.py:MyAdapter or package.module:MyAdapter; capsound new adapter writes a first one",
        )
    target = Target(place, cls)
    if target.file is not None and not target.file.is_file():
        raise BadTarget(f"there is no file {place}", hint="name the file that holds the adapter class")
    return target


def load(target: Target) -> type[Adapter]:
    """Import the module and return the adapter class in it.

    Raises ``BadTarget``, with the line of the target's own code where there is one.
    """
    module = _module(target)
    cls = getattr(module, target.cls, None)
    if cls is None:
        classes = sorted(n for n, v in vars(module).items() if isinstance(v, type) and issubclass(v, Adapter))
        there = [name for name in classes if name != "Adapter"]
        raise BadTarget(
            f"{target.place} has no {target.cls!r}", hint=nearest(target.cls, there) or "it holds no adapter class"
        )
    if not isinstance(cls, type) or not issubclass(cls, Adapter):
        raise BadTarget(
            f"{target} is not a subclass of capsound.adapter.Adapter",
            hint="write a thin class over it: capsound new adapter",
        )
    _usable(target, cls)
    return cls


def awaits(adapter: type[Adapter]) -> bool:
    """Whether an adapter has something to await, so that an event loop can drive it."""
    return adapter.gate is Gate.CALL or any(inspect.iscoroutinefunction(getattr(adapter, o)) for o in offers(adapter))


def _usable(target: Target, cls: type[Adapter]) -> None:
    """Raise ``BadTarget`` where an adapter offers too little to be driven."""
    mine = offers(cls)
    if "open" not in mine:
        raise BadTarget(f"{target} does not offer 'open'", hint="without a root there is nothing to check")
    if not possible(cls) & {"reserve", "begin"}:
        raise BadTarget(
            f"{target} offers no way to admit a call: its gate is {cls.gate.value!r}",
            cause=f"it offers: {', '.join(sorted(mine))}",
            hint="override the operation that its gate needs, or set `gate`",
        )


def _module(target: Target) -> ModuleType:
    try:
        if target.file is None:
            sys.path.insert(0, "")
            return importlib.import_module(target.place)
        return modules.load_file(target.file.resolve())
    except SyntaxError as error:
        raise BadTarget(f"{error.msg}", where=f"{error.filename}:{error.lineno}") from error
    except ModuleNotFoundError as error:
        if error.name is not None and target.place.split(".")[0] == error.name.split(".")[0] and target.file is None:
            hint = "name a module that can be imported from here, or a file: my_adapter.py:Class"
            raise BadTarget(f"there is no module {target.place!r}", hint=hint) from error
        raise BadTarget(
            f"{target.place} imports {error.name!r}, which is not installed here",
            where=_line(error),
            hint="give --python the interpreter of an environment that has it",
        ) from error
    except (KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        raise BadTarget(f"importing {target.place} raised {type(error).__name__}", where=_line(error)) from error
    except Exception as error:
        raise BadTarget(
            f"importing {target.place} raised {type(error).__name__}: {error}", where=_line(error)
        ) from error


def _line(error: BaseException) -> str:
    """Return ``file:line`` of the innermost place in somebody else's code."""
    own = ("importlib", "<frozen", __file__, modules.__file__)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(o in f.filename for o in own)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
