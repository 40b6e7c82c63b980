"""Theorems 9 to 12: they come out as stated, no mutant of theirs does, and what they say holds of code that runs."""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Callable
from fnmatch import fnmatchcase
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import z3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capsound.disciplines import DISCIPLINES
from capsound.events import Event
from capsound.loading import load_scenario
from capsound.machine import Env, compile_scenario, fire, initial
from capsound.monitor import Monitor, Report
from capsound.scenario import (
    Agents,
    Assume,
    CallKind,
    Estimator,
    Interval,
    Prices,
    Provider,
    Request,
    Scenario,
    Stream,
)
from capsound.schedule import INTS, settled
from capsound_proofs import margins
from capsound_proofs.estimator import judge_estimator
from capsound_proofs.expansion import (
    COMPOSED,
    STATED,
    TRANSFORMS,
    Expansion,
    escape_json,
    largest_expansion,
    percent_encode,
    scalars,
    text_factor,
    utf8,
)
from capsound_proofs.theorem import (
    Answer,
    Kind,
    Obligation,
    Result,
    System,
    Theorem,
    Transition,
    excused,
    mutants,
    noticed,
    prove,
    solve_first,
)
from capsound_proofs.theorems import (
    adaptive_first_call,
    lower_bound,
    smallest_margin,
    streams,
    tokens_per_byte,
)

SCENARIOS = Path(__file__).resolve().parent.parent.parent / "scenarios"
THEOREMS = (tokens_per_byte.THEOREM, smallest_margin.THEOREM, adaptive_first_call.THEOREM, lower_bound.THEOREM)

each = pytest.mark.parametrize("theorem", THEOREMS, ids=lambda theorem: theorem.name)


def judged(events: tuple[Event, ...]) -> Report:
    monitor = Monitor()
    for event in events:
        monitor.feed(event)
    return monitor.report()


# --------------------------------------------------------------------------------------------- as stated


@cache
def proved(number: int) -> Result:
    """Return what both solvers, the monitor and the computations say of a theorem, asked once."""
    return prove(next(theorem for theorem in THEOREMS if theorem.number == number))


@each
def test_two_solvers_and_the_monitor_accept_the_theorem(theorem: Theorem) -> None:
    result = proved(theorem.number)
    assert result.complaints == ()
    assert result.accepted
    assert all(d.second is d.obligation.wanted for d in result.decisions)
    assert result.replayed


@each
def test_every_mutant_is_noticed_or_excused_and_every_excuse_is_needed(theorem: Theorem) -> None:
    made = list(mutants(theorem))
    accepted = [m for m in made if not noticed(m)]
    assert [m.name for m in accepted if not excused(theorem, m)] == []
    assert len(made) - len(accepted) >= 3
    unused = [pattern for pattern in theorem.equivalent if not any(fnmatchcase(m.name, pattern) for m in accepted)]
    assert unused == []


@each
def test_a_refuting_run_needs_each_of_its_bills(theorem: Theorem) -> None:
    """With one bill less no witness overshoots as far: the overshoot is of the bills, not of the bookkeeping."""
    for run in proved(theorem.number).replayed:
        over = judged(run.events).overshoot.get("root", 0)
        if not over:
            continue
        for at in [i for i, event in enumerate(run.events) if event.kind == "bill"]:
            assert judged(run.events[:at] + run.events[at + 1 :]).overshoot["root"] < over


def test_the_numbers_are_those_of_the_issue() -> None:
    assert [(t.number, t.kind) for t in THEOREMS] == [
        (9, Kind.PROVED),
        (10, Kind.PROVED),
        (11, Kind.REFUTED),
        (12, Kind.PROVED),
    ]


# ------------------------------------------------------------------------------- 9: the systems are the code


def holds(system: System, values: dict[str, int], **constants: int) -> list[str]:
    """Return the names of the facts of an invariant, and of what follows, that are wrong of these values."""
    pairs = [(system.variables[name], z3.IntVal(value)) for name, value in values.items()]
    pairs += [(z3.Int(name), z3.IntVal(value)) for name, value in constants.items()]
    facts = (*system.invariant, *system.goal)
    return [f.name for f in facts if not z3.is_true(z3.simplify(z3.substitute(f.term, *pairs)))]


