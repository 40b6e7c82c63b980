"""A campaign: every target of a league judged once, by several at a time, and nothing that is known judged again.

This process alone writes results, each as soon as it is there. So a campaign that is killed has kept what was judged,
and the next one goes on with the rest. Who judged what, and in which order, does not show.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound_checker.check.spreading import while_wanted
from capsound_checker.league.environments import Stopped
from capsound_checker.league.judging import ROOMS, capsound_version, judged, key_of, summary
from capsound_checker.league.leaguefile import League, Target, Terms
from capsound_checker.league.store import Store
from capsound_checker.spread.cluster import BadCluster, reached, read


class UnknownTarget(CapsoundError):
    """A target was asked for that is not in the league."""

    name = "unknown-target"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class How:
    """How a campaign is done; none of it changes what it finds."""

    root: Path
    """The folder of environments."""
    workers: int = 1
    dask: str = ""
    only: tuple[str, ...] = ()
    twice: bool = False
    again: bool = False
    """Whether what is known is judged once more."""
    today: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target and what was found out of it, now or before; ``before`` is in short what the last campaign had said."""

    target: Target
    result: Mapping[str, Any]
    before: Mapping[str, Any] | None
    known: bool
    """Whether it was judged before this command."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What came of a campaign: the targets in the order of the league, those that were judged."""

    league: League
    judged: tuple[Judged, ...]
    interrupted: bool = False


def chosen(league: League, only: Sequence[str]) -> list[Target]:
    """Return the targets that are asked for; all without names. Raises ``UnknownTarget``."""
    for name in only:
        if name not in league.targets:
            raise UnknownTarget(f"there is no target {name!r} in {league.path}", hint=nearest(name, league.targets))
    return [target for name, target in league.targets.items() if not only or name in only]


def campaign(league: League, how: How, store: Store, tell: Callable[[str], None] = lambda _: None) -> Campaign:
    """Judge the targets of a league that are not known yet, keep what is found, and return all of it.

    On Ctrl-C what is known is returned; the next campaign goes on there. Raises ``UnknownTarget``, ``BadCluster``.
    """
    targets = chosen(league, how.only)
    number = store.campaign(str(league.path.resolve()), how.today)
    keys = {target.name: key_of(target, league.terms, twice=how.twice) for target in targets}
    known: dict[str, Mapping[str, Any]] = {}
    for target in targets:
        found = store.get(keys[target.name])
        done = store.done(number, keys[target.name])
        if found is not None and (done or not (how.again or found["reason"])):
            known[target.name] = found
    results = dict(known)
    interrupted = False
    try:
        waiting = [target for target in targets if target.name not in known]
        with contextlib.closing(_finished(waiting, league.terms, how, tell)) as finished:
            for target, document in finished:
                _keep(store, target, league.terms, keys[target.name], how.today, document)
                results[target.name] = {**document, "judged_on": how.today}
                store.row(number, target.name, keys[target.name], brief(results[target.name], target))
    except KeyboardInterrupt:
        interrupted = True
    out = []
    for target in targets:
        if target.name in results:
            result = results[target.name]
            out.append(Judged(target, result, store.before(number, target.name), target.name in known))
            store.row(number, target.name, keys[target.name], brief(result, target))
    if not interrupted:
        store.end(number)
    return Campaign(league, tuple(out), interrupted)


def _keep(store: Store, target: Target, terms: Terms, key: str, today: str, document: Mapping[str, Any]) -> None:
    told: dict[str, str | int] = {
        "target": target.name,
        "version": target.version,
        "adapter": target.digest(),
        "seed": terms.seed,
        "capsound": capsound_version(),
    }
    store.put(key, told, today, document)


def brief(result: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Return what is compared from one campaign to the next."""
    check = result["check"]
    told = {"verdict": "unknown", "strongest": "", "anomalies": []} if check is None else summary(check)
    if result["alone"] or result.get("differs"):  # then nothing is said to be kept
        told |= {"verdict": "unknown", "strongest": ""}
    return {"version": target.version, **told, "reason": result["reason"] if check is None else ""}


# ------------------------------------------------------------------------------------------------ who does it


def _finished(
    targets: Sequence[Target], terms: Terms, how: How, tell: Callable[[str], None]
) -> Generator[tuple[Target, dict[str, Any]], None, None]:
    """Yield what is found out of each target, as it is there. To be closed: then nothing of it goes on."""
    if not targets:
        return
    stop = threading.Event()
    doing: dict[str, str] = {}
    ended = 0

    def told(name: str, what: str) -> None:
        doing[name] = what
        shown = "; ".join(f"{name}: {what}" for name, what in list(doing.items())[:3])
        tell(f"{ended} of {len(targets)} · {shown}")

    with _hands(how, terms, stop) as (count, hand), ThreadPoolExecutor(count) as pool:
        try:
            futures: dict[Future[dict[str, Any]], Target] = {
                pool.submit(_one, hand, target, partial(told, target.name)): target for target in targets
            }
            while futures:
                done, _ = wait(futures, timeout=_GLANCE, return_when=FIRST_COMPLETED)
                for future in done:
                    target = futures.pop(future)
                    ended += 1
                    doing.pop(target.name, None)
                    yield target, future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


_GLANCE = 0.5
"""How often the main thread looks up: a signal is only heard between two waits, on some systems."""

Hand = Callable[[Target, Callable[[str], None]], dict[str, Any]]
"""Judges one target, and tells what it is doing."""


def _one(hand: Hand, target: Target, tell: Callable[[str], None]) -> dict[str, Any]:
    tell("begun")
    return hand(target, tell)


@contextlib.contextmanager
def _hands(how: How, terms: Terms, stop: threading.Event) -> Iterator[tuple[int, Hand]]:
    """Return how many targets are judged at once, and who judges one: this machine, or the workers of a cluster."""
    if not how.dask:

        def here(target: Target, tell: Callable[[str], None]) -> dict[str, Any]:
            return judged(target, terms, how.root, tell, stop, twice=how.twice)

        yield how.workers, here
        return
    with reached(how.dask, ROOMS) as cluster:

        def there(target: Target, tell: Callable[[str], None]) -> dict[str, Any]:
            del tell  # a worker says nothing before it is done
            absolute = replace(target, folder=target.folder.resolve())
            future = cluster.submit(judged_there, absolute, target.digest(), terms, how.root.resolve(), how.twice)
            said = cluster.result(future, stop)
            if said is None:
                cluster.client.cancel([future])
                raise Stopped
            document: dict[str, Any] = pickle.loads(said)
            return document

        yield cluster.size, there


def judged_there(ours: str, given: bytes) -> bytes:
    """Judge a target on a worker, which has the league at the same path, and makes environments of its own there."""
    target, digest, terms, root, twice = read(ROOMS, ours, given)
    if target.digest() != digest:
        raise BadCluster(
            f"a worker has other adapters of {target.name}, or none",
            hint="put the folder of the league at the same path on every worker",
        )
    with while_wanted() as stop:
        return pickle.dumps(judged(target, terms, root, stop=stop, twice=twice))
