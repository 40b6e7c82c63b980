"""What was judged, kept in one SQLite file: a result is in it as a whole or not at all, whenever this process ends."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.display.files import make_folder

FORMAT = 1

_TABLES = """
create table result (
  key text primary key, target text not null, version text not null, adapter text not null, seed integer not null,
  capsound text not null, judged_on text not null, document text not null);
create table campaign (
  number integer primary key autoincrement, league text not null, begun_on text not null, ended integer not null);
create table row (
  campaign integer not null references campaign, target text not null, key text not null, summary text not null,
  primary key (campaign, target));
"""


class BadStore(CapsoundError):
    """A file of results that cannot be used."""

    name = "bad-store"
    exit_status = EXIT_BAD_INPUT


class Store:
    """The results so far, and the campaigns. To be used by one thread, in a ``with`` statement (``opened``)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    # ------------------------------------------------------------------------------------------------ campaigns

    def campaign(self, league: str, today: str) -> int:
        """Return the campaign of a league file that was begun and has not ended, or begin one."""
        asked = "select max(number) from campaign where league = ? and not ended"
        found = self._db.execute(asked, (league,)).fetchone()[0]
        if found is not None:
            return int(found)
        with self._db:
            told = "insert into campaign (league, begun_on, ended) values (?, ?, 0)"
            number = self._db.execute(told, (league, today)).lastrowid
        assert number is not None
        return number

    def end(self, campaign: int) -> None:
        """Note that a campaign came to its end: the next one is compared with it."""
        with self._db:
            self._db.execute("update campaign set ended = 1 where number = ?", (campaign,))

    def before(self, campaign: int, target: str) -> dict[str, Any] | None:
        """Return in short what the last campaign of this league has said of a target; None for a new one."""
        found = self._db.execute(
            "select summary from row join campaign on campaign = number where target = ? and number < ? and league ="
            " (select league from campaign where number = ?) order by number desc limit 1",
            (target, campaign, campaign),
        ).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def done(self, campaign: int, key: str) -> bool:
        """Whether a campaign has judged this already."""
        return (
            self._db.execute("select 1 from row where campaign = ? and key = ?", (campaign, key)).fetchone() is not None
        )

    # ------------------------------------------------------------------------------------------------- results

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a result, with the day on which it was judged; None where there is none."""
        found = self._db.execute("select document, judged_on from result where key = ?", (key,)).fetchone()
        return None if found is None else {**json.loads(found[0]), "judged_on": found[1]}

    def put(self, key: str, told: Mapping[str, str | int], today: str, document: Mapping[str, Any]) -> None:
        """Keep a result; ``told`` names target, version, adapter, seed and capsound."""
        columns = tuple(told[name] for name in ("target", "version", "adapter", "seed", "capsound"))
        with self._db:
            self._db.execute(
                "insert or replace into result values (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, *columns, today, json.dumps(document, sort_keys=True)),
            )

    def row(self, campaign: int, target: str, key: str, summary: Mapping[str, Any]) -> None:
        """Note what a campaign says of a target."""
        with self._db:
            self._db.execute(
                "insert or replace into row values (?, ?, ?, ?)",
                (campaign, target, key, json.dumps(summary, sort_keys=True)),
            )


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Open the results, made where they are missing, for this process alone.

    Raises ``BadStore`` and ``CannotWrite``.
    """
    make_folder(path.parent)
    try:
        connection = sqlite3.connect(path, timeout=1.0, isolation_level="DEFERRED")
        try:
            yield Store(_prepared(connection, path))
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        busy = "locked" in str(error)
        raise BadStore(
            f"the results in {path} cannot be used: {error}",
            cause="another campaign is using them" if busy else "",
            hint="wait for it, or give --results another file" if busy else "give --results another file",
        ) from None
    except sqlite3.DatabaseError as error:
        raise BadStore(f"{path} holds no results: {error}", hint="give --results another file") from None


def _prepared(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    connection.execute("pragma locking_mode = exclusive")  # one campaign at a time; freed when this process ends
    connection.execute("begin exclusive")
    version = connection.execute("pragma user_version").fetchone()[0]
    if version == 0:
        for statement in _TABLES.strip().split(";\n"):
            connection.execute(statement)
        connection.execute(f"pragma user_version = {FORMAT}")
    connection.commit()
    if version not in (0, FORMAT):
        raise BadStore(f"{path} was written by another capsound", hint="give --results another file")
    return connection