def taken(system: System, transition: Transition, before: dict[str, int], **chosen: int) -> dict[str, int]:
    """Return the state after a transition, which must be possible."""
    pairs = [(system.variables[name], z3.IntVal(value)) for name, value in before.items()]
    pairs += [(z3.Int(name), z3.IntVal(value)) for name, value in chosen.items()]
    for fact in transition.guard:
        assert z3.is_true(z3.simplify(z3.substitute(fact.term, *pairs))), fact.name
    after = {name: z3.simplify(z3.substitute(term, *pairs)).as_long() for name, term in transition.after.items()}
    return {**before, **after}


@settings(max_examples=30)
@given(
    st.lists(st.binary(max_size=8), max_size=3),
    st.lists(st.tuples(st.binary(min_size=1, max_size=3), st.binary(min_size=1, max_size=3)), max_size=8),
    st.sets(st.binary(min_size=1, max_size=8), max_size=3),
)
@example([b"aaaa", b"ab"], [(b"a", b"a"), (b"aa", b"aa")], {b"ab"})
def test_byte_level_bpe_takes_the_steps_of_the_system(
    pieces: list[bytes], merges: list[tuple[bytes, bytes]], known: set[bytes]
) -> None:
    """The merge loop: split, take known pieces whole, else merge the first pair of the list that is there."""
    system = tokens_per_byte.MERGING
    pieces = [piece for piece in pieces if piece]
    size = sum(map(len, pieces))
    state = {"bytes": size, "pieces": min(1, size), "tokens": size, "merges": 0}
    assert holds(system, state) == []
    for _ in pieces[1:]:
        state = taken(system, tokens_per_byte.SPLIT, state)
    total = 0
    for piece in pieces:
        tokens = [piece[i : i + 1] for i in range(len(piece))]
        if piece in known:
            state = taken(system, tokens_per_byte.KNOWN, state, whole=len(piece) - 1)
            tokens = [piece]
        while found := next((p for p in merges if p in pairwise(tokens)), None):
            at = list(pairwise(tokens)).index(found)
            tokens[at : at + 2] = [found[0] + found[1]]
            state = taken(system, tokens_per_byte.MERGE, state)
            assert holds(system, state) == []
        total += len(tokens)
    assert holds(system, state) == []
    assert state["tokens"] == total


@settings(max_examples=200)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from([e.character for e in STATED.values()]))))
@example("\u00e1\u0323")
@example("\ufdfa" * 3)
def test_no_text_grows_by_more_than_the_factor(text: str) -> None:
    for name, transform in TRANSFORMS.items():
        assert utf8(transform(text)) <= text_factor(name) * utf8(text), name
    for composed, decomposed in COMPOSED.items():
        apart = sum(utf8(TRANSFORMS[decomposed](character)) for character in text)
        assert utf8(TRANSFORMS[decomposed](text)) == apart
        assert utf8(TRANSFORMS[composed](text)) <= apart


@pytest.mark.parametrize("name", STATED)
def test_the_stated_character_attains_the_factor(name: str) -> None:
    stated = STATED[name]
    assert (utf8(stated.character), utf8(TRANSFORMS[name](stated.character))) == (stated.before, stated.after)
    assert text_factor(name) == stated.factor


@given(st.text())
def test_escaping_is_that_of_the_libraries(text: str) -> None:
    assert f'"{escape_json(text)}"' == json.dumps(text)
    assert percent_encode(text) == quote(text, safe="")
    assert TRANSFORMS["HTML escaping"](text) == html.escape(text)


def test_the_factor_of_nfkc_is_older_than_any_python() -> None:
    old = unicodedata.ucd_3_2_0
    assert largest_expansion(lambda text: old.normalize("NFKC", text)) == STATED["NFKC"]


