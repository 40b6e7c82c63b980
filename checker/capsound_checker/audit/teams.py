"""An audit with several workers: processes of this machine, or a Dask cluster. The report is that of one process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from capsound_checker.audit.ahead import Ahead, ahead
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.audited import Audit
from capsound_checker.audit.cluster import Bundles, Tasks, reached
from capsound_checker.audit.joining import Team, joined
from capsound_checker.audit.mapping import LogMapping
from capsound_checker.audit.typed import reading
from capsound_checker.audit.workers import Crew, Makers, making, processes


def audit_by(
    source: Iterable[str],
    asked: Asked,
    mapping: LogMapping | None,
    *,
    workers: int = 1,
    dask: str = "",
    notes: tuple[str, ...] = (),
) -> Audit:
    """Judge a log as ``audit`` does, by so many processes, or on the cluster of a scheduler.

    Of a log in our own vocabulary, stretches are judged elsewhere; of a foreign one, the mapping is applied there.
    Raises what ``audit`` raises, and ``WorkerLost`` or ``BadCluster``.
    """
    if mapping is None and (asked.what_if or asked.drawn or asked.ceilings):  # these are not joined
        return asked.auditor(notes=notes).run(source)
    if mapping is None:
        reading()  # workers that are forked have it then
        with _team(asked, workers, dask) as team:
            return joined(source, asked, team, notes)
    with _makers(mapping, workers, dask) as made:
        auditor = asked.auditor(mapping, notes)
        auditor.ahead = made
        return auditor.run(source)


@contextmanager
def _team(asked: Asked, workers: int, dask: str) -> Iterator[Team]:
    if dask:
        with reached(dask) as cluster:
            yield Tasks(cluster, asked, cluster.size)
    else:
        with processes(asked, workers) as team:
            yield team


@contextmanager
def _makers(mapping: LogMapping, workers: int, dask: str) -> Iterator[Ahead]:
    if dask:
        with reached(dask) as cluster:
            bundles = Bundles.of(cluster, mapping)
            yield ahead(mapping, cluster.size, bundles.give, bundles.take)
    else:
        with Crew(workers, making, mapping) as crew:
            makers = Makers(crew, mapping)
            yield ahead(mapping, workers, makers.give, makers.take)
