"""Measure anew how many requests clients send for one call, each in an environment of its own, and write the table.

    python examples/clients/measure_all.py [FOLDER] [--only NAME]

``FOLDER`` keeps the environments, by default one in the user's cache. Rows of clients that have no driver are kept as
they are. What changed is printed. Exit status: 0 when measured, 65 when a package cannot be installed or a client sends
nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if importlib.util.find_spec("capsound") is None:  # a bare checkout will do
    sys.path[:0] = [str(ROOT / root) for root in ("model", "proofs", "reference_impl", "checker")]

from capsound.clients import Client, known_clients, write_clients  # noqa: E402
from capsound.errors import CapsoundError  # noqa: E402
from capsound_checker.programs.modules import run_file  # noqa: E402
from capsound_checker.wire.measuring import DRIVERS, client_of, driver, measure  # noqa: E402

TABLE = ROOT / "model" / "capsound" / "clients.toml"
OPENAI = "openai==3.57.0"
PINS: dict[str, tuple[str, ...]] = {
    "openai-python": (OPENAI,),
    "openai-python-responses": (OPENAI,),
    "anthropic-python": ("anthropic==2.14.0",),
    "google-genai": ("google-genai==3.6.1",),
    "mistralai": ("mistralai==3.7.0",),
    "litellm": ("litellm==1.108.7",),
    "langchain-openai": ("langchain-openai==1.7.4", OPENAI),
    "pydantic-ai": ("pydantic-ai-slim[openai]==2.68.0", OPENAI),
    "openai-agents": ("openai-agents==0.24.0", OPENAI),
    "instructor": ("instructor==1.17.0",),
    "smolagents": ("smolagents[openai]==1.26.0",),
    "strands": ("strands-agents[openai]==1.62.0",),
    "agno": ("agno==3.1.10", OPENAI),
    "autogen": ("autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5", OPENAI),
    "openai-node": ("openai@6.49.0",),
    "anthropic-node": ("@anthropic-ai/sdk@1.14.0",),
    "ai-node": ("ai@6.0.326", "@ai-sdk/openai@3.0.141", "zod@4.6.7"),
}
"""The packages of each client, in exactly one version."""

HEAD = """\
# How many requests one logical call sends when it meets a fault each time, client by client.
#
# `make clients` measures anew what has a driver, and keeps the rest. A fault that was not tried is left out. `measured`
# is true where `capsound clients` did it, and false where the row was taken over from another measurement by a provider
# on the loopback interface, on that day and with that version.

"""


def environments() -> ModuleType:
    """Return the script of the applications in the wild, which makes environments."""
    return run_file(ROOT / "examples" / "wild" / "check_all.py", "check_all")


def measured(name: str, folder: Path, wild: Any) -> Client:
    """Return the row of one client."""
    one, pins = driver(name), PINS[name]
    kind = "npm" if one.node else "packages"
    target = wild.Target(name, (), (), "", "", {}, **{kind: pins})
    home = wild.environment(folder, target)
    met = measure(one, str(home / "bin" / "python"), home, tell=lambda what: print(what, file=sys.stderr))
    return client_of(one, met, datetime.now().astimezone().date())


def main(given: list[str] | None = None) -> int:
    """Measure all, or one; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    wild = environments()
    parser.add_argument("folder", nargs="?", type=Path, default=wild.cache_folder(), metavar="FOLDER")
    parser.add_argument("--only", choices=list(DRIVERS), metavar="NAME")
    options = parser.parse_args(given)
    rows = dict(known_clients())
    try:
        for name in [options.only] if options.only is not None else DRIVERS:
            new, old = measured(name, options.folder.resolve(), wild), rows.get(name)
            changed = old is None or (old.version, old.requests) != (new.version, new.requests)
            print(f"{name:25} {new.library} {new.version:12} {'changed' if changed else 'as before'}", flush=True)
            rows[name] = new
            TABLE.write_text(HEAD + write_clients(rows), encoding="utf-8")
    except CapsoundError as error:
        for line in (f"{error.name}: {error.message}", error.cause, error.hint):
            if line:
                print(line, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
