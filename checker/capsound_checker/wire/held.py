"""A request that waits for what is chosen for it, and what arrived and is none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capsound_checker.intake.limits import cut
from capsound_checker.wire.dialects.shapes import Answer, Asked, Dialect
from capsound_checker.wire.labels import Named
from capsound_checker.wire.masking import mask

ELSEWHERE, BLIND, NOT_SERVED = "connection elsewhere", "blind", "not served inside"
"""Kinds of what is strange that say what could not be seen, rather than what has come."""


@dataclass(slots=True)
class Held:
    """A request that waits."""

    number: int
    """By arrival, from 1."""
    named: Named
    dialect: Dialect
    asked: Asked
    path: str
    body: Mapping[str, Any]
    port: int
    """The port of the client's end of the connection."""
    orders: asyncio.Queue[Order] = field(default_factory=asyncio.Queue)
    state: str = "held"
    """``held``, ``begun`` (a part of a stream was sent), ``stalled`` (it will get no answer), ``ended``."""
    begun: str = ""
    """What is being done to a stream of which a part was sent."""
    gone: bool = False
    """Whether the client closed the connection before it had the whole answer."""

    @property
    def label(self) -> str:
        """Its name in schedules."""
        return self.named.label

    @property
    def ident(self) -> str:
        """A name for the ids in its answer: the same in every run, and another one for each request.

        Whoever reads two answers with one id takes them for one bill.
        """
        return "".join(c for c in self.label.replace("#", "n").replace("~", "r") if c.isalnum())


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done with a request: send ``chunks``, and then go on, end as one should, or break off."""

    answer: Answer
    chunks: tuple[bytes, ...]
    then: str = "end"
    """``end``, ``more`` (the stream goes on), ``break`` (the connection is closed in the middle)."""


@dataclass(slots=True)
class Strange:
    """What arrived and is no request for a model: counted by its kind, with the first one of each in words."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Count one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.examples.setdefault(kind, cut(mask(example)))

    def of_run(self) -> dict[str, tuple[int, str]]:
        """Return for each kind how many came, and the first one in words."""
        return {kind: (number, self.examples[kind]) for kind, number in self.counts.items()}
