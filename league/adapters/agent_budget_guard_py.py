"""agent-budget-guard-py 0.4.0: ``Guard.preflight`` asks whether the worst case fits, ``record`` counts afterwards.

Two calls at once are both asked for before either is recorded:

>>> from agentguard import Guard, GuardTripped, Price
>>> dollar = Price(1_000_000, 1_000_000)  # a token costs a dollar
>>> guard = Guard(max_usd=5)
>>> guard.preflight("unit", input_tokens=5, max_output_tokens=0, price=dollar)
5.0
>>> guard.preflight("unit", input_tokens=5, max_output_tokens=0, price=dollar)
5.0
>>> _ = guard.record("unit", input_tokens=5, price=dollar)
>>> try:
...     guard.record("unit", input_tokens=5, price=dollar)
... except GuardTripped as late:
...     print(late)
Budget exceeded: spent $10 of a $5 limit.
"""

from adapting import units, within
from agentguard import Guard, GuardTripped, Price

from capsound.adapter import Adapter, Gate

DOLLAR = Price(1_000_000, 1_000_000)


class GuardAdapter(Adapter):
    """Ask, call, record. One unit is a dollar."""

    gate = Gate.CHECK
    refused = (GuardTripped,)
    rejected = (ValueError,)  # a budget that is not positive

    def open(self, cap: int) -> Guard:
        """Make a guard without detectors of loops."""
        return Guard(max_usd=within(cap), detectors=[])

    def check(self, scope: Guard, amount: int) -> bool:
        """Ask whether a call of this worst case fits."""
        scope.preflight("unit", input_tokens=amount, max_output_tokens=0, price=DOLLAR)
        return True

    def record(self, scope: Guard, amount: int) -> None:
        """Count what was used."""
        scope.record("unit", input_tokens=amount, price=DOLLAR)

    def spent(self, scope: Guard) -> int:
        """Return the dollars that were recorded."""
        return units(scope.spent_usd)
