"""The token of a run: its schedule, and what the run depends on beside the command, as a text that can be pasted."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from capsound.errors import BadToken, CapsoundError
from capsound_checker.intake.limits import read_json
from capsound_checker.wire.money import Cap, Unit
from capsound_checker.wire.schedule import ACTS, Choice, Schedule

PREFIX = "cw1:"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a token holds."""

    schedule: Schedule
    cap: Cap
    prices: tuple[str, ...] = ()
    output: int = 100


def token(kept: Kept) -> str:
    """Return a short text that ``parse_token`` reads."""
    schedule, cap = kept.schedule, kept.cap
    steps = [[at, one.label, one.act] for at, one in schedule.departures]
    data = [schedule.order, schedule.act, steps, cap.amount, cap.unit.name, list(kept.prices), kept.output]
    raw = json.dumps(data, separators=(",", ":")).encode()
    return PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parse_token(text: str) -> Kept:
    """Return what a token holds. Raises ``BadToken``."""
    body = text.strip().removeprefix(PREFIX)
    try:
        data = read_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode())
        order, act, steps, amount, unit, prices, output = data
        departures = tuple((at, Choice(label, how)) for at, label, how in steps)
        known = order in ("first", "last") and act in ACTS and unit in ("usd", "tokens", "requests")
        if not (
            known
            and _whole(amount)
            and _whole(output)
            and all(isinstance(price, str) for price in prices)
            and all(_whole(at) and isinstance(one.label, str) and one.act in ACTS for at, one in departures)
        ):
            raise ValueError
    except (ValueError, TypeError, binascii.Error, CapsoundError):
        raise BadToken("the token is damaged", hint="copy it whole, as `capsound wire` printed it") from None
    return Kept(Schedule(order, act, departures), Cap(amount, Unit(unit)), tuple(prices), output)


def _whole(*numbers: object) -> bool:
    return all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)


def is_token(text: str) -> bool:
    """Whether a text is a token of an application's run."""
    return text.strip().startswith(PREFIX)
