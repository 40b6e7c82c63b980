"""``capsound smoke``: does the *adapter* work? Asked before anything is said of what it adapts.

Two scenarios that leave no room for judgement: calls that always fit, and a call that never fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, EXIT_SOUND
from capsound_checker.check.children import describe
from capsound_checker.check.plan import Plan
from capsound_checker.check.replaying import replay
from capsound_checker.display.printing import printable
from capsound_checker.programs.program import Step

CAP = 9

AWAITS = 60
"""How often a call may be suspended before it reaches the provider."""


@dataclass(frozen=True, slots=True)
class Smoked:
    """What came of both scenarios: ``trouble`` is empty where the adapter works.

    ``fits`` and ``refuses`` are None where Ctrl-C came before they were known.
    """

    target: str
    adapter: Mapping[str, Any]
    fits: bool | None
    refuses: bool | None
    trouble: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """0 where the adapter works, 65 where it does not, 130 where it was interrupted before that was known."""
        if self.interrupted:
            return 130
        return EXIT_BAD_INPUT if self.trouble else EXIT_SOUND

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came before both scenarios were done."""
        return self.fits is None or self.refuses is None

    def data(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "format": "capsound.smoke/1",
            "target": self.target,
            "offers": list(self.adapter["offers"]),
            "gate": self.adapter["gate"],
            "fits": self.fits,
            "refuses": self.refuses,
            "trouble": list(self.trouble),
            "interrupted": self.interrupted,
        }

    def text(self) -> str:
        """Return it in words."""
        target = printable(self.target)
        lines = [f"{target}: gate {self.adapter['gate']}, offers {', '.join(self.adapter['offers'])}"]
        fits = {True: "is admitted and recorded", False: "FAILS", None: "was not tried to its end"}
        refuses = {True: "is refused", False: "is admitted", None: "was not tried to its end"}
        lines.append(f"  a call that always fits   {fits[self.fits]}")
        lines.append(f"  a call that never fits    {refuses[self.refuses]}")
        lines += [f"  {printable(line)}" for line in self.trouble]
        if self.interrupted:
            return "\n".join([*lines, "interrupted: whether the adapter works is not known", ""])
        end = "the adapter does not work yet" if self.trouble else f"it works; next: capsound check {target}"
        return "\n".join([*lines, end, ""])


def smoke(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Smoked:
    """Try the adapter of a plan in a process of its own; raises ``TargetFailed`` when it cannot be loaded."""
    adapter = describe(plan, tell)
    fits: bool | None = None
    refuses: bool | None = None
    trouble: list[str] = []
    with suppress(KeyboardInterrupt):  # what is known is told
        tell("a call that always fits")
        fits, trouble = _always(plan, adapter)
        tell("a call that never fits")
        refuses, more = _never(plan, adapter)
        trouble = [*trouble, *more]
    return Smoked(plan.target, adapter, fits, refuses, tuple(trouble))


def _always(plan: Plan, adapter: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Make one call of 3 under a cap of 9, billed 2; everything must be done, and told as spent."""
    if adapter["gate"] == "call":
        waits = [Step("step")] * AWAITS  # on its way to the provider; one that is there already skips them
        program = [Step("open", amount=CAP), Step("begin", amount=3, bill=2), *waits, Step("reply")]
    else:
        program = [Step("open", amount=CAP), Step("reserve", amount=3), Step("send", bill=2), Step("settle")]
    _, run, doubts = replay(plan, {"job": "replay", "program": program})
    trouble = [f"trouble: {doubt}" for doubt in doubts]
    events = [] if run is None else run["events"]
    kinds = [event["event"] for event in events]
    refused = [event for event in events if event["event"] == "refuse"]
    if refused:
        trouble.append(
            f"trouble: it refused 3 of {CAP} ({refused[0].get('reason', '')}): does `refused` name the wrong exception?"
        )
    elif "send" not in kinds and not trouble:
        trouble.append("trouble: a call of 3 under a cap of 9 was not made, and no refusal was seen")
    seen = [event for event in events if event["event"] == "observe"]
    wanted = 2 if "settle" in kinds else 3
    if {"spent", "remaining"} <= set(adapter["offers"]) and not trouble:
        if not seen:
            trouble.append("trouble: it offers spent and remaining, but reported neither")
        elif seen[-1]["spent"] != wanted:
            trouble.append(f"trouble: it reports {seen[-1]['spent']} spent after a call that cost {wanted}")
    return not trouble, trouble


def _never(plan: Plan, adapter: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Ask for one call of 10 under a cap of 9; whoever admits that has no cap, which is for ``check`` to say."""
    do = "begin" if adapter["gate"] == "call" else "reserve"
    never = [Step("open", amount=CAP), Step(do, amount=CAP + 1, bill=0)]
    _, run, doubts = replay(plan, {"job": "replay", "program": never})
    kinds = [] if run is None else [event["event"] for event in run["events"]]
    return "refuse" in kinds and "reserve" not in kinds, [f"trouble: {doubt}" for doubt in doubts]
