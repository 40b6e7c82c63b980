"""The vocabulary: one frozen dataclass per event (design section 2).

``solve``, ``check``, ``audit`` and ``replay`` are four sources of these events; the monitor folds them into
verdicts and does not know which of the four it listens to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args

from capsound.amounts import AccountId, AgentId, Amount, CallId, HoldId, as_amount
from capsound.errors import BadAmount, BadTrace


@dataclass(frozen=True, slots=True)
class Open:
    """A root account is created with its cap."""

    kind: ClassVar[str] = "open"
    root: AccountId
    cap: Amount


@dataclass(frozen=True, slots=True)
class Delegate:
    """A slice of ``amount`` moves from ``parent`` to the new account ``child``."""

    kind: ClassVar[str] = "delegate"
    parent: AccountId
    child: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Close:
    """A slice ends; what it has not spent moves back to its parent."""

    kind: ClassVar[str] = "close"
    child: AccountId


@dataclass(frozen=True, slots=True)
class Merge:
    """The free capacity of ``source`` moves into ``target``; ``source`` ends. Both belong to one root."""

    kind: ClassVar[str] = "merge"
    target: AccountId
    source: AccountId


@dataclass(frozen=True, slots=True)
class Reserve:
    """A call is admitted for at most ``amount``, whether or not the implementation sets that amount aside."""

    kind: ClassVar[str] = "reserve"
    account: AccountId
    hold: HoldId
    amount: Amount
    agent: AgentId | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """A call of ``amount`` is not admitted; ``hold`` names it where it had a hold, or had even been sent."""

    kind: ClassVar[str] = "refuse"
    account: AccountId
    amount: Amount
    reason: str = ""
    agent: AgentId | None = None
    hold: HoldId | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """The request leaves for the provider, covered by ``hold``."""

    kind: ClassVar[str] = "send"
    hold: HoldId
    call: CallId


@dataclass(frozen=True, slots=True)
class Bill:
    """Ghost: what the provider truly charges for ``call``; several bills of one call add up."""

    kind: ClassVar[str] = "bill"
    call: CallId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Settle:
    """The ledger is told that the calls under ``hold`` cost ``amount``."""

    kind: ClassVar[str] = "settle"
    hold: HoldId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Extend:
    """``amount`` more is reserved for a running (streamed) call."""

    kind: ClassVar[str] = "extend"
    hold: HoldId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Release:
    """A hold is given back unused; legal only before the call is sent."""

    kind: ClassVar[str] = "release"
    hold: HoldId


@dataclass(frozen=True, slots=True)
class Forfeit:
    """A hold is written off: the cost is unknown, so all of it counts as spent."""

    kind: ClassVar[str] = "forfeit"
    hold: HoldId


@dataclass(frozen=True, slots=True)
class Expire:
    """The ledger lets a hold go although its call is still under way, and may be billed and settled later."""

    kind: ClassVar[str] = "expire"
    hold: HoldId


@dataclass(frozen=True, slots=True)
class Reset:
    """A window of ``root`` ends: what was spent and billed in it counts no more. Holds of open calls stay.

    ``forgotten`` are those of them that the ledger let go all the same.
    """

    kind: ClassVar[str] = "reset"
    root: AccountId
    forgotten: tuple[HoldId, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Spending is told after the fact, without a hold."""

    kind: ClassVar[str] = "record"
    account: AccountId
    amount: Amount


@dataclass(frozen=True, slots=True)
class Cancel:
    """Fault: the caller gives up ``hold`` and will not wait for a reply."""

    kind: ClassVar[str] = "cancel"
    hold: HoldId


@dataclass(frozen=True, slots=True)
class Timeout:
    """Fault: the reply to ``call`` never arrives, although the provider may have billed it."""

    kind: ClassVar[str] = "timeout"
    call: CallId


@dataclass(frozen=True, slots=True)
class Crash:
    """Fault: ``agent`` stops for ever, whatever it holds."""

    kind: ClassVar[str] = "crash"
    agent: AgentId


@dataclass(frozen=True, slots=True)
class Observe:
    """What the implementation says of itself: ``spent`` counts everything charged or written off.

    One that says what is ``held`` says also that its ``remaining`` leaves that out: both are then exact claims.
    The other balances may be told as well; each that is told is an exact claim.
    """

    kind: ClassVar[str] = "observe"
    account: AccountId
    spent: int
    remaining: int
    held: int | None = None
    granted: int | None = None
    available: int | None = None
    charged: int | None = None
    forfeited: int | None = None
    delegated: int | None = None
    returned: int | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """The driver saw that ``operation`` took ``value``, which is not an amount; ``value`` is how it is written."""

    kind: ClassVar[str] = "accept"
    account: AccountId
    operation: str
    value: str


@dataclass(frozen=True, slots=True)
class Stall:
    """The driver found that no step is possible although these agents have work left."""

    kind: ClassVar[str] = "stall"
    agents: tuple[AgentId, ...]


Event = (
    Open
    | Delegate
    | Close
    | Merge
    | Reserve
    | Refuse
    | Send
    | Bill
    | Settle
    | Extend
    | Release
    | Forfeit
    | Expire
    | Reset
    | Record
    | Cancel
    | Timeout
    | Crash
    | Observe
    | Accept
    | Stall
)

EVENT_TYPES: Mapping[str, type[Event]] = {cls.kind: cls for cls in get_args(Event)}

_AMOUNTS = frozenset({"amount", "cap"})
TOLD = ("granted", "available", "charged", "forfeited", "delegated", "returned")
"""The balances that an ``observe`` may tell by name, beside what every ledger has."""

_NAMES = frozenset({"agents", "forgotten"})
"""The fields that are lists of names."""

_BALANCES = frozenset({"spent", "remaining", "held", *TOLD})


def event_to_dict(event: Event) -> dict[str, object]:
    """Return ``event`` as plain JSON data: its kind under ``event``, then its fields, absent ones left out."""
    data: dict[str, object] = {"event": event.kind}
    for field in fields(event):
        value = getattr(event, field.name)
        if value is None or value in ("", ()):
            continue
        data[field.name] = list(value) if isinstance(value, tuple) else value
    return data


def event_from_dict(data: Mapping[str, object]) -> Event:
    """Return the event that ``data`` describes; the inverse of ``event_to_dict``.

    Raises ``BadTrace`` for an unknown kind, a missing or an unknown field; ``BadAmount`` for a bad number.
    """
    kind = data.get("event")
    cls = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise BadTrace(f"unknown event {kind!r}", hint=f"one of: {', '.join(sorted(EVENT_TYPES))}")
    known = {field.name for field in fields(cls)}
    if extra := sorted(set(data) - known - {"event"}):
        raise BadTrace(f"event {kind!r} has no field {extra[0]!r}", hint=f"fields: {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for name in sorted(known & set(data)):
        values[name] = _field(cls.kind, name, data[name])
    try:
        return cls(**values)
    except TypeError as error:
        raise BadTrace(f"event {kind!r} is incomplete: {error}") from None


def _field(kind: str, name: str, value: object) -> object:
    """Check one field of an event read from outside."""
    if name in _AMOUNTS:
        return as_amount(value)
    if name in _BALANCES:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadAmount(value, f"{name!r} of {kind!r} is a whole number of units")
        return value
    if name in _NAMES and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if isinstance(value, str):
        return value
    raise BadTrace(f"field {name!r} of event {kind!r} is {value!r}, not a name")
