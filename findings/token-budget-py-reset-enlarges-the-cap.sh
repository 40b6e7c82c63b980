#!/usr/bin/env bash
# token-budget-py hands out more than its cap after a reset() during a call.
# Package: token-budget-py==0.1.0
# Expected: reset(), meant for a window that begins anew, keeps the reservations of calls in flight, or ends them for
#   good; either way at most the cap of 120 is free afterwards.
# Happens: reset() sets the reserved amount to 0, and the end of each call subtracts its 40 from that. After one, two or
#   three such calls, 160, 200 or 240 are free until the next reset, and are handed out.
# Why it matters for a budget: the page recommends reset() from a timer, so it meets calls in flight as a rule. The
#   busier the moment, the larger the next window.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'token-budget-py==0.1.0'

cat >"$dir/run.py" <<'PY'
from contextlib import ExitStack

from token_budget import BudgetExceeded, BudgetPool

for calls in (0, 1, 2, 3):
    pool = BudgetPool(token_cap=120)
    with ExitStack() as in_flight:
        for _ in range(calls):
            in_flight.enter_context(pool.reserve(tokens=40))
        pool.reset()
    free = pool.snapshot().tokens_remaining
    spent = 0
    try:
        while True:
            pool.record(tokens=20)
            spent += 20
    except BudgetExceeded:
        print(f"{calls} calls of 40 in flight at the reset: {free} free, {spent} recorded under a cap of 120")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='0 calls of 40 in flight at the reset: 120 free, 120 recorded under a cap of 120
1 calls of 40 in flight at the reset: 160 free, 160 recorded under a cap of 120
2 calls of 40 in flight at the reset: 200 free, 200 recorded under a cap of 120
3 calls of 40 in flight at the reset: 240 free, 240 recorded under a cap of 120'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: a cap of 120 records 240 in one window"
