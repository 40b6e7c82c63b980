#!/usr/bin/env bash
# In spendcap, a task inside a task is not counted against the outer one's cap.
# Package: spendcap==0.1.0
# Expected: with meter.task("job", cap_usd=0.004) around meter.task("step"), the cost of a step is the job's cost too, so
#   the job stops once its steps have used 0.004.
# Happens: only the innermost task is charged. Five steps of 0.0025 run, 0.0125 is billed, and the job has spent 0. The
#   same calls without the inner task stop after two.
# Why it matters for a budget: a cap per job is lost as soon as a function that it calls tags its own work. The tag is
#   meant for a report; it switches the limit off.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'spendcap==0.1.0'

cat >"$dir/run.py" <<'PY'
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import spendcap

warnings.simplefilter("ignore")
sent = []


class Completions:
    def create(self, **options):
        sent.append(options["model"])
        return SimpleNamespace(model="gpt-4o", usage=SimpleNamespace(prompt_tokens=600, completion_tokens=100))


class Client:
    chat = SimpleNamespace(completions=Completions())


for name in ("job alone", "job with steps"):
    sent.clear()
    meter = spendcap.Meter()
    client = meter.wrap(Client())
    stopped = False
    with meter.task("job", cap_usd=0.004):
        try:
            for _ in range(5):
                with meter.task("step") if name == "job with steps" else nullcontext():
                    client.chat.completions.create(model="gpt-4o", messages=[])
        except spendcap.BudgetExceededError:
            stopped = True
    print(f"{name}: sent {len(sent)}, billed {meter.spent:.4f}, job {meter.task_spent('job'):.4f}, stopped {stopped}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='job alone: sent 2, billed 0.0050, job 0.0050, stopped True
job with steps: sent 5, billed 0.0125, job 0.0000, stopped False'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 0.0125 billed under a cap of 0.0040"
