"""A connection to a harness: it is started when it is needed, and again, in the same state, when it has died."""

from __future__ import annotations

import atexit
import json
import weakref
from typing import Protocol

from capsound.adapter import NotOffered
from capsound.errors import EXIT_BAD_INPUT, EXIT_UNKNOWN, CapsoundError
from capsound_checker.remote.process import Address, Child, HarnessDied, HarnessHung, unhurried
from capsound_checker.remote.protocol import VERSION, BadMessage, Message, decode, encode


class Asker(Protocol):
    """One run: the requests that it has made, each with what of its answer has to be the same another time."""

    log: list[tuple[Message, Message]]


class HarnessErrored(CapsoundError):
    """The harness met something that it cannot classify; its traceback is the cause."""

    name = "harness-errored"
    exit_status = EXIT_BAD_INPUT


class HarnessDiverged(CapsoundError):
    """The same requests were answered otherwise when they were made again: such a run proves nothing."""

    name = "harness-diverged"
    exit_status = EXIT_UNKNOWN


class Connection:
    """A harness, started when it is needed first, and again when it has died."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.restarts = 0
        """How often it had to be started again."""
        self.stderr = ""
        """The end of what the last child that died has written to standard error."""
        self.started: Message = {}
        self._child: Child | None = None
        self._owner: weakref.ref[Asker] | None = None
        self._seq = 0
        self._busy = False
        _OPEN.add(self)

    def start(self) -> Message:
        """Return what the harness says of itself; it is started if it does not run."""
        if self._child is None or self._child.ended:
            self._owner = None
            self.restarts += bool(self.started)
            with unhurried():
                self._child = Child(self.address.command)
                self.started = self._exchange({"cmd": "start", "version": VERSION}, self.address.start)
        return self.started

    def serves(self, run: Asker) -> bool:
        """Whether a run can go on at once: it is in progress, and no answer is due."""
        child = self._child
        return not self._busy and child is not None and not child.ended and self._is_owner(run)

    def ask(self, run: Asker, request: Message, *, logged: bool = True) -> Message:
        """Return the answer to a request of a run.

        A child that dies or hangs is started again once, brought to the same state, and asked once more. Raises
        ``HarnessDied`` or ``HarnessHung`` when that does not help, ``BadMessage`` and ``HarnessDiverged``.
        """
        if self._busy:
            raise HarnessErrored("two requests at once", cause="a harness is asked by one thread at a time")
        self._busy = True
        try:
            try:
                answer = self._asked(run, request)
            except (HarnessDied, HarnessHung):
                answer = self._asked(run, request)
        finally:
            self._busy = False
        if logged:
            run.log.append((request, _gist(answer)))
        return answer

    def _asked(self, run: Asker, request: Message) -> Message:
        if self._child is None or self._child.ended or not self._is_owner(run):
            with unhurried():
                self._restore(run)
        return self._exchange(request, self.address.timeout)

    def _is_owner(self, run: Asker) -> bool:
        return self._owner is not None and self._owner() is run

    def _restore(self, run: Asker) -> None:
        """Bring the harness to where a run is: forget the other one, and do everything of this one again."""
        self.start()
        self._owner = None
        self._exchange({"cmd": "reset"}, self.address.start)
        for request, gist in run.log:
            again = _gist(self._exchange(request, self.address.timeout))
            if again != gist:
                raise HarnessDiverged(
                    f"{json.dumps(request)} was answered with {json.dumps(gist)}, and after a reset with"
                    f" {json.dumps(again)}",
                    cause="the requests before it were the same",
                    hint="forget everything at `reset`; let ids, chance and time depend on nothing else",
                )
        self._owner = weakref.ref(run)

    def _exchange(self, request: Message, seconds: float) -> Message:
        assert self._child is not None
        self._seq += 1
        request = {"seq": self._seq, **request}
        try:
            answer = decode(self._child.exchange(encode(request), seconds), request)
        except BadMessage:
            self._child.kill()
            raise
        finally:
            if self._child.ended:
                self.stderr = self._child.stderr()
        kind = answer["answer"]
        if kind == "errored":
            raise errored(request["cmd"], answer)
        if kind == "skipped" and request["cmd"] == "start":
            raise NotOffered(f"the harness cannot be used: {answer['reason']}")
        return answer

    def takes_turns(self) -> tuple[bool, bool]:
        """Whether the harness knows ``turn``, and whether it answers ``waiting`` at every await.

        One that is older than this request says ``skipped``, or fails over it: that is no fault of its adapter.
        """
        self.start()
        self._owner = None
        try:
            answer = self._exchange({"cmd": "turn", "steps": []}, self.address.timeout)
        except (BadMessage, HarnessErrored, HarnessDied, HarnessHung):
            return False, False
        return answer["answer"] == "turned", bool(answer.get("every_await", False))

    def close(self) -> None:
        """Ask the harness to stop, and end it with all that it has started."""
        if self._child is not None:
            self._seq += 1
            self._child.stop(encode({"seq": self._seq, "cmd": "stop"}))
            self._child = None


def errored(cmd: str, answer: Message) -> HarnessErrored:
    """Return the error for what a harness could not classify."""
    return HarnessErrored(
        f"{cmd}: {answer['message']}",
        cause=answer.get("traceback", "").rstrip() or "the harness says no more",
        hint="mend the adapter, or say there what this error means",
    )


def _gist(answer: Message) -> Message:
    """Return what of an answer has to be the same when it is given again."""
    gist: Message = {key: answer[key] for key in ("answer", "value", "for") if key in answer}
    if "calls" in answer:
        gist["calls"] = {name: _gist(each) for name, each in answer["calls"].items()}
    return gist


_OPEN: weakref.WeakSet[Connection] = weakref.WeakSet()


def close_all() -> None:
    """End every harness that runs."""
    for connection in list(_OPEN):
        connection.close()


atexit.register(close_all)
