"""An application to start from: racy by its first word, cured by its second, and nothing to install."""

from __future__ import annotations


def app_template() -> str:
    """Return a small application in one file: three agents share a cap, by check and count or by reserve and settle."""
    return _TEMPLATE


_TEMPLATE = '''"""Three agents share a cap of 600 tokens. Which way of counting keeps it?

    capsound wire --cap 600tokens -- python my_app.py racy      look at the counter, call, count
    capsound wire --cap 600tokens -- python my_app.py cured     reserve, call, settle

Nothing has to be installed, and no provider is called: capsound answers. Replace `ask` by the client that you use.
"""

import json
import os
import sys
import threading
import urllib.request

CAP = 600
LIMIT = 250  # max_tokens: the most that an answer may cost


def ask(question):
    """Ask the model; return how many tokens the answer says that it used, or None where it does not say."""
    request = {"model": "any", "max_tokens": LIMIT, "messages": [{"role": "user", "content": question}]}
    call = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        data=json.dumps(request).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
    )
    with urllib.request.urlopen(call) as answer:
        usage = json.load(answer).get("usage")
    return usage["total_tokens"] if usage else None


class Racy:
    """Looks at the counter, calls, and counts what the answer says: all three look before any of them has counted."""

    def __init__(self):
        self.spent = 0

    def run(self, question):
        if self.spent + LIMIT + len(question) > CAP:
            return "no room"
        self.spent += ask(question) or 0
        return "done"


class Cured:
    """Reserves the most that a call can cost, in one step with the look; gives back only what the answer proves."""

    def __init__(self):
        self.taken = 0
        self.lock = threading.Lock()

    def run(self, question):
        most = LIMIT + len(question)
        with self.lock:
            if self.taken + most > CAP:
                return "no room"
            self.taken += most
        used = ask(question)  # where this fails, the hold stays: the provider may have billed the call
        if used is not None:
            with self.lock:
                self.taken += used - most
        return "done"


def main(way):
    budget = {"racy": Racy, "cured": Cured}[way]()
    questions = ["Where shall we go?", "How do we get there?", "What does it cost?"]

    def agent(question):
        try:
            print(question, budget.run(question), flush=True)
        except Exception as error:
            print(question, "failed:", type(error).__name__, flush=True)

    agents = [threading.Thread(target=agent, args=(question,)) for question in questions]
    for one in agents:
        one.start()
    for one in agents:
        one.join()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "racy")
'''
