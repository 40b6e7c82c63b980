"""Bytes become programs that refer to what exists and keep to their profile; what is printed of them runs again."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from collections import Counter
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo import animal

from capsound.adapter import Adapter, Gate
from capsound.monitor import Monitor
from capsound_checker.programs import clock
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.program import (
    AMOUNTS,
    BEYOND,
    CEILINGS,
    CONCURRENT,
    DELEGATED,
    FAULTY,
    FIELDS,
    MISUSE,
    NEEDS,
    OVERRUNS,
    PASSING,
    PROFILES,
    SEQUENTIAL,
    STOPS,
    STREAMS,
    WINDOWS,
    Profile,
    Step,
    call,
    decode,
    possible,
    written,
)

base: Any = animal("zoo_base")


class Everything(base.Merging):  # type: ignore[misc]  # the zoo is loaded at run time
    def extend(self, hold: Any, amount: int) -> None:
        hold.account.extend(hold, amount)


class Calls(base.Calling):  # type: ignore[misc]
    delegate = base.Slicing.delegate
    close = base.Slicing.close
    merge = base.Merging.merge


ADAPTERS = {"reserve": Everything, "call": Calls, "check": animal("check_then_act").Target}
PROFILE = st.sampled_from(sorted(PROFILES)).map(PROFILES.__getitem__)
CREATES = ("open", "delegate", "clone_scope")
ON_ACCOUNT = ("delegate", "close", "merge", "reserve", "begin", "clone_scope")


def refers_to_what_exists(run: Lockstep, step: Step) -> bool:
    accounts, holds = set(run.scopes), set(run.handles) | set(run.calls)
    if step.do == "open":
        return step.new not in accounts
    if step.do in ("turn", "tick"):
        return True
    if step.do == "bad":
        return step.on in (holds if step.new % 8 in (1, 3, 5, 7) and step.on not in accounts else accounts | holds)
    if step.on not in (accounts if step.do in ON_ACCOUNT else holds):
        return False
    if step.do in CREATES:
        return step.new not in accounts
    if step.do in ("reserve", "begin"):
        return step.new not in holds
    return step.do != "merge" or step.new in accounts


def decoded(adapter: type[Adapter], profile: Profile, data: bytes) -> tuple[Lockstep, list[Step]]:
    """Do what bytes say, as the drivers do; return the run and every step, also those that were skipped."""
    run, steps = Lockstep(adapter()), [Step("open", amount=profile.caps[data[0] % len(profile.caps)])]
    table = profile.table(adapter)
    run.do(steps[0])
    for at in range(1, len(data) - 3, 4):
        if run.spoiled:
            break
        a, b, c = data[at + 1 : at + 4]
        step = decode(run, profile, table[data[at]], a, b, c, strict=run.adapter.strict)
        if step is not None:
            assert refers_to_what_exists(run, step), step
            assert 0 <= step.agent < profile.agents
            assert min(step[1:]) >= 0
            steps.append(step)
            run.do(step)
    return run, steps


@pytest.mark.parametrize("kind", ADAPTERS)
@given(profile=PROFILE, data=st.binary(min_size=1, max_size=161))
def test_any_bytes_are_a_program_of_its_profile(kind: str, profile: Profile, data: bytes) -> None:
    adapter = ADAPTERS[kind]
    if not possible(adapter) & set(profile.weights) & {"reserve", "begin"}:
        return
    run, steps = decoded(adapter, profile, data)
    if profile.a1:
        assert all(hold.deficit == 0 for hold in run.state.holds.values())
        assert not run.report().exercise.overran
    assert run.accounts <= profile.accounts + 1  # a copied scope is one more
    assert run.holds <= profile.holds
    assert run.roots <= profile.roots
    for step in steps:
        assert isinstance(step.do, str)
        assert all(type(value) is int for value in step[1:])
        assert all(getattr(step, name) == 0 for name in set(Step._fields) - {"do", *FIELDS[step.do]}), step
    run.finish()


@given(data=st.binary(min_size=40, max_size=161))
@pytest.mark.parametrize("profile", [SEQUENTIAL, STOPS], ids=lambda p: p.name)
@pytest.mark.parametrize("kind", ADAPTERS)
def test_without_overlap_a_call_ends_before_the_next_is_admitted(kind: str, profile: Profile, data: bytes) -> None:
    run, _ = decoded(ADAPTERS[kind], profile, data)
    assert not run.report().exercise.overlapped
    run.finish()


def test_with_overlap_calls_do_overlap_and_bills_exceed_holds_where_they_may() -> None:
    overlapped = overran = False
    for seed in range(20):
        data = random.Random(seed).randbytes(161)
        overlapped |= decoded(Everything, CONCURRENT, data)[0].report().exercise.overlapped
        overran |= decoded(Everything, OVERRUNS, data)[0].report().exercise.overran
    assert overlapped
    assert overran


def test_small_bytes_are_the_first_of_everything() -> None:
    run = Lockstep(Everything())
    run.open(new=0, amount=4)
    said = [decode(run, FAULTY, do, 0, 0, 0, strict=True) for do in ("reserve", "delegate", "open", "send")]
    assert said == [
        Step("reserve", 0, 0, 0, FAULTY.amounts[0]),
        Step("delegate", 0, 0, 1, FAULTY.amounts[0]),
        Step("open", 0, 0, 1, FAULTY.caps[0]),
        None,
    ]


def test_no_more_is_created_than_the_profile_says() -> None:
    few = replace(DELEGATED, holds=2, roots=2, accounts=3)
    run = Lockstep(Everything())
    run.open(new=0, amount=4)
    for do, most in (("reserve", 2), ("open", 1), ("delegate", 1)):
        for _ in range(most):
            step = decode(run, few, do, 0, 0, 0, strict=True)
            assert step is not None
            run.do(step)
        assert decode(run, few, do, 0, 0, 0, strict=True) is None
    assert (run.holds, run.roots, run.accounts) == (2, 2, 3)


def test_every_kind_of_step_is_made_by_some_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an implementation that offers everything, nothing of the vocabulary is left out."""
    assert "tick" not in PASSING.table(ADAPTERS["reserve"]), "no time passes where no clock can be moved"
    monkeypatch.setattr("capsound_checker.programs.clock.installed", lambda: True)
    made: Counter[str] = Counter()
    for profile in (*PROFILES.values(), *BEYOND.values()):
        for kind in ("reserve", "call"):
            adapter = ADAPTERS[kind]
            for seed in range(12 if profile.table(adapter) else 0):
                made.update(step.do for step in decoded(adapter, profile, random.Random(seed).randbytes(161))[1])
    made.update(step.do for step in decoded(Waiting, FAULTY, random.Random(1).randbytes(900))[1])
    made.update(step.do for step in decoded(Turning, CONCURRENT, random.Random(1).randbytes(400))[1])
    for profile in WINDOWS:
        made.update(step.do for step in decoded(Daily, profile, random.Random(1).randbytes(400))[1])
    for profile in CEILINGS:
        made.update(step.do for step in decoded(Capped, profile, random.Random(1).randbytes(400))[1])
    assert set(made) == set(FIELDS)


