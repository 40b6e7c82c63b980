"""What ``capsound check`` calls kept: only what runs could have refuted. Each faulty adapter has a sound twin."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.anomalies import ANOMALIES
from capsound.events import Bill, Event, Open, Reserve, Send, event_to_dict
from capsound.guarantees import Guarantee
from capsound_checker.check.gathering import Gathered
from capsound_checker.check.plan import guarantee_of_profile
from capsound_checker.programs.program import BEYOND, CEILINGS, WINDOWS, Step
from capsound_checker.schedules.races import ended_by_race

Runs = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("check_once", "one_nursery")

ADAPTERS = '''
import asyncio
import threading

from capsound.adapter import Adapter, Gate, Refused, Rejected, Stale


def whole(value):
    if type(value) is not int or value < 0:
        raise Rejected(value)
    return value


class Books:
    def __init__(self, cap):
        self.cap, self.held, self.spent = whole(cap), 0, 0
        self.open = set()

    def free(self):
        return self.cap - self.held - self.spent

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a budget would be a second budget")


class Hold:
    def __init__(self, books, amount):
        self.books, self.amount = books, amount

    def __reduce_ex__(self, protocol):
        raise TypeError("a copy of a hold would be a second hold")

    def end(self):
        if self.books is None:
            raise Stale
        books, self.books = self.books, None
        books.held -= self.amount
        return books


class Sound(Adapter):
    def open(self, cap):
        return Books(cap)

    def reserve(self, scope, amount):
        if whole(amount) > scope.free():
            raise Refused
        scope.held += amount
        return Hold(scope, amount)

    def settle(self, hold, actual):
        whole(actual)
        hold.end().spent += actual

    def forfeit(self, hold):
        hold.end().spent += hold.amount

    def spent(self, scope):
        return scope.spent

    def held(self, scope):
        return scope.held

    def remaining(self, scope):
        return max(0, scope.free())


# ------------------------------------------------------------------ the failure branch of an adapter's own call

class Call(Sound):
    gate = Gate.CALL
    reserve, settle, forfeit = Adapter.reserve, Adapter.settle, Adapter.forfeit

    async def call(self, scope, estimate, provider):
        hold = Sound.reserve(self, scope, estimate)
        try:
            bill = await provider()
        except BaseException:
            self.lost(hold)
            raise
        Sound.settle(self, hold, bill)

    def lost(self, hold):
        Sound.forfeit(self, hold)


class AsksForWhatIsNotOffered(Call):
    def lost(self, hold):
        self.release(hold)


class Misspelt(Call):
    def lost(self, hold):
        hold.finish()


class Wraps(Call):
    """A library may let out what it likes for a failed call."""

    async def call(self, scope, estimate, provider):
        hold = Sound.reserve(self, scope, estimate)
        try:
            bill = await provider()
        except Exception as error:
            self.lost(hold)
            raise LookupError("the provider failed") from error
        except BaseException:
            self.lost(hold)
            raise
        Sound.settle(self, hold, bill)


class NeverFails(Call):
    """Keeps the failure of its provider to itself, before anybody can see it."""

    async def call(self, scope, estimate, provider):
        hold = Sound.reserve(self, scope, estimate)
        Sound.forfeit(self, hold)


# ----------------------------------------------------------------------------------- what does not come back

def forever():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


class HangsInOpen(Sound):
    threads = True

    def open(self, cap):
        forever()


class HangsInSpent(Sound):
    def spent(self, scope):
        forever()


# ----------------------------------------------------------------------------------------- NaN, and misuse

class CountsAnything(Sound):
    """Adds first and takes back what is too much: `inf` leaves books that are no number."""

    def open(self, cap):
        return Books(cap)

    def reserve(self, scope, amount):
        if not isinstance(amount, int | float):
            raise Rejected(amount)
        scope.held += amount
        if not scope.cap - scope.spent - scope.held >= 0:
            scope.held -= amount
            raise Refused
        return Hold(scope, amount)


# --------------------------------------------------------------------------------- who tells less, who tells more

class Loses(Sound):
    """Its ledger records nothing, and says so: nobody can say that it should have stopped."""

    gate = Gate.CHECK
    reserve, settle, forfeit, held = Adapter.reserve, Adapter.settle, Adapter.forfeit, Adapter.held

    def check(self, scope, amount):
        return whole(amount) <= scope.cap

    def record(self, scope, amount):
        whole(amount)

    def remaining(self, scope):
        return scope.cap


class LosesBlindly(Loses):
    spent, remaining = Adapter.spent, Adapter.remaining


class Prepaid(Sound):
    """Debits the estimate before the call, and is never told the bill."""

    gate = Gate.CHARGE
    reserve, settle, forfeit, held = Adapter.reserve, Adapter.settle, Adapter.forfeit, Adapter.held

    def charge(self, scope, amount):
        if whole(amount) > scope.free():
            raise Refused
        scope.spent += amount


# -------------------------------------------------------------------------------------------- threads, asyncio

class Threaded(Sound):
    threads = True

    def open(self, cap):
        books = Books(cap)
        books.lock = threading.Lock()
        return books

    def reserve(self, scope, amount):
        with scope.lock:
            return super().reserve(scope, amount)

    def settle(self, hold, actual):
        whole(actual)
        books = hold.books
        if books is None:
            raise Stale
        with books.lock:
            super().settle(hold, actual)

    def forfeit(self, hold):
        books = hold.books
        if books is None:
            raise Stale
        with books.lock:
            super().forfeit(hold)


class Unlocked(Threaded):
    def reserve(self, scope, amount):
        return Sound.reserve(self, scope, amount)


class AddsAndTakesBack(Sound):
    """Keeps its cap, and refuses now and then what would fit."""

    gate = Gate.CHARGE
    threads = True
    reserve, settle, forfeit, held = Adapter.reserve, Adapter.settle, Adapter.forfeit, Adapter.held

    def open(self, cap):
        books = Books(cap)
        books.lock = threading.Lock()
        return books

    def add(self, scope, amount):
        with scope.lock:
            scope.spent += amount
            return scope.spent

    def charge(self, scope, amount):
        if self.add(scope, whole(amount)) > scope.cap:
            self.add(scope, -amount)
            raise Refused


class AwaitsAtItsGate(Call):
    """Its await lies between the question and the reservation, so that whoever interrupts it finds the race."""

    async def call(self, scope, estimate, provider):
        if whole(estimate) > scope.free():
            raise Refused
        await asyncio.sleep(0)
        scope.held += estimate
        hold = Hold(scope, estimate)
        try:
            bill = await provider()
        except BaseException:
            self.lost(hold)
            raise
        Sound.settle(self, hold, bill)


class Unseen(Call):
    """As over a pipe to a loop that is not ours: whether a call awaits anything on its way to the provider is not seen."""

    every_await = False


class AwaitsBefore(Call):
    async def call(self, scope, estimate, provider):
        await asyncio.sleep(0)
        await super().call(scope, estimate, provider)


class Overshoots(Sound):
    def reserve(self, scope, amount):
        return Hold(scope, whole(amount))
'''


PROGRAMS, SCHEDULES = 15, 300
"""Of each profile, and driver: enough for all that is planted above. What more of them show is made smaller at length."""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("evidence") / "mine.py"
    path.write_text(ADAPTERS)
    return str(path)


@pytest.fixture
def told(capsound: Runs, there: str) -> Callable[..., tuple[int, dict[str, Any]]]:
    def check(name: str, *more: object) -> tuple[int, dict[str, Any]]:
        bounds = ("--programs", PROGRAMS, *(() if "--schedules" in more else ("--schedules", SCHEDULES)))
        ran = capsound("check", f"{there}:{name}", *bounds, "--json", *more)
        assert ran.status in (0, 1, 2), ran.err
        return ran.status, json.loads(ran.out)

    return check


Told = Callable[..., tuple[int, dict[str, Any]]]


def states(data: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["state"] for one in data["guarantees"]}


def why(data: dict[str, Any], name: str) -> str:
    return str(next(one["why"] for one in data["guarantees"] if one["name"] == name))


def evidence(data: dict[str, Any], name: str) -> dict[str, int]:
    return dict(next(one["evidence"] for one in data["guarantees"] if one["name"] == name))


# --------------------------------------------------------------------------------------------- the ladder


def test_what_is_kept_has_evidence_and_says_it(told: Told) -> None:
    status, data = told("Sound")
    assert (status, data["verdict"], data["strongest"]) == (0, "sound", "overrun-bounded")
    for name, needed in (
        ("stops", "at_the_cap"),
        ("sequential", "admitted"),
        ("concurrent", "overlaps"),
        ("fault-tolerant", "faults"),
        ("overrun-bounded", "overruns"),
    ):
        assert evidence(data, name)[needed] > 0
        assert f"{evidence(data, name)['programs']:,} programs" in data["evidence"][name]
    assert states(data)["delegated"] == "not offered"
    assert evidence(data, "delegated") == {}


def test_what_was_not_tried_is_not_kept_and_nothing_above_it_counts(told: Told) -> None:
    status, data = told("Threaded", "--driver", "threads", "--schedules", 60)
    assert (status, data["verdict"], data["strongest"]) == (2, "unknown", "none")
    assert states(data)["stops"] == states(data)["overrun-bounded"] == "not tried"
    assert "overrun-bounded was not tried: no bill exceeded its hold" in data["doubts"]
    assert told("Threaded", "--driver", "threads", "--schedules", 60, "--require", "stops")[0] == 2


def test_a_hang_hides_the_rest_and_keeps_nothing(told: Told) -> None:
    status, data = told("HangsInSpent", "--require", "concurrent")
    assert (status, data["strongest"]) == (2, "none")
    assert states(data)["concurrent"] == "not tried"
    assert states(data)["fault-tolerant"] == "refuted"


@pytest.mark.parametrize("drivers", [(), ("--driver", "threads")])
def test_an_open_that_does_not_come_back(told: Told, drivers: tuple[str, ...]) -> None:
    status, data = told("HangsInOpen", *drivers)
    assert status in (1, 2)
    assert data["strongest"] == "none"


# ------------------------------------------------------------------------------------- the failure branch


@pytest.mark.parametrize(("name", "error"), [("AsksForWhatIsNotOffered", "NotOffered"), ("Misspelt", "AttributeError")])
def test_a_slip_of_the_adapter_in_its_failure_branch_is_no_answer_of_the_library(
    told: Told, name: str, error: str
) -> None:
    status, data = told(name, "--require", "fault-tolerant")
    assert status == 2
    assert any(doubt.startswith("adapter-failed: ") and error in doubt for doubt in data["doubts"])
    assert states(data)["fault-tolerant"] in ("unknown", "not tried")
    assert told(name, "--require", "concurrent", "--driver", "programs")[0] == 0, "what has no fault was tried"


@pytest.mark.parametrize("name", ["Call", "Wraps"])
def test_an_adapter_without_a_slip_is_sound(told: Told, name: str) -> None:
    status, data = told(name)
    assert (status, data["verdict"]) == (0, "sound"), data["found"]
    assert evidence(data, "fault-tolerant")["faults"] > 0


def test_an_error_path_that_no_run_entered_is_named(told: Told) -> None:
    status, data = told("NeverFails", "--require", "fault-tolerant")
    assert status in (1, 2)
    assert why(data, "fault-tolerant").startswith("your code awaited provider() at most once") or data["found"]


# ------------------------------------------------------------------------------------ overlap at the gate


def test_calls_that_are_interrupted_at_their_gate_are_counted(told: Told) -> None:
    _, data = told("AwaitsAtItsGate", "--driver", "asyncio")
    assert states(data)["concurrent"] == "refuted"
    status, data = told("AwaitsBefore")
    assert (status, states(data)["concurrent"]) == (0, "kept")
    assert evidence(data, "concurrent")["overlapped_at_gate"] > 0


@pytest.mark.parametrize("drivers", [(), ("--driver", "programs"), ("--driver", "asyncio")])
def test_without_an_interruption_between_gate_and_provider_concurrent_is_not_tried(
    told: Told, drivers: tuple[str, ...]
) -> None:
    """Calls that overlap at the provider show nothing of a race before it."""
    status, data = told("Unseen", *drivers, "--require", "concurrent")
    assert (status, states(data)["concurrent"], data["strongest"]) == (2, "not tried", "sequential")
    assert why(data, "concurrent") == "no call was interrupted between its gate and the provider"
    assert states(told("Call", *drivers)[1])["concurrent"] == "kept"


# ------------------------------------------------------------------------ what refutes, and what does not


def test_a_false_refusal_of_two_threads_costs_nobody_money(told: Told) -> None:
    status, data = told("AddsAndTakesBack", "--require", "concurrent")
    assert (status, states(data)["concurrent"]) == (0, "kept")
    status, data = told("Unlocked", "--driver", "threads", "--require", "concurrent")
    assert (status, states(data)["concurrent"]) == (1, "refuted")


@pytest.mark.parametrize(
    ("anomaly", "refutes"),
    [
        ("overshoot", Guarantee.CONCURRENT),
        ("stale-admit", Guarantee.CONCURRENT),
        ("double-settle", Guarantee.CONCURRENT),
        ("slice-overshoot", Guarantee.DELEGATED),
        ("hang", Guarantee.FAULT_TOLERANT),
        ("ledger-drift", Guarantee.OVERRUN_BOUNDED),
        ("wrong journal", Guarantee.OVERRUN_BOUNDED),
        ("false-refusal", None),
        ("vanished", None),
    ],
)
def test_what_two_operations_at_once_refute(anomaly: str, refutes: Guarantee | None) -> None:
    assert ended_by_race(anomaly, [*OPENED, RESERVE, RESERVE._replace(new=8)], overspent=False) is refutes


OPENED = Step("open", new=0, amount=6), Step("delegate", on=0, new=1, amount=2), Step("reserve", on=1, new=5, amount=1)
RESERVE = Step("reserve", on=0, new=7, amount=1)


@pytest.mark.parametrize(
    ("other", "rung"),
    [
        (RESERVE._replace(new=8), Guarantee.CONCURRENT),
        (Step("settle", on=5), Guarantee.DELEGATED),  # a hold of the slice
        (Step("close", on=1), Guarantee.DELEGATED),
        (Step("reserve", on=1, new=8, amount=1), Guarantee.DELEGATED),
        (Step("forfeit", on=5), Guarantee.FAULT_TOLERANT),
    ],
)
def test_a_race_ends_the_rung_of_what_its_operations_are_for(other: Step, rung: Guarantee) -> None:
    program = [*OPENED, RESERVE, other]
    for overspent in (True, None):
        assert ended_by_race("ledger-drift", program, overspent) is rung
    assert ended_by_race("ledger-drift", program, overspent=False) is Guarantee.OVERRUN_BOUNDED
    assert ended_by_race("stale-admit", program, overspent=False) is rung
    assert ended_by_race("stranded", program, overspent=None) in (None, ANOMALIES["stranded"].ends)


def test_books_that_are_no_number_do_not_hide_that_a_budget_stops(told: Told) -> None:
    status, data = told("CountsAnything", "--require", "stops")
    assert (status, states(data)["stops"]) == (0, "kept")
    assert any(found["anomaly"] == "bad-amount" for found in data["found"])


def test_who_says_nothing_is_not_accused_of_what_nobody_has_seen(told: Told) -> None:
    for name in ("Loses", "LosesBlindly"):
        _, data = told(name, "--driver", "programs")
        assert "no-stop" not in {found["anomaly"] for found in data["found"]}, name
        assert states(data)["sequential"] == "refuted", name
        assert data["strongest"] in ("none", "stops"), name


def test_who_debits_before_the_call_and_never_hears_of_a_bill_does_not_bound_what_is_above(told: Told) -> None:
    status, data = told("Prepaid")
    assert (status, data["verdict"], data["strongest"]) == (0, "sound", "fault-tolerant")
    assert states(data)["overrun-bounded"] == "assumed"
    assert data["strongest_without"]["A1"] == "fault-tolerant"
    assert told("Prepaid", "--require", "fault-tolerant")[0] == 0
    assert told("Sound")[1]["strongest"] == "overrun-bounded", "its twin is told the bills"


def test_every_refutation_has_a_run(told: Told, tmp_path: Path) -> None:
    _, data = told("Overshoots", "--save", tmp_path / "found")
    saved = [json.loads(path.read_text()) for path in (tmp_path / "found").iterdir()]
    for one in data["guarantees"]:
        if one["state"] != "refuted":
            continue
        name = one["why"].removeprefix("by ")
        ladder = [g.label for g in Guarantee]
        shows = [s for s in saved if s["anomaly"] == name and s["refutes"] is not None and s["token"]]
        assert any(ladder.index(s["refutes"]) <= ladder.index(one["name"]) for s in shows), one


RUN: tuple[Event, ...] = (
    Open(AccountId("a0"), Amount(1)),
    Reserve(AccountId("a0"), HoldId("h0"), Amount(1)),
    Reserve(AccountId("a0"), HoldId("h1"), Amount(1)),
    Send(HoldId("h0"), CallId("c0")),
    Bill(CallId("c0"), Amount(1)),
    Send(HoldId("h1"), CallId("c1")),
    Bill(CallId("c1"), Amount(1)),
)


def test_what_was_met_and_not_made_small_in_time_refutes_as_it_was_met() -> None:
    gathered = Gathered()
    program = [Step("open", amount=1), Step("reserve", new=0, amount=1), Step("reserve", new=1, amount=1)]
    events = [event_to_dict(event) for event in RUN]
    gathered.hear("programs", {"say": "noticed", "name": "overshoot", "program": program, "events": events})
    (shown,) = gathered.all_shown()
    assert (shown.anomaly, shown.refutes) == ("overshoot", Guarantee.CONCURRENT)
    assert shown.sentence.endswith("not shrunk)")
    assert gathered.refutations == [(Guarantee.CONCURRENT, frozenset())]
    lied = Gathered()
    lied.hear("programs", {"say": "noticed", "name": "overshoot", "program": program, "events": events[:3]})
    assert lied.all_shown() == []


# ------------------------------------------------------------------------------- everybody gets a turn


def test_too_many_programs_for_the_time_are_no_sound(told: Told) -> None:
    status, data = told("Sound", "--programs", 10**9, "--budget", "3s")
    assert (status, data["verdict"]) == (2, "unknown")
    assert any(doubt.startswith("time ran out before all programs were run: ") for doubt in data["doubts"])


def test_a_claim_that_had_no_turn_is_no_sound(told: Told) -> None:
    status, data = told("Threaded", "--driver", "programs", "--driver", "misuse")
    assert (status, data["verdict"]) == (2, "unknown")
    assert why(data, "concurrent") == "it claims threads, which had no turn"
    assert data["strongest"] == "sequential"


def test_an_unknown_is_an_error_in_junit_and_named_in_the_annotation(
    capsound: Runs, there: str, tmp_path: Path
) -> None:
    path = tmp_path / "out.xml"
    ran = capsound("check", f"{there}:Misspelt", "--programs", 30, "--driver", "programs", "--junit", path, "--github")
    assert ran.status == 2
    suite = ET.parse(path).getroot()
    errors = [case.get("name") for case in suite if case.find("error") is not None]
    assert {"fault-tolerant", "verdict"} <= set(errors)
    assert int(suite.get("errors", "0")) == len(errors)
    last = ran.out.splitlines()[-1]
    assert last.startswith("::warning ")
    assert "unknown, strongest guarantee concurrent" in last or "strongest guarantee delegated" in last


def test_a_profile_without_a_guarantee_of_its_own_may_have_refuted_any() -> None:
    timeless = BEYOND.keys() - {profile.name for profile in (*WINDOWS, *CEILINGS)}
    assert {guarantee_of_profile(f"proper {name}") for name in timeless} == {Guarantee.STOPS}
    assert guarantee_of_profile("overruns") is Guarantee.OVERRUN_BOUNDED
