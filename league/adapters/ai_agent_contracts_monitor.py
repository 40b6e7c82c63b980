"""ai-agent-contracts 0.5.0: a monitor counts tokens, and subcontracts are taken off what their parent may give away.

"The actual tokens returned depend on what the child actually used", says ``release_allocation``, and returns them all:

>>> from agent_contracts.core import Contract, ContractingCapability, ResourceConstraints, ResourceMonitor
>>> delegation = ContractingCapability(Contract(id="job", name="job", resources=ResourceConstraints(tokens=5)))
>>> child = ResourceMonitor(delegation.create_subcontract("step", tokens=5).resources)
>>> child.usage.add_tokens(5)
>>> delegation.release_allocation("step"), delegation.remaining_tokens
(5, 5)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from agent_contracts.core import Contract, ContractingCapability, ResourceConstraints, ResourceMonitor
from agent_contracts.core.delegation import ConservationViolationError

from capsound.adapter import Adapter, Gate


@dataclass(frozen=True)
class Job:
    """A contract, what it may give away, and whose part it is."""

    delegation: ContractingCapability
    parent: Any = None  # another job
    names: count[int] = field(default_factory=count)


class MonitorAdapter(Adapter):
    """Ask whether that much may be given away, call, add. One unit is a token; a child of 0 tokens has no limit."""

    gate = Gate.CHECK
    refused = (ConservationViolationError,)
    stale = (KeyError,)  # released before
    zero_is_unlimited = True

    def open(self, cap: int) -> Job:
        """Make a contract."""
        return Job(ContractingCapability(Contract("job", "job", resources=ResourceConstraints(tokens=cap))))

    def check(self, scope: Job, amount: int) -> bool:  # noqa: D102
        return scope.delegation.can_allocate(tokens=amount)

    def record(self, scope: Job, amount: int) -> None:  # noqa: D102
        scope.delegation.parent_monitor.usage.add_tokens(amount)

    def delegate(self, scope: Job, amount: int) -> Job:  # noqa: D102
        child = scope.delegation.create_subcontract(f"step {next(scope.names)}", tokens=amount)
        return Job(ContractingCapability(child, ResourceMonitor(child.resources)), scope)

    def close(self, scope: Job) -> None:
        """Release what a child was given, "when a child completes and returns unused budget"."""
        if scope.parent is not None:
            scope.parent.delegation.release_allocation(scope.delegation.parent_contract.name)