class Capped(animal("check_then_act").Target):  # type: ignore[misc,name-defined]
    """One with ceilings."""

    def ceiling(self, scope: Any, cap: int) -> Any:
        return self.open(cap)


class Daily(ADAPTERS["reserve"]):  # type: ignore[misc,valid-type]
    """One with a window."""

    window = "day"

    def clock(self, now: int) -> None:
        pass


class Turning(Calls):
    """Stands for one over a pipe: what is begun in a turn happens when the turn ends."""

    turns = True

    def begin_turn(self, between: int) -> None:
        self.began: list[bool] | None = []

    def end_turn(self) -> list[bool]:
        began, self.began = self.began or [], None
        return began

    async def call(self, scope: Any, estimate: int, provider: Any) -> int:
        import asyncio

        if (began := getattr(self, "began", None)) is not None:
            began.append(True)
            await asyncio.sleep(0)
        return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]


class Waiting(Calls):
    async def call(self, scope: Any, estimate: int, provider: Any) -> int:
        import asyncio

        await asyncio.sleep(0)
        return await super().call(scope, estimate, provider)  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------------------ tables


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("name", PROFILES)
def test_a_table_has_each_step_as_often_as_its_weight_says(name: str, kind: str) -> None:
    profile, adapter = PROFILES[name], ADAPTERS[kind]
    can = {do: weight for do, weight in profile.weights.items() if do in possible(adapter)}
    table = profile.table(adapter)
    if not can:
        assert table == ()
        return
    assert len(table) == 256
    counts = Counter(table)
    assert set(counts) == set(can)
    for do, weight in can.items():
        assert abs(counts[do] - 256 * weight / sum(can.values())) <= 1


