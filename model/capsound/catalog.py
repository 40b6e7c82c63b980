"""The strategies by name, with their defaults, and the bounds on a provider that they start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from capsound.amounts import as_ratio
from capsound.errors import EXIT_USAGE, CapsoundError, nearest
from capsound.scenario import Estimator, Provider
from capsound.strategies import (
    ByBytes,
    Conformal,
    Counted,
    EarlySettle,
    Fallback,
    Fit,
    InputRule,
    OutputRule,
    RollingQuantile,
    RunningMaximum,
    Strategy,
    Stream,
    Whole,
)


class NoSuchStrategy(CapsoundError):
    """A strategy that does not exist, or a parameter that it does not take."""

    name = "no-such-strategy"
    exit_status = EXIT_USAGE


_NUMBER: Final = re.compile(r"\d{1,9}(\.\d{1,9}|/[1-9]\d{0,8})?", re.ASCII)

Build = Callable[[Fraction, Provider], tuple[InputRule, OutputRule]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of strategy: what it does in one sentence, and its one parameter, if it takes any.

    ``least`` and ``below`` bound the parameter: least <= value < below, no upper end where ``below`` is None.
    """

    name: str
    says: str
    build: Build
    parameter: str = ""
    default: Fraction | None = None
    least: Fraction = Fraction(0)
    below: Fraction | None = None
    whole: bool = False


def bound_of(provider: Provider, *, history: bool = True) -> Estimator:
    """Return the estimator that expects the most that a provider counts."""
    return Estimator(
        provider.tokens_per_byte, provider.template, provider.per_message, provider.per_tool, history=history
    )


def _counter(provider: Provider) -> Counted:
    return Counted(replace(bound_of(provider, history=False), margin=Fraction(1)))


_KINDS = (
    Kind(
        "bytes",
        "bytes times a margin, rounded down, and max_output",
        lambda margin, _: (ByBytes(Estimator(margin)), Whole()),
        "margin",
        Fraction(2),
    ),
    Kind(
        "overhead",
        "the most that the provider counts for bytes, messages and tools, and max_output",
        lambda _, p: (ByBytes(bound_of(p, history=False)), Whole()),
    ),
    Kind(
        "history",
        "overhead, and the history that is sent again",
        lambda _, p: (ByBytes(bound_of(p)), Whole()),
    ),
    Kind(
        "tokenizer",
        "what a token counter says, the overhead that it does not see, and max_output",
        lambda _, p: (_counter(p), Whole()),
    ),
    Kind(
        "running-max",
        "bytes times (the largest ratio observed, at least 1, plus epsilon): the published adaptive estimator",
        lambda epsilon, _: (RunningMaximum(epsilon), Whole()),
        "epsilon",
        Fraction(1, 10),
    ),
    Kind(
        "quantile",
        "bytes times a quantile of the last 50 ratios observed, at least 0.5",
        lambda share, _: (RollingQuantile(share), Whole()),
        "share",
        Fraction(95, 100),
        below=Fraction(1),
    ),
    Kind(
        "conformal",
        "the share of the bound that a bill exceeds with a stated probability",
        lambda risk, p: (Conformal(risk, bound_of(p)), Whole()),
        "risk",
        Fraction(5, 100),
        least=Fraction(1, 1_000),
        below=Fraction(1),
    ),
    Kind(
        "fallback",
        "the larger of the running maximum and history",
        lambda epsilon, p: (Fallback(RunningMaximum(epsilon), bound_of(p)), Whole()),
        "epsilon",
        Fraction(1, 10),
    ),
    Kind(
        "fit",
        "history, with max_output lowered to what is left of the cap, to a given number of tokens at least",
        lambda least, p: (ByBytes(bound_of(p)), Fit(int(least))),
        "least",
        Fraction(16),
        least=Fraction(1),
        whole=True,
    ),
    Kind(
        "stream",
        "history, with two chunks held ahead of the stream instead of max_output",
        lambda chunk, p: (ByBytes(bound_of(p)), Stream(int(chunk))),
        "chunk",
        Fraction(16),
        least=Fraction(1),
        whole=True,
    ),
    Kind(
        "early-settle",
        "history, with the input settled as soon as the provider tells its usage",
        lambda _, p: (ByBytes(bound_of(p)), EarlySettle()),
    ),
    Kind(
        "tokenizer-stream",
        "tokenizer, with two chunks held ahead of the stream instead of max_output",
        lambda chunk, p: (_counter(p), Stream(int(chunk))),
        "chunk",
        Fraction(16),
        least=Fraction(1),
        whole=True,
    ),
)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""Every kind of strategy, by name."""

PROVIDER: Final = Provider(Fraction(1), template=16, per_message=8, per_tool=512)
"""The bounds that are taken where none are given: one token a byte, and room for the overheads that were published.

The published observations show about 7 tokens around a plain message, and 450 where there is one tool.
"""


def get_strategy(text: str, provider: Provider = PROVIDER) -> Strategy:
    """Return the strategy that ``NAME`` or ``NAME:PARAMETER`` names, such as ``bytes:1.05`` or ``stream:32``.

    Raises ``NoSuchStrategy`` for an unknown name, and for a parameter that is no number or out of range.
    """
    name, colon, given = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise NoSuchStrategy(f"there is no strategy {name!r}", hint=nearest(name, KINDS))
    value = Fraction(0) if kind.default is None else kind.default
    if colon:
        value = _parameter(kind, given)
    return Strategy(text, *kind.build(value, provider))


def as_number(text: str) -> Fraction | None:
    """Return what a text such as ``2``, ``1.05`` or ``3/2`` says, exactly; None for anything else, or longer."""
    return as_ratio(text) if _NUMBER.fullmatch(text) else None


def _parameter(kind: Kind, given: str) -> Fraction:
    if kind.default is None:
        raise NoSuchStrategy(f"{kind.name} takes no parameter", hint=f"write {kind.name}")
    wanted = "a whole number" if kind.whole else "a number"
    wanted += f" of at least {kind.least}" + ("" if kind.below is None else f" and below {kind.below}")
    cure = f"for example {kind.name}:{float(kind.default):g}"
    value = as_number(given)
    if (
        value is None
        or value < kind.least
        or (kind.below is not None and value >= kind.below)
        or (kind.whole and value.denominator > 1)
    ):
        raise NoSuchStrategy(f"{given!r} is no {kind.parameter}: {wanted} is expected", hint=cure)
    return value
