"""Files that a command reads as a whole or writes: whether it can be said before the work, and all or nothing."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.display.printing import printable

if TYPE_CHECKING:
    from pathlib import Path


class CannotWrite(CapsoundError):
    """An output file that cannot be written."""

    name = "cannot-write"
    exit_status = EXIT_USAGE


def check_writable(path: Path) -> None:
    """Raise ``CannotWrite`` where ``path`` cannot be written: before the work, not after it.

    A block is written beside it and removed: this is how a full disk or one that cannot be written shows.
    """
    if not path.parent.is_dir():
        raise CannotWrite(f"cannot write {_named(path)}: No such file or directory", hint="make the folder first")
    if path.is_dir():
        raise CannotWrite(f"cannot write {_named(path)}: Is a directory", hint="name a file")
    if _is_device(path):
        return
    with _told(path):
        _refuse_protected(path)
        _try_out(_real(path).parent)


def make_folder(path: Path) -> None:
    """Make a folder, unless it is there, and try it out; raises ``CannotWrite`` with the reason of the system."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"cannot make the folder {_named(path)}: {error.strerror}") from None
    with _told(path):
        _try_out(path)


def write_text(path: Path, text: str) -> None:
    """Write a file; raises ``CannotWrite`` with the reason of the system, and then the file is what it was before."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file as ``write_text`` does: beside it, and under its name only when all is written."""
    with _told(path):
        if _is_device(path):
            path.write_bytes(content)
            return
        _refuse_protected(path)
        real = _real(path)
        beside = _beside(real.parent, content)
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.chmod(stat.S_IMODE(real.stat().st_mode))
            beside.replace(real)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def write_json(path: Path, document: dict[str, Any], *, indent: int = 2) -> None:
    """Write a document as JSON; raises ``CannotWrite``."""
    import json

    write_text(path, json.dumps(document, indent=indent, sort_keys=True) + "\n")


def write_itf(path: Path, document: dict[str, Any]) -> None:
    """Write a trace in the ITF format; raises ``CannotWrite``."""
    write_json(path, document, indent=1)


@contextlib.contextmanager
def _told(path: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise CannotWrite(f"cannot write {_named(path)}: {error.strerror}") from None


def _named(path: Path) -> str:
    return printable(str(path))


def _real(path: Path) -> Path:
    """Return where a link leads to: the file is replaced there, and the link stays."""
    return type(path)(os.path.realpath(path))


def _is_device(path: Path) -> bool:
    """Whether it is something else than a file, for example ``/dev/stdout``: it cannot be replaced."""
    return path.exists() and not path.is_file()


def _refuse_protected(path: Path) -> None:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied")


_BLOCK = b"\0" * 4096


def _try_out(folder: Path) -> None:
    _beside(folder, _BLOCK).unlink()


def _beside(folder: Path, content: bytes) -> Path:
    """Write a new file into a folder and return it; none is left where that fails."""
    made = folder / f".capsound-{os.urandom(6).hex()}.part"
    try:
        with made.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    return made
