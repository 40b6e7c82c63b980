"""Requests that nobody bills: lists of models, counts of tokens, moderation. They are answered at once, never held."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from capsound_checker.wire.dialects import anthropic_messages, gemini, openai_responses
from capsound_checker.wire.dialects.counting import Conversation, text_tokens
from capsound_checker.wire.dialects.openai_common import EPOCH
from capsound_checker.wire.dialects.reading import clean, inner, plain
from capsound_checker.wire.dialects.shapes import Answer, BadRequest
from capsound_checker.wire.dialects.streams import plain_answer

_MODELS = re.compile(r"/models(?:/([^:]+))?/?$")
_COUNT = re.compile(r"/models/[^/?]+:countTokens$")


def unbilled(method: str, path: str, body: Mapping[str, Any], models: Sequence[str] = ()) -> Answer | None:
    """Return the answer to a request that costs nothing, or None where this is no such request.

    ``models`` are the names that a list of models shows; one that is asked for by its name exists. A HEAD or GET of the
    bare address is a client that looks whether somebody is there. Raises ``BadRequest``.
    """
    where = plain(path)
    if method in ("GET", "HEAD"):
        if where.rstrip("/") in ("", "/v1", "/v1beta"):
            return plain_answer({})
        found = _MODELS.search(where)
        if found is None:
            return None
        return _listed(models) if found[1] is None else plain_answer(_model(unquote(found[1])))
    if method != "POST":
        return None
    if where.endswith("/messages/count_tokens"):
        talk, schema = anthropic_messages.read(body)
        return plain_answer({"input_tokens": _tokens(talk, schema)})
    if where.endswith("/responses/input_tokens"):
        talk, schema = openai_responses.read(body)
        return plain_answer({"object": "response.input_tokens", "input_tokens": _tokens(talk, schema)})
    if _COUNT.search(where):
        talk, schema = gemini.read(inner(body, "generateContentRequest") or body)
        count = _tokens(talk, schema)
        details = [{"modality": "TEXT", "tokenCount": count}]
        return plain_answer({"totalTokens": count, "promptTokensDetails": details})
    if where.endswith("/moderations"):
        return _moderated(body)
    return None


def _tokens(talk: Conversation, schema: Mapping[str, Any] | None) -> int:
    return max(1, text_tokens(talk.text(schema)) + talk.beside)


def _listed(models: Sequence[str]) -> Answer:
    shown = [_model(model) for model in models]
    ends = {"first_id": models[0] if models else None, "last_id": models[-1] if models else None}
    return plain_answer({"object": "list", "data": shown, "has_more": False, **ends, "models": shown})


def _model(model: str) -> dict[str, Any]:
    """Return a model as each vendor shows it, all at once: ``/v1/models`` is an address of all three."""
    name = clean(model)
    return {
        "id": name,
        "object": "model",
        "created": EPOCH,
        "owned_by": "capsound",
        "type": "model",
        "display_name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def _moderated(body: Mapping[str, Any]) -> Answer:
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        raise BadRequest("`input` is missing: a moderation needs it")
    several = isinstance(given, list) and all(isinstance(one, str) for one in given)
    clear = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
        "category_applied_input_types": {category: ["text"] for category in _CATEGORIES},
    }
    model = body.get("model")
    document = {
        "id": "modr-capsound",
        "model": clean(model) if isinstance(model, str) else "omni-moderation-latest",
        "results": [clear] * (len(given) if several else 1),
    }
    return plain_answer(document)
