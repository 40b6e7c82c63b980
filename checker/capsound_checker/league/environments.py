"""An environment for each target: pinned, made once, found again by what is installed in it.

pip and npm are run as their own programs, with the settings of whoever runs this (``PIP_INDEX_URL``, ``.npmrc``).
Scripts that an npm package would run when it is installed are not run. An environment is ready only once it says so
itself: what was left half made is made anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from capsound.errors import EXIT_UNKNOWN, CapsoundError
from capsound_checker.intake.limits import cut
from capsound_checker.league.leaguefile import Target, install_key
from capsound_checker.remote.interpreters import BadEnvironment, version_of
from capsound_checker.remote.lifeline import guarded, kill, lifeline

READY = "capsound-environment.json"
"""The file in an environment that says that it is whole, and what is in it."""

SECONDS = 900
"""How long an installation may take."""


class CannotInstall(CapsoundError):
    """An environment could not be made: the target is not judged, and its verdict is unknown."""

    name = "cannot-install"
    exit_status = EXIT_UNKNOWN


class Stopped(Exception):
    """What was being done is not wanted any more."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a target is installed: its folder, its Python (none for npm), and everything that is in it, as pins."""

    folder: Path | None
    python: str
    version: str
    """The version of that Python, or of node."""
    installed: tuple[str, ...]


