"""langgraph 1.2.24: ``recursion_limit`` of a graph whose one node calls a model and is followed by itself.

Such a graph is stopped before the call above the limit. The limit counts steps, not nodes: five nodes of one step call
five models.

>>> from langgraph.errors import GraphRecursionError
>>> def calls(wide, limit):
...     graph, seen = StateGraph(dict), []
...     for name in range(wide):
...         graph.add_node(str(name), lambda state: seen.append(1))
...         graph.add_edge(START, str(name))
...         graph.add_conditional_edges(str(name), lambda state: [str(name) for name in range(wide)])
...     try:
...         graph.compile().invoke({}, {"recursion_limit": limit})
...     except GraphRecursionError:
...         return len(seen)
>>> calls(1, 3), calls(5, 1)
(3, 5)
"""

from collections.abc import Callable
from typing import Any

from adapting import RunAdapter
from langgraph.graph import START, StateGraph


class StepsAdapter(RunAdapter):
    """One unit is a call of the model, in a graph of one node."""

    zero_is_unlimited = True  # it wants at least 1

    def loop(self, cap: int) -> Callable[[Callable[[], None]], Any]:
        """Return a run with so many steps; it ends with ``GraphRecursionError``."""

        def run(called: Callable[[], None]) -> Any:
            graph: Any = StateGraph(dict)
            graph.add_node("model", lambda _: called())
            graph.add_edge(START, "model")
            graph.add_conditional_edges("model", lambda _: "model")
            return graph.compile().invoke({}, {"recursion_limit": cap})

        return run
