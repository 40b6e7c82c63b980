"""token-limiter 1.0.0: a monitor adds up turns, and is no longer ``ok`` once a turn has passed a limit.

It is not asked what the next turn costs:

>>> from token_limiter import token_limiter
>>> monitor = token_limiter(max_tokens=5, max_cost=10**9)
>>> for tokens in (4, 9):
...     print(monitor.ok, monitor.record({"input": tokens, "output": 0}).usage.total)
True 4
True 13
>>> monitor.ok
False
"""

from token_limiter import token_limiter
from token_limiter.budget import _Monitor

from capsound.adapter import Adapter, Gate


class MonitorAdapter(Adapter):
    """Ask whether it is ok, call, record. One unit is a token."""

    gate = Gate.CHECK
    zero_is_unlimited = True  # it divides by the limit, and a limit of 0 lets the first turn through

    def open(self, cap: int) -> _Monitor:
        """Make a monitor with the other limits out of the way."""
        return token_limiter(max_tokens=cap, max_cost=float("inf"))

    def check(self, scope: _Monitor, amount: int) -> bool:  # noqa: ARG002 - it is not asked what the call costs
        """Ask whether the agent should go on."""
        return scope.ok

    def record(self, scope: _Monitor, amount: int) -> None:
        """Add a turn."""
        scope.record({"input": amount, "output": 0})

    def spent(self, scope: _Monitor) -> int:
        """Return the tokens of all turns."""
        return scope.usage.total
