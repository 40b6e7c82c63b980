#!/usr/bin/env bash
# The tool runner of the Anthropic SDK sends only the newest turn; the server has the rest, and the model reads it.
# Package: anthropic==2.14.0
# Expected: the Messages API is stateless, so each request of a tool loop carries the whole conversation and the tools,
#   and whoever reads the body can bound its input.
# Happens: the runner opens a thread on the server. From the second request on, the body holds one tool result and a
#   reference to the reply before it: no tools, no history. With thread=False every body is complete.
# Why it matters for a budget: gateways and guards that estimate a call from its body, by characters or with a
#   tokenizer, hold the size of the last tool result. The input grows with each turn, the hold does not.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'anthropic==2.14.0'

cat >"$dir/run.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic

requests = []
threads = {}  # id of a reply -> the text that the provider has read up to it


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        sent = json.dumps([body["messages"], body.get("tools", [])])
        before = threads.get(body.get("thread", {}).get("previous_message_id"), "")
        number = len(requests) + 1
        requests.append((len(body["messages"]), "tools" in body, len(sent) // 4, len(before + sent) // 4))
        use = {"type": "tool_use", "id": f"t{number}", "name": "read_page", "input": {"page": number}}
        content = [use] if number < 4 else [{"type": "text", "text": "done"}]
        threads[f"m{number}"] = before + sent + json.dumps(content)
        answer = {"id": f"m{number}", "type": "message", "role": "assistant", "model": "m", "content": content}
        answer |= {"stop_reason": "tool_use" if number < 4 else "end_turn", "stop_sequence": None}
        answer |= {"usage": {"input_tokens": requests[-1][3], "output_tokens": 20}}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = anthropic.Anthropic(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}")


@anthropic.beta_tool
def read_page(page: int) -> str:
    """Return the text of one page."""
    return f"{page} " * 2000


for options in ({}, {"thread": False}):
    requests.clear()
    threads.clear()
    question = [{"role": "user", "content": "Summarise the report."}]
    runner = client.beta.messages.tool_runner(
        model="m", max_tokens=500, tools=[read_page], messages=question, **options
    )
    runner.until_done()
    print("thread=False" if options else "by default")
    for messages, tools, held, read in requests:
        print(f"  messages {messages}, tools {tools}: about {held} tokens by the body, {read} by the thread")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='by default
  messages 1, tools True: about 69 tokens by the body, 69 by the thread
  messages 1, tools False: about 1024 tokens by the body, 1113 by the thread
  messages 1, tools False: about 1024 tokens by the body, 2157 by the thread
  messages 1, tools False: about 1024 tokens by the body, 3201 by the thread
thread=False
  messages 1, tools True: about 69 tokens by the body, 69 by the thread
  messages 3, tools True: about 1121 tokens by the body, 1121 by the thread
  messages 5, tools True: about 2172 tokens by the body, 2172 by the thread
  messages 7, tools True: about 3223 tokens by the body, 3223 by the thread'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: the body of the last request shows a third of its input"
