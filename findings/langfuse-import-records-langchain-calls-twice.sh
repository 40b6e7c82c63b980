#!/usr/bin/env bash
# Importing langfuse.openai anywhere makes Langfuse record each LangChain call twice, each time with its tokens.
# Packages: langfuse==5.0.4, langchain==1.5.2, langchain-openai==1.7.4, openai==3.57.0
# Expected: `from langfuse.openai import OpenAI` gives an instrumented client to the module that imports it. A LangChain
#   call with Langfuse's callback handler is one generation with one usage.
# Happens: the import patches the openai package for the whole process. A LangChain call is then two generations
#   with 1,500 tokens each, for one request. Without the import it is one.
# Why it matters for a budget: costs are summed over generations, so the spend of every chain doubles when some other
#   module, or a dependency, imports the drop-in client.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    'langfuse==5.0.4' 'langchain==1.5.2' 'langchain-openai==1.7.4' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import importlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from langchain_openai import ChatOpenAI
from langfuse import Langfuse
from langfuse.langchain import CallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

requests = []
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
BODY = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [CHOICE], "usage": USAGE}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        known = self.path.endswith("/chat/completions")  # else: the export of the spans
        data = json.dumps(BODY if known else {}).encode()
        requests.extend([self.path] if known else [])
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
spans = InMemorySpanExporter()
tracer_provider = TracerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
Langfuse(public_key="k", secret_key="k", base_url=url, tracer_provider=tracer_provider)


def call(name):
    requests.clear()
    spans.clear()
    model = ChatOpenAI(model="gpt-4o", api_key="k", base_url=f"{url}/v1")
    model.invoke("x", config={"callbacks": [CallbackHandler()]})
    usages = [span.attributes.get("langfuse.observation.usage_details") for span in spans.get_finished_spans()]
    found = [json.loads(usage) for usage in usages if usage]
    total = sum(usage.get("total", usage.get("total_tokens", 0)) for usage in found)
    print(f"{name}: requests {len(requests)}, generations {len(found)}, tokens {total}")


call("callback handler")
importlib.import_module("langfuse.openai")
call("after import langfuse.openai")
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='callback handler: requests 1, generations 1, tokens 1500
after import langfuse.openai: requests 1, generations 2, tokens 3000'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 1,500 tokens billed, 3,000 recorded"
