"""The monitor for several ceilings over one call: each ceiling is a flat budget of its own, with all that counts in it.

A ceiling is a limit with roll-up: nothing is moved into it, and what is spent under it counts in its parent as well. A
call needs room in its own ceiling and in each above it. A refusal is right if one of them has no room; an admission is
right if each has. Every ceiling is judged by the monitor of flat budgets, or of windows, on its part of the trace.

An account may have a cap in several dimensions. Each further one is a ceiling of its own beside the account,
``a0/tokens``, that every call of the account counts in, by its size there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from capsound.accounts import Account, Hold, State
from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.anomalies import ANOMALIES
from capsound.errors import BadTrace
from capsound.events import (
    Accept,
    Bill,
    Close,
    Crash,
    Delegate,
    Event,
    Extend,
    Merge,
    Observe,
    Open,
    Record,
    Refuse,
    Reserve,
    Reset,
    Send,
    Settle,
    Stall,
    Timeout,
)
from capsound.monitor import Monitor
from capsound.properties import Property
from capsound.report import Exercise, Finding, Report, refuted
from capsound.verdict import Verdict
from capsound.windowed import TIMELESS, WindowMonitor


@dataclass(slots=True)
class CeilingMonitor:
    """A fold in progress: say what is ``under`` what before it is opened, ``feed`` events, ask for the ``report``.

    Where there are several dimensions, say before each event with an amount how large it is in the others (``sized``).
    """

    make: Callable[[], Monitor | WindowMonitor] = Monitor
    """Makes the monitor of one ceiling."""
    steps: int = 0
    shared: int = 0
    """How many calls were asked for under more than one ceiling."""
    tight: Counter[str] = field(default_factory=Counter)
    """How many calls were asked for for which a further dimension had no room, by dimension."""
    _flats: dict[AccountId, Monitor | WindowMonitor] = field(default_factory=dict)
    _beside: dict[AccountId, dict[str, AccountId]] = field(default_factory=dict)
    """The ceilings of an account in further dimensions."""
    _sizes: Mapping[str, int] = field(default_factory=dict)
    _above: dict[AccountId, AccountId] = field(default_factory=dict)
    _owner: dict[HoldId, AccountId] = field(default_factory=dict)
    _calls: dict[CallId, HoldId] = field(default_factory=dict)
    _findings: list[Finding] = field(default_factory=list)
    _refused: dict[AccountId, int] = field(default_factory=dict)
    """What was refused under each ceiling since it said last what it holds."""
    _kept: dict[AccountId, int] = field(default_factory=dict)
    """What each ceiling was told to hold beyond the calls that were admitted."""
    _refusals: int = 0
    _at: int = 0
    _books: State | None = None

    def under(self, child: AccountId, parent: AccountId) -> None:
        """Let the account that is opened next be a ceiling under ``parent``.

        Raises ``BadTrace`` where that was never opened.
        """
        if parent not in self._flats or child in self._flats:
            raise BadTrace(
                f"{child!r} cannot be a ceiling under {parent!r}", hint="open the parent first, and each once"
            )
        self._above[child] = parent

    def sized(self, sizes: Mapping[str, int]) -> None:
        """Say how large the amount of the next event is in each further dimension: an account opens with caps there."""
        self._sizes = sizes

    def passes(self, at: int) -> None:
        """Let time pass until ``at`` for every ceiling that has a window."""
        self._at, self._books = at, None
        for flat in self._flats.values():
            if isinstance(flat, WindowMonitor):
                flat.passes(at)

    @property
    def ended(self) -> int:
        """How often a window of some ceiling has ended."""
        return max((flat.ended for flat in self._flats.values() if isinstance(flat, WindowMonitor)), default=0)

    @property
    def carried(self) -> int:
        """How many calls were in flight then."""
        return max((flat.carried for flat in self._flats.values() if isinstance(flat, WindowMonitor)), default=0)

    def path(self, account: AccountId) -> Iterator[AccountId]:
        """Yield an account and the ceilings above it, those of each beside it included.

        Raises ``BadTrace`` where it was never opened.
        """
        for name, _ in self._path(account):
            yield name

    def _path(self, account: AccountId) -> Iterator[tuple[AccountId, str]]:
        """Yield what ``path`` does, each with its dimension; that is empty for the first."""
        if account not in self._flats:
            raise BadTrace(f"account {account!r} was never opened")
        step: AccountId | None = account
        while step is not None:
            yield step, ""
            for dimension, beside in self._beside.get(step, {}).items():
                yield beside, dimension
            step = self._above.get(step)

    def _size(self, amount: int, dimension: str) -> Amount:
        """Return how large the amount of this event is in a dimension."""
        return Amount(self._sizes.get(dimension, amount) if dimension else amount)

    def fits(self, account: AccountId, amount: int, sizes: Mapping[str, int]) -> bool:
        """Whether there is room for a call of this size in each of its ceilings."""
        return all(
            (sizes.get(dimension, amount) if dimension else amount) <= self._spare(name)
            for name, dimension in self._path(account)
        )

    def deficits_in(self, name: AccountId) -> int:
        """Return by how much bills have exceeded their holds that count in a ceiling."""
        return sum(hold.deficit for hold in self._flats[name].state.holds.values())

    def feed(self, event: Event) -> tuple[Finding, ...]:
        """Take the next event; return what it shows, ceiling by ceiling from the call's own upwards.

        Raises ``BadTrace`` when it refers to nothing known, and for slices: those are not ceilings.
        """
        self.steps += 1
        self._books = None
        found: list[Finding] = []
        for name, mine in self._parts(event):
            for finding in self._flats[name].feed(mine):
                if finding.anomaly in TIMELESS and any(f.anomaly == finding.anomaly for f in found):
                    continue  # one hold that is resolved twice is one fault, however many ceilings it counts in
                found.append(replace(finding, step=self.steps, event=event))
        if isinstance(event, Observe):
            found = self._partial(event, found)
        self._findings += found
        self._sizes = {}
        return tuple(found)

    def _parts(self, event: Event) -> Iterator[tuple[AccountId, Event]]:
        """Yield the ceilings that an event is about, each with the event as it is there."""
        match event:
            case Open(root=root, cap=cap):
                beside = {dimension: AccountId(f"{root}/{dimension}") for dimension in self._sizes}
                self._beside[root] = beside
                for name, dimension in [(root, ""), *((name, dimension) for dimension, name in beside.items())]:
                    flat = self.make()
                    if isinstance(flat, WindowMonitor):
                        flat.at = max(flat.at, self._at)
                    self._flats[name] = flat
                    yield name, replace(event, root=name, cap=self._size(cap, dimension))
            case Reserve(account=account, hold=hold, amount=amount):
                path = self._asked(account, amount)
                self._owner[hold] = account
                for name, size in path:
                    yield name, replace(event, account=name, amount=size)
            case Refuse(account=account, amount=amount, hold=None):
                path = self._asked(account, amount)
                self._refusals += 1
                for name, size in path:
                    self._refused[name] = self._refused.get(name, 0) + size
                if all(size <= self._spare(name) for name, size in path):
                    yield account, event
            case Refuse(account=account):
                self._refusals += 1
                yield account, event
            case Send(hold=hold, call=call):
                self._calls[call] = hold
                yield from self._of_hold(hold, event)
            case Bill(call=call) | Timeout(call=call):
                if call not in self._calls:
                    raise BadTrace(f"call {call!r} was never sent")
                yield from self._of_hold(self._calls[call], event)
            case Observe(account=account):
                if account not in self._flats:
                    raise BadTrace(f"account {account!r} was never opened")
                yield account, event
            case Crash():
                for name in self._flats:
                    yield name, event
            case Accept(account=account) | Reset(root=account):
                yield account, event
            case Reset(root=root):
                if root not in self._flats:
                    raise BadTrace(f"account {root!r} was never opened or delegated")
                yield root, event
            case Stall():
                yield next(iter(self._flats)), event
            case Delegate() | Close() | Merge() | Record():
                raise BadTrace(f"{event.kind!r} is not judged beside ceilings", hint="ceilings are limits, not slices")
            case _:
                yield from self._of_hold(event.hold, event)

    def _asked(self, account: AccountId, amount: int) -> list[tuple[AccountId, Amount]]:
        """Return the ceilings under which a call is asked for, with its size in each; note what that is evidence of."""
        path = [(name, dimension, self._size(amount, dimension)) for name, dimension in self._path(account)]
        self.shared += len(path) > 1
        tight = {dimension for name, dimension, size in path if dimension and size > self._spare(name)}
        self.tight.update(sorted(tight))
        return [(name, size) for name, _, size in path]

    def _of_hold(self, hold: HoldId, event: Event) -> Iterator[tuple[AccountId, Event]]:
        if hold not in self._owner:
            raise BadTrace(f"hold {hold!r} was never reserved")
        for name, dimension in self._path(self._owner[hold]):
            if dimension and isinstance(event, Bill | Settle | Extend):
                yield name, replace(event, amount=self._size(event.amount, dimension))
            else:
                yield name, event

    def _spare(self, name: AccountId) -> int:
        """Return what a ceiling has to admit now at least."""
        flat = self._flats[name]
        return flat.spare(name) if isinstance(flat, WindowMonitor) else flat.state.account(name).available

    def _partial(self, event: Observe, found: list[Finding]) -> list[Finding]:
        """Name what a ceiling still keeps of a call that was refused under it."""
        name = event.account
        refused = self._refused.pop(name, 0)
        if event.held is not None:
            flat = self._flats[name]
            most = flat.most_held(name) if isinstance(flat, WindowMonitor) else flat.state.account(name).held
            more, known = max(0, event.held - most), self._kept.get(name, 0)
            self._kept[name] = more
            missing = more - known
        else:
            missing = sum(int(f.numbers["missing"]) for f in found if f.anomaly == "vanished")
        if not 0 < missing <= refused:
            return found
        sentence = f"{name} still holds {missing} of a call that was refused, and nobody will give it back"
        facts: tuple[tuple[str, int | str], ...] = (("account", name), ("amount", missing), ("refused", refused))
        rest = [finding for finding in found if finding.anomaly != "vanished"]
        return [Finding("partial-hold", self.steps, event, facts, sentence), *rest]

    # ----------------------------------------------------------------------------------------- the report

    @property
    def state(self) -> State:
        """The books: each hold in the ceiling of its call, each account with all that counts in it."""
        if self._books is not None:
            return self._books
        accounts: dict[AccountId, Account] = {}
        holds: dict[HoldId, Hold] = {}
        beside = {name: account for account, names in self._beside.items() for name in names.values()}
        for name, flat in self._flats.items():
            account = beside.get(name, name)
            parent = account if account != name else self._above.get(name)
            accounts[name] = replace(flat.state.account(name), parent=parent, root=self._root(account))
        for hold, owner in self._owner.items():
            holds[hold] = self._flats[owner].state.hold(hold)
        calls = MappingProxyType(dict(self._calls))
        self._books = State(MappingProxyType(accounts), MappingProxyType(holds), calls)
        return self._books

    def _root(self, name: AccountId) -> AccountId:
        return [step for step, dimension in self._path(name) if not dimension][-1]

    def report(self) -> Report:
        """Return the verdicts on everything fed so far; the monitor can go on afterwards."""
        reports = {name: flat.report() for name, flat in self._flats.items()}
        roots = [name for name in self._beside if name not in self._above]
        exercise = self._exercise([reports[name].exercise for name in roots])
        every = [report.exercise for report in reports.values()]
        if any(one.approached for one in every):
            exercise = replace(exercise, approached=True)
        if any(one.overran for one in every):  # in one dimension is enough
            exercise = replace(exercise, overran=True)
        known = {finding.facts for finding in self._findings if finding.anomaly == "stranded"}
        stranded = [
            finding
            for name, report in reports.items()
            for finding in report.findings
            if finding.anomaly == "stranded" and finding.facts not in known and name in roots
        ]
        findings = (*self._findings, *stranded)
        broken = {ANOMALIES[finding.anomaly].breaks for finding in findings}
        if any(report.verdicts[Property.OVERRUN] is Verdict.VIOLATED for report in reports.values()):
            broken.add(Property.OVERRUN)
        clean = Verdict.SOUND if exercise.informative else Verdict.UNKNOWN
        asked = [prop for prop in Property if prop is not Property.WIDTH]
        return Report(
            steps=self.steps,
            findings=findings,
            verdicts={prop: Verdict.VIOLATED if prop in broken else clean for prop in asked},
            exercise=exercise,
            state=self.state,
            overshoot={name: report.overshoot.get(name, 0) for name, report in reports.items()},
            deficits={name: report.deficits.get(name, 0) for name, report in reports.items()},
            refuted=refuted(findings, exercise, broken),
        )

    def _exercise(self, parts: list[Exercise]) -> Exercise:
        """Return what happened under all roots together: each call counts in exactly one of them."""
        out = Exercise()
        for part in parts:
            for one in fields(Exercise):
                a, b = getattr(out, one.name), getattr(part, one.name)
                out = replace(out, **{one.name: a or b if isinstance(a, bool) else a + b})
        return replace(out, refused=self._refusals)
