"""Where logs come from: tables, packed files, folders, patterns, several files, and databases."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROWS = [
    {
        "llm_call": str(n),
        "model": "gpt-4o",
        "input_tokens": 100 + n,
        "output_tokens": 50,
        "began": 10 * n,
        "ended": 10 * n + 5,
    }
    for n in range(5)
]
BILLED = 760
"""Of all rows, in tokens."""

LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def billed(ran: Any) -> int:
    assert ran.status in (0, 1, 2), ran.err
    (root,) = json.loads(ran.out)["roots"]
    assert isinstance(root["billed"], int)
    assert root["billed"] == root["billed_at_most"]
    return root["billed"]


@pytest.fixture
def audited(capsound: Callable[..., Any]) -> Callable[..., int]:
    return lambda *logs: billed(capsound("audit", *map(str, logs), "--cap", "1000", "--json"))


def test_json_of_any_shape_is_one_log(audited: Callable[..., int], tmp_path: Path) -> None:
    for name, text in {
        "lines.jsonl": LINES,
        "array.json": json.dumps(ROWS),
        "pretty.json": json.dumps(ROWS, indent=2),
        "objects.json": "".join(json.dumps(row, indent=2) + "\n" for row in ROWS),
    }.items():
        (tmp_path / name).write_text(text)
        assert audited(tmp_path / name) == BILLED, name


def test_csv_is_a_log(audited: Callable[..., int], capsound: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*ROWS[0], "note"])
        writer.writeheader()
        writer.writerows({**row, "note": 'two\nlines, "quoted"'} for row in ROWS)
    assert audited(path) == BILLED
    (tmp_path / "calls.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert audited(tmp_path / "calls.csv.gz") == BILLED
    # What is empty is not told: without the output nothing is known.
    path.write_text("llm_call,input_tokens,output_tokens,began,ended\n1,600,50,1,2\n2,100,,3,4\n")
    assert capsound("audit", str(path), "--cap", "1000").status == 2
    for bad, says in {
        "llm_call,input_tokens\n1,2,3\n": "a row of 3 values under 2 columns",
        "a,a\n1,2\n": "no header",
        'llm_call,x\n1,"2\n': "not CSV",
        "": "empty",
    }.items():
        path.write_text(bad)
        ran = capsound("audit", str(path), "--mapping", "calls", "--cap", "1000")
        assert (ran.status, says in ran.err) == (65, True), ran.err


def test_parquet_is_a_log(audited: Callable[..., int], capsound: Callable[..., Any], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "calls.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    assert audited(path) == BILLED
    path.write_bytes(path.read_bytes()[:-9])
    ran = capsound("audit", str(path), "--mapping", "calls", "--cap", "1000")
    assert (ran.status, "not Parquet" in ran.err) == (65, True)


def test_packed_files_are_logs(audited: Callable[..., int], capsound: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(LINES.encode()))
    assert audited(tmp_path / "a.jsonl.gz") == BILLED
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(LINES.encode())
    (tmp_path / "a.jsonl.zst").write_bytes(packed)
    assert audited(tmp_path / "a.jsonl.zst") == BILLED
    (tmp_path / "a.jsonl.zst").write_bytes(packed + packed)  # frames one after the other: the same calls again
    assert audited(tmp_path / "a.jsonl.zst") == BILLED
    (tmp_path / "a.jsonl.zst").write_bytes(b"no zstd at all")
    assert capsound("audit", str(tmp_path / "a.jsonl.zst"), "--mapping", "calls", "--cap", "9").status == 65


def test_a_folder_a_pattern_and_several_files_are_one_log(
    audited: Callable[..., int], capsound: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]).rstrip("\n"))
    (tmp_path / "b" / "c.json").write_text(json.dumps(ROWS[2:4], indent=1))
    (tmp_path / "b" / "d.json.gz").write_bytes(gzip.compress(json.dumps(ROWS[4]).encode()))
    (tmp_path / "b" / "README.txt").write_text("no log")
    assert audited(tmp_path) == BILLED
    assert audited(tmp_path / "a.jsonl", tmp_path / "b" / "c.json", tmp_path / "b" / "d.json.gz") == BILLED
    assert audited(f"{tmp_path}/**/*.json*") == BILLED
    told = json.loads(capsound("audit", str(tmp_path), "--cap", "1000", "--json").out)
    assert told["notes"][0].startswith("lines are counted through all files: ")
    assert "c.json from line 3" in told["notes"][0]
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", f"{tmp_path}/*.xml"):
        assert capsound("audit", str(nothing), "--cap", "9").status == 65


def test_sqlite_answers_a_query(capsound: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    with sqlite3.connect(path) as made:
        made.execute(
            "CREATE TABLE calls (llm_call, model, input_tokens INTEGER, output_tokens INTEGER, began REAL, ended REAL)"
        )
        made.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?)", [tuple(row.values()) for row in ROWS])
    made.close()

    def ask(query: str, *more: str) -> Any:
        return capsound("audit", f"sqlite:{path}", "--query", query, "--cap", "1000", *more)

    assert billed(ask("SELECT * FROM calls ORDER BY ended", "--json")) == BILLED
    for query, says in {
        "SELECT * FROM bills": "no such table",
        "SELECT 1 AS a, 2 AS a": "two columns",
        "DELETE FROM calls": "readonly",
        "SELECT * FROM calls; DROP TABLE calls": "one statement",
        "": "answers nothing",
    }.items():
        ran = ask(query)
        assert (ran.status, says in ran.err) == (65, True), ran.err
    assert billed(ask("SELECT * FROM calls", "--json")) == BILLED
    assert capsound("audit", f"sqlite:{tmp_path}/none.db", "--query", "SELECT 1", "--cap", "9").status == 65
    assert capsound("audit", f"sqlite:{path}", "--cap", "9").status == 64
    assert capsound("audit", str(path), "--query", "SELECT 1", "--cap", "9").status == 64


def test_a_package_that_is_missing_is_named_with_its_extra(
    capsound: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in (("a.parquet", "pyarrow.parquet"), ("a.jsonl.zst", "zstandard")):
        (tmp_path / name).write_bytes(b"")
        monkeypatch.setitem(__import__("sys").modules, module, None)
        ran = capsound("audit", str(tmp_path / name), "--mapping", "calls", "--cap", "9")
        assert (ran.status, "capsound[logs]" in ran.err) == (64, True), ran.err


# ---------------------------------------------------------------------------------------------- PostgreSQL


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    here = shutil.which("initdb")
    return found[-1].parent if found else Path(here).resolve().parent if here else None


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Yield the address of a PostgreSQL server of our own, which listens on a socket in a temporary folder."""
    pytest.importorskip("psycopg")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("there are no binaries of PostgreSQL here")
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        data, user = Path(folder) / "data", {}
        if os.geteuid() == 0:  # the server refuses to run as root
            try:
                shutil.chown(folder, "nobody")
            except LookupError:
                pytest.skip("there is no user to run PostgreSQL as")
            user = {"user": "nobody"}
        quiet: dict[str, Any] = {
            "check": True,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
            "cwd": folder,
            **user,
        }
        subprocess.run([binaries / "initdb", "-D", data, "-U", "me", "-A", "trust", "-N"], timeout=900, **quiet)
        control = [binaries / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", Path(folder) / "log"]
        subprocess.run(
            [*control, "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"], timeout=900, **quiet
        )
        try:
            yield f"postgresql://me:secret@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], timeout=900, **quiet)


def test_postgresql_answers_a_query(capsound: Callable[..., Any], postgres: str) -> None:
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres) as made:
        made.execute(
            "CREATE TABLE calls (llm_call text, model text, input_tokens bigint, output_tokens numeric, "
            "began timestamptz, ended timestamptz, extra jsonb)"
        )
        with made.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO calls VALUES (%s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s), '{\"a\": 1}')",
                [tuple(row.values()) for row in ROWS],
            )

    def ask(query: str, *more: str) -> Any:
        return capsound("audit", postgres, "--query", query, "--cap", "1000", *more)

    told = ask("SELECT * FROM calls ORDER BY ended", "--json")
    assert billed(told) == BILLED
    assert "secret" not in told.out
    for query in ("SELECT * FROM bills", "DELETE FROM calls", "SELECT 1 AS a, 2 AS a"):
        ran = ask(query)
        assert ran.status == 65, ran.err
        assert "secret" not in ran.err
    # Rows come in a stream: what is not read is not sent.
    many = ask(
        "SELECT n::text AS llm_call, 1 AS input_tokens, 0 AS output_tokens, n AS began, n AS ended "
        "FROM generate_series(1, 20000) AS n",
        "--json",
        "--mapping",
        "calls",
    )
    assert json.loads(many.out)["lines"] == 20_000
    gone = capsound("audit", "postgresql://me:secret@127.0.0.1:1/none", "--query", "SELECT 1", "--cap", "9")
    assert (gone.status, "secret" in gone.err) == (65, False)
