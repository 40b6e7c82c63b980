#!/usr/bin/env bash
# shekel counts no call of the OpenAI Responses API, neither in dollars nor against max_llm_calls.
# Packages: shekel==1.2.0, openai==3.57.0
# Expected: its page promises to see every call that goes through the OpenAI SDK, so a budget of two calls refuses the
#   third, through responses.create and chat.completions.parse as through chat.completions.create.
# Happens: only chat.completions.create is patched. Under max_llm_calls=2 four Responses calls and four parse calls
#   pass, with 0.0 spent and no warning.
# Why it matters for a budget: Responses is the default of the Agents SDK and of newer frameworks. The budget is not
#   late there, it is absent, and it says that nothing was spent.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'shekel==1.2.0' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import json
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
from pydantic import BaseModel
from shekel import BudgetExceededError, budget

billed = []
TEXT = '{"number": 4}'
PART = {"type": "output_text", "text": TEXT, "annotations": []}
OUTPUT = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [PART]}
COMMON = {"id": "c", "created": 1, "created_at": 1, "model": "gpt-4o", "status": "completed", "tools": []}
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "input_tokens": 100, "output_tokens": 50, "total_tokens": 150}


class Answer(BaseModel):
    number: int


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        billed.append(150)
        choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
        kind = "response" if self.path.endswith("/responses") else "chat.completion"
        data = json.dumps(COMMON | {"object": kind, "output": [OUTPUT], "choices": [choice], "usage": USAGE}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1")
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
calls = {
    "chat.create": lambda: client.chat.completions.create(**asked),
    "chat.parse": lambda: client.chat.completions.parse(response_format=Answer, **asked),
    "responses.create": lambda: client.responses.create(model="gpt-4o", input="x"),
}
for name, call in calls.items():
    billed.clear()
    stopped = False
    with warnings.catch_warnings(record=True) as warned:
        try:
            with budget(max_usd=5, max_llm_calls=2) as spending:
                for _ in range(4):
                    call()
        except BudgetExceededError:
            stopped = True
    print(f"{name}: billed {sum(billed)}, spent {spending.spent:.5f}, stopped {stopped}, warnings {len(warned)}")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='chat.create: billed 450, spent 0.00225, stopped True, warnings 0
chat.parse: billed 600, spent 0.00000, stopped False, warnings 0
responses.create: billed 600, spent 0.00000, stopped False, warnings 0'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 600 tokens billed, 0.0 spent"
