#!/usr/bin/env bash
# In agentbudget, each child session may spend all that its parent has left, and what no longer fits in the end is dropped.
# Package: agentbudget==0.4.0
# Expected: "parent sessions allocate sub-budgets to child tasks. Costs roll up automatically" (README): three children
#   that are open together share the 5.00 of their parent, or their costs are in its total at least.
# Happens: a child's budget is the parent's remainder when it is opened, and is not taken off it. The total rolls up
#   when the child ends; the second and the third raise there, and are not recorded. 12.00 is billed, 4.00 is spent,
#   and a fourth child gets 1.00.
# Why it matters for a budget: children exist to be run in parallel. The parent's limit holds for each of them alone.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'agentbudget==0.4.0'

cat >"$dir/run.py" <<'PY'
from agentbudget import AgentBudget, BudgetExhausted

billed, ends = 0.0, []
with AgentBudget(5.00).session() as parent:
    children = [parent.child_session(max_spend=4.00) for _ in range(3)]
    for child in children:
        try:
            with child:
                child.track("result", cost=4.00, tool_name="sub_task")
                billed += 4.00
            ends.append("ended")
        except BudgetExhausted as error:
            ends.append(type(error).__name__)
    print(f"children {ends}, billed {billed:.2f} of 5.00, parent spent {parent.spent:.2f}, left {parent.remaining:.2f}")
    print(f"a fourth child may spend {parent.child_session(max_spend=4.00).remaining:.2f}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected="children ['ended', 'BudgetExhausted', 'BudgetExhausted'], billed 12.00 of 5.00, parent spent 4.00, left 1.00
a fourth child may spend 1.00"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 12.00 billed under a budget of 5.00, 4.00 on the books"
