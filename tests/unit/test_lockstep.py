"""Lock step: what each step tells, what it skips, and what is whose fault; every case done by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from zoo import animal

from capsound.adapter import Adapter, Gate, Granted, Provider, Refused
from capsound.events import event_to_dict
from capsound.guarantees import Guarantee
from capsound_checker.programs.asking import AdapterFailed, ProviderError
from capsound_checker.programs.driven_calls import provider_file
from capsound_checker.programs.journaling import problems
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.misuse import BAD_AMOUNTS, BAD_FOR_STRICT, PROBED
from capsound_checker.programs.program import Step
from capsound_checker.programs.record import hold_id

base: Any = animal("zoo_base")
Account, whole = base.Account, base.whole
Over, Used, Wrong = base.Over, base.Used, base.Wrong


class Everything(base.Merging):  # type: ignore[misc]  # the zoo is loaded at run time
    def extend(self, hold: Any, amount: int) -> None:
        hold.account.extend(hold, amount)


class Calls(base.Calling):  # type: ignore[misc]
    delegate = base.Slicing.delegate
    close = base.Slicing.close
    merge = base.Merging.merge


def without(cls: type[Adapter], *names: str) -> type[Adapter]:
    return type(f"{cls.__name__}Less", (cls,), {name: getattr(Adapter, name) for name in names})


class Said:
    """A run, what was heard of each step, and the names of what was found."""

    def __init__(self, adapter: type[Adapter], cap: int = 4, accounts: int = 1) -> None:
        self.run = Lockstep(adapter())
        self.run.open(new=0, amount=cap)
        for number in range(1, accounts):
            self.run.delegate(on=0, new=number, amount=1)

    def hears(self, do: str, **said: int) -> list[str]:
        """Do a step; return its events in short: the kind and the fields that are no names of agents."""
        before = len(self.run.events)
        getattr(self.run, do)(**said)
        return [short(event_to_dict(event)) for event in self.run.events[before:] if event.kind != "observe"]

    @property
    def wrong(self) -> list[str]:
        return [finding.anomaly for finding in self.run.wrong()]

    def ends(self) -> list[str]:
        self.run.finish()
        return self.wrong


def short(event: dict[str, Any]) -> str:
    """``reserve a0 h1 3``."""
    return " ".join(str(value) for name, value in event.items() if name not in ("agent", "reason"))


# -------------------------------------------------------------------------------------- the happy path


def test_every_step_by_hand_is_told() -> None:
    said = Said(Everything, cap=9)
    assert [short(event_to_dict(e)) for e in said.run.events] == ["open a0 9", "observe a0 0 9 0"]
    assert said.hears("delegate", on=0, new=1, amount=3) == ["delegate a0 a1 3"]
    assert said.hears("reserve", on=0, new=0, amount=2, agent=1) == ["reserve a0 h0 2"]
    assert said.run.state.holds[hold_id(0)].agent == "p1"
    assert said.hears("send", on=0, bill=1) == ["send h0 c1", "bill c1 1"]
    assert said.hears("extend", on=0, amount=1) == ["extend h0 1"]
    assert said.hears("send", on=0, bill=1) == ["send h0 c2", "bill c2 1"]
    assert said.hears("settle", on=0) == ["settle h0 2"]
    assert said.hears("reserve", on=1, new=1, amount=1) == ["reserve a1 h1 1"]
    assert said.hears("release", on=1) == ["release h1"]
    assert said.hears("reserve", on=1, new=2, amount=1) == ["reserve a1 h2 1"]
    assert said.hears("send", on=2, bill=0) == ["send h2 c3", "bill c3 0"]
    assert said.hears("forfeit", on=2) == ["forfeit h2"]
    assert said.hears("delegate", on=1, new=2, amount=1) == ["delegate a1 a2 1"]
    assert said.hears("merge", on=0, new=2) == ["merge a0 a2"]
    assert said.hears("close", on=1) == ["close a1"]
    assert said.hears("open", new=3, amount=5) == ["open a3 5"]
    assert said.hears("reserve", on=0, new=3, amount=99) == ["refuse a0 99"]
    assert said.hears("delegate", on=0, new=4, amount=99) == ["refuse a0 99"]
    assert said.hears("reserve", on=1, new=3, amount=1) == [], "a refusal of a closed account is expected"
    assert said.hears("bad", on=0, new=0, amount=0) == []
    assert said.hears("clone_hold", on=0) == []
    assert said.hears("clone_scope", on=0, new=9) == []
    assert said.ends() == []
    assert said.run.report().refuted is None


def test_an_observation_that_says_the_same_of_the_same_books_is_not_repeated() -> None:
    said = Said(Everything)
    said.run.reserve(on=0, new=0, amount=9)
    said.run.reserve(on=0, new=0, amount=9)
    assert [e.kind for e in said.run.events] == ["open", "observe", "refuse", "refuse"]


class Counting(Adapter):
    """Tells what it has spent and nothing else; ``counted`` is how much of a cost it counts."""

    gate = Gate.CHECK

    def __init__(self, counted: int) -> None:
        self._counted = counted

    def open(self, cap: int) -> list[int]:
        return [cap, 0]

    def check(self, scope: list[int], amount: int) -> bool:
        return scope[1] + amount <= scope[0]

    def record(self, scope: list[int], amount: int) -> None:
        scope[1] += min(amount, self._counted)

    def spent(self, scope: list[int]) -> int:
        return scope[1]


@pytest.mark.parametrize(
    ("counted", "anomalies"),
    [(9, []), (1, ["ledger-drift", "over-admit"])],
    ids=["all", "too little"],
)
def test_what_tells_only_what_it_has_spent_is_judged_by_that(counted: int, anomalies: list[str]) -> None:
    """It forgets, which is no failure to stop: by its own books the cap is not reached."""
    run = Lockstep(Counting(counted))
    run.open(new=0, amount=4)
    for number, bill in enumerate((4, 1)):
        run.reserve(on=0, new=number, amount=bill)
        run.send(on=number, bill=bill)
        run.settle(on=number)
    assert sorted({finding.anomaly for finding in run.wrong()} - {"overshoot"}) == anomalies


def test_granted_tells_what_was_given() -> None:
    class Gives(Everything):
        def delegate(self, scope: Any, amount: int) -> Any:
            return Granted(scope.delegate(1), 1)

    said = Said(Gives)
    assert said.hears("delegate", on=0, new=1, amount=3) == ["delegate a0 a1 1"]
    assert said.wrong == []


def test_granted_that_tells_something_else_is_wrong() -> None:
    class Lies(Everything):
        def delegate(self, scope: Any, amount: int) -> Any:
            return Granted(scope.delegate(amount), 1)

    said = Said(Lies)
    said.run.delegate(on=0, new=1, amount=3)
    assert "minted" in said.wrong or "vanished" in said.wrong


# ---------------------------------------------------------------------------------- what is skipped


@pytest.mark.parametrize(
    "step",
    [
        Step("open", new=0, amount=1),
        Step("delegate", on=7, new=8, amount=1),
        Step("delegate", on=0, new=0, amount=1),
        Step("close", on=7),
        Step("merge", on=0, new=7),
        Step("merge", on=7, new=0),
        Step("reserve", on=7, new=8, amount=1),
        Step("reserve", on=0, new=0, amount=1),
        Step("send", on=7),
        Step("settle", on=7),
        Step("release", on=7),
        Step("forfeit", on=7),
        Step("extend", on=7, amount=1),
        Step("clone_hold", on=7),
        Step("clone_scope", on=7, new=8),
        Step("clone_scope", on=0, new=0),
        Step("bad", on=7, new=0),
        Step("bad", on=7, new=1),
        Step("bad", on=0, new=5),
        Step("begin", on=7, new=8),
        Step("step", on=0),
        Step("reply", on=0),
        Step("fail", on=0),
        Step("cancel", on=0),
        Step("crash", on=0),
    ],
    ids=lambda step: f"{step.do}-{step.on}-{step.new}",
)
def test_a_step_that_refers_to_nothing_is_skipped(step: Step) -> None:
    said = Said(Everything)
    said.run.reserve(on=0, new=0, amount=1)
    events, steps = list(said.run.events), list(said.run.steps)
    assert said.run.do(step) == ()
    assert (said.run.events, said.run.steps) == (events, steps)


def test_there_is_no_step_of_another_name() -> None:
    run = Lockstep(Everything())
    for name in ("spend", "__wrapped__", "_spend", "ask", "hang", "heard", "moved"):
        with pytest.raises(AttributeError):
            getattr(run, name)


def test_two_requests_that_together_exceed_their_hold_are_not_made() -> None:
    said = Said(Everything)
    said.run.reserve(on=0, new=0, amount=2)
    said.run.send(on=0, bill=2)
    assert said.hears("send", on=0, bill=1) == []
    assert said.hears("send", on=0, bill=3) == ["send h0 c2", "bill c2 3"], "that one breaks A1 by itself"


def test_a_used_hold_is_not_sent_where_nobody_is_asked() -> None:
    said = Said(without(Everything, "sent"))
    said.run.reserve(on=0, new=0, amount=1)
    said.run.release(on=0)
    assert said.hears("send", on=0, bill=1) == []
    said.run.reserve(on=0, new=1, amount=1)
    said.run.send(on=1, bill=1)
    assert said.hears("release", on=1) == [], "nobody told it that the request had left"


# ------------------------------------------------------------------------- what the adapter does not say


@pytest.mark.parametrize("operation", ["open", "reserve", "sent", "settle", "release", "delegate", "close", "merge"])
def test_an_unclassified_exception_is_the_adapters(operation: str) -> None:
    def fails(self: Adapter, *args: Any) -> Any:
        if len(self.__dict__.setdefault("opened", [])) or operation != "open":
            raise ZeroDivisionError("boom")
        return None

    broken = type("Broken", (Everything,), {operation: fails})
    run = Lockstep(broken())
    if operation == "open":
        run.adapter.opened = [1]  # type: ignore[attr-defined]
    steps = {
        "open": [],
        "reserve": [Step("reserve", amount=1)],
        "sent": [Step("reserve", amount=1), Step("send", bill=1)],
        "settle": [Step("reserve", amount=1), Step("send", bill=1), Step("settle")],
        "release": [Step("reserve", amount=1), Step("release")],
        "delegate": [Step("delegate", new=1)],
        "close": [Step("close")],
        "merge": [Step("delegate", new=1), Step("merge", new=1)],
    }
    with pytest.raises(AdapterFailed) as caught:
        run.run([Step("open", amount=4), *steps[operation]])
    assert caught.value.message == f"Broken.{operation} raised ZeroDivisionError: boom"
    assert "`refused`, `rejected` or `stale`" in caught.value.hint
    assert caught.value.exit_status == 65


def test_an_unclassified_exception_of_a_call_is_the_adapters() -> None:
    class Broken(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            raise ZeroDivisionError("boom")

    with pytest.raises(AdapterFailed, match=r"Broken\.call raised ZeroDivisionError: boom"):
        Said(Broken).run.begin(on=0, new=0, amount=1, bill=1)


def test_a_call_that_waits_for_an_event_loop_is_told_how_to_wait() -> None:
    class Loops(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            loop = asyncio.new_event_loop()
            try:
                return int(await loop.create_future())
            finally:
                loop.close()

    with pytest.raises(AdapterFailed) as caught:
        Said(Loops).run.begin(on=0, new=0, amount=1, bill=1)
    assert "asyncio.sleep(0)" in caught.value.hint


def test_an_exception_of_what_it_says_of_itself_is_the_adapters() -> None:
    class Mute(Everything):
        def spent(self, scope: Any) -> int:
            raise ZeroDivisionError("boom")

    with pytest.raises(AdapterFailed, match="spent"):
        Said(Mute)


# ------------------------------------------------------------------------------------------ the gate CALL


def began(adapter: type[Adapter], *, cap: int = 4, amount: int = 2, bill: int = 1) -> tuple[Said, list[str]]:
    said = Said(adapter, cap)
    return said, said.hears("begin", on=0, new=0, amount=amount, bill=bill)


AT_PROVIDER = ["reserve a0 h0 2", "send h0 c1", "bill c1 1"]


def test_a_call_that_is_answered() -> None:
    said, heard = began(Calls)
    assert heard == AT_PROVIDER
    assert (said.run.at_provider, said.run.waiting, said.run.held, said.run.sent) == ([0], [], [], [])
    assert said.hears("reply", on=0) == ["settle h0 1"]
    assert said.hears("reply", on=0) == [], "it has ended"
    assert said.ends() == []


@pytest.mark.parametrize("bill", [0, 1])
def test_a_call_that_fails_and_is_written_off(bill: int) -> None:
    said, _ = began(Calls, bill=bill)
    assert said.hears("fail", on=0) == ["timeout c1", "forfeit h0"]
    assert said.ends() == []


@pytest.mark.parametrize(("bill", "anomalies"), [(0, []), (1, ["refund-after-send"])])
def test_a_call_that_fails_and_is_refunded(bill: int, anomalies: list[str]) -> None:
    """A failure that was not billed may be refunded: nothing was owed; one that was billed may not."""
    said, _ = began(animal("timeout_error_refunds").Target, bill=bill)
    heard = said.hears("fail", on=0)
    assert heard == ["timeout c1", "settle h0 0" if bill == 0 else "release h0"]
    assert said.ends() == anomalies


@pytest.mark.parametrize("how", ["cancel", "crash"])
def test_a_call_that_is_given_up_at_the_provider(how: str) -> None:
    said, _ = began(Calls)
    assert said.hears(how, on=0) == ["cancel h0", "forfeit h0"]
    assert said.ends() == []


def test_a_cancelled_call_that_is_refunded() -> None:
    said, _ = began(animal("cancel_after_send_refunds").Target)
    assert said.hears("cancel", on=0) == ["cancel h0", "release h0"]
    assert said.ends() == ["refund-after-send"]


class Waiting(Calls):
    """Reserves, waits once, and sends."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold = scope.reserve(estimate)
        try:
            await asyncio.sleep(0)
        except BaseException:
            scope.release(hold)
            raise
        scope.send(hold)
        try:
            bill = await provider()
        except BaseException:
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill


