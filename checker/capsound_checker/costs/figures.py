"""What a replay shows, as figures: each ratio by its full name, each with a confidence interval.

*Per call*: reserved / billed of each call that was admitted and billed something; its median and 95th percentile.
*Aggregate*: the sum of what was reserved over the sum of what was billed. The two differ: the median counts a cheap
call as much as a dear one. ``reserved`` is the most that was held for a call at any time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from capsound.strategies import quantile
from capsound_checker.costs.lab import Fate, Outcome, Run

RESAMPLES = 400
LOW, HIGH = Fraction(25, 1000), Fraction(975, 1000)
MEDIAN, P95 = Fraction(1, 2), Fraction(95, 100)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % confidence interval; ``value`` is None where nothing was billed or held."""

    value: Fraction | None
    low: Fraction | None = None
    high: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What one strategy did to one workload. Amounts are in the unit of the workload.

    ``risk`` is the share of admitted calls that were billed more than was held for them (A1). ``over`` is what was
    billed above caps, ``pots_over`` how many of the ``pots`` caps that were exceeded. ``used`` is what was billed for
    calls answered in full, as a share of what an oracle could have had billed for such calls; ``exact`` is whether that
    is known, or the bound min(cap, all bills).
    """

    strategy: str
    calls: int
    completed: int
    cut: int
    refused: int
    falsely: int
    skipped: int
    overran: int
    reserved: int
    billed: int
    over: int
    pots: int
    pots_over: int
    exact: bool
    median: Figure
    p95: Figure
    aggregate: Figure
    risk: Figure
    used: Figure


class Resampler:
    """Bootstrap resamples (Efron, 1979) of the sessions of a workload, the same ones for every strategy.

    Sessions are resampled, not calls, since the calls of one session are alike. What a strategy has learned stays as
    it was in the replay. Where there is one session or one cap, its interval is not known.
    """

    def __init__(self, sessions: int, pots: int, seed: int = 0, resamples: int = RESAMPLES) -> None:
        chance = random.Random(f"bootstrap/{seed}")
        self.sessions = _draws(chance, sessions, resamples)
        self.pots = _draws(chance, pots, resamples)


def _draws(chance: random.Random, units: int, resamples: int) -> list[list[int]]:
    return [chance.choices(range(units), k=units) for _ in range(resamples)] if units > 1 else []


def measure(run: Run, draws: Resampler) -> Figures:
    """Return the figures of a replay."""
    fates = [outcome.fate for outcome in run.outcomes]
    made = [o for o in run.outcomes if o.fate in (Fate.COMPLETED, Fate.CUT)]
    overran = sum(o.overran for o in made)
    median, p95 = _per_call(made, draws)
    return Figures(
        strategy=run.strategy.name,
        calls=len(fates),
        completed=fates.count(Fate.COMPLETED),
        cut=fates.count(Fate.CUT),
        refused=fates.count(Fate.REFUSED),
        falsely=sum(o.falsely for o in run.outcomes),
        skipped=fates.count(Fate.SKIPPED),
        overran=overran,
        reserved=sum(o.reserved for o in made),
        billed=sum(o.billed for o in made),
        over=sum(pot.over for pot in run.pots),
        pots=len(run.pots),
        pots_over=sum(pot.over > 0 for pot in run.pots),
        exact=all(pot.exact for pot in run.pots),
        median=median,
        p95=p95,
        aggregate=_aggregate(made, draws),
        risk=wilson(overran, len(made)),
        used=_ratio([(pot.answered, pot.best) for pot in run.pots], draws.pots),
    )


def _per_call(made: list[Outcome], draws: Resampler) -> tuple[Figure, Figure]:
    """Return the median and the 95th percentile of reserved / billed.

    Resamples are drawn as ranks among the sorted ratios: sorting small integers is fast, sorting fractions is not.
    """
    ranked = sorted((Fraction(o.reserved, o.billed), o.session) for o in made if o.billed)
    if not ranked:
        return Figure(None), Figure(None)
    ratios = [ratio for ratio, _ in ranked]
    ranks: dict[int, list[int]] = {}
    for rank, (_, session) in enumerate(ranked):
        ranks.setdefault(session, []).append(rank)
    medians, highs = [], []
    for draw in draws.sessions:
        drawn = sorted(rank for session in draw for rank in ranks.get(session, ()))
        if drawn:
            medians.append(_at(ratios, drawn, MEDIAN))
            highs.append(_at(ratios, drawn, P95))
    return _figure(quantile(ratios, MEDIAN), medians), _figure(quantile(ratios, P95), highs)


def _at(ratios: list[Fraction], drawn: list[int], share: Fraction) -> Fraction:
    place = (len(drawn) - 1) * share
    below = int(place)
    return quantile([ratios[rank] for rank in drawn[below : below + 2]], place - below)


def _aggregate(made: list[Outcome], draws: Resampler) -> Figure:
    sums: dict[int, tuple[int, int]] = {}
    for o in made:
        reserved, billed = sums.get(o.session, (0, 0))
        sums[o.session] = (reserved + o.reserved, billed + o.billed)
    last = max(sums, default=-1)
    count = len(draws.sessions[0]) if draws.sessions else last + 1
    return _ratio([sums.get(session, (0, 0)) for session in range(count)], draws.sessions)


def _ratio(pairs: list[tuple[int, int]], draws: list[list[int]]) -> Figure:
    """Return the sum of the first numbers over the sum of the second, with its interval."""
    values = []
    for draw in draws:
        below = sum(pairs[i][1] for i in draw)
        if below:
            values.append(Fraction(sum(pairs[i][0] for i in draw), below))
    below = sum(b for _, b in pairs)
    return _figure(Fraction(sum(a for a, _ in pairs), below) if below else None, values)


def _figure(value: Fraction | None, values: list[Fraction]) -> Figure:
    if not values:
        return Figure(value)
    values = sorted(values)
    return Figure(value, quantile(values, LOW), quantile(values, HIGH))


def wilson(hits: int, trials: int) -> Figure:
    """Return a share with its 95 % score interval (Wilson, 1927), to six decimals.

    Why not the bootstrap: where nothing was hit it would say that nothing ever is.
    """
    if not trials:
        return Figure(None)
    scale, z = 10**6, Fraction(196, 100)
    share, square = Fraction(hits, trials), z * z
    under = share * (1 - share) / trials + square / (4 * trials * trials)
    root = Fraction(isqrt(int(under * scale**4)), scale**2)
    centre, spread = share + square / (2 * trials), z * root
    whole = 1 + square / trials
    low = Fraction(0) if hits == 0 else max(Fraction(0), (centre - spread) / whole)
    high = Fraction(1) if hits == trials else min(Fraction(1), (centre + spread) / whole)
    return Figure(share, *(Fraction(round(end * scale), scale) for end in (low, high)))
