#!/usr/bin/env bash
# OpenTelemetry's Python SDK writes a Decimal cost on a span as text.
# Package: opentelemetry-sdk==1.45.2
# Expected: an attribute of a type that OTLP lacks is dropped with a warning, as in 1.27.0, so a reader finds
#   no cost and can say so.
# Happens: the span has the attribute, with the string '0.0042'. There is one warning in the log of the program that
#   writes, none for whoever reads.
# Why it matters for a budget: exact price packages (genai-prices, tokencost) return Decimal. A backend that sums
#   numeric attributes leaves these spans out, and one that sorts or compares them does so as text ("9" > "10").
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'opentelemetry-sdk==1.45.2'

cat >"$dir/run.py" <<'PY'
import json
import logging
from decimal import Decimal

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

logging.disable(logging.CRITICAL)
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
for cost in (0.0042, Decimal("0.0042")):
    with provider.get_tracer("t").start_as_current_span("chat") as span:
        span.set_attribute("operation.cost", cost)
written = [json.loads(span.to_json())["attributes"] for span in spans.get_finished_spans()]
print(written)
costs = [attributes["operation.cost"] for attributes in written]
print("sum of numbers:", sum(cost for cost in costs if isinstance(cost, float)))
PY
seen=$("$dir/venv/bin/python" "$dir/run.py")
expected="[{'operation.cost': 0.0042}, {'operation.cost': '0.0042'}]
sum of numbers: 0.0042"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: due 0.0084; the numeric sum is 0.0042"