class Pausing(Calls):
    """Waits once, and then reserves."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        await asyncio.sleep(0)
        return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]


def test_a_call_that_waits_holding_its_estimate_is_admitted_already() -> None:
    said, heard = began(Waiting)
    assert heard == ["reserve a0 h0 2"]
    assert (said.run.waiting, said.run.at_provider) == ([0], [])
    assert said.hears("begin", on=0, new=1, amount=3, bill=1) == ["refuse a0 3"], "which is right: 2 are left"
    assert said.hears("step", on=0) == ["send h0 c1", "bill c1 1"]
    assert said.hears("reply", on=0) == ["settle h0 1"]
    assert said.ends() == []


@pytest.mark.parametrize("how", ["cancel", "crash"])
def test_a_call_that_is_given_up_before_its_request_gets_all_back(how: str) -> None:
    said, _ = began(Waiting)
    assert said.hears(how, on=0) == ["cancel h0", "release h0"]
    assert said.ends() == []


@pytest.mark.parametrize("how", ["cancel", "crash"])
def test_a_call_that_is_given_up_before_anything_tells_nothing(how: str) -> None:
    said, heard = began(Pausing)
    assert heard == []
    assert said.hears(how, on=0) == []
    assert said.hears("begin", on=0, new=1, amount=4, bill=4) == []
    assert said.hears("step", on=1) == ["reserve a0 h1 4", "send h1 c1", "bill c1 4"]
    assert said.hears("reply", on=1) == ["settle h1 4"]
    assert said.ends() == []


def test_nobody_is_accused_while_a_call_has_reserved_out_of_sight() -> None:
    """Nothing is said of what remains: a call that waits may have been admitted, and another be refused for it."""
    said, heard = began(without(Waiting, "spent", "held", "remaining"))
    assert heard == []
    assert said.hears("begin", on=0, new=1, amount=3, bill=1) == []
    assert said.hears("step", on=0) == AT_PROVIDER
    assert said.ends() == []


def test_an_estimate_of_nothing_that_waits_is_not_taken_for_admitted() -> None:
    said, heard = began(Pausing, amount=0, bill=0)
    assert heard == []
    said.hears("close", on=0)
    assert said.ends() == []


def test_an_estimate_of_nothing_is_answered_failed_and_cancelled() -> None:
    for how, told in (
        ("reply", ["settle h0 0"]),
        ("fail", ["timeout c1", "forfeit h0"]),
        ("cancel", ["cancel h0", "forfeit h0"]),
        ("crash", ["cancel h0", "forfeit h0"]),
    ):
        said, heard = began(Calls, amount=0, bill=0)
        assert heard == ["reserve a0 h0 0", "send h0 c1", "bill c1 0"]
        assert said.hears(how, on=0) == told
        assert said.ends() == []


def test_an_admission_in_debt_of_nothing_that_only_waits_is_no_alarm() -> None:
    said = Said(Pausing, cap=1)
    said.run.begin(on=0, new=0, amount=1, bill=2)
    said.run.step(on=0)
    said.run.reply(on=0)
    assert said.hears("begin", on=0, new=1, amount=0, bill=0) == []
    said.run.step(on=1)
    assert said.ends() == []


def test_a_hidden_retry_is_billed_under_the_hold_that_it_has() -> None:
    said, _ = began(animal("hidden_retry_same_hold").Target, cap=2, bill=2)
    assert said.hears("fail", on=0) == ["timeout c1", "send h0 c2", "bill c2 2"]
    assert said.run.at_provider == [0]
    assert said.wrong == ["overshoot"]
    assert said.hears("reply", on=0) == ["settle h0 2"]


class Retrying(Calls):
    """Writes a failed try off, and makes another under a reservation of its own."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        try:
            return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
        except ProviderError as error:
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except Over:
                raise error from None


