"""What a person acts on: who spent most, when the cap was exceeded, and what another cap would have refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from capsound_checker.audit.moments import When, date
from capsound_checker.audit.units import amount
from capsound_checker.intake.limits import cut

if TYPE_CHECKING:
    from capsound_checker.audit.whatif import Supposed


@dataclass(frozen=True, slots=True)
class Part:
    """What one agent or model spent, or what was spent in one hour; None stands for all that are not told."""

    name: str | None
    amount: int


@dataclass(frozen=True, slots=True)
class Share:
    """Who of one kind spent most: the others are counted together."""

    kind: str
    parts: tuple[Part, ...]
    others: int
    """How many more there are."""
    amount: int
    """What they spent together."""
    endless: bool = False
    """Whether there were so many that not all could be told apart."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A bill that exceeded a cap: by how much the bills of the root were over then."""

    root: str
    cap: int
    over: int
    when: When


@dataclass(frozen=True, slots=True)
class Spent:
    """All of it, in the unit of the log: at least, since a bill that is not known counts at its lower end."""

    total: int = 0
    shares: tuple[Share, ...] = ()
    first: Passed | None = None
    largest: Passed | None = None
    supposed: tuple[Supposed, ...] = ()

    def lines(self, unit: str) -> Iterator[str]:
        """Yield it in words."""
        if self.first is not None and self.largest is not None:
            if self.first == self.largest:
                yield f"over the cap first, and most: {_passed(self.first, unit)}"
            else:
                yield f"over the cap first: {_passed(self.first, unit)}"
                yield f"over the cap most: {_passed(self.largest, unit)}"
        untold = []
        for share in self.shares:
            if [part.name for part in share.parts] == [None]:
                untold.append("time" if share.kind == "hour" else share.kind)
            elif share.parts:
                yield f"spent by {share.kind}: {self._share(share, unit)}"
        if untold:
            yield f"no bill tells its {' or '.join(untold)}"
        for supposed in self.supposed:
            yield f"a cap of {amount(supposed.cap, unit)} would refuse {_supposed(supposed, unit)}"

    def data(self, unit: str) -> dict[str, Any]:
        """Return it as JSON data: exact amounts, and beside them as people write them."""
        return {
            "total": self.total,
            "total_text": amount(self.total, unit),
            "first_over": None if self.first is None else _passed_data(self.first, unit),
            "largest_over": None if self.largest is None else _passed_data(self.largest, unit),
            "by": {share.kind: self._share_data(share, unit) for share in self.shares},
            "what_if": [_supposed_data(supposed, unit) for supposed in self.supposed],
        }

    def _share(self, share: Share, unit: str) -> str:
        told = [
            f"{cut(part.name, 60) if part.name is not None else f'(no {share.kind})'} "
            f"{amount(part.amount, unit)} ({percent(part.amount, self.total)})"
            for part in share.parts
        ]
        if share.amount:
            more = "many" if share.endless else f"{share.others:,}"
            told.append(f"{more} more {amount(share.amount, unit)} ({percent(share.amount, self.total)})")
        return " · ".join(told)

    def _share_data(self, share: Share, unit: str) -> dict[str, Any]:
        return {
            "most": [
                {
                    "name": part.name,
                    "amount": part.amount,
                    "text": amount(part.amount, unit),
                    "percent": percent(part.amount, self.total),
                }
                for part in share.parts
            ],
            "others": share.others,
            "others_amount": share.amount,
            "complete": not share.endless,
        }


def percent(part: int, whole: int) -> str:
    """Return a share to one decimal, halves up; what is not nothing is never written as nothing."""
    tenths = (2000 * part + whole) // (2 * whole)
    if part and not tenths:
        return "<0.1%"
    if part != whole and tenths == 1000:
        return ">99.9%"
    return f"{tenths // 10}.{tenths % 10}%" if tenths % 10 else f"{tenths // 10}%"


def _passed(passed: Passed, unit: str) -> str:
    return f"{cut(passed.root, 80)} by {amount(passed.over, unit)} ({passed.when.text})"


def _supposed(supposed: Supposed, unit: str) -> str:
    first = supposed.first
    over = f" ({amount(supposed.overshoot, unit)} over all the same)" if supposed.overshoot else ""
    kept = f"{amount(supposed.billed, unit)} billed{over}"
    calls = f"{supposed.calls:,} {'call' if supposed.calls == 1 else 'calls'}"
    if first is None:
        return f"none of {calls}: {kept}"
    unknown = f" ({supposed.refused_unknown:,} without a known bill)" if supposed.refused_unknown else ""
    return (
        f"{supposed.refused:,} of {calls}{unknown}: {amount(supposed.refused_billed, unit)} less, {kept}; "
        f"the first asked for {amount(first.amount, unit)} on {cut(first.root, 80)} ({first.when.text})"
    )


def _passed_data(passed: Passed, unit: str) -> dict[str, Any]:
    return {
        "root": passed.root,
        "cap": passed.cap,
        "over": passed.over,
        "over_text": amount(passed.over, unit),
        **_when_data(passed.when),
    }


def _when_data(when: When) -> dict[str, Any]:
    return {"line": when.line, "at": None if when.at is None else date(when.at)}


def _supposed_data(supposed: Supposed, unit: str) -> dict[str, Any]:
    first = supposed.first
    return {
        "cap": supposed.cap,
        "cap_text": amount(supposed.cap, unit),
        "calls": supposed.calls,
        "refused": supposed.refused,
        "refused_billed": supposed.refused_billed,
        "refused_billed_text": amount(supposed.refused_billed, unit),
        "refused_unknown": supposed.refused_unknown,
        "billed": supposed.billed,
        "billed_text": amount(supposed.billed, unit),
        "overshoot": supposed.overshoot,
        "overshoot_text": amount(supposed.overshoot, unit),
        "first": None
        if first is None
        else {"root": first.root, "amount": first.amount, "text": amount(first.amount, unit), **_when_data(first.when)},
    }
