"""Clients of providers as data: how many requests one logical call sends when it meets a fault.

A client that sends a failed request again makes the provider bill one call several times under one hold (A10). The
numbers are in ``clients.toml``, each with its version, its date, and whether ``capsound clients`` has measured it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

FAULTS: Mapping[str, str] = {
    "500": "an error of the server",
    "503": "an error, overloaded",
    "529": "an error, overloaded, as Anthropic has it",
    "429": "a refusal of the rate limit, to be tried again after a second: not billed",
    "timeout": "no answer, and the client is to give up after a second",
    "half": "half of the body, then the connection is closed",
    "no-answer": "the connection is closed without an answer",
    "cut-stream": "half of a stream, then the connection is closed",
    "cancel": "the call is cancelled while it waits",
}
"""What a call can meet, and what it means."""

UNBILLED = frozenset({"429"})
"""Faults that are no bill: what a client repeats after them costs nothing."""


@dataclass(frozen=True, slots=True)
class Client:
    """One way of calling a model: a library in a version, and how often it sends a request on each fault.

    ``requests`` are counted for one logical call that meets the fault each time; what was not tried is left out.
    """

    name: str
    library: str
    registry: str
    version: str
    call: str
    date: str
    measured: bool
    requests: Mapping[str, int]

    @property
    def hidden_retries(self) -> int:
        """How many more requests than one a call may be billed for, as far as was tried: 0 where it never repeats."""
        return max((n for fault, n in self.requests.items() if fault not in UNBILLED), default=1) - 1

    @property
    def worst(self) -> tuple[str, ...]:
        """The billed faults on which it sends most; empty where it never repeats."""
        most = self.hidden_retries + 1
        return () if most == 1 else tuple(f for f, n in self.requests.items() if n == most and f not in UNBILLED)


def read_clients(text: str) -> dict[str, Client]:
    """Return the clients of a TOML text by name, in its order."""
    made: dict[str, Client] = {}
    for table in tomllib.loads(text)["client"]:
        requests = {fault: int(table["requests"][fault]) for fault in FAULTS if fault in table["requests"]}
        made[table["name"]] = Client(**{**table, "date": str(table["date"]), "requests": requests})
    return made


@cache
def known_clients() -> Mapping[str, Client]:
    """Return the clients that ship."""
    return read_clients(resources.files("capsound").joinpath("clients.toml").read_text(encoding="utf-8"))


def write_clients(clients: Mapping[str, Client]) -> str:
    """Return clients as TOML, as ``read_clients`` reads them."""
    out: list[str] = []
    for one in clients.values():
        requests = ", ".join(f'"{fault}" = {number}' for fault, number in one.requests.items())
        out += [
            "[[client]]",
            *(f'{key} = "{getattr(one, key)}"' for key in ("name", "library", "registry", "version", "call")),
            f"date = {one.date}",
            f"measured = {str(one.measured).lower()}",
            f"requests = {{ {requests} }}",
            "",
        ]
    return "\n".join(out)
