"""Another interpreter that runs our drivers: it finds our packages and, beside them, only what its environment has.

What drives a target needs nothing but the standard library. So it can run in the environment of the target, where every
driver applies: those of threads and of signal handlers cannot work over a pipe.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from capsound.errors import EXIT_BAD_INPUT, CapsoundError

PACKAGES = ("capsound", "capsound_checker", "capsound_proofs")
"""What a child imports from, if only a part of it."""

OLDEST = (3, 11)
"""The oldest Python that runs our drivers; an older one is driven over a pipe."""


class BadEnvironment(CapsoundError):
    """An environment in which our drivers cannot run."""

    name = "bad-environment"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Interpreter:
    """Who runs a child: its program, and the path on which it finds our packages (empty for ours)."""

    program: str = sys.executable
    path: str = ""


HERE = Interpreter()
"""This interpreter, with all that it has imported from."""


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment; a file is returned as it is. Raises ``BadEnvironment``."""
    if environment.is_file():
        return environment
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file():
        raise BadEnvironment(
            f"{environment} is no virtual environment", cause=f"there is no {python}", hint="python -m venv makes one"
        )
    return python


@cache
def version_of(python: Path | str) -> tuple[int, int]:
    """Return major and minor version of an interpreter. Raises ``BadEnvironment``."""
    told = "import sys; print(*sys.version_info[:2])"
    try:
        ran = subprocess.run(
            [str(python), "-I", "-c", told], capture_output=True, text=True, check=True, timeout=_SECONDS
        )
        major, minor = map(int, ran.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise BadEnvironment(f"{python} is no Python that runs", cause=str(error)) from None
    return major, minor


_SECONDS = 60


@contextlib.contextmanager
def interpreter(environment: str) -> Iterator[Interpreter]:
    """Return the interpreter of a virtual environment, or this one where none is named.

    Raises ``BadEnvironment``, also where its Python is older than ours may be.
    """
    if not environment:
        yield HERE
        return
    python = python_of(Path(environment)).absolute()
    if version_of(python) < OLDEST:
        raise BadEnvironment(
            f"{environment} has Python {'.'.join(map(str, version_of(python)))}",
            cause=f"the drivers need {'.'.join(map(str, OLDEST))} or later",
            hint=f"drive it over a pipe: --python {python}",
        )
    with _alone() as folders:
        yield Interpreter(str(python), os.pathsep.join(folders))


@contextlib.contextmanager
def _alone() -> Iterator[Sequence[str]]:
    """Return folders in which there are our packages and nothing else that could be imported."""
    found = {name: Path(str(find_spec(name).origin)).parent for name in PACKAGES}  # type: ignore[union-attr]
    parents = list(dict.fromkeys(str(folder.parent) for folder in found.values()))
    if all(_importable(Path(parent)) <= set(PACKAGES) for parent in parents):
        yield parents
        return
    with tempfile.TemporaryDirectory(prefix="capsound-") as made:
        for name, folder in found.items():
            try:
                (Path(made) / name).symlink_to(folder, target_is_directory=True)
            except OSError:  # a system that lets only some make links
                shutil.copytree(folder, Path(made) / name)
        yield [made]


def _importable(folder: Path) -> set[str]:
    return {
        one.stem for one in folder.iterdir() if (one / "__init__.py").is_file() or one.suffix in (".py", ".so", ".pyd")
    }
