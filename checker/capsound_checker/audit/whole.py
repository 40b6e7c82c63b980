"""Whether the events of a record can all be taken: a record that is left out is left out whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capsound.errors import BadAmount, BadTrace
from capsound.events import event_from_dict
from capsound.monitor_fast import FastMonitor

_MAKES = {
    "open": (("account", "root"),),
    "delegate": (("account", "child"),),
    "reserve": (("hold", "hold"),),
    "send": (("call", "call"),),
}
"""What an event creates: the kind of thing, and the field that names it."""

_NEEDS = {
    "delegate": (("account", "parent"),),
    "close": (("account", "child"),),
    "merge": (("account", "source"), ("account", "target")),
    "reserve": (("account", "account"),),
    "refuse": (("account", "account"),),
    "record": (("account", "account"),),
    "observe": (("account", "account"),),
    "send": (("hold", "hold"),),
    "settle": (("hold", "hold"),),
    "extend": (("hold", "hold"),),
    "release": (("hold", "hold"),),
    "forfeit": (("hold", "hold"),),
    "bill": (("call", "call"),),
}
"""What has to be there already."""

Name = tuple[str, str]


@dataclass(slots=True)
class Waiting:
    """What records create whose events wait for their turn, and how often each name waits."""

    names: dict[Name, int] = field(default_factory=dict)

    def add(self, data: Mapping[str, Any], by: int) -> None:
        """Note that an event has begun to wait (1), or had its turn (-1)."""
        for kind, key in _MAKES.get(str(data.get("event")), ()):
            name = (kind, str(data.get(key)))
            count = self.names.get(name, 0) + by
            if count > 0:
                self.names[name] = count
            else:
                self.names.pop(name, None)


def obstacle(events: Iterable[Mapping[str, Any]], monitor: FastMonitor, waiting: Waiting, opens: bool) -> str:
    """Return why the events of a record cannot all be taken; empty where they can.

    ``opens`` says that an account is opened when it is first used.
    """
    made: set[Name] = set()

    def known(name: Name) -> bool:
        if name in made or name in waiting.names:
            return True
        kind, text = name
        if kind == "account":
            return monitor.knows(text)
        return monitor.hold(text) is not None if kind == "hold" else text in monitor.state.calls

    for data in events:
        try:
            event_from_dict({key: value for key, value in data.items() if key != "at_most"})
        except (BadTrace, BadAmount) as error:
            return error.message
        kind = str(data["event"])
        for thing, key in _NEEDS.get(kind, ()):
            if not known((thing, str(data[key]))) and not (opens and thing == "account"):
                return f"{thing} {str(data[key])!r} is not known"
        for thing, key in _MAKES.get(kind, ()):
            name = (thing, str(data[key]))
            if known(name):
                return f"{thing} {str(data[key])!r} is created twice"
            made.add(name)
    return ""
