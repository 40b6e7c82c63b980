"""One target, judged: installed, checked, its example run alone, and what becomes of its calls told.

What comes out is data, without anything that depends on this machine: the same target, seed and capsound give the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from capsound import __version__
from capsound.errors import CapsoundError
from capsound_checker.check.checking import INTERRUPTED, check
from capsound_checker.check.plan import Plan
from capsound_checker.check.verdicts import data
from capsound_checker.league.environments import CannotInstall, Environment, Stopped, environment, laid_out, run
from capsound_checker.league.fates import fates
from capsound_checker.league.leaguefile import Target, Terms, install_key
from capsound_checker.remote.interpreters import OLDEST, interpreter
from capsound_checker.spread.cluster import fingerprint

ROOMS = (
    "capsound",
    *(f"capsound_checker.{name}" for name in ("check", "programs", "schedules", "histories", "remote")),
    *(f"capsound_checker.league.{name}" for name in ("judging", "fates", "environments", "leaguefile")),
)
"""What decides a verdict here: a result of another capsound is not used again."""


@cache
def capsound_version() -> str:
    """Return the version of capsound, with what tells its sources from those of others of that version."""
    return f"{__version__}+{fingerprint(ROOMS)[:12]}"


def key_of(target: Target, terms: Terms, *, twice: bool = False) -> str:
    """Return what tells a verdict from others: target, version, adapter, how it is checked, and by which capsound."""
    told = [target.name, install_key(target, target.python), target.adapter, target.digest(), terms.to_dict(), twice]
    return hashlib.sha256(json.dumps([*told, capsound_version()]).encode()).hexdigest()


def judged(
    target: Target,
    terms: Terms,
    root: Path,
    tell: Callable[[str], None] = lambda _: None,
    stop: threading.Event | None = None,
    *,
    twice: bool = False,
) -> dict[str, Any]:
    """Return what is found out of a target; ``twice``: its verdict has to be the same a second time.

    Where it cannot be installed or loaded, that is the ``reason``. Raises ``Stopped`` when ``stop`` is set.
    """
    stop = stop or threading.Event()
    out: dict[str, Any] = {"reason": "", "python": "", "installed": [], "check": None, "fates": {}, "alone": ""}
    neutral = _Neutral([(str(target.folder), ""), (str(root), "CACHE")])
    try:
        tell("installing")
        made = environment(target, root, stop)
        neutral.also(made)
        out |= {"python": made.version, "installed": list(made.installed)}
        plan = plan_of(target, terms, made)
        checked = check(plan, tell, stop)
        if stop.is_set() or INTERRUPTED in checked.doubts:
            raise Stopped
        out["check"] = {**neutral.of(data(checked)), "target": target.adapter}
        tell("what becomes of its calls")
        out["fates"] = neutral.of(fates(plan, checked.adapter, stop))
        out["alone"] = neutral.of(_alone(target, made, stop))
        if twice:
            tell("a second time")
            out["differs"] = _differences(out["check"], {**neutral.of(data(check(plan, tell, stop)))})
    except CapsoundError as error:
        told = f"{error.message}: {error.cause.splitlines()[-1]}" if error.cause else error.message
        out["reason"] = neutral.of(told if isinstance(error, CannotInstall) else f"it cannot be checked: {told}")
    if stop.is_set():
        raise Stopped
    return out


def plan_of(target: Target, terms: Terms, made: Environment) -> Plan:
    """Return what is to be checked: in the environment where its Python can run ours, else over a pipe."""
    where, python, inside = str(target.folder / target.adapter), "", ""
    if target.registry == "npm":
        where = f"cmd:node {shlex.quote(str(laid_out(target, made)))} {target.cls}"
    elif made.folder is not None and _runs_ours(made):
        inside = str(made.folder)
    elif made.python != sys.executable:
        python = made.python
    return Plan(
        where,
        terms.programs,
        float(terms.seconds),
        terms.seed,
        memory=_MEMORY,
        load_seconds=_LOADING,
        python=python,
        environment=inside,
        schedules=terms.schedules,
    )


_MEMORY, _LOADING = 8_192, 300.0
"""What a framework with all that it imports may take: MiB, and seconds to load."""


def _alone(target: Target, made: Environment, stop: threading.Event) -> str:
    """Run what shows the findings without the checker; return what went wrong, empty where all is as it says."""
    if target.registry == "npm":
        if not target.alone:
            return ""
        script = laid_out(target, made).with_name(Path(target.alone).name)
        ended, printed = run(["node", str(script)], stop, _SECONDS)
        return "" if ended == 0 else _last(target.alone, ended, printed)
    with interpreter(str(made.folder) if made.folder is not None and _runs_ours(made) else "") as who:
        path = who.path or os.pathsep.join(p for p in sys.path if p)
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(target.file.parent), path])}
        command = [made.python, "-P" if _runs_ours(made) else "-B", "-W", "ignore", "-m", "doctest", str(target.file)]
        ended, printed = run(command, stop, _SECONDS, env)
    return "" if ended == 0 else _last(target.place, ended, printed)


def _runs_ours(made: Environment) -> bool:
    return tuple(map(int, made.version.split(".")[:2])) >= OLDEST


_SECONDS = 600
"""How long the example of an adapter may take: it is alone with its library, and the machine may be busy."""


def _last(name: str, ended: int | None, printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip(" *")] or ["it said nothing"]
    failed = next((line for line in lines if line.startswith("File ")), lines[-1])
    return f"{name} fails by itself: {'it took too long' if ended is None else failed}"


def summary(check: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is compared of two checks: the verdict, the guarantee, and the names of what was found."""
    return {
        "verdict": check["verdict"],
        "strongest": check["strongest_if_used_once"],
        "anomalies": sorted({one["anomaly"] for one in check["found"] if not one["misuse"]}),
    }


def _differences(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    first, second = summary(one), summary(two)
    return [f"{name}: {first[name]}, then {second[name]}" for name in first if first[name] != second[name]]


class _Neutral:
    """Takes the folders of this machine out of what is told."""

    def __init__(self, folders: list[tuple[str, str]]) -> None:
        self._folders = folders

    def also(self, made: Environment) -> None:
        """Take out those of an environment as well."""
        if made.folder is not None:
            self._folders.insert(0, (str(made.folder), "ENV"))

    def of(self, value: Any) -> Any:
        """Return data with the texts in it made neutral."""
        if isinstance(value, str):
            for folder, name in self._folders:
                value = value.replace(f"{folder}{os.sep}", f"{name}/" if name else "").replace(folder, name or ".")
            return value
        if isinstance(value, dict):
            return {key: self.of(one) for key, one in value.items()}
        return [self.of(one) for one in value] if isinstance(value, list) else value
