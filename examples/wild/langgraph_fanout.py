"""A fan-out of LangGraph whose router looks at the spending in the state. Cured: a hold where requests leave.

The state is a snapshot: all branches of one superstep see the spending from before it, and what they add comes after.
"""

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from holding import CAP, CURED, INPUT, LIMIT, OUTPUT, QUESTIONS, HoldingClient, most
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from capsound_reference import Budget

held = {"http_async_client": HoldingClient(Budget(CAP))} if CURED else {}
model = ChatOpenAI(model="gpt-4o", max_tokens=LIMIT, max_retries=0, stream_usage=True, **held)


class State(TypedDict):
    questions: list[str]
    spent: Annotated[int, operator.add]


def route(state: State) -> Any:
    """Send every question to a branch of its own, as far as the balance allows."""
    return [Send("ask", (state, q)) for q in state["questions"] if state["spent"] + most(q) <= CAP] or END


async def ask(sent: tuple[State, str]) -> dict[str, int]:
    state, question = sent
    if state["spent"] + most(question) > CAP:
        return {"spent": 0}
    try:
        used = (await model.ainvoke(question)).usage_metadata
    except Exception as error:  # another branch is to go on
        print(question, type(error).__name__)
        return {"spent": 0}
    return {"spent": used["input_tokens"] * INPUT + used["output_tokens"] * OUTPUT if used else 0}


graph = StateGraph(State)
graph.add_node("ask", ask)
graph.add_conditional_edges(START, route)
print(asyncio.run(graph.compile().ainvoke({"questions": QUESTIONS, "spent": 0})))
