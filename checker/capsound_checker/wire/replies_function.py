"""Replies by a Python function of the user's: ``file.py:function``, called as ``function(asked, body)``.

It lives in a process of its own, which may hang, print, crash or exit. It is called once for each content of a request,
and what it said is kept: a function that is not the same twice cannot make two runs differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from capsound_checker.intake.limits import cut, read_json
from capsound_checker.remote.process import Child, HarnessDied, HarnessHung, unhurried
from capsound_checker.wire.dialects.shapes import Asked
from capsound_checker.wire.replies import BadReplies, Line, Said, content, line_of

SECONDS = 10.0
"""How long one call may take."""

LOADING = 30.0
"""How long the file may take to be loaded."""

_HINT = 'return a text, or an object such as {"text": "Done.", "usage": {"output": 20}}; None for the default'


@dataclass(slots=True)
class Function:
    """A function in a process of its own."""

    path: Path
    name: str
    seconds: float = SECONDS
    _child: Child | None = None
    _kept: dict[str, Line | None] = field(default_factory=dict)

    def say(self, asked: Asked, body: Mapping[str, Any], before: int) -> Said | None:  # noqa: ARG002  as all sources
        """Return what the function says, or None where it leaves it to the default. Raises ``BadReplies``."""
        mark = content(asked.dialect, asked.model, body)
        if mark not in self._kept:
            told = self._ask({"asked": _plain(asked), "body": dict(body)}, self.seconds)
            self._kept[mark] = None if told is None else line_of(told, self.where, f"{self.name}()")
        line = self._kept[mark]
        return None if line is None else line.said(asked, f"{self.name}()", self.where)

    @property
    def where(self) -> str:
        """The file."""
        return cut(str(self.path))

    def load(self) -> None:
        """Start the process, and load the file. Raises ``BadReplies``."""
        command = (sys.executable, "-m", "capsound_checker.wire.replies_worker", str(self.path), self.name)
        with unhurried():
            self._child = Child(command)
            self._ask({"load": True}, LOADING)

    def _ask(self, message: Mapping[str, Any], seconds: float) -> Any:
        if self._child is None or self._child.ended:
            self.load()
        assert self._child is not None
        try:
            answer = read_json(self._child.exchange(json.dumps(message).encode() + b"\n", seconds))
        except HarnessHung:
            raise BadReplies(
                f"{self.name}() did not return within {seconds:g} s",
                cause="each request waits for its reply",
                hint="let it decide by what it is given, without asking anybody",
                where=self.where,
            ) from None
        except HarnessDied as problem:
            raise BadReplies(
                f"{self.name}() ended the process that ran it", cause=problem.cause, hint=_HINT, where=self.where
            ) from None
        except ValueError as problem:
            raise BadReplies(
                f"{self.name}() says what cannot be read", cause=str(problem), hint=_HINT, where=self.where
            ) from None
        if "error" in answer:
            raise BadReplies(
                cut(answer["error"]), cause=cut(answer.get("cause", "")), hint=answer["hint"], where=answer["where"]
            )
        return answer["said"]

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child.kill()


def _plain(asked: Asked) -> dict[str, Any]:
    """Return a request as data: all of its fields but what only the dialect reads."""
    data = asdict(asked)
    del data["details"], data["default"]
    return data
