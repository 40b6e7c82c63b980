"""The tables of the page on applications, from the code."""

from __future__ import annotations

import tomllib
from pathlib import Path

from book import fragment, table

from capsound.clients import FAULTS, known_clients
from capsound_checker.wire.causes import ALL
from capsound_checker.wire.schedule import ACTS


@fragment
def write_acts(page: Path, argument: str) -> str:
    """What can happen to a request."""
    del page, argument
    return table(("act", "what the client gets"), [(f"`{act}`", meaning) for act, meaning in ACTS.items()])


@fragment
def write_causes(page: Path, argument: str) -> str:
    """The kinds of faults, and their cures."""
    del page, argument
    rows = [(f"`{cause.name}`", cause.meaning, cause.cure) for cause in ALL]
    return table(("name", "what was seen", "cure"), rows)


@fragment
def write_wild(page: Path, argument: str) -> str:
    """The applications in the wild: what each promises, and what is seen."""
    del argument
    listed = page.parent.parent / "examples" / "wild" / "targets.toml"
    rows = [
        (
            f"`{one['name']}`: {', '.join(one.get('packages', one.get('npm')))}",
            one["promise"],
            f"{one['racy']['billed']} of {_cap(one['options'])}, `{one['racy']['cause']}`",
            one["cure"],
        )
        for one in tomllib.loads(listed.read_text(encoding="utf-8"))["target"]
    ]
    return table(("target", "what it promises", "billed, cause", "cure"), rows)


def _cap(options: list[str]) -> str:
    return "$" + options[options.index("--cap") + 1].removesuffix("usd")


@fragment
def write_sends(page: Path, argument: str) -> str:
    """How many requests each client sends on each fault."""
    del page, argument
    rows = [
        (
            f"`{name}`: {one.call}",
            f"{one.library} {one.version} ({one.registry})",
            *(str(one.requests.get(fault, "-")) for fault in FAULTS),
            str(one.hidden_retries),
            one.date if one.measured else f"{one.date}, taken over",
        )
        for name, one in known_clients().items()
    ]
    return table(("client", "version", *FAULTS, "hidden retries", "measured"), rows)


@fragment
def write_meets(page: Path, argument: str) -> str:
    """What a call can meet."""
    del page, argument
    return table(("fault", "what each request of the call meets"), [(f"`{f}`", what) for f, what in FAULTS.items()])
