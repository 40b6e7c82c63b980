"""What every dialect shares: what a request asks for, what the model says, what it used, and the bytes of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from capsound.errors import EXIT_BAD_INPUT, CapsoundError


class BadRequest(CapsoundError):
    """A request that no provider would take: it is answered with an error, and counted."""

    name = "bad-request"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one request used, as the provider bills them.

    ``input`` counts all of the input, what was read from or written to a cache included; ``output`` all of the output,
    reasoning included. Raises ``ValueError`` for counts that contradict each other.
    """

    input: int
    output: int
    cached: int = 0
    """Of the input: read from a cache."""
    written: int = 0
    """Of the input: written to a cache."""
    reasoning: int = 0
    """Of the output: not shown."""
    written_long: int = 0
    """Of what was written: kept for the longer of the vendor's two times (Anthropic 1 hour, OpenAI 12 hours)."""

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cached, self.written, self.reasoning, self.written_long) < 0:
            raise ValueError("a count of tokens is negative")
        if self.cached + self.written > self.input:
            raise ValueError(f"{self.cached} cached and {self.written} written are more than the input, {self.input}")
        if self.reasoning > self.output:
            raise ValueError(f"{self.reasoning} of reasoning are more than the output, {self.output}")
        if self.written_long > self.written:
            raise ValueError(f"{self.written_long} written for long are more than {self.written} written")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model wants a tool to be called; ``arguments`` are plain JSON data."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model says: a text, or tools to be called, or both."""

    text: str = "Done."
    calls: tuple[ToolCall, ...] = ()
    truncated: bool = False
    """Whether the model was stopped by the limit of the request rather than by itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    dialect: str
    model: str
    text: str
    """All text that the model reads: what is counted as input, the definitions of tools included.

    The same conversation gives the same text in every dialect: see ``counting``.
    """
    limit: int | None = None
    """The largest output that the request permits, in tokens, of all choices together; None where it sets no limit."""
    stream: bool = False
    usage_wanted: bool = True
    """Whether the answer tells the usage: a streamed chat completion does so only where it is asked to."""
    choices: int = 1
    tools: tuple[str, ...] = ()
    """The names of the tools that the model may call."""
    structured: bool = False
    """Whether the answer has to be JSON."""
    said: str = ""
    """The last thing that the user says: how a person recognises the request."""
    system: str = ""
    """The instructions, which tell one agent from another."""
    turn: int = 0
    """How many results of tools the conversation holds already."""
    beside: int = 0
    """Tokens of input beside the text: attachments, and input that was sent as numbers of tokens."""
    continues: str = ""
    """The id of the answer whose conversation this request goes on with; what it held is input again.

    A dialect keeps no answers: their text is not in ``text``, and whoever bills adds it.
    """
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    """The JSON schema that a text has to satisfy, where the request gives one."""
    default: Reply = field(default=Reply(), hash=False)
    """What the model says where nobody decides otherwise: see ``defaults``."""
    doubt: str = ""
    """Why the default may not be what the request demands; empty where it is."""
    details: tuple[tuple[str, str | int], ...] = ()
    """What only the dialect reads, to answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of an answer: one chunk, or for a stream one chunk for each event, in order.

    Whoever cuts a stream short sends only the first chunks; whoever cuts a body short sends half of its bytes.
    """

    status: int
    content_type: str
    chunks: tuple[bytes, ...]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def half(self) -> tuple[bytes, ...]:
        """The chunks of an answer that is cut: the first half of its events, or of its only chunk."""
        return self.chunks[: len(self.chunks) // 2] or (self.chunks[0][: len(self.chunks[0]) // 2],)


class Dialect(Protocol):
    """One dialect of one vendor. A path may carry its query: Gemini tells by it how a stream is written."""

    @property
    def name(self) -> str:
        """How it is called in reports: ``openai-chat``."""
        ...

    def serves(self, path: str) -> bool:
        """Whether a POST to ``path`` is spoken in this dialect."""
        ...

    def asked(self, path: str, body: Mapping[str, Any], /) -> Asked:
        """Return what a request asks for. Raises ``BadRequest``, and nothing else, whatever the body holds."""
        ...

    def answer(self, asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:
        """Return the answer: ``usage`` is told as the vendor tells it, or left out where it is None.

        ``ident`` is a name of the request that is the same in every run; ids in the answer are made of it.
        """
        ...

    def heard(self, answer: Answer) -> tuple[Reply, Usage | None]:
        """Return what an answer of the vendor says, plain or streamed: the first choice, and the usage that it tells.

        Raises ``BadRequest`` for what is no answer of this vendor.
        """
        ...

    def error(self, status: int, message: str, code: str = "") -> Answer:
        """Return an error in the vendor's shape; ``code`` names another kind than the usual one of the status."""
        ...
