"""``capsound smoke``: does the *adapter* work? Asked before anything is said of what it adapts.

Two scenarios that leave no room for judgement: calls that always fit, and a call that never fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, EXIT_SOUND
from capsound_checker.check.children import describe
from capsound_checker.check.plan import Plan
from capsound_checker.check.replaying import replay
from capsound_checker.display.printing import printable
from capsound_checker.programs.program import Step

CAP = 9


@dataclass(frozen=True, slots=True)
class Smoked:
    """What came of both scenarios: ``trouble`` is empty where the adapter works."""

    target: str
    adapter: Mapping[str, Any]
    fits: bool
    refuses: bool
    trouble: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """0 where the adapter works, 65 where it does not."""
        return EXIT_BAD_INPUT if self.trouble else EXIT_SOUND

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
        }

    def text(self) -> str:
        """Return it in words."""
        target = printable(self.target)
        lines = [f"{target}: gate {self.adapter['gate']}, offers {', '.join(self.adapter['offers'])}"]
        lines.append(f"  a call that always fits   {'is admitted and recorded' if self.fits else 'FAILS'}")
        lines.append(f"  a call that never fits    {'is refused' if self.refuses else 'is admitted'}")
        lines += [f"  {printable(line)}" for line in self.trouble]
        end = "the adapter does not work yet" if self.trouble else f"it works; next: capsound check {target}"
        return "\n".join([*lines, end, ""])


def smoke(target: str) -> Smoked:
    """Try an adapter in a process of its own; raises ``TargetFailed`` when it cannot be loaded."""
    plan = Plan(target)
    adapter = describe(plan)
    fits, trouble = _always(plan, adapter)
    refuses, more = _never(plan, adapter)
    return Smoked(target, adapter, fits, refuses, (*trouble, *more))


def _always(plan: Plan, adapter: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Make one call of 3 under a cap of 9, billed 2; everything must be done, and told as spent."""
    if adapter["gate"] == "call":
        program = [Step("open", amount=CAP), Step("begin", amount=3, bill=2), Step("reply")]
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


def adapter_template() -> str:
    """Return a commented adapter over a small budget of its own: it works as it stands, and is to be replaced."""
    return _TEMPLATE


_TEMPLATE = '''"""An adapter for capsound: a thin class over a budget library. Replace `Budget` by the library.

    capsound smoke my_adapter.py:MyBudget     does the adapter work?
    capsound check my_adapter.py:MyBudget     does the library keep its cap?
"""

from capsound.adapter import Adapter, Gate


class OverBudget(Exception):
    """What the library raises when the budget says no."""


def whole(amount):
    if type(amount) is not int or amount < 0:
        raise ValueError(f"{amount!r} is not an amount")
    return amount


class Budget:
    """Stands for the library: it reserves before a call and settles after it."""

    def __init__(self, cap):
        self.available, self.held, self.spent, self.open = whole(cap), 0, 0, set()

    def reserve(self, amount):
        whole(amount)
        if amount > self.available:
            raise OverBudget(f"{amount} of {self.available}")
        self.available -= amount
        self.held += amount
        hold = (self, amount, object())
        self.open.add(hold)
        return hold

    def settle(self, hold, cost):
        whole(cost)
        self.open.remove(hold)  # KeyError: it was settled before
        self.held -= hold[1]
        self.spent += cost
        self.available += hold[1] - cost

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a budget would be a second budget")


class MyBudget(Adapter):
    # What stands between an agent and the provider: RESERVE (reserve, send, settle), CHARGE (check and debit at once),
    # CHECK (ask, send, record), RECORD (nothing before the call), CALL (the library calls the provider itself).
    gate = Gate.RESERVE

    # What the exceptions of the library mean. Any other stops the check: nothing can be said of it.
    refused = (OverBudget,)  # the budget said no, and nothing has changed
    rejected = (ValueError,)  # a bad argument, or not legal now
    stale = (KeyError,)  # the handle was used up before

    # Override what the library has, and delete the rest. Amounts are whole numbers of the smallest unit.

    def open(self, cap):
        return Budget(cap)

    def reserve(self, scope, amount):
        return scope.reserve(amount)

    def settle(self, hold, actual):
        hold[0].settle(hold, actual)

    def forfeit(self, hold):  # the call was sent, and what it cost will never be known
        hold[0].settle(hold, hold[1])

    # What the library says of itself. Offering `held` says that it is already taken off `remaining`.

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return scope.available

    # Also: sent, release, extend, check, charge, record, delegate, close, merge, balances, call, journal.
    # What each means: python -m pydoc capsound.adapter
'''
