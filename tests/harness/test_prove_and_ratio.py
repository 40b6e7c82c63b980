"""`capsound prove` and `capsound ratio` as commands: statuses, files, data, and errors with their cures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capsound_proofs.second import decide

Runs = Callable[..., Any]


def test_a_theorem_is_proved_by_name_and_by_number(capsound: Runs) -> None:
    by_name = capsound("prove", "affine-handles", "--no-times")
    assert by_name.status == 0
    assert "1 of 1 theorem holds as stated: 5 obligations, 1 run replayed" in by_name.out
    assert capsound("prove", "8", "--no-times").out == by_name.out


def test_a_name_that_is_no_theorem_is_bad_input(capsound: Runs) -> None:
    ran = capsound("prove", "affine-handle")
    assert (ran.status, ran.out) == (65, "")
    assert "affine-handles" in ran.err


def test_every_theorem_is_listed(capsound: Runs) -> None:
    listed = capsound("prove", "--list").out.splitlines()
    assert [line.split()[0] for line in listed] == [str(n) for n in range(1, 19)]


def test_obligations_are_written_and_say_what_is_wanted(capsound: Runs, tmp_path: Path) -> None:
    told = json.loads(capsound("prove", "8", "--json", "--smt2", tmp_path / "smt").out)
    files = sorted((tmp_path / "smt").iterdir())
    (theorem,) = told["theorems"]
    assert len(files) == len(theorem["obligations"]) > 0
    for file, obligation in zip(files, theorem["obligations"], strict=True):
        text = file.read_text()
        assert text.splitlines()[0].endswith(f": {obligation['wanted']} is wanted")
        assert decide(text) == obligation["wanted"] == obligation["z3"] == obligation["cvc5"]


def test_strategies_are_compared_on_a_generated_workload(capsound: Runs) -> None:
    command = ("ratio", "gen:chat", "--sessions", 20, "--strategy", "history", "--strategy", "running-max", "--json")
    ran = capsound(*command)
    assert ran.status == 0
    assert capsound(*command).out == ran.out
    told = json.loads(ran.out)
    assert [s["name"] for s in told["strategies"]] == ["history", "running-max"]


def test_what_is_spent_already_is_like_a_smaller_cap(capsound: Runs) -> None:
    command = ("ratio", "gen:chat", "--sessions", 20, "--strategy", "bytes:1", "--json")
    spent, smaller = (
        json.loads(capsound(*command, *more).out) for more in (("--cap", 50_000, "--spent", 20_000), ("--cap", 30_000))
    )
    assert (spent.pop("cap"), spent.pop("spent")) == (50_000, 20_000)
    assert (smaller.pop("cap"), smaller.pop("spent")) == (30_000, 0)
    assert spent == smaller
    told = capsound("ratio", "gen:chat", "--strategy", "bytes:1", "--cap", 50_000, "--spent", 20_000).out
    assert "cap 50,000 micro-USD (20,000 of it spent)" in told


def test_the_frontier_is_drawn(capsound: Runs, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name, head in (("cost.png", b"\x89PNG"), ("cost.svg", b"<?xml")):
        path = tmp_path / name
        assert capsound("ratio", "gen:chat", "--sessions", 10, "--resamples", 20, "--plot", path).status == 0
        assert path.read_bytes().startswith(head)
    assert capsound("ratio", "gen:chat", "--plot", tmp_path / "cost.gif").status == 64


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("gen:chatt",), 64, "did you mean 'chat'"),
        (("no-such.csv",), 65, "no-such.csv"),
        (("gen:chat", "--strategy", "histori"), 64, "history"),
        (("gen:chat", "--strategy", "bytes:-1"), 64, "margin"),
        (("gen:chat", "--bound", "templat=3"), 64, "template"),
        (("gen:chat", "--spent", "1"), 64, "give --cap"),
        (("gen:chat", "--cap", "1", "--spent", "2"), 64, "2 is spent of a cap of 1"),
    ],
)
def test_what_cannot_be_is_said_with_its_cure(
    capsound: Runs, arguments: tuple[str, ...], status: int, told: str
) -> None:
    ran = capsound("ratio", *arguments)
    assert (ran.status, ran.out) == (status, "")
    assert told in ran.err


def test_a_bad_cell_is_named_by_line_and_column(capsound: Runs, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(
        "bytes,max_output,input_tokens,output_tokens,price_in,price_out\n100,50,30,20,3,15\n100,50,x,20,3,15\n"
    )
    ran = capsound("ratio", path)
    assert ran.status == 65
    assert f"{path}:3" in ran.err
    assert "input_tokens" in ran.err


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_interrupt_prints_the_theorems_that_are_decided(
    more: list[str], capsound: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import capsound_proofs.theorem

    real, done = capsound_proofs.theorem.prove, []

    def once(theorem: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(theorem.name)
        return real(theorem)

    monkeypatch.setattr(capsound_proofs.theorem, "prove", once)
    ran = capsound("prove", "1", "2", "--smt2", tmp_path, *more)
    assert ran.status == 130
    assert {file.name[:2] for file in tmp_path.iterdir()} == {"01"}, "what was not decided is not written"
    assert done[0] in ran.out
    if more:
        told = json.loads(ran.out)
        assert (told["verdict"], told["interrupted"], len(told["theorems"])) == ("unknown", True, 1)
    else:
        assert "interrupted: the other theorems were not decided" in ran.out
