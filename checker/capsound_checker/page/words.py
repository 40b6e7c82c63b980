"""Events and amounts in words, as a page and its Markdown say them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capsound_checker.prices.pricing import dollars

Tell = Callable[[Any], str]
"""Returns an amount as people write it."""

PICO_USD = ("usd", "pico-USD")
"""Units in which money is counted in picodollars (``capsound_checker.prices.pricing``)."""

QUIET = ("observe",)
"""What says nothing new where something else happened in the same step."""


def teller(unit: str, scale: int = 1) -> Tell:
    """Return how amounts of a unit are written; ``scale`` is how many of the whole numbers make one unit."""

    def tell(amount: Any) -> str:
        if type(amount) is not int:
            return ", ".join(map(str, amount)) if isinstance(amount, list) else str(amount)
        if unit in PICO_USD:
            return dollars(amount)
        whole, rest = divmod(abs(amount), scale)
        tail = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0") if scale > 1 else ""
        return f"{'-' if amount < 0 else ''}{whole:,}{f'.{tail}' if tail else ''}"

    return tell


def sentence(event: Mapping[str, Any], tell: Tell = str) -> str:
    """Return what an event says, as the beginning of a sentence without its full stop."""
    e = {key: tell(value) if type(value) is int else _plain(value) for key, value in event.items()}
    try:
        return _SENTENCES[str(event.get("event"))](e)
    except KeyError:  # a field is not told, or the event is not known here
        rest = " ".join(f"{key} {value}" for key, value in e.items() if key not in ("event", "agent"))
        return f"{event.get('event')} {rest}".strip()


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "open": lambda e: f"{e['root']} opens with a cap of {e['cap']}",
    "delegate": lambda e: f"{e['parent']} delegates {e['amount']} to {e['child']}",
    "close": lambda e: f"{e['child']} is closed, and gives back what it has left",
    "merge": lambda e: f"{e['source']} is merged into {e['target']}",
    "reserve": lambda e: f"{e['hold']} is admitted for {e['amount']} on {e['account']}",
    "refuse": lambda e: f"{e['amount']} is refused on {e['account']}",
    "send": lambda e: f"{e['call']} is sent" + ("" if e["call"] == e["hold"] else f" under {e['hold']}"),
    "bill": lambda e: f"{e['call']} is billed {e['amount']}",
    "settle": lambda e: f"{e['hold']} is settled at {e['amount']}",
    "extend": lambda e: f"{e['hold']} is extended by {e['amount']}",
    "release": lambda e: f"{e['hold']} is released",
    "forfeit": lambda e: f"{e['hold']} is written off",
    "expire": lambda e: f"{e['hold']} expires while its call is under way",
    "reset": lambda e: f"a window of {e['root']} ends",
    "record": lambda e: f"{e['amount']} is recorded on {e['account']}",
    "cancel": lambda e: f"{e['hold']} is cancelled",
    "timeout": lambda e: f"{e['call']} gets no reply",
    "crash": lambda e: f"{e['agent']} crashes",
    "observe": lambda e: f"{e['account']} says: {e['spent']} spent, {e['remaining']} remaining",
    "accept": lambda e: f"{e['operation']} on {e['account']} accepts {e['value']}",
    "stall": lambda e: f"no step is possible: {e['agents']} cannot go on",
}
