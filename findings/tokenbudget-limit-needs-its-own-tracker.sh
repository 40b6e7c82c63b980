#!/usr/bin/env bash
# tokenbudget's budget() limits nothing unless it is handed the tracker that the client was wrapped with.
# Package: tokenbudget==0.1.2
# Expected: budget(max_tokens=200) around calls of a wrapped client, the form that its page shows as decorator and as
#   context manager, raises once they have used 200.
# Happens: without tracker=..., budget() counts with a tracker of its own that no client reports to. Five calls of 150
#   tokens pass, usage is 0, and the full budget remains. With the argument, the second call raises.
# Why it matters for a budget: the shorter form is the documented one, gives no warning, and reports a plausible
#   remainder.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'tokenbudget==0.1.2'

cat >"$dir/run.py" <<'PY'
from types import SimpleNamespace

from tokenbudget import TokenLimitReached, TokenTracker, budget

sent = []
USAGE = SimpleNamespace(prompt_tokens=100, completion_tokens=50, total_tokens=150)


class Completions:
    def create(self, **options):
        sent.append(options["model"])
        return SimpleNamespace(model=options["model"], usage=USAGE, choices=[])


for name in ("without tracker", "with tracker"):
    sent.clear()
    tracker = TokenTracker()
    client = tracker.wrap_openai(SimpleNamespace(chat=SimpleNamespace(completions=Completions())))
    options = {"tracker": tracker} if name == "with tracker" else {}
    stopped = False
    try:
        with budget(max_tokens=200, **options) as context:
            for _ in range(5):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    except TokenLimitReached:
        stopped = True
    used = context.current_usage.total_tokens
    print(f"{name}: sent {len(sent)}, billed {150 * len(sent)}, budget counts {used} of 200, stopped {stopped}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected='without tracker: sent 5, billed 750, budget counts 0 of 200, stopped False
with tracker: sent 2, billed 300, budget counts 300 of 200, stopped True'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 750 billed under a limit of 200"
