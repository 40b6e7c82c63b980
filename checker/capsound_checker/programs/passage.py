"""How time passes in a run: the library is told, its windows end one by one, and unused holds expire."""

from __future__ import annotations

from capsound.accounts import HoldState
from capsound.adapter import Answer, Kind
from capsound.events import Delegate, Merge, Release
from capsound.rolled_up import CeilingMonitor
from capsound.windowed import WindowMonitor
from capsound.windows import SECOND, Whole
from capsound_checker.programs import clock
from capsound_checker.programs.asking import Asker, failed
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import Record, hold_id
from capsound_checker.programs.timing import ends


class Passage:
    """Lets time pass for an implementation and for the monitor at once."""

    __slots__ = ("_asker", "_record")

    def __init__(self, record: Record, asker: Asker) -> None:
        self._record = record
        self._asker = asker

    def begin(self) -> None:
        """Tell the time at which the run begins, where it is one in time."""
        record = self._record
        if record.timing is None:
            return
        clock.stand_still(record.now // SECOND)
        if "clock" in record.offers:
            self._must(self._asker.ask("clock", record.now), "clock")

    def tick(self, step: Step) -> bool:
        """Let time pass: for the clocks of Python alone where the adapter says nothing of time."""
        record = self._record
        if record.timing is None:
            if step.amount not in clock.STEPS:  # "56,697 s" would tell at which hour the check was run
                return False
            clock.move(step.amount)
            return True
        if step.amount <= 0 or self._is_sliced():
            return False
        then = record.now + step.amount * SECOND
        if "reset" in record.offers:
            while (end := next(ends(record.window, record.now))) <= then:
                self._to(end)
                for number in record.opened:
                    self._must(self._asker.ask("reset", record.scopes[number]), "reset")
                if record.spoiled:
                    return True
        self._to(then)
        return True

    def _is_sliced(self) -> bool:
        """Whether there are slices, where a window may end: they are not judged then."""
        record = self._record
        sliced = any(isinstance(event, Delegate | Merge) for event in record.events)
        return sliced and record.timing is not None and not isinstance(record.timing.window, Whole)

    def _to(self, moment: int) -> None:
        """Let it be ``moment``: for the library, for the monitor, and for holds whose request has not left."""
        record = self._record
        monitor, known = record.monitor, record.timing
        assert isinstance(monitor, WindowMonitor | CeilingMonitor)
        assert known is not None
        clock.move((moment - record.now) // SECOND)
        record.now = moment
        monitor.passes(moment)
        if "clock" in record.offers:
            self._must(self._asker.ask("clock", moment), "clock")
        if known.expires and not record.spoiled:
            for number, made in record.reserved.items():
                hold = record.state.holds.get(hold_id(number))
                if hold is not None and hold.state is HoldState.HELD and moment - made >= known.expires:
                    record.tell(Release(hold.id))

    def _must(self, answer: Answer, operation: str) -> None:
        """Raise ``AdapterFailed`` where an implementation does not take that time has passed."""
        if answer.kind in (Kind.REFUSED, Kind.REJECTED, Kind.STALE):
            raise failed(
                f"{type(self._record.adapter).__name__}.{operation} was {answer.kind}: {answer.why}",
                "time passes whether or not anybody agrees",
                f"let `{operation}` come back, whatever is in flight",
            )