def test_a_retry_with_a_reservation_of_its_own_is_no_alarm() -> None:
    said, _ = began(Retrying, cap=4, bill=2)
    said.hears("fail", on=0)
    said.hears("reply", on=0)
    assert said.ends() == []


def test_a_refusal_before_the_request() -> None:
    said, heard = began(Calls, amount=5)
    assert heard == ["refuse a0 5"]
    assert said.ends() == []
    said = Said(animal("false_refusal_strict_less").Target)
    said.run.reserve(on=0, new=0, amount=4)
    assert said.wrong == ["false-refusal"]


def test_a_call_that_answers_nothing_and_sends_nothing_is_refused() -> None:
    class Silent(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> Any:
            return None

    said, heard = began(Silent)
    assert heard == ["refuse a0 2"]
    assert said.wrong == ["false-refusal"]


def test_a_refusal_after_the_request_is_late() -> None:
    said, _ = began(animal("late_refusal").Target, cap=2, bill=2)
    assert said.hears("reply", on=0) == ["refuse a0 2 h0", "settle h0 2"]
    assert said.ends() == ["late-refusal"]


def test_an_error_of_the_provider_that_was_wrapped_is_still_the_providers() -> None:
    class Wraps(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except ProviderError as error:
                raise RuntimeError("wrapped") from error

    said, _ = began(Wraps)
    assert said.hears("fail", on=0) == ["timeout c1", "forfeit h0"]


@pytest.mark.parametrize("how", ["fail", "cancel"])
def test_an_error_that_was_wrapped_twice_is_not_the_adapters(how: str) -> None:
    class Wraps(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except (ProviderError, asyncio.CancelledError) as error:
                try:
                    raise LookupError("inner") from error
                except LookupError as inner:
                    raise RuntimeError("outer") from inner

    said, _ = began(Wraps)
    assert said.hears(how, on=0)[-1] == "forfeit h0"
    assert said.ends() == []


def test_a_cancellation_that_was_wrapped_is_not_the_adapters() -> None:
    class Wraps(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except asyncio.CancelledError as error:
                raise RuntimeError("cancelled") from error

    said, _ = began(Wraps)
    assert said.hears("cancel", on=0) == ["cancel h0", "forfeit h0"]


def test_a_refusal_raised_while_an_error_is_handled_is_a_refusal() -> None:
    """The budget said no after the request had left; that an error came before it does not excuse that."""

    class Late(Calls):
        async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
            try:
                return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]
            except ProviderError:
                raise Over("used up") from None

    said, _ = began(Late)
    assert said.hears("fail", on=0) == ["timeout c1", "refuse a0 2 h0", "forfeit h0"]
    assert said.wrong == ["late-refusal"]


class Slowly(Calls):
    """Waits while it cleans up."""

    async def call(self, scope: Any, estimate: int, provider: Provider) -> int:
        hold = scope.reserve(estimate)
        scope.send(hold)
        try:
            bill = await provider()
        except BaseException:
            await asyncio.sleep(0)
            scope.forfeit(hold)
            raise
        scope.settle(hold, bill)
        return bill


@pytest.mark.parametrize("how", ["fail", "cancel", "crash"])
def test_a_call_that_waits_while_it_cleans_up(how: str) -> None:
    said, _ = began(Slowly)
    said.hears(how, on=0)
    assert said.run.waiting == [0]
    assert said.hears("step", on=0) == ["forfeit h0"]
    assert said.ends() == []


def test_a_run_that_ends_while_a_call_is_at_the_provider_is_left_in_peace() -> None:
    said, _ = began(Slowly)
    assert said.ends() == []
    said, _ = began(Calls)
    assert said.ends() == []


def test_what_nobody_can_finish_hangs() -> None:
    said, heard = began(animal("hang_lock_not_released_on_cancel").Target)
    assert heard == AT_PROVIDER
    said.run.cancel(on=0)
    said.run.begin(on=0, new=1, amount=1, bill=1, agent=2)
    assert said.wrong == []
    assert said.ends() == ["hang"]


def test_a_hold_that_a_failed_call_left_is_stranded() -> None:
    said, _ = began(animal("stranded_after_error").Target)
    said.run.fail(on=0)
    assert said.ends() == ["stranded"]


HIDDEN = [("spent",), ("held",), ("remaining",), ("spent", "held"), ("spent", "remaining"), ("held", "remaining")]


@pytest.mark.parametrize("hidden", [*HIDDEN, ("spent", "held", "remaining")], ids="-".join)
@pytest.mark.parametrize("how", ["reply", "fail", "cancel", "crash"])
def test_a_sound_call_of_which_little_is_seen_is_no_alarm(how: str, hidden: tuple[str, ...]) -> None:
    said, _ = began(without(Calls, *hidden))
    said.hears(how, on=0)
    # Where neither is told, nobody can say what became of the hold: the run may end there, and accuses nobody.
    assert not said.run.spoiled or {"spent", "remaining"} <= set(hidden)
    if not said.run.spoiled:
        assert said.hears("begin", on=0, new=1, amount=2, bill=2) == ["reserve a0 h1 2", "send h1 c2", "bill c2 2"]
        said.hears("reply", on=1)
    assert said.ends() == []


# ---------------------------------------------------------------------------------------- other gates


class Charges(Adapter):
    gate = Gate.CHARGE
    refused = (Over,)
    rejected = (Wrong,)
    stale = (Used,)

    def open(self, cap: int) -> Any:
        return Account(whole(cap))

    def charge(self, scope: Any, amount: int) -> Any:
        return scope.reserve(amount)

    def spent(self, scope: Any) -> int:
        return int(scope.spent + scope.held)

    def remaining(self, scope: Any) -> int:
        return int(scope.available)


class Settles(Charges):
    def settle(self, hold: Any, actual: int) -> None:
        hold.account.settle(hold, actual)


def test_a_charge_without_settlement_is_written_off() -> None:
    said = Said(Charges)
    assert said.hears("reserve", on=0, new=0, amount=2) == ["reserve a0 h0 2"]
    assert said.hears("send", on=0, bill=1) == ["send h0 c1", "bill c1 1"]
    assert said.hears("settle", on=0) == ["forfeit h0"]
    assert said.hears("settle", on=0) == []
    assert said.hears("reserve", on=0, new=1, amount=3) == ["refuse a0 3"]
    assert said.ends() == []


def test_a_charge_with_settlement() -> None:
    said = Said(Settles)
    said.run.reserve(on=0, new=0, amount=2)
    said.run.send(on=0, bill=1)
    assert said.hears("settle", on=0) == ["settle h0 1"]
    assert said.hears("reserve", on=0, new=1, amount=3) == ["reserve a0 h1 3"]
    assert said.hears("settle", on=0) == []
    assert said.ends() == []


class Checks(Adapter):
    gate = Gate.CHECK

    def open(self, cap: int) -> Any:
        return [cap, 0]

    def check(self, scope: Any, amount: int) -> bool:
        return bool(scope[1] + amount <= scope[0])

    def record(self, scope: Any, amount: int) -> None:
        scope[1] += amount

    def spent(self, scope: Any) -> int:
        return int(scope[1])

    def remaining(self, scope: Any) -> int:
        return int(scope[0] - scope[1])


def test_a_check_that_says_no_is_a_refusal_and_a_record_is_a_settlement() -> None:
    said = Said(Checks)
    assert said.hears("reserve", on=0, new=0, amount=5) == ["refuse a0 5"]
    assert said.hears("reserve", on=0, new=0, amount=4) == ["reserve a0 h0 4"]
    assert said.hears("send", on=0, bill=3) == ["send h0 c1", "bill c1 3"]
    assert said.hears("settle", on=0) == ["settle h0 3"]
    assert said.hears("settle", on=0) == [], "there is no handle that could be used twice"
    assert said.ends() == []
    said.run.reserve(on=0, new=1, amount=1)
    said.run.reserve(on=0, new=2, amount=1)
    assert said.wrong == ["stale-admit"]


def test_a_check_that_raises_is_a_refusal_too() -> None:
    class Raises(Checks):
        def check(self, scope: Any, amount: int) -> bool:
            if not super().check(scope, amount):
                raise Refused("no")
            return True

    assert Said(Raises).hears("reserve", on=0, new=0, amount=5) == ["refuse a0 5"]


class Records(Checks):
    gate = Gate.RECORD
    check = Adapter.check


def test_a_record_that_is_refused_is_late() -> None:
    class Raises(Records):
        def record(self, scope: Any, amount: int) -> None:
            super().record(scope, amount)
            if scope[1] >= scope[0]:
                raise Refused("over")

    said = Said(Raises)
    assert said.hears("reserve", on=0, new=0, amount=4) == ["reserve a0 h0 4"]
    said.run.send(on=0, bill=4)
    assert said.hears("settle", on=0) == ["refuse a0 4 h0", "settle h0 4"]
    assert said.wrong == ["late-refusal"]


# ------------------------------------------------------------------------- legal ways to say no, no alarm


def refusing(operation: str, when: Callable[..., bool]) -> type[Adapter]:
    """Return a sound design that rejects an operation in some state, and changes nothing then."""
    before = getattr(Everything, operation)

    def does(self: Adapter, *args: Any) -> Any:
        if when(*args):
            raise Wrong("not in this state")
        return before(self, *args)

    return type(f"Rejects{operation.title()}", (Everything,), {operation: does})


UNSENT = "not in this state: it was not sent"


def unsent(hold: Any, *_: Any) -> bool:
    return not hold.sent and not hold.done


def one_free(said: Said) -> list[str]:
    """Use what must still be free, and end every call."""
    for hold in said.run.held:
        said.run.send(on=hold, bill=said.run.amount(hold))
    for hold in said.run.sent:
        said.run.settle(on=hold)
    said.run.reserve(on=0, new=9, amount=1)
    return said.ends()


def test_a_hold_that_was_not_sent_need_not_be_settled() -> None:
    said = Said(refusing("settle", unsent))
    said.run.reserve(on=0, new=0, amount=1)
    assert said.hears("settle", on=0) == []
    assert one_free(said) == []


def test_a_hold_that_was_not_sent_need_not_be_forfeited() -> None:
    said = Said(refusing("forfeit", unsent))
    said.run.reserve(on=0, new=0, amount=1)
    assert said.hears("forfeit", on=0) == []
    assert one_free(said) == []


def test_a_hold_that_was_not_sent_need_not_be_extended() -> None:
    said = Said(refusing("extend", unsent))
    said.run.reserve(on=0, new=0, amount=1)
    assert said.hears("extend", on=0, amount=1) == []
    assert one_free(said) == []


def test_a_running_hold_that_is_not_extended_although_it_fits_is_a_false_refusal() -> None:
    said = Said(refusing("extend", lambda hold, amount: hold.sent))
    said.run.reserve(on=0, new=0, amount=1)
    said.run.send(on=0, bill=1)
    assert said.hears("extend", on=0, amount=1) == ["refuse a0 1"]
    assert said.wrong == ["false-refusal"]


def test_a_hold_need_not_cover_a_second_request() -> None:
    said = Said(refusing("sent", lambda hold: hold.sent))
    said.run.reserve(on=0, new=0, amount=2)
    said.run.send(on=0, bill=1)
    assert said.hears("send", on=0, bill=1) == []
    assert one_free(said) == []


def test_a_first_request_that_is_turned_away_is_a_refusal() -> None:
    said = Said(refusing("sent", lambda hold: True))
    said.run.reserve(on=0, new=0, amount=2)
    assert said.hears("send", on=0, bill=1) == ["refuse a0 0"]
    assert said.wrong == ["false-refusal"]


def test_a_root_need_not_be_closed() -> None:
    said = Said(refusing("close", lambda scope: scope.parent is None))
    said.run.close(on=0)
    assert one_free(said) == []


def test_accounts_need_not_be_merged() -> None:
    said = Said(refusing("merge", lambda target, source: True), accounts=3)
    said.run.merge(on=1, new=2)
    said.run.merge(on=0, new=2)
    said.run.reserve(on=2, new=8, amount=1)
    assert one_free(said) == []


def test_a_refused_merge_that_moved_money_is_still_seen() -> None:
    said = Said(animal("refused_merge_destroys_balance").Target, accounts=2)
    said.run.open(new=2, amount=3)
    said.run.merge(on=0, new=2)
    said.run.merge(on=1, new=2)
    assert "vanished" in said.wrong


class Silent(Everything):
    """Used handles are ignored without a word, and nothing moves."""

    strict = False

    def settle(self, hold: Any, actual: int) -> None:
        if not hold.done:
            super().settle(hold, actual)

    def release(self, hold: Any) -> None:
        if not hold.done:
            super().release(hold)

    def forfeit(self, hold: Any) -> None:
        if not hold.done:
            super().forfeit(hold)

    def close(self, scope: Any) -> None:
        if not scope.closed:
            super().close(scope)


@pytest.mark.parametrize("hidden", [(), *HIDDEN, ("spent", "held", "remaining")], ids=lambda n: "-".join(n) or "none")
@pytest.mark.parametrize("first", ["settle", "release", "forfeit", "close"])
@pytest.mark.parametrize("second", ["settle", "release", "forfeit", "close"])
def test_a_second_end_that_changes_nothing_is_harmless(first: str, second: str, hidden: tuple[str, ...]) -> None:
    if (first == "close") is not (second == "close"):
        return
    said = Said(without(Silent, *hidden), accounts=2)
    said.run.reserve(on=0, new=1, amount=1)
    if first in ("settle", "forfeit"):
        said.run.send(on=1, bill=1)
    getattr(said.run, first)(on=1)
    getattr(said.run, second)(on=1)
    assert said.ends() == []


def test_a_second_settlement_that_moves_money_is_a_double_settle_and_so_is_a_loud_claim_that_was_broken() -> None:
    class Claims(Silent):
        strict = True

    for adapter in (animal("double_settle_moves_twice").Target, Claims):
        said = Said(adapter)
        said.run.reserve(on=0, new=0, amount=2)
        said.run.send(on=0, bill=1)
        said.run.settle(on=0)
        said.run.settle(on=0)
        assert said.wrong[0] == "double-settle"


@pytest.mark.parametrize("held", [True, False])
def test_a_debt_told_as_nothing_left_is_the_truth(held: bool) -> None:
    class Clips(Everything if held else without(Everything, "held")):  # type: ignore[misc]
        def remaining(self, scope: Any) -> int:
            return max(0, int(scope.available))

    said = Said(Clips, cap=1)
    said.run.reserve(on=0, new=0, amount=1)
    said.run.send(on=0, bill=3)
    said.run.settle(on=0)
    assert said.ends() == []


def test_a_closed_account_need_not_say_anything() -> None:
    class Shut(Everything):
        def spent(self, scope: Any) -> int:
            scope.require_open()
            return int(scope.spent)

    said = Said(Shut, accounts=2)
    said.run.close(on=1)
    said.run.reserve(on=1, new=0, amount=1)
    assert one_free(said) == []


# --------------------------------------------------------------------------------------------- copies


def test_an_independent_copy_of_a_scope_is_a_mint() -> None:
    for deep in (0, 1):
        said = Said(animal("copied_handle").Target)
        heard = said.hears("clone_scope", on=0, new=7, amount=deep)
        assert heard == ["delegate a0 a7 4"]
        assert said.wrong == ["minted"]
        assert said.run.spoiled
        assert said.run.steps[-1] == Step("clone_scope", on=0, new=7, amount=deep)


def test_a_second_name_of_a_scope_is_harmless() -> None:
    said = Said(animal("copied_handle_shares_state").Target)
    assert said.hears("clone_scope", on=0, new=7) == []
    assert said.wrong == []


def test_a_scope_that_cannot_be_copied_goes_on() -> None:
    said = Said(Everything)
    assert said.hears("clone_scope", on=0, new=7, amount=1) == []
    assert not said.run.spoiled


def test_a_copy_of_a_hold_is_used_when_the_hold_is() -> None:
    said = Said(animal("copied_hold_resolves_twice").Target)
    said.run.reserve(on=0, new=0, amount=2)
    said.run.send(on=0, bill=1)
    assert said.hears("clone_hold", on=0) == []
    assert said.hears("settle", on=0) == ["settle h0 1"]
    assert said.hears("settle", on=0) == ["settle h0 1"]
    assert said.wrong[0] == "double-settle"
    said = Said(animal("copied_hold_resolves_once").Target)
    for step in (Step("reserve", amount=2), Step("send", bill=1), Step("clone_hold"), Step("settle"), Step("settle")):
        said.run.do(step)
    assert said.ends() == []


# ---------------------------------------------------------------------------------------- bad amounts


@pytest.mark.parametrize("value", range(len(BAD_AMOUNTS)))
def test_a_bad_amount_that_is_accepted_ends_the_run(value: int) -> None:
    class Takes(Everything):
        strict = False

        def reserve(self, scope: Any, amount: Any) -> Any:
            return scope.take(0)

    said = Said(Takes)
    assert said.hears("bad", on=0, new=0, amount=value) == [f"accept a0 reserve {BAD_AMOUNTS[value]!r}"]
    assert said.wrong == ["bad-amount"]
    assert said.run.spoiled
    assert said.hears("reserve", on=0, new=5, amount=1) == []


@pytest.mark.parametrize("error", [Over("x"), Wrong("x"), Used("x"), TypeError("x"), ArithmeticError("x")], ids=repr)
def test_a_bad_amount_may_be_refused_by_any_exception(error: Exception) -> None:
    class Raises(Everything):
        def reserve(self, scope: Any, amount: Any) -> Any:
            raise error

    said = Said(Raises)
    for value in range(len(BAD_FOR_STRICT)):
        assert said.hears("bad", on=0, new=0, amount=value) == []
    assert said.wrong == []


def test_every_operation_is_probed_and_only_what_is_strict_with_more() -> None:
    seen: set[tuple[str, str]] = set()

    class Notes(Charges):
        gate = Gate.RESERVE

        def reserve(self, scope: Any, amount: Any) -> Any:
            return scope.take(0) if type(amount) is int and amount >= 0 else self._no("reserve", amount)

        def _no(self, name: str, amount: Any) -> Any:
            seen.add((name, repr(amount)))
            raise Wrong("no")

        def settle(self, hold: Any, actual: Any) -> Any:
            return self._no("settle", actual)

        def delegate(self, scope: Any, amount: Any) -> Any:
            return self._no("delegate", amount)

        def extend(self, hold: Any, amount: Any) -> Any:
            return self._no("extend", amount)

        def charge(self, scope: Any, amount: Any) -> Any:
            return self._no("charge", amount)

        def record(self, scope: Any, amount: Any) -> Any:
            return self._no("record", amount)

        def check(self, scope: Any, amount: Any) -> Any:
            seen.add(("check", repr(amount)))
            return False

        def open(self, cap: Any) -> Any:
            return super().open(cap) if type(cap) is int and cap >= 0 else self._no("open", cap)

    class Strict(Notes):
        strict = True

    for adapter, values in ((Notes, BAD_AMOUNTS), (Strict, BAD_FOR_STRICT)):
        seen.clear()
        said = Said(adapter)
        said.run.reserve(on=0, new=0, amount=0)
        for operation in range(len(PROBED)):
            for value in range(len(values)):
                assert said.hears("bad", on=0, new=operation, amount=value) == []
        assert seen == {(name, repr(value)) for name in PROBED for value in values}
        assert said.wrong == []


# --------------------------------------------------------------------------------------- whose fault


def overrun(adapter: type[Adapter], cap: int = 2) -> Said:
    said = Said(adapter, cap)
    said.run.reserve(on=0, new=0, amount=2)
    said.run.send(on=0, bill=5)
    return said


def test_an_overshoot_that_a_bill_above_its_hold_explains_is_excused() -> None:
    said = overrun(Everything)
    assert [f.anomaly for f in said.run.findings] == ["overshoot"]
    assert said.wrong == []
    said.run.settle(on=0)
    assert said.hears("reserve", on=0, new=1, amount=1) == ["refuse a0 1"]
    assert said.ends() == []


def test_who_admits_although_an_overrun_has_used_up_the_cap_is_not_excused() -> None:
    said = overrun(animal("overrun_forgiven").Target, cap=4)
    said.run.settle(on=0)
    before = said.wrong
    said.run.reserve(on=0, new=1, amount=1)
    assert "overshoot" not in before
    assert "overshoot" in said.wrong
    refuted = said.run.report().refuted
    assert refuted is not None
    assert refuted <= Guarantee.OVERRUN_BOUNDED


def test_a_dropped_overrun_is_the_implementations() -> None:
    said = overrun(animal("commit_above_hold_drops_excess").Target)
    said.run.settle(on=0)
    assert said.wrong == ["dropped-overrun"]


def test_an_overshoot_beyond_the_deficits_is_not_excused() -> None:
    said = Said(animal("never_refuses").Target, cap=2)
    for hold in (0, 1):
        said.run.reserve(on=0, new=hold, amount=2)
        said.run.send(on=hold, bill=2)
    assert "overshoot" in said.wrong


# ------------------------------------------------------------------------------------------ journals


class Writes(Everything):
    """Writes its journal by itself, and lets a test spoil it."""

    spoil: Callable[[list[str]], list[str]] = staticmethod(lambda lines: lines)

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.kept: list[Any] = []

    def _name(self, thing: Any, prefix: str) -> str:
        if id(thing) not in self.names:
            self.kept.append(thing)
            self.names[id(thing)] = f"{prefix}{len(self.names)}"
        return self.names[id(thing)]

    def _write(self, event: str, **said: Any) -> None:
        self.lines.append(json.dumps({"event": event, **said}))

    def open(self, cap: int) -> Any:
        scope = super().open(cap)
        self._write("open", root=self._name(scope, "root"), cap=cap)
        return scope

    def delegate(self, scope: Any, amount: int) -> Any:
        child = super().delegate(scope, amount)
        self._write("delegate", parent=self._name(scope, "?"), child=self._name(child, "slice"), amount=amount)
        return child

    def reserve(self, scope: Any, amount: int) -> Any:
        hold = super().reserve(scope, amount)
        self._write("reserve", account=self._name(scope, "?"), hold=self._name(hold, "hold"), amount=amount)
        return hold

    def sent(self, hold: Any) -> None:
        super().sent(hold)
        self._write("send", hold=self._name(hold, "?"), call=f"call{len(self.lines)}")

    def settle(self, hold: Any, actual: int) -> None:
        super().settle(hold, actual)
        self._write("settle", hold=self._name(hold, "?"), amount=actual)

    def close(self, scope: Any) -> None:
        super().close(scope)
        self._write("close", child=self._name(scope, "?"))

    def journal(self, scope: Any) -> list[str]:
        return type(self).spoil(self.lines)


JOURNALED = [
    Step("open", amount=6),
    Step("delegate", new=1, amount=2),
    Step("reserve", on=1, new=0, amount=2),
    Step("send", on=0, bill=1),
    Step("settle", on=0),
    Step("reserve", on=0, new=1, amount=3),
    Step("send", on=1, bill=3),
    Step("close", on=1),
]


def journaled(spoil: Callable[[list[str]], list[str]]) -> list[str]:
    run = Lockstep(type("Spoiled", (Writes,), {"spoil": staticmethod(spoil)})()).run(JOURNALED)
    assert run.wrong() == []
    assert len(run.steps) == len(JOURNALED)
    return problems(run)


def test_a_journal_that_tells_the_run_has_no_problems() -> None:
    assert journaled(lambda lines: lines) == []


@pytest.mark.parametrize("at", range(len(JOURNALED)))
def test_a_missing_line_is_noticed(at: int) -> None:
    assert journaled(lambda lines: lines[:at] + lines[at + 1 :]) != []


@pytest.mark.parametrize("at", range(len(JOURNALED)))
def test_a_doubled_line_is_noticed(at: int) -> None:
    assert journaled(lambda lines: lines[: at + 1] + lines[at:]) != []


@pytest.mark.parametrize(
    ("at", "name", "value", "told"),
    [
        (0, "cap", 7, "the journal leads to"),
        (1, "amount", 1, "the journal leads to"),
        (2, "account", "root0", "the journal leads to"),
        (2, "amount", 1, "the journal leads to"),
        (4, "amount", 2, "the journal leads to"),
        (4, "amount", -1, "the journal of a0 cannot be read"),
        (4, "amount", 1.5, "the journal of a0 cannot be read"),
        (4, "hold", "nobody", "the journal of a0 cannot be read"),
        (4, "event", "settled", "the journal of a0 cannot be read"),
    ],
)
def test_a_wrong_line_is_noticed(at: int, name: str, value: object, told: str) -> None:
    def spoil(lines: list[str]) -> list[str]:
        return [*lines[:at], json.dumps({**json.loads(lines[at]), name: value}), *lines[at + 1 :]]

    assert journaled(spoil)[0].startswith(told)


@pytest.mark.parametrize("line", ["", "{", "[]", "null", "3", '"x"', "{}"])
def test_a_line_that_is_no_event_is_noticed(line: str) -> None:
    assert journaled(lambda lines: [line, *lines])[0].startswith("the journal of a0 cannot be read")


def test_a_line_that_sends_what_nobody_billed_is_noticed() -> None:
    def spoil(lines: list[str]) -> list[str]:
        return [*lines, json.dumps({"event": "send", "hold": json.loads(lines[5])["hold"], "call": "one more"})]

    assert journaled(spoil)[0].startswith("the journal of a0 cannot be read")


# ----------------------------------------------------------------------------------------- the rest


def test_the_file_of_the_provider_is_ours() -> None:
    assert provider_file().endswith("driven_calls.py")


def test_a_story_tells_the_run_again() -> None:
    said = Said(animal("check_then_act").Target, cap=3)
    for hold in (0, 1):
        said.run.reserve(on=0, new=hold, amount=2)
    assert said.run.story() == (
        "[1] open(new=0, amount=3)\n"
        '      {"event": "open", "root": "a0", "cap": 3}\n'
        "[2] reserve(on=0, new=0, amount=2)\n"
        '      {"event": "reserve", "account": "a0", "hold": "h0", "amount": 2, "agent": "p0"}\n'
        "[3] reserve(on=0, new=1, amount=2)\n"
        '      {"event": "reserve", "account": "a0", "hold": "h1", "amount": 2, "agent": "p0"}\n'
        "   ** stale-admit: admitted 2 on a0 although only 1 was free: it ignored 2 held by calls in flight"
    )


def test_a_story_of_nothing_wrong_says_so() -> None:
    assert Said(Everything).run.story().splitlines()[-1] == "nothing is wrong"


# ------------------------------------------------------------------------------------ more of what it says


class Tells(base.Merging):  # type: ignore[misc]
    """All balances of an account; ``told`` is what is told instead of some of them."""

    told: ClassVar[dict[str, Any]] = {}

    def delegate(self, scope: Any, amount: int) -> Any:
        child = super().delegate(scope, amount)
        scope.delegated = getattr(scope, "delegated", 0) + amount
        return child

    def balances(self, scope: Any) -> dict[str, int]:
        return {"delegated": getattr(scope, "delegated", 0), **self.told}


def test_balances_that_are_told_are_compared() -> None:
    assert Said(Tells, accounts=2).wrong == []

    class Lies(Tells):
        told: ClassVar[dict[str, Any]] = {"delegated": 2}

    said = Said(Lies, accounts=2)
    assert said.wrong[0] == "ledger-drift"
    assert said.run.findings[0].sentence == "a0 reports delegated 2, but it is 0"


def test_what_is_told_wrong_by_as_much_as_before_is_no_news() -> None:
    class Lies(Tells):
        told: ClassVar[dict[str, Any]] = {"charged": 7}

    said = Said(Lies)
    assert said.wrong == ["ledger-drift"]
    said.hears("reserve", on=0, new=0, amount=1)
    assert said.wrong == ["ledger-drift"]


def test_balances_of_a_closed_account_are_compared_too() -> None:
    class Forgets(Tells):
        def balances(self, scope: Any) -> dict[str, int]:
            return {"returned": 0}

    said = Said(Forgets, accounts=2)
    assert said.wrong == []
    said.hears("close", on=1)
    assert said.wrong == ["ledger-drift"]
    assert said.run.findings[-1].sentence == "a1 reports returned 0, but it is 1"


@pytest.mark.parametrize("told", [{"rest": 1}, {"charged": 1.0}, {"charged": True}])
def test_a_balance_that_is_none_is_the_fault_of_the_adapter(told: dict[str, Any]) -> None:
    class Odd(Tells):
        pass

    Odd.told = told
    with pytest.raises(AdapterFailed, match="balances returned"):
        Lockstep(Odd()).open(new=0, amount=4)


@pytest.mark.parametrize(("cap", "complete", "fails"), [(0, False, False), (0, True, True), (1, False, True)])
def test_a_root_that_cannot_be_opened_is_an_error(cap: int, complete: bool, fails: bool) -> None:
    class Opens(Everything):
        def open(self, cap: int) -> Any:
            raise Over(f"no cap of {cap}")

    Opens.complete = complete
    if fails:
        with pytest.raises(AdapterFailed, match=rf"open\({cap}\) was refused: Over: no cap of {cap}"):
            Lockstep(Opens()).open(new=0, amount=cap)
    else:
        assert Lockstep(Opens()).open(new=0, amount=cap) == ()
