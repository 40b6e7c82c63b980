"""What the model says where nobody decides otherwise: as little as lets the application go on.

A request that forces a tool gets a call of it; one that demands JSON gets the smallest instance of its schema; every
other one ends the turn with a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capsound_checker.wire.dialects.counting import Conversation, Tool
from capsound_checker.wire.dialects.instances import NoInstance, instance
from capsound_checker.wire.dialects.shapes import Asked, Reply, ToolCall


def asked_of(
    name: str,
    model: str,
    talk: Conversation,
    schema: Mapping[str, Any] | None,
    forced: Sequence[str],
    *,
    limit: int | None,
    stream: bool,
    usage_wanted: bool = True,
    choices: int = 1,
    continues: str = "",
) -> Asked:
    """Return what a request of a conversation asks for, with what the model says where nobody decides otherwise.

    ``limit`` is that of one choice; ``forced`` are the tools one of which has to be called.
    """
    default, doubt = default_reply(talk.tools, forced, talk.called, schema)
    return Asked(
        name,
        model,
        talk.text(schema),
        None if limit is None else limit * choices,
        stream,
        usage_wanted,
        choices,
        tuple(tool.name for tool in talk.tools),
        schema is not None,
        talk.said,
        talk.systems[0] if talk.systems else "",
        talk.results,
        talk.beside,
        continues,
        schema,
        default,
        doubt,
    )


def default_reply(
    tools: Sequence[Tool], forced: Sequence[str], called: Sequence[str], schema: Mapping[str, Any] | None
) -> tuple[Reply, str]:
    """Return the reply, and why it may not be what is demanded (empty where it is).

    ``forced`` names the tools one of which has to be called. Of several, the one that the conversation ``called``
    least is taken, and the last of these: frameworks put the tool that ends a turn last, and a tool that is forced in
    each turn must not be called for ever. ``schema`` is that of the text; None where any text will do.
    """
    known = {tool.name: tool for tool in tools}
    names = [name for name in forced if name in known]
    if names:
        name = min(reversed(names), key=lambda one: list(called).count(one))
        made, doubt = _instance(known[name].schema)
        if not isinstance(made, dict):
            return Reply("", (ToolCall(name, {}),)), doubt or f"the arguments of {name} are no object"
        return Reply("", (ToolCall(name, made),)), doubt
    if schema is None:
        return Reply(), ""
    made, doubt = _instance(schema)
    return Reply(json.dumps(made, ensure_ascii=False)), doubt


def _instance(schema: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        return instance(schema), ""
    except NoInstance as error:
        return {}, f"no instance of the schema was found: {error}"
