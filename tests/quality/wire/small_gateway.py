"""A gateway with a budget of 600 tokens for each session, in one file: ``small_gateway.py PORT racy|cured``.

``racy`` looks at what a session has spent, forwards the call, and counts the answer; ``cured`` holds the most that the
call permits, and keeps the hold of a call that failed or whose client left.
"""

import http.server
import json
import os
import sys
import threading
import typing
import urllib.error
import urllib.request

CAP = 600
PROVIDER = os.environ["OPENAI_BASE_URL"] + "/chat/completions"


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    taken: typing.ClassVar = {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        session = self.headers.get("X-Session", "")
        asked = json.loads(body)
        most = asked["max_tokens"] + len(asked["messages"][-1]["content"])
        hold = most if self.way == "cured" else 0
        with self.lock:
            if self.taken.get(session, 0) + most > CAP:
                return self.reply(402, b'{"error": {"message": "the budget is used up"}}')
            self.taken[session] = self.taken.get(session, 0) + hold
        status, answer, used = self.forward(body)
        if used is not None:
            with self.lock:
                self.taken[session] += used - hold
        return self.reply(status, answer)

    def forward(self, body):
        call = urllib.request.Request(PROVIDER, data=body, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(call) as got:
                answer = got.read()
            return 200, answer, json.loads(answer)["usage"]["total_tokens"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), None
        except (OSError, KeyError, ValueError):
            return 502, b'{"error": {"message": "no answer"}}', None

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Gateway.way = sys.argv[2]
    Server(("127.0.0.1", int(sys.argv[1])), Gateway).serve_forever()
