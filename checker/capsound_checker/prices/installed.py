"""The prices of ``genai-prices``, an optional package: tiers by length, cache reads and writes, service tiers, dates.

What its table does not price is not known: a model without a price for what was used, a service tier without a price of
its own, a price that has changed where nobody says when the call was made.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext
from fractions import Fraction
from typing import Any

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.prices.pricing import PICO, Priced, Tokens

_STANDARD = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
"""What answers call the tier that is nothing special."""

_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])


class NotInstalled(CapsoundError):
    """The package with the prices is not there."""

    name = "not-installed"
    exit_status = EXIT_USAGE


def installed() -> Installed:
    """Return the table of the installed ``genai-prices``. Raises ``NotInstalled`` where there is none."""
    try:
        package = importlib.import_module("genai_prices")
    except ImportError as error:
        raise NotInstalled(
            "prices need the package genai-prices",
            cause=str(error),
            hint="pip install 'capsound[prices]', or give each price: --price MODEL=IN/OUT",
        ) from None
    return Installed(package, importlib.import_module("genai_prices.data_snapshot").get_snapshot())


@dataclass(frozen=True, slots=True)
class Installed:
    """The table of a version of ``genai-prices``: a ``Table``. It never asks the network."""

    package: Any
    snapshot: Any

    @property
    def source(self) -> str:
        """Its name and version: the prices are as old as that."""
        return f"prices of genai-prices {self.package.__version__}"

    def price(self, tokens: Tokens, model: str, provider: str, at: datetime | None, tier: str) -> Priced:
        """Return what a call cost, in whole pico-dollars: see ``Prices.price``."""
        found = self._find(model, provider)
        if found is None:
            return Priced(None, f"genai-prices {self.package.__version__} has no price of {model}")
        seller, info = found
        context = _context(tier)
        prices = [self._one(tokens, seller, info, context, moment) for moment in ([at] if at else _moments(info))]
        first = prices[0]
        if any(other != first for other in prices):
            if all(other.pico is not None for other in prices):
                return Priced(None, f"the price of {model} has changed, and nobody says when this call was made")
            return next(other for other in prices if other.pico is None)
        return first

    def _find(self, model: str, provider: str) -> tuple[Any, Any] | None:
        """Return the seller and the model.

        A seller that the table knows is the only one that counts; else ``seller/model`` or the name alone says it.
        """
        seller, _, rest = model.partition("/")
        if provider and self._sells(provider):
            return self._model(model, provider) or (self._model(rest, provider) if rest else None)
        found = self._model(model, None)
        return found or (self._model(rest, seller) if rest and self._sells(seller) else None)

    def _sells(self, name: str) -> bool:
        try:
            self.snapshot.find_provider(None, name, None)
        except LookupError:
            return False
        return True

    def _model(self, name: str, seller: str | None) -> tuple[Any, Any] | None:
        try:
            found: tuple[Any, Any] = self.snapshot.find_provider_model(name, None, seller, None)
        except LookupError:
            return None
        return found

    def _one(self, tokens: Tokens, seller: Any, info: Any, context: dict[str, str], at: datetime) -> Priced:
        if context and not any(_covers(variant, context, at) for variant in info.price_variants or ()):
            return Priced(None, f"genai-prices has no price of {info.id} for {' '.join(context.values())} at that time")
        used = {
            "input_tokens": tokens.input,
            "output_tokens": tokens.output,
            "cache_read_tokens": tokens.cached,
            "cache_write_tokens": tokens.written,
            "cache_write_1h_tokens": tokens.written_long,
        }
        usage = self.package.Usage(**{key: count for key, count in used.items() if count or key == "input_tokens"})
        try:
            with localcontext(_EXACT):
                made = info.calc_price(usage, seller, genai_request_timestamp=at, price_context=context or None)
            total: Decimal = made.total_price
            dollars = Fraction(total)
        except (ValueError, LookupError, ArithmeticError) as error:
            return Priced(None, f"genai-prices cannot price this: {error}")
        for count, key in ((tokens.input, "input_mtok"), (tokens.output, "output_mtok")):
            if count and getattr(made.model_price, key) is None:
                return Priced(None, f"genai-prices {self.package.__version__} has no price of {info.id} for tokens")
        pico = dollars * PICO
        if pico.denominator != 1:
            return Priced(None, f"a token of {info.id} costs less than a pico-dollar")
        return Priced(pico.numerator)


def _context(tier: str) -> dict[str, str]:
    plain = tier.strip().lower()
    if plain in _STANDARD:
        return {}
    return {"processing": "batch"} if plain == "batch" else {"service_tier": plain}


def _covers(variant: Any, context: dict[str, str], at: datetime) -> bool:
    """Return whether a special price is for this context, and valid at that time."""
    active = variant.constraint is None or variant.constraint.active(at)
    return bool(active and context.items() <= variant.when.items())


def _moments(info: Any) -> list[datetime]:
    """Return moments of which one lies in each span of time in which one price is valid."""
    listed: Iterable[Any] = info.prices if isinstance(info.prices, list) else ()
    constraints = [one.constraint for one in (*listed, *(info.price_variants or ())) if one.constraint is not None]
    days = sorted({day for one in constraints for day in _days(one)})
    times = sorted({time for one in constraints for time in _times(one)})
    first = days[0] - timedelta(days=1) if days else datetime(2000, 1, 1, tzinfo=UTC)
    midnight = timedelta(0)
    return [day + time for day in (first, *days) for time in (midnight, *times)]


def _days(constraint: Any) -> Iterator[datetime]:
    day = getattr(constraint, "start_date", None)
    if day is not None:
        yield datetime(day.year, day.month, day.day, tzinfo=UTC)


def _times(constraint: Any) -> Iterator[timedelta]:
    for name in ("start_time", "end_time"):
        time = getattr(constraint, name, None)
        if time is not None:
            moment = datetime(2000, 1, 2, time.hour, time.minute, time.second, tzinfo=time.tzinfo or UTC)
            yield timedelta(seconds=(moment - datetime(2000, 1, 2, tzinfo=UTC)).total_seconds() % 86_400)
