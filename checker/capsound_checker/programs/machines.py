"""Hypothesis state machines over the same steps that the fast driver makes, made to shrink to readable programs.

Each turn draws what is done, whether the agent changes, which handle it uses, and small numbers; a run that fails
is told as a program that can be pasted and as the events that the monitor explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from capsound.adapter import Adapter
from capsound_checker.programs.journaling import problems
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import Profile, Program, Step, View, decode, possible


class Violation(AssertionError):
    """The implementation does what the model does not allow; the message holds a program to paste and the story.

    ``program`` is the run that shows it, ``anomaly`` the name of what it shows (empty for a wrong journal).
    """

    def __init__(self, message: str, program: Program = (), anomaly: str = "") -> None:
        super().__init__(message)
        self.program = tuple(program)
        self.anomaly = anomaly


@dataclass
class Tally:
    """What a machine did in all its runs."""

    runs: int = 0
    steps: int = 0


NEEDED: Mapping[str, Callable[[View], object]] = {
    "open": lambda _: True,
    "reserve": lambda v: v.opened,
    "begin": lambda v: v.opened,
    "turn": lambda v: v.opened,
    "send": lambda v: v.held or v.sent,
    "bill": lambda v: v.sent or v.at_provider,
    "tick": lambda v: v.opened,
    "settle": lambda v: v.sent or v.used,
    "forfeit": lambda v: v.sent or v.used,
    "release": lambda v: v.held or v.used,
    "extend": lambda v: v.sent or v.held,
    "delegate": lambda v: v.opened,
    "ceiling": lambda v: v.opened,
    "close": lambda v: len(v.opened) + len(v.closed) > 1,
    "merge": lambda v: len(v.opened) + len(v.closed) > 1,
    "reply": lambda v: v.at_provider,
    "fail": lambda v: v.at_provider,
    "cancel": lambda v: v.at_provider,
    "crash": lambda v: v.at_provider,
    "step": lambda v: v.waiting,
    "clone_hold": lambda v: v.held or v.sent,
    "clone_scope": lambda v: v.opened,
    "bad": lambda v: v.opened,
}
"""When a kind of step has something to be done on; Hypothesis is not to waste its steps."""


class LockstepMachine(RuleBasedStateMachine):
    """Base of all machines: one run, its agent at work, and the check after every step."""

    adapter_type: ClassVar[type[Adapter]]
    profile: ClassVar[Profile]
    tally: ClassVar[Tally]
    journaled: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.lockstep = Lockstep(self.adapter_type())
        self.agent = 0
        self.variety: set[tuple[str, ...]] = set()
        self.tally.runs += 1

    def act(self, do: str, shift: int, pick: int, number: int, chance: int) -> None:
        """Do one step, drawn as numbers; ``shift`` says how far the turn goes on to another agent."""
        run, profile = self.lockstep, self.profile
        agent = (self.agent + shift) % profile.agents
        # `decode` takes the agent from the remainder and the pick from the quotient by 8.
        a = 8 * pick + agent
        step = decode(run, profile, do, a, number, chance, strict=run.adapter.strict)
        if step is not None:
            self.agent = agent
            self.take(step)

    def take(self, step: Step) -> None:
        """Do one step and fail if the monitor finds something that is the implementation's fault."""
        before = len(self.lockstep.events)
        found = self.lockstep.do(step)
        self.tally.steps += 1
        for event in self.lockstep.events[before:]:
            self.variety.add((event.kind, step.do))
        if found:
            self.fail_if_wrong()

    def fail_if_wrong(self) -> None:
        """Raise ``Violation`` with everything that a reader needs."""
        run = self.lockstep
        if wrong := run.wrong():
            raise Violation(explained(run, f"{wrong[0].anomaly}: {wrong[0].sentence}"), run.steps, wrong[0].anomaly)

    def teardown(self) -> None:
        """End the run: what hangs or is stranded shows only now, and so does a journal that tells otherwise."""
        run = self.lockstep
        if not run.scopes:
            return
        already = bool(run.wrong())
        if run.finish() and not already:
            self.fail_if_wrong()
        if self.journaled and not already and (wrong := problems(run)):
            raise Violation(explained(run, wrong[0]), run.steps)
        # Hypothesis climbs towards runs in which more different things happen, and towards deeper debts.
        target(float(len(self.variety)), label="different things in one run")
        target(float(max(0, -min(a.available for a in run.state.accounts.values()))), label="debt")


def explained(run: Lockstep, head: str) -> str:
    """Return a failed run as a program to paste and as the trace that the monitor explains."""
    return f"{head}\n\n# a program that shows it:\n{run.program()}\n# what happens in it:\n{run.story()}"


def machine(
    adapter: type[Adapter],
    profile: Profile,
    *,
    tally: Tally | None = None,
    journaled: bool = False,
) -> type[LockstepMachine]:
    """Return the state machine of a profile for an adapter: it makes the kinds of steps that are possible."""
    can = possible(adapter)
    space: dict[str, Any] = {
        "__doc__": f"{profile.name}, driving {adapter.__name__}.",
        "adapter_type": adapter,
        "profile": profile,
        "tally": tally if tally is not None else Tally(),
        "journaled": journaled,
        "opening": _opening(profile),
        "turn": _turn(profile, tuple(do for do in profile.weights if do in can)),
    }
    return type(f"{adapter.__name__}{profile.name.title().replace(' ', '')}", (LockstepMachine,), space)


def _opening(profile: Profile) -> Any:
    def opening(self: LockstepMachine, cap: int) -> None:
        self.take(Step("open", amount=cap))

    return initialize(cap=st.sampled_from(profile.caps))(opening)


def _turn(profile: Profile, kinds: tuple[str, ...]) -> Any:
    """Return the one rule: some agent does one step.

    Why not a rule for each kind of step: Hypothesis switches rules off at random for a whole run, and a run without
    `send` or without `settle` shows little of a budget; measured, one step in a hundred settled anything.
    """
    weighted = tuple(do for do in kinds for _ in range(profile.weights[do]))

    def turn(self: LockstepMachine, do: str, shift: int, pick: int, number: int, chance: int) -> None:
        at = kinds.index(do)
        for kind in (*kinds[at:], *kinds[:at]):  # what cannot be done now makes room for the next that can
            if NEEDED[kind](self.lockstep):
                self.act(kind, shift, pick, number, chance)
                return

    drawn = rule(
        do=st.sampled_from(weighted),
        shift=st.integers(0, profile.agents - 1),
        pick=st.integers(0, 7),
        number=st.integers(0, 31),
        chance=st.integers(0, 255),
    )(turn)
    return precondition(lambda self: not self.lockstep.spoiled)(drawn)
