#!/usr/bin/env bash
# token-budget-py forgets a bill that is larger than what is left, and gives the reservation back.
# Package: token-budget-py==0.1.0
# Expected: a call that was reserved at 60 and billed 150 of a cap of 100 is recorded, so the pool is 50 over its cap and
#   admits nothing more. An exception on top would do no harm.
# Happens: commit() raises BudgetExceeded and records nothing. The reservation is released, and the pool is as full as
#   before the call: 100 of 100 are left. Ten such calls in a row are admitted, 1,500 are billed, 0 are counted.
# Why it matters for a budget: commit reports what was already paid. Refusing it does not undo the bill; it makes the
#   most expensive calls free, and the cap holds only while no estimate is too low.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'token-budget-py==0.1.0'

cat >"$dir/run.py" <<'PY'
from token_budget import BudgetExceeded, BudgetPool

for actual in (50, 100, 150):
    pool = BudgetPool(token_cap=100)
    billed = refused = raised = 0
    for _ in range(10):
        try:
            reservation = pool.try_reserve(tokens=60)
        except BudgetExceeded:
            refused += 1
            continue
        billed += actual  # by the call between reserve and commit
        try:
            reservation.commit(tokens=actual)
        except BudgetExceeded:
            raised += 1
    used = pool.snapshot().tokens_used
    print(f"reserved 60, billed {actual} each: billed {billed}, counted {used}, refused {refused}, raised {raised}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='reserved 60, billed 50 each: billed 50, counted 50, refused 9, raised 0
reserved 60, billed 100 each: billed 100, counted 100, refused 9, raised 0
reserved 60, billed 150 each: billed 1500, counted 0, refused 0, raised 10'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: ten calls billed 1500 of a cap of 100, and 0 is counted"
