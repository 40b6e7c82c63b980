"""Records of the frequent events, taken from JSON data without making an event of them first.

Each reader takes a record whose fields are as they should be, and says no to every other: that one goes the long way,
through ``event_from_dict``, which knows what is wrong with it. The length shows that nothing else is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capsound.accounts import HoldState

Record = Mapping[str, Any]
RELEASED, FORFEITED = HoldState.RELEASED, HoldState.FORFEITED


def plain_records(
    *,
    reserve: Callable[[Any, Any, int, Any], None],
    send: Callable[[Any, Any], None],
    bill: Callable[[Any, int], None],
    settle: Callable[[Any, int], None],
    free: Callable[[Any, HoldState], None],
    record: Callable[[Any, int], None],
) -> dict[object, Callable[[Record], bool]]:
    """Return a reader for each kind of record: it calls one of these and returns True, or leaves the record alone.

    Names are handed on as the strings that they are: a ``cast`` to the type of an id is a call more for each event.
    """

    def read_reserve(data: Record) -> bool:
        account, hold, amount, agent = data.get("account"), data.get("hold"), data.get("amount"), data.get("agent")
        if (
            type(amount) is int
            and amount >= 0
            and type(hold) is str
            and type(account) is str
            and (len(data) == 4 if agent is None else len(data) == 5 and type(agent) is str)
        ):
            reserve(account, hold, amount, agent)
            return True
        return False

    def read_send(data: Record) -> bool:
        hold, call = data.get("hold"), data.get("call")
        if type(hold) is str and type(call) is str and len(data) == 3:
            send(hold, call)
            return True
        return False

    def read_bill(data: Record) -> bool:
        call, amount = data.get("call"), data.get("amount")
        if type(amount) is int and amount >= 0 and type(call) is str and len(data) == 3:
            bill(call, amount)
            return True
        return False

    def read_settle(data: Record) -> bool:
        hold, amount = data.get("hold"), data.get("amount")
        if type(amount) is int and amount >= 0 and type(hold) is str and len(data) == 3:
            settle(hold, amount)
            return True
        return False

    def read_release(data: Record) -> bool:
        hold = data.get("hold")
        if type(hold) is str and len(data) == 2:
            free(hold, RELEASED)
            return True
        return False

    def read_forfeit(data: Record) -> bool:
        hold = data.get("hold")
        if type(hold) is str and len(data) == 2:
            free(hold, FORFEITED)
            return True
        return False

    def read_record(data: Record) -> bool:
        account, amount = data.get("account"), data.get("amount")
        if type(amount) is int and amount >= 0 and type(account) is str and len(data) == 3:
            record(account, amount)
            return True
        return False

    return {
        "reserve": read_reserve,
        "send": read_send,
        "bill": read_bill,
        "settle": read_settle,
        "release": read_release,
        "forfeit": read_forfeit,
        "record": read_record,
    }
