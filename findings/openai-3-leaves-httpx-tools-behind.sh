#!/usr/bin/env bash
# Mocks and tracing of httpx do not see the requests of today's OpenAI and Anthropic clients: those use httpx2.
# Packages: openai==3.57.0, anthropic==2.14.0, httpx==0.28.1, respx==0.23.1, pytest-httpx==0.36.2,
#   opentelemetry-instrumentation-httpx==0.66b2; beside them, as it should work: vcrpy==9.4.2
# Expected: under respx or pytest-httpx no request leaves the process, matched or not; the instrumentation writes one span
#   for each request that the client sends, repeated ones included.
# Happens: both mocks are active and see nothing, the request reaches the provider and is answered by it. Three requests
#   for one call leave no span, while a plain httpx client beside it has its own. Nothing warns. vcrpy holds them back.
# Why it matters for a budget: after an upgrade a mocked test suite buys its answers, and who counts requests by their
#   HTTP spans, because that is where retries show, counts none.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0' 'httpx==0.28.1' \
  'respx==0.23.1' 'pytest-httpx==0.36.2' 'vcrpy==9.4.2' 'opentelemetry-instrumentation-httpx==0.66b2' \
  'opentelemetry-sdk==1.45.2'

cat >"$dir/test_clients.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import httpx
import openai
import pytest
import respx
import vcr
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ASKED = [{"role": "user", "content": "hello"}]
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
}
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "text", "text": "hello"}], "usage": {"input_tokens": 100, "output_tokens": 50},
}


class Provider(BaseHTTPRequestHandler):
    requests = 0
    failures = 0

    def log_message(self, *args):
        pass

    def do_POST(self):
        Provider.requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        failing = Provider.failures > 0
        Provider.failures -= failing
        body = json.dumps(MESSAGE if "messages" in self.path else CHAT).encode()
        self.send_response(500 if failing else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=SERVER.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{SERVER.server_port}"


def by_openai():
    openai.OpenAI(api_key="k", base_url=f"{URL}/v1").chat.completions.create(model="m", messages=ASKED)


def by_anthropic():
    anthropic.Anthropic(api_key="k", base_url=URL).messages.create(model="m", max_tokens=50, messages=ASKED)


CLIENTS = pytest.mark.parametrize("call", [by_openai, by_anthropic])


def sent(call):
    before = Provider.requests
    call()
    return Provider.requests - before


@CLIENTS
def test_respx_is_active_and_the_request_is_sent(call):
    with respx.mock(assert_all_called=False) as mocked:
        assert sent(call) == 1
        assert not mocked.calls
        with pytest.raises(respx.models.AllMockedAssertionError):
            httpx.post(URL, json={})


@CLIENTS
def test_pytest_httpx_is_active_and_the_request_is_sent(call, httpx_mock):
    assert sent(call) == 1
    assert not httpx_mock.get_requests()


@CLIENTS
def test_vcr_holds_the_request_back(call, tmp_path):
    before = Provider.requests
    with vcr.use_cassette(str(tmp_path / "none.yaml"), record_mode="none"), pytest.raises(Exception):
        call()
    assert Provider.requests == before


@CLIENTS
def test_three_requests_leave_no_span(call):
    spans, tracing = InMemorySpanExporter(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    HTTPXClientInstrumentor().instrument(tracer_provider=tracing)
    try:
        Provider.failures = 2
        assert sent(call) == 3
        assert not [span for span in spans.get_finished_spans() if span.attributes.get("http.request.method") == "POST"
                    or span.attributes.get("http.method") == "POST"]
        httpx.Client().post(URL, json={})
        assert len(spans.get_finished_spans()) == 1
    finally:
        HTTPXClientInstrumentor().uninstrument()
PY

cd "$dir"
if "$dir/venv/bin/python" -m pytest -q -p no:cacheprovider -W ignore test_clients.py; then
  echo 'as described: 8 of 8'
else
  echo 'changed'
  exit 1
fi
