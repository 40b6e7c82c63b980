"""What kind of fault a run shows: what the application's count leaves out, as far as the wire can tell.

A run was shortened until nothing could be left out: what is still in it is needed. A name is given to a count that
agrees with every request of the run (``counts``); where none does, the run is shown without one. What the
application's code looks like is for its author to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from capsound.events import Open
from capsound.guarantees import Guarantee
from capsound_checker.wire.counts import Counts, Entry, Sent
from capsound_checker.wire.judge import Judged


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of fault."""

    name: str
    meaning: str
    cure: str


LeavesOut = Callable[[Entry, Sent], bool]


def _ended(*hows: str) -> LeavesOut:
    return lambda entry, _: entry.how in hows


def _stream_left(entry: Entry, _: Sent) -> bool:
    return entry.how == "left" and entry.asked.stream


def _repeated(entry: Entry, _: Sent) -> bool:
    return entry.repeated


def _of_another_process(entry: Entry, sent: Sent) -> bool:
    mine, other = sent.entry.did.process, entry.did.process
    return mine != 0 and other not in (0, mine)


def _of_another_agent(entry: Entry, sent: Sent) -> bool:
    return entry.asked.system != sent.entry.asked.system


def _inside_a_turn(_: Entry, sent: Sent) -> bool:
    return sent.continues


COUNTS: tuple[tuple[LeavesOut, Cause], ...] = (
    (
        _stream_left,
        Cause(
            "stream-left",
            "a stream was closed before its end, and what the provider bills for it is not counted",
            "count a stream that was left at the most that its request permits",
        ),
    ),
    (
        _ended("no-usage"),
        Cause(
            "usage-missing",
            "an answer without usage is counted as nothing",
            "count an answer that tells no usage at the most that its request permits",
        ),
    ),
    (
        _ended("cached"),
        Cause(
            "cached-free",
            "tokens that are read from a cache are counted as nothing",
            "count cached tokens at their price: they are part of the input",
        ),
    ),
    (
        _repeated,
        Cause(
            "retry-under-one-hold",
            "a request that failed was billed, sent again, and counted once",
            "hold room for each attempt (max_retries=0 and a loop of your own), or for all of them at once",
        ),
    ),
    (
        _ended("timed-out"),
        Cause(
            "refund-on-timeout",
            "a request that was given up after a time-out was billed, and is not counted",
            "keep the hold of a call that timed out, until its bill is known",
        ),
    ),
    (
        _ended("left"),
        Cause(
            "refund-on-cancel",
            "a request that the application gave up by itself was billed, and is not counted",
            "keep the hold of a call that was cancelled after it was sent",
        ),
    ),
    (
        _ended("error"),
        Cause(
            "refund-on-error",
            "a request that ended with an error was billed, and is not counted",
            "keep the hold of a call that failed after it was sent",
        ),
    ),
    (
        _ended("flying"),
        Cause(
            "check-then-act",
            "requests in flight were admitted on one balance, before any of them was counted",
            "reserve before sending, in one step with the check, and settle when the usage is known",
        ),
    ),
    (
        _of_another_process,
        Cause(
            "counter-per-process",
            "several processes spend, each under a count of its own",
            "count in one place that all processes share",
        ),
    ),
    (
        _inside_a_turn,
        Cause(
            "limit-per-turn",
            "requests that go on with a conversation leave whatever it has cost: only its first one looks at the limit",
            "check the limit before each request, those inside a turn too",
        ),
    ),
    (
        _of_another_agent,
        Cause(
            "slice-copied",
            "agents with other instructions spend what is left to this one too: each has an allowance of its own",
            "take what a sub-agent may spend out of what is left to its parent",
        ),
    ),
)
"""What a count may leave out, and the name of that fault, the most special first."""

ESTIMATE = Cause(
    "estimate-too-low",
    "a request was sent that permits a larger bill than what was left of the cap",
    "hold the most that a request permits, and set max_tokens so that it fits",
)
LATE = Cause(
    "limit-seen-late",
    "requests leave after what was told has reached the cap: the limit is not looked at before each request",
    "check the limit before each request",
)
UNEXPLAINED = Cause(
    "unexplained",
    "more was sent than the cap permits, and nothing that a count may leave out explains every request",
    "hold the most that each request permits before it is sent, and give back only what is known not to be billed",
)

ALL = (*(cause for _, cause in COUNTS), ESTIMATE, LATE, UNEXPLAINED)
"""Every name that can be given."""


def cause_of(judged: Judged) -> Cause | None:
    """Return the kind of fault that a refuting run shows.

    Counts that want room for the most that a request permits are tried first, then those that want any room at all.
    """
    if judged.refuted is None:
        return None
    if judged.timed and judged.passed:
        return None  # what was counted then, and what was forgotten, is not told from the requests alone
    cap = next(event.cap for event in judged.events if isinstance(event, Open))
    counts = Counts.of(judged.run.did, cap)
    found = next((cause for leaves_out, cause in COUNTS if counts.explain(leaves_out, estimates=True)), None)
    if found is None and counts.explain(lambda _entry, _sent: False, estimates=False):
        found = ESTIMATE
    if found is None:
        found = next((cause for leaves_out, cause in COUNTS if counts.explain(leaves_out, estimates=False)), None)
    return found or (LATE if judged.refuted is Guarantee.STOPS else UNEXPLAINED)
