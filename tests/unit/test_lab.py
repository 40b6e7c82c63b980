"""The lab: replays against a cap, what they show as figures, and the workloads that they are made of."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capsound.amounts import AccountId
from capsound.catalog import KINDS, PROVIDER, get_strategy
from capsound.errors import CapsoundError
from capsound.events import Event
from capsound.monitor import fold
from capsound.scenario import Prices
from capsound.workload import Call, Seen, Session, Workload, broken_premises, input_bound, optimum
from capsound_checker.costs import frontier, ratio
from capsound_checker.costs.figures import Figure, Resampler, measure, wilson
from capsound_checker.costs.generators import GENERATORS, NoSuchWorkload, generate, quantile_of
from capsound_checker.costs.lab import Fate, replay
from capsound_checker.costs.workloads import COLUMNS, BadWorkload, Reading, read_workload
from capsound_checker.display import plotting

UNIT = Prices(1, 1)
ROOT = AccountId("root0")


def call(size: int, output: int, most: int, tokens: int | None = None) -> Call:
    return Call(Seen(size, max_output=most, prices=UNIT, counted=size), size if tokens is None else tokens, output)


def alone(*calls: Call) -> Workload:
    return Workload("test", tuple(Session(str(i), (c,)) for i, c in enumerate(calls)), shared=True)


def session(*calls: Call) -> Workload:
    return Workload("test", (Session("0", calls),))


def fates(workload: Workload, strategy: str, cap: int, agents: int = 1) -> list[str]:
    return [o.fate.value for o in replay(workload, get_strategy(strategy), cap, agents).outcomes]


# ------------------------------------------------------------------------------- the replay and the monitor


@st.composite
def workloads(draw: st.DrawFn, *, within: bool) -> Workload:
    """Sessions of calls, within every premise or with input and output beyond them."""
    sessions = []
    for number in range(draw(st.integers(1, 4))):
        calls = []
        for _ in range(draw(st.integers(1, 3))):
            seen = Seen(
                draw(st.integers(0, 60)), 1, 0, draw(st.integers(0, 20)), draw(st.integers(0, 90)), Prices(2, 3, 4)
            )
            most = input_bound(seen, PROVIDER) + (0 if within else 40)
            tokens = draw(st.integers(0, most))
            seen = Seen(seen.bytes, 1, 0, seen.history, seen.max_output, seen.prices, max(0, tokens - 24))
            calls.append(Call(seen, tokens, draw(st.integers(0, seen.max_output + (0 if within else 40)))))
        sessions.append(Session(str(number), tuple(calls)))
    return Workload("drawn", tuple(sessions), shared=draw(st.booleans()))


kinds = st.sampled_from(sorted(KINDS))


@settings(max_examples=150)
@given(workload=workloads(within=False), kind=kinds, cap=st.integers(0, 400), agents=st.integers(1, 3))
def test_the_replay_and_the_monitor_tell_the_same(workload: Workload, kind: str, cap: int, agents: int) -> None:
    events: list[Event] = []
    run = replay(workload, get_strategy(kind), cap, agents, events)
    report = fold(events)
    assert {f.anomaly for f in report.findings} <= {"overshoot"}
    assert [report.overshoot[AccountId(f"root{i}")] for i in range(len(run.pots))] == [p.over for p in run.pots]
    assert [report.state.account(AccountId(f"root{i}")).charged for i in range(len(run.pots))] == [
        p.billed for p in run.pots
    ]
    assert report.exercise.refused == sum(o.fate is Fate.REFUSED for o in run.outcomes)
    assert report.exercise.overran is any(o.overran for o in run.outcomes)
    assert sum(o.billed for o in run.outcomes) == sum(p.billed for p in run.pots)


@settings(max_examples=150)
@given(
    workload=workloads(within=True),
    kind=st.sampled_from(["history", "tokenizer", "fallback", "fit", "stream", "early-settle", "tokenizer-stream"]),
    cap=st.integers(0, 400),
    agents=st.integers(1, 3),
)
def test_what_is_proved_never_overruns_a_hold_or_a_cap_within_its_premises(
    workload: Workload, kind: str, cap: int, agents: int
) -> None:
    assert not any(broken_premises(c, PROVIDER) for c in workload.calls)
    run = replay(workload, get_strategy(kind), cap, agents)
    assert not any(o.overran for o in run.outcomes)
    assert all(pot.over == 0 for pot in run.pots)
    assert all(pot.answered <= pot.best for pot in run.pots)


# ------------------------------------------------------------------------------------------- by hand


def test_a_refusal_ends_a_session_and_no_other_call() -> None:
    calls = (call(10, 5, 5), call(200, 5, 5), call(10, 5, 5))
    assert fates(session(*calls), "bytes:1", 100) == ["completed", "refused", "skipped"]
    assert fates(alone(*calls), "bytes:1", 100) == ["completed", "refused", "completed"]


def test_a_refusal_is_false_where_the_bill_would_have_fitted() -> None:
    run = replay(alone(call(10, 5, 80), call(10, 5, 80), call(10, 80, 80)), get_strategy("bytes:1"), 100)
    assert [(o.fate, o.falsely) for o in run.outcomes] == [
        (Fate.COMPLETED, False),
        (Fate.REFUSED, True),
        (Fate.REFUSED, False),
    ]
    assert (run.pots[0].billed, run.pots[0].best) == (15, 90)


def test_an_oracle_counts_what_calls_in_flight_will_be_billed() -> None:
    run = replay(alone(call(10, 40, 40), call(10, 45, 90)), get_strategy("bytes:1"), 100, agents=2)
    assert [(o.fate, o.falsely) for o in run.outcomes] == [(Fate.COMPLETED, False), (Fate.REFUSED, False)]


def test_agents_at_once_are_refused_where_one_after_the_other_would_not_be() -> None:
    calls = [call(10, 5, 50) for _ in range(3)]
    assert fates(alone(*calls), "bytes:1", 100) == ["completed"] * 3
    assert fates(alone(*calls), "bytes:1", 100, agents=3) == ["completed", "refused", "refused"]


def test_settling_the_input_early_makes_room_for_another_call() -> None:
    first, second = call(100, 40, 40, tokens=10), call(10, 1, 1)
    waits = call(0, 1, 1)
    workload = Workload("test", (Session("0", (first,)), Session("1", (waits, second))), shared=True)
    assert fates(workload, "history", 170, agents=2) == ["completed", "refused", "skipped"]
    assert fates(workload, "early-settle", 199, agents=2) == ["completed", "completed", "completed"]
    assert fates(workload, "history", 199, agents=2) == ["completed", "completed", "refused"]


def test_a_stream_is_cut_when_it_cannot_be_extended_and_billed_one_chunk_more() -> None:
    run = replay(alone(call(0, 100, 200, tokens=0)), get_strategy("stream:10"), 24 + 50)
    assert run.outcomes[0].fate is Fate.CUT
    assert (run.outcomes[0].reserved, run.outcomes[0].billed) == (74, 50)


def test_fit_cuts_the_output_to_what_is_left() -> None:
    run = replay(alone(call(6, 100, 200)), get_strategy("fit:16"), 80)
    assert (run.outcomes[0].fate, run.outcomes[0].reserved, run.outcomes[0].billed) == (Fate.CUT, 80, 56)
    assert (run.pots[0].billed, run.pots[0].answered) == (56, 0)


def test_what_was_learned_is_kept_from_cap_to_cap() -> None:
    sessions = (Session("0", (call(10, 0, 0, tokens=40),)), Session("1", (call(10, 0, 0, tokens=40),)))
    run = replay(Workload("test", sessions), get_strategy("running-max"), 100)
    assert [o.overran for o in run.outcomes] == [True, False]
    assert [o.reserved for o in run.outcomes] == [11, 41]


@given(
    chains=st.lists(st.lists(st.integers(0, 30).map(lambda x: 3 * x), min_size=1, max_size=3), min_size=1, max_size=4),
    cap=st.integers(0, 200),
)
def test_the_oracle_runs_the_best_beginnings_of_sessions(chains: list[list[int]], cap: int) -> None:
    prefixes = [[sum(chain[:n]) for n in range(len(chain) + 1)] for chain in chains]
    best = max(s for s in map(sum, itertools.product(*prefixes)) if s <= cap)
    assert optimum(chains, cap) == (best, True)
    assert optimum(chains, cap, work=0)[0] >= best


# -------------------------------------------------------------------------------------------------- figures


def test_figures_by_hand() -> None:
    run = replay(alone(call(10, 10, 10), call(10, 0, 10), call(30, 10, 70)), get_strategy("bytes:1"))
    told = measure(run, Resampler(3, 1))
    assert told.median.value == 2
    assert told.p95.value == Fraction(2) + Fraction(5, 10) * Fraction(9, 10)
    assert told.aggregate.value == Fraction(140, 70)
    assert (told.completed, told.overran, told.used.value, told.used.low) == (3, 0, 1, None)


def test_an_interval_holds_its_figure_and_depends_on_the_seed_alone() -> None:
    run = replay(generate("chat", 0, 60), get_strategy("history"))
    told = [measure(run, Resampler(60, 1, seed, 100)) for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]
    for figure in (told[0].median, told[0].p95, told[0].aggregate):
        assert figure.value is not None
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low < figure.value < figure.high or figure is told[0].p95


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(5, 20, "0.1119", "0.4687"), (0, 200, "0.0000", "0.0188"), (9, 9, "0.7008", "1.0000")],
)
def test_score_intervals(hits: int, trials: int, low: str, high: str) -> None:
    told = wilson(hits, trials)
    assert told.value == Fraction(hits, trials)
    assert [f"{float(end or 0):.4f}" for end in (told.low, told.high)] == [low, high]
    assert wilson(0, 0) == Figure(None)


# ------------------------------------------------------------------------------------------------ generators


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_a_generator_keeps_to_its_distributions_and_premises(name: str) -> None:
    kind, workload = GENERATORS[name], generate(name, 3, 80)
    calls = list(workload.calls)
    assert generate(name, 3, 80) == workload != generate(name, 4, 80)
    assert len(workload.sessions) == 80
    assert all(kind.bytes[0][1] <= c.seen.bytes <= kind.bytes[-1][1] for c in calls)
    broken = {premise for c in calls for premise in broken_premises(c, PROVIDER)}
    assert broken == ({"A6"} if name == "hidden" else set())
    below = sum(c.seen.bytes <= quantile_of(kind.bytes, 500) for c in calls)
    assert 2 / 5 < below / len(calls) < 3 / 5


def test_history_is_what_was_billed_before() -> None:
    for made in generate("growth", 0, 20).sessions:
        for before, after in itertools.pairwise(made.calls):
            assert after.seen.history == before.input_tokens + before.output_tokens


def test_workloads_stay_the_same_bytes() -> None:
    told = {name: sum(c.bill for c in generate(name, 0, 50).calls) for name in GENERATORS}
    assert told == PINNED


PINNED = {
    "chat": 232_497,
    "tools": 284_244,
    "dense": 145_857,
    "growth": 2_077_971,
    "reasoning": 729_864,
    "hidden": 784_047,
}


QUANTITIES = ("bytes", "rate", "output", "calls", "tools", "template", "tooling", "beyond")


def test_the_page_tells_every_generator_with_its_distributions() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "ratio.md").read_text()
    told, drawn = [], []
    for kind in GENERATORS.values():
        told.append(f"| `gen:{kind.name}` | {kind.says} | {kind.max_output:,} |")
        for name in QUANTITIES:
            table = getattr(kind, name)
            if table[0][1] == table[-1][1] or (name == "tooling" and not kind.tools[-1][1]):
                continue
            values, places = ", ".join(f"{v:,}" for _, v in table), ", ".join(f"{m / 10:g} %" for m, _ in table)
            drawn.append(f"| `{kind.name}` | {name} | {values} at {places} |")
    for rows in (told, drawn):
        assert "\n".join(["| --- | --- | --- |", *rows, ""]) in page


def test_every_column_is_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "ratio.md").read_text()
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `")]
    assert all(any(f"`{name}`" in row for row in rows) for names in COLUMNS.values() for name in names)


def test_an_unknown_generator_is_an_error_with_a_cure() -> None:
    with pytest.raises(NoSuchWorkload) as caught:
        generate("chats")
    assert caught.value.hint == "did you mean 'chat'?"


@pytest.mark.parametrize("name", ["chat", "tools", "dense", "growth", "reasoning"])
def test_a_proved_strategy_costs_less_than_the_published_adaptive_one(name: str) -> None:
    sound = "history" if name == "growth" else "overhead"
    lab = ratio.run_lab(f"gen:{name}", [sound, "stream", "running-max"], sessions=150, resamples=2)
    assert lab.proved == (True, True, False)
    plain, stream, adaptive = lab.figures
    for figures in (plain, stream):
        assert figures.overran == figures.over == 0
        for which in ("median", "aggregate"):
            assert getattr(figures, which).value < getattr(adaptive, which).value


# ----------------------------------------------------------------------------------------------------- files

HEAD = "session,bytes,input_tokens,output_tokens,max_output,price_in,price_out\n"


def written(path: Path, text: str) -> Path:
    file = path / "calls.csv"
    file.write_text(text)
    return file


def test_a_csv_of_sessions_is_read(tmp_path: Path) -> None:
    text = HEAD + "a,10,3,4,9,0.15,0.6\nb,20,6,8,9,3,15\na,30,9,9,9,0.15,0.6\n"
    workload = read_workload(written(tmp_path, text))
    assert not workload.shared
    assert [(s.name, len(s.calls)) for s in workload.sessions] == [("a", 2), ("b", 1)]
    first = workload.sessions[0].calls[0]
    assert first == Call(Seen(10, max_output=9, prices=Prices(3, 12, 20)), 3, 4)
    assert first.bill == 3  # 3 x 0.15 + 4 x 0.6 = 2.85, rounded up


def test_calls_by_themselves_share_one_cap_and_take_what_the_file_leaves_out(tmp_path: Path) -> None:
    text = "kind,bytes,input_tokens,output_tokens,unit\nx,10,3,4,cent\ny,,,,euro\nx,20,6,8,cent\n"
    file = written(tmp_path, text)
    reading = Reading(ratio.parse_where(["kind!=y"]), max_output=50, price_in="1", price_out="2", exact_counts=True)
    workload = read_workload(file, reading)
    assert workload.shared
    assert workload.unit == "cent"
    assert [(c.seen.bytes, c.seen.max_output, c.seen.counted) for c in workload.calls] == [(10, 50, 3), (20, 50, 6)]


def test_the_history_of_a_trace_is_what_was_billed_before(tmp_path: Path) -> None:
    text = "source_file,run,input_tokens,output_tokens\nf,0,100,10\nf,0,150,20\ng,0,7,1\nf,0,90,5\n"
    workload = read_workload(written(tmp_path, text), Reading(max_output=64, price_in="1", price_out="5"))
    assert [s.name for s in workload.sessions] == ["f/0", "g/0"]
    seen = [(c.seen.bytes, c.seen.history) for c in workload.sessions[0].calls]
    assert seen == [(400, 0), (160, 110), (0, 90)]
    assert "no byte counts in the file" in workload.notes[0]


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("", "", "is empty"),
        (HEAD, "", "none of the 0 rows"),
        (HEAD + "a,10,3,4,9,1,2\na,-1,3,4,9,1,2\n", ":3:2", "bytes is '-1'"),
        (HEAD + "a,10,3.0,4,9,1,2\n", ":2:3", "input_tokens is '3.0'"),
        (HEAD + "a,10,3,,9,1,2\n", ":2:4", "output_tokens is empty"),
        (HEAD + "a,10,3,4,9,1e9,2\n", ":2:6", "price_in is '1e9'"),
        (HEAD + "a,10,3\n", ":2", "3 cells where the header has 7"),
        ("bytes,bytes\n1,2\n", ":1", "column 'bytes' appears twice"),
        ("bytes,output_tokens\n1,2\n", ":2", "there is no column 'input_tokens'"),
        (HEAD.replace("session", "unit") + "a,1,1,1,1,1,1\nb,1,1,1,1,1,1\n", ":3:1", "amounts are in 'a', 'b'"),
        (HEAD + 'a,"1', "", "it is not CSV"),
        (HEAD + "a,10,٣,4,9,1,2\n", ":2:3", "input_tokens is"),
    ],
)
def test_a_bad_file_is_an_error_that_names_its_place(tmp_path: Path, text: str, where: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(BadWorkload) as caught:
        read_workload(file)
    assert says in caught.value.message
    assert caught.value.exit_status == 65
    if where:
        assert caught.value.where == f"{file}{where}"
        assert caught.value.hint


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadWorkload, match="cannot read"):
        read_workload(tmp_path / name)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"bytes\n\xff\xfe\n")
    with pytest.raises(BadWorkload, match="not UTF-8 text"):
        read_workload(tmp_path / "x.csv")


# ---------------------------------------------------------------------------------------------- the command


def test_all_strategies_but_those_without_counts_are_tried(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "a,10,3,4,9,1,2\n")
    lab = ratio.run_lab(str(file))
    assert lab.left_out == ("tokenizer", "tokenizer-stream")
    assert [f.strategy for f in lab.figures] == [name for name in KINDS if name not in lab.left_out]
    assert "left out, because the workload has no token counts: tokenizer, tokenizer-stream" in ratio.text_of(lab)


def test_overhead_counts_as_refuted_where_history_is_sent() -> None:
    lab = ratio.run_lab("gen:growth", ["overhead", "history"], sessions=20, resamples=2)
    assert lab.proved == (False, True)
    assert "refuted*" in ratio.text_of(lab)
    assert [s["proved_here"] for s in ratio.data_of(lab)["strategies"]] == [False, True]


def test_broken_premises_are_said() -> None:
    lab = ratio.run_lab("gen:hidden", ["stream"], sessions=50, resamples=2)
    assert lab.broken == {"A6": sum(c.output_tokens > 1_024 for c in lab.workload.calls)}
    assert f"{lab.broken['A6']} of 50 calls break premise A6" in ratio.text_of(lab)


@pytest.mark.parametrize(
    ("bounds", "where"),
    [(["templates=3"], []), (["template"], []), (["template=1.5"], []), ([], ["run"]), (["template=1e99"], [])],
)
def test_bad_options_are_errors_with_a_cure(bounds: list[str], where: list[str]) -> None:
    with pytest.raises(ratio.BadOption) as caught:
        ratio.run_lab("gen:chat", bounds=bounds, reading=Reading(ratio.parse_where(where)))
    assert caught.value.hint


def test_the_data_are_those_of_the_table() -> None:
    lab = ratio.run_lab("gen:dense", ["history", "bytes"], cap=20_000, sessions=40, resamples=20)
    data = json.loads(json.dumps(ratio.data_of(lab)))
    text = ratio.text_of(lab).splitlines()
    for strategy in data["strategies"]:
        row = next(line.split() for line in text if line.startswith(strategy["name"]))
        assert row[2] == f"{strategy['per_call_median']['value']:.2f}"
        assert strategy["completed"] + strategy["refused"] + strategy["cut"] == 40
        assert strategy["aggregate"]["value"] == round(strategy["reserved"] / strategy["billed"], 4)
    assert data["strategies"][1]["witness"].startswith("1 byte")


def test_the_same_lab_has_the_same_bytes_under_any_hash_seed(process_env: dict[str, str]) -> None:
    code = (
        "import json; from capsound_checker.costs.ratio import *; "
        "lab = run_lab('gen:growth', ['history', 'conformal', 'quantile'], sessions=15, agents=3, cap=9000, resamples=9); "
        "print(text_of(lab), json.dumps(data_of(lab)))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**process_env, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=900,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


# ----------------------------------------------------------------------------------------------- the plot


def point(name: str, risk: int, cost: int) -> frontier.Point:
    return frontier.Point(name, Figure(Fraction(risk)), Figure(Fraction(cost)), proved=True)


def test_the_frontier_is_what_no_other_beats() -> None:
    points = [point("a", 0, 5), point("b", 1, 3), point("c", 1, 4), point("d", 2, 3), point("e", 3, 1)]
    assert [p.name for p in frontier.frontier(points)] == ["a", "b", "e"]


def test_a_plot_without_matplotlib_is_an_error_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(plotting.NoPlot) as caught:
        plotting.check_plot(tmp_path / "x.svg")
    assert caught.value.hint == "pip install 'capsound[plot]'"


def test_a_plot_in_another_format_or_place_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "x.pdf", tmp_path / "absent" / "x.svg"):
        with pytest.raises(CapsoundError) as caught:
            plotting.check_plot(path)
        assert caught.value.exit_status == 64
        assert caught.value.hint


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_the_same_points_are_drawn_in_the_same_bytes(tmp_path: Path) -> None:
    lab = ratio.run_lab("gen:dense", sessions=40, resamples=20)
    for suffix, begins in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        for name in ("one", "two"):
            ratio.write_frontier(lab, tmp_path / (name + suffix))
        one, two = ((tmp_path / (name + suffix)).read_bytes() for name in ("one", "two"))
        assert one == two
        assert one.startswith(begins)
