#!/usr/bin/env bash
# cockatiel's maxAttempts: 3 calls a failing function four times.
# Packages: cockatiel==3.2.1, async-retry==1.3.3 (npm); stamina==26.1.0 (PyPI) for comparison
# Expected: "attempts" counts calls, as in stamina, where attempts=3 makes three. "Retries" does not: async-retry's
#   retries: 3 makes four.
# Happens: maxAttempts: 3 makes four calls, and maxAttempts: 0 makes one.
# Why it matters for a budget: a hold of maxAttempts * price, the natural reading of the option, is short by one whole
#   call whenever the provider bills failed requests.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'stamina==26.1.0'
npm install --silent --no-audit --no-fund --prefix "$dir" 'cockatiel@3.2.1' 'async-retry@1.3.3' >/dev/null

cat >"$dir/run.cjs" <<'JS'
const { ConstantBackoff, handleAll, retry } = require("cockatiel");
const asyncRetry = require("async-retry");
(async () => {
  for (const maxAttempts of [3, 1, 0]) {
    let calls = 0;
    const policy = retry(handleAll, { maxAttempts, backoff: new ConstantBackoff(1) });
    await policy.execute(() => { calls += 1; throw new Error("refused"); }).catch(() => {});
    console.log(`cockatiel maxAttempts ${maxAttempts}: ${calls} calls`);
  }
  let calls = 0;
  await asyncRetry(() => { calls += 1; throw new Error("refused"); }, { retries: 3, minTimeout: 1 }).catch(() => {});
  console.log(`async-retry retries 3: ${calls} calls`);
})();
JS
cat >"$dir/run.py" <<'PY'
import logging

import stamina

logging.disable(logging.CRITICAL)
calls = 0


@stamina.retry(on=ValueError, attempts=3, wait_initial=0.001, wait_max=0.001)
def fails():
    global calls
    calls += 1
    raise ValueError


try:
    fails()
except ValueError:
    print(f"stamina attempts 3: {calls} calls")
PY
seen=$(node "$dir/run.cjs" && "$dir/venv/bin/python" "$dir/run.py" 2>/dev/null)
expected='cockatiel maxAttempts 3: 4 calls
cockatiel maxAttempts 1: 2 calls
cockatiel maxAttempts 0: 1 calls
async-retry retries 3: 4 calls
stamina attempts 3: 3 calls'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: three attempts allowed, four calls made"
