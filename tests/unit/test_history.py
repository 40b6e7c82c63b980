"""Recorded histories: races of threads are found, sound implementations are never accused, files are read with care."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
from histories import simulate
from reference_adapter import ReferenceAdapter
from zoo import animal, twins

from capsound.adapter import Adapter, Gate, Refused, offers
from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.histories.history import BadHistory, History, check
from capsound_checker.histories.recording import NotRecordable, record
from capsound_checker.histories.sequential import Operation
from capsound_checker.programs.lockstep import AdapterFailed


class Counter:
    def __init__(self, cap: int) -> None:
        self.cap, self.kept, self.spent = cap, 0, 0

    def free(self) -> int:
        return self.cap - self.kept - self.spent


class Racy(Adapter):
    """Looks and takes without a lock: another thread can come in between."""

    def open(self, cap: int) -> Any:
        return Counter(cap)

    def reserve(self, scope: Any, amount: int) -> Any:
        if amount > scope.free():
            raise Refused
        scope.kept = self.add(scope.kept, amount)
        return [scope, amount]

    def settle(self, hold: Any, actual: int) -> None:
        scope, amount = hold
        hold[1] = 0
        if amount:
            scope.spent = self.add(scope.spent, actual)
            scope.kept = self.add(scope.kept, -amount)

    def add(self, one: int, two: int) -> int:
        return sum((one, two))

    def spent(self, scope: Any) -> int:
        return scope.spent


class HalfLocked(Racy):
    """A lock over each half of `reserve`, and none over both: no update is lost, and too much is admitted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def reserve(self, scope: Any, amount: int) -> Any:
        with self.lock:
            fits = amount <= scope.free()
        if not fits:
            raise Refused
        with self.lock:
            scope.kept += amount
        return [scope, amount]

    def settle(self, hold: Any, actual: int) -> None:
        with self.lock:
            super().settle(hold, actual)

    def spent(self, scope: Any) -> int:
        with self.lock:
            return scope.spent


class ResolvesTwice(HalfLocked):
    """The flag of a hold is tested and set outside of the lock."""

    def reserve(self, scope: Any, amount: int) -> Any:
        with self.lock:
            return Racy.reserve(self, scope, amount)

    def settle(self, hold: Any, actual: int) -> None:
        scope, amount = hold
        if not self.open_still(hold):
            return
        hold[1] = 0
        with self.lock:
            scope.spent += actual
            scope.kept -= amount

    def open_still(self, hold: Any) -> bool:
        return bool(hold[1])


