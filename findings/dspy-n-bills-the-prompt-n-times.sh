#!/usr/bin/env bash
# DSPy turns n=3 into three requests, so the prompt is billed three times.
# Packages: dspy==3.4.1, litellm==1.110.2, openai==3.57.0
# Expected: n=3 goes to an OpenAI-compatible provider as "n": 3, one request, in which the prompt is billed once.
# Happens: three requests without "n". A provider that bills 1,000 tokens for the prompt and 50 for each answer bills
#   3,150 instead of 1,150. (DSPy's own count is right, after the fact.)
# Why it matters for a budget: a reservation of prompt + n * max_tokens, which is right for the API, is too small by
#   n - 1 prompts. With a long context nearly the whole bill is outside it.
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

asked, billed = [], []


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        count = body.get("n") or 1
        usage = {"prompt_tokens": 1000, "completion_tokens": 50 * count, "total_tokens": 1000 + 50 * count}
        asked.append(body.get("n"))
        billed.append(usage["total_tokens"])
        message = {"role": "assistant", "content": "four"}
        choices = [{"index": index, "message": message, "finish_reason": "stop"} for index in range(count)]
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
for model in ("openai/gpt-4o-mini", "openai/other"):
    asked.clear()
    billed.clear()
    answers = dspy.LM(model, api_base=base, api_key="k", cache=False)("question", n=3)
    print(f"{model}: {len(answers)} answers, n of each request {asked}, billed {sum(billed)}")
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True DSPY_CACHEDIR="$dir/cache" "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='openai/gpt-4o-mini: 3 answers, n of each request [None, None, None], billed 3150
openai/other: 3 answers, n of each request [None, None, None], billed 3150'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 3150 billed where one request with n=3 is 1150"
