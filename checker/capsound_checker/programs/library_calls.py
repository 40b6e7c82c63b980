"""The calls that a library makes itself: when each was admitted, and what became of its hold.

A wrapper or a decorator keeps its holds to itself. What it does with them is seen only in what the account says before
and after: an estimate that is gone was kept, a bill that appears was settled. Who lets the calls run, and step by
step or on an event loop, does not matter here (``driven_calls``, and the schedules of asyncio).
"""

from __future__ import annotations

from capsound.accounts import RESOLVED, HoldState
from capsound.adapter import Answer, Kind
from capsound.amounts import Amount, HoldId
from capsound.events import Crash, Forfeit, Refuse, Release, Reserve, Settle
from capsound_checker.programs.asking import Asker
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import LibraryCall, Observed, Record, account_id, agent_id

Resolution = tuple[()] | tuple[type[Settle], HoldId, int] | tuple[type[Forfeit], HoldId] | tuple[type[Release], HoldId]
"""What became of a hold, as ``Record.say`` takes it; empty where nothing did."""


class LibraryCalls:
    """Tells the admission and the end of each call of the library, from what its account says."""

    __slots__ = ("_observed", "_record", "_unclassified")

    def __init__(self, record: Record, asker: Asker) -> None:
        self._record = record
        self._observed = asker.observed
        self._unclassified = asker.unclassified

    def admitted(self, call: LibraryCall, before: Observed) -> None:
        """Tell the admission of a call that waits on its way to the provider, once its estimate is seen to be kept."""
        record = self._record
        now, was = self._observed(call.account)[2], before[2]
        kept = now is not None and was is not None and was - now >= call.estimate > 0
        call.suspended = True
        if call.company is not None:
            return  # it may be the estimate of another that is gone
        if call.place == "waiting" and call.hold_id not in record.monitor.state.holds and kept:
            call.hold_seen = True
            self._tell_admission(call)

    def _tell_admission(self, call: LibraryCall) -> None:
        self._record.say(Reserve, account_id(call.account), call.hold_id, call.estimate, agent_id(call.agent))

    def reached_provider(self, call: LibraryCall) -> None:
        """Tell that the library has admitted the call: its request is at the provider, and is billed now."""
        record = self._record
        if call.hold_id in record.monitor.state.holds and call.call_id:  # it sends again
            if call.company is not None and call.company.replied:
                record.spoiled = True  # what became of its first hold nobody has seen: another was settled meanwhile
                return
            self._end_earlier_try(call)
            call.again = call.hold_id in record.monitor.state.holds
        if call.hold_id not in record.monitor.state.holds:
            if call.suspended and not call.estimate and record.state.account(account_id(call.account)).available < 0:
                record.spoiled = True  # nobody has seen when it was admitted: before the debt, or in it
                return
            self._tell_admission(call)
        call.call_id = record.tell_request(call.hold_id, call.bill)
        call.place = "at provider"
        if call.again and "spent" not in record.offers:
            record.spoiled = True  # whether it has a hold of its own nobody can see; that it was billed is told
            return
        now, was = self._observed(call.account)[2], call.observed_at_begin[2]
        call.hold_seen = call.hold_seen or (now is not None and was is not None and now < was)

    def _end_earlier_try(self, call: LibraryCall) -> None:
        """Tell what became of the hold of the try before, if it has been resolved: then this one has its own."""
        spent, was = self._observed(call.account)[0], call.observed_at_step[0]
        grown = 0 if spent is None or was is None else spent - was
        if grown or not call.estimate:  # writing nothing off looks like keeping nothing
            bill = self._record.state.hold(call.hold_id).billed
            settled = grown == bill != call.estimate
            self._record.tell(Settle(call.hold_id, Amount(bill)) if settled else Forfeit(call.hold_id))
            call.hold_id, call.told, call.again = HoldId(f"{call.hold_id}+"), 0, False

    def ended(self, call: LibraryCall, before: Observed, answer: Answer) -> None:
        """Tell what became of a call that has ended with ``answer``; ``before`` is what its account said before that.

        Raises ``AdapterFailed`` when the adapter does not classify how it ended.
        """
        record = self._record
        reached, call.place = call.place not in ("waiting", ""), "ended"
        if answer.kind is Kind.FAILED:
            raise self._unclassified("call", answer)
        if answer.kind is Kind.HUNG:
            record.stall([call.agent])
            return
        if not reached and call.hold_id in record.monitor.state.holds:
            self._tell_resolution(call, before)
            return
        if not reached:
            step = Step("begin", call.agent, call.account, call.hold, call.estimate)
            if call.outcome != "cancel" and call.outcome != "crash":
                record.refuse(step, answer.why or "the call was not made")
            return
        hold = call.hold_id
        if record.state.hold(hold).state in RESOLVED:
            return
        if answer.kind is Kind.REFUSED and call.outcome == "fail" and self._is_of_another_try(call):
            self._tell_resolution(call, before)
            return
        if answer.kind in (Kind.REFUSED, Kind.REJECTED, Kind.STALE):
            agent = agent_id(call.agent)
            record.tell(Refuse(account_id(call.account), Amount(call.estimate), answer.why, agent, hold))
        self._tell_resolution(call, before)

    def _is_of_another_try(self, call: LibraryCall) -> bool:
        """Whether a refusal is that of another try, before it was sent, and is right.

        What failed has been charged or written off, and there is no room for its estimate once more. Where there is
        room, the refusal can only be that of the request that has left.
        """
        state = self._record.state
        spent, was = self._observed(call.account)[0], call.observed_at_step[0]
        grown = 0 if spent is None or was is None else spent - was
        counted = grown > 0 and grown in (state.hold(call.hold_id).billed, call.estimate)
        free = state.account(account_id(call.account)).available + call.estimate - grown
        return counted and free < call.estimate

    def _tell_resolution(self, call: LibraryCall, before: Observed) -> None:
        """Tell what became of the hold of a call that has ended."""
        after = self._observed(call.account)
        unseen = (before[0] is None or after[0] is None) and (before[2] is None or after[2] is None)
        if call.company is not None and call.company.replied:
            unseen = True  # whether it kept anything: another gave back what it held
        if call.outcome != "reply" and unseen:
            self._record.spoiled = True  # nobody can say: from here on nothing could be judged
            return
        event = self.resolution(call, before, after)
        if event:
            self._record.say(*event)

    def resolution(self, call: LibraryCall, before: Observed, after: Observed) -> Resolution:
        """Return what became of the hold of a call that ended, by how what the library says has changed.

        A call that got its reply is settled: the library was told. After anything else it has three honest ways:
        charge the bill, write off the estimate, or keep it; a fourth gives it back.
        """
        hold, known = call.hold_id, self._record.state.hold(call.hold_id)
        bill, sent = known.billed, known.state is HoldState.SENT
        if call.outcome == "reply":
            if not call.again:
                return Settle, hold, call.bill
            # Of several requests under one hold the library has heard what some cost; it may count more for the others.
            booked = 0 if before[0] is None or after[0] is None else after[0] - before[0]
            if booked == call.estimate and booked not in (bill, call.told):
                return Forfeit, hold
            return Settle, hold, bill if booked == bill else call.told
        back = 0 if before[2] is None or after[2] is None else after[2] - before[2]
        if before[0] is None or after[0] is None:
            grown = call.estimate - back if call.hold_seen else -back
        else:
            grown = after[0] - before[0]
        if grown or not call.estimate:  # writing nothing off looks like giving nothing back
            return (Settle, hold, bill) if grown == bill != call.estimate else (Forfeit, hold)
        if back <= 0 and call.hold_seen:
            return ()
        if before[2] is None and bill:  # kept, or given back: nobody can see it
            return ()
        return (Settle, hold, 0) if bill == 0 and sent else (Release, hold)

    def tell_abandoned(self) -> None:
        """Tell of holds whose call has ended and that are not resolved: nobody will ever give them back."""
        record = self._record
        left = [c for c in record.calls.values() if c.place == "ended" and c.outcome and self._still_kept(c)]
        for call in left:
            record.tell(Crash(agent_id(call.agent)))
        if left:
            known = {(f.anomaly, f.facts) for f in record.findings}
            report = record.report()
            new = [f for f in report.findings if f.anomaly == "stranded" and (f.anomaly, f.facts) not in known]
            record.findings.extend(new)

    def _still_kept(self, call: LibraryCall) -> bool:
        """Whether the hold of a call that has ended is still kept, as far as what is seen can tell."""
        known = self._record.state.holds.get(call.hold_id)
        return known is not None and known.state not in RESOLVED and call.hold_seen
