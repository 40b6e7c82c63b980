#!/usr/bin/env bash
# In ai-agent-contracts, a subcontract that has ended gives back all that it was given, also what it has used.
# Package: ai-agent-contracts==0.5.0 (Python 3.12 or newer)
# Expected: release_allocation() is for "when a child completes and returns unused budget", and "the actual tokens
#   returned depend on what the child actually used" (its docstring): a child that used 900 of 1000 gives back 100.
# Happens: it gives back 1000, and is not told what was used. Ten children in turn use 9000 tokens under a contract of
#   1000, and the summary says that the budget is conserved.
# Why it matters for a budget: a loop that opens a subcontract for each step, and closes it, has no limit.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in python3 python3.12 python3.13 python3.14; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'ai-agent-contracts==0.5.0'

cat >"$dir/run.py" <<'PY'
from agent_contracts.core import Contract, ContractingCapability, ResourceConstraints, ResourceMonitor

parent = Contract(id="job", name="job", resources=ResourceConstraints(tokens=1000))
delegation, used, returned = ContractingCapability(parent), 0, []
for step in range(10):
    child = delegation.create_subcontract(f"step {step}", tokens=1000)
    monitor = ResourceMonitor(child.resources)
    monitor.usage.add_tokens(900)
    used += monitor.usage.tokens
    returned.append(delegation.release_allocation(f"step {step}"))
print(f"used {used}, returned {set(returned)}, left {delegation.remaining_tokens} of 1000,", end=" ")
print(f"conserved {delegation.get_summary().conservation_satisfied}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='used 9000, returned {1000}, left 1000 of 1000, conserved True'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 9000 tokens used under a contract of 1000"
