"""A log that is followed with a state: nothing is lost and nothing is counted twice, whatever became of the file."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from capsound.verdict import Verdict
from capsound_checker.audit import checkpoint, following
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.capsfile import read_caps
from capsound_checker.audit.checkpoint import BadState, InUse, OtherOptions
from capsound_checker.audit.following import Tail
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import load_mapping, shipped
from capsound_checker.audit.money import in_money
from capsound_checker.audit.resuming import keeping
from capsound_checker.audit.rotated import predecessor, siblings

SUPPORT = Path(__file__).parents[1] / "support"


def events(calls: int, seed: int = 0) -> list[str]:
    """Return a log of calls that overlap, each with names of its own."""
    rnd = random.Random(seed)
    out: list[dict[str, Any]] = [{"event": "open", "root": "root", "cap": 20 * calls}]
    waiting: list[int] = []
    for n in range(calls):
        out.append({"event": "reserve", "account": "root", "hold": f"h{n}", "amount": 40, "agent": f"a{n % 7}"})
        out.append({"event": "send", "hold": f"h{n}", "call": f"c{n}"})
        waiting.append(n)
        while len(waiting) > 4 or (waiting and rnd.random() < 0.4):
            done = waiting.pop(rnd.randrange(len(waiting)))
            bill = rnd.randrange(50)
            out.append({"event": "bill", "call": f"c{done}", "amount": bill, "at": 1767225600 + 60 * n})
            out.append({"event": "settle", "hold": f"h{done}", "amount": bill})
    return [json.dumps(event) + "\n" for event in out]


@dataclass
class Followed:
    """A log that is followed, with a state: what is there now is read, then the audit ends as if it were killed."""

    path: Path
    state: Path
    options: dict[str, Any]
    audit: dict[str, Any]
    version: str = "1"
    notes: list[str] | None = None

    def run(self, mapping: str | None = None) -> Audit:
        with keeping(self.path, self.state, self.version) as keeper:
            keeper.tail.stop = lambda: True
            keeper.tail.sleep = lambda _seconds: None
            taken = keeper.taken(None if mapping is None else in_money(load_mapping(mapping), [], table=False))
            keeper.bind(self.options, taken.mapping)
            told = audit(taken.lines, name="log", mapping=taken.mapping, keeper=keeper, **self.audit)
            self.notes = keeper.notes
            return told


CEILINGS = read_caps(
    {
        "cap": [
            {"limit": 300, "window": "day", "timezone": "Europe/Berlin", "each": "account"},
            {"limit": "3 requests", "window": "sliding 1h"},
        ]
    },
    "caps.toml",
    "units",
)
"""Caps with windows, whose sums are a part of the state."""


@pytest.fixture
def log(tmp_path: Path) -> Followed:
    return Followed(
        tmp_path / "log.jsonl", tmp_path / "state", {}, {"what_if": (300,), "drawn": True, "ceilings": CEILINGS}
    )


def plain(told: Audit) -> dict[str, Any]:
    data = told.data()
    del data["notes"]
    curves = told.curves
    assert curves is not None
    return {**data, "curve": curves.points("root")}


def whole(lines: list[str], log: Followed, **more: Any) -> dict[str, Any]:
    return plain(audit(lines, name="log", **log.audit, **more))


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def warned(told: Audit) -> set[str]:
    return {w.name for w in told.warnings}


# -------------------------------------------------------------------------------- going on where it ended


def test_in_any_pieces_a_log_is_read_once(log: Followed) -> None:
    """Half a line at the end is read when its end is there."""
    text = "".join(events(40))
    rnd = random.Random(1)
    cuts = sorted({0, len(text), *(rnd.randrange(len(text)) for _ in range(25))})
    log.path.write_text("")
    for start, end in pairwise(cuts):
        append(log.path, text[start:end])
        if start > 200:
            told = log.run()
    assert plain(told) == whole(events(40), log)
    assert any(note.startswith("read on from line") for note in log.notes or ())


SAMPLES = {
    "otel-genai": "spans/recorded.genai.anthropic-plain.jsonl",
    "claude-code": "logs/claude-code/tool/main.jsonl",
    "claude-code-otel": "logs/claude-code-otel/agent.jsonl",
    "litellm": "logs/litellm/rows.jsonl",
    "langfuse": "logs/langfuse/with-an-error.jsonl",
    "openai-usage": "logs/openai/usage-export.json",
    "openai-costs": "logs/openai/costs.json",
    "calls": "logs/calls/calls.jsonl",
}


def sample(name: str) -> list[str]:
    text = (SUPPORT / SAMPLES[name]).read_text()
    try:
        data = json.loads(text)
        return [json.dumps(one) + "\n" for one in (data if isinstance(data, list) else [data])]
    except ValueError:
        return [line + "\n" for line in text.splitlines()]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_records_that_wait_are_in_the_state(log: Followed, name: str, lenient: bool) -> None:
    """Each mapping that ships is read line by line, with a new audit for each: what waits for its turn is not lost."""
    assert sorted(SAMPLES) == shipped()
    lines = sample(name) * 2  # the second time all of it is there already
    log.audit = {"cap": 10**13, "what_if": (10**6,), "drawn": True, "lenient": lenient}
    log.path.write_text("")
    for line in lines:
        append(log.path, line)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("capsound_checker.audit.auditing.Auditor._nothing", lambda _self: None)
            told = log.run(name)
    assert plain(told) == whole(lines, log, mapping=in_money(load_mapping(name), [], table=False))


def test_the_mapping_of_the_state_is_taken_again(log: Followed) -> None:
    lines = sample("calls")
    log.audit |= {"cap": 10**6}
    log.path.write_text("".join(lines[:2]))
    log.run()
    append(log.path, "".join(lines[2:]))
    told = log.run()
    assert plain(told) == whole(lines, log, mapping=load_mapping("calls"))
    assert "recognised as calls by 2 of the first 2 records (--mapping chooses)" in (log.notes or ())


def test_a_document_over_many_lines_is_read_as_a_whole_or_not_at_all(log: Followed) -> None:
    """What was read of it is not known to the auditor, so that the next one has to read it from its beginning."""
    parsed = [json.loads(line) for line in events(3)]
    text = json.dumps(parsed, indent=1)
    log.path.write_text(text[:200])
    with pytest.raises(BadLog):
        log.run()
    append(log.path, text[200:] + "\n")
    assert log.run().events == len(parsed)


# ------------------------------------------------------------------------------- what became of the file


def rotate(path: Path, how: str, number: int) -> None:
    """Give a log another name, or copy it and cut it, as rotation does. Times of files decide on their order."""
    if how == "copy":
        other = path.with_name(f"{path.name}.{number}")
        other.write_bytes(path.read_bytes())
        path.write_text("")
    elif how == "packed":
        other = path.with_name(f"{path.name}.{number}.gz")
        other.write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    else:
        other = path.with_name(
            f"{path.stem}-2026010{number}{path.suffix}" if how == "dated" else f"{path.name}.{number}"
        )
        path.rename(other)
    os.utime(other, ns=(number * 10**9, number * 10**9))
    if how != "copy":
        path.write_text("")


@pytest.mark.parametrize("how", ["numbered", "dated", "packed", "copy"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_log_that_was_rotated_meanwhile_is_read_to_its_end(log: Followed, how: str, times: int) -> None:
    lines = events(60)
    parts = [lines[:50], *[lines[50 + 30 * n : 80 + 30 * n] for n in range(times)], lines[50 + 30 * times :]]
    log.path.write_text("".join(parts[0][:30]))
    log.run()
    append(log.path, "".join(parts[0][30:]))
    for number, part in enumerate(parts[1:], 1):
        rotate(log.path, how, number)
        append(log.path, "".join(part))
    told = log.run()
    assert plain(told) == whole(lines, log)
    assert any("goes on in" in note for note in log.notes or ())


def test_a_crash_in_the_middle_of_a_rotated_file_is_none_of_its_end(
    log: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "SAVE_LINES", 5)
    monkeypatch.setattr(following, "_CHUNK", 300)
    lines = events(60)
    log.path.write_text("".join(lines[:20]))
    log.run()
    append(log.path, "".join(lines[20:100]))
    rotate(log.path, "numbered", 1)
    append(log.path, "".join(lines[100:]))
    for stop in (30, 60, 90, 120):
        with monkeypatch.context() as patch:
            patch.setattr(Tail, "_grown", dying(stop, Tail._grown))
            with pytest.raises(MemoryError):
                log.run()
    assert plain(log.run()) == whole(lines, log)


def dying(after: int, grown: Any) -> Any:
    """Return a reader that ends in the middle, once so many lines of the log were given."""

    def lines(self: Tail) -> Any:
        for line in grown(self):
            if int(self.given) >= after - 20:
                raise MemoryError
            yield line

    return lines


@pytest.mark.parametrize("what", ["replaced", "shorter", "longer", "empty"])
def test_a_file_that_is_another_one_is_a_doubt_that_rules_out_sound(log: Followed, what: str) -> None:
    """Cut, written over, or another log under the same name: something may never have been read."""
    log.path.write_text("".join(events(4)))
    log.run()
    rest = [json.dumps({"event": "record", "account": "root", "amount": 1}) + "\n"]
    if what == "replaced":
        log.path.unlink()
    log.path.write_text("" if what == "empty" else "".join(rest * (1 if what == "shorter" else 200)))
    told = log.run()
    assert told.verdict is not Verdict.SOUND
    assert "lost" in warned(told)
    assert any("lines may be missing" in w.sentence and "log.jsonl" in w.sentence for w in told.warnings)
    assert "lost" in warned(log.run()), "it is not forgotten"


def test_a_file_that_is_not_there_yet_is_waited_for(log: Followed) -> None:
    lines = events(20)
    log.path.write_text("".join(lines[:10]))
    log.run()
    append(log.path, "".join(lines[10:]))
    log.path.rename(log.path.with_name("log.jsonl.1"))
    with keeping(log.path, log.state, "1") as keeper:
        waits = iter([lambda: None, lambda: log.path.write_text("")])
        keeper.tail.sleep = lambda _seconds: next(waits, lambda: None)()
        keeper.tail.stop = lambda: log.path.exists()
        told = audit(keeper.taken(None).lines, name="log", keeper=keeper, **log.audit)
    assert plain(told) == whole(lines, log)


def test_a_log_that_was_never_there_is_an_error(log: Followed) -> None:
    with pytest.raises(BadLog, match="cannot read"):
        log.run()


@pytest.mark.parametrize("how", ["numbered", "copy"])
def test_rotation_is_followed_while_it_happens(log: Followed, how: str) -> None:
    """Whoever writes may have the old file open for a moment after it got another name."""
    lines = events(60)
    log.path.write_text("".join(lines[:30]))
    held: list[Any] = []

    def late() -> None:
        held[0].write("".join(lines[30:40]))
        held[0].close()

    def turn() -> None:
        if how == "copy":
            append(log.path, "".join(lines[30:40]))
        else:
            held.append(log.path.open("a"))
        rotate(log.path, how, 1)
        if how != "copy":
            late()
        append(log.path, "".join(lines[40:70]))

    steps: list[Callable[[], object]] = [turn, lambda: None, lambda: append(log.path, "".join(lines[70:]))]
    with keeping(log.path, log.state, "1") as keeper:
        done = iter(steps)
        keeper.tail.sleep = lambda _seconds: next(done, lambda: polls.append(1))()
        polls: list[int] = []
        keeper.tail.stop = lambda: len(polls) > 6
        told = audit(keeper.taken(None).lines, name="log", keeper=keeper, **log.audit)
    assert plain(told) == whole(lines, log)
    assert "lost" not in warned(told)


def test_a_log_that_is_cut_and_grows_beyond_what_was_read_is_not_taken_for_the_same(log: Followed) -> None:
    lines = events(60)
    log.path.write_text("".join(lines[:10]))
    steps: list[Callable[[], object]] = [lambda: log.path.write_text("".join(lines[10:]))]
    with keeping(log.path, log.state, "1") as keeper:
        done = iter(steps)
        polls: list[int] = []
        keeper.tail.sleep = lambda _seconds: next(done, lambda: polls.append(1))()
        keeper.tail.stop = lambda: len(polls) > 3
        told = audit(keeper.taken(None).lines, name="log", keeper=keeper, **log.audit)
    assert told.lines == len(lines)
    assert "lost" in warned(told), "what was written before it was cut is not known"


def test_only_what_rotation_makes_of_a_name_is_looked_at(tmp_path: Path) -> None:
    names = ["a.jsonl.1", "a.jsonl.2.gz", "a-20260105.jsonl", "a.jsonl-2026-01-05T10:00", "a.jsonl.2026-01-05"]
    for name in [*names, "a.jsonl", "a.jsonl.bak", "b.jsonl.1", "a.jsonl.1.txt", "ab.jsonl.1"]:
        (tmp_path / name).write_text("x")
    assert sorted(one.name for one in siblings(tmp_path / "a.jsonl")) == sorted(names)
    assert predecessor(tmp_path / "a.jsonl", checkpoint.Place(5, 1, "no", "no")) is None


# ----------------------------------------------------------------------------- states that do not fit


def kept(log: Followed) -> None:
    log.path.write_text("".join(events(4)))
    log.run()


def test_a_state_of_other_options_names_them(log: Followed) -> None:
    log.options = {"--cap": "60", "--bills": "auto"}
    kept(log)
    log.options = {"--cap": "70", "--bills": "auto"}
    with pytest.raises(OtherOptions, match='--cap: "60" then, "70" now') as error:
        log.run()
    assert "--bills" not in error.value.message
    assert error.value.exit_status == 64


def test_a_state_of_another_mapping_is_one_of_other_options(log: Followed) -> None:
    log.audit |= {"cap": 10**6}
    log.path.write_text("".join(sample("calls")))
    log.run("calls")
    with pytest.raises(OtherOptions, match="the mapping"):
        log.run("otel-genai")


def test_a_state_of_another_version_names_both(log: Followed) -> None:
    kept(log)
    log.version = "2"
    with pytest.raises(BadState, match="made by version 1") as error:
        log.run()
    assert (error.value.exit_status, "version 2" in error.value.cause) == (65, True)


@pytest.mark.parametrize("raw", [b"x", b"{}\n", b"[]\nxx", b"{" * 10**5, b"\xff\n", b'{"capsound": 1}\n'])
def test_what_is_no_state_is_said_and_left_alone(log: Followed, raw: bytes) -> None:
    log.path.write_text("".join(events(4)))
    log.state.write_bytes(raw)
    with pytest.raises(BadState, match="no state"):
        log.run()
    assert log.state.read_bytes() == raw


def test_a_damaged_state_is_said(log: Followed) -> None:
    kept(log)
    raw = log.state.read_bytes()
    rnd = random.Random(0)
    for _ in range(30):
        at = rnd.randrange(len(raw))
        log.state.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(BadState):
            log.run()
        log.state.write_bytes(raw[:at])
        if at:
            with pytest.raises(BadState):
                log.run()


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("boom",)


@pytest.mark.parametrize("thing", [Bomb(), Path("x"), {"monitor": Bomb()}, {}, [], {"monitor": {}}, len])
def test_nothing_that_a_state_names_is_run(
    log: Followed, thing: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(log)
    monkeypatch.chdir(tmp_path)
    body = pickle.dumps(thing)
    header = json.loads(log.state.read_bytes().partition(b"\n")[0])
    header["sha256"] = checkpoint._digest(header, body)
    log.state.write_bytes(json.dumps(header).encode() + b"\n" + body)
    with pytest.raises(BadState, match="does not fit"):
        log.run()
    assert not (tmp_path / "boom").exists()


def test_two_audits_do_not_share_a_state(log: Followed) -> None:
    kept(log)
    with keeping(log.path, log.state, "1"), pytest.raises(InUse):
        log.run()
    assert log.run().events


def test_a_state_that_is_written_is_locked_as_well(log: Followed) -> None:
    """The file is another one after each time that it is written."""
    log.path.write_text("".join(events(4)))
    with keeping(log.path, log.state, "1") as keeper:

        def meanwhile() -> bool:
            if log.state.stat().st_size:
                with pytest.raises(InUse):
                    log.run()
                tried.append(1)
            return bool(tried)

        tried: list[int] = []
        keeper.tail.stop = meanwhile
        keeper.tail.sleep = lambda _seconds: None
        keeper.bind({}, None)
        audit(keeper.taken(None).lines, keeper=keeper)
    assert tried


# ------------------------------------------------------------------------------------ how often it is kept


def test_a_state_is_written_after_so_many_lines_and_not_at_each_look(
    log: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = events(60)
    log.path.write_text("")
    saves: list[int] = []
    tail = Tail(
        log.path, sleep=lambda _seconds: append(log.path, next(source, "")), save=lambda: saves.append(tail.given)
    )
    source = iter(lines)
    polls = iter(range(len(lines) + 60))
    tail.stop = lambda: next(polls, None) is None
    assert list(tail.lines()) == lines
    assert 3 <= len(saves) <= 5 + len(lines) // following.SAVE_POLLS
    monkeypatch.setattr(following, "SAVE_LINES", 10)
    monkeypatch.setattr(following, "_CHUNK", 100)
    saves.clear()
    tail = Tail(log.path, save=lambda: saves.append(tail.given), stop=lambda: True)
    assert list(tail.lines()) == lines
    assert len(lines) // 12 <= len(saves) <= 2 + len(lines) // 10
