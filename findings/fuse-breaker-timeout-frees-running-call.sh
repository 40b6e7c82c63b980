#!/usr/bin/env bash
# fuse-breaker's timeout gives the reservation back while the call goes on.
# Package: fuse-breaker==0.2.1
# Expected: guard(call, estimated_cost=..., timeout=...) charges the estimate when the time is up, as it does when no
#   actual cost is known: the call cannot be stopped in its thread and will be billed.
# Happens: the caller gets CallTimeout, the reservation is freed at once, and spent stays 0. The call ends later; its
#   actual_cost is never asked for. Ten calls of 0.6 pass under a budget of 1.0; read to their end, the second is refused.
# Why it matters for a budget: slow calls are the expensive ones. A loop that meets its timeout spends without a limit.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'fuse-breaker==0.2.1'

cat >"$dir/run.py" <<'PY'
import threading

from fuse_breaker import CallTimeout, CircuitBreaker, CircuitOpenError, Limits

for name, timeout in (("waits for the answer", None), ("timeout", 0.05)):
    breaker = CircuitBreaker(Limits(budget=1.0, steps=100, failures=100))
    answer = threading.Event()  # the provider answers when this is set
    finished = threading.Semaphore(0)
    billed = []

    def call():
        answer.wait()
        billed.append(0.6)
        finished.release()
        return 0.6

    ends = {"ok": 0, "CallTimeout": 0, "CircuitOpenError": 0}
    if timeout is None:
        answer.set()
    for _ in range(10):
        try:
            breaker.guard(call, estimated_cost=0.6, actual_cost=float, timeout=timeout)
            ends["ok"] += 1
        except (CallTimeout, CircuitOpenError) as error:
            ends[type(error).__name__] += 1
    answer.set()
    for _ in range(ends["ok"] + ends["CallTimeout"]):
        finished.acquire()
    print(f"{name}: {ends}, billed {sum(billed):.1f}, spent {breaker.spent:.1f}, reserved {breaker.reserved:.1f}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected="waits for the answer: {'ok': 1, 'CallTimeout': 0, 'CircuitOpenError': 9}, billed 0.6, spent 0.6, reserved 0.0
timeout: {'ok': 0, 'CallTimeout': 10, 'CircuitOpenError': 0}, billed 6.0, spent 0.0, reserved 0.0"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 6.0 billed under a budget of 1.0, and 0.0 spent"
