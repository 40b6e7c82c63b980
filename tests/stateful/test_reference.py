"""The reference implementation and the model in lock step: same verdict and same balances, step by step.

The machine draws the true bill, above the hold too; the monitor listens to every accepted step and to what the
implementation says of itself. The last tests plant faults and demand that the same machine finds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from capsound.accounts import RESOLVED, RuleBroken, State, apply, move
from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Forfeit,
    Observe,
    Open,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound.monitor import Finding, Monitor
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_reference import (
    Budget,
    BudgetBusy,
    BudgetClosed,
    BudgetError,
    BudgetRefused,
    Hold,
    HoldSent,
    HoldState,
    HoldUsed,
)

SETTINGS = settings(max_examples=100, stateful_step_count=30, deadline=None, derandomize=True)

ERRORS: dict[str, type[BudgetError]] = {
    "R1": BudgetRefused,
    "R2": BudgetRefused,
    "R3": BudgetRefused,
    "R4": BudgetRefused,
    "R5": BudgetClosed,
    "R6": HoldUsed,
    "R7": HoldUsed,
    "R8": HoldSent,
    "R15": BudgetBusy,
}
"""The error with which the implementation refuses what breaks a rule."""

T = TypeVar("T")
USES = ("reserve", "delegate", "close")
amounts = st.integers(0, 8)


def any_of(group: str) -> st.SearchStrategy[Any]:
    """Draw a name from what the method ``group`` of the running machine lists."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, group)()))


