"""Check published libraries, each in an environment of its own, and compare with what ``targets.toml`` expects.

    python examples/adapters/check_all.py [FOLDER] [--only NAME]

``FOLDER`` keeps the environments, by default one in the user's cache; a second run finds them there. pip takes its
index from its own environment variables and configuration. ``--only`` takes the name of one target, and shows its
counterexamples.

Beside the check, the doctests of every adapter are run: they show the same findings without capsound.

Exit status: 0 when all is as expected, 1 when not, 65 when a package cannot be installed or no target has that name.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOTS = [str(HERE.parents[1] / root) for root in ("model", "proofs", "reference_impl", "checker")]
if importlib.util.find_spec("capsound") is None:  # a bare checkout will do
    sys.path[:0] = ROOTS

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest  # noqa: E402
from capsound_checker.league.environments import cache_folder  # noqa: E402

LISTS = ("calls", "misuse", "threads")
"""In which circumstances something was shown."""

Verdict = dict[str, Any]
"""What the check of one adapter says: ``strongest``, and what was shown by each of ``LISTS``."""


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
    """One adapter of one published library, and what is expected of it.

    ``strongest`` is the strongest guarantee that neither calls nor threads refute.

    ``calls`` are the anomalies of calls as they are meant to be made, and ``may`` those that follow from them and need
    more luck. ``misuse`` are those of bad amounts and copied handles; what else these show is not compared.
    ``threads`` are those of two threads at once.
    """

    name: str
    package: str
    version: str
    adapter: str
    promise: str
    source: str
    strongest: str
    calls: tuple[str, ...]
    may: tuple[str, ...]
    misuse: tuple[str, ...]
    threads: tuple[str, ...]

    @property
    def file(self) -> Path:
        """The file of the adapter."""
        return HERE / self.adapter.partition(":")[0]

    def differs(self, verdict: Verdict) -> list[str]:
        """Return in words where a verdict is not what is expected."""
        differences = []
        if verdict["strongest"] != self.strongest:
            differences.append(f"strongest is {verdict['strongest']}, not {self.strongest}")
        for part in LISTS:
            expected, seen = getattr(self, part), verdict[part]
            differences += [f"{part}: {name} was not shown" for name in expected if name not in seen]
            allowed = {*expected, *(self.may if part == "calls" else ()), *(seen if part == "misuse" else ())}
            differences += [f"{part}: {name} was not expected" for name in seen if name not in allowed]
        return differences


def load_targets(path: Path = HERE / "targets.toml") -> dict[str, Target]:
    """Return the targets of a file by their names, in its order."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["target"]
    made = (Target(**{**table, **{key: tuple(table.get(key, ())) for key in (*LISTS, "may")}}) for table in tables)
    return {target.name: target for target in made}


