"""Handles: the programs of a scenario are checked for second uses before anything runs."""

from __future__ import annotations

from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_proofs.outcome import PropertyResult
from capsound_proofs.problem import Problem


def judge_handles(problem: Problem) -> None:
    """Record that a program uses a handle twice."""
    reuse = problem.machine.reuse
    assert reuse is not None
    rejected = "rejected before it runs" if problem.machine.discipline.affine else "not rejected"
    problem.results[Property.HANDLES] = PropertyResult(
        Property.HANDLES,
        Verdict.VIOLATED,
        f"the program of {problem.machine.reuse_agent} is {rejected}: {reuse.reason}",
        "checked before running",
        0.0,
        anomaly="use-after-move",
    )


def accept_handles(problem: Problem) -> None:
    """Record that no program uses a handle twice."""
    problem.results[Property.HANDLES] = PropertyResult(
        Property.HANDLES,
        Verdict.SOUND,
        "the linearity check accepts every program: no handle is used twice",
        "checked before running",
        0.0,
    )
