"""Run applications in the wild under ``capsound wire``, each in an environment of its own, and compare with the list.

    python examples/wild/check_all.py [FOLDER] [--only NAME] [--racy]

``FOLDER`` keeps the environments, by default one in the user's cache; a second run finds them there. pip and npm take
their index from their own settings. ``--only`` takes the name of one target of ``targets.toml``, and prints what
capsound prints; ``--racy`` leaves the cured twins out, which take most of the time.

A target is as expected where the racy application is refuted, for the money and the cause that are listed, and where
its cured twin is sound. Telemetry of the frameworks is switched off: it would go to hosts of theirs.

Exit status: 0 when all is as expected, 1 when not, 65 when a package cannot be installed or no target has that name.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOTS = [str(HERE.parents[1] / root) for root in ("model", "proofs", "reference_impl", "checker")]
if importlib.util.find_spec("capsound") is None:  # a bare checkout will do
    sys.path[:0] = ROOTS

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest  # noqa: E402

PRICE = "gpt-4o=2.50/10"
RUNS = "20"
QUIET = {
    "AUTOGEN_DISABLE_RUNTIME_TRACING": "true",
    "DISABLE_ADMIN_UI": "True",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}
"""What keeps frameworks from talking to hosts of theirs."""


class CannotInstall(CapsoundError):
    """An environment could not be made, or a package could not be installed into it."""

    name = "cannot-install"
    exit_status = EXIT_BAD_INPUT


class UnknownTarget(CapsoundError):
    """``targets.toml`` has no target of that name."""

    name = "unknown-target"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Target:
    """One application, what it promises, and what is expected of it.

    ``racy`` has the guarantee that is refuted, the cause, and the money of the run that is shown.
    """

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...]
    promise: str
    cure: str
    racy: dict[str, str]
    packages: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    cured_command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def pins(self) -> tuple[str, ...]:
        """The packages, each in exactly one version."""
        return self.packages + self.npm

    def differs(self, way: str, data: dict[str, Any]) -> list[str]:
        """Return in words where the JSON of ``capsound wire`` is not what is expected."""
        if way == "cured":
            return [] if data["verdict"] == "sound" else [f"cured: {data['verdict']}, not sound"]
        if not data["found"]:
            return [f"racy: {data['verdict']}, and nothing was refuted"]
        seen = {**data["found"][0], "billed": money(data["found"][0]["billed"])}
        return [f"racy: {key} is {seen[key]}, not {want}" for key, want in self.racy.items() if seen[key] != want]


def money(pico: int) -> str:
    """Return an amount in pico-dollars as ``capsound wire`` writes it."""
    from capsound_checker.wire.money import Unit

    return Unit("usd").write(pico)


def load_targets(path: Path = HERE / "targets.toml") -> dict[str, Target]:
    """Return the targets of a file by their names, in its order."""
    made: dict[str, Target] = {}
    for table in tomllib.loads(path.read_text(encoding="utf-8"))["target"]:
        said = {key.replace("-", "_"): tuple(v) if isinstance(v, list) else v for key, v in table.items()}
        made[table["name"]] = Target(**said)
    return made


def cache_folder() -> Path:
    """Return where environments are kept unless a folder is given."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "capsound" / "wild"


