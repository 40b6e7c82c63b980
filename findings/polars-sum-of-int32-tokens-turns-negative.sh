#!/usr/bin/env bash
# Polars sums an Int32 column in Int32: from 2**31 tokens on the total is negative.
# Packages: polars==2.1.0, pandas==3.1.1, duckdb==2.0.1
# Expected: the sum of Int32 is Int64, as it is for Int8 and Int16 in Polars, for int32 in pandas and in DuckDB. Or it
#   raises.
# Happens: sum, group_by and SQL return Int32 and wrap around without an error. The mean of the same column is right.
# Why it matters for a budget: token counts are small numbers and logs store them as 32 bits. A fleet that used
#   3,000,000,000 tokens reports -1,294,967,296, below any cap. As UInt32, 5,000,000,000 tokens are 705,032,704.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'polars==2.1.0' 'pandas==3.1.1' 'duckdb==2.0.1'

cat >"$dir/run.py" <<'PY'
import duckdb
import pandas as pd
import polars as pl

calls, tokens, cap = 3000, 1_000_000, 2_000_000_000
for kind in (pl.Int16, pl.Int32, pl.UInt32, pl.Int64):
    each = tokens if kind != pl.Int16 else 1000
    many = calls if kind != pl.UInt32 else 5000
    used = pl.Series("tokens", [each] * many, dtype=kind)
    total = used.sum()
    stopped = "stopped" if total > cap else "not stopped"
    print(f"polars {kind}: due {each * many}, sum {total}, mean {used.mean():.0f}, {stopped}")
spend = pl.DataFrame({"user": "u", "tokens": pl.Series([tokens] * calls, dtype=pl.Int32)})
print("polars group_by:", spend.group_by("user").agg(pl.col("tokens").sum())["tokens"].item())
print("polars SQL:", spend.sql("select sum(tokens) from self").item())
print("pandas int32:", pd.Series([tokens] * calls, dtype="int32").sum())
print("DuckDB integer:", duckdb.sql(f"select sum({tokens}::integer) from range({calls})").fetchall()[0][0])
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='polars Int16: due 3000000, sum 3000000, mean 1000, not stopped
polars Int32: due 3000000000, sum -1294967296, mean 1000000, not stopped
polars UInt32: due 5000000000, sum 705032704, mean 1000000, not stopped
polars Int64: due 3000000000, sum 3000000000, mean 1000000, stopped
polars group_by: -1294967296
polars SQL: -1294967296
pandas int32: 3000000000
DuckDB integer: 3000000000'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 3,000,000,000 tokens used, the sum is -1,294,967,296"
