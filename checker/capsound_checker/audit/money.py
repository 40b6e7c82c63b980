"""A mapping in money: its calls priced, in pico-dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from capsound_checker.audit.calls import DOLLARS, Money
from capsound_checker.audit.mappingvalues import BadMapping
from capsound_checker.audit.rules import LogMapping
from capsound_checker.audit.units import PICO_USD
from capsound_checker.prices.installed import installed
from capsound_checker.prices.pricing import Prices, all_rates


def in_money(mapping: LogMapping, given: Sequence[str], table: bool) -> LogMapping:
    """Return a mapping that counts in dollars where prices are asked for, or where it does so by itself.

    ``given`` are prices as ``MODEL=IN/OUT``, ``table`` asks for those of the installed package. Raises ``BadPrice``,
    ``NotInstalled``, and ``BadMapping`` where the mapping does not say what a call used.
    """
    if not given and not table and mapping.counts != DOLLARS:
        return mapping
    if not any(rule.call is not None for rule in mapping.rules):
        raise BadMapping(
            "its calls cannot be priced",
            where=mapping.path,
            cause="it emits amounts in a unit of its own",
            hint="say what a call used: `call` in place of `emit` (docs/audit.md)",
        )
    prices = Prices(all_rates(given), installed() if table else None)
    notes = [f"priced by: {source}" for source in prices.sources] or ["costs are those that the records tell"]
    return replace(mapping, unit=PICO_USD, money=Money(prices), notes=(*mapping.notes, *notes))