class LockStep(RuleBasedStateMachine):
    """One step of both at a time; ``budget_type`` is the implementation on trial."""

    budget_type: ClassVar[type[Budget]] = Budget
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.monitor = Monitor()
        self.budgets: dict[AccountId, Budget] = {}
        self.held: dict[HoldId, Hold] = {}

    # ------------------------------------------------------------------------------------------- one step

    def both(self, event: Event, act: Callable[[], T]) -> T | None:
        """Let both take the step; return what the implementation returned, None when both refused it."""
        result, error = None, None
        try:
            result = act()
        except BudgetError as caught:
            error = caught
        broken = self.judge(event)
        if broken is None:
            assert error is None, f"the model allows {event}, the implementation says: {error}"
            self.seen[event.kind] += 1
            if isinstance(event, Close) and self.state.account(event.child).available < 0:
                self.seen["close in debt"] += 1
            self.listen(event)
        else:
            assert error is not None, f"{event} breaks {broken}, and the implementation accepted it"
            assert type(error) is ERRORS[broken], f"{event} breaks {broken}, the implementation says: {error}"
            self.seen[f"{event.kind} breaks {broken}"] += 1
            if isinstance(event, Reserve):
                self.listen(Refuse(event.account, event.amount))
                if event.amount == 0 and broken != "R5":
                    self.seen["nothing is refused in debt"] += 1
        return result

    def judge(self, event: Event) -> str | None:
        """Let the model take the step; return the rule that it breaks, None when it was taken.

        R15 is judged by its sentence, "holds nothing and all of its own slices are closed". The balances are
        not enough: what a closed slice has spent stays ``delegated``, and a hold or a slice of 0 shows nowhere.
        """
        if isinstance(event, Bill):  # the environment's step: nobody can refuse it
            self.state = move(self.state, event)
            return None
        try:
            after = apply(self.state, event)
        except RuleBroken as refusal:
            first = refusal.breaches[0].rule.id
            if first != "R15" or self.busy(event):
                return first
            after = move(self.state, event)
        else:
            if self.busy(event):
                return "R15"
        self.state = after
        return None

    def busy(self, event: Event) -> bool:
        """Whether ``event`` closes an account with an unresolved hold or an open slice."""
        return isinstance(event, Close) and (
            any(h.account == event.child and h.state not in RESOLVED for h in self.state.holds.values())
            or any(a.parent == event.child and not a.closed for a in self.state.accounts.values())
        )

    def listen(self, event: Event) -> None:
        """Feed the monitor; whatever it finds must be explained by bills above their holds."""
        for finding in self.monitor.feed(event):
            if finding.rule == "R15":  # judged by its sentence, see above
                continue
            assert finding.anomaly in {"overshoot", "slice-overshoot"}, finding.sentence
            assert self.over(finding) <= self.deficits(AccountId(str(finding.numbers["account"])))
            self.seen[finding.anomaly] += 1

    @staticmethod
    def over(finding: Finding) -> int:
        return int(finding.numbers["over"])

    def deficits(self, account: AccountId) -> int:
        """By how much bills below ``account`` were above their holds, in all."""
        below = {a.id for a in self.state.below(account)}
        return sum(h.deficit for h in self.state.holds.values() if h.account in below)

    # ------------------------------------------------------------------------------------------ the rules

    def live(self) -> list[AccountId]:
        return [a.id for a in self.state.accounts.values() if not a.closed]

    def slices(self) -> list[AccountId]:
        return [a.id for a in self.state.accounts.values() if not a.closed and a.parent is not None]

    def indebted(self) -> list[AccountId]:
        return [a.id for a in self.state.accounts.values() if not a.closed and a.available < 0]

    def ended(self) -> list[AccountId]:
        return [a.id for a in self.state.accounts.values() if a.closed]

    def unresolved(self) -> list[HoldId]:
        return [h.id for h in self.state.holds.values() if h.state not in RESOLVED]

    def resolved(self) -> list[HoldId]:
        return [h.id for h in self.state.holds.values() if h.state in RESOLVED]

    @precondition(lambda self: len(self.live()) - len(self.slices()) < 2)
    @rule(cap=st.sampled_from([12, 9, 8, 5, 1, 0]))
    def open(self, cap: int) -> None:
        name = AccountId(f"root{len(self.budgets)}")
        budget = self.both(Open(name, Amount(cap)), lambda: self.budget_type(cap, name))
        assert budget is not None
        self.budgets[name] = budget

    @precondition(lambda self: self.live() and len(self.budgets) < 10)
    @rule(parent=any_of("live"), amount=amounts)
    def delegate(self, parent: AccountId, amount: int) -> None:
        child = AccountId(f"slice{len(self.budgets)}")
        event = Delegate(parent, child, Amount(amount))
        budget = self.both(event, lambda: self.budgets[parent].delegate(amount, child))
        if budget is not None:
            self.budgets[child] = budget

    @precondition(lambda self: self.live())
    @rule(account=any_of("live"), amount=amounts)
    def reserve(self, account: AccountId, amount: int) -> None:
        name = HoldId(f"h{len(self.held)}")
        event = Reserve(account, name, Amount(amount))
        hold = self.both(event, lambda: self.budgets[account].reserve(amount))
        if hold is not None:
            self.held[name] = hold

    @precondition(lambda self: self.slices())
    @rule(account=any_of("slices"), amount=st.integers(0, 3), excess=st.integers(-3, 4), told=st.booleans())
    def call(self, account: AccountId, amount: int, excess: int, told: bool) -> None:
        """Reserve on a slice and send at once; the bill is near the hold, above it or below."""
        hold = HoldId(f"h{len(self.held)}")
        self.reserve(account, amount)
        if hold in self.held:
            self.send(hold, max(0, amount + excess))
            if told:
                self.settle(hold)

    @precondition(lambda self: self.unresolved())
    @rule(hold=any_of("unresolved"), bill=st.integers(0, 11))
    def send(self, hold: HoldId, bill: int) -> None:
        """Send one (more) request under the hold: the provider bills what it likes."""
        call = CallId(f"c{len(self.state.calls)}")
        self.both(Send(hold, call), self.held[hold].sent)
        if call in self.state.calls:
            self.both(Bill(call, Amount(bill)), lambda: None)

    @precondition(lambda self: self.unresolved())
    @rule(hold=any_of("unresolved"), bill=amounts)
    def send_within(self, hold: HoldId, bill: int) -> None:
        """Send a request whose bill the hold covers: assumption A1."""
        left = max(0, self.state.holds[hold].amount - self.state.holds[hold].billed)
        self.send(hold, min(bill, left))

    @precondition(lambda self: self.unresolved())
    @rule(hold=any_of("unresolved"))
    def settle(self, hold: HoldId) -> None:
        """Tell what was billed; the ledger may be told 0 of a call that was never sent."""
        billed = self.state.holds[hold].billed
        self.both(Settle(hold, Amount(billed)), lambda: self.held[hold].settle(billed))

    @precondition(lambda self: self.unresolved())
    @rule(hold=any_of("unresolved"))
    def release(self, hold: HoldId) -> None:
        self.both(Release(hold), self.held[hold].release)

    @precondition(lambda self: self.unresolved())
    @rule(hold=any_of("unresolved"))
    def forfeit(self, hold: HoldId) -> None:
        self.both(Forfeit(hold), self.held[hold].forfeit)

    @precondition(lambda self: self.slices())
    @rule(account=any_of("slices"))
    def close(self, account: AccountId) -> None:
        self.both(Close(account), self.budgets[account].close)

    @precondition(lambda self: len(self.live()) > 2)
    @rule(account=any_of("live"))
    def close_any(self, account: AccountId) -> None:
        self.close(account)

    @precondition(lambda self: self.indebted())
    @rule(account=any_of("indebted"), amount=st.integers(0, 1), use=st.sampled_from(USES))
    def use_indebted(self, account: AccountId, amount: int, use: str) -> None:
        self.use(account, amount, use)

    @precondition(lambda self: self.resolved())
    @rule(hold=any_of("resolved"), use=st.sampled_from(["send", "settle", "release", "forfeit"]))
    def use_resolved(self, hold: HoldId, use: str) -> None:
        if use == "send":
            self.send(hold, 1)
        else:
            {"settle": self.settle, "release": self.release, "forfeit": self.forfeit}[use](hold)

    @precondition(lambda self: self.ended())
    @rule(account=any_of("ended"), amount=st.integers(0, 1), use=st.sampled_from(USES))
    def use_closed(self, account: AccountId, amount: int, use: str) -> None:
        self.use(account, amount, use)

    def use(self, account: AccountId, amount: int, use: str) -> None:
        if use == "close":
            self.close(account)
        else:
            {"delegate": self.delegate, "reserve": self.reserve}[use](account, amount)

    # ------------------------------------------------------------------------------------- the invariants

    @invariant()
    def same_balances(self) -> None:
        for name, budget in self.budgets.items():
            ours, theirs = self.state.account(name), budget.snapshot()
            for balance in ("available", "held", "charged", "forfeited", "delegated", "returned", "granted"):
                assert getattr(theirs, balance) == getattr(ours, balance), (name, balance)
            parts = theirs.held + theirs.charged + theirs.forfeited + theirs.delegated + theirs.returned
            assert theirs.available + parts == theirs.granted
            assert min(theirs.held, theirs.charged, theirs.forfeited, theirs.delegated, theirs.returned) >= 0
            below = [self.budgets[a.id].snapshot() for a in self.state.accounts.values() if a.parent == name]
            assert theirs.delegated == sum(child.granted - child.returned for child in below)
            self.listen(Observe(name, theirs.charged + theirs.forfeited, theirs.available))

    @invariant()
    def same_holds(self) -> None:
        for name, hold in self.held.items():
            assert hold.state == HoldState(self.state.holds[name].state.value)

    @invariant()
    def overrun_is_bounded(self) -> None:
        assert self.monitor.state == self.state
        assert self.monitor.report().verdicts[Property.OVERRUN] is not Verdict.VIOLATED
        for account in self.state.accounts.values():
            allowed = account.granted - account.returned + self.deficits(account.id)
            assert self.state.billed_below(account.id) <= allowed