class Locked(Racy):
    """One lock over all of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def reserve(self, scope: Any, amount: int) -> Any:
        with self.lock:
            return super().reserve(scope, amount)

    def settle(self, hold: Any, actual: int) -> None:
        with self.lock:
            super().settle(hold, actual)

    def held(self, scope: Any) -> int:
        with self.lock:
            return scope.kept

    def remaining(self, scope: Any) -> int:
        with self.lock:
            return scope.free()


def with_a_lock(adapter: type[Adapter]) -> type[Adapter]:
    """Return an adapter like ``adapter`` in which one operation runs at a time."""
    lock = threading.RLock()

    def locked(method: Any) -> Any:
        @wraps(method)
        def alone(*args: Any) -> Any:
            with lock:
                return method(*args)

        return alone

    return type(adapter.__name__, (adapter,), {name: locked(getattr(adapter, name)) for name in offers(adapter)})


# ------------------------------------------------------------------------------------------------- real runs


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("adapter", [ReferenceAdapter, Locked])
def test_sound_implementations_are_never_accused(adapter: type[Adapter], seed: int) -> None:
    found = check(record(adapter, seed=seed, operations=1_000, a1=seed % 2 == 0))
    assert found.verdict is Verdict.SOUND, (found.sentence, *found.window)
    assert found.clients == 9  # the ninth reads all balances at the end
    assert found.admitted > 50
    assert found.refused > 10


@pytest.mark.parametrize("name", [n for n in twins() if animal(n).Target.gate is not Gate.CALL])
def test_sound_twins_behind_a_lock_are_never_accused(name: str) -> None:
    for seed in range(3):
        found = check(record(with_a_lock(animal(name).Target), seed=seed, operations=400, clients=4, a1=seed > 0))
        assert found.verdict is not Verdict.VIOLATED, (seed, found.sentence, *found.window)


@pytest.mark.parametrize("adapter", [Racy, HalfLocked, ResolvesTwice])
def test_races_of_threads_are_found(adapter: type[Adapter]) -> None:
    wrong = None
    for seed in range(20):
        found = check(record(adapter, seed=seed))
        if found.verdict is Verdict.VIOLATED:
            wrong = found
            break
    assert wrong is not None
    assert sum(line.startswith("**") for line in wrong.window) == 1
    assert wrong.shortest or len(wrong.window) <= 100  # where nobody reads, the shortest may begin with the account


@pytest.mark.parametrize(
    "name",
    [
        "check_then_act",
        "never_refuses",
        "record_only",
        "delegate_more_than_available",
        "double_settle_moves_twice",
        "extension_not_reserved",
        "false_refusal_strict_less",
        "refused_spend_destroys_balance",
        "settle_refunds_into_parent",
        "slice_not_taken_from_parent",
        "close_forgets_rest",
        "float_drift",
    ],
)
def test_faults_of_the_zoo_are_found_behind_a_lock_too(name: str) -> None:
    assert any(check(record(with_a_lock(animal(name).Target), seed=seed)).anomaly for seed in range(3))


def test_the_clients_of_one_seed_try_the_same() -> None:
    programs = [
        sorted((op.do, op.on, op.amount) for op in record(Locked, clients=1, operations=300, seed=7).operations)
        for _ in range(2)
    ]
    assert programs[0] == programs[1]
    assert check(record(Locked, clients=1, operations=300, seed=7)).overlap == 1


def test_the_switch_interval_is_put_back() -> None:
    before = sys.getswitchinterval()
    record(Locked, operations=50)
    with pytest.raises(AdapterFailed):
        record(Bursting, operations=50)
    assert sys.getswitchinterval() == before


class Bursting(Locked):
    def settle(self, hold: Any, actual: int) -> None:
        raise RuntimeError("nobody knows what this means")


def test_an_exception_that_is_not_classified_is_told() -> None:
    with pytest.raises(AdapterFailed, match=r"Bursting\.settle raised RuntimeError: nobody knows"):
        record(Bursting)


class Interrupting(Locked):
    def settle(self, hold: Any, actual: int) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_in_a_client_ends_the_run_and_is_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        record(Interrupting)


class Hanging(Locked):
    def settle(self, hold: Any, actual: int) -> None:
        self.lock.acquire()  # and it is never given back
        Racy.settle(self, hold, actual)


def test_who_never_comes_back_is_unknown_with_the_evidence() -> None:
    found = check(record(Hanging, clients=3, operations=200, patience=0.3))
    assert found.verdict is Verdict.UNKNOWN
    assert found.exit_status == 2
    assert found.anomaly == "hang"
    assert any("settle" in line or "reserve" in line for line in found.window)


class NeverFull(Locked):
    def open(self, cap: int) -> Any:
        return Counter(cap * 1_000_000)


def test_a_cap_that_is_not_kept_is_seen_in_the_first_admission_above_it() -> None:
    found = check(record(NeverFull, operations=1_000))
    assert found.verdict is Verdict.VIOLATED


def test_a_run_in_which_nothing_was_refused_or_nearly_so_shows_nothing() -> None:
    quiet = [
        Operation(0, "open", 0, 1, 2, amount=100),
        Operation(0, "reserve", 0, 3, 4, new=0, amount=1),
    ]
    found = check(History(tuple(quiet)))
    assert found.verdict is Verdict.UNKNOWN
    assert "shows nothing" in found.sentence


def test_who_calls_the_provider_itself_cannot_be_recorded() -> None:
    with pytest.raises(NotRecordable, match="'call'"):
        record(animal("lost_update").Target)


# --------------------------------------------------------------------------------------- what was found, told


def test_the_monitor_hears_the_true_bills_in_the_order_that_was_found() -> None:
    made = [
        Operation(0, "open", 0, 1, 2, amount=10),
        Operation(0, "reserve", 0, 3, 4, new=0, amount=10),
        Operation(0, "sent", 0, 5, 6, amount=10),
        Operation(0, "settle", 0, 7, 8, amount=4),
        Operation(1, "reserve", 0, 9, 10, new=1, amount=6),
        Operation(1, "sent", 1, 11, 12, amount=6),
    ]
    found = check(History(tuple(made)))
    assert (found.verdict, found.anomaly) == (Verdict.VIOLATED, "ledger-drift")
    assert "at 4 although the provider billed 10" in found.sentence


def test_when_only_reads_are_wrong_it_is_said() -> None:
    history = History(tuple(simulate(400, seed=2, cap=300)), strict=True, complete=True)
    assert check(history).anomaly is None
    at = max(i for i, op in enumerate(history.operations) if op.do == "spent")
    wrong = list(history.operations)
    wrong[at] = replace(wrong[at], value=10**6)
    found = check(replace(history, operations=tuple(wrong)))
    assert (found.verdict, found.anomaly, found.reads_only) == (Verdict.VIOLATED, "ledger-drift", True)
    assert sum(line.startswith("**") for line in found.window) == 1
    assert "spent(a0) -> 1000000" in found.window[-1]


def test_the_verdict_is_the_same_in_any_order_of_lines() -> None:
    history = History(tuple(simulate(300, seed=4, cap=300)), strict=True, complete=True)
    backwards = replace(history, operations=history.operations[::-1])
    assert check(backwards).verdict is check(history).verdict is Verdict.SOUND


# ---------------------------------------------------------------------------------------------------- files


def test_a_history_survives_being_written_and_read() -> None:
    history = record(ReferenceAdapter, operations=300, seed=5)
    assert History.read(history.lines()) == history
    hung = replace(history, hung=("client 1: settle(h1, 3) -> pending",))
    assert History.read(hung.lines()) == hung


HEAD = '{"history": 1}'
OPEN = '{"client": 0, "do": "open", "on": 0, "amount": 5, "called": 1, "returned": 2}'


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ([], 1, "empty"),
        (["[1]"], 1, "not a JSON object"),
        (["{"], 1, "not JSON"),
        (['{"history": 2}'], 1, "history 2"),
        (['{"history": true}'], 1, "history True"),
        (['{"history": 1, "strikt": true}'], 1, "no field 'strikt'"),
        (['{"history": 1, "strict": 1}'], 1, "'strict' is 1"),
        ([HEAD, "", '{"do": "opened"}'], 3, "'opened' is no operation"),
        ([HEAD, OPEN.replace('"amount": 5', '"amount": -5')], 2, "'amount' is -5"),
        ([HEAD, OPEN.replace('"amount": 5', '"amount": 5.0')], 2, "'amount' is 5.0"),
        ([HEAD, OPEN.replace('"amount": 5', '"amount": true')], 2, "'amount' is True"),
        ([HEAD, OPEN.replace('"amount": 5, ', "")], 2, "needs 'amount'"),
        ([HEAD, OPEN.replace('"returned": 2', '"returned": 0')], 2, "before it was called"),
        ([HEAD, OPEN.replace(', "returned": 2', "")], 2, "needs 'returned'"),
        ([HEAD, OPEN.replace("}", ', "outcome": "pending"}')], 2, "has no 'returned'"),
        ([HEAD, OPEN.replace("}", ', "outcome": "fine"}')], 2, "'fine' is no outcome"),
        ([HEAD, OPEN.replace("}", ', "amout": 1}')], 2, "no field 'amout'"),
        ([HEAD, OPEN, OPEN], 3, "line 2 already"),
        ([HEAD, OPEN, '{"client": 0, "do": "settle", "on": 3, "amount": 1, "called": 3, "returned": 4}'], 3, "hold 3"),
        ([HEAD, OPEN, '{"client": 0, "do": "spent", "on": 0, "called": 3, "returned": 4}'], 3, "needs 'value'"),
        ([HEAD, OPEN, '{"client": 0, "do": "merge", "on": 0, "new": 9, "called": 3, "returned": 4}'], 3, "account 9"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line_and_a_cure(lines: list[str], line: int, words: str) -> None:
    with pytest.raises(BadHistory) as caught:
        History.read(lines, "run.jsonl")
    assert caught.value.where == f"run.jsonl:{line}"
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_status == 65


@pytest.mark.parametrize("line", ["null", "3", '"x"', "[[" * 50_000, '{"do": {}}', '{"do": "open", "outcome": []}'])
def test_nonsense_is_bad_input_and_never_our_bug(line: str) -> None:
    for lines in ([line], [HEAD, line]):
        with pytest.raises(BadHistory):
            History.read(lines)


def test_every_line_is_plain_json_without_what_goes_without_saying() -> None:
    lines = list(History((Operation(3, "open", 0, 1, 2, amount=5),)).lines())
    assert json.loads(lines[1]) == {"client": 3, "do": "open", "on": 0, "amount": 5, "called": 1, "returned": 2}


# ------------------------------------------------------------------------------------- what a finding ends


def op(client: int, do: str, on: int, called: int, returned: int, **more: Any) -> Operation:
    return Operation(client, do, on, called, returned, **more)


OPENED = op(0, "open", 0, 1, 2, amount=4)
BOTH = (op(0, "reserve", 0, 3, 6, new=1, amount=3), op(1, "reserve", 0, 4, 5, new=2, amount=3))
REFUSED = op(1, "reserve", 0, 10, 11, amount=3, outcome="refused")
ALONE = op(0, "reserve", 0, 3, 4, new=1, amount=3)
SETTLED = (op(0, "sent", 1, 5, 6, amount=1), op(0, "settle", 1, 7, 8, amount=1))


@pytest.mark.parametrize(
    ("operations", "anomaly", "ends"),
    [
        ((OPENED, *BOTH), "stale-admit", Guarantee.CONCURRENT),
        ((OPENED, ALONE, op(0, "reserve", 0, 5, 6, new=2, amount=3)), "stale-admit", Guarantee.SEQUENTIAL),
        ((OPENED, ALONE, *SETTLED, REFUSED), "false-refusal", None),
        ((OPENED, ALONE, *SETTLED, op(1, "remaining", 0, 10, 11, value=1)), "vanished", None),
        ((OPENED, ALONE, *SETTLED, op(1, "remaining", 0, 10, 11, value=4)), "minted", Guarantee.SEQUENTIAL),
        ((OPENED, ALONE, *SETTLED, op(1, "spent", 0, 10, 11, value=0)), "ledger-drift", Guarantee.SEQUENTIAL),
        ((OPENED, ALONE, *SETTLED, op(1, "spent", 0, 10, 11, value=3)), "ledger-drift", Guarantee.OVERRUN_BOUNDED),
        (
            (OPENED, op(0, "delegate", 0, 3, 4, new=1, amount=3), op(1, "reserve", 1, 5, 6, new=1, amount=4)),
            "over-admit",
            Guarantee.DELEGATED,
        ),
    ],
)
def test_a_finding_ends_what_the_same_anomaly_ends_elsewhere(
    operations: tuple[Operation, ...], anomaly: str, ends: Guarantee | None
) -> None:
    found = check(History(operations, strict=True, complete=True))
    assert (found.verdict, found.anomaly, found.refutes) == (Verdict.VIOLATED, anomaly, ends)


def test_a_read_in_the_middle_of_an_operation_may_be_torn_and_ends_no_cap() -> None:
    torn = op(1, "spent", 0, 7, 9, value=9)
    found = check(History((OPENED, ALONE, op(0, "sent", 1, 5, 6, amount=1), op(0, "settle", 1, 8, 10, amount=1), torn)))
    assert (found.anomaly, found.refutes) == ("ledger-drift", Guarantee.OVERRUN_BOUNDED)


def test_runs_in_which_nobody_was_in_the_way_count_for_nothing() -> None:
    one_of_two = (BOTH[0], replace(BOTH[1], outcome="refused", new=-1))
    assert check(History((OPENED, *one_of_two))).contended == 1
    assert check(History((OPENED, *BOTH))).contended == 0
    assert check(History((OPENED, ALONE, replace(REFUSED, called=10)))).contended == 0


def test_without_slices_nothing_is_delegated() -> None:
    kinds = {o.do for o in record(ReferenceAdapter, clients=3, operations=200, slices=False).operations}
    assert "reserve" in kinds
    assert not kinds & {"delegate", "close", "merge"}
