"""A log judged in stretches: the report, or the error, is that of one auditor who reads all of it."""

from __future__ import annotations

import os
import pickle
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from long_logs import log

from capsound.errors import CapsoundError
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.joining import Team, joined
from capsound_checker.audit.logreading import open_log
from capsound_checker.audit.lots import Lot
from capsound_checker.audit.stretches import Summary, Terms, summarised
from capsound_checker.audit.workers import Crew, Processes, summing
from capsound_checker.intake.lines import MARK, split_lines

pytest.importorskip("msgspec")

SEEDS = st.integers(0, 1 << 48)


@dataclass
class Here(Team):
    """Judges stretches in this process, at once; ``lost`` says which of them nobody judges."""

    asked: Asked
    rnd: Random
    lost: float = 0.0
    size: int = 2
    here: bool = True
    joined: int = 0
    waiting: list[bytes] = field(default_factory=list)

    def begin(self, terms: Terms, lot: Lot) -> object:
        said = None if self.rnd.random() < self.lost else summarised(self.asked.auditor(), terms, lot)
        self.joined += said is not None
        return pickle.dumps(said)

    def finish(self, ticket: object) -> Summary | None:
        assert isinstance(ticket, bytes)
        said: Summary | None = pickle.loads(ticket)
        return said


def told(ask: Any) -> object:
    """Return everything that an audit says, also where it is an error."""
    try:
        return ask().data()
    except CapsoundError as error:
        return str(error), error.hint, error.cause


BILLS = st.sampled_from(["logged", "late", "settled"])


@given(SEEDS, BILLS, st.sampled_from([0.0, 0.02]), st.booleans(), st.booleans())
def test_stretches_say_what_the_whole_says(seed: int, bills: str, wrong: float, beside: bool, lenient: bool) -> None:
    rnd = Random(seed)
    odd = rnd.choice([0.0, 0.02, 0.2])
    lines = log(
        rnd, rnd.choice([12, 60, 300]), roots=rnd.choice([1, 5]), bills=bills, wrong=wrong, beside=beside, odd=odd
    )
    asked = Asked(
        "log",
        rnd.choice([None, None, 50]),
        rnd.choice(["auto", "auto", "logged", "settled"]),
        lenient,
        rnd.choice([1, 5, 10_000]),
        rnd.choice([0, 1, 5]),
    )
    how: dict[str, Any] = {"lenient": lenient, "memory": asked.memory, "cap": asked.cap, "bills": asked.bills}
    whole = told(lambda: audit(iter(lines), name="log", show=asked.show, **how))
    here = Here(asked, rnd, rnd.choice([0.0, 0.0, 0.3]))
    size, head = rnd.choice([1, 300, 2_000, 100_000]), rnd.choice([0, 500, 3_000])
    source: Any = iter(lines)
    with ExitStack() as stack:
        way = rnd.choice(["lines", "bytes", "file"])
        raw = "".join(lines).encode("utf-8", "surrogatepass")
        if way == "bytes":
            cut = rnd.choice([50, 1_000, 70_000])
            source = split_lines(raw[at : at + cut] for at in range(0, len(raw), cut))
        elif way == "file":
            path = Path(stack.enter_context(TemporaryDirectory())) / "log"
            path.write_bytes(rnd.choice([b"", MARK]) + raw)
            source = stack.enter_context(open_log(path))
        parts = told(lambda: joined(source, asked, here, size=size, head=head))
    event(f"ends with {'a report' if isinstance(whole, dict) else 'an error'}")
    event(f"joins {'some' if here.joined else 'none'}")
    assert parts == whole


def test_a_calm_log_is_joined_and_not_judged_again() -> None:
    lines = log(Random(3), 4_000, roots=20, odd=0.0, names=20_000)
    asked = Asked("log", lenient=True)
    judged: list[int] = []

    class Watched(Here):
        def finish(self, ticket: object) -> Summary | None:
            said = super().finish(ticket)
            assert said is not None
            judged.append(sum(step.left is not None for step in said.steps) * 100 // said.lines)
            return said

    here = Watched(asked, Random(0))
    told = joined(iter(lines), asked, here, size=40_000, head=10_000)
    assert told.data() == audit(iter(lines), name="log", lenient=True).data()
    assert len(judged) > 3
    assert max(judged) < 15  # percent of the lines that were left


def test_processes_that_are_killed_lose_nothing_and_count_nothing_twice() -> None:
    lines = log(Random(5), 6_000, roots=20, odd=0.0, names=20_000)
    asked = Asked("log", lenient=True)
    with Crew(2, summing, asked) as crew:

        class Mortal(Processes):
            def begin(self, terms: Terms, lot: Lot) -> object:
                if self.given in (3, 7) and self.alive:
                    pid = crew._processes[self.alive[0]].pid
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                return super().begin(terms, lot)

        team = Mortal(crew, 2)
        told = joined(iter(lines), asked, team, size=20_000, head=10_000)
    assert not team.alive
    assert told.data() == audit(iter(lines), name="log", lenient=True).data()
