"""What stands before a gateway: it gives each session a key of its own, and cured it holds room for each request.

    python front.py racy|cured PORT http://127.0.0.1:4001/v1 COMMAND ...

starts the gateway, which listens at the address, and itself at the port. With MASTER_KEY, keys are made by the
gateway's admin interface. A call that fails keeps its hold: whether the provider has billed it is not known here.
"""

import http.client
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict

from capsound_reference import Budget, BudgetRefused

CAP = 100_000_000  # nano-dollars
INPUT, OUTPUT = 2_500, 10_000
CURED, PORT, UPSTREAM, COMMAND = sys.argv[1] == "cured", int(sys.argv[2]), sys.argv[3].rstrip("/"), sys.argv[4:]


def sent(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send a request; return the status and the body of its answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, http.client.HTTPException):
        return 502, b'{"error": {"message": "no answer"}}'


lock = threading.Lock()
budgets: defaultdict[str, Budget] = defaultdict(lambda: Budget(CAP))
keys: dict[str, str] = {}


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        whose = self.headers["x-litellm-session-id"]
        headers = {
            "Content-Type": "application/json",
            "Authorization": self.key(whose),
            "x-litellm-session-id": whose,
        }
        url = UPSTREAM + self.path.removeprefix("/v1")
        try:
            status, answer = self.held(whose, url, body, headers) if CURED else sent(url, body, headers)
        except BudgetRefused as refused:
            status, answer = 402, json.dumps({"error": {"message": str(refused)}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def key(self, whose: str) -> str:
        master = os.environ.get("MASTER_KEY")
        if master is None:
            return self.headers["Authorization"]
        with lock:
            if whose not in keys:
                headers = {"Authorization": f"Bearer {master}", "Content-Type": "application/json"}
                url = UPSTREAM.removesuffix("/v1") + "/admin/keys"
                made = sent(url, json.dumps({"name": whose}).encode(), headers)[1]
                keys[whose] = "Bearer " + json.loads(made)["key"]
        return keys[whose]

    def held(self, whose: str, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        most = len(body) * INPUT + json.loads(body)["max_tokens"] * OUTPUT
        with lock:
            budget = budgets[whose]
        with budget.call(most) as hold:
            hold.sent()
            status, answer = sent(url, body, headers)
            usage = json.loads(answer).get("usage") if status == 200 else None
            if usage and usage["completion_tokens"]:  # a gateway may write 0 where nothing was told
                hold.settle(usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT)
        return status, answer

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    gateway = subprocess.Popen(COMMAND)
    while gateway.poll() is None and sent(UPSTREAM + "/models", b"", {})[0] == 502:
        pass
    Server(("127.0.0.1", PORT), Front).serve_forever()
