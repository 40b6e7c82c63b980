"""A harness that is spoilt, in whatever way, is named by ``check``: it is never a bug of ours, and prints no escapes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HARNESS = r"""
import json, os, sys, time

def say(request, **answer):
    line({"seq": request["seq"], **answer})

def line(data):
    print(json.dumps(data), flush=True)

def started(request, name="Spoilt"):
    who = {"name": name, "language": "Python", "implementation": "spoilt", "version": "1"}
    say(request, answer="started", version=1, harness=who, gate="reserve",
        offers=["open", "reserve", "settle", "spent", "remaining"])

count = 0
for text in sys.stdin:
    request = json.loads(text)
    cmd = request["cmd"]
    count += 1
    late = cmd == "reserve" and count > 8
    PLACE
    if cmd == "start":
        started(request)
    elif cmd == "stop":
        break
    elif cmd in ("open", "reserve"):
        say(request, answer="done", value=cmd)
    elif cmd == "observe":
        say(request, answer="done", value={"spent": 0, "remaining": 5})
    else:
        say(request, answer="done", value=None)
"""

SPOILT = {
    "rubbish at once": "print('\\x1b[31m::error::rubbish\\r', flush=True)",
    "rubbish later": "late and print('\\x1b[31m::error::rubbish\\r', flush=True)",
    "deep nesting": "late and print('[' * 100_000, flush=True)",
    "deep in an answer": "late and print('{\"seq\":%d,\"answer\":\"done\",\"value\":%s1%s}' % (request['seq'], '[' * 900, ']' * 900), flush=True)",
    "a long line": "late and print('x' * 3_000_000, flush=True)",
    "thousands of digits": "late and print('{\"seq\":%d,\"answer\":\"done\",\"value\":%s}' % (request['seq'], '9' * 5_000), flush=True)",
    "a seq of many digits": "late and print('{\"seq\":%s,\"answer\":\"done\",\"value\":\"h\"}' % ('9' * 3_000), flush=True)",
    "balances out of all proportion": "if cmd == 'observe': print('{\"seq\":%d,\"answer\":\"done\",\"value\":{\"spent\":1e400}}' % request['seq'], flush=True); continue",
    "balances of thirty digits": "if cmd == 'observe': say(request, answer='done', value={'spent': 10**30, 'remaining': -10**30}); continue",
    "a wrong seq": "if late: request['seq'] += 1",
    "an exit": "late and sys.exit('\\x1b[31m::error::no licence\\r')",
    "a kill": "late and os.kill(os.getpid(), 9)",
    "an exit at once": "sys.exit('\\x1b[31m::error::no licence\\r')",
    "much on stderr": "sys.stderr.write('\\x1b[2J::error::\\r' * 3_000); late and sys.exit(3)",
    "a name with controls": "if cmd == 'start': started(request, '\\x1b[31m\\n::error::' + 'x' * 5_000); continue",
    "errors with controls": "if late: say(request, answer='errored', message='\\x1b[31m\\n::error::oh', traceback='\\x1b[31m\\r'); continue",
    "a refusal with controls": "if late: say(request, answer='refused', why='\\x1b[31m\\n::error::' + 'x' * 20_000); continue",
    "the same answer for ever": "late and [say(request, answer='done', value='h') for _ in range(3)]",
    "no bytes of a text": "late and sys.stdout.buffer.write(b'\\xff\\xfe\\x00\\n') and sys.stdout.flush()",
}  # fmt: skip

Runs = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("one_nursery")


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_harness_is_named(how: str, tmp_path: Path, capsound: Runs) -> None:
    path = tmp_path / "spoilt.py"
    path.write_text(HARNESS.replace("PLACE", SPOILT[how]))
    limits = ("--programs", "3", "--driver", "misuse", "--budget", "20s")
    ran = capsound("check", f"cmd[timeout=20]:{sys.executable} {path}", *limits)
    said = ran.out + ran.err
    assert ran.status in (1, 2, 65), said
    assert "Traceback (most recent call last)" not in said
    assert "bug of capsound" not in said
    assert all(c.isprintable() or c == "\n" for c in said), repr(said)
    assert not any(text.startswith("::") for text in said.splitlines())
    assert max(map(len, said.splitlines())) < 3_000
    assert len(said) < 20_000


def test_one_that_answers_late_is_given_the_time_it_asks_for(tmp_path: Path, capsound: Runs) -> None:
    path = tmp_path / "late.py"
    path.write_text(HARNESS.replace("PLACE", "cmd == 'start' and time.sleep(1.5)"))
    ran = capsound("check", f"cmd[start=0.2]:{sys.executable} {path}", "--programs", "5", "--driver", "programs")
    assert ran.status in (2, 65)
    assert "did not answer within 0.2 s" in ran.out + ran.err
