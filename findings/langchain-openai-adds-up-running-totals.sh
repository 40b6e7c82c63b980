#!/usr/bin/env bash
# langchain-openai and pydantic-ai add up the usage of every stream chunk, also where it is a running total.
# Packages: langchain-openai==1.7.4, langchain-core==1.8.3, pydantic-ai-slim[openai]==2.68.0, litellm==1.110.2
# Expected: some servers with the OpenAI API put the usage so far on each chunk (continuous_usage_stats in vLLM). The
#   last chunk has the bill, and a client takes the last one, as litellm does.
# Happens: both count the prompt again for each chunk: 800 and 250 for a call of 100 and 50. pydantic-ai takes the last
#   one if openai_continuous_usage_stats is set; langchain-openai has no such setting.
# Why it matters for a budget: the overcount grows with the length of the answer, because every chunk adds the prompt.
#   An answer of 1,000 chunks seems to cost its prompt 1,000 times, and a limit stops the agent on its first call.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check \
    'langchain-openai==1.7.4' 'langchain-core==1.8.3' 'pydantic-ai-slim[openai]==2.68.0' 'litellm==1.110.2'

cat >"$dir/run.py" <<'PY'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import litellm
from langchain_openai import ChatOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


def chunk(choices, output):
    usage = {"prompt_tokens": 100, "completion_tokens": output, "total_tokens": 100 + output}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": choices, "usage": usage}


def part(delta, end=None):
    return [{"index": 0, "delta": delta, "finish_reason": end}]


CHUNKS = [chunk(part({"role": "assistant", "content": ""}), 0)]
CHUNKS += [chunk(part({"content": "word "}), output) for output in (10, 20, 30, 40, 50)]
CHUNKS += [chunk(part({}, "stop"), 50), chunk([], 50)]


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        data = "".join(f"data: {json.dumps(one)}\n\n" for one in CHUNKS) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"

usage = ChatOpenAI(model="m", api_key="k", base_url=url, streaming=True).invoke("x").usage_metadata
print(f"langchain-openai: input {usage['input_tokens']}, output {usage['output_tokens']}")


async def run_agent(settings):
    model = OpenAIChatModel("m", provider=OpenAIProvider(api_key="k", base_url=url), settings=settings)
    async with Agent(model).run_stream("x") as run:
        await run.get_output()
        return run.usage


for settings in (None, {"openai_continuous_usage_stats": True}):
    usage = asyncio.run(run_agent(settings))
    print(f"pydantic-ai, settings {settings}: input {usage.input_tokens}, output {usage.output_tokens}")

litellm.suppress_debug_info = True
asked = {"model": "openai/m", "api_base": url, "api_key": "k", "messages": [{"role": "user", "content": "x"}]}
usage = litellm.stream_chunk_builder(list(litellm.completion(stream=True, **asked))).usage
print(f"litellm: input {usage.prompt_tokens}, output {usage.completion_tokens}")
PY
seen=$(LITELLM_LOCAL_MODEL_COST_MAP=True "$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected="langchain-openai: input 800, output 250
pydantic-ai, settings None: input 800, output 250
pydantic-ai, settings {'openai_continuous_usage_stats': True}: input 100, output 50
litellm: input 100, output 50"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 150 tokens billed, 1,050 counted"
