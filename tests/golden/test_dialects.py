"""What each dialect sends, byte for byte: plain, streamed, and as an error. ``UPDATE_GOLDEN=1`` writes ``dialects/`` anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from exchanges import PATHS, USAGE, ask, conversation

from capsound_checker.wire.dialects.registry import DIALECTS
from capsound_checker.wire.dialects.shapes import Answer, Dialect, Reply, ToolCall

HERE = Path(__file__).resolve().parent / "dialects"
REPLY = Reply("Let me look.", (ToolCall("plan", {"city": "Oslo"}),))


def shown(answer: Answer) -> str:
    bodies = "".join(chunk.decode() + ("" if chunk.endswith(b"\n") else "\n") for chunk in answer.chunks)
    return f"{answer.status} {answer.content_type}\n{bodies}"


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_bytes_of_an_answer(dialect: Dialect) -> None:
    asked = replace(ask(dialect.name, conversation(dialect.name)), stream=False)
    if dialect.name == "openai-embeddings":
        asked = dialect.asked(PATHS[dialect.name], {"model": "m", "input": ["a", "b"], "dimensions": 3})
    answers = [dialect.answer(asked, REPLY, USAGE, "plan.3f"), dialect.error(429, "too fast"), dialect.error(500, "no")]
    if dialect.name != "openai-embeddings":
        answers.insert(1, dialect.answer(replace(asked, stream=True), REPLY, USAGE, "plan.3f"))
    text = "\n".join(shown(answer) for answer in answers)
    expected = HERE / f"{dialect.name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()
