"""``capsound ratio``: strategies replayed on a workload, told as a table, as JSON, and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from capsound.catalog import KINDS, PROVIDER, as_number, get_strategy
from capsound.errors import EXIT_USAGE, CapsoundError, nearest
from capsound.scenario import Provider
from capsound.strategies import Counted, Strategy
from capsound.verdict import Verdict
from capsound.workload import Workload, broken_premises
from capsound_checker.costs.figures import RESAMPLES, Figure, Figures, Resampler, measure
from capsound_checker.costs.generators import generate, with_oracle_counts
from capsound_checker.costs.lab import replay
from capsound_checker.costs.workloads import AS_IT_IS, Condition, Reading, read_workload
from capsound_proofs.strategies import StrategyVerdict, judge_strategy


class BadOption(CapsoundError):
    """An option of ``ratio`` that says something that it cannot say."""

    name = "bad-option"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Lab:
    """What was measured: a workload, and for each strategy its figures and its verdict."""

    workload: Workload
    cap: int | None
    agents: int
    seed: int
    provider: Provider
    broken: dict[str, int]
    figures: tuple[Figures, ...]
    verdicts: tuple[StrategyVerdict, ...]
    left_out: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    """The strategies that were not measured, since Ctrl-C came before."""
    spent: int = 0
    """How much of the cap was gone before the first call of each budget."""

    @property
    def proved(self) -> tuple[bool, ...]:
        """Whether A1 is proved of each strategy for requests like these: with history, if the workload has any."""
        grows = any(call.seen.history for call in self.workload.calls)
        return tuple(v.verdict is Verdict.SOUND and not (grows and v.witness) for v in self.verdicts)


def run_lab(
    source: str,
    strategies: Sequence[str] = (),
    *,
    cap: int | None = None,
    spent: int = 0,
    agents: int = 1,
    seed: int = 0,
    sessions: int = 200,
    reading: Reading = AS_IT_IS,
    bounds: Sequence[str] = (),
    resamples: int = RESAMPLES,
    tell: Callable[[str], None] = lambda _: None,
) -> Lab:
    """Return what strategies cost on the workload ``source``: a CSV file, or ``gen:NAME``.

    Without names, all strategies are tried; those that need token counts are left out where a call has none.
    Of a cap of which ``spent`` is gone already, only the rest is left to admit calls.
    On Ctrl-C what was measured so far is returned, if anything was.
    Raises ``BadWorkload``, ``NoSuchWorkload``, ``NoSuchStrategy``, ``NoCount``, ``BadOption``.
    """
    if spent and (cap is None or spent > cap):
        raise BadOption(
            f"{spent} is spent of {'no cap' if cap is None else f'a cap of {cap}'}",
            cause="what is spent is part of a cap",
            hint="give --cap, and at least what is spent of it",
        )
    left = None if cap is None else cap - spent
    provider = provider_of(bounds)
    chosen = [get_strategy(name, provider) for name in dict.fromkeys(strategies or KINDS)]
    workload = _load(source, seed, sessions, reading)
    left_out: list[Strategy] = []
    if not strategies and any(call.seen.counted is None for call in workload.calls):
        left_out = [strategy for strategy in chosen if isinstance(strategy.input, Counted)]
    wanted = [s for s in chosen if s not in left_out]
    draws: Resampler | None = None
    figures: list[Figures] = []
    verdicts: list[StrategyVerdict] = []
    try:
        for strategy in wanted:
            tell(strategy.name)
            run = replay(workload, strategy, left, agents)
            draws = draws or Resampler(len(workload.sessions), len(run.pots), seed, resamples)
            measured, verdict = measure(run, draws), judge_strategy(strategy, provider)
            figures.append(measured)
            verdicts.append(verdict)
    except KeyboardInterrupt:
        if not figures:
            raise
    broken: dict[str, int] = {}
    for call in workload.calls:
        for premise in broken_premises(call, provider):
            broken[premise] = broken.get(premise, 0) + 1
    return Lab(
        workload,
        cap,
        agents,
        seed,
        provider,
        dict(sorted(broken.items())),
        tuple(figures),
        tuple(verdicts),
        tuple(strategy.name for strategy in left_out),
        tuple(strategy.name for strategy in wanted[len(verdicts) :]),
        spent,
    )


def _load(source: str, seed: int, sessions: int, reading: Reading) -> Workload:
    if not source.startswith("gen:"):
        return read_workload(Path(source), reading)
    workload = generate(source.removeprefix("gen:"), seed, sessions)
    return with_oracle_counts(workload) if reading.exact_counts else workload


def provider_of(bounds: Sequence[str]) -> Provider:
    """Return the bounds on the provider, with those changed that ``KEY=VALUE`` texts name. Raises ``BadOption``."""
    names = tuple(Provider.__slots__)
    given: dict[str, Any] = {}
    for text in bounds:
        key, _, value = text.partition("=")
        if key not in names:
            raise BadOption(f"there is no bound {key!r}", hint=nearest(key, names))
        number = as_number(value)
        if number is None:
            raise BadOption(f"{text!r} is not a bound", hint=f"write {key}=16")
        if key != "tokens_per_byte" and number.denominator > 1:
            raise BadOption(f"{text!r} is not a bound: tokens are whole numbers", hint=f"write {key}=16")
        given[key] = number if key == "tokens_per_byte" else int(number)
    return replace(PROVIDER, **given)


def parse_where(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Return ``COLUMN=VALUE`` and ``COLUMN!=VALUE`` texts as conditions. Raises ``BadOption``."""
    out = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"{text!r} is not a condition", hint="write COLUMN=VALUE or COLUMN!=VALUE")
        out.append(Condition(name.removesuffix("!"), value, equal=not name.endswith("!")))
    return tuple(out)


