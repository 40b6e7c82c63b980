"""OpenAI embeddings, as lists of numbers or as base64."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

from capsound_checker.wire.dialects import openai_common
from capsound_checker.wire.dialects.reading import canonical, clean, items, plain, string, whole
from capsound_checker.wire.dialects.shapes import Answer, Asked, BadRequest, Reply, Usage
from capsound_checker.wire.dialects.streams import documents, plain_answer, tokens

name = "openai-embeddings"

error = openai_common.error

MOST = 2048
"""How many inputs a request has at most."""

DIMENSIONS: Mapping[str, int] = {"text-embedding-3-large": 3072}
"""How long the vectors of a model are where it is not the usual length."""

USUAL = 1536
LONGEST = 8192


def serves(path: str) -> bool:
    """Whether a POST to ``path`` asks for embeddings."""
    return plain(path).endswith("/embeddings")


def asked(_path: str, body: Mapping[str, Any], /) -> Asked:
    """Return what a request asks for: no output at all. Raises ``BadRequest``."""
    model = string(body, "model")
    given = body.get("input")
    inputs = given if isinstance(given, list) and not _numbers(given) else [given]
    if not inputs or len(inputs) > MOST:
        raise BadRequest(f"`input` has {len(inputs)} parts: from 1 to {MOST:,} are taken")
    texts, beside = [], 0
    for one in inputs:
        if isinstance(one, str):
            texts.append(clean(one))
        elif isinstance(one, list) and one and _numbers(one):
            texts.append("")
            beside += len(one)
        else:
            raise BadRequest("`input` is neither a text, nor tokens, nor a list of either")
    encoding = string(body, "encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise BadRequest(f"`encoding_format` is {encoding[:40]!r}: it is float or base64")
    dimensions = whole(body, "dimensions") or DIMENSIONS.get(model, USUAL)
    if dimensions > LONGEST:
        raise BadRequest(f"`dimensions` is {dimensions}: at most {LONGEST:,} are made")
    vectors = tuple(
        ("input", text or hashlib.sha256(canonical(one).encode()).hexdigest())
        for text, one in zip(texts, inputs, strict=True)
    )
    return Asked(
        name,
        model,
        "\n".join(text for text in texts if text),
        0,
        choices=len(inputs),
        said=texts[-1],
        beside=beside,
        default=Reply(""),
        details=(("encoding", encoding), ("dimensions", dimensions), *vectors),
    )


def _numbers(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(one, int) and not isinstance(one, bool) for one in given)


def answer(asked: Asked, reply: Reply, usage: Usage | None, ident: str) -> Answer:  # noqa: ARG001  as all dialects
    """Return a vector for each input: of length 1, the same for the same text, whatever the model."""
    details = dict(asked.details)
    inputs = [str(value) for key, value in asked.details if key == "input"]
    vectors = [vector(text, int(details["dimensions"])) for text in inputs]
    shown: list[Any] = [list(one) for one in vectors]
    if details["encoding"] == "base64":
        shown = [base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode() for one in vectors]
    document: dict[str, Any] = {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(shown)],
        "model": asked.model,
    }
    if usage is not None:
        document["usage"] = {"prompt_tokens": usage.input, "total_tokens": usage.input}
    return plain_answer(document)


def vector(text: str, dimensions: int) -> tuple[float, ...]:
    """Return a vector of length 1 that is the same for the same text."""
    raw = hashlib.shake_256(text.encode()).digest(2 * dimensions)
    numbers = [high * 256 + low - 32_767.5 for high, low in zip(raw[::2], raw[1::2], strict=True)]
    length = math.sqrt(math.fsum(number * number for number in numbers))
    return tuple(round(number / length, 9) for number in numbers)


def heard(answer: Answer) -> tuple[Reply, Usage | None]:
    """Return the usage that an answer tells; it says nothing. Raises ``BadRequest``."""
    document = documents(answer)[0]
    if not items(document, "data"):
        raise BadRequest("the answer has no embeddings")
    usage = document.get("usage")
    if usage is None:
        return Reply(""), None
    if not isinstance(usage, dict):
        raise BadRequest("the usage is no object")
    return Reply(""), Usage(tokens(usage, "prompt_tokens"), 0)
