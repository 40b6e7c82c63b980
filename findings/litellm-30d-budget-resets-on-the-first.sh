#!/usr/bin/env bash
# LiteLLM's budget_duration "30d" ends on the first of the month, and "7d" ends on Monday.
# Package: litellm==1.110.2
# Expected: a budget of 30 days ends at a midnight after about 30 days, as those of 29 and 31 days do, and "1mo"
#   is the calendar month.
# Happens: the function behind the reset of keys, teams and customers reads "30d" as "1mo" and "7d" as "until Monday".
#   "720h" ends at the next midnight. duration_in_seconds, from the same module, says 30 days for both.
# Why it matters for a budget: a monthly cap that is granted at noon on January 31 is full again at midnight. Twice the
#   cap can be spent within a day, and one day more or less in the setting moves the reset by four weeks.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'litellm==1.110.2'

cat >"$dir/run.py" <<'PY'
from datetime import datetime, timezone

from litellm.litellm_core_utils.duration_parser import duration_in_seconds, get_next_standardized_reset_time

granted = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)  # a Saturday
for duration in ("6d", "7d", "8d", "29d", "30d", "31d", "720h"):
    hours = (get_next_standardized_reset_time(duration, granted, "UTC") - granted).total_seconds() / 3600
    print(f"{duration}: {duration_in_seconds(duration) / 3600:.0f} hours by its name, reset after {hours:.0f}")
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='6d: 144 hours by its name, reset after 132
7d: 168 hours by its name, reset after 36
8d: 192 hours by its name, reset after 180
29d: 696 hours by its name, reset after 684
30d: 720 hours by its name, reset after 12
31d: 744 hours by its name, reset after 732
720h: 720 hours by its name, reset after 12'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: a budget of 30 days is full again after 12 hours"
