"""The section ``[prices]``: what tokens cost, in tiers by the size of a request, and read from a cache."""

from __future__ import annotations

from capsound.loading.values import Values
from capsound.scenario import Prices, Tier


def read_prices(values: Values) -> Prices:
    """Return the prices; blame tiers that do not follow each other, and prices that are not known to rise."""
    table = dict(values.get(("prices",), {}))
    said = table.pop("input", 1)
    if isinstance(said, int):
        return _cached(values, Prices(input=said, **table))
    tiers = []
    for number, tier in enumerate(said):
        here = ("prices", "input", number)
        last = number == len(said) - 1
        if last and "up_to" in tier:
            values.notes.value(
                here, "the last tier of input has an end", "leave up_to out: it is for all larger requests"
            )
        elif not last and "up_to" not in tier:
            values.notes.value(here, "a tier of input that is not the last has no end", "say up_to = how many tokens")
        elif number and tier["price"] < said[number - 1]["price"]:
            values.notes.value(
                (*here, "price"),
                "the price of input falls from one tier to the next: a larger request may cost less than a smaller one",
                "only tiers that rise are known; take the largest price for all of it",
            )
        elif not last and number and tier["up_to"] <= said[number - 1].get("up_to", 0):
            values.notes.value((*here, "up_to"), "the tiers of input do not rise", "order them by up_to")
        if number and "up_to" in said[number - 1]:
            tiers.append(Tier(said[number - 1]["up_to"], tier["price"]))
    return _cached(values, Prices(input=said[0]["price"], tiers=tuple(tiers), **table))


def _cached(values: Values, prices: Prices) -> Prices:
    cached = prices.cached
    if cached is not None and not (cached <= min(prices.inputs) or cached >= max(prices.inputs)):
        values.notes.value(
            ("prices", "cached"),
            "cached input costs more than in one tier, and less than in another",
            "give a price that is below all tiers, or above all",
        )
    used = any("cached" in table for table in (*values.data["calls"], values.get(("estimator",), {})))
    if used and cached is None:
        values.notes.key((), "cached tokens are told, and no price for them", "add cached = ... to [prices]")
    if values.get(("estimator", "tier")) == "first" and not prices.tiers:
        values.notes.value(
            ("estimator", "tier"), "tier has no meaning: input has one price", "give input in tiers, or leave tier out"
        )
    return prices
