#!/usr/bin/env bash
# agent-watchdog stops a run once: after its exception was caught, the same limit never stops it again.
# Package: agent-watchdog==0.1.5
# Expected: above max_budget_usd every record_tokens() raises WatchdogHalt, so that a run that treats one exception as a
#   failed step is stopped at the next.
# Happens: the first one marks the run as halted, and all later ones return without a word. Ten steps of 0.50, each in
#   its own try, are all made under a limit of 1.00.
# Why it matters for a budget: WatchdogHalt is an ordinary Exception, and agent loops catch those around a step to hand
#   them to the model. The breaker is then used up, and the limit is gone for the rest of the run.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'agent-watchdog==0.1.5'

cat >"$dir/run.py" <<'PY'
import contextlib
import io

from agent_watchdog import AgentWatchdog
from agent_watchdog.watchdog import MODEL_PRICING

tokens = round(0.50 / MODEL_PRICING["default"]["in"] * 1000)  # 0.50 a step
watchdog = AgentWatchdog(max_budget_usd=1.00, timeout_seconds=None)
raised = []
with contextlib.redirect_stdout(io.StringIO()), watchdog.watch() as run:
    for step in range(1, 11):
        try:
            run.record_tokens(token_in=tokens)  # after the call: it is billed
        except Exception as error:  # a failed step, which the agent reports and goes on from
            raised.append((step, type(error).__name__))
print(f"10 steps made, 5.00 billed of 1.00, raised {raised}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected="10 steps made, 5.00 billed of 1.00, raised [(2, 'WatchdogHalt')]"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: eight more steps after the halt"
