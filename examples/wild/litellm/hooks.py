"""Who may call LiteLLM's proxy: everybody, as the agent whose sessions have a budget."""

from litellm.proxy._types import UserAPIKeyAuth
from litellm.proxy.agent_endpoints.agent_registry import global_agent_registry


async def authenticate(request, api_key):
    """Return who calls."""
    agent = global_agent_registry.get_agent_by_name("wild")
    return UserAPIKeyAuth(api_key=api_key, agent_id=agent.agent_id if agent else None)
