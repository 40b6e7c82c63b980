#!/usr/bin/env bash
# OpenTelemetry's Python SDK puts the tokens of every user after the 2,000th into one series without a name.
# Package: opentelemetry-sdk==1.45.2
# Expected: a counter with a user attribute has one series per user. (1.27.0 keeps all of them.)
# Happens: at 2,000 series the next attribute sets all share one more, {"otel.metric.overflow": true}. With the
#   default cumulative temporality, a user who comes late stays there until the process ends. Nothing is logged.
# Why it matters for a budget: per-user spend read from metrics is 0 for each late user; only the total is right.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'opentelemetry-sdk==1.45.2'

cat >"$dir/run.py" <<'PY'
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
tokens = MeterProvider(metric_readers=[reader]).get_meter("m").create_counter("tokens")


def series():
    data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data
    return {tuple(sorted(point.attributes.items())): point.value for point in data.data_points}


for user in range(2_500):
    tokens.add(100, {"user": f"user-{user}"})
read = series()
tokens.add(900, {"user": "user-2499"})
later = series()
print(f"series {len(read)}, total {sum(read.values())}")
for user in (0, 2_499):
    print(f"user-{user}: {later.get((('user', f'user-{user}'),))}")
print(f"overflow: {later.get((('otel.metric.overflow', True),))}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>&1)
expected='series 2001, total 250000
user-0: 100
user-2499: None
overflow: 50900'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: user-2499 used 1000 tokens and has no series"
