"""Calls of the library that are driven by hand: each runs to its next suspension, one step at a time."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Generator
from typing import Any

from capsound.adapter import Answer, Kind, classify
from capsound.amounts import Amount
from capsound.events import Cancel, Reserve, Timeout
from capsound_checker.programs.asking import (
    NO_LOOP,
    AdapterFailed,
    Asker,
    ProviderError,
    cure_without_loop,
    is_of_harness,
    is_slip,
)
from capsound_checker.programs.cancelling import cancelled_error
from capsound_checker.programs.library_calls import LibraryCalls
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import LibraryCall, Record, account_id, hold_id
from capsound_checker.programs.watch import limit

_PROVIDER = object()
"""What a suspended call yields when it is the provider that it waits for."""

_CLOSING_TRIES = 3


@types.coroutine
def _suspend() -> Generator[object, Any, Any]:
    return (yield _PROVIDER)


def provider_file() -> str:
    """Return the file in which a call waits for the provider: what is suspended there is ours, not the library's."""
    return _suspend.__code__.co_filename


class DrivenCalls:
    """Every method that takes a step does it; it returns False where the step refers to nothing, and is skipped."""

    __slots__ = ("_calls", "_observed", "_record")

    def __init__(self, record: Record, asker: Asker, calls: LibraryCalls) -> None:
        self._record = record
        self._observed = asker.observed
        self._calls = calls

    def begin(self, step: Step) -> bool:
        """Let the library begin a call."""
        record = self._record
        if step.on not in record.scopes or step.new in record.calls or step.new in record.handles:
            return False
        call = LibraryCall(
            step.new,
            step.on,
            step.agent,
            step.amount,
            step.bill,
            coroutine=None,  # it needs the provider, which needs the call
            observed_at_begin=self._observed(step.on),
            hold_id=hold_id(step.new),
        )

        async def provider() -> int:
            self._calls.reached_provider(call)
            await _suspend()
            if call.outcome == "fail":
                raise ProviderError("the provider answered with an error")
            call.told += call.bill
            return record.replied(call)

        estimate = record.sized(Reserve(account_id(step.on), call.hold_id, Amount(step.amount)))
        call.coroutine = record.adapter.call(record.scopes[step.on], estimate, provider)
        record.calls[step.new] = call
        self.resume(call)
        return True

    def resume(self, call: LibraryCall, error: BaseException | None = None) -> None:
        """Let a call run to its next suspension; when it ends, tell what became of its hold."""
        assert call.coroutine is not None
        before = call.observed_at_step = self._observed(call.account)
        place = call.place
        adapter = self._record.adapter
        try:
            with limit(adapter.timeout):
                yielded = call.coroutine.send(None) if error is None else call.coroutine.throw(error)
        except StopIteration:
            self._calls.ended(call, before, Answer(Kind.DONE))
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # noqa: BLE001 - whatever a library lets out is an outcome
            answer = classify(adapter, raised)
            if answer.kind is Kind.FAILED and is_of_harness(raised) and not is_slip(adapter, raised):
                answer = Answer(Kind.DONE)
            self._calls.ended(call, before, answer)
        else:
            if yielded is _PROVIDER:
                call.place = "at provider"
            elif yielded is None:
                call.place = "waiting" if place == "waiting" else "returning"
                self._calls.admitted(call, before)
            else:
                raise AdapterFailed(
                    f"{type(adapter).__name__}.call waits for {yielded!r}",
                    cause=NO_LOOP,
                    hint=cure_without_loop(repr(yielded)),
                )

    def step(self, step: Step) -> bool:
        """Let a call go on that is suspended anywhere but at the provider."""
        call = self._record.calls.get(step.on)
        if call is None or call.place not in ("waiting", "returning"):
            return False
        self.resume(call)
        return True

    def reply(self, step: Step) -> bool:
        """Let the provider answer with the bill."""
        return self._answer(step, "reply")

    def fail(self, step: Step) -> bool:
        """Let the provider answer with an error, although it has billed what it has billed (which may be 0)."""
        call = self._record.calls.get(step.on)
        if call is None or call.place != "at provider":
            return False
        self._record.tell(Timeout(call.call_id))
        return self._answer(step, "fail")

    def _answer(self, step: Step, outcome: str) -> bool:
        call = self._record.calls.get(step.on)
        if call is None or call.place != "at provider":
            return False
        self._record.current_agent = step.agent
        call.outcome, call.place = outcome, "returning"
        self.resume(call)
        return True

    def cancel(self, step: Step) -> bool:
        """Cancel a call wherever it is suspended."""
        return self._abort(step, "cancel", cancelled_error()("the caller gave up"))

    def crash(self, step: Step) -> bool:
        """Kill the task of a call: its ``finally`` blocks still run, nothing else does."""
        return self._abort(step, "crash", GeneratorExit())

    def _abort(self, step: Step, outcome: str, error: BaseException) -> bool:
        record = self._record
        call = record.calls.get(step.on)
        if call is None or call.place == "ended":
            return False
        record.current_agent = step.agent
        call.outcome = outcome
        if not record.pending(call):
            record.tell(Cancel(call.hold_id))
        if call.place == "at provider":
            call.place = "returning"
        self.resume(call, error)
        return True

    def drop(self) -> None:
        """Drop the calls that are still suspended, without listening any more: each may want to clean up slowly."""
        timeout = self._record.adapter.timeout
        for call in self._record.calls.values():
            if call.place != "ended" and call.coroutine is not None:
                for _ in range(_CLOSING_TRIES):
                    with contextlib.suppress(Exception, cancelled_error(), GeneratorExit), limit(timeout):
                        call.coroutine.close()
                        break
            call.place = "ended"
