"""Records that belong together: those that sum up others, those that are there twice, and two accounts of one call.

Agents write a record of their own around those of their requests, with the usage of all of them; exporters send a
record twice; a client and what instruments it both write of one call. None of that may be counted again. None of it may
hide anything either: what sums up more than what is below it, or has no request below it, is a doubt.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from capsound_checker.audit.rules import BELOW, Made, Node
from capsound_checker.audit.times import Moment, moment

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
    account: str = ""


Span = tuple[Moment, Moment]


@dataclass(slots=True)
class _Member:
    parent: str
    line: int
    bill: Stated | None = None
    repeats: str = ""
    weight: int = 0
    """What it says that was used, in the unit in which records are compared."""
    times: Span | None = None
    silent: bool = False
    same: str = ""
    """The name of the answer, where it is told."""

    def may_be(self, other: _Member) -> bool:
        """Return whether two requests may be one: two answers with names of their own are two."""
        return not self.same or not other.same or self.same == other.same


@dataclass(frozen=True, slots=True)
class Excess:
    """A record that sums up more than the requests that it should sum up."""

    line: int
    says: int
    found: int
    requests: int
    where: str
    account: str = ""
    """The account of those requests."""

    @property
    def detail(self) -> str:
        """What is wrong, in words."""
        if not self.requests:
            return f"there is no request {self.where} it"
        return f"it says {self.says:,}, but the requests {self.where} it add up to {self.found:,}"


@dataclass(frozen=True, slots=True)
class Placed:
    """What a record is, and for another account of a call, by how much the upper end of the first one is too low."""

    kind: str
    more: int | None = 0
    excesses: tuple[Excess, ...] = ()


@dataclass(slots=True)
class Families:
    """All groups of records that are remembered. ``memory`` is how many records."""

    memory: int = MEMORY
    groups: dict[str, dict[str, _Member]] = field(default_factory=dict)
    below: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Of each group, the calls below each record."""
    same: dict[str, tuple[str, str]] = field(default_factory=dict)
    order: deque[str] = field(default_factory=deque)
    loose: list[_Member] = field(default_factory=list)
    """Records that repeat a request and do not say which."""
    size: int = 0

    def place(self, made: Made, bill: Stated | None, line: int) -> Placed:
        """Take the next record; return what it is, and what is now known of groups that had to be forgotten."""
        node, rule = made.node, made.rule
        repeats = "" if rule is None else rule.repeats
        weight = made.amount if repeats or made.bill is not None else 0 if bill is None else bill.low
        me = _Member("" if node is None else node.parent, line, bill, repeats, weight, _times(made), made.silent)
        me.same = "" if node is None else node.same
        if node is None:
            if repeats and len(self.loose) < self.memory:
                self.loose.append(me)
                return Placed(OTHER)
            return Placed(NEW)
        group = self.groups.get(node.group)
        if group is None:
            group = self.groups[node.group] = {}
            self.below[node.group] = {}
            self.order.append(node.group)
        known = group.get(node.own)
        if known is not None:
            if (known.bill, known.repeats, known.weight, known.times) == (me.bill, me.repeats, me.weight, me.times):
                return Placed(TWICE if bill is not None or me.repeats else OTHER)
            return Placed(RETOLD, None if bill is None else bill.high)
        placed = self._twin(node, me) if bill is not None else Placed(NEW)
        if placed.kind != NEW:
            me.bill = None  # the other one counts
        elif bill is not None and node.parent:
            self.below[node.group].setdefault(node.parent, []).append(node.own)
        group[node.own] = me
        self.size += 1
        said: list[Excess] = []
        while self.size > self.memory and len(self.order) > 1:
            name = self.order.popleft()
            oldest = self.groups.pop(name)
            del self.below[name]
            self.size -= len(oldest)
            said += _excesses(oldest)
        return Placed(placed.kind, placed.more, tuple(said)) if said else placed

    def rest(self) -> list[Excess]:
        """Return what is known of the groups that are remembered."""
        return [excess for group in self.groups.values() for excess in _excesses(group)] + self._unmatched()

    def _unmatched(self) -> list[Excess]:
        """Return the records beside a request of which no request is known: each of these answers for one of them."""
        calls: dict[int, list[_Member]] = {}
        for group in self.groups.values() if self.loose else ():
            for member in group.values():
                if member.bill is not None:
                    calls.setdefault(member.weight, []).append(member)
        said = []
        for one in self.loose:
            fits = calls.get(one.weight, [])
            found = next((n for n, call in enumerate(fits) if _meet(one.times, call.times)), None)
            if found is not None:
                fits.pop(found)
            elif one.weight:
                said.append(Excess(one.line, one.weight, 0, 0, "beside"))
        return said

    def _twin(self, node: Node, me: _Member) -> Placed:
        """Return whether a call was told already: by a request around this one or inside it, or by one of its name."""
        group = self.groups[node.group]
        around = group.get(node.parent)
        if around is not None and around.bill is not None and me.may_be(around):
            return _again(me, [around])
        below = (group[own] for own in self.below[node.group].get(node.own, ()))
        if inside := [one for one in below if me.may_be(one)]:
            return _again(me, inside)
        if not node.same:
            return Placed(NEW)
        first = self.same.get(node.same)
        other = self.groups.get(first[0], {}).get(first[1]) if first is not None else None
        if first is None or other is None or other.bill is None:
            if len(self.same) >= self.memory:
                self.same.pop(next(iter(self.same)))
            self.same[node.same] = (node.group, node.own)
            return Placed(NEW)
        if me.times is None or other.times is None or not _meet(me.times, other.times):
            return Placed(NEW)
        return _again(me, [other])


