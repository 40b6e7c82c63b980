"""The glossary: the words that messages and pages use without explaining them, one sentence and one example each.

The examples share one story where they can: a cap of 60, three agents, calls that are estimated at 31 and billed 23.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One word: its ``meaning`` in one sentence, an ``example``, and the names that ``see`` points to."""

    name: str
    meaning: str
    example: str
    see: tuple[str, ...] = ()


TERMS: dict[str, Term] = {
    term.name: term
    for term in (
        Term(
            "account",
            "An account is anything with a balance: a root or a slice.",
            "A root with a cap of 60 that delegates 20 leaves two accounts: the root with 40 and the slice with 20.",
            ("root", "slice"),
        ),
        Term(
            "adapter",
            "An adapter is the class that you write to translate the operations of a budget library into those that "
            "capsound calls.",
            "`reserve(scope, amount)` calls your library's `acquire` and turns its `BudgetExceeded` into `refused`.",
            ("gate", "handle"),
        ),
        Term(
            "agent",
            "An agent is one thread of control that makes calls and shares a budget with others.",
            "Three agents that each make one call under a cap of 60.",
            ("call", "schedule"),
        ),
        Term(
            "anomaly",
            "An anomaly is a named kind of violation, as seen in one run.",
            "`overshoot`: a root with a cap of 60 was billed 69.",
            ("overshoot", "property", "guarantee"),
        ),
        Term(
            "assumption",
            "An assumption is a statement about the provider or the machine that a verdict relies on and that you can "
            "switch off.",
            "Under A1 no bill exceeds its hold; without A1, a hold of 31 may be billed 40.",
            ("A1", "verdict"),
        ),
        Term(
            "bill",
            "The bill, or true bill, is what the provider really charges for a call, whatever the ledger says.",
            "The ledger reserved 31 and the provider charged 23: the bill is 23.",
            ("estimate", "ledger", "settle"),
        ),
        Term(
            "block",
            "A block is a list of steps that run without interruption by another agent.",
            "`[check, reserve]` is one block; `[check] [reserve]` lets another agent run between the two.",
            ("discipline", "schedule"),
        ),
        Term(
            "bound",
            "The bound of a verdict states what was covered.",
            "Proved for all amounts, agents and schedules; or tried on 10,000 sampled schedules.",
            ("verdict",),
        ),
        Term(
            "call",
            "A call is one request to the provider, sent under a hold.",
            "A request and its retry under the same hold are two calls, and both may be billed.",
            ("hold", "bill", "A10"),
        ),
        Term(
            "cap",
            "The cap is the most that the bills of one root may add up to.",
            "Under a cap of 60, two calls billed 23 fit, and a third does not.",
            ("root", "overshoot"),
        ),
        Term(
            "deficit",
            "The deficit of a call is the part of its bill that exceeds its hold.",
            "A hold of 31 that is billed 40 has a deficit of 9.",
            ("A1", "overrun"),
        ),
        Term(
            "discipline",
            "A discipline is a way of admitting calls, written as a list of blocks.",
            "`reserve-settle` checks and reserves in one block, sends in a second, and settles in a third.",
            ("block", "reserve-settle", "racy-counter"),
        ),
        Term(
            "estimate",
            "The estimate is the cost expected of a call before it is sent, and so the usual size of its hold.",
            "A call is estimated at 31 and billed 23.",
            ("hold", "bill"),
        ),
        Term(
            "event",
            "An event is one thing that happened in a run, in the vocabulary that all commands share.",
            '`{"event": "reserve", "account": "R1", "hold": "h1", "amount": 31}`',
            ("monitor",),
        ),
        Term(
            "forfeit",
            "To forfeit a hold is to count all of it as spent, because the bill is unknown.",
            "The reply to a call held at 31 never arrives: the ledger writes off 31.",
            ("release", "settle"),
        ),
        Term(
            "gate",
            "The gate is the operation of a library that admits a call or refuses it.",
            "A library that only offers `charge` is gated by `charge`: it checks and debits before the call is sent.",
            ("adapter", "reserve"),
        ),
        Term(
            "guarantee",
            "A guarantee is a promise about the cap that an implementation can keep; each includes all weaker ones.",
            "`concurrent` promises no overshoot under any interleaving, and so includes `sequential`.",
            ("stops", "sequential", "concurrent", "delegated", "fault-tolerant", "overrun-bounded"),
        ),
        Term(
            "handle",
            "A handle is the object through which a program uses an account or a hold until it is closed or resolved.",
            "`reserve` returns a handle; `settle` uses it up, and a second `settle` with it must change nothing.",
            ("hold", "misuse", "use-after-move"),
        ),
        Term(
            "hold",
            "A hold is the amount set aside for one call before it is sent.",
            "With a cap of 60 and one hold of 31, only 29 is free for the next call.",
            ("reserve", "settle", "release", "forfeit"),
        ),
        Term(
            "in-flight",
            "A call is in flight from the moment it is sent until its hold is resolved.",
            "Two calls of 31 in flight under a cap of 60 may be billed 62 together.",
            ("call", "stale-admit"),
        ),
        Term(
            "ledger",
            "The ledger is what the implementation itself has written down about its balances.",
            "The ledger says 23 is spent while two calls were billed 46: it has lost an update.",
            ("bill", "ledger-drift", "truth"),
        ),
        Term(
            "misuse",
            "Misuse is what a careful program would not do: use a handle twice, copy it, or pass an invalid amount.",
            "Settling one hold twice, or reserving -1.",
            ("handle", "double-settle", "bad-amount"),
        ),
        Term(
            "monitor",
            "The monitor reads the events of a run in order and reports every anomaly among them.",
            "It adds up the bills of a root with a cap of 60 and reports `overshoot` when they reach 69.",
            ("event", "anomaly"),
        ),
        Term(
            "precision",
            "Precision is how much of a budget can really be used; it is reported beside the verdict and never changes "
            "it.",
            "A budget that refuses every call keeps every guarantee and has no precision at all.",
            ("false-refusal", "stranded"),
        ),
        Term(
            "program",
            "A program is the list of operations that a test makes agents perform.",
            "`open 60; reserve 31; send; settle 23`",
            ("schedule", "token"),
        ),
        Term(
            "property",
            "A property is one statement that a run keeps or breaks.",
            "`cap`: the true bills of a root never exceed its cap.",
            ("cap", "slice", "truth", "anomaly"),
        ),
        Term(
            "release",
            "To release a hold is to give all of it back unused, which is safe only before the call is sent.",
            "The user cancels before the request leaves: the 31 are free again.",
            ("forfeit", "refund-after-send"),
        ),
        Term(
            "reserve",
            "To reserve is to admit a call by setting its hold aside, or to refuse it if the hold does not fit.",
            "With 29 free, a call of 31 is refused.",
            ("hold", "gate"),
        ),
        Term(
            "root",
            "A root is an account that was opened with a cap and has no parent.",
            "`open(root='R1', cap=60)`",
            ("cap", "slice"),
        ),
        Term(
            "schedule",
            "A schedule is the order in which the blocks of several agents run, with the amounts and faults chosen on "
            "the way.",
            "Agent 1 checks, agent 2 checks, both send: the race needs this order.",
            ("block", "program", "token"),
        ),
        Term(
            "settle",
            "To settle a hold is to charge its bill and free the rest.",
            "A hold of 31 settles at 23: 23 is charged and 8 is free again.",
            ("hold", "bill", "double-settle"),
        ),
        Term(
            "slice",
            "A slice is an account that received part of the capacity of its parent.",
            "A root of 60 delegates 20 to a sub-agent: the slice may spend 20, and the root keeps 40.",
            ("root", "slice-overshoot", "delegated"),
        ),
        Term(
            "token",
            "A token is a line of text that holds a run: `capsound replay` runs it again.",
            "`ck1:open.0.0.0.1/reserve.0.0.0.1`",
            ("program", "schedule"),
        ),
        Term(
            "verdict",
            "A verdict is `sound`, `violated` or `unknown`, and a `sound` always states its bound.",
            "`violated` comes with the shortest run that was found; `unknown` comes with the reason.",
            ("bound", "assumption"),
        ),
    )
}
