"""The model: every discipline explored in small scopes, state counts pinned, every violation seen by the monitor."""

from __future__ import annotations

import pytest

from capsound.accounts import RULES, RuleBroken, State, apply
from capsound.affine import check_linear, parse_program
from capsound.anomalies import ANOMALIES, IMPLICATIONS, implied_by
from capsound.disciplines import DISCIPLINES, discipline
from capsound.errors import BadAmount, BadDiscipline, BadTrace
from capsound.events import (
    EVENT_TYPES,
    Accept,
    Bill,
    Close,
    Delegate,
    Event,
    Expire,
    Forfeit,
    Merge,
    Observe,
    Open,
    Refuse,
    Release,
    Reserve,
    Reset,
    Send,
    Settle,
    event_from_dict,
    event_to_dict,
)
from capsound.explorer import Scope, explore
from capsound.guarantees import Guarantee
from capsound.machine import compile_scenario, thaw
from capsound.monitor import fold
from capsound.predicates import default_properties
from capsound.properties import Property
from capsound.scenario import Agents, Assume, CallKind, Faults, Interval, Plain, Scenario, Slice, Stream
from capsound.schedule import parse_token, run_schedule
from capsound.steps import CHECK, DEBIT, RESERVE, SEND, SETTLE
from capsound.verdict import Verdict, merge

NO = Faults()


def scenario(
    name: str,
    *,
    cap: int = 60,
    estimate: int = 31,
    bill: int = 23,
    agents: int = 3,
    faults: Faults = NO,
    a1: bool = True,
    slices: tuple[Slice, ...] = (),
    account: str = "root",
) -> Scenario:
    cost: Plain | Stream = Plain(Interval.exactly(estimate), Interval.exactly(bill))
    if DISCIPLINES[name].streams:
        cost = Stream(Interval.exactly(10), 2)
    return Scenario(
        "pinned",
        Interval.exactly(cap),
        name,
        (Agents("w", agents, account, "c"),),
        (CallKind("c", cost),),
        faults=faults,
        slices=slices,
        assume=Assume(a1=a1),
    )


# distinct states, transitions, worst overshoot, and the length of the shortest run that breaks each property
PINNED = {
    ("four-line-counter", "plain"): (4, 3, 0, {}),
    ("racy-counter", "plain"): (21, 40, 9, {"cap": 6}),
    ("racy-counter", "timeout"): (31, 69, 9, {"cap": 6}),
    ("lost-update-counter", "plain"): (50, 95, 9, {"cap": 6, "truth": 8}),
    ("lock-whole-call", "plain"): (11, 10, 0, {}),
    ("lock-whole-call", "cancel"): (29, 30, 9, {"cap": 11}),
    ("lock-whole-call", "crash"): (None, None, 0, {"progress": 2}),
    ("reserve-settle", "plain"): (16, 20, 0, {}),
    ("reserve-settle", "cancel"): (33, 44, 0, {}),
    ("two-phase", "plain"): (50, 98, 9, {"cap": 9}),
    ("release-on-cancel", "cancel"): (40, 52, 9, {"cap": 8}),
    ("forfeit-on-cancel", "cancel"): (33, 44, 0, {}),
    ("retry-same-hold", "timeout"): (37, 51, 9, {"truth": 5, "cap": 7}),
    ("retry-new-hold", "timeout"): (23, 30, 0, {}),
    ("record-after", "plain"): (20, 40, 9, {"cap": 6}),
    ("prepay", "plain"): (10, 13, 0, {}),
    ("settle-capped", "overrun"): (10, 13, 0, {"truth": 3}),
    ("reserve-settle", "overrun"): (10, 13, 0, {}),
    ("stream-extend", "plain"): (None, None, 0, {}),
}
FAULTS = {"cancel": Faults(cancel=1), "timeout": Faults(timeout=1), "crash": Faults(crash=1)}