def test_a_weight_of_nothing_is_left_out() -> None:
    assert set(Profile("x", {"reserve": 3, "send": 0}).table(Everything)) == {"reserve"}


def offering(gate: Gate, *names: str) -> type[Adapter]:
    def does(self: Adapter, *args: Any) -> Any:
        return None

    return type("Offering", (Adapter,), {"gate": gate, "open": does, **dict.fromkeys(names, does)})


@pytest.mark.parametrize(
    ("gate", "names", "expected"),
    [
        (Gate.RESERVE, (), ""),
        (Gate.RESERVE, ("reserve",), "reserve send clone_hold"),
        (Gate.RESERVE, ("reserve", "settle"), "reserve send settle clone_hold"),
        (Gate.RESERVE, ("reserve", "settle", "release", "forfeit", "extend"),
         "reserve send settle release forfeit extend clone_hold"),
        (Gate.RESERVE, ("settle", "release"), "settle"),
        (Gate.RESERVE, ("reserve", "delegate"), "reserve send delegate clone_hold"),
        (Gate.RESERVE, ("reserve", "delegate", "close", "merge"), "reserve send delegate close merge clone_hold"),
        (Gate.RESERVE, ("reserve", "close", "merge"), "reserve send clone_hold"),
        (Gate.RESERVE, ("reserve", "spent", "remaining"), "reserve send clone_hold clone_scope"),
        (Gate.CHARGE, ("charge",), "reserve send settle"),
        (Gate.CHARGE, ("reserve", "settle"), "settle clone_hold"),
        (Gate.CHECK, ("check",), "reserve send"),
        (Gate.CHECK, ("check", "record"), "reserve send settle"),
        (Gate.RECORD, (), "reserve send"),
        (Gate.RECORD, ("record",), "reserve send settle"),
        (Gate.CALL, ("call",), "begin step reply fail cancel crash"),
        (Gate.CALL, ("call", "reserve", "settle", "release", "forfeit", "extend", "spent", "remaining"),
         "begin step reply fail cancel crash"),
        (Gate.CALL, ("reserve",), ""),
    ],
)  # fmt: skip
def test_what_is_possible(gate: Gate, names: tuple[str, ...], expected: str) -> None:
    assert possible(offering(gate, *names)) == {"open", "bad", *expected.split()}
    assert possible(offering(gate, *names)()) == possible(offering(gate, *names))


def test_needs_and_fields_speak_of_the_same_steps() -> None:
    assert set(NEEDS) <= set(FIELDS)
    assert {do for profile in PROFILES.values() for do in profile.weights} <= set(FIELDS)
    assert {AMOUNTS.name, DELEGATED.name, MISUSE.name, STREAMS.name} <= set(PROFILES)


# --------------------------------------------------------------------------------------------- in writing


def test_a_step_is_told_by_what_matters_of_it() -> None:
    assert call(Step("reserve", 0, 1, 2, 3)) == "reserve(on=1, new=2, amount=3)"
    assert call(Step("reserve", 2, 1, 2, 3)) == "reserve(on=1, new=2, amount=3, agent=2)"
    assert call(Step("open", 0, 0, 1, 9)) == "open(new=1, amount=9)"
    assert call(Step("merge", 0, 1, 2)) == "merge(on=1, new=2)"
    assert call(Step("send", 0, 1, bill=4)) == "send(on=1, bill=4)"


