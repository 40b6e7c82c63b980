#!/usr/bin/env bash
# genai-prices prices an Anthropic answer without the compaction that was billed in the same request.
# Packages: genai-prices==0.2.3, langchain-anthropic==1.7.10, litellm==1.110.2
# Expected: when the server shortens a long conversation during a request, usage.iterations lists that step beside the
#   answer, and the two top-level numbers hold only the answer. Anthropic bills the sum of the iterations, so a library
#   that extracts usage reads them, as litellm does.
# Happens: extract_usage takes the top-level numbers: 0.0075 dollars where litellm says 0.8325, 111 times as much.
#   langchain-anthropic reports the same 1,100 of 154,100 tokens.
# Why it matters for a budget: compaction starts on the longest conversations, so the dearest requests of an agent
#   are the ones that count least.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    'genai-prices==0.2.3' 'langchain-anthropic==1.7.10' 'litellm==1.110.2'

cat >"$dir/run.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from genai_prices import extract_usage
from langchain_anthropic import ChatAnthropic

MODEL = "claude-opus-4-7"
FINAL = {"input_tokens": 1000, "output_tokens": 100, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
SUMMARY = FINAL | {"type": "compaction", "input_tokens": 150_000, "output_tokens": 3000}
USAGE = FINAL | {"iterations": [SUMMARY, FINAL | {"type": "message"}]}
TEXT = {"type": "text", "text": "hi"}
ANSWER = {"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": [TEXT], "usage": USAGE}
ANSWER |= {"stop_reason": "end_turn", "stop_sequence": None}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        data = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

billed = [sum(step[name] for step in USAGE["iterations"]) for name in ("input_tokens", "output_tokens")]
print("iterations: input {}, output {}".format(*billed))
extracted = extract_usage(ANSWER, provider_id="anthropic")
tokens = extracted.usage
print(f"genai-prices: input {tokens.input_tokens}, output {tokens.output_tokens}", extracted.calc_price().total_price)
used = ChatAnthropic(model=MODEL, api_key="k", base_url=url).invoke("x").usage_metadata
print(f"langchain-anthropic: input {used['input_tokens']}, output {used['output_tokens']}")
litellm.suppress_debug_info = True
asked = {"model": f"anthropic/{MODEL}", "api_base": url, "api_key": "k"}
answer = litellm.completion(messages=[{"role": "user", "content": "x"}], **asked)
cost = litellm.completion_cost(answer)
print(f"litellm: input {answer.usage.prompt_tokens}, output {answer.usage.completion_tokens} {cost:.4f}")
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='iterations: input 151000, output 3100
genai-prices: input 1000, output 100 0.0075
langchain-anthropic: input 1000, output 100
litellm: input 151000, output 3100 0.8325'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 0.8325 dollars billed, 0.0075 priced"