def test_a_search_over_runs_finds_what_a_search_over_characters_finds() -> None:
    normal = TRANSFORMS["NFKC"]
    grown = [(Fraction(utf8(normal(c)), utf8(c)), -ord(c)) for c in scalars() if normal(c) != c]
    factor, code = max(grown)
    character = chr(-code)
    assert largest_expansion(normal) == Expansion(character, utf8(character), utf8(normal(character)))
    assert STATED["NFKC"].factor == factor
    assert len(scalars()) == 1_112_064


def test_a_wrong_table_of_expansions_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_per_byte, "TRANSFORMS", {"NFKC": TRANSFORMS["NFKC"]})
    monkeypatch.setattr(tokens_per_byte, "STATED", {**STATED, "NFKC": Expansion("\ufdfb", 3, 15)})
    assert tokens_per_byte.compute_expansions().startswith("NFKC: '\ufdfa' grows from 3 to 33 bytes in Unicode ")


# ------------------------------------------------------------------------------ 10: formulas, solver, search


def fractions(most: int) -> st.SearchStrategy[Fraction]:
    return st.builds(Fraction, st.integers(0, most), st.integers(1, 4))


@st.composite
def requests(draw: st.DrawFn) -> Scenario:
    """One kind of call, with prices, growth, dearer and repeated bills; sizes with and without an end."""
    low = draw(st.integers(0, 13))
    high = draw(st.one_of(st.none(), st.integers(low, low + 40)))
    small = st.integers(0, 6)
    request = Request(
        Interval(low, high),
        messages=draw(st.integers(0, 2)),
        tools=draw(st.integers(0, 2)),
        max_output=draw(st.sampled_from([0, 1, 10])),
        input_tokens=draw(st.one_of(st.none(), st.none(), st.builds(Interval, st.just(0), st.integers(0, 60)))),
        growth=draw(st.sampled_from([0, 0, 3])),
    )
    free: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {},
                {"a8": False, "rise": Fraction(3, 2)},
                {"a10": False, "hidden_retries": 1},
                {"a8": False, "rise": Fraction(2), "a10": False, "hidden_retries": 2},
                {"a8": False},
            ]
        )
    )
    return Scenario(
        "drawn",
        Interval.exactly(10),
        "reserve-settle",
        (Agents("agent", 1, "root", "call", calls=draw(st.integers(1, 2))),),
        (CallKind("call", request),),
        estimator=Estimator(draw(fractions(9)), draw(small), draw(small), draw(small), draw(st.booleans())),
        provider=Provider(draw(fractions(6)), draw(small), draw(small), draw(small)),
        prices=Prices(draw(st.integers(1, 3)), draw(st.integers(0, 3)), draw(st.sampled_from([1, 1, 3, 4]))),
        assume=Assume(a1=None, **free),
    )


STEP = Fraction(1, 10**6)
FAR = range(10**9, 10**9 + 40)
"""Sizes so large that a step of the margin is many tokens; a period and more of them."""


