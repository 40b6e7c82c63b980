"""A harness that stands for a gateway, with the habits of real ones, each by an option; standard library only.

--delay S        every reply of the provider takes S seconds on its way through
--late S         what a call cost is booked S seconds after its answer (--rest offers `rest`, which waits for it)
--no-observe     it offers no balances, and gives up when it is asked for them
--singly         it tells each balance by itself, and does not know `observe`
--retry KIND     a failed request is sent once more: `own` under a hold of its own, `same` under the first one
--zero           a cap of 0 is no cap (--claim-zero says so)
--racy           admits on what is booked, without holds
--forgets        never books what a call cost
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any


class Gateway:
    """The budgets of one run, and the calls under way."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.cap: dict[str, int] = {}
        self.spent: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.calls: dict[str, dict[str, Any]] = {}
        self.due: list[tuple[float, str, int, int]] = []

    def book(self) -> None:
        """Book what is due."""
        for entry in [e for e in self.due if e[0] <= time.monotonic()]:
            self.due.remove(entry)
            self._move(*entry[1:])

    def rest(self) -> None:
        """Book everything, when it is due."""
        for _, scope, held, cost in sorted(self.due):
            self._move(scope, held, cost)
        self.due = []

    def _move(self, scope: str, held: int, cost: int) -> None:
        self.held[scope] -= held
        self.spent[scope] += 0 if self.options.forgets else cost

    def later(self, scope: str, held: int, cost: int) -> None:
        """Book a cost, now or later."""
        if self.options.late:
            self.due.append((time.monotonic() + self.options.late, scope, held, cost))
        else:
            self._move(scope, held, cost)

    def admit(self, scope: str, amount: int) -> bool:
        """Take a hold, if there is room."""
        unlimited = self.options.zero and self.cap[scope] == 0
        held = 0 if self.options.racy else self.held[scope]
        if not unlimited and self.spent[scope] + held + amount > self.cap[scope]:
            return False
        self.held[scope] += amount
        return True

    def begin(self, call: str, scope: str, estimate: int) -> dict[str, Any]:
        """Admit a call, and send its request."""
        if not self.admit(scope, estimate):
            return {"answer": "refused", "why": f"{estimate} does not fit"}
        self.calls[call] = {"scope": scope, "estimate": estimate, "tries": 1 if self.options.retry else 0}
        return {"answer": "waiting", "call": call, "for": "provider"}

    def go_on(self, cmd: str, request: dict[str, Any]) -> dict[str, Any]:
        """Let a call go on."""
        call = self.calls[request["call"]]
        scope, estimate = call["scope"], call["estimate"]
        if cmd == "reply":
            time.sleep(self.options.delay)
            self.later(scope, estimate, request["bill"])
            return {"answer": "done", "value": None}
        if cmd == "fail" and call["tries"]:
            call["tries"] -= 1
            if self.options.retry == "own":
                self._move(scope, estimate, estimate)  # nobody knows what it cost
                if not self.admit(scope, estimate):
                    return {"answer": "refused", "why": "no room for another try"}
            return {"answer": "waiting", "call": request["call"], "for": "provider"}
        self.later(scope, estimate, estimate)
        return {"answer": "raised", "why": cmd}

    def says(self, scope: str) -> dict[str, int]:
        """Return what a budget tells."""
        left = self.cap[scope] - self.spent[scope] - (0 if self.options.racy else self.held[scope])
        return {"spent": self.spent[scope], "remaining": left}


def main() -> None:
    """Answer requests until ``stop``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--retry", choices=("own", "same"))
    for flag in ("rest", "eventual", "no-observe", "singly", "zero", "claim-zero", "racy", "forgets"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args()
    gateway = Gateway(options)
    for line in sys.stdin:
        request = json.loads(line)
        cmd = request["cmd"]
        if cmd == "stop":
            return
        if not options.rest:
            gateway.book()
        offers = ["open", "call"] + ([] if options.no_observe else ["spent", "remaining"])
        answer: dict[str, Any] = {"answer": "done", "value": None}
        if cmd == "start":
            claims = {"copies": False}
            claims |= {"zero_is_unlimited": True} if options.claim_zero else {}
            claims |= {"eventual": True} if options.eventual else {}
            harness = {"name": "Gateway", "language": "Python", "implementation": "a stand-in", "version": "1"}
            offers += ["rest"] if options.rest else []
            answer = {"answer": "started", "version": 1, "harness": harness, "gate": "call", "offers": offers}
            answer["claims"] = claims
        elif cmd == "reset":
            gateway = Gateway(options)
        elif cmd == "open":
            scope = f"s{len(gateway.cap)}"
            gateway.cap[scope], gateway.spent[scope], gateway.held[scope] = request["cap"], 0, 0
            answer = {"answer": "done", "value": scope}
        elif cmd == "call":
            answer = gateway.begin(request["call"], request["scope"], request["estimate"])
        elif cmd in ("reply", "fail", "cancel", "crash", "step"):
            answer = gateway.go_on(cmd, request)
        elif cmd == "turn":
            answer = {"answer": "turned", "calls": {}, "every_await": True}
        elif cmd == "rest":
            gateway.rest()
        elif cmd == "observe" and not options.singly and not options.no_observe:
            answer = {"answer": "done", "value": gateway.says(request["scope"])}
        elif cmd in ("spent", "remaining") and not options.no_observe:
            answer = {"answer": "done", "value": gateway.says(request["scope"])[cmd]}
        elif cmd == "observe" and options.no_observe:
            sys.exit("asked for balances that are not offered")
        else:
            answer = {"answer": "skipped", "reason": f"{cmd} is not known"}
        sys.stdout.write(json.dumps({"seq": request["seq"], **answer}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
