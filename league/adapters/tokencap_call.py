"""tokencap 0.2.0: its interceptor adds the estimate to a counter before a call, and what was missing after it.

What was estimated too high is not given back:

>>> from tokencap.backends.sqlite import SQLiteBackend
>>> from tokencap.core.types import BudgetKey
>>> backend, key = SQLiteBackend(":memory:"), BudgetKey("run", "1")
>>> backend.set_limit(key, 5)
>>> backend.check_and_increment([key], 4).allowed  # then 1 is billed, and nothing is to be reconciled
True
>>> backend.check_and_increment([key], 2).allowed
False
"""

import tokencap.interceptor.base
from tokencap import Guard
from tokencap.backends.sqlite import SQLiteBackend
from tokencap.core.exceptions import BudgetExceededError
from tokencap.core.policy import DimensionPolicy, Policy
from tokencap.core.types import TokenUsage

from capsound.adapter import Adapter, Gate, Provider


class Counts:
    """Tells the interceptor what we estimate, and what the provider has billed."""

    def estimate_tokens(self, options: dict[str, int]) -> int:  # noqa: D102
        return options["max_tokens"]

    def extract_usage(self, bill: int) -> TokenUsage:  # noqa: D102
        return TokenUsage(bill, 0)


class InterceptorAdapter(Adapter):
    """The async interceptor itself, over a database in memory. One unit is a token."""

    gate = Gate.CALL
    refused = (BudgetExceededError,)

    def open(self, cap: int) -> tuple[Guard, list[int]]:  # noqa: D102
        policy = Policy({"run": DimensionPolicy(cap)})
        return Guard(policy, backend=SQLiteBackend(":memory:"), otel_enabled=False, quiet=True), []

    async def call(self, scope: tuple[Guard, list[int]], estimate: int, provider: Provider) -> None:
        """Let the interceptor make the call, and note what is under way."""

        async def send(**_: int) -> int:
            scope[1].append(estimate)
            try:
                return await provider()
            finally:
                scope[1].remove(estimate)

        await tokencap.interceptor.base.call_async(send, {"max_tokens": estimate}, scope[0], Counts())

    def spent(self, scope: tuple[Guard, list[int]]) -> int:
        """Return what was used, without the estimates that are under way."""
        return scope[0].get_status().dimensions["run"].used - sum(scope[1])
