"""A scenario step by step: what can happen now, what each of it does, and whether the cap breaks further on.

Nothing is remembered between two questions: a token says where one is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from capsound.frames import IntAlgebra
from capsound.judged import judge
from capsound.machine import Config, Env, Machine, fire, thaw
from capsound.predicates import violates
from capsound.properties import Property
from capsound.scenario import Interval
from capsound.schedule import (
    INTS,
    BadToken,
    Choice,
    ImpossibleAmount,
    NeedDraw,
    Schedule,
    Script,
    parse_token,
    possible,
    run_schedule,
)
from capsound_checker.display.printing import printable
from capsound_checker.page.rendering import shown_of
from capsound_checker.solve.replaying import data_of, run_of

STEPS, LETTERS = 300, 6_000
"""How many steps a run has at most here, and how many letters a token."""

MOVES = 48
"""How many steps are offered at most: of a thousand agents that are alike, one is as good as the other."""

STATES, TRIALS = 600, 12_000
"""How many states are looked at ahead of one step, and how many steps are tried for all that are offered.

Both are bounds on work, not on time, so that the same question has the same answer.
"""

KINDS = ("run", "cancel", "timeout", "crash", "expire")

CAPS = (Property.CAP, Property.SLICE)
"""What is looked for ahead."""

_WORDS = {
    "cancel": "is cancelled",
    "timeout": "gets no reply",
    "crash": "crashes",
    "expire": "loses its hold: it has expired",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A step that is possible: its choice, the state after it, and in how many steps from here the cap may be broken.

    ``breaks`` is 1 where the step itself does it, and 0 where nothing was found.
    """

    choice: Choice
    after: Config
    breaks: int


def start(machine: Machine) -> str:
    """Return the token of the run in which nothing has happened yet; the cap is the least that the scenario allows."""
    return Schedule(machine.cap.lo, ()).token


def explored(machine: Machine, token: str, path: str) -> dict[str, Any]:
    """Return the run of a token as a page shows it, and every step that is possible after it.

    Raises ``BadToken`` for a token that cannot be read, is too long, or belongs to another scenario.
    """
    if len(token) > LETTERS:
        raise BadToken(f"the token has {len(token):,} letters", hint=f"at most {LETTERS:,} are read here")
    schedule = parse_token(token or start(machine))
    if len(schedule.choices) > STEPS:
        raise BadToken(f"the token has {len(schedule.choices):,} steps", hint=f"at most {STEPS:,} are walked here")
    trace = run_of(machine, schedule)
    document = data_of(machine.scenario, trace, judge(machine, trace))
    config = thaw(machine, trace.steps[-1].values if trace.steps else trace.initial)
    shown: dict[str, Any] = {**shown_of(document, path), "command": "explore"}
    shown["runs"][0]["title"] = printable(path)
    return {
        "token": schedule.token,
        "before": replace(schedule, choices=schedule.choices[:-1]).token,
        "document": document,
        "shown": {key: value for key, value in shown.items() if key != "plain"},
        "moves": [told for move in moves(machine, config) if (told := _told(machine, schedule, move)) is not None],
        "more": max(0, sum(1 for _ in _steps(machine, config)) - MOVES),
        "cap": {"least": machine.cap.lo, "most": machine.cap.hi},
    }


def _told(machine: Machine, schedule: Schedule, move: Move) -> dict[str, Any] | None:
    """Return a step as the page offers it; None where no moments are found at which it could happen."""
    after = replace(schedule, choices=(*schedule.choices, move.choice))
    trace = run_schedule(machine, after)
    if trace.moments is None:
        return None
    step = trace.steps[-1]
    document = data_of(machine.scenario, trace, judge(machine, trace))
    first = len(trace.events) - len(step.events)
    found = [f["sentence"] for f in document["findings"] if f["event"] > first]
    ahead = "" if not move.breaks else "this step" if move.breaks == 1 else f"{move.breaks} steps"
    return {
        "actor": printable(step.actor),
        "action": _WORDS.get(move.choice.kind, printable(step.action)),
        "amounts": [machine.scenario.told(amount) for amount in move.choice.draws],
        "token": after.token,
        "ahead": ahead,
        "found": [printable(told) for told in found],
    }


def moves(machine: Machine, config: Config) -> Iterator[Move]:
    """Yield the steps that are possible in a state, ``MOVES`` at most; of a range of amounts its two ends."""
    offered = list(islice(_steps(machine, config), MOVES))
    share = TRIALS // max(1, len(offered))
    for choice, after in offered:
        yield Move(choice, after, _breaks(machine, after, share))


def _steps(machine: Machine, config: Config) -> Iterator[tuple[Choice, Config]]:
    for process in range(len(machine.processes)):
        for kind in KINDS:
            yield from _drawn(machine, config, process, kind, ())


def _drawn(
    machine: Machine, config: Config, process: int, kind: str, draws: tuple[int, ...]
) -> Iterator[tuple[Choice, Config]]:
    choice = Choice(process, kind, draws)
    try:
        branch = possible(machine, config, choice)
        if branch is None:
            return
        after = config.fork(machine, branch)
        fire(machine, after, branch, Env(INTS, Script(draws)))
    except NeedDraw as need:
        for amount in _ends(Interval(need.lo, need.hi), config):
            yield from _drawn(machine, config, process, kind, (*draws, amount))
        return
    except ImpossibleAmount:
        return
    yield choice, after


def _ends(amounts: Interval, config: Config) -> tuple[int, ...]:
    """Return the least and the most of a range; where there is no most, an amount that no cap here can bear."""
    most = amounts.hi if amounts.hi is not None else max(amounts.lo, int(config.ledgers[0].granted) + 1)
    return (amounts.lo,) if most == amounts.lo else (amounts.lo, most)


def _breaks(machine: Machine, config: Config, trials: int) -> int:
    """Return in how many steps, this one among them, a cap is broken at the earliest; 0 where none was found."""
    if _broken(machine, config):
        return 1
    seen = {config.flat()}
    layer = deque([(config, 1)])
    each = len(machine.processes) * len(KINDS)  # what it costs to see which steps are possible
    while layer and (trials := trials - each) >= 0:
        at, depth = layer.popleft()
        for _, after in _steps(machine, at):
            if _broken(machine, after):
                return depth + 1
            key = after.flat()
            if key not in seen and len(seen) < STATES:
                seen.add(key)
                layer.append((after, depth + 1))
    return 0


def _broken(machine: Machine, config: Config) -> bool:
    algebra = IntAlgebra()
    return any(violates(machine, config, prop, algebra) is True for prop in CAPS)
