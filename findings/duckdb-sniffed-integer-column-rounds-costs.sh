#!/usr/bin/env bash
# DuckDB rounds the first fractional costs of a spend log when the sampled rows hold only whole numbers.
# Package: duckdb==2.0.1
# Expected: a file whose cost column is 0 for a long while and then 0.5 is read as DOUBLE, or the read fails with a
#   conversion error that names the line.
# Happens: the column is typed BIGINT from the sample. A later 0.5 is rounded without an error: read_csv makes it 1,
#   read_json makes it 0. With sample_size = -1 both sums are 0.5.
# Why it matters for a budget: a log that starts with free calls (cache hits, a free tier) hides the paid ones after
#   them. Costs below half a dollar sum to nothing in either format.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'duckdb==2.0.1'

cat >"$dir/run.py" <<'PY'
import sys
from pathlib import Path

import duckdb

folder = Path(sys.argv[1])
free, paid = 60_000, 10  # rows of cost 0, then rows of cost 0.5: due 5.0
csv, lines = folder / "spend.csv", folder / "spend.jsonl"
csv.write_text("call,cost\n" + "".join(f"{i},0\n" for i in range(free)) + "".join(f"{i},0.5\n" for i in range(paid)))
lines.write_text('{"cost": 0}\n' * free + '{"cost": 0.5}\n' * paid)
for reader, path in (("read_csv", csv), ("read_json", lines)):
    for option in ("", ", sample_size = -1"):
        query = f"select sum(cost), any_value(typeof(cost)) from {reader}('{path}'{option})"
        try:
            total, kind = duckdb.sql(query).fetchall()[0]
            print(f"{reader}{option}: {kind} {float(total)}")
        except duckdb.Error as error:
            print(f"{reader}{option}: {type(error).__name__}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" "$dir")
expected='read_csv: BIGINT 10.0
read_csv, sample_size = -1: DOUBLE 5.0
read_json: BIGINT 0.0
read_json, sample_size = -1: DOUBLE 5.0'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: due 5.0; the CSV sums to 10, the JSON lines to 0"
