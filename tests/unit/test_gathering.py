"""What is made of the messages of the children of a check, without any child."""

from __future__ import annotations

from typing import Any

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Bill, Event, Open, Reserve, Send, event_to_dict
from capsound_checker.check.checking import Heard, merge
from capsound_checker.check.evidence import Evidence
from capsound_checker.check.gathering import Gathered
from capsound_checker.check.plan import GUARANTEE_OF_JOB


def stopped(hung: bool) -> dict[str, Any]:
    gates = dict.fromkeys(("overlapped", "overlapped_at_gate", "uninterruptible"), 0)
    return {"say": "programs", "operations": 1, "programs": {}, "late": [], "hung": hung, "varied": [], **gates}


def test_a_job_of_several_parts_that_hangs_is_named_once() -> None:
    parts = [{"job": "programs"}, {"job": "programs"}, {"job": "misuse"}, {"job": "threads"}]
    heard = [Heard(part) for part in parts]
    heard[0].messages.append(stopped(hung=True))
    heard[0].hangs = True
    gathered = Gathered()
    merge(heard, gathered)
    said = ["it hangs: programs stopped there", "it hangs: misuse was not tried", "it hangs: threads was not tried"]
    assert gathered.notes == said


def test_every_job_that_ends_a_rung_is_known() -> None:
    assert {"programs", "misuse", "threads", "asyncio"} <= set(GUARANTEE_OF_JOB)


def sample(*bills: int, cap: int = 9) -> dict[str, Any]:
    account = AccountId("a0")
    events: list[Event] = [Open(account, Amount(cap))]
    steps: list[list[Any]] = [["open", 0, 0, 0, cap]]
    for number, bill in enumerate(bills):
        hold, call = HoldId(f"h{number}"), CallId(f"c{number}")
        events += [Reserve(account, hold, Amount(1)), Send(hold, call), Bill(call, Amount(bill))]
        steps += [["reserve", 0, 0, number, 1], ["send", 0, number, 0, 0, bill]]
    return {"say": "sample", "program": steps, "events": [event_to_dict(event) for event in events]}


def test_what_overruns_lead_to_is_shown_of_one_that_is_never_told_a_bill() -> None:
    gathered = Gathered(evidence=Evidence(prepaid=True))
    for bills in ((27, 27, 27), (1, 1), (10,), (81,)):
        gathered.hear("programs", sample(*bills))
    assert gathered.overran is not None
    sentence, program = gathered.overran
    assert (len(program), gathered.refutations) == (3, [])
    assert "a0 was billed 10 of a cap of 9" in sentence


def test_others_are_told_the_bill_and_judged_by_it() -> None:
    gathered = Gathered()
    gathered.hear("programs", sample(81))
    assert gathered.overran is None
