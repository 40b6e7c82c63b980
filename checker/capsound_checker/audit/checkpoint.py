"""The state of an audit of a log that is still being written, kept in a file: what was known, and how far was read.

A state is written beside its file and renamed over it, so that whatever happens there is one that is whole, of a moment
between two lines. It is bound to the version and the options with which it was made. It is data: only plain records of
this package are made of it, and nothing that it names is run.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol, cast

from capsound.errors import EXIT_BAD_INPUT, EXIT_USAGE, CapsoundError
from capsound_checker.audit.calls import Noted
from capsound_checker.audit.pickling import Reader, Writer
from capsound_checker.audit.rotated import Place
from capsound_checker.audit.rules import LogMapping
from capsound_checker.display.files import CannotWrite
from capsound_checker.intake.limits import cut

MAGIC = "capsound audit state 1"

_PLAIN = (Counter, deque, Decimal, Fraction, set, frozenset, Noted)
_ROOMS = ("capsound.", "capsound_checker.audit.")
_BEGINNING = "remove it to read the log from its beginning, or name another file"


class BadState(CapsoundError):
    """A state that cannot be gone on with."""

    name = "bad-state"
    exit_status = EXIT_BAD_INPUT


class OtherOptions(BadState):
    """A state that was made with other options."""

    exit_status = EXIT_USAGE


class InUse(BadState):
    """A state that another audit writes to."""

    exit_status = EXIT_USAGE


class Part(Protocol):
    """What has a state: all of its fields but those in ``SET_UP``, which are given or connected when it is made."""

    SET_UP: ClassVar[frozenset[str]]


# ---------------------------------------------------------------------------------- what is in a state


def contents(part: Part) -> dict[str, Any]:
    """Return the state of a part, that of the parts inside it included."""
    return {name: contents(value) if _is_part(value) else value for name, value in _fields(part)}


def restore(part: Part, state: Mapping[str, Any]) -> None:
    """Give a part, made anew, the state that it had. What others refer to is changed in place.

    Raises ``ValueError`` where the state has other fields.
    """
    now = dict(_fields(part))
    if set(now) != set(state):
        raise ValueError(f"{type(part).__name__} has other fields")
    for name, new in state.items():
        old = now[name]
        if _is_part(old):
            restore(old, new)
        elif isinstance(old, dict) and type(old) is type(new):
            old.clear()
            old.update(new)
        elif isinstance(old, list | deque) and type(old) is type(new):
            old.clear()
            old.extend(new)
        else:
            setattr(part, name, new)


def _is_part(value: object) -> bool:
    return hasattr(type(value), "SET_UP")


def _fields(part: Part) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a part that are its state."""
    kind = type(part)
    names: dict[str, None] = {f.name: None for f in fields(kind)} if is_dataclass(kind) else {}
    for base in kind.__mro__:
        names.update((slot, None) for slot in base.__dict__.get("__slots__", ()))
    for name in names:
        if name not in kind.SET_UP and name != "__weakref__":
            yield name, getattr(part, name)


class _Reader(Reader):
    """Reads records; nothing else can be named."""

    def find_class(self, module: str, name: str) -> Any:
        for plain in _PLAIN:
            if (module, name) == (plain.__module__, plain.__qualname__):
                return plain
        if module.startswith(_ROOMS) and name.isidentifier():
            found = getattr(import_module(module), name, None)
            plain_record = isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum))
            if plain_record and cast("type", found).__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no record of an audit")


# -------------------------------------------------------------------------------------------- the file


