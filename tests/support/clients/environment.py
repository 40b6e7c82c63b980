"""The environments of the clients: pinned, in a cache folder outside of the repository, made once.

``XDG_CACHE_HOME`` (or ``~/.cache``) holds them, below ``capsound``; a new version of a client is a new folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class NotThere(Exception):
    """An environment cannot be set up here; the text says why."""


def cache(name: str, pins: Path) -> Path:
    """Return the folder of an environment: named by what is pinned, and by this interpreter."""
    mark = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "capsound" / f"{name}-{mark}"


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise NotThere(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")


def _made(folder: Path, make: list[list[str | Path]]) -> Path:
    done = folder / ".done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for command in make:
            _run(*command, cwd=folder)
        done.touch()
    return folder


def python() -> Path:
    """Return the interpreter that has the clients of Python. Raises ``NotThere``."""
    pins = HERE / "requirements.txt"
    folder = cache("clients-python", pins)
    interpreter = folder / "bin" / "python"
    pip: list[str | Path] = [interpreter, "-m", "pip", "install", "--disable-pip-version-check", "-q", "-r", pins]
    _made(folder, [[sys.executable, "-m", "venv", folder], pip])
    return interpreter


def node() -> Path:
    """Return the folder in which node finds the clients of npm. Raises ``NotThere``."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise NotThere("there is no node here")
    pins = HERE / "package.json"
    folder = cache("clients-node", pins)
    return _made(folder, [["cp", pins, folder / "package.json"], ["npm", "install", "--no-audit", "--no-fund"]])