def environment(folder: Path, package: str, version: str) -> Path:
    """Return the interpreter of an environment that has a package in exactly that version; make it where it is missing.

    Raises ``CannotInstall``.
    """
    pin = f"{package}=={version}"
    home = folder / f"{package}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    asked = f"import importlib.metadata as m; raise SystemExit(m.version({package!r}) != {version!r})"
    if python.exists() and _ran([str(python), "-P", "-c", asked]).returncode == 0:
        return python
    for command in (
        [sys.executable, "-P", "-m", "venv", "--clear", str(home)],
        [str(python), "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pin],
    ):
        ran = _ran(command)
        if ran.returncode:
            lines = (ran.stderr or ran.stdout).strip().splitlines() or ["it said nothing"]
            errors = [line for line in lines if line.startswith("ERROR")]
            raise CannotInstall(
                f"{pin} could not be installed into {home}",
                cause=(errors or lines)[-1],
                hint="see that pip reaches its index (PIP_INDEX_URL, PIP_PROXY), that the disk has room, and that "
                f"{package} supports Python {sys.version_info.major}.{sys.version_info.minor}; then run this again",
            )
    return python


def _ran(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def judged(python: Path, target: str) -> Verdict:
    """Return what the check says of ``file.py:Class``, run by that interpreter: nothing of ours is installed there."""
    file, _, name = target.partition(":")
    ran = subprocess.run(
        [str(python), "-P", "-W", "ignore", "-c", _JUDGE, str(HERE / file), name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
    )
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        raise CapsoundError(f"{target} was not judged to the end", cause=said[-1])
    verdict: Verdict = json.loads(ran.stdout.splitlines()[-1])
    return verdict


_JUDGE = """
import importlib.util, json, sys
from capsound.guarantees import Guarantee
from capsound_checker.judging import judge
from capsound_checker.lockstep import Lockstep
from capsound_checker.programs import AMOUNTS, MISUSE, PROFILES
from capsound_checker.threads import pairs, race

spec = importlib.util.spec_from_file_location("target", sys.argv[1])
module = sys.modules["target"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
adapter = getattr(module, sys.argv[2])

def story(shown):
    return Lockstep(adapter()).run(shown.program).story()

usual = judge(adapter, profiles=[p for p in PROFILES.values() if p not in (AMOUNTS, MISUSE)])
misused = judge(adapter, profiles=[AMOUNTS]).found | judge(adapter, profiles=[MISUSE], enough=40).found
threads = {}
for before, one, two in pairs(adapter) if adapter.threads else ():
    found, _ = race(adapter, before, one, two)
    if found is not None:
        threads.setdefault(found.anomaly, found.story())
# Two threads are an interleaving too: what they break is not `concurrent`.
strongest = min(usual.strongest, Guarantee.SEQUENTIAL) if threads else usual.strongest
print(json.dumps({
    "strongest": strongest.label,
    "refutation": None if usual.refutation is None else story(usual.refutation),
    "calls": {name: story(shown) for name, shown in usual.found.items()},
    "misuse": {name: story(shown) for name, shown in misused.items() if name not in usual.found},
    "threads": threads,
}))
"""


def reproduced(python: Path, file: Path) -> bool:
    """Whether the doctests of an adapter pass: each shows a finding by the library alone."""
    command = [str(python), "-P", "-B", "-W", "ignore", "-m", "doctest", str(file)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    return subprocess.run(command, capture_output=True, check=False, env=env).returncode == 0


def shown(verdict: Verdict) -> str:
    """Return the counterexamples of a verdict in words, each once."""
    stories: dict[str, list[str]] = {}
    for part in LISTS:
        for name, story in verdict[part].items():
            stories.setdefault(story, []).append(f"{name} ({part})")
    if verdict["refutation"] is not None:
        stories.setdefault(verdict["refutation"], []).append("the next guarantee")
    return "".join(f"\n# {', '.join(names)}\n{story}\n" for story, names in stories.items())


def main(arguments: list[str] | None = None) -> int:
    """Check all targets, or one; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=cache_folder("adapters"), metavar="FOLDER")
    parser.add_argument("--only", metavar="NAME")
    options = parser.parse_args(arguments)
    targets = load_targets()
    try:
        if options.only is not None and options.only not in targets:
            raise UnknownTarget(f"there is no target {options.only!r}", hint=nearest(options.only, targets))
        return _check(options.folder.resolve(), targets, options.only)
    except CapsoundError as error:
        for line in (f"{error.name}: {error.message}", error.cause, error.hint):
            if line:
                print(line, file=sys.stderr)  # noqa: T201
        return error.exit_status


def _check(folder: Path, targets: dict[str, Target], only: str | None) -> int:
    row = "{:<26} {:<28} {:<16} {}"
    print(row.format("target", "package", "strongest", "as expected"))  # noqa: T201
    status = 0
    for target in [targets[only]] if only is not None else targets.values():
        python = environment(folder, target.package, target.version)
        verdict = judged(python, target.adapter)
        differences = target.differs(verdict)
        if not reproduced(python, target.file):
            differences.append(f"the doctests of {target.file.name} fail")
        pin = f"{target.package} {target.version}"
        print(row.format(target.name, pin, verdict["strongest"], "; ".join(differences) or "yes"), flush=True)  # noqa: T201
        if only is not None:
            print(shown(verdict), end="")  # noqa: T201
        status = status or int(bool(differences))
    return status


if __name__ == "__main__":
    sys.exit(main())
