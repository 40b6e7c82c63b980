"""Server-sent events: written, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from capsound_checker.wire.dialects.shapes import Answer, BadRequest

EVENTS = "text/event-stream"
JSON = "application/json"


def written(document: object) -> bytes:
    """Return a document as the bytes of JSON."""
    return json.dumps(document).encode()


def plain_answer(document: object, status: int = 200) -> Answer:
    """Return an answer of one document."""
    return Answer(status, JSON, (written(document),))


def event(data: object, name: str = "") -> bytes:
    """Return one event."""
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + written(data) + b"\n\n"


def pieces(text: str) -> list[str]:
    """Cut a text into at least two pieces where it can be: a stream of one piece cannot be left in the middle."""
    middle = max(1, len(text) // 2)
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def documents(answer: Answer) -> list[Mapping[str, Any]]:
    """Return the documents of an answer: one for a plain one, one for each event of a stream. Raises ``BadRequest``."""
    text = b"".join(answer.chunks).decode("utf-8", "replace")
    if EVENTS in answer.content_type:
        texts = [
            "\n".join(line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:"))
            for block in text.replace("\r\n", "\n").split("\n\n")
        ]
        texts = [one for one in texts if one and one != "[DONE]"]
    else:
        texts = [text]
    try:
        found = [json.loads(one) for one in texts]
    except (ValueError, RecursionError) as error:
        raise BadRequest("the answer is no JSON", cause=str(error)) from None
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    if not found or not all(isinstance(one, dict) for one in found):
        raise BadRequest("the answer is no object")
    return found


def tokens(told: Mapping[str, Any], key: str) -> int:
    """Return a count of a usage, 0 where it is not told. Raises ``BadRequest`` for what is none."""
    value = told.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"the usage tells `{key}` as no count")
    return value


def parsed(arguments: object) -> dict[str, Any]:
    """Return the arguments of a call, given as JSON or as a text of it. Raises ``BadRequest``."""
    try:
        data = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        raise BadRequest("the arguments of a call are no JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("the arguments of a call are no object")
    return data
