#!/usr/bin/env bash
# The day of a user's budget in litellm's BudgetManager begins when litellm was imported, not when the budget was made.
# Package: litellm==1.110.2
# Expected: create_budget(duration="daily") lasts 24 hours from the moment it is made, and then from each reset.
# Happens: the default of created_at was evaluated once, at import. In a server that has run for 23 hours, a new user's
#   day has one hour left; in one that has run for 30 hours it is over before it begins. The user spends 1.00 twice.
# Why it matters for a budget: each new user gets up to twice the daily cap, depending on the age of the process. The
#   error is not seen in tests, where the process is young.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'litellm==1.110.2'

cat >"$dir/run.py" <<'PY'
import os
import tempfile
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
begin = time.time()
import litellm  # noqa: E402
from litellm import BudgetManager, ModelResponse, Usage  # noqa: E402

litellm.suppress_debug_info = True
litellm.register_model({"unit": {"input_cost_per_token": 0.01, "litellm_provider": "openai", "output_cost_per_token": 0}})
HOUR = 3600
for age, later in ((0, 2), (23, 2), (30, 0)):
    os.chdir(tempfile.mkdtemp(dir="."))  # it keeps its users in a file of this folder
    now = begin + age * HOUR
    time.time = lambda: now  # noqa: B023
    manager = BudgetManager(project_name="job")
    manager.create_budget(total_budget=1.00, user="user-1", duration="daily")
    answer = ModelResponse(model="openai/unit", usage=Usage(prompt_tokens=100, completion_tokens=0, total_tokens=100))
    manager.update_cost(user="user-1", completion_obj=answer)
    before = manager.get_current_cost("user-1")
    now += later * HOUR
    manager.update_budget_all_users()
    print(f"process {age} h old, {later} h after the budget was made: spent {before:.2f}, then", end=" ")
    print(f"{manager.get_current_cost('user-1'):.2f} of 1.00")
PY
seen=$(cd "$dir" && "$dir/venv/bin/python" run.py 2>/dev/null | grep '^process')
expected='process 0 h old, 2 h after the budget was made: spent 1.00, then 1.00 of 1.00
process 23 h old, 2 h after the budget was made: spent 1.00, then 0.00 of 1.00
process 30 h old, 0 h after the budget was made: spent 1.00, then 0.00 of 1.00'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: a daily cap that ends after one hour, or at once"