@dataclass(slots=True)
class StateFile:
    """A file with a state. ``options`` are those that it has to be of, in words; ``version`` is that of this program.

    While it is open, no other audit can go on with it.
    """

    path: Path
    version: str
    header: dict[str, Any] = field(default_factory=dict)
    """What is told of the state: empty where there was none yet."""
    _body: bytes = b""
    _place: Place | None = None
    _file: BinaryIO | None = None

    @property
    def place(self) -> Place | None:
        """How far the log was read; None where it was not begun."""
        return self._place

    def open(self) -> None:
        """Read what there is; make the file where there is none.

        Raises ``InUse``, ``CannotWrite``, and ``BadState`` for what is no state, or not of this version.
        """
        try:
            file = self.path.open("a+b")
        except OSError as error:
            raise CannotWrite(f"cannot write the state {cut(str(self.path))}: {error.strerror}") from None
        if not _locked(file):
            file.close()
            raise InUse("another audit goes on with this state", where=cut(str(self.path)), hint="end that one first")
        self._file = file
        file.seek(0)
        raw = file.read()
        if raw:
            self._read(raw)

    def _read(self, raw: bytes) -> None:
        where = cut(str(self.path))
        head, _, body = raw.partition(b"\n")
        header: Any = None
        with suppress(ValueError, RecursionError):
            header = json.loads(head)
        if not isinstance(header, dict) or header.get("capsound") != MAGIC:
            raise BadState("this is no state of an audit", where=where, hint="name another file")
        if header.get("version") != self.version:
            raise BadState(
                f"the state was made by version {cut(str(header.get('version')), 40)}",
                where=where,
                cause=f"this is version {self.version}",
                hint=_BEGINNING,
            )
        if header.get("sha256") != _digest(header, body):
            raise BadState("the state is damaged", where=where, cause="it is not what was written", hint=_BEGINNING)
        self.header, self._body = header, body
        try:
            self._place = Place(**header["place"])
        except (KeyError, TypeError):
            raise BadState("the state tells no place", where=where, hint=_BEGINNING) from None

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ``OtherOptions`` where the state was made with others, naming them."""
        made = self.header.get("options", options)
        other = [name for name in sorted({*options, *made}) if made.get(name) != options.get(name)]
        if other:
            told = "; ".join(f"{name}: {_told(made.get(name))} then, {_told(options.get(name))} now" for name in other)
            raise OtherOptions(
                f"the state was made with other options: {told}",
                where=cut(str(self.path)),
                hint=f"give the same; or {_BEGINNING}",
            )

    def restore(self, parts: Mapping[str, Part], mapping: LogMapping | None) -> None:
        """Give these parts the state that was read. Raises ``BadState`` where it does not fit them."""
        try:
            state = _Reader(io.BytesIO(self._body), mapping).load()
            if set(state) != set(parts):
                raise ValueError("other parts")
            for name, part in parts.items():
                restore(part, state[name])
        except Exception as error:  # noqa: BLE001 - whatever a state of a hostile hand may raise when it is read
            raise BadState(
                "the state does not fit this program", where=cut(str(self.path)), cause=cut(str(error)), hint=_BEGINNING
            ) from None
        self._body = b""

    def save(
        self, parts: Mapping[str, Part], mapping: LogMapping | None, place: Place, told: Mapping[str, Any]
    ) -> None:
        """Write the state, all of it or nothing. ``told`` is what is told of it in the header."""
        body = io.BytesIO()
        Writer(body, mapping).dump({name: contents(part) for name, part in parts.items()})
        raw = body.getvalue()
        header = {"capsound": MAGIC, "version": self.version, **told, "place": asdict(place)}
        header["sha256"] = _digest(header, raw)
        self.header = header
        beside = self.path.with_name(self.path.name + ".part")
        try:
            file = beside.open("wb")
            _locked(file)
            file.write(json.dumps(header).encode() + b"\n" + raw)
            file.flush()
            os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise CannotWrite(f"cannot write the state {cut(str(self.path))}: {error.strerror}") from None
        self.close()
        self._file = file  # the lock is on what has the name now

    def close(self) -> None:
        """Let others go on with the state."""
        if self._file is not None:
            self._file.close()


def _digest(header: Mapping[str, Any], body: bytes) -> str:
    rest = {name: value for name, value in header.items() if name != "sha256"}
    return sha256(json.dumps(rest, sort_keys=True).encode() + b"\n" + body).hexdigest()


def _told(value: object) -> str:
    return cut(json.dumps(value, ensure_ascii=False), 60)


def _locked(file: BinaryIO) -> bool:
    """Lock a file, where the system can; return whether nobody else has."""
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True
