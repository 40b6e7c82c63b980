"""The library of theorems: each comes out, is about the model's own code, and is told truly."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from capsound import published
from capsound.accounts import Account, Hold, HoldState, State, breaches, move
from capsound.affine import check_linear, parse_program
from capsound.errors import Disagreement
from capsound.monitor import fold
from capsound_checker.display.terminal import rendered
from capsound_checker.solve import proving
from capsound_proofs import theorem as theorem_module
from capsound_proofs.second import decide as decide_text
from capsound_proofs.symbolic import Amount, Effect, effect, merged, ways
from capsound_proofs.terms import Term
from capsound_proofs.theorem import Answer, Computation, Fact, Kind, Obligation, Theorem, Witness, decide, prove, run
from capsound_proofs.theorems import THEOREMS, affine_handles, published_cap
from capsound_proofs.theorems.a1_is_necessary import against
from capsound_proofs.theorems.books import BALANCES, LIFE, event_of, hold_before, read_balances
from capsound_proofs.theorems.check_then_act import CHECKED, RECORDED, race_of
from capsound_proofs.theorems.overshoot_bound import attained
from capsound_proofs.theorems.trees import merge

BY_NAME = {t.name: t for t in THEOREMS}
X = z3.Int("x")


# ------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("theorem", THEOREMS, ids=lambda t: t.name)
def test_a_theorem_comes_out_as_stated_from_both_solvers(theorem: Theorem) -> None:
    result = prove(theorem)
    assert result.complaints == ()
    assert result.accepted
    assert all(d.first is d.second is d.obligation.wanted for d in result.decisions)
    if theorem.kind is not Kind.PROVED:
        assert any(run.anomalies for run in result.replayed), "a refutation is a run that shows it"


def test_the_theorems_are_numbered_in_order_and_named_once() -> None:
    assert [t.number for t in THEOREMS] == list(range(1, len(THEOREMS) + 1))
    assert len(BY_NAME) == len(THEOREMS)


# -------------------------------------------------------------------- the model, run on symbolic amounts

ROWS: dict[str, tuple[Any, ...]] = {
    "reserve": ("reserve", "a", "new", X),
    "delegate": ("delegate", "a", "s", X),
    "record": ("record", "a", X),
    "close": ("close", "a"),
    "extend": ("extend", "hold", X),
    "send": ("send", "hold", "again"),
    "bill": ("bill", "call", X),
    "settle": ("settle", "hold", X),
    "release": ("release", "hold"),
    "forfeit": ("forfeit", "hold"),
}


@cache
def _symbolic(kind: str, state: HoldState) -> Effect:
    def read(after: State) -> dict[str, Any]:
        hold = after.holds[_any("hold")]
        more = {"amount": hold.amount, "hold.billed": hold.billed, "state": LIFE[hold.state]}
        return {**read_balances("a")(after), **more}

    return effect(hold_before(state), event_of(ROWS[kind]), read)


def _any(value: Any) -> Any:
    return value


def _value(term: Term, values: dict[str, int]) -> Any:
    pairs = [(z3.Int(name), z3.IntVal(number)) for name, number in values.items()]
    found = z3.simplify(z3.substitute(term, *pairs))
    return found.as_long() if z3.is_int_value(found) else z3.is_true(found)


numbers = st.integers(-3, 12)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(ROWS)),
    state=st.sampled_from(list(HoldState)),
    balances=st.lists(numbers, min_size=len(BALANCES), max_size=len(BALANCES)),
    amount=st.integers(0, 9),
    billed=st.integers(0, 12),
    x=st.integers(0, 12),
)
def test_the_symbolic_transition_is_what_the_model_does_on_numbers(
    kind: str, state: HoldState, balances: list[int], amount: int, billed: int, x: int
) -> None:
    own = dict(zip(BALANCES, balances, strict=True))
    account = Account(_any("a"), root=_any("a"), parent=None, **_any(own))
    hold = Hold(_any("hold"), account=_any("a"), amount=amount, billed=billed, state=state)
    before = State(_any({"a": account}), _any({"hold": hold}), _any({"call": "hold"}))
    (event,) = run(tuple(x if isinstance(part, z3.ExprRef) else part for part in ROWS[kind]))
    after = move(before, event)
    found = _symbolic(kind, state)
    values = {f"a.{name}": number for name, number in own.items()}
    values |= {"hold.amount": amount, "hold.billed": billed, "x": x}
    assert {n: _value(t, values) for n, t in found.after.items()} == {
        **{f"a.{b}": getattr(after.account(_any("a")), b) for b in BALANCES},
        "amount": after.holds[_any("hold")].amount,
        "hold.billed": after.holds[_any("hold")].billed,
        "state": LIFE[after.holds[_any("hold")].state],
    }
    broken = {breach.rule.id for breach in breaches(before, event)}
    assert {rule for rule, term in found.broken.items() if _value(term, values)} == broken


def test_code_that_branches_is_run_once_for_each_possible_answer() -> None:
    def larger(choices: Any) -> dict[str, Term]:
        a, b = Amount(z3.Int("p"), choices), Amount(z3.Int("q"), choices)
        return {"larger": max(a, b).term}

    assert len(list(ways(larger))) == 2
    assert len(list(ways(larger, [z3.Int("p") > z3.Int("q")]))) == 1
    term = merged(list(ways(larger)))["larger"]
    assert [_value(term, {"p": p, "q": q}) for p, q in ((1, 2), (2, 1), (3, 3))] == [2, 2, 3]


@settings(max_examples=60, deadline=None)
@given(shape=st.sampled_from([(1, 0), (1, 2), (2, 1), (3, 3)]), balances=st.lists(numbers, min_size=56, max_size=56))
def test_a_merge_of_the_proof_is_the_merge_of_the_model(shape: tuple[int, int], balances: list[int]) -> None:
    system = _merged(shape)
    values = dict(zip(system.variables, balances, strict=False))
    (step,) = system.transitions
    names = list(dict.fromkeys(name.split(".")[0] for name in system.variables))
    above, below = [n for n in names if n[0] == "u"], [n for n in names if n[0] == "d"]
    parents = {**dict(zip(above, [*above[1:], "k"], strict=True)), **dict(zip(below, ["k", *below], strict=False))}
    accounts = {
        n: Account(_any(n), _any("k"), _any(parents.get(n)), **_any({b: values[f"{n}.{b}"] for b in BALANCES}))
        for n in ("k", *parents)
    }
    (event,) = run(("merge", below[-1] if below else "k", above[0]))
    after = move(State(_any(accounts)), event)
    found = {n: _value(step.after[n], values) if n in step.after else v for n, v in values.items()}
    assert found == {f"{n}.{b}": getattr(after.account(_any(n)), b) for n in names for b in BALANCES}


@cache
def _merged(shape: tuple[int, int]) -> Any:
    return merge(*shape)


def test_the_actions_of_the_published_model_are_those_of_the_proof() -> None:
    budget = 3
    pools = published.State._fields
    actions = published.actions_of(budget)
    assert [t.name for t in published_cap.ACTIONS] == list(actions)
    for step in published_cap.ACTIONS:
        for state in _states(budget, len(pools)):
            before = published.State(*state)
            moves = {(m.amount, m.cost or 0, m.after) for m in actions[step.name](before)}
            proved = set()
            for r in range(budget + 2):
                for c in range(r + 1) if any("cost" in f.name for f in step.guard) else (0,):
                    values = {**before._asdict(), "r": r, "c": c}
                    if all(_value(f.term, values) for f in step.guard):
                        changed = {n: _value(t, values) for n, t in step.after.items()}
                        proved.add((r, c, before._replace(**changed)))
            assert proved == moves, step.name


def _states(budget: int, pools: int) -> list[tuple[int, ...]]:
    if pools == 1:
        return [(budget,)]
    return [(first, *rest) for first in range(budget + 1) for rest in _states(budget - first, pools - 1)]


# ------------------------------------------------------------------------------------ witnesses, at large


@settings(max_examples=60, deadline=None)
@given(
    cap=st.integers(0, 50),
    requests=st.lists(st.integers(0, 60), max_size=6),
    answers=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_whatever_a_rule_answers_its_first_admission_breaks_the_cap(
    cap: int, requests: list[int], answers: list[bool]
) -> None:
    given_answers = iter(answers)
    report = fold(against(lambda *_: next(given_answers), cap, requests))
    admits = any(answers[: len(requests)])
    assert report.overshoot == {"root": int(admits)}
    assert ("overshoot" in report.anomalies()) is admits


@settings(max_examples=40, deadline=None)
@given(race=st.sampled_from([CHECKED, RECORDED]), agents=st.integers(1, 12), largest=st.integers(2, 99))
def test_a_race_attains_its_bound_for_any_number_of_agents(race: Any, agents: int, largest: int) -> None:
    witness = race_of(race, agents, largest)
    assert witness.complaints() == ()
    assert witness.overshoot == {"root": agents * largest - (1 if race is RECORDED else largest)}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any))
def test_any_deficits_in_flight_become_the_overshoot(deficits: list[int]) -> None:
    assert attained(tuple(deficits)).complaints() == ()


# --------------------------------------------------------------------------------------- affine handles

handles = st.sampled_from(["root", "b", "c", "d"])


@given(st.lists(handles, max_size=8))
def test_an_accepted_program_names_each_affine_handle_once_at_most(named: list[str]) -> None:
    lines = ["delegate root 1 -> b", "delegate root 1 -> c", "delegate root 1 -> d"]
    ops = parse_program([*lines, *(f"call {name}" for name in named)], {"root"})
    affine = [name for name in named if name != "root"]
    assert (check_linear(ops, {"root"}) is None) is (len(affine) == len(set(affine)))


def test_a_check_that_forgets_is_noticed() -> None:
    def forgetful(ops: Any, shared: Any) -> Any:
        return check_linear(list(ops)[-2:], shared)

    assert affine_handles.disagreement(check_linear) == ""
    assert affine_handles.disagreement(forgetful) == "the check and the proof differ on call b; call root; call b"


# ------------------------------------------------------------------------------------- what can go wrong

SMALL = BY_NAME["published-cap-is-conservation"]


def test_solvers_that_contradict_each_other_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theorem_module, "decide_again", lambda *_: "sat")
    with pytest.raises(Disagreement) as caught:
        prove(SMALL)
    assert caught.value.exit_status == 70


def test_what_the_second_solver_cannot_decide_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theorem_module, "decide_again", lambda *_: "unknown (TIMEOUT)")
    proved = proving.prove([SMALL])
    assert proved.exit_status == 2
    assert proved.data()["verdict"] == "unknown"
    assert "not decided: the invariant holds at the start" in _text(proved)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"witnesses": lambda: (Witness("w", run(("open", "root", 1)), ("overshoot",)),)}, "w: anomalies: claimed"),
        ({"computations": (Computation("c", lambda: "5 is even"),)}, "c: 5 is even"),
        ({"build": lambda: (Obligation("o", (Fact("f", X > 0),), X > 1),)}, "o: sat, where unsat is wanted"),
        ({"build": lambda: (Obligation("o", (Fact("f", X > X),), X > 1),)}, "o: what it assumes is impossible"),
    ],
)
def test_what_does_not_come_out_is_said_and_the_status_is_1(change: dict[str, Any], complaint: str) -> None:
    proved = proving.prove([replace(SMALL, systems=tuple, **{"build": tuple, **change})])
    assert proved.exit_status == 1
    assert any(complaint in told for told in proved.results[0].complaints)
    assert "DOES NOT HOLD" in _text(proved)
    assert "0 of 1 theorem holds as stated" in _text(proved)


def test_an_obligation_says_what_its_model_is_when_it_is_possible() -> None:
    seen = []
    obligation = Obligation(
        "o", (Fact("f", X == 7),), wanted=Answer.SAT, shown=lambda value: seen.append(value(X)) or Witness("w", ())
    )
    assert decide(obligation).witness == Witness("w", ())
    assert seen == [7]


# ------------------------------------------------------------------------------------------- how it is told


def _text(proved: proving.Proved, **options: Any) -> str:
    return rendered(partial(proving.render, proved=proved, **options), False)


def test_a_theorem_is_found_by_name_or_number_in_the_order_of_the_library() -> None:
    found = proving.find_theorems(["cap-soundness", "1"])
    assert [t.name for t in found] == ["conservation", "cap-soundness"]
    assert proving.find_theorems() == THEOREMS


def test_an_unknown_theorem_is_bad_input_with_the_nearest_name() -> None:
    with pytest.raises(proving.NoSuchTheorem) as caught:
        proving.find_theorems(["cap-soundnes"])
    assert caught.value.exit_status == 65
    assert "cap-soundness" in caught.value.hint


def test_the_data_and_the_text_without_times_are_the_same_every_time() -> None:
    first, second = (proving.prove(proving.find_theorems(["7", "8"])) for _ in range(2))
    assert json.dumps(first.data()) == json.dumps(second.data())
    assert _text(first, verbose=True, times=False) == _text(second, verbose=True, times=False)
    assert " s\n" not in _text(first, times=False)


def test_a_refuted_theorem_shows_the_run_in_its_data() -> None:
    (told,) = proving.prove(proving.find_theorems(["no-refund-after-send"])).data()["theorems"]
    run_shown = told["witnesses"][0]
    assert run_shown["anomalies"] == ["refund-after-send", "overshoot"]
    assert [event["event"] for event in run_shown["events"]][:4] == ["open", "reserve", "send", "release"]


def test_every_obligation_is_written_as_text_that_a_solver_reads(tmp_path: Path) -> None:
    chosen = [BY_NAME["check-then-act"], BY_NAME["a1-is-necessary"]]
    folder = tmp_path / "smt"
    written = proving.write_obligations(chosen, folder)
    files = sorted(folder.glob("*.smt2"))
    assert written == len(files) == sum(len(t.obligations) for t in chosen)
    for file in files:
        text = file.read_text()
        wanted = text.splitlines()[0].removesuffix(" is wanted").rsplit(" ", 1)[-1]
        assert decide_text(text) == wanted
        solver = z3.Solver()
        solver.from_string(text)
        assert str(solver.check()) == wanted


def test_the_list_has_every_theorem_with_its_statement() -> None:
    lines = proving.listing(THEOREMS).splitlines()
    assert len(lines) == len(THEOREMS)
    assert lines[1] == f" 2 cap-soundness: {BY_NAME['cap-soundness'].statement}"


# ----------------------------------------------------------------------------------------------- the page

PAGE = Path(__file__).parents[2] / "docs" / "theorems.md"


def test_the_page_of_the_theorems_is_written_from_the_library() -> None:
    for name, wanted in (("table", proving.page_table(THEOREMS)), ("each", proving.page_sections(THEOREMS))):
        before, opened, rest = PAGE.read_text().partition(f"<!-- theorems: {name} -->\n")
        found, closed, after = rest.partition(f"<!-- theorems: end of {name} -->\n")
        assert opened
        assert closed
        if os.environ.get("UPDATE_DOCS"):
            found = wanted
            PAGE.write_text(before + opened + found + closed + after)
        assert found == wanted
