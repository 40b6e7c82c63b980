"""An implementation and the model in lock step: each step is done to both, and the monitor listens.

The harness is the provider: it knows every true bill. What the implementation does becomes events, what it says
of itself becomes ``observe``; the monitor alone decides what is wrong. Nothing here chooses steps: that is done
by a Hypothesis machine, by the fast driver, by the explorer of programs, or by hand::

    run = Lockstep(MyAdapter())
    run.open(new=0, amount=60)
    run.reserve(on=0, new=0, amount=31)
    run.send(on=0, bill=23)
    run.settle(on=0)
    print(run.story())

The parts: ``record`` (the books of a run), ``asking`` (questions under a time limit), ``operations``,
``library_calls``, ``driven_calls`` and ``turns`` (calls that the library makes itself), ``misuse``, ``observing``,
``story``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from capsound.monitor import Finding, Monitor
from capsound.monitor_fast import FastMonitor
from capsound.rolled_up import CeilingMonitor
from capsound_checker.programs import clock
from capsound_checker.programs.asking import NO_LOOP, AdapterFailed, LimitedAsker, ProviderError
from capsound_checker.programs.driven_calls import DrivenCalls
from capsound_checker.programs.library_calls import LibraryCalls
from capsound_checker.programs.misuse import Misuse
from capsound_checker.programs.observing import Observer
from capsound_checker.programs.operations import Operations
from capsound_checker.programs.passage import Passage
from capsound_checker.programs.program import FIELDS, Step, written
from capsound_checker.programs.record import Handler, Record, account_id, agent_id, hold_id
from capsound_checker.programs.story import story
from capsound_checker.programs.timing import monitor_of
from capsound_checker.programs.turns import Turns
from capsound_checker.programs.watch import held

__all__ = ["NO_LOOP", "AdapterFailed", "Lockstep", "ProviderError", "account_id", "agent_id", "hold_id"]

_ROUNDS = 60
"""How often every suspended call goes on at the end of a run, before it is said to hang."""


class Lockstep(Record):
    """A run in progress; every method is one step, and returns what the monitor found in it.

    Raises ``AdapterFailed`` when the adapter lets out an exception that it does not classify.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        clock.reset()
        asker = LimitedAsker(self)
        passage = Passage(self, asker)
        if isinstance(self.monitor, FastMonitor) and ("ceiling" in self.offers or self.dimensions):
            self.monitor = cast("Monitor", CeilingMonitor(monitor_of(self.timing)))
        elif isinstance(self.monitor, FastMonitor) and self.timing is not None:
            self.monitor = cast("Monitor", self.timing.monitor())
        passage.begin()
        observer = Observer(self, asker)
        self._observe = observer.observe
        self._library_calls = LibraryCalls(self, asker)
        self._driven_calls = driven = DrivenCalls(self, asker, self._library_calls)
        self._turns = turns = Turns(self, asker, driven)
        operations = Operations(self, asker)
        misuse = Misuse(self, asker, observer)
        self._handlers: dict[str, Handler] = {
            "open": operations.open,
            "delegate": operations.delegate,
            "ceiling": operations.ceiling,
            "close": operations.close,
            "merge": operations.merge,
            "reserve": operations.reserve,
            "send": operations.send,
            "settle": operations.settle,
            "extend": operations.extend,
            "release": operations.release,
            "forfeit": operations.forfeit,
            "turn": turns.turn,
            "tick": passage.tick,
            "bill": operations.bill,
            "begin": turns.begin,
            "step": driven.step,
            "reply": turns.reply,
            "fail": driven.fail,
            "cancel": driven.cancel,
            "crash": driven.crash,
            "clone_hold": misuse.clone_hold,
            "clone_scope": misuse.clone_scope,
            "bad": misuse.bad,
        }

    def do(self, step: Step) -> tuple[Finding, ...]:
        """Do one step; a step that refers to nothing, or comes after the run is over, is skipped."""
        if self.spoiled:
            return ()
        handler = self._handlers.get(step.do)
        if handler is None:
            raise AttributeError(f"there is no step {step.do!r}")
        before = len(self.findings)
        self._turns.end_before(step)
        if self.spoiled:
            return tuple(self.findings[before:])
        self.carry_out(step, handler, self._observe)
        return tuple(self.findings[before:])

    def __getattr__(self, name: str) -> Any:
        """Return the step called ``name`` as a method: ``run.reserve(on=0, new=1, amount=3)``."""
        if name not in FIELDS:
            raise AttributeError(f"there is no step {name!r}")
        return lambda **fields: self.do(Step(name, **fields))

    def run(self, program: Iterable[Step]) -> Lockstep:
        """Do all steps, then look whether anything is left that nobody can finish."""
        try:
            with held():
                for step in program:
                    self.do(step)
                self.finish()
        finally:
            self.drop()
        return self

    def finish(self) -> tuple[Finding, ...]:
        """Let what is suspended run on; whoever cannot, while nobody waits for the provider, hangs."""
        before = len(self.findings)
        if self._turns.end_before(None):
            self._observe()
        if not self.spoiled and not self.at_provider:
            for _ in range(_ROUNDS):
                for number in self.waiting:
                    self._driven_calls.resume(self.calls[number])
                    self._observe()
                if self.at_provider or not self.waiting:
                    break
            else:
                self.stall([self.calls[n].agent for n in self.waiting])
        if not self.spoiled:
            self._library_calls.tell_abandoned()
        self.drop()
        return tuple(self.findings[before:])

    def drop(self) -> None:
        """Drop the calls that are still suspended, without listening any more."""
        self._driven_calls.drop()

    def journal(self, number: int = 0) -> list[str]:
        """Return the journal of the root of an account."""
        lines: list[str] = self.adapter.journal(self.scopes[number])
        return lines

    def program(self) -> str:
        """Return the steps done so far as Python that can be pasted."""
        return written(self.steps, type(self.adapter).__name__, type(self.adapter).__module__)

    def story(self) -> str:
        """Return the run in words: each step, its events, and what the monitor found."""
        return story(self.steps, Lockstep(type(self.adapter)()))
