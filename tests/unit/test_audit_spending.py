"""What a person acts on: who spent most, when a cap was exceeded, what another cap would have refused, and the plot."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsound_checker.audit import spending
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.auditing import audit
from capsound_checker.audit.mapping import parse_mapping
from capsound_checker.audit.moments import date, hour_named, nanoseconds
from capsound_checker.audit.plot import write_spending
from capsound_checker.audit.series import POINTS, Curve
from capsound_checker.audit.spent import percent
from capsound_checker.audit.units import PICO_USD, BadCap, caps_in
from capsound_checker.display.schemas import schema_of

Events = list[dict[str, Any]]


def lines(events: Events) -> list[str]:
    return [json.dumps(event) + "\n" for event in events]


def opened(cap: int = 60, root: str = "root") -> dict[str, Any]:
    return {"event": "open", "root": root, "cap": cap}


def call(n: int, held: int, bill: int, root: str = "root", **more: Any) -> Events:
    return [
        {"event": "reserve", "account": root, "hold": f"h{n}", "amount": held, **more},
        {"event": "send", "hold": f"h{n}", "call": f"c{n}"},
        {"event": "bill", "call": f"c{n}", "amount": bill},
        {"event": "settle", "hold": f"h{n}", "amount": bill},
    ]


def most(told: Audit, kind: str) -> list[tuple[str | None, int]]:
    share = next(share for share in told.spent.shares if share.kind == kind)
    return [(part.name, part.amount) for part in share.parts]


# ------------------------------------------------------------------------------------- who spent most


def test_who_spent_most_is_told_and_who_has_no_name_is_one_of_them() -> None:
    events = [opened(500)]
    for n, (agent, bill) in enumerate([("a", 5), ("b", 30), (None, 20), ("a", 10), (None, 1)]):
        events += call(n, 30, bill, **({} if agent is None else {"agent": agent}))
    told = audit(lines(events))
    assert most(told, "agent") == [("b", 30), (None, 21), ("a", 15)]
    assert most(told, "model") == [(None, 66)]
    assert "spent by agent: b 30 (45.5%) · (no agent) 21 (31.8%) · a 15 (22.7%)" in told.text()
    assert "no bill tells its model or time" in told.text()


def test_a_model_and_a_time_beside_an_event_are_read() -> None:
    """The model may be told where the call begins, or where its bill is."""
    first, second = call(1, 30, 7, model="small"), call(2, 30, 9)
    second[2]["model"] = "large"
    for event in first:
        event["at"] = "2026-01-05T10:59:59Z"
    for event in second:
        event["at"] = "2026-01-05T12:00:00+01:00"
    told = audit(lines([opened(), *first, *second]))
    assert most(told, "model") == [("large", 9), ("small", 7)]
    assert most(told, "hour") == [("2026-01-05T11Z", 9), ("2026-01-05T10Z", 7)]


def test_what_is_recorded_without_a_call_counts_too() -> None:
    told = audit(lines([opened(), {"event": "record", "account": "root", "amount": 8, "model": "small", "at": 7300}]))
    assert (most(told, "model"), most(told, "agent"), most(told, "hour")) == (
        [("small", 8)],
        [(None, 8)],
        [("hour 2", 8)],
    )


def test_beyond_ten_the_others_are_counted_together() -> None:
    events = [opened(10_000)]
    for n in range(14):
        events += call(n, 40, n + 1, agent=f"agent-{n:02}")
    told = audit(lines(events))
    share = told.spent.shares[0]
    assert [part.amount for part in share.parts] == list(range(14, 4, -1))
    assert (share.others, share.amount, share.endless) == (4, 1 + 2 + 3 + 4, False)
    assert "4 more 10 (9.5%)" in told.text()


def test_there_is_an_end_to_what_is_kept_apart_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spending, "KEYS", 3)
    events = [opened(10_000)]
    for n in range(6):
        events += call(n, 40, 10, agent=f"a{n}")
    told = audit(lines(events))
    assert most(told, "agent") == [("a0", 10), ("a1", 10), ("a2", 10)]
    assert "many more 30 (50%)" in told.text()
    assert told.data()["spent"]["by"]["agent"]["complete"] is False


def test_models_of_calls_that_were_forgotten_take_no_memory() -> None:
    monitored: list[int] = []

    def source() -> Any:
        yield from lines([opened(10**9)])
        for n in range(9000):
            yield from lines(call(n, 1, 1, model="m"))
            if n % 1000 == 999:
                monitored.append(len(auditor.spending.named))

    from capsound_checker.audit import auditing

    auditor = auditing.Auditor("-", None, None, "auto", False, 10, 5, None, frozenset(), ())
    assert auditor.run(source()).spent.total == 9000
    assert max(monitored) <= 1100


@given(st.lists(st.tuples(st.integers(0, 10**14), st.integers(1, 9)), min_size=1, max_size=60), st.randoms())
def test_a_tally_is_exact_in_any_order(found: list[tuple[int, int]], rnd: random.Random) -> None:
    tally = spending.Tally()
    shuffled = [(key % 20, amount) for key, amount in found]
    rnd.shuffle(shuffled)
    expected: Counter[int] = Counter()
    for key, amount in shuffled:
        tally.add(key, amount)
        expected[key] += amount
    share = tally.share("hour")
    assert [(p.name, p.amount) for p in share.parts] == [
        (f"hour {key}", amount) for key, amount in sorted(expected.items(), key=lambda p: (-p[1], p[0]))[:10]
    ]
    assert sum(p.amount for p in share.parts) + share.amount == sum(expected.values())


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 3, "33.3%"),
        (2, 3, "66.7%"),
        (1, 1, "100%"),
        (1, 10**9, "<0.1%"),
        (10**9 - 1, 10**9, ">99.9%"),
        (1, 2000, "0.1%"),
    ],
)
def test_a_share_is_rounded_and_neither_end_is_reached_by_rounding(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


# ------------------------------------------------------------------------------- when a cap was exceeded


def test_the_first_overshoot_and_the_largest_are_told_with_their_places() -> None:
    events = [opened(10, "a"), opened(10, "b")]
    for n, (root, bill) in enumerate([("a", 9), ("b", 12), ("a", 9), ("b", 1), ("a", 30)]):
        events += [{**event, "at": 100 + n} for event in call(n, 40, bill, root)]
    told = audit(lines(events))
    first, largest = told.spent.first, told.spent.largest
    assert first is not None
    assert largest is not None
    assert (first.root, first.over, first.when.line, first.when.text) == ("b", 2, 9, "line 9, 101 s")
    assert (largest.root, largest.over, largest.when.line) == ("a", 38, 21)
    assert "over the cap first: b by 2 (line 9, 101 s)" in told.text()
    assert "over the cap most: a by 38 (line 21, 104 s)" in told.text()


def test_without_an_overshoot_nothing_is_said_of_one() -> None:
    told = audit(lines([opened(), *call(1, 31, 31)]))
    assert told.data()["spent"]["first_over"] is told.data()["spent"]["largest_over"] is None
    assert "over the cap" not in told.text()


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (5, "5 s"),
        (1767225600, "2026-01-01T00:00:00Z"),
        (1767225600_000, "2026-01-01T00:00:00Z"),
        (1767225600_250_000, "2026-01-01T00:00:00.25Z"),
        (1767225600_000_000_000, "2026-01-01T00:00:00Z"),
    ],
)
def test_a_number_is_a_time_in_the_unit_that_its_size_says(at: int, told: str) -> None:
    assert date(nanoseconds(at)) == told


def test_a_time_that_is_in_no_calendar_is_a_number() -> None:
    assert date(10**40).endswith(" ns")
    assert hour_named(10**30)


# ------------------------------------------------------------------ what another cap would have refused


@dataclass(frozen=True)
class Reference:
    """What a cap would have refused, computed anew for each call from all events before it."""

    events: Events
    cap: int

    def known(self, hold: str, until: int) -> int | None:
        calls = {e["call"] for e in self.events if e["event"] == "send" and e["hold"] == hold}
        before = self.events[:until]
        bills = [e["amount"] for e in before if e["event"] == "bill" and e["call"] in calls]
        told = [e["amount"] for e in before if e["event"] == "settle" and e["hold"] == hold]
        return sum(bills) if bills else told[0] if told else None

    def counts(self, place: int, until: int) -> int:
        """Return what the call admitted at ``place`` takes of the cap before the event at ``until``."""
        began = self.events[place]
        if began["event"] == "record":
            return int(began["amount"])
        hold = began["hold"]
        after = self.events[place:until]
        held = began["amount"] + sum(e["amount"] for e in after if e["event"] == "extend" and e["hold"] == hold)
        known = self.known(hold, until) or 0
        ended = {e["event"] for e in after if e.get("hold") == hold and e["event"] in ("settle", "release")}
        return known if ended else max(held, known)

    def refused(self) -> list[int]:
        admitted: list[int] = []
        out: list[int] = []
        for place, event in enumerate(self.events):
            if event["event"] not in ("reserve", "record"):
                continue
            taken = sum(
                self.counts(other, place) for other in admitted if self.events[other]["account"] == event["account"]
            )
            (out if taken + event["amount"] > self.cap else admitted).append(place)
        return out

    def cost(self, place: int) -> int | None:
        event = self.events[place]
        return event["amount"] if event["event"] == "record" else self.known(event["hold"], len(self.events))


@st.composite
def histories(draw: st.DrawFn) -> Events:
    """Draw a log of calls that overlap, some without a bill, a settlement or an end."""
    events: Events = [opened(50, "a"), opened(50, "b")]
    waiting: list[Events] = []
    for n in range(draw(st.integers(1, 9))):
        root = draw(st.sampled_from("ab"))
        amount = draw(st.integers(0, 30))
        if draw(st.integers(0, 5)) == 0:
            events.append({"event": "record", "account": root, "amount": amount})
            continue
        events.append({"event": "reserve", "account": root, "hold": f"h{n}", "amount": amount})
        bill = draw(st.integers(0, 40))
        tail: Events = [{"event": "send", "hold": f"h{n}", "call": f"c{n}"}]
        if draw(st.integers(0, 3)) == 0:
            tail.append({"event": "extend", "hold": f"h{n}", "amount": draw(st.integers(1, 9))})
        if draw(st.booleans()):
            tail.append({"event": "bill", "call": f"c{n}", "amount": bill})
        end = draw(st.sampled_from(["settle", "settle", "settle", "release", "forfeit", ""]))
        if end:
            tail.append({"event": end, "hold": f"h{n}", **({"amount": bill} if end == "settle" else {})})
        if draw(st.integers(0, 4)) == 0:
            tail.append({"event": "bill", "call": f"c{n}", "amount": draw(st.integers(0, 9))})
        waiting.append(tail)
        while waiting and draw(st.integers(0, 3)):
            chosen = draw(st.integers(0, len(waiting) - 1))
            events.append(waiting[chosen].pop(0))
            if not waiting[chosen]:
                del waiting[chosen]
    return events + [event for tail in waiting for event in tail]


@given(histories(), st.lists(st.integers(0, 120), min_size=1, max_size=3, unique=True))
def test_each_refusal_is_that_of_the_reference(events: Events, caps: list[int]) -> None:
    told = audit(lines(events), bills="logged", what_if=tuple(caps))
    for cap, supposed in zip(caps, told.spent.supposed, strict=True):
        reference = Reference(events, cap)
        refused = reference.refused()
        costs = [reference.cost(place) for place in refused]
        calls = [place for place, e in enumerate(events) if e["event"] in ("reserve", "record")]
        kept = [place for place in calls if place not in refused]
        billed: Counter[str] = Counter()
        for place in kept:
            billed[events[place]["account"]] += reference.cost(place) or 0
        assert supposed.cap == cap
        assert (supposed.calls, supposed.refused) == (len(calls), len(refused))
        assert supposed.refused_billed == sum(cost or 0 for cost in costs)
        assert supposed.refused_unknown == costs.count(None)
        assert supposed.billed == sum(billed.values())
        assert supposed.overshoot == max([0, *(total - cap for total in billed.values())])
        first = None if supposed.first is None else (supposed.first.when.line, supposed.first.amount)
        assert first == ((refused[0] + 1, events[refused[0]]["amount"]) if refused else None)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=8), st.integers(0, 60))
def test_a_gate_that_holds_what_it_admits_is_never_over_where_no_bill_is_above_its_hold(
    amounts: list[tuple[int, int]], cap: int
) -> None:
    calls = [call(n, held, min(held, bill)) for n, (held, bill) in enumerate(amounts)]
    events = [opened(10), *[c[0] for c in calls], *[e for c in calls for e in c[1:]]]
    (supposed,) = audit(lines(events), what_if=(cap,)).spent.supposed
    assert supposed.overshoot == 0
    assert supposed.billed + supposed.refused_billed == sum(min(pair) for pair in amounts)


def test_the_race_is_refused_by_a_gate_that_holds_what_it_admits() -> None:
    calls = [call(n, 31, 23) for n in range(3)]
    events = [opened(60), *[c[0] for c in calls], *[e for c in calls for e in c[1:]]]
    told = audit(lines(events), what_if=(60, 93))
    assert [(s.refused, s.refused_billed, s.billed) for s in told.spent.supposed] == [(2, 46, 23), (0, 0, 69)]
    assert (
        "a cap of 60 would refuse 2 of 3 calls: 46 less, 23 billed; the first asked for 31 on root (line 3)"
        in told.text()
    )


def test_a_bill_above_its_estimate_is_over_all_the_same() -> None:
    told = audit(lines([opened(60), *call(1, 10, 70)]), what_if=(50,))
    assert told.spent.supposed[0].overshoot == 20
    assert "(20 over all the same)" in told.text()


def test_a_list_of_caps_is_each_of_them_once() -> None:
    assert caps_in(["10,20", "15", "20"], "tokens") == (10, 20, 15)
    assert caps_in(["$1,2usd"], PICO_USD) == (10**12, 2 * 10**12)


@pytest.mark.parametrize(("text", "unit"), [("1,000", "tokens"), ("$1,000", PICO_USD), ("1,", "tokens")])
def test_a_number_that_may_be_a_list_is_an_error(text: str, unit: str) -> None:
    with pytest.raises(BadCap):
        caps_in([text], unit)


# ----------------------------------------------------------------------------------- in dollars, as data

DOLLARS = """
title = "t"
unit = "pico-USD"
[[rules]]
name = "r"
when = { c = { present = true } }
[[rules.emit]]
event = "record"
account = "who"
amount = { field = "c", scale = 1_000_000_000_000 }
"""


def test_money_is_written_as_dollars_beside_exact_amounts() -> None:
    log = lines([{"who": "x", "c": "0.03"}, {"who": "x", "c": "0.045"}])
    told = audit(log, mapping=parse_mapping(DOLLARS), cap=50_000_000_000, what_if=(10**10,))
    data = told.data()
    (finding,) = [f for f in data["findings"] if f["anomaly"] == "overshoot"]
    assert finding["sentence"] == "x was billed $0.075 of a cap of $0.05: $0.025 over"
    assert finding["numbers"]["billed"] == 75_000_000_000
    assert data["spent"]["first_over"] == {
        "root": "x",
        "cap": 50_000_000_000,
        "over": 25_000_000_000,
        "over_text": "$0.025",
        "line": 2,
        "at": None,
    }
    assert data["spent"]["what_if"][0]["refused_billed_text"] == "$0.075"
    jsonschema.validate(json.loads(json.dumps(data)), schema_of("audit"))


# ------------------------------------------------------------------------------------------ the plot


@given(st.lists(st.tuples(st.integers(0, 10**18), st.integers(1, 100)), min_size=1, max_size=3000), st.randoms())
def test_a_curve_is_the_same_in_any_order_and_its_length_is_bounded(
    found: list[tuple[int, int]], rnd: random.Random
) -> None:
    one, other = Curve(), Curve()
    for at, amount in found:
        one.add(at, amount)
    rnd.shuffle(found)
    for at, amount in found:
        other.add(at, amount)
    assert (one.width, one.points()) == (other.width, other.points())
    assert len(one.sums) <= POINTS
    assert one.points()[-1][1] == sum(amount for _, amount in found)


def test_a_curve_of_few_points_is_exact() -> None:
    curve = Curve()
    for at, amount in [(7, 1), (3, 2), (7, 5)]:
        curve.add(at, amount)
    assert curve.points() == [(3, 2), (7, 8)]


def drawn(tmp_path: Path, name: str, events: Events) -> bytes:
    write_spending(tmp_path / name, audit(lines(events), drawn=True))
    return (tmp_path / name).read_bytes()


@pytest.mark.parametrize("suffix", [".svg", ".png"])
@pytest.mark.parametrize("roots", [1, 2])
@pytest.mark.parametrize("at", [None, 5, 1767225600])
def test_the_same_log_gives_the_same_picture(tmp_path: Path, suffix: str, roots: int, at: int | None) -> None:
    pytest.importorskip("matplotlib")
    events = [opened(30, f"root-{n}$") for n in range(roots)]
    for n in range(12):
        more = {} if at is None else {"at": at + 60 * n}
        events += [{**event, **more} for event in call(n, 10, 5, f"root-{n % roots}$")]
    assert drawn(tmp_path, "one" + suffix, events) == drawn(tmp_path, "two" + suffix, events)


def test_what_is_billed_before_any_time_is_told_is_in_the_curve() -> None:
    told = audit(lines([opened(), *call(1, 5, 5), *[{**e, "at": 9} for e in call(2, 7, 7)]]), drawn=True)
    assert told.curves is not None
    assert told.curves.points("root") == [(9 * 10**9, 12)]
