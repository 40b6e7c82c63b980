#!/usr/bin/env bash
# Haystack copies the usage of one request into each of its n replies.
# Packages: haystack-ai==3.4.1, openai==3.57.0
# Expected: with n=3 one reply carries the usage of the request, or each carries its share, so that the sum over the
#   replies, as one sums over an agent's messages, is the bill.
# Happens: all three replies carry the whole usage: 3 x 150 for a bill of 150.
# Why it matters for a budget: there is no other place for the number in the component's output. Whoever debits by
#   message debits n bills for one, and refuses work that was paid for.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'haystack-ai==3.4.1' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.update(HAYSTACK_TELEMETRY_ENABLED="False", OPENAI_API_KEY="k")
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage

billed = []


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        count = json.loads(self.rfile.read(int(self.headers["content-length"]))).get("n") or 1
        usage = {"prompt_tokens": 90, "completion_tokens": 20 * count, "total_tokens": 90 + 20 * count}
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
generator = OpenAIChatGenerator(api_base_url=f"http://127.0.0.1:{server.server_port}/v1", generation_kwargs={"n": 3})
output = generator.run([ChatMessage.from_user("x")])
print("output:", sorted(output), "requests:", len(billed), "billed:", sum(billed))
print("usage of the replies:", [reply.meta["usage"]["total_tokens"] for reply in output["replies"]])
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected="output: ['replies'] requests: 1 billed: 150
usage of the replies: [150, 150, 150]"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 450 reported, 150 billed"
