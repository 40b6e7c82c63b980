#!/usr/bin/env bash
# DSPy's usage tracker sees none of the calls that dspy.Parallel makes.
# Packages: dspy==3.4.1, litellm==1.110.2, openai==3.57.0
# Expected: dspy.Parallel is DSPy's own executor and carries the settings into its threads, so dspy.track_usage() and
#   the usage of the enclosing module's prediction include its calls.
# Happens: a module that makes three calls through dspy.Parallel and one directly reports one. Under track_usage()
#   three parallel calls report {}. The same calls in a loop are all counted.
# Why it matters for a budget: whoever moves a loop to dspy.Parallel, Module.batch or Evaluate sees the spend fall to
#   0 while the bill stays; a stop that reads this number never fires.
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

billed = []
ANSWER = {"role": "assistant", "content": "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]"}
CHOICE = {"index": 0, "message": ANSWER, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
BODY = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE], "usage": USAGE}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        billed.append(150)
        data = json.dumps(BODY).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
lm = dspy.LM("openai/m", api_base=f"http://127.0.0.1:{server.server_port}/v1", api_key="k", cache=False)
dspy.configure(lm=lm, track_usage=True)
predict = dspy.Predict("question -> answer")
examples = [dspy.Example(question=str(number)).with_inputs("question") for number in range(3)]


def report(name, usage):
    print(f"{name}: counted {sum(entry['total_tokens'] for entry in usage.values())}, billed {sum(billed)}")
    billed.clear()


def in_parallel():
    return dspy.Parallel(num_threads=3, disable_progress_bar=True)([(predict, example) for example in examples])


class Mixed(dspy.Module):
    def forward(self, question):
        in_parallel()
        return predict(question=question)


report("module, 3 parallel + 1 direct", Mixed()(question="x").get_lm_usage())
with dspy.track_usage() as tracker:
    in_parallel()
report("3 in dspy.Parallel", tracker.get_total_tokens())
with dspy.track_usage() as tracker:
    for example in examples:
        predict(**example)
report("3 in a loop", tracker.get_total_tokens())
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True DSPY_CACHEDIR="$dir/cache" "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='module, 3 parallel + 1 direct: counted 150, billed 600
3 in dspy.Parallel: counted 0, billed 450
3 in a loop: counted 450, billed 450'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 450 billed tokens are counted as 0"