@pytest.mark.parametrize(("name", "what"), PINNED, ids=lambda v: str(v))
def test_small_scopes_are_pinned(name: str, what: str) -> None:
    distinct, transitions, worst, broken = PINNED[name, what]
    overrun = what == "overrun"
    given = scenario(name, faults=FAULTS.get(what, NO), a1=not overrun, bill=40 if overrun else 23)
    machine = compile_scenario(given)
    asked = [p for p in default_properties(machine) if p is not Property.HANDLES]
    found = explore(machine, asked)
    assert found.complete
    if distinct is not None:
        assert (found.distinct, found.transitions) == (distinct, transitions)
    assert found.worst_overshoot == worst
    assert {p.value: len(s.choices) for p, s in found.found.items()} == broken
    for prop, schedule in found.found.items():
        report = fold(run_schedule(machine, schedule).events)
        assert report.verdicts[prop] is Verdict.VIOLATED
        assert parse_token(schedule.token) == schedule


@pytest.mark.parametrize("name", [n for n, d in DISCIPLINES.items() if not d.streams])
def test_books_of_the_machine_and_of_the_monitor_agree(name: str) -> None:
    """Whatever a discipline does, the monitor's true bills are those of the machine, run by run."""
    machine = compile_scenario(scenario(name, agents=2, faults=Faults(1, 1, 1)))
    found = explore(machine, [Property.CAP], Scope(states=4_000), keep_states=True)
    assert found.distinct >= 3
    for schedule in found.found.values():
        trace = run_schedule(machine, schedule)
        state = fold(trace.events).state
        end = thaw(machine, trace.steps[-1].values)
        assert state.billed_below("root") == sum(ledger.billed for ledger in end.ledgers)


def test_a_slice_that_is_copied_is_minted() -> None:
    given = scenario(
        "copied-slices",
        cap=40,
        estimate=30,
        bill=30,
        agents=1,
        slices=(Slice("s", "root", Interval.exactly(40)),),
        account="s",
    )
    machine = compile_scenario(given)
    found = explore(machine, [Property.CONSERVATION]).found[Property.CONSERVATION]
    assert fold(run_schedule(machine, found).events).anomalies() == ("minted",)


def test_a_race_is_a_block_that_was_cut_in_two() -> None:
    whole = discipline("whole", "check and reserve at once", [[CHECK, RESERVE], [SEND], [SETTLE]])
    cut = discipline("cut", "check, then reserve", [[CHECK], [RESERVE], [SEND], [SETTLE]])
    base = scenario("reserve-settle")
    assert not explore(compile_scenario(base, discipline=whole), [Property.CAP]).found
    assert explore(compile_scenario(base, discipline=cut), [Property.CAP]).found


@pytest.mark.parametrize(
    "blocks",
    [[[SEND], [CHECK], [DEBIT]], [[CHECK], [CHECK], [SEND]], [[RESERVE], [SEND]], [[RESERVE, CHECK], [SEND]]],
)
def test_a_discipline_that_could_not_run_is_refused(blocks: list) -> None:
    with pytest.raises(BadDiscipline):
        discipline("bad", "", blocks)


# ------------------------------------------------------------------------------------ the reference semantics

OPEN: list[Event] = [Open("root", 10), Delegate("root", "s", 4)]
HELD: list[Event] = [Reserve("root", "h", 5), Send("h", "c"), Bill("c", 5)]