def _again(me: _Member, others: list[_Member]) -> Placed:
    """Return what a record is that tells once more what others told: their sum, nothing, or something else about it."""
    bills = [other.bill for other in others if other.bill is not None]
    if (
        me.bill is None
        or me.silent
        or (me.weight == sum(other.weight for other in others) and _same_ends(me.bill, bills))
    ):
        return Placed(TWICE)
    highs = [bill.high for bill in bills]
    if None in highs:
        return Placed(RETOLD)
    if me.bill.high is None:
        return Placed(RETOLD, None)
    return Placed(RETOLD, max(0, me.bill.high - sum(high for high in highs if high is not None)))


def _same_ends(bill: Stated, others: list[Stated]) -> bool:
    highs = [other.high for other in others]
    high = None if None in highs else sum(h for h in highs if h is not None)
    return (bill.low, bill.high) == (sum(other.low for other in others), high)


def _times(made: Made) -> Span | None:
    times = [when for at in (*made.times, *(at for at, _ in made.events)) if (when := moment(at)) is not None]
    return (min(times), max(times)) if times else None


def _meet(one: Span | None, other: Span | None) -> bool:
    """Return whether two spans of time overlap: where one is not known, perhaps."""
    return one is None or other is None or (one[0] <= other[1] and other[0] <= one[1])


def _excesses(group: dict[str, _Member]) -> Iterator[Excess]:
    above: dict[str, list[_Member]] = {name: [] for name, member in group.items() if member.repeats == BELOW}
    beside: Counter[int] = Counter()
    for name, member in group.items():
        if member.bill is None:
            continue
        beside[member.weight] += 1
        for ancestor in _ancestors(group, name) if above else ():
            if ancestor in above:
                above[ancestor].append(member)
    for name, found in above.items():
        member = group[name]
        where = "below"
        if not found and (found := list(_siblings(group, member))):
            where = "beside"
        total = sum(one.weight for one in found)
        if not found or member.weight > total:
            account = next((one.bill.account for one in found if one.bill is not None), "")
            yield Excess(member.line, member.weight, total, len(found), where, account)
    for member in group.values():
        if not member.repeats or member.repeats == BELOW:
            continue
        if beside[member.weight]:
            beside[member.weight] -= 1
        elif member.weight:
            yield Excess(member.line, member.weight, 0, 0, "beside")


def _siblings(group: dict[str, _Member], summary: _Member) -> Iterator[_Member]:
    """Yield the requests that stand beside a summary and were made in its time: some write them so."""
    times = summary.times
    if not summary.parent or times is None:
        return
    for member in group.values():
        same = member.bill is not None and member.parent == summary.parent
        if same and member.times is not None and times[0] <= member.times[0] and member.times[1] <= times[1]:
            yield member


def _ancestors(group: dict[str, _Member], name: str) -> Iterator[str]:
    seen = {name}
    node = group[name].parent
    while node in group and node not in seen and len(seen) < _HIGHEST:
        yield node
        seen.add(node)
        node = group[node].parent