@pytest.mark.parametrize("do", FIELDS)
def test_a_step_reads_back(do: str) -> None:
    step = Step(do, **{name: number for number, name in enumerate(FIELDS[do], start=1)})
    kind, told = call(step).split("(", 1)
    assert Step(kind, **eval(f"dict({told}", {"dict": dict})) == step


def executed(text: str, module: str, target: str, adapter: type[Adapter]) -> tuple[str, Lockstep]:
    """Run a pasted program; return what it prints, and its run."""
    there = ModuleType(module)
    setattr(there, target, adapter)
    sys.modules[module] = there
    space: dict[str, Any] = {}
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "<pasted>", "exec"), space)
    finally:
        del sys.modules[module]
    return out.getvalue(), space["run"]


@given(data=st.binary(min_size=100, max_size=161), profile=st.sampled_from((MISUSE, OVERRUNS, AMOUNTS, DELEGATED)))
@pytest.mark.parametrize("name", ["check_then_act", "double_settle_moves_twice", "late_refusal", "never_refuses"])
def test_a_pasted_program_shows_the_same(name: str, profile: Profile, data: bytes) -> None:
    adapter = animal(name).Target
    run, _ = decoded(adapter, profile, data)
    text = written(run.steps, "Target", "pasted_adapter")
    assert text.startswith("from capsound_checker.lockstep import Lockstep\nfrom pasted_adapter import Target\n\n")
    printed, again = executed(text, "pasted_adapter", "Target", adapter)
    assert again.steps == run.steps
    assert [(f.anomaly, f.sentence) for f in again.findings] == [(f.anomaly, f.sentence) for f in run.findings]
    assert again.events == run.events
    run.finish()
    again.finish()
    assert printed == again.story() + "\n"


def test_a_run_writes_itself_with_the_names_of_its_adapter() -> None:
    run = Lockstep(Everything(), monitor=Monitor())
    run.open(new=0, amount=4)
    run.reserve(on=0, new=0, amount=1, agent=1)
    assert run.program() == (
        "from capsound_checker.lockstep import Lockstep\n"
        f"from {Everything.__module__} import Everything\n"
        "\n"
        "run = Lockstep(Everything())\n"
        "run.open(new=0, amount=4)\n"
        "run.reserve(on=0, new=0, amount=1, agent=1)\n"
        "print(run.story())\n"
    )


class ReadLater(animal("check_then_act").Target):  # type: ignore[misc]
    """Tells what it has spent by coroutines alone, and one more than is true from the second call on."""

    wrong = 0

    async def observe(self, scope: Any) -> Any:
        return super().observe(scope)

    async def spent(self, scope: Any) -> Any:
        spent = super().spent(scope)
        return spent + self.wrong if spent else spent


@pytest.mark.parametrize("wrong", [0, 1])
def test_what_a_coroutine_tells_is_read_and_compared(wrong: int) -> None:
    cls = type("Reads", (ReadLater,), {"wrong": wrong})
    run = Lockstep(cls())
    run.open(new=0, amount=4)
    run.reserve(on=0, new=0, amount=2)
    run.send(on=0, bill=2)
    run.settle(on=0)
    found = [finding.anomaly for finding in run.wrong()]
    assert (found[:1] == ["ledger-drift"]) is bool(wrong), found
    assert bool(found) is bool(wrong)


def test_what_is_no_module_fails_to_load_as_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_installed", [True])
    source = compile("class Both(One, metaclass=Two): pass", "nowhere.py", "exec")
    names = {
        "__name__": "no_module_of_this_name",
        "One": type("M", (type,), {})("One", (), {}),
        "Two": type("N", (type,), {}),
    }
    with pytest.raises(TypeError, match="metaclass conflict"):
        clock.true_where_needed(lambda: exec(source, names))
