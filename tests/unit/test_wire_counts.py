"""Names of faults: given to a count that agrees with every request of a run, and to no other."""

from __future__ import annotations

import pytest

from capsound_checker.wire.acting import Did
from capsound_checker.wire.billing import Bill
from capsound_checker.wire.causes import ALL, cause_of
from capsound_checker.wire.counts import continuing
from capsound_checker.wire.dialects.shapes import Asked, Usage
from capsound_checker.wire.judge import judge
from capsound_checker.wire.money import Cap, Unit
from capsound_checker.wire.running import Run
from capsound_checker.wire.schedule import Schedule

MOST = 10


def history(text: str) -> list[Did]:
    """Read a run: ``+1`` arrives, ``+2~1`` repeats 1, ``-1`` answered, ``-1:500`` with that, ``x1`` left, ``s1`` stalled.

    After a bar: the process, the system, the conversation, ``s`` for a stream: ``+1|p2``, ``+1|syX``, ``+1|c1``.
    """
    did: list[Did] = []
    bills: set[int] = set()

    def bill(number: int, act: str) -> Bill:
        bills.add(number)
        one = Bill(Usage(0, MOST), 0 if act in ("429", "500-free") else MOST, MOST, bounded=True)
        did.append(Did("billed", f"r{number}", act, number, one))
        return one

    for word in text.split():
        head, *more = word.split("|")
        kind, rest = head[0], head[1:]
        if kind == "+":
            number, _, repeats = rest.partition("~")
            process = next((int(one[1:]) for one in more if one[0] == "p"), 1)
            system = next((one[2:] for one in more if one.startswith("sy")), "")
            before = next((f"text {one[1:]}\n" for one in more if one[0] == "c"), "")
            asked = Asked("openai-chat", "m", f"{before}text {number}", MOST, "st" in more, system=system)
            repeated = f"r{repeats}" if repeats else ""
            did.append(Did("arrived", f"r{number}", "", int(number), None, asked, repeated, process))
        elif kind == "-":
            one, _, act = rest.partition(":")
            number_, act = int(one), act or "answer"
            did.append(Did("answered", f"r{one}", act, number_, bill(number_, act)))
        elif kind == "s":
            bill(int(rest), "stall")
            did.append(Did("stalled", f"r{rest}", "stall", int(rest)))
        elif kind == "x":
            if int(rest) not in bills:
                bill(int(rest), "left")
            did.append(Did("left", f"r{rest}", "", int(rest)))
    return did


def name(text: str, cap: int) -> str | None:
    judged = judge(Run(Schedule(), tuple(history(text)), (), "exit", 0, (), {}), Cap(cap, Unit("tokens")))
    cause = cause_of(judged)
    return None if cause is None else cause.name


@pytest.mark.parametrize(
    ("wanted", "cap", "text"),
    [
        (None, 30, "+1 -1 +2 -2 +3 -3"),
        ("check-then-act", 25, "+1 +2 +3 -1 -2 -3"),
        ("estimate-too-low", 25, "+1 -1 +2 -2 +3 -3"),
        ("refund-on-cancel", 25, "+1 x1 +2 -2 +3 -3"),
        ("stream-left", 25, "+1|st x1 +2 -2 +3 -3"),
        ("refund-on-timeout", 25, "+1 s1 x1 +2 -2 +3 -3"),
        ("refund-on-error", 25, "+1 -1:500 +2 -2 +3 -3"),
        ("retry-under-one-hold", 25, "+1 -1:500 +2~1 -2 +3 -3"),
        ("retry-under-one-hold", 25, "+1 s1 x1 +2~1 -2 +3 -3"),
        ("usage-missing", 25, "+1 -1:no-usage +2 -2 +3 -3"),
        ("cached-free", 25, "+1 -1:cached +2 -2 +3 -3"),
        ("counter-per-process", 25, "+1|p1 -1 +2|p1 -2 +3|p2 -3 +4|p2 -4"),
        ("slice-copied", 25, "+1|syA -1 +2|syA -2 +3|syB -3 +4|syB -4"),
        ("limit-per-turn", 15, "+1 -1 +2|c1 -2 +3|c1 -3"),
        ("limit-seen-late", 15, "+1 -1 +2 -2 +3 -3 +4 -4"),
    ],
)
def test_a_run_has_the_name_of_the_count_that_explains_it(wanted: str | None, cap: int, text: str) -> None:
    assert name(text, cap) == wanted


@pytest.mark.parametrize(
    ("never", "cap", "text"),
    [
        # A loser was given up, but three were in flight on one balance before.
        ("refund-on-cancel", 25, "+1 +2 +3 x1 -2 -3"),
        # Two processes, and a shared count that was looked at too early.
        ("counter-per-process", 25, "+1|p1 +2|p2 +3|p1 -1 -2 -3"),
        # Two processes, but one alone has gone beyond the cap.
        ("counter-per-process", 25, "+1|p2 -1 +2|p1 -2 +3|p1 -3 +4|p1 -4 +5|p1 -5"),
        # An error that was not billed explains nothing.
        ("refund-on-error", 25, "+1 -1:500-free +2 -2 +3 -3 +4 -4"),
        # In flight, but the one before it was answered.
        ("check-then-act", 15, "+1 -1 +2 -2 +3 -3"),
        # It goes on with a conversation, and so do those that begin one.
        ("limit-per-turn", 15, "+1 -1 +2|c1 -2 +3 -3 +4 -4"),
    ],
)
def test_no_name_is_given_that_a_request_contradicts(never: str, cap: int, text: str) -> None:
    found = name(text, cap)
    assert found is not None
    assert found != never


def test_what_goes_on_with_a_conversation_is_seen_by_its_text() -> None:
    assert continuing(history("+1 -1 +2|c1 -2 +3 -3 +11 -11")) == {2}


def test_every_name_is_given_once_and_says_what_to_do() -> None:
    assert len({cause.name for cause in ALL}) == len(ALL)
    assert all(cause.meaning and cause.cure for cause in ALL)
