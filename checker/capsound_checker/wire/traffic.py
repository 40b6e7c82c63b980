"""What is sent through a gateway: how many clients, how many calls, with which headers."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from capsound.errors import EXIT_USAGE, CapsoundError
from capsound_checker.intake.limits import cut


class BadTraffic(CapsoundError):
    """An address or a header that cannot be used."""

    name = "bad-traffic"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is sent through a gateway, and where."""

    url: str
    """Where it listens, with the path before ``/chat/completions``."""
    clients: int = 3
    calls: int = 2
    """How many calls each client makes, one after the other."""
    headers: tuple[tuple[str, str], ...] = ()
    """Name and text; {run} and {client} in it are replaced."""
    model: str = "gpt-4o-mini"
    limit: int = 250
    """The ``max_tokens`` of each call."""
    before: str = ""
    """A command that is run before each run; {run} in it is replaced."""
    start: float = 180.0
    """How many seconds the gateway may take until it listens."""

    def __post_init__(self) -> None:
        """Raise ``BadTraffic`` for an address that is not on this machine, or none."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadTraffic(f"{cut(self.url)!r} is no address", hint="write --through http://127.0.0.1:4000/v1")


def parse_header(text: str) -> tuple[str, str]:
    """Return the name and the text of a header. Raises ``BadTraffic``."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not name.strip().isascii() or "\n" in text or "\r" in text:
        raise BadTraffic(f"{cut(text)!r} is no header", hint="write --header 'NAME: TEXT'")
    return name.strip(), value.strip()