def shortfalls(scenario: Scenario, sizes: range, margin: Fraction, overhead: int) -> list[int]:
    """Return the sizes of which some call is billed more than is estimated, by plain evaluation."""
    found = []
    for demand in margins.demands(scenario, "call"):
        p, request = demand.costs.prices, demand.request
        fixed = demand.fixed - demand.costs.estimator.overhead + overhead
        for size in sizes:
            tokens = int(margin * size) + fixed
            estimate = -(-(tokens * p.input + request.max_output * p.output) // p.per)
            bill = demand.largest_bill(size)
            if bill is None or bill > estimate:
                found.append(size)
    return found


def sizes_of(scenario: Scenario) -> range:
    """Return all sizes, or so many that every class of the period is seen many times."""
    request = scenario.call("call").cost
    assert isinstance(request, Request)
    return range(request.bytes.lo, (request.bytes.lo + 100 if request.bytes.hi is None else request.bytes.hi) + 1)


@settings(max_examples=60)
@given(requests())
def test_the_formulas_are_safe_and_nothing_smaller_is(scenario: Scenario) -> None:
    sizes, asked = sizes_of(scenario), margins.demands(scenario, "call")
    endless = scenario.call("call").cost.bytes.hi is None  # type: ignore[union-attr]
    given_margin, given_overhead = scenario.estimator.margin, scenario.estimator.overhead
    margin, overhead = margins.smallest_margin(asked), margins.smallest_overhead(asked)
    if margin is None:
        assert shortfalls(scenario, sizes[:1], Fraction(10**9), given_overhead)
    else:
        assert not shortfalls(scenario, sizes, margin, given_overhead)
        # A supremum that no size attains is approached by sizes far out.
        far = FAR if endless and margin == max(d.grows for d in asked) else sizes
        assert margin == 0 or shortfalls(scenario, far, margin - STEP, given_overhead)
    if overhead is None:
        assert shortfalls(scenario, FAR, given_margin, 1000)
    else:
        assert not shortfalls(scenario, sizes, given_margin, overhead)
        assert overhead == 0 or shortfalls(scenario, sizes, given_margin, overhead - 1)


@settings(max_examples=25)
@given(requests())
def test_the_formulas_and_the_solver_agree(scenario: Scenario) -> None:
    asked = margins.demands(scenario, "call")
    answer = judge_estimator(scenario, "call")
    assert answer.overhead == margins.smallest_overhead(asked)
    assert answer.margin == margins.smallest_margin(asked)


def test_the_formulas_give_what_the_shipped_scenarios_expect() -> None:
    """The published tool schema among them: 320 bytes billed 600 tokens need a margin of 15/8."""
    compared = []
    for path in sorted(SCENARIOS.glob("*.toml")):
        scenario = load_scenario(path, known_disciplines=DISCIPLINES)
        expect = scenario.expect
        for wanted, formula in ((expect.margin, margins.smallest_margin), (expect.overhead, margins.smallest_overhead)):
            if wanted is not None:
                assert {formula(margins.demands(scenario, kind.name)) for kind in scenario.calls} == {wanted}, path.stem
                compared.append(wanted)
    assert {Fraction(15, 8), Fraction(14539, 11726), 457} <= set(compared)


# ----------------------------------------------------------------------------- 11: rules that learn, and run

Rule = Callable[[tuple[Fraction, ...], int], int]


def ratio_rules() -> st.SearchStrategy[Rule]:
    """Rules that go by observed ratios: the running maximum, the mean or the last one, with a margin and a floor."""
    kinds: dict[str, Callable[[tuple[Fraction, ...]], Fraction]] = {
        "maximum": max,
        "mean": lambda seen: sum(seen, Fraction(0)) / len(seen),
        "last": lambda seen: seen[-1],
    }

    def made(kind: str, start: Fraction, more: Fraction) -> Rule:
        return lambda seen, size: int((kinds[kind](seen) if seen else start) * size + more * size)

    return st.builds(made, st.sampled_from(sorted(kinds)), fractions(4), fractions(2))


@given(ratio_rules(), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 400))
def test_first_calls_at_once_are_all_short_whatever_the_rule(rule: Rule, sizes: list[int], template: int) -> None:
    reserved = tuple(rule((), size) for size in sizes)
    run = adaptive_first_call.together(reserved)
    report = judged(run.events)
    assert report.overshoot["root"] == len(sizes)
    assert all(rule((), size) < amount + 1 for size, amount in zip(sizes, reserved, strict=True))


@given(ratio_rules(), st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), max_size=6), st.integers(1, 40))
def test_a_rule_of_ratios_is_short_after_any_history(rule: Rule, past: list[tuple[int, int]], size: int) -> None:
    seen = tuple(Fraction(bill, of) for of, bill in past)
    reserved = rule(seen, size)
    run = tokens_per_byte.short_call("next", reserved, max(2, reserved + 1))
    assert run.complaints() == ()


@given(st.integers(0, 450), st.integers(0, 100), st.data())
def test_a_rule_with_a_sound_fallback_is_never_short(added: int, room: int, data: st.DataObject) -> None:
    """Calls overlap: what is learned is what the bills told so far say, however late they are told."""
    learned = added + room
    waiting: list[int] = []
    for size in data.draw(st.lists(st.integers(0, 50), max_size=12)):
        tokens = data.draw(st.integers(0, size))
        assert tokens + added <= size + learned
        waiting.append(tokens + added)
        while waiting and data.draw(st.booleans()):
            learned = min(learned, waiting.pop(0))
    assert learned >= added


