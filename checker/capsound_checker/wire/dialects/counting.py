"""What a request is counted as: one rule for every dialect, since the checker is the provider.

The model reads, in this order: the instructions; each tool by name, description and schema; the schema of the answer;
then the conversation: each text, each call by name and arguments, each result of a tool. Each of them is one line of
``Asked.text``. Roles, ids and the braces of the request itself count for nothing, so that the same conversation counts
the same in every dialect. One token is four bytes of that text in UTF-8, rounded up; an attachment is 256 tokens
beside it, and input that was sent as numbers of tokens is as many tokens as it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capsound_checker.wire.dialects.reading import ATTACHMENT, attachment, canonical, clean
from capsound_checker.wire.dialects.shapes import Asked

BYTES = 4
"""Bytes of text that make a token."""


def input_tokens(asked: Asked) -> int:
    """Return how many tokens of input a request is: at least 1."""
    return max(1, text_tokens(asked.text) + asked.beside)


def text_tokens(text: str) -> int:
    """Return how many tokens a text of the model is, by the same rule; 0 for an empty one."""
    return -(-len(clean(text).encode()) // BYTES)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that a request offers, with the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(slots=True)
class Conversation:
    """Collects what the model reads, in the order of the request."""

    systems: list[str] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    """The tools that the model has called so far."""
    said: str = ""
    results: int = 0
    beside: int = 0

    def system(self, text: str) -> None:
        """Take instructions."""
        self.systems.append(clean(text))

    def user(self, texts: list[str]) -> None:
        """Take what the user says in one message."""
        self.lines += [clean(text) for text in texts]
        if texts:
            self.said = clean(" ".join(texts))

    def model(self, text: str) -> None:
        """Take what the model has said."""
        self.lines.append(clean(text))

    def call(self, name: str, arguments: str) -> None:
        """Take a call that the model has made."""
        self.called.append(name)
        self.lines.append(f"{clean(name)} {arguments}")

    def result(self, text: str) -> None:
        """Take the result of a tool."""
        self.results += 1
        self.lines.append(clean(text))

    def attach(self, data: object) -> None:
        """Take an image, a sound or a file."""
        self.lines.append(attachment(data))
        self.beside += ATTACHMENT

    def text(self, schema: Mapping[str, Any] | None) -> str:
        """Return all that the model reads; ``schema`` is that of the answer."""
        tools = [clean(f"{tool.name}\n{tool.description}\n{canonical(tool.schema)}") for tool in self.tools]
        shape = [] if schema is None else [canonical(schema)]
        return "\n".join([*self.systems, *tools, *shape, *self.lines])
