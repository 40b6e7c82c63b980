#!/usr/bin/env bash
# A Prometheus counter accepts NaN once and never leaves it, in the Python and in the Node client.
# Packages: prometheus_client==0.26.0 (PyPI), prom-client==15.1.3 (npm)
# Expected: inc(NaN) is refused like inc(-1), or ignored, as OpenTelemetry's Python SDK does with it.
# Happens: both take it. The counter is NaN from then on, however much is added. (prom-client refuses Infinity.)
# Why it matters for a budget: a cost computed from a missing price is easily NaN. From that call on, "spent > cap" is
#   false for ever: no alert and no stop, and the spend before it is lost too.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'prometheus_client==0.26.0'
npm install --silent --no-audit --no-fund --prefix "$dir" 'prom-client@15.1.3' >/dev/null

cat >"$dir/run.py" <<'PY'
from prometheus_client import CollectorRegistry, Counter

registry = CollectorRegistry()
cost = Counter("cost", "dollars", registry=registry)
cost.inc(7)
for amount in (float("nan"), -1.0, 5.0):
    try:
        cost.inc(amount)
        print(f"python inc({amount}): taken")
    except ValueError:
        print(f"python inc({amount}): refused")
spent = registry.get_sample_value("cost_total")
print(f"python total {spent}, over a cap of 10: {spent > 10}")
PY
cat >"$dir/run.cjs" <<'JS'
const { Counter, Registry } = require("prom-client");
(async () => {
  const cost = new Counter({ name: "cost", help: "dollars", registers: [new Registry()] });
  cost.inc(7);
  for (const amount of [NaN, Infinity, -1, 5]) {
    try {
      cost.inc(amount);
      console.log(`node inc(${amount}): taken`);
    } catch {
      console.log(`node inc(${amount}): refused`);
    }
  }
  const spent = (await cost.get()).values[0].value;
  console.log(`node total ${spent}, over a cap of 10: ${spent > 10}`);
})();
JS
seen=$("$dir/venv/bin/python" "$dir/run.py" && node "$dir/run.cjs")
expected='python inc(nan): taken
python inc(-1.0): refused
python inc(5.0): taken
python total nan, over a cap of 10: False
node inc(NaN): taken
node inc(Infinity): refused
node inc(-1): refused
node inc(5): taken
node total NaN, over a cap of 10: false'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 12 was spent of a cap of 10, and neither counter is over it"
