"""What was measured of clients, or ships with capsound, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capsound.clients import FAULTS, Client
from capsound_checker.display.printing import printable
from capsound_checker.wire.measuring import SECONDS, Met


def table(clients: Mapping[str, Client], met: Mapping[str, Sequence[Met]]) -> str:
    """Return a table with a line for each client, and below it what stopped in the middle."""
    width = max((len(name) for name in clients), default=0)
    pins = {name: f"{one.library} {one.version}" for name, one in clients.items()}
    wide = max(map(len, pins.values()), default=0)
    head = f"{'client':{width}}  {'version':{wide}}  " + "  ".join(FAULTS) + "  hidden retries"
    out = [head]
    for name, one in clients.items():
        cells = "  ".join(f"{one.requests.get(fault, '-'):>{len(fault)}}" for fault in FAULTS)
        taken = "" if one.measured else ", taken over"
        out.append(f"{name:{width}}  {pins[name]:{wide}}  {cells}  {one.hidden_retries} ({one.date}{taken})")
    for name, all_met in met.items():
        out += [
            f"{name}: {each.fault} took more than {SECONDS:g} s, and had sent {each.requests} requests then"
            for each in all_met
            if not each.ended
        ]
    return "".join(f"{printable(line)}\n" for line in out)


def data(clients: Mapping[str, Client], met: Mapping[str, Sequence[Met]]) -> dict[str, Any]:
    """Return clients as JSON data; ``saw`` is there for what was measured now."""
    return {
        "format": "capsound.clients/1",
        "clients": [
            {
                "name": name,
                "library": one.library,
                "registry": one.registry,
                "version": one.version,
                "call": one.call,
                "date": one.date,
                "measured": one.measured,
                "requests": dict(one.requests),
                "saw": {each.fault: each.saw for each in met.get(name, ())},
                "unfinished": [each.fault for each in met.get(name, ()) if not each.ended],
                "hidden_retries": one.hidden_retries,
            }
            for name, one in clients.items()
        ],
    }
