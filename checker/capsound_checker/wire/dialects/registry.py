"""Which dialect a request is spoken in."""

from __future__ import annotations

from capsound_checker.wire.dialects import (
    anthropic_messages,
    gemini,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from capsound_checker.wire.dialects.shapes import Dialect

DIALECTS: tuple[Dialect, ...] = (openai_chat, openai_responses, openai_embeddings, anthropic_messages, gemini)
"""Every dialect that is served."""


def dialect_of(path: str) -> Dialect | None:
    """Return the dialect of a POST to ``path``, or None where nobody speaks it."""
    return next((dialect for dialect in DIALECTS if dialect.serves(path)), None)


def dialect_named(name: str) -> Dialect:
    """Return the dialect that a request was recognised as."""
    return next(dialect for dialect in DIALECTS if dialect.name == name)
