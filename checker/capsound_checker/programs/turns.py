"""Turns: several calls of the library that begin, or go on, in one turn of an event loop that is not ours.

Our own coroutines are interrupted wherever they await. A loop at the other end of a pipe is not ours: it runs all that
can run before it answers, so that a second call never begins inside the first. A ``turn`` step says that the calls
which come next happen in one turn, and how many micro-tasks lie between them. They are gathered until another kind of
step comes; then the adapter sends them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, cast

from capsound.adapter import Kind, classify
from capsound_checker.programs.asking import Asker
from capsound_checker.programs.driven_calls import DrivenCalls
from capsound_checker.programs.evidence import contend, gate_evidence, sees_every_await
from capsound_checker.programs.program import Program, Step, takes_turns
from capsound_checker.programs.record import Company, LibraryCall, Record, account_id
from capsound_checker.programs.watch import limit

GATHERED = frozenset({"begin", "reply"})
"""The steps that can happen in one turn.

An error or a cancellation is not among them: what became of its hold is seen from what the account says before and
after, and in one turn with others nobody could say whose doing a difference is.
"""


class TurnTaking(Protocol):
    """What an adapter offers that can do several things in one turn: ``turns`` is true of it."""

    def begin_turn(self, between: int) -> None:
        """Hold back the calls that come next, and the replies; ``between`` micro-tasks lie between them."""
        ...

    def end_turn(self) -> Sequence[bool]:
        """Do in one turn what was held back; each call hears of its own part when it is resumed.

        Return for each, in the order in which they were held back, whether it is at the provider now.
        """
        ...


class Turns:
    """Gathers the calls of a turn, lets them happen, and tells what each has come to."""

    __slots__ = ("_adapter", "_between", "_driven", "_gathered", "_record", "_unclassified")

    def __init__(self, record: Record, asker: Asker, driven: DrivenCalls) -> None:
        self._record = record
        self._unclassified = asker.unclassified
        self._driven = driven
        self._adapter = cast("TurnTaking", record.adapter) if takes_turns(record.adapter) else None
        self._gathered: list[LibraryCall] | None = None
        self._between = 0
        if self._adapter is not None:
            record.refusal_excused = self._refusal_excused

    def turn(self, step: Step) -> bool:
        """Gather the calls and replies that come next."""
        if self._adapter is None:
            return False
        self._adapter.begin_turn(step.amount)
        self._gathered, self._between = [], step.amount
        return True

    def begin(self, step: Step) -> bool:
        """Let the library begin a call, now or in the turn that is being gathered."""
        record = self._record
        on_the_way = any(c.place == "waiting" and c.account == step.on for c in record.calls.values())
        if not self._driven.begin(step):
            return False
        call = record.calls[step.new]
        evidence = gate_evidence(type(record.adapter))
        if self._gathered is not None:
            self._gather(call)
            return True
        evidence.begin(call, record)
        if not on_the_way and call.place == "at provider" and sees_every_await(record.adapter):
            evidence.uninterruptible += 1
        return True

    def reply(self, step: Step) -> bool:
        """Let the provider answer with the bill, now or in the turn that is being gathered."""
        if not self._driven.reply(step):
            return False
        if self._gathered is not None:
            self._gather(self._record.calls[step.on])
        return True

    def _gather(self, call: LibraryCall) -> None:
        if self._gathered is not None and call.place in ("waiting", "returning"):
            self._gathered.append(call)

    def end_before(self, step: Step | None) -> bool:
        """End the turn that is being gathered, unless ``step`` belongs to it (None ends a run); whether one has ended.

        The reply to a call that begins in this turn comes after it. Raises ``AdapterFailed``.
        """
        if self._gathered is None or self._record.spoiled:
            return False
        if step is not None and self._belongs(step):
            return False
        self._end(self._gathered)
        return True

    def _belongs(self, step: Step) -> bool:
        if step.do not in GATHERED:
            return False
        return step.do == "begin" or step.on not in self._record.calls or step.on in self._record.at_provider

    def _end(self, gathered: list[LibraryCall]) -> None:
        record, self._gathered = self._record, None
        assert self._adapter is not None
        try:
            with limit(record.adapter.timeout):
                at_provider = self._adapter.end_turn()
        except Exception as error:
            answer = classify(record.adapter, error)
            if answer.kind is not Kind.HUNG:
                raise self._unclassified("call", answer) from error
            record.stall([call.agent for call in gathered])
            return
        begun = [call for call in gathered if call.place == "waiting"]
        contended = {
            account
            for account in {call.account for call in begun}
            if contend(self._free(account), [call.estimate for call in begun if call.account == account])
        }
        whole = sum(call.estimate for call in gathered)
        for call in gathered if len(gathered) > 1 else ():
            replied = any(other is not call and other.place == "returning" for other in gathered)
            call.company = Company(whole - call.estimate, replied)
        for call in in_order(gathered, at_provider, self._free):
            if not record.spoiled:
                self._driven.resume(call)
        if not self._between:
            admitted = {call.account for call in begun if call.hold_id in record.monitor.state.holds}
            evidence = gate_evidence(type(record.adapter))
            evidence.overlapped += len(contended & admitted)
            evidence.overlapped_at_gate += len(contended & admitted)

    def _free(self, account: int) -> int:
        return self._record.state.account(account_id(account)).available

    def _refusal_excused(self, step: Step, account: int) -> bool:
        """Whether a call may have been refused for what others of its turn have held meanwhile."""
        call = self._record.calls.get(step.new) if step.do == "begin" else None
        if call is None or call.company is None:
            return False
        return step.amount + call.company.beside > self._free(account)


class Part(Protocol):
    """A call, as far as the order matters in which its part of a turn is told."""

    account: int
    estimate: int
    bill: int
    place: str


P = TypeVar("P", bound=Part)


def in_order(parts: Sequence[P], at_provider: Sequence[bool], free: Callable[[int], int]) -> list[P]:
    """Return the calls of a turn in the order in which they are told: in that which accuses the library least.

    ``at_provider`` says of each whether it is there now; ``free`` is what an account had free before the turn. An
    admission that fits beside everything held comes before the replies, since they overlapped. One that fits only into
    what a reply has given back comes after it; a bill above its estimate comes last.
    """
    out: list[P] = []
    for account in dict.fromkeys(part.account for part in parts):
        mine = [(part, there) for part, there in zip(parts, at_provider, strict=True) if part.account == account]
        begun = [part for part, _ in mine if part.place == "waiting"]
        replied = [part for part, _ in mine if part.place != "waiting"]
        kept = [part for part in replied if part.bill <= part.estimate]
        over = [part for part in replied if part.bill > part.estimate]
        wanted = sum(part.estimate for part, there in mine if there and part.place == "waiting")
        room = free(account)
        if room < wanted <= room + sum(part.estimate - part.bill for part in kept):
            out += [*kept, *begun, *over]
        else:
            out += [*begun, *kept, *over]
    return out


# ------------------------------------------------------------------------------------------------- programs

FARTHEST = 8
"""How many micro-tasks at most lie between two calls of one turn in the programs below."""


def in_one_turn() -> Iterator[Program]:
    """Yield programs in which a call is interrupted by another after each number of micro-tasks, up to ``FARTHEST``.

    Two calls for the room of one, three for the room of two, and a call that begins while the reply to another is
    taken in, and the other way about.
    """
    for between in range(FARTHEST + 1):
        turn = Step("turn", amount=between)
        yield _opened(1, turn, *_begins(2), Step("reply", on=0), Step("reply", on=1))
        yield _opened(2, turn, *_begins(3), *(Step("reply", on=n) for n in range(3)))
        first, second = _begins(2)
        done = (Step("reply", on=1),)
        yield _opened(1, first, turn, Step("reply", on=0), second, *done)
        yield _opened(1, first, turn, second, Step("reply", on=0), *done)
        # Room for both, and a third afterwards: whether what the reply has taken in was counted.
        third = Step("begin", agent=2, new=2, amount=1, bill=1)
        yield _opened(2, first, turn, Step("reply", on=0), second, Step("reply", on=1), third, Step("reply", on=2))
        yield _opened(2, first, turn, second, Step("reply", on=0), Step("reply", on=1), third, Step("reply", on=2))


def _opened(cap: int, *steps: Step) -> Program:
    return [Step("open", amount=cap), *steps]


def _begins(count: int) -> list[Step]:
    return [Step("begin", agent=n, new=n, amount=1, bill=1) for n in range(count)]
