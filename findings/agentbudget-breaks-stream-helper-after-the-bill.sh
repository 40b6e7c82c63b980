#!/usr/bin/env bash
# Under agentbudget, OpenAI's stream helper sends its request, is billed, and raises; nothing is recorded.
# Packages: agentbudget==0.4.0, openai==3.57.0
# Expected: init() needs no change of the program, so chat.completions.stream() works as without it and is recorded; a
#   stream closed after its first chunk is recorded too, as the changelog of 0.4.0 says.
# Happens: the helper raises AttributeError once the provider has begun to answer. The closed stream records 0, because
#   the usage comes with the last chunk. The same stream read to its end is recorded in full.
# Why it matters for a budget: a retry around the helper pays for each attempt, while the session's spend stays 0 and
#   the hard limit is never reached.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'agentbudget==0.4.0' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import agentbudget
import openai

billed = []
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        billed.append(150)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
        words = [{"index": 0, "delta": {"role": "assistant", "content": "word "}, "finish_reason": None}]
        end = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
        for extra in [{"choices": words}] * 5 + [{"choices": end}, {"choices": [], "usage": USAGE}]:
            self.wfile.write(b"data: " + json.dumps(base | extra).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
base_url = f"http://127.0.0.1:{server.server_port}/v1"
asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}


def read(client):
    for _ in client.chat.completions.create(stream=True, **asked):
        pass


def close_early(client):
    stream = client.chat.completions.create(stream=True, **asked)
    next(iter(stream))
    stream.close()


def helper(client):
    with client.chat.completions.stream(**asked) as stream:
        stream.until_done()


for name, call in (("read to the end", read), ("closed after a chunk", close_early), ("helper", helper)):
    billed.clear()
    agentbudget.init("$5.00")
    try:
        call(openai.OpenAI(api_key="k", base_url=base_url))
        end = "returns"
    except AttributeError:
        end = "AttributeError"
    print(f"{name}: {end}, billed {sum(billed)} tokens, recorded {agentbudget.spent():.5f}")
    agentbudget.teardown()
helper(openai.OpenAI(api_key="k", base_url=base_url))
print("helper without agentbudget: returns")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='read to the end: returns, billed 150 tokens, recorded 0.00075
closed after a chunk: returns, billed 150 tokens, recorded 0.00000
helper: AttributeError, billed 150 tokens, recorded 0.00000
helper without agentbudget: returns'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: the helper is billed, raises, and 0 is recorded"
