"""What a mapping makes of lines elsewhere is what it makes of them here: the report is the same, whatever is in a log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from capsound.errors import CapsoundError
from capsound_checker.audit.ahead import ahead
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.logreading import open_log
from capsound_checker.audit.mapping import load_mapping
from capsound_checker.audit.recognising import recognised
from capsound_checker.audit.teams import audit_by
from capsound_checker.audit.workers import Crew, Makers, making
from capsound_checker.spread.cluster import BadCluster

SPANS = Path(__file__).resolve().parent.parent / "support" / "spans"
FILES = sorted(path for path in SPANS.rglob("*.json*") if path.is_file() and "index" not in path.name)
SOME = Random(7).sample(FILES, min(12, len(FILES)))


def told(ask: Any) -> object:
    """Return everything that an audit says, also where it is an error."""
    try:
        return ask().data()
    except CapsoundError as error:
        return str(error), error.hint, error.cause


@pytest.mark.parametrize("path", SOME, ids=lambda path: path.name)
@pytest.mark.parametrize("lenient", [False, True])
def test_two_processes_say_what_one_says(path: Path, lenient: bool) -> None:
    with open_log(path) as lines:
        source = list(lines)
    mapping = recognised(iter(source), path.name).mapping
    if mapping is None:
        pytest.skip("in our own vocabulary")
    rnd = Random(path.name)
    spoilt = list(source)
    for _ in range(3 if lenient else 0):
        place = rnd.randrange(len(spoilt))
        spoilt.insert(place, rnd.choice(["{", "[1]\n", "null\n", spoilt[place][: len(spoilt[place]) // 2] + "\n"]))
    one = told(lambda: audit(iter(spoilt), name="log", mapping=mapping, cap=1000, lenient=lenient))
    two = told(lambda: audit_by(iter(spoilt), Asked("log", 1000, lenient=lenient), mapping, workers=2))
    assert two == one


def test_a_worker_that_is_killed_loses_nothing() -> None:
    path = SPANS / "unfinished-stream.jsonl"
    source = path.read_text().splitlines(keepends=True) * 200
    mapping = recognised(iter(source), path.name).mapping
    assert mapping is not None
    with Crew(2, making, mapping) as crew:
        makers = Makers(crew, mapping)

        def lines() -> Iterator[str]:
            for number, line in enumerate(source):
                if number == len(source) // 2:
                    crew._processes[0].kill()
                yield line

        auditor = Asked("log", 1000).auditor(mapping)
        auditor.ahead = ahead(mapping, 2, makers.give, makers.take)
        two = auditor.run(lines())
    assert makers.lost == {0}
    assert two.data() == audit(iter(source), name="log", mapping=mapping, cap=1000).data()


def test_the_first_error_is_the_one_that_is_told() -> None:
    mapping = load_mapping("otel-genai")
    good = json.dumps({"attributes": {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": -1}, "name": "x"})
    source = [f"{good}\n"] * 3 + ["{\n"] + [f"{good}\n"] * 600
    one = told(lambda: audit(iter(source), name="log", mapping=mapping, cap=1000))
    assert told(lambda: audit_by(iter(source), Asked("log", 1000), mapping, workers=2)) == one
    assert isinstance(one, tuple)


def test_a_cluster_needs_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BadCluster, match="needs distributed") as error:
        audit_by(iter([]), Asked("log"), None, dask="tcp://127.0.0.1:9")
    assert "capsound[cluster]" in error.value.hint