BREAKS: list[tuple[str, str, list[Event]]] = [
    ("R1", "stale-admit", [*OPEN, Reserve("root", "a", 5), Reserve("root", "b", 2)]),
    ("R2", "over-admit", [*OPEN, Reserve("root", "a", 7)]),
    (
        "R3",
        "no-stop",
        [Open("r", 1), Reserve("r", "a", 1), Send("a", "c"), Bill("c", 1), Settle("a", 1), Reserve("r", "b", 1)],
    ),
    ("R4", "minted", [*OPEN, Delegate("root", "t", 7)]),
    ("R5", "use-after-move", [*OPEN, Close("s"), Reserve("s", "a", 0)]),
    ("R6", "double-settle", [*OPEN, *HELD, Settle("h", 5), Settle("h", 5)]),
    ("R7", "use-after-move", [*OPEN, Reserve("root", "h", 1), Release("h"), Send("h", "c")]),
    ("R8", "refund-after-send", [*OPEN, *HELD, Release("h")]),
    ("R9", "ledger-drift", [*OPEN, *HELD, Settle("h", 4)]),
    ("R10", "overshoot", [Open("r", 1), Reserve("r", "h", 1), Send("h", "c"), Bill("c", 2)]),
    ("R11", "slice-overshoot", [*OPEN, Reserve("s", "h", 4), Send("h", "c"), Bill("c", 5)]),
    ("R12", "false-refusal", [*OPEN, Refuse("root", 6)]),
    ("R13", "wrong-root", [*OPEN, Open("r2", 3), Merge("root", "r2")]),
    ("R14", "minted", [*OPEN, Merge("s", "s")]),
    ("R15", "vanished", [*OPEN, Reserve("s", "h", 1), Close("s")]),
    ("R16", "late-refusal", [*OPEN, *HELD, Refuse("root", 5, hold="h")]),
    ("R17", "expired-hold", [*OPEN, *HELD, Expire("h")]),
    ("R18", "window-leak", [Open("r", 1), Reserve("r", "h", 1), Send("h", "c"), Reset("r", ("h",)), Bill("c", 2)]),
]


@pytest.mark.parametrize(("rule", "anomaly", "events"), BREAKS, ids=[b[0] for b in BREAKS])
def test_every_rule_is_checked_once(rule: str, anomaly: str, events: list[Event]) -> None:
    state = State()
    for event in events[:-1]:
        state = apply(state, event)
    with pytest.raises(RuleBroken) as broken:
        apply(state, events[-1])
    assert rule in [b.rule.id for b in broken.value.breaches]
    assert anomaly in fold(events).anomalies()


def test_every_rule_has_a_case_and_a_known_anomaly() -> None:
    assert [b[0] for b in BREAKS] == list(RULES)
    assert {rule.anomaly for rule in RULES.values()} <= set(ANOMALIES)


def test_conservation_through_a_whole_life() -> None:
    events: list[Event] = [
        *OPEN,
        Delegate("s", "t", 3),
        Reserve("t", "a", 2),
        Send("a", "c"),
        Bill("c", 4),
        Settle("a", 4),
        Reserve("s", "b", 1),
        Forfeit("b"),
    ]
    state = State()
    for event in events:
        try:
            state = apply(state, event)
        except RuleBroken:
            from capsound.accounts import move

            state = move(state, event)
        assert all(account.conserved for account in state.accounts.values()), event
    assert state.accounts["t"].available == -1
    merged = apply(state, Merge("root", "t")) if not state.accounts["t"].held else state
    assert all(account.conserved for account in merged.accounts.values())


def test_closing_a_slice_neither_mints_nor_loses() -> None:
    state = State()
    for event in [*OPEN, Close("s")]:
        state = apply(state, event)
    assert state.accounts["root"].available == 10
    assert (state.accounts["s"].available, state.accounts["s"].returned) == (0, 4)
    assert all(account.conserved for account in state.accounts.values())


def test_a_refused_slice_is_a_slice_of_nothing() -> None:
    """Its agents may still try to use it: the run is one that the monitor can judge."""
    given = scenario(
        "reserve-settle",
        cap=10,
        estimate=0,
        bill=3,
        agents=1,
        a1=False,
        slices=(Slice("s", "root", Interval.exactly(40)),),
        account="s",
    )
    machine = compile_scenario(given)
    found = explore(machine, [Property.SLICE]).found[Property.SLICE]
    assert "slice-overshoot" in fold(run_schedule(machine, found).events).anomalies()


def test_a_call_given_up_before_its_reservation_loses_nothing() -> None:
    machine = compile_scenario(scenario("two-phase", faults=Faults(cancel=1), agents=1))
    for token in ("cs1:60/0.0c", "cs1:60/0.0.0c"):
        report = fold(run_schedule(machine, parse_token(token)).events)
        assert report.anomalies() == ()
        assert report.state.accounts["root"].available == 60


