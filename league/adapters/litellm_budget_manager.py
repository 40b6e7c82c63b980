"""litellm 1.110.2: ``BudgetManager`` knows what a user has spent and may spend, for the caller to compare.

Two calls at once are both compared before either is added:

>>> manager = NoFile("job")
>>> _ = manager.create_budget(total_budget=5, user="user")
>>> [manager.get_current_cost("user") + 5 <= manager.get_total_budget("user") for _ in range(2)]
[True, True]
>>> for _ in range(2):
...     _ = manager.update_cost(user="user", completion_obj=answer(5))
>>> manager.get_current_cost("user")
10.0
"""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no prices from the network
import litellm
from adapting import units, within
from litellm import BudgetManager, ModelResponse, Usage

from capsound.adapter import Adapter, Gate

litellm.register_model(
    {"unit": {"input_cost_per_token": 1.0, "output_cost_per_token": 1.0, "litellm_provider": "openai"}}
)


class NoFile(BudgetManager):
    """A manager that keeps its users in memory, and writes no ``user_cost.json``."""

    def load_data(self) -> None:  # noqa: D102
        self.user_dict: dict[str, dict[str, float]] = {}

    save_data = lambda self: None  # noqa: ARG005, E731


def answer(tokens: int) -> ModelResponse:  # noqa: D103
    return ModelResponse(model="openai/unit", usage=Usage(tokens, 0, tokens))


class ManagerAdapter(Adapter):
    """Compare, call, ``update_cost``, as its documentation does. One unit is a dollar."""

    gate = Gate.CHECK

    def open(self, cap: int) -> NoFile:  # noqa: D102
        manager = NoFile("job")
        manager.create_budget(total_budget=within(cap), user="user")
        return manager

    def check(self, scope: NoFile, amount: int) -> bool:  # noqa: ARG002, D102 - it compares what was spent
        return bool(scope.get_current_cost("user") <= scope.get_total_budget("user"))

    def record(self, scope: NoFile, amount: int) -> None:  # noqa: D102
        scope.update_cost(user="user", completion_obj=answer(amount))

    def spent(self, scope: NoFile) -> int:  # noqa: D102
        return units(scope.get_current_cost("user"))
