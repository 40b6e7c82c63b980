#!/usr/bin/env bash
# Semantic Kernel's maximum_auto_invoke_attempts=1 sends two requests, or one if they are streamed.
# Packages: semantic-kernel==1.45.0, openai==3.57.0
# Expected: one limit is one number of requests, streamed or not. The stream ends, like the plain call, with a request
#   without tools whose answer is text.
# Happens: N rounds are N + 1 requests plain and N streamed. The stream runs the tool, never sends its result and ends
#   without text. The message of an agent that made four requests carries the usage of the last one.
# Why it matters for a budget: a hold for streams is one call short for plain ones, and the streamed run pays for a
#   tool call whose result no model reads. Usage read from the answer is a quarter of the bill.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'semantic-kernel==1.45.0' 'openai==3.57.0'

cat >"$dir/run.py" <<'PY'
import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
from semantic_kernel import Kernel
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function

requests = []
looked = []
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
USE = {"index": 0, "type": "function", "function": {"name": "web-look", "arguments": "{}"}}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        requests.append(body)
        last = len(requests) == 4 or "tools" not in body
        message = {"role": "assistant", "content": "done"} if last else {"role": "assistant", "content": None}
        if not last:
            message["tool_calls"] = [USE | {"id": f"t{len(requests)}"}]
        end = "stop" if last else "tool_calls"
        answer = {"id": "c", "created": 1, "model": "gpt-4o", "usage": USAGE}
        if body.get("stream"):
            choice = {"index": 0, "delta": message, "finish_reason": end}
            answer |= {"object": "chat.completion.chunk", "choices": [choice]}
            data, kind = f"data: {json.dumps(answer)}\n\ndata: [DONE]\n\n", "text/event-stream"
        else:
            choice = {"index": 0, "message": message, "finish_reason": end}
            data = json.dumps(answer | {"object": "chat.completion", "choices": [choice]})
            kind = "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())


class Web:
    @kernel_function(name="look", description="Look something up.")
    def look(self) -> str:
        looked.append(1)
        return "found"


def report(name, text):
    print(f"{name}: requests {len(requests)}, tools run {len(looked)}, text {text!r}")
    requests.clear()
    looked.clear()


async def main(url):
    service = OpenAIChatCompletion("gpt-4o", async_client=openai.AsyncOpenAI(api_key="k", base_url=url))
    kernel = Kernel(services=[service])
    kernel.add_plugin(Web(), "web")
    for limit in (1, 2):
        behavior = FunctionChoiceBehavior.Auto(maximum_auto_invoke_attempts=limit)
        settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=behavior)
        history = ChatHistory()
        history.add_user_message("x")
        answers = await service.get_chat_message_contents(history, settings, kernel=kernel)
        report(f"limit {limit}, plain", answers[0].content)
        history = ChatHistory()
        history.add_user_message("x")
        text = ""
        async for chunks in service.get_streaming_chat_message_contents(history, settings, kernel=kernel):
            text += "".join(chunk.content for chunk in chunks)
        report(f"limit {limit}, streamed", text)
    answer = await ChatCompletionAgent(kernel=kernel, name="agent").get_response("x")
    usage = answer.message.metadata["usage"]
    print(f"agent: billed {150 * len(requests)}, usage {usage.prompt_tokens + usage.completion_tokens}")


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
asyncio.run(main(f"http://127.0.0.1:{server.server_port}/v1"))
PY
seen=$("$dir/venv/bin/python" "$dir/run.py" 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected="limit 1, plain: requests 2, tools run 1, text 'done'
limit 1, streamed: requests 1, tools run 1, text ''
limit 2, plain: requests 3, tools run 2, text 'done'
limit 2, streamed: requests 2, tools run 2, text ''
agent: billed 600, usage 150"
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: the same limit is two requests or one"
