#!/usr/bin/env bash
# One LlamaIndex chat call that meets server errors sends 12 requests under max_retries=3.
# Packages: llama-index-llms-openai-like==0.8.1, llama-index-core==0.14.25, openai==2.54.0
# Expected: max_retries=3, the default, means at most 4 requests.
# Happens: the number is used twice. LlamaIndex makes 3 attempts in all, and hands 3 to the OpenAI client, which sends
#   4 requests in each attempt: 3 x 4 = 12. With max_retries=5 it is 30.
# Why it matters for a budget: a provider that bills failed requests (a time-out after generation, a 500 from a
#   gateway) bills 12 calls where one was reserved; the retries grow with the square of the setting.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    'llama-index-llms-openai-like==0.8.1' 'llama-index-core==0.14.25' 'openai==2.54.0'

cat >"$dir/run.py" <<'PY'
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

logging.disable(logging.CRITICAL)
arrived = []


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        arrived.append(self.path)
        self.send_response(500)
        self.send_header("content-length", "0")
        self.send_header("retry-after-ms", "10")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}/v1"
for options in ({}, {"max_retries": 1}, {"max_retries": 5}):
    arrived.clear()
    llm = OpenAILike(model="m", api_base=base, api_key="k", is_chat_model=True, **options)
    try:
        llm.chat([ChatMessage(role="user", content="x")])
    except Exception as error:
        print(f"{options or 'default'}: {type(error).__name__} after {len(arrived)} requests")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected="default: InternalServerError after 12 requests
{'max_retries': 1}: InternalServerError after 2 requests
{'max_retries': 5}: InternalServerError after 30 requests"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: one call, 12 requests"
