"""Workloads made by chance, from stated distributions and a seed: the same bytes everywhere.

A distribution is a table of quantiles, (per mille, value), with straight lines between them: whole numbers only, so
that no platform rounds otherwise. docs/ratio.md prints the tables. The shapes are ours, chosen to resemble what the
published observations show; they are no measurement of any provider.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from capsound.errors import EXIT_USAGE, CapsoundError, nearest
from capsound.scenario import Prices
from capsound.workload import Call, Seen, Session, Workload

Table = tuple[tuple[int, int], ...]
"""Quantiles: (per mille, value), from 0 to 1000."""

PRICES = Prices(3, 15)
"""Micro-USD per token: those of the published rows."""


class NoSuchWorkload(CapsoundError):
    """A generator that does not exist."""

    name = "no-such-workload"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Generator:
    """The distributions of one kind of workload.

    ``rate`` is input tokens per 1,000 bytes; ``template`` what the provider adds to them, and ``tooling`` what it
    adds once where there are tools. ``beyond`` are billed output tokens that max_output does not limit.
    """

    name: str
    says: str
    bytes: Table
    rate: Table
    output: Table
    max_output: int
    calls: Table = ((0, 1), (1000, 1))
    tools: Table = ((0, 0), (1000, 0))
    template: Table = ((0, 7), (1000, 10))
    tooling: Table = ((0, 330), (500, 420), (1000, 450))
    beyond: Table = ((0, 0), (1000, 0))
    shared: bool = True
    grows: bool = False


GENERATORS: Mapping[str, Generator] = {
    g.name: g
    for g in (
        Generator(
            "chat",
            "single questions and pasted texts; most answers end well before max_output",
            bytes=((0, 20), (100, 60), (500, 400), (900, 3_000), (1000, 12_000)),
            rate=((0, 190), (500, 240), (900, 300), (1000, 620)),
            output=((0, 1), (100, 15), (500, 180), (900, 600), (970, 1_024), (1000, 1_024)),
            max_output=1_024,
        ),
        Generator(
            "tools",
            "requests with one to six tools, their schemas among the bytes; short answers",
            bytes=((0, 300), (100, 480), (500, 1_400), (900, 5_000), (1000, 9_000)),
            rate=((0, 230), (500, 330), (900, 450), (1000, 700)),
            output=((0, 20), (100, 40), (500, 110), (900, 200), (1000, 512)),
            max_output=512,
            tools=((0, 1), (500, 2), (1000, 6)),
        ),
        Generator(
            "dense",
            "base64, marks and scripts of several bytes a character: up to 980 tokens per 1,000 bytes",
            bytes=((0, 30), (100, 200), (500, 900), (900, 2_000), (1000, 6_000)),
            rate=((0, 330), (500, 600), (900, 850), (1000, 980)),
            output=((0, 1), (100, 5), (500, 45), (900, 100), (1000, 100)),
            max_output=100,
        ),
        Generator(
            "growth",
            "conversations of 3 to 12 calls whose history is sent again, while only the new bytes are counted",
            bytes=((0, 20), (100, 60), (500, 200), (900, 900), (1000, 3_000)),
            rate=((0, 190), (500, 240), (900, 330), (1000, 620)),
            output=((0, 10), (100, 40), (500, 150), (900, 350), (1000, 512)),
            max_output=512,
            calls=((0, 3), (500, 6), (1000, 12)),
            shared=False,
            grows=True,
        ),
        Generator(
            "reasoning",
            "questions with hidden reasoning that max_output limits; output with a heavy tail",
            bytes=((0, 60), (100, 120), (500, 350), (900, 1_500), (1000, 4_000)),
            rate=((0, 190), (500, 240), (900, 330), (1000, 620)),
            output=((0, 60), (100, 150), (500, 420), (900, 1_700), (990, 3_600), (1000, 4_096)),
            max_output=4_096,
        ),
        Generator(
            "hidden",
            "as reasoning, but the limit of 1,024 is for visible output alone: A6 does not hold",
            bytes=((0, 60), (100, 120), (500, 350), (900, 1_500), (1000, 4_000)),
            rate=((0, 190), (500, 240), (900, 330), (1000, 620)),
            output=((0, 20), (100, 60), (500, 200), (900, 700), (1000, 1_024)),
            max_output=1_024,
            beyond=((0, 0), (300, 128), (700, 640), (950, 1_600), (1000, 3_000)),
        ),
    )
}
"""The workloads that ship, by name."""


def generate(name: str, seed: int = 0, sessions: int = 200) -> Workload:
    """Return a workload of ``sessions`` sessions; one seed, one workload. Raises ``NoSuchWorkload``."""
    kind = GENERATORS.get(name)
    if kind is None:
        raise NoSuchWorkload(f"there is no generator {name!r}", hint=nearest(name, GENERATORS))
    chance = random.Random(f"{name}/{seed}")
    made = tuple(Session(str(number), tuple(_session(kind, chance))) for number in range(sessions))
    return Workload(f"gen:{name}", made, kind.shared, "micro-USD", (f"{kind.says} (seed {seed})",))


def _session(kind: Generator, chance: random.Random) -> Iterator[Call]:
    def draw(table: Table) -> int:
        return quantile_of(table, chance.randrange(1000))

    history = 0
    for _ in range(draw(kind.calls)):
        size, tools = draw(kind.bytes), draw(kind.tools)
        content = max(1, size * draw(kind.rate) // 1000)
        added = draw(kind.template) + (draw(kind.tooling) if tools else 0)
        seen = Seen(size, 1, tools, history, kind.max_output, PRICES, counted=content + history)
        call = Call(seen, content + history + added, draw(kind.output) + draw(kind.beyond))
        yield call
        if kind.grows:
            history = call.input_tokens + call.output_tokens


def quantile_of(table: Table, mille: int) -> int:
    """Return the value of a distribution at so many per mille, rounded down."""
    for (low, first), (high, last) in pairwise(table):
        if mille <= high:
            return first + (last - first) * (mille - low) // (high - low)
    return table[-1][1]


def with_oracle_counts(workload: Workload) -> Workload:
    """Return the workload with a counter that says what the provider will bill: the counterfactual of a perfect one."""
    sessions = tuple(
        Session(s.name, tuple(replace(c, seen=replace(c.seen, counted=c.input_tokens)) for c in s.calls))
        for s in workload.sessions
    )
    note = "the token counter is an oracle: it says what the provider will bill"
    return replace(workload, sessions=sessions, notes=(*workload.notes, note))