# ------------------------------------------------------------------------------------- 12: bounds, and streams


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans()), max_size=10), st.integers(0, 60))
def test_whoever_admits_more_than_fits_is_overshot_by_just_that(calls: list[tuple[int, int, bool]], cap: int) -> None:
    """Any rule, as a list of decisions: reserve this much of a worst case, and whether the bill is told at once."""
    told = flight = 0
    rows: list[tuple[Any, ...]] = [("open", "root", cap)]
    for number, (worst, reserved, at_once) in enumerate(calls):
        rows += [("reserve", "root", f"R{number}", reserved), ("send", f"R{number}", f"C{number}")]
        if at_once:
            rows += [("bill", f"C{number}", worst // 2), ("settle", f"R{number}", worst // 2)]
            told += worst // 2
        else:
            flight += worst
            rows.append(("later", number, worst))
    now = [row for row in rows if row[0] != "later"]
    last = [("bill", f"C{number}", worst) for _, number, worst in (row for row in rows if row[0] == "later")]
    report = judged(tokens_per_byte.run(*now, *last))
    assert report.overshoot["root"] == max(0, told + flight - cap)


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 60), st.data())
def test_the_machine_takes_the_steps_of_the_stream(chunk: int, chunks: int, cap: int, data: st.DataObject) -> None:
    """Every state of a run of ``stream-extend``, a refused extension included, is a state of the system."""
    scenario = Scenario(
        "stream",
        Interval.exactly(cap),
        "stream-extend",
        (Agents("reader", 1, "root", "reply"),),
        (CallKind("reply", Stream(Interval.exactly(chunk), chunks)),),
    )
    machine = compile_scenario(scenario)
    system = streams.streaming()
    config = initial(machine, cap)
    arrived = seen = 0

    def draw(name: str, lo: int, hi: int | None) -> int:
        assert hi is not None
        return data.draw(st.integers(lo, hi), label=name)

    while 0 <= config.running[0].at < machine.processes[0].done:
        at = config.running[0].at
        for branch in [b for b in machine.branches() if b.place == at and b.kind in ("run", "refuse")]:
            after = config.copy()
            if settled(fire(machine, after, branch, Env(INTS, draw))):
                config = after
                break
        ran = {step.name for step in machine.processes[0].places[at].block} if branch.kind == "run" else set()
        arrived += bool(ran & {"send-stream", "next-chunk"})
        if not ran & {"send-stream", "next-chunk", "extend"}:
            continue
        call, account = config.running[0].call, config.ledgers[0]
        state = {
            "available": account.available,
            "held": account.held,
            "charged": account.charged,
            "cover": call.cover,
            "billed": call.bill,
            "told_so_far": call.told,
            "full": arrived * chunk,
            "phase": streams.EXTENDED if ran == {"extend"} else streams.ARRIVED,
        }
        assert holds(system, state, chunk=chunk, granted=cap) == []
        seen += 1
    # Two chunks are held at first, so a smaller cap refuses the call.
    assert seen > 0 or cap < 2 * chunk


@pytest.mark.parametrize("chunks", [1, 2, 3, 7])
def test_a_stream_holds_one_chunk_above_its_bill(chunks: int) -> None:
    events = streams.stream_run(chunks, 10, cut=False).events
    state = judged(events[:-1]).state
    assert state.hold("R1").amount - state.hold("R1").billed == 10  # type: ignore[arg-type]
    whole = (chunks + 1) * 10
    assert state.hold("R1").amount == whole  # type: ignore[arg-type]


def test_a_model_of_a_wrong_claim_is_not_accepted() -> None:
    wrong = Obligation("more than the bytes", (tokens_per_byte.MERGING.invariant[0],), tokens_per_byte.TOKENS > 0)
    assert solve_first(wrong)[0] is Answer.SAT
