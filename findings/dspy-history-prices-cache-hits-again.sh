#!/usr/bin/env bash
# DSPy's history gives each cache hit the full cost again, beside a usage that is empty.
# Packages: dspy==3.4.1, litellm==1.110.2, openai==3.57.0
# Expected: an answer from the cache costs nothing, so its entry in lm.history has the cost 0 or None, as its usage is
#   already empty there.
# Happens: three equal questions are one request. Each entry costs 0.0125, and only the first has a usage.
# Why it matters for a budget: the sum of the costs in the history is a common way to read the spend of a program. It
#   grows with each run of a cached evaluation: 0.0375 here for a bill of 0.0125, while track_usage is right.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'dspy==3.4.1' 'litellm==1.110.2' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dspy

requests = []
ANSWER = {"role": "assistant", "content": "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"}
CHOICE = {"index": 0, "message": ANSWER, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}
BODY = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [CHOICE], "usage": USAGE}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        requests.append(self.path)
        data = json.dumps(BODY).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
lm = dspy.LM("openai/gpt-4o", api_base=f"http://127.0.0.1:{server.server_port}/v1", api_key="k")
dspy.configure(lm=lm)
with dspy.track_usage() as tracker:
    for _ in range(3):
        dspy.Predict("question -> answer")(question="2 + 2?")
for entry in lm.history:
    print(f"cost {entry['cost']:.4f}, tokens {entry['usage'].get('total_tokens', 'none')}")
tracked = sum(usage["total_tokens"] for usage in tracker.get_total_tokens().values())
print(f"requests {len(requests)}, sum of costs {sum(entry['cost'] for entry in lm.history):.4f}, tracked tokens {tracked}")
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True DSPY_CACHEDIR="$dir/cache" "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='cost 0.0125, tokens 2000
cost 0.0125, tokens none
cost 0.0125, tokens none
requests 1, sum of costs 0.0375, tracked tokens 2000'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 0.0125 billed, 0.0375 in the history"
