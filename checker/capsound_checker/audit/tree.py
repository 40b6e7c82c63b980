"""Records that belong together: those that sum up others, those that are there twice, and two accounts of one call.

Agents write a record of their own around those of their requests, with the usage of all of them; exporters send a
record twice; a client and what instruments it both write of one call. None of that may be counted again. None of it may
hide anything either: what sums up more than what is below it, or has no request below it, is a doubt.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from capsound_checker.audit.rules import BELOW, Made, Node
from capsound_checker.audit.times import moment

MEMORY = 100_000
"""How many records are remembered: those of the groups that were begun last."""

NEW, TWICE, RETOLD, OTHER = "new", "twice", "retold", "other"
"""What a record is: not known yet, there already, another account of a call, or none that counts."""

_HIGHEST = 10_000
"""How far up from a record its ancestors are looked for."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a record says that a call was billed: at least ``low``, at most ``high`` (None: no upper end)."""

    low: int
    high: int | None


@dataclass(slots=True)
class _Member:
    parent: str
    line: int
    bill: Stated | None = None
    repeats: str = ""
    amount: int = 0
    times: tuple[int | Decimal, int | Decimal] | None = None


@dataclass(frozen=True, slots=True)
class Excess:
    """A record that sums up more than the requests that it should sum up."""

    line: int
    says: int
    found: int
    requests: int
    where: str

    @property
    def detail(self) -> str:
        """What is wrong, in words."""
        if not self.requests:
            return f"there is no request {self.where} it"
        return f"it says {self.says:,}, but the requests {self.where} it add up to {self.found:,}"


@dataclass(slots=True)
class Families:
    """All groups of records that are remembered. ``memory`` is how many records."""

    memory: int = MEMORY
    groups: dict[str, dict[str, _Member]] = field(default_factory=dict)
    same: dict[str, tuple[str, str]] = field(default_factory=dict)
    order: deque[str] = field(default_factory=deque)
    size: int = 0

    def place(self, made: Made, bill: Stated | None, line: int) -> tuple[str, list[Excess]]:
        """Take the next record; return what it is, and what is now known of groups that had to be forgotten."""
        node = made.node
        if node is None:
            return NEW, []
        group = self.groups.get(node.group)
        if group is None:
            group = self.groups[node.group] = {}
            self.order.append(node.group)
        known = group.get(node.own)
        rule = made.rule
        me = _Member(node.parent, line, bill, "" if rule is None else rule.repeats, made.amount, _times(made))
        if known is not None:
            if (known.bill, known.repeats, known.amount, known.times) == (me.bill, me.repeats, me.amount, me.times):
                return (TWICE if bill is not None or me.repeats else OTHER), []
            return RETOLD, []
        twin = self._twin(node, me) if bill is not None else NEW
        if twin != NEW:
            me.bill = None  # the other one counts
        group[node.own] = me
        self.size += 1
        said: list[Excess] = []
        while self.size > self.memory and len(self.order) > 1:
            oldest = self.groups.pop(self.order.popleft())
            self.size -= len(oldest)
            said += _excesses(oldest)
        return twin, said

    def rest(self) -> list[Excess]:
        """Return what is known of the groups that are remembered."""
        return [excess for group in self.groups.values() for excess in _excesses(group)]

    def _twin(self, node: Node, me: _Member) -> str:
        """Return whether a call of this name was told already, by a record that stands for the same."""
        if not node.same:
            return NEW
        first = self.same.get(node.same)
        other = self.groups.get(first[0], {}).get(first[1]) if first is not None else None
        if first is None or other is None:
            if len(self.same) >= self.memory:
                self.same.pop(next(iter(self.same)))
            self.same[node.same] = (node.group, node.own)
            return NEW
        related = first[0] == node.group and (other.parent == node.own or me.parent == first[1])
        if related and other.bill == me.bill:
            return TWICE
        return RETOLD if related or _contained(me.times, other.times) else NEW


def _times(made: Made) -> tuple[int | Decimal, int | Decimal] | None:
    times = [when for at, _ in made.events if (when := moment(at)) is not None]
    return (min(times), max(times)) if times else None


def _contained(
    one: tuple[int | Decimal, int | Decimal] | None, other: tuple[int | Decimal, int | Decimal] | None
) -> bool:
    if one is None or other is None:
        return False
    return (one[0] <= other[0] and other[1] <= one[1]) or (other[0] <= one[0] and one[1] <= other[1])


def _excesses(group: dict[str, _Member]) -> Iterator[Excess]:
    above: dict[str, list[int]] = {name: [] for name, member in group.items() if member.repeats == BELOW}
    beside: Counter[int] = Counter()
    for name, member in group.items():
        if member.bill is None:
            continue
        beside[member.bill.low] += 1
        for ancestor in _ancestors(group, name) if above else ():
            if ancestor in above:
                above[ancestor].append(member.bill.low)
    for name, found in above.items():
        member = group[name]
        if not found or member.amount > sum(found):
            yield Excess(member.line, member.amount, sum(found), len(found), "below")
    for member in group.values():
        if not member.repeats or member.repeats == BELOW:
            continue
        if beside[member.amount]:
            beside[member.amount] -= 1
        elif member.amount:
            yield Excess(member.line, member.amount, 0, 0, "beside")


def _ancestors(group: dict[str, _Member], name: str) -> Iterator[str]:
    seen = {name}
    node = group[name].parent
    while node in group and node not in seen and len(seen) < _HIGHEST:
        yield node
        seen.add(node)
        node = group[node].parent