def environment(folder: Path, target: Target) -> Path:
    """Return the folder of an environment that has a target's packages; make it where it is missing.

    Raises ``CannotInstall``.
    """
    key = hashlib.sha256(" ".join((*target.pins, sys.version[:4])).encode()).hexdigest()[:10]
    named = re.sub(r"[^a-z0-9.]+", "-", target.pins[0].partition("==")[0].lower()).strip("-")
    home = folder / f"{named}-{key}"
    done = home / "installed"
    if not done.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        pip = [str(home / "bin" / "python"), "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if target.packages:
            _install(target, [sys.executable, "-P", "-m", "venv", str(home)])
            _install(target, [*pip, *target.packages])
        if target.npm:
            _install(target, ["npm", "install", "--prefix", str(home), "--no-audit", "--no-fund", *target.npm])
        done.write_text("\n".join(target.pins), encoding="utf-8")
    for script in HERE.glob("*.mjs") if target.npm else ():  # node looks for packages beside the script
        shutil.copy(script, home)
    return home


def _install(target: Target, command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = (ran.stderr or ran.stdout).strip().splitlines() or ["it said nothing"]
        failed = ran.returncode != 0
    except OSError as error:
        lines, failed = [str(error)], True
    if failed:
        raise CannotInstall(
            f"{', '.join(target.pins)} could not be installed",
            cause=next((line for line in lines if line.upper().startswith(("ERROR", "NPM ERR"))), lines[-1]),
            hint="see that pip and npm reach their index, and that the disk has room; then run this again",
        )


def arguments(target: Target, home: Path, way: str) -> list[str]:
    """Return the arguments of ``capsound`` for one way of a target."""
    ports = {name: str(port) for name, port in zip(("port", "inner"), free_ports(), strict=True)}
    words = {"python": str(home / "bin" / "python"), "bin": str(home / "bin"), "folder": str(home), "here": str(HERE)}
    words |= {"way": way, **ports}
    command = target.cured_command if way == "cured" and target.cured_command else target.command
    filled = [_filled(text, words) for text in (*target.options, "--", *command)]
    return ["wire", "--price", PRICE, "--runs", RUNS, *filled]


def _filled(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def free_ports() -> tuple[int, int]:
    """Return two ports on which nobody listens."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def run(target: Target, home: Path, way: str, *, as_json: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``capsound wire`` on one way of a target; None of what we are leads anywhere but to capsound."""
    words = {"here": str(HERE)}
    env = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(ROOTS)}
    env |= {name: _filled(text, words) for name, text in target.environment.items()}
    command = [sys.executable, "-P", "-m", "capsound_checker", *arguments(target, home, way)]
    if as_json:
        command[4:5] = ["wire", "--json"]
    return subprocess.run(command, capture_output=as_json, text=True, check=False, env=env)


def main(given: list[str] | None = None) -> int:
    """Check all targets, or one; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=cache_folder(), metavar="FOLDER")
    parser.add_argument("--only", metavar="NAME")
    parser.add_argument("--racy", action="store_true")
    options = parser.parse_args(given)
    targets = load_targets()
    try:
        if options.only is not None and options.only not in targets:
            raise UnknownTarget(f"there is no target {options.only!r}", hint=nearest(options.only, targets))
        chosen = [targets[options.only]] if options.only is not None else list(targets.values())
        ways = ("racy",) if options.racy else ("racy", "cured")
        return _check(options.folder.resolve(), chosen, ways, in_full=options.only is not None)
    except CapsoundError as error:
        for line in (f"{error.name}: {error.message}", error.cause, error.hint):
            if line:
                print(line, file=sys.stderr)
        return error.exit_status


def _check(folder: Path, targets: list[Target], ways: tuple[str, ...], *, in_full: bool) -> int:
    row = "{:<20} {:<6} {:<9} {:<15} {:<21} {:>11} {:>5} {:>8}  {}"
    print(row.format("target", "way", "verdict", "refutes", "cause", "billed", "runs", "seconds", "as expected"))
    status = 0
    for target in targets:
        home = environment(folder, target)
        for way in ways:
            began = time.monotonic()
            ran = run(target, home, way)
            seconds = f"{time.monotonic() - began:.1f}"
            try:
                data = json.loads(ran.stdout)
            except ValueError:
                said = (ran.stderr.strip().splitlines() or ["it said nothing"])[0]
                print(row.format(target.name, way, "-", "-", "-", "-", "-", seconds, said), flush=True)
                status = 1
                continue
            first = data["found"][0] if data["found"] else {"refutes": "-", "cause": "-"}
            billed = money(first.get("billed", data["billed_at_most"]))
            differences = "; ".join(target.differs(way, data)) or "yes"
            seen = (data["verdict"], first["refutes"], first["cause"], billed, data["runs"], seconds, differences)
            print(row.format(target.name, way, *seen), flush=True)
            status = status or int(differences != "yes")
            if in_full:
                run(target, home, way, as_json=False)
    return status


if __name__ == "__main__":
    sys.exit(main())