def cache_folder(kind: str) -> Path:
    """Return where environments and results of a ``kind`` are kept unless a folder is given."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "capsound" / kind


def environment(target: Target, root: Path, stop: threading.Event) -> Environment:
    """Return the environment of a target, made where it is missing. Raises ``CannotInstall`` and ``Stopped``."""
    if target.registry == "npm":
        node = _found("node", "node runs targets of npm")
        version = _ran([node, "--version"], stop).strip().lstrip("v")
        return _kept(target, root, "", version, stop)
    python = interpreter_of(target)
    version = _ran([python, "-I", "-c", "import platform; print(platform.python_version())"], stop).strip()
    if target.registry == "local":
        return Environment(None, python, version, ())
    return _kept(target, root, python, version, stop)


def interpreter_of(target: Target) -> str:
    """Return the Python that a target wants: this one where it wants none, or the same. Raises ``CannotInstall``."""
    wanted = target.python
    if not wanted or wanted == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    for path in _candidates(wanted):
        with contextlib.suppress(BadEnvironment):
            if version_of(path) == tuple(map(int, wanted.split("."))):
                return str(path)
    raise CannotInstall(
        f"there is no Python {wanted} here", hint=f"put python{wanted} on the PATH, or install it with pyenv or uv"
    )


def _candidates(wanted: str) -> Iterator[Path]:
    if found := shutil.which(f"python{wanted}"):
        yield Path(found)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    yield from sorted((pyenv / "versions").glob(f"{wanted}.*/bin/python"), reverse=True)
    yield from sorted(
        (home / ".local" / "share" / "uv" / "python").glob(f"cpython-{wanted}.*/bin/python3"), reverse=True
    )


def _found(program: str, why: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise CannotInstall(f"there is no {program} here", cause=why, hint=f"put {program} on the PATH")
    return found


def _kept(target: Target, root: Path, python: str, version: str, stop: threading.Event) -> Environment:
    minor = ".".join(version.split(".")[:2])
    name = target.package.strip("@").replace("/", "-")
    folder = root / "environments" / f"{name}-{target.version}-{install_key(target, minor)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder, stop):
        said = _said(folder)
        if said is None:
            shutil.rmtree(folder, ignore_errors=True)
            installed = _npm(target, folder, stop) if target.registry == "npm" else _pip(target, folder, python, stop)
            (folder / READY).write_text(json.dumps(installed, indent=1) + "\n", encoding="utf-8")
            said = installed
    own = "" if target.registry == "npm" else str(_python_in(folder))
    return Environment(folder, own, version, tuple(said))


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _said(folder: Path) -> list[str] | None:
    try:
        said: list[str] = json.loads((folder / READY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said


def _pip(target: Target, folder: Path, python: str, stop: threading.Event) -> list[str]:
    _install(target, [python, "-I", "-m", "venv", str(folder)], stop)
    own = [str(_python_in(folder)), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    _install(target, [*own, "install", "--quiet", *target.requirements], stop)
    listed = _ran([*own, "list", "--format=freeze", "--exclude", "pip", "--exclude", "setuptools"], stop)
    return sorted(line for line in listed.splitlines() if "==" in line)


def _npm(target: Target, folder: Path, stop: threading.Event) -> list[str]:
    npm = _found("npm", "npm installs targets of npm")
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", "--loglevel=error"]
    _install(target, [npm, "install", "--prefix", str(folder), *options, *target.requirements], stop)
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return sorted(
        f"{place.rpartition('node_modules/')[2]}@{one.get('version', '')}" for place, one in locked.items() if place
    )


def laid_out(target: Target, environment: Environment) -> Path:
    """Return the adapter of an npm target beside ``node_modules``, where node finds what it imports.

    All scripts of its folder are laid there, each set of them in a folder of its own.
    """
    assert environment.folder is not None
    made = environment.folder / f"adapters-{target.digest()}"
    if not made.is_dir():
        part = made.with_name(f"{made.name}.{os.getpid()}.{threading.get_ident()}")
        part.mkdir()
        for path in sorted(target.file.parent.iterdir()):
            if path.suffix in (".js", ".mjs", ".cjs", ".json") and path.is_file():
                shutil.copy(path, part / path.name)
        try:
            part.rename(made)
        except OSError:  # somebody else was faster, with the same files
            shutil.rmtree(part, ignore_errors=True)
    return made / target.file.name


def _install(target: Target, command: Sequence[str], stop: threading.Event) -> None:
    ended, printed = run(command, stop, SECONDS)
    if ended == 0:
        return
    lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["it said nothing"]
    errors = [line for line in lines if line.startswith(("ERROR", "npm error", "Error"))]
    pin = target.requirements[0]
    raise CannotInstall(
        f"{pin} could not be installed", cause=cut((errors or lines)[-1] if ended is not None else "it took too long")
    )


def _ran(command: Sequence[str], stop: threading.Event) -> str:
    ended, printed = run(command, stop, 60)
    if ended != 0:
        raise CannotInstall(f"{Path(command[0]).name} does not run", cause=cut(printed))
    return printed


def run(
    command: Sequence[str], stop: threading.Event, seconds: float, env: dict[str, str] | None = None
) -> tuple[int | None, str]:
    """Run a program to its end; return its status (None where it took too long), and what it printed.

    It ends with this process, and when ``stop`` is set. Raises ``Stopped`` then.
    """
    pipe = lifeline()
    how = guarded(list(command), pipe) if os.name == "posix" else list(command)
    process = subprocess.Popen(
        how,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(pipe,) if os.name == "posix" else (),
        start_new_session=True,
        env=env,
    )
    printed = b""
    try:
        waited = 0.0
        while True:
            try:
                printed, _ = process.communicate(timeout=_GLANCE)
                return process.returncode, printed.decode(errors="replace")
            except subprocess.TimeoutExpired:
                waited += _GLANCE
            if stop.is_set():
                raise Stopped
            if waited > seconds:
                return None, ""
    finally:
        if os.name == "posix":
            kill(process.pid, group=True)
        process.kill()
        process.wait()


_GLANCE = 0.2


@contextlib.contextmanager
def _alone(folder: Path, stop: threading.Event) -> Iterator[None]:
    """Let nobody else make this environment at the same time; who has to wait does so until ``stop`` is set."""
    try:
        import fcntl
    except ImportError:  # a system without such locks: one campaign at a time, then
        yield
        return
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if stop.wait(_GLANCE):
                    raise Stopped from None
        yield