# -------------------------------------------------------------------------------------------------- telling

_HEAD = ("strategy", "A1", "median", "p95", "aggregate", "95 % interval", "over", "overshoot", "refused", "false")
_REST = ("cut", "completed", "used")


def text_of(lab: Lab) -> str:
    """Return what was measured as a table for people."""
    rows: list[tuple[str, ...]] = [(*_HEAD, *_REST)]
    rows += [_row(*each) for each in zip(lab.figures, lab.verdicts, lab.proved, strict=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [_title(lab), *(f"  {note}" for note in lab.workload.notes), ""]
    for row in rows:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines += ["", *_explained(lab)]
    return "\n".join(lines) + "\n"


def _title(lab: Lab) -> str:
    calls, sessions = lab.figures[0].calls, len(lab.workload.sessions)
    what = f"{calls:,} calls" if lab.workload.shared else f"{calls:,} calls in {sessions:,} sessions"
    share = "shared by all calls" if lab.workload.shared else _each(lab)
    gone = f" ({lab.spent:,} of it spent)" if lab.spent else ""
    cap = "no cap" if lab.cap is None else f"cap {lab.cap:,} {lab.workload.unit}{gone}, {share}"
    together = "" if lab.agents == 1 else f", {lab.agents} agents at once"
    return f"{lab.workload.name}: {what}, {cap}{together}"


def _each(lab: Lab) -> str:
    return "one per session" if lab.agents == 1 else f"one per {lab.agents} sessions"


def _row(figures: Figures, verdict: StrategyVerdict, proved: bool) -> tuple[str, ...]:
    word = "proved" if proved else "unknown" if verdict.verdict is Verdict.UNKNOWN else "refuted"
    if verdict.verdict is Verdict.SOUND and verdict.witness:
        word += "*"
    low, high = _decimal(figures.aggregate.low), _decimal(figures.aggregate.high)
    return (
        figures.strategy,
        word,
        _decimal(figures.median.value),
        _decimal(figures.p95.value),
        _decimal(figures.aggregate.value),
        "-" if low == "-" else f"{low}..{high}",
        str(figures.overran),
        f"{figures.over:,}" + (f" in {figures.pots_over}" if figures.pots_over and figures.pots > 1 else ""),
        str(figures.refused),
        str(figures.falsely),
        str(figures.cut),
        str(figures.completed),
        "-" if figures.used.value is None else f"{_decimal(figures.used.value * 100, 1)} %",
    )


def _decimal(value: Fraction | None, digits: int = 2) -> str:
    """Return a fraction rounded half up, without going through a float."""
    if value is None:
        return "-"
    scaled = (value * 10**digits + Fraction(1, 2)) // 1
    whole, part = divmod(scaled, 10**digits)
    return f"{whole}.{part:0{digits}d}"


def _explained(lab: Lab) -> list[str]:
    lines = [
        "A1: can a bill exceed its hold? Decided by z3 and cvc5; --json shows premises and witnesses.",
        "median, p95: reserved / billed of each admitted call. aggregate: sum reserved / sum billed.",
        "over: calls billed above their hold (A1 violations). false: refused, though an oracle would have admitted.",
        "used: what calls answered in full were billed, as a share of the best that an oracle can do.",
    ]
    if any(v.verdict is Verdict.SOUND and v.witness for v in lab.verdicts):
        lines.append("*: proved only if no history is sent besides the bytes that are counted.")
    for premise, count in lab.broken.items():
        lines.append(f"{count} of {lab.figures[0].calls} calls break premise {premise}: nothing is proved about them.")
    if not all(figures.exact for figures in lab.figures):
        lines.append("used is a share of min(cap, all bills): the exact optimum takes too long here.")
    if lab.left_out:
        lines.append(f"left out, because the workload has no token counts: {', '.join(lab.left_out)}.")
    if lab.unmeasured:
        lines.append(f"interrupted: not measured are {', '.join(lab.unmeasured)}.")
    return lines


def data_of(lab: Lab) -> dict[str, Any]:
    """Return what was measured as JSON data: amounts as integers, ratios as numbers with four decimals."""
    bounds = {name: getattr(lab.provider, name) for name in Provider.__slots__}
    return {
        "format": "capsound.ratio/1",
        "workload": lab.workload.name,
        "notes": list(lab.workload.notes),
        "unit": lab.workload.unit,
        "sessions": len(lab.workload.sessions),
        "shared": lab.workload.shared,
        "cap": lab.cap,
        "spent": lab.spent,
        "agents": lab.agents,
        "seed": lab.seed,
        "bounds": {name: str(value) if isinstance(value, Fraction) else value for name, value in bounds.items()},
        "broken_premises": lab.broken,
        "left_out": list(lab.left_out),
        "unmeasured": list(lab.unmeasured),
        "strategies": [_strategy_data(*each) for each in zip(lab.figures, lab.verdicts, lab.proved, strict=True)],
    }


_RATIOS = {
    "median": "per_call_median",
    "p95": "per_call_p95",
    "aggregate": "aggregate",
    "risk": "a1_violation_share",
    "used": "used_of_oracle",
}
_COUNTS = {
    "calls": "calls",
    "completed": "completed",
    "cut": "cut",
    "refused": "refused",
    "falsely": "falsely_refused",
    "skipped": "skipped",
    "overran": "a1_violations",
    "reserved": "reserved",
    "billed": "billed",
    "over": "overshoot",
    "pots": "caps",
    "pots_over": "caps_exceeded",
    "exact": "oracle_exact",
}


def _strategy_data(figures: Figures, verdict: StrategyVerdict, proved: bool) -> dict[str, Any]:
    return {
        "name": figures.strategy,
        "proved_here": proved,
        "verdict": verdict.verdict.value,
        "premises": list(verdict.premises),
        "solvers": verdict.solvers,
        "witness": verdict.witness.sentence if verdict.witness else None,
        **{key: getattr(figures, name) for name, key in _COUNTS.items()},
        **{key: _figure_data(getattr(figures, name)) for name, key in _RATIOS.items()},
    }


def _figure_data(figure: Figure) -> dict[str, float | None]:
    return {
        name: None if value is None else float(round(value, 4))
        for name, value in (("value", figure.value), ("low", figure.low), ("high", figure.high))
    }


def write_frontier(lab: Lab, path: Path) -> None:
    """Plot cost against risk; raises ``NoPlot`` or ``CannotWrite``."""
    from capsound_checker.costs.frontier import points_of, write_plot

    broken = [f"{premise} broken by {count} calls" for premise, count in lab.broken.items()]
    write_plot(path, points_of(lab.figures, lab.proved), "; ".join([_title(lab), *broken]))
