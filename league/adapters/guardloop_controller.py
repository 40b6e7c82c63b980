"""guardloop 0.4.2: ``BudgetController`` compares the worst case of a call with the limit.

"Reserve worst-case spend before the request", says its error; what was compared is not set aside:

>>> controller, call = ControllerAdapter().open(5), CALL
>>> for _ in range(2):
...     _ = controller.check_llm_call(**call, estimated_input_tokens=0, reserved_output_tokens=5)
>>> str(controller.record_llm_call(**call, input_tokens=0, output_tokens=5)), str(controller.estimated_cost_usd)
('5', '10')
"""

from decimal import Decimal

from adapting import units
from guardloop import BudgetConfig, BudgetExceeded, ModelPricing
from guardloop.budget import BudgetController
from guardloop.exceptions import TokenLimitMissing
from guardloop.pricing import PricingCatalog

from capsound.adapter import Adapter, Gate

CALL = {"provider": "p", "model": "m"}
PRICE = ModelPricing(**CALL, input_cost_per_million_tokens=0, output_cost_per_million_tokens=1_000_000)


class ControllerAdapter(Adapter):
    """Ask, call, record. One unit is a dollar, as a ``Decimal``; an output token costs one."""

    gate = Gate.CHECK
    refused = (BudgetExceeded,)
    rejected = (TokenLimitMissing,)  # a call without a bound

    def open(self, cap: int) -> BudgetController:
        """Make the controller of one run."""
        return BudgetController(BudgetConfig(cost_limit_usd=Decimal(cap)), PricingCatalog([PRICE]))

    def check(self, scope: BudgetController, amount: int) -> bool:
        """Ask whether the worst case fits."""
        scope.check_llm_call(**CALL, estimated_input_tokens=0, reserved_output_tokens=amount)
        return True

    def record(self, scope: BudgetController, amount: int) -> None:
        """Add what was used, and raise where that is above the limit."""
        scope.record_llm_call(**CALL, input_tokens=0, output_tokens=amount)

    def spent(self, scope: BudgetController) -> int:
        """Return what was added."""
        return units(scope.cost_usd)