def test_reference_in_lock_step_with_the_model() -> None:
    LockStep.seen.clear()
    run_state_machine_as_test(LockStep, settings=settings(SETTINGS, max_examples=300))
    kinds = {"open", "delegate", "reserve", "send", "bill", "settle", "release", "forfeit", "close"}
    refusals = {
        "reserve breaks R1",
        "reserve breaks R2",
        "reserve breaks R5",
        "delegate breaks R4",
        "delegate breaks R5",
        "close breaks R5",
        "close breaks R15",
        "settle breaks R6",
        "release breaks R6",
        "release breaks R8",
        "forfeit breaks R6",
        "send breaks R7",
    }
    debts = {"close in debt", "nothing is refused in debt", "overshoot", "slice-overshoot"}
    rare = kinds | refusals | debts
    assert {name for name in rare if not LockStep.seen[name]} == set()  # nothing passes by not happening


# ----------------------------------------------------------------------------------------- planted faults


class RefundingHold(Hold):
    """Fault: ``release`` works after ``sent``."""

    __slots__ = ()

    def release(self) -> None:
        self._end(HoldState.RELEASED)


class ForgivingHold(Hold):
    """Fault: ``settle`` drops what is above the hold."""

    __slots__ = ()

    def settle(self, actual: int) -> None:
        super().settle(min(actual, self.amount))


class TwiceHold(Hold):
    """Fault: a second ``settle`` is silently ignored instead of refused."""

    __slots__ = ()

    def settle(self, actual: int) -> None:
        if self.state is not HoldState.SETTLED:
            super().settle(actual)


class FaultyBudget(Budget):
    """A budget all of whose holds have the fault of ``hold_type``."""

    __slots__ = ()
    hold_type: ClassVar[type[Hold]] = Hold

    def reserve(self, amount: int) -> Hold:
        hold = super().reserve(amount)
        hold.__class__ = self.hold_type
        return hold

    def delegate(self, amount: int, name: str) -> Budget:
        child = super().delegate(amount, name)
        child.__class__ = type(self)
        return child


class Refunding(FaultyBudget):
    __slots__ = ()
    hold_type = RefundingHold


class Forgiving(FaultyBudget):
    __slots__ = ()
    hold_type = ForgivingHold


class Twice(FaultyBudget):
    __slots__ = ()
    hold_type = TwiceHold


class Rounding(FaultyBudget):
    """Fault: at the brink, one unit more than is available is admitted."""

    __slots__ = ()

    def reserve(self, amount: int) -> Hold:
        free = self.snapshot().available
        return super().reserve(free if amount == free + 1 and free >= 0 else amount)


@pytest.mark.parametrize(
    ("fault", "shows"),
    [
        (Refunding, "breaks R8, and the implementation accepted it"),
        (Forgiving, r"'(charged|available)'|says spent"),
        (Twice, "breaks R6, and the implementation accepted it"),
        (Rounding, "breaks R[12], and the implementation accepted it"),
    ],
)
def test_planted_fault_is_found(fault: type[Budget], shows: str) -> None:
    machine = type(f"LockStep{fault.__name__}", (LockStep,), {"budget_type": fault})
    looking = settings(SETTINGS, max_examples=3_000, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises(AssertionError, match=shows):
        run_state_machine_as_test(machine, settings=looking)


def test_unfaulty_subclass_passes() -> None:
    """The harness of the planted faults is not itself the fault."""
    machine = type("LockStepNoFault", (LockStep,), {"budget_type": FaultyBudget})
    few = settings(SETTINGS, max_examples=20)
    run_state_machine_as_test(machine, settings=few)