def test_a_retry_under_one_hold_is_no_failure_of_the_provider() -> None:
    machine = compile_scenario(scenario("retry-same-hold", faults=Faults(timeout=1)))
    report = fold(run_schedule(machine, parse_token("cs1:60/0.0.0.1.1.1t.1")).events)
    assert report.anomalies() == ("overshoot",)
    assert not report.exercise.overran
    assert report.refuted is Guarantee.FAULT_TOLERANT


def test_what_ends_stops_is_the_recorded_spend() -> None:
    """The books say that 5 of 4 is spent; the ledger dropped the excess and does not know."""
    bills: list[Event] = [Open("r", 4), Reserve("r", "a", 2), Send("a", "c"), Bill("c", 5), Settle("a", 5)]
    assert "no-stop" not in fold([*bills, Observe("r", 2, 2), Reserve("r", "b", 2)]).anomalies()
    assert "no-stop" in fold([*bills, Observe("r", 5, -1), Reserve("r", "b", 2)]).anomalies()


def test_a_merge_of_nothing_known_is_a_bad_trace() -> None:
    with pytest.raises(BadTrace):
        fold([Open("r", 1), Merge("x", "x")])


def test_a_middle_slice_can_be_closed_after_its_slice_has_spent() -> None:
    """What the closed slice has spent stays delegated in its parent: that is no breach."""
    spent: list[Event] = [Reserve("b", "h", 3), Send("h", "c"), Bill("c", 3), Settle("h", 3)]
    events: list[Event] = [Open("r", 10), Delegate("r", "a", 8), Delegate("a", "b", 5), *spent, Close("b"), Close("a")]
    report = fold(events)
    assert report.anomalies() == ()
    assert report.state.accounts["r"].available == 7
    assert all(account.conserved for account in report.state.accounts.values())


@pytest.mark.parametrize("still_open", [Reserve("a", "h", 0), Delegate("a", "b", 0)], ids=["hold", "slice"])
def test_an_open_hold_or_slice_of_nothing_keeps_a_slice_open(still_open: Event) -> None:
    assert fold([Open("r", 10), Delegate("r", "a", 8), still_open, Close("a")]).anomalies() == ("vanished",)


def test_dropped_overrun_is_told_from_drift() -> None:
    events: list[Event] = [Open("r", 9), Reserve("r", "h", 2), Send("h", "c"), Bill("c", 5), Settle("h", 5)]
    assert "dropped-overrun" in fold([*events, Observe("r", 2, 7)]).anomalies()
    assert "ledger-drift" in fold([*events, Observe("r", 4, 5)]).anomalies()
    assert fold([*events, Observe("r", 5, 4)]).anomalies() == ()


def test_what_is_said_with_held_is_exact() -> None:
    """Without it the estimates of calls in flight may be counted or not; a debt may be told as 0 remaining."""
    held: list[Event] = [Open("r", 9), Reserve("r", "h", 2)]
    for remaining in (9, 7, 5):
        assert fold([*held, Observe("r", 0, remaining)]).anomalies() == ()
    assert fold([*held, Observe("r", 0, 7, held=2)]).anomalies() == ()
    assert fold([*held, Observe("r", 0, 8, held=2)]).anomalies() == ("minted",)
    assert fold([*held, Observe("r", 0, 6, held=2)]).anomalies() == ("vanished",)


def test_further_balances_are_exact_claims() -> None:
    sliced = [Open("r", 9), Delegate("r", "s", 2)]
    assert (
        fold(
            [*sliced, Observe("r", 0, 7, granted=9, available=7, charged=0, forfeited=0, delegated=2, returned=0)]
        ).anomalies()
        == ()
    )
    for name in ("granted", "available", "charged", "forfeited", "delegated", "returned"):
        report = fold([*sliced, Observe("r", 0, 7, **{name: 5})])
        assert report.anomalies() == ("ledger-drift",)
    debt: list[Event] = [Open("r", 1), Reserve("r", "h", 1), Send("h", "c"), Bill("c", 3), Settle("h", 3)]
    for remaining, told in ((-2, ()), (0, ()), (1, ("minted",)), (-3, ("vanished",))):
        seen = fold([*debt, Observe("r", 3, remaining, held=0)]).anomalies()
        assert tuple(name for name in seen if name != "overshoot") == told


