"""An audit that follows a log, and goes on where an earlier one of the same log ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capsound_checker.audit.checkpoint import Part, StateFile
from capsound_checker.audit.following import Tail
from capsound_checker.audit.logreading import open_log
from capsound_checker.audit.mapping import load_mapping, mapping_digest
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.recognising import Recognised, recognised
from capsound_checker.audit.rules import LogMapping
from capsound_checker.intake.limits import cut


@dataclass(slots=True)
class Keeper:
    """Connects an auditor with the log that it follows, and with the state from which it goes on, if there is one."""

    tail: Tail
    file: StateFile | None = None
    told: dict[str, Any] = field(default_factory=dict)
    """What the state tells of how it was made, beside the place."""
    notes: list[str] = field(default_factory=list)
    """What is to be said of where the log was read."""

    def taken(self, mapping: LogMapping | None) -> Recognised:
        """Return the lines with their mapping: the given one, that of the state, or what the file is recognised as."""
        lines = self.tail.lines()
        header = {} if self.file is None else self.file.header
        if mapping is not None:
            return Recognised(lines, mapping)
        if header:
            self.notes += filter(None, [header.get("recognised", "")])
            return Recognised(lines, load_mapping(header["mapping"]) if header.get("mapping") else None)
        with open_log(self.tail.path) as there:  # it says what it is: it may take long until more comes
            found = recognised(there, str(self.tail.path))
        self.notes += filter(None, [found.note])
        self.told["recognised"] = found.note
        return Recognised(lines, found.mapping)

    def bind(self, options: Mapping[str, Any], mapping: LogMapping | None) -> None:
        """Say with which options the state is made; raises ``OtherOptions`` where it was made with others."""
        if self.file is None:
            return
        digest = "" if mapping is None else mapping_digest(mapping.path)
        prices = [] if mapping is None else [note for note in mapping.notes if note.startswith("priced by")]
        bound = {**options, "the mapping": digest[:16], "the prices": prices}
        self.file.check_options(bound)
        self.told |= {"mapping": "" if mapping is None else mapping.path, "options": bound}
        self.told.setdefault("recognised", self.file.header.get("recognised", ""))

    def attach(self, parts: Mapping[str, Part], notes: Notes, mapping: LogMapping | None) -> None:
        """Give these parts the state of the file, and keep theirs from now on. Raises ``BadState``."""
        self.tail.warn = lambda detail: notes.warn("lost", cut(detail))
        self.tail.note = lambda detail: self.notes.append(cut(detail))
        file, records, tail = self.file, notes.records, self.tail
        if file is None:
            return
        if file.header:
            file.restore(parts, mapping)
            self.notes.append(f"read on from line {records.line + 1:,}, as {cut(str(file.path))} says")
        before = records.line

        def save() -> None:
            # A document over many lines is taken as a whole: what was read of it is not known to the parts.
            if records.line == before + tail.given:
                file.save(parts, mapping, tail.here(), {**self.told, "lines": records.line})

        tail.save = save


@contextlib.contextmanager
def keeping(path: Path, state: Path | None, version: str) -> Iterator[Keeper]:
    """Follow a log, from where a state says that it was read, if there is one.

    Raises ``BadState`` for a state that cannot be gone on with, ``InUse`` for one that another audit goes on with.
    """
    file = None if state is None else StateFile(state, version)
    try:
        if file is not None:
            file.open()
        yield Keeper(Tail(path, None if file is None else file.place), file)
    finally:
        if file is not None:
            file.close()
