#!/usr/bin/env bash
# When max tokens cuts a structured answer, four of six OpenAI helpers raise an error that does not say what it cost.
# Packages: openai==3.57.0 (PyPI), openai==7.59.0 and zod==4.6.7 (npm)
# Expected: a cut answer is billed in full, so each helper returns it, or raises LengthFinishReasonError with the
#   completion and its usage, alike in both languages and for both APIs.
# Happens: only two of six do. In Python chat.completions.parse raises with the usage, the stream helper raises before
#   it reads the usage chunk, and responses.parse raises pydantic's ValidationError with no response at all. In
#   JavaScript responses.parse returns the answer with its usage; both chat helpers raise an error without a completion.
# Why it matters for a budget: a cut answer is the most expensive one, because all of max tokens was spent. A guard that
#   books usage from results books 0 for it, and a retry of "bad JSON" buys the same again.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'openai==3.57.0'
npm install --silent --no-audit --no-fund --prefix "$dir" 'openai@7.59.0' 'zod@4.6.7' >/dev/null

cat >"$dir/run.py" <<'PY'
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
from pydantic import BaseModel

COMMON = {"id": "c", "created": 1, "created_at": 1, "model": "m", "tools": []}
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "input_tokens": 100, "output_tokens": 50, "total_tokens": 150}
PART = {"type": "output_text", "text": '{"number": ', "annotations": []}
OUTPUT = {"type": "message", "id": "m", "role": "assistant", "status": "incomplete", "content": [PART]}
CUT = {"role": "assistant", "content": PART["text"]}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = "application/json"
        if self.path.endswith("/responses"):
            reason = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
            data = json.dumps(COMMON | reason | {"object": "response", "output": [OUTPUT], "usage": USAGE})
        elif body.get("stream"):
            kind = "text/event-stream"
            last = {"index": 0, "delta": {}, "finish_reason": "length"}
            choices = [[{"index": 0, "delta": CUT, "finish_reason": None}], [last], []]
            chunks = [COMMON | {"object": "chat.completion.chunk", "choices": choice} for choice in choices]
            chunks[-1]["usage"] = USAGE
            data = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        else:
            choice = {"index": 0, "message": CUT, "finish_reason": "length"}
            data = json.dumps(COMMON | {"object": "chat.completion", "choices": [choice], "usage": USAGE})
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())


class Answer(BaseModel):
    number: int


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
client = openai.OpenAI(api_key="k", base_url=url)
asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": Answer}


def stream():
    with client.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


for name, call in {
    "chat.completions.parse": lambda: client.chat.completions.parse(**asked),
    "chat.completions.stream": stream,
    "responses.parse": lambda: client.responses.parse(model="m", input="x", text_format=Answer),
}.items():
    try:
        how, usage = "returns", call().usage
    except Exception as error:
        how, usage = f"raises {type(error).__name__}", getattr(getattr(error, "completion", None), "usage", None)
    print(f"Python {name}: {how}, {usage.total_tokens if usage else 'no'} tokens", flush=True)
subprocess.run(["node", "run.mjs"], env={**os.environ, "PROVIDER": url}, check=True)
PY
cat >"$dir/run.mjs" <<'JS'
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ apiKey: "k", baseURL: process.env.PROVIDER });
const shape = z.object({ number: z.number() });
const asked = {
  model: "m", messages: [{ role: "user", content: "x" }], response_format: zodResponseFormat(shape, "answer"),
};
const calls = {
  "chat.completions.parse": () => client.chat.completions.parse(asked),
  "chat.completions.stream": () =>
    client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion(),
  "responses.parse": () =>
    client.responses.parse({ model: "m", input: "x", text: { format: zodTextFormat(shape, "answer") } }),
};
for (const [name, call] of Object.entries(calls)) {
  let how = "returns", usage;
  try {
    usage = (await call()).usage;
  } catch (error) {
    how = `raises ${error.constructor.name}`;
    usage = error.completion?.usage;
  }
  console.log(`JavaScript ${name}: ${how}, ${usage?.total_tokens ?? "no"} tokens`);
}
JS
seen=$(cd "$dir" && venv/bin/python run.py 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='Python chat.completions.parse: raises LengthFinishReasonError, 150 tokens
Python chat.completions.stream: raises LengthFinishReasonError, no tokens
Python responses.parse: raises ValidationError, no tokens
JavaScript chat.completions.parse: raises LengthFinishReasonError, no tokens
JavaScript chat.completions.stream: raises LengthFinishReasonError, no tokens
JavaScript responses.parse: returns, 150 tokens'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 150 tokens billed each time, told in two of six ways"
