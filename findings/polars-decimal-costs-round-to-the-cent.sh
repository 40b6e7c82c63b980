#!/usr/bin/env bash
# Polars keeps the scale of a decimal price, so prices in cents per million tokens make every call free.
# Packages: polars==2.1.0, duckdb==2.0.1
# Expected: a quotient or a product of decimals gets more digits, or becomes a float, as in DuckDB and in Python's own
#   Decimal: 1,000 tokens at 0.15 dollars per million cost 0.00015.
# Happens: in an expression the result keeps the scale of the column and is rounded to it. 0.15 has two digits, so the
#   cost is 0.00 and 10,000 such calls sum to 0.00 instead of 1.50. Polars' own SQL gets 1.50 from the same columns.
#   A price per token times a discount of one half is 0.00000008 instead of 0.000000075.
# Why it matters for a budget: Decimal is chosen so that money is exact. Here each call below half a cent counts as 0,
#   without an error, and the sum of any number of them too.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'polars==2.1.0' 'duckdb==2.0.1'

cat >"$dir/run.py" <<'PY'
from decimal import Decimal

import duckdb
import polars as pl

price, tokens, calls = Decimal("0.15"), 1000, 10_000  # dollars per million tokens; due 1.50
spend = pl.DataFrame({"price": [price] * calls, "tokens": [tokens] * calls})
cost = pl.col("tokens") * pl.col("price") / 1_000_000
print("Python:", calls * tokens * price / 1_000_000)
print("Polars:", spend.select(cost.sum()).item(), "with", spend.select(cost).dtypes[0])
query = "select sum(tokens * price / 1000000) from {}"
print("Polars SQL:", pl.SQLContext(spend=spend).execute(query.format("spend")).collect().item())
print("Polars, divided last:", spend.select((pl.col("tokens") * pl.col("price")).sum() / 1_000_000).item())
table = f"(select {tokens} as tokens, {price}::decimal(38, 2) as price from range({calls}))"
print("DuckDB:", round(float(duckdb.sql(query.format(table)).fetchall()[0][0]), 6))
each = pl.DataFrame({"price": [Decimal("0.00000015")], "discount": [Decimal("0.5")]})
print(f"half of 0.00000015: {each.select(pl.col('price') * pl.col('discount')).item():.9f}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='Python: 1.50
Polars: 0.00 with Decimal(precision=38, scale=2)
Polars SQL: 1.50000000
Polars, divided last: 1.50
DuckDB: 1.5
half of 0.00000015: 0.000000080'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: due 1.50, the sum is 0.00"
