"""A log that is still being written: its lines as they come, through rotation, truncation and replacement.

How far it was read is known by bytes and by what these bytes are (``rotated.Place``), so that the file is found again
after a crash or a reboot, also under the name that a rotation gave it. Where it cannot be found, or was written over,
lines may be missing: that is said.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.rotated import Place, is_of, opened, place_in, predecessor, siblings
from capsound_checker.intake.lines import Splitter

_CHUNK = 1 << 16

SAVE_LINES = 100_000
SAVE_POLLS = 25
"""After so many lines, or so many looks at a file, another place is worth saving."""


@dataclass(slots=True)
class Tail:
    """The lines of a file as they are written, from ``place`` on, for ever, or until ``stop`` says so.

    ``warn`` is told where lines may be missing, ``note`` where the log was found under another name. ``save`` is called
    between two lines, where the place (``here``) is worth saving. A line is yielded when its end was written; where a
    file does not go on, what was left unfinished is yielded as it is. ``poll`` is in seconds.
    """

    path: Path
    place: Place | None = None
    poll: float = 0.2
    sleep: Callable[[float], object] = time.sleep
    stop: Callable[[], bool] = lambda: False
    warn: Callable[[str], object] = lambda _detail: None
    note: Callable[[str], object] = lambda _detail: None
    save: Callable[[], object] | None = None
    given: int = 0
    """How many lines were yielded."""
    _file: BinaryIO | None = None
    _offset: int = 0
    """How many bytes of the file were yielded, as whole lines."""
    _known: Place | None = None
    """How far this file was read when it was last looked at."""
    _before: Place | None = None
    """How far the file before it was read."""
    _saved: tuple[int, int] = (-1, -1)
    _polls: int = 0
    _splitter: Splitter = field(default_factory=Splitter)

    def here(self) -> Place:
        """Return how far the log was read: of what was yielded, and taken.

        As long as no line of a file was, that is the end of the one before it: it can be told from every other.
        """
        if not self._offset and self._before is not None:
            return self._before
        return self._there()

    def _there(self) -> Place:
        assert self._file is not None
        return place_in(self._file, self._offset)

    def lines(self) -> Iterator[str]:
        """Yield the lines. Raises ``BadLog`` if there is no file to begin with."""
        quiet = 0
        try:
            yield from self._begun()
            while True:
                over = self.stop()  # asked before reading, as is what became of the file
                gone = self._gone()
                if gone == "rewritten":
                    yield from self._elsewhere(self._known or Place())
                    continue
                before = self._offset
                yield from self._grown()
                quiet = quiet + 1 if gone and self._offset == before else 0
                if quiet > 1:  # whoever writes may have it open for a moment after it was renamed
                    yield from self._moved()
                elif over and not gone:
                    break
                else:
                    self._keep(SAVE_POLLS)
                    self._wait()
            if self.save is None:
                yield from self._rest()
            self._keep(0)
        finally:
            if self._file is not None:
                self._file.close()

    # ------------------------------------------------------------------------------------------ reading

    def _grown(self) -> Iterator[str]:
        """Yield the whole lines that are there now."""
        file = cast("BinaryIO", self._file)
        while chunk := file.read(_CHUNK):
            begun = file.tell() - len(chunk)
            for line in self._splitter.feed(chunk):
                self.given += 1
                yield line
            whole = chunk.rfind(b"\n") + 1
            if whole:
                self._offset = begun + whole
            if self.given - self._saved[1] >= SAVE_LINES:
                self._keep(0)
        if self._known is None or self._known.offset != self._offset:
            self._known = self._there()

    def _rest(self) -> Iterator[str]:
        """Yield a line that was begun and will not be ended."""
        for line in self._splitter.rest():
            self.given += 1
            yield line

    def _wait(self) -> None:
        self._polls += 1
        try:
            self.sleep(self.poll)
        except KeyboardInterrupt:
            self._keep(0)
            raise

    def _keep(self, patience: int) -> None:
        """Save the place if it is another one, now, or once in so many looks at the file."""
        now = (self._offset, self.given)
        if self.save is not None and now != self._saved and not (patience and self._polls % patience):
            self.save()
            self._saved = now

    # ------------------------------------------------------------------------------ which file is the log

    def _begun(self) -> Iterator[str]:
        """Open the file where it was left, and yield what it has under older names."""
        place = self.place
        try:
            self._turn_to(self.path)
        except OSError as error:
            if place is None:
                raise BadLog(
                    f"cannot read the log: {error.strerror}",
                    where=str(self.path),
                    hint="name a file that exists: it is then followed",
                ) from None
            yield from self._elsewhere(place)
            return
        file = cast("BinaryIO", self._file)
        if place is not None and not place.offset:
            yield from self._older((one, 0) for one in list(siblings(self.path, place.when)))
            self._new_file()
        elif place is None or is_of(file, place):
            self._offset = 0 if place is None else place.offset
            file.seek(self._offset)
            self._keep(0)  # from now on a state says where the log was begun
        else:
            yield from self._elsewhere(place)

    def _gone(self) -> str:
        """Return what became of the file: empty where it only grew, or was removed and nothing is in its place."""
        file = cast("BinaryIO", self._file)
        mine = os.fstat(file.fileno())
        position = file.tell()
        if mine.st_size < position or (self._known is not None and not is_of(file, self._known)):
            return "rewritten"
        try:
            there = self.path.stat()
        except OSError:
            return ""  # between two names: it will come back, or nothing more is to be read
        return "" if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino) else "rotated"

    def _elsewhere(self, place: Place) -> Iterator[str]:
        """Yield what comes after a place that is not in the file any more, and begin the file anew."""
        older = predecessor(self.path, place)
        if older is None:
            yield from self._rest()
            self.warn(f"the {place.offset:,} bytes that were read are not in {self.path.name} any more")
            self._offset, self._before = 0, None
            self._new_file()
            return
        self.note(f"goes on in {older.name}, which was {self.path.name}")
        self._splitter = Splitter()  # what was begun of a line is there once more
        self._offset, self._before = 0, place
        when = older.stat().st_mtime_ns
        yield from self._older([(older, place.offset), *((one, 0) for one in siblings(self.path, when))])
        self._new_file()

    def _moved(self) -> Iterator[str]:
        """Yield what is left of a file that has another name now, and what came between it and the one in its place."""
        yield from self._ended()
        mine = os.fstat(cast("BinaryIO", self._file).fileno())
        between = [one for one in siblings(self.path, mine.st_mtime_ns) if one.stat().st_ino != mine.st_ino]
        yield from self._older((one, 0) for one in between)
        self._new_file()

    def _older(self, files: Iterable[tuple[Path, int]]) -> Iterator[str]:
        for path, offset in files:
            try:
                self._turn_to(path)
                cast("BinaryIO", self._file).seek(offset)
                self._offset = offset
                yield from self._grown()
            except (OSError, EOFError, zlib.error) as error:
                self.warn(f"{path.name} cannot be read to its end: {error}")
            yield from self._ended()
            self._keep(0)

    def _ended(self) -> Iterator[str]:
        """Yield what is left of a file that does not go on: it is read to its very end then."""
        begun = self.given
        yield from self._rest()
        if self.given > begun:
            self._offset = cast("BinaryIO", self._file).tell()

    def _new_file(self) -> None:
        """Turn to the beginning of the file that has the name of the log now: wait for it where there is none yet."""
        while True:
            try:
                self._turn_to(self.path)
                break
            except OSError:
                if self.stop():
                    break
                self._wait()
        self._keep(0)

    def _turn_to(self, path: Path) -> None:
        file = opened(path) if path != self.path else path.open("rb")
        if self._file is not None:
            self._before = self.here() if self._offset else self._before
            self._file.close()
        self._file, self._offset, self._known = file, 0, None