def test_a_refusal_is_late_by_the_hold_that_it_names() -> None:
    sent: list[Event] = [Open("r", 9), Reserve("r", "h", 5), Send("h", "c")]
    assert fold([*sent, Refuse("r", 5)]).anomalies() == ()
    assert fold([*sent, Refuse("r", 5, hold="h")]).anomalies() == ("late-refusal",)
    assert fold([*sent[:2], Refuse("r", 5, hold="h")]).anomalies() == ()
    assert fold([*sent[:2], Refuse("r", 4, hold="h")]).anomalies() == ("false-refusal",)
    assert fold([*sent, Bill("c", 5), Settle("h", 5), Refuse("r", 4, hold="h")]).anomalies() == ("false-refusal",)
    with pytest.raises(BadTrace):
        fold([*sent, Refuse("r", 5, hold="x")])


def test_what_the_driver_saw_accepted_is_a_bad_amount_and_moves_nothing() -> None:
    opened: list[Event] = [Open("r", 9)]
    report = fold([*opened, Accept("r", "reserve", "nan")])
    assert report.anomalies() == ("bad-amount",)
    assert report.findings[0].sentence == "reserve on r accepted nan, which is not an amount"
    assert report.verdicts[Property.ARGUMENTS] is Verdict.VIOLATED
    assert report.refuted is None
    assert report.state.accounts == fold(opened).state.accounts


def test_a_run_in_which_nothing_happens_is_unknown() -> None:
    report = fold([Open("r", 10)])
    assert set(report.verdicts.values()) == {Verdict.UNKNOWN}
    assert merge([]) is Verdict.UNKNOWN
    assert merge([Verdict.SOUND, Verdict.UNKNOWN]) is Verdict.UNKNOWN
    assert merge([Verdict.SOUND, Verdict.UNKNOWN, Verdict.VIOLATED]) is Verdict.VIOLATED


def test_what_a_run_refutes_depends_on_what_it_needed() -> None:
    race = run_schedule(compile_scenario(scenario("racy-counter")), parse_token("cs1:60/0.0.1.1.2.2"))
    assert fold(race.events).refuted is Guarantee.CONCURRENT
    alone: list[Event] = [Open("r", 1), Reserve("r", "h", 2), Send("h", "c"), Bill("c", 2)]
    assert fold(alone).refuted is Guarantee.SEQUENTIAL


def test_events_survive_json() -> None:
    for _, _, events in BREAKS:
        for event in events:
            assert event_from_dict(event_to_dict(event)) == event
    for event in (Accept("r", "settle", "'5'"), Observe("r", 1, -2, held=3), Refuse("r", 5, hold="h")):
        assert event_from_dict(event_to_dict(event)) == event
    assert "held" not in event_to_dict(Observe("r", 1, -2))
    assert len(EVENT_TYPES) == 21
    with pytest.raises(BadAmount):
        event_from_dict({"event": "open", "root": "r", "cap": True})


def test_implications_name_known_anomalies_and_have_no_cycle() -> None:
    assert {n for c, e, _ in IMPLICATIONS for n in (c, e)} <= set(ANOMALIES)
    assert "overshoot" in implied_by("refund-after-send")
    assert all(name not in implied_by(name) for name in ANOMALIES)


def test_linearity() -> None:
    twice = parse_program(["delegate root 20 -> b", "call b -> c", "call b"], ["root"])
    found = check_linear(twice, ["root"])
    assert found is not None
    assert (found.handle, found.line, found.moved_in) == ("b", 3, 2)
    once = parse_program(["delegate root 20 -> b", "call b -> c", "call c", "call root", "call root"], ["root"])
    assert check_linear(once, ["root"]) is None
