"""The least budget that can be checked: what a check costs beside the target's own work (``compare.py``)."""

from __future__ import annotations

from capsound.adapter import Adapter, Gate, Refused


class Trivial(Adapter):
    """A counter that debits what it admits, at once."""

    gate = Gate.CHARGE

    def open(self, cap: int) -> dict[str, int]:
        return {"cap": cap, "spent": 0}

    def charge(self, scope: dict[str, int], amount: int) -> None:
        if scope["spent"] + amount > scope["cap"]:
            raise Refused
        scope["spent"] += amount
