"""Whether runs could have refuted ``concurrent``: how often calls of the library were in each other's way at the gate.

A call that is never interrupted between its gate and the provider shows no race there, whatever it does. Runs count
themselves here, by adapter class and in this process; whoever judges says ``not tried`` where nothing was counted.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from capsound.adapter import Adapter
from capsound_checker.programs.record import LibraryCall, Record, account_id


@dataclass(slots=True)
class GateEvidence:
    """How often calls of the library were in each other's way between the gate and the provider."""

    overlapped: int = 0
    """Calls that began, while another of their account was under way, of which not all fit though each does."""
    overlapped_at_gate: int = 0
    """Those of them that began while the other was between its gate and its send.

    Only such a call can show a race at the gate. Within one turn they count where nothing lies between them.
    """
    uninterruptible: int = 0
    """Calls that went from their begin to the provider without a suspension, where every suspension is seen."""

    def to_dict(self) -> dict[str, int]:
        """Return all counts as JSON data."""
        return asdict(self)

    def since(self, before: GateEvidence) -> GateEvidence:
        """Return what was counted since ``before`` was."""
        return GateEvidence(
            self.overlapped - before.overlapped,
            self.overlapped_at_gate - before.overlapped_at_gate,
            self.uninterruptible - before.uninterruptible,
        )

    def add(self, more: GateEvidence) -> None:
        """Count once more what a run has tried that is not done again."""
        self.overlapped += more.overlapped
        self.overlapped_at_gate += more.overlapped_at_gate
        self.uninterruptible += more.uninterruptible

    def begin(self, call: LibraryCall, record: Record) -> None:
        """Count a call that begins now, beside those of its account that are under way."""
        under_way: list[LibraryCall] = []
        at_gate: list[LibraryCall] = []
        for other in record.calls.values():
            if other.place != "ended" and other.account == call.account and other is not call:
                under_way.append(other)
                if other.place == "waiting":
                    at_gate.append(other)
        if not under_way:
            return
        self.overlapped += self._contend(call, under_way, record)
        if at_gate:
            self.overlapped_at_gate += self._contend(call, at_gate, record)

    def _contend(self, call: LibraryCall, others: Sequence[LibraryCall], record: Record) -> bool:
        """Whether a call is in the way of others, each of which would fit if nobody held anything."""
        holds = record.monitor.state.holds
        kept = [holds[c.hold_id].amount for c in (call, *others) if c.hold_id in holds]
        free = record.state.account(account_id(call.account)).available + sum(kept)
        return contend(free, [call.estimate, *(c.estimate for c in others)])


_EVIDENCE: weakref.WeakKeyDictionary[type[Adapter], GateEvidence] = weakref.WeakKeyDictionary()


def gate_evidence(adapter: type[Adapter]) -> GateEvidence:
    """Return what the runs of an adapter class in this process have tried so far; runs count themselves in it."""
    known = _EVIDENCE.get(adapter)
    if known is None:
        known = _EVIDENCE[adapter] = GateEvidence()
    return known


def sees_every_await(adapter: Adapter) -> bool:
    """Whether each suspension of a call is seen: always in this interpreter, elsewhere where the harness says so."""
    return bool(getattr(adapter, "every_await", True))


def contend(free: int, estimates: Sequence[int]) -> bool:
    """Whether calls with these estimates are in each other's way: each fits into what is free, and not all of them."""
    return len(estimates) > 1 and all(0 < e <= free for e in estimates) and sum(estimates) > free
