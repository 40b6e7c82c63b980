#!/usr/bin/env bash
# A session budget of sayay is counted and never looked at.
# Package: sayay==0.1.0
# Expected: session_usd is one of its USD limits (README), and check() blocks once it is used up, as with daily_usd.
# Happens: record() adds to it, check() has no branch for it. Ten calls of 0.50 under a limit of 1.00 are all allowed;
#   under the same daily limit two are.
# Why it matters for a budget: nothing warns that the option has no effect; the counter in the storage moves.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'sayay==0.1.0'

cat >"$dir/run.py" <<'PY'
import asyncio

from sayay import MemoryStorage, SayayGuard


async def main():
    for option in ("daily_usd", "session_usd"):
        guard, billed, last = SayayGuard(storage=MemoryStorage(), budget={option: 1.00}), 0.0, ""
        for _ in range(10):
            last = (await guard.check("user-1", estimated_cost=0.50)).action
            if last == "block":
                break
            billed += 0.50
            await guard.record("user-1", 0.50)
        print(f"{option}: billed {billed:.2f} of 1.00, last answer {last}")


asyncio.run(main())
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='daily_usd: billed 1.00 of 1.00, last answer block
session_usd: billed 5.00 of 1.00, last answer allow'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 5.00 billed under a session budget of 1.00"
