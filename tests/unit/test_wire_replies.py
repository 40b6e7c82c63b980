"""What the model says: rules, recordings and functions, by the content of a request and never by its order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchanges import PATHS, TALKING, USAGE, ask, conversation

from capsound.errors import CapsoundError
from capsound_checker.wire.dialects.counting import input_tokens
from capsound_checker.wire.dialects.registry import dialect_named
from capsound_checker.wire.dialects.shapes import Asked, Reply, ToolCall, Usage
from capsound_checker.wire.replies import BadReplies, Progress, Replies, Said, content
from capsound_checker.wire.replies_function import Function
from capsound_checker.wire.replies_loading import load_replies


def chat(said: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": said}], **more}


def asked(body: dict[str, Any]) -> Asked:
    return ask("openai-chat", body)


def hear(replies: Replies, *bodies: dict[str, Any]) -> tuple[list[Said], Progress]:
    progress, heard = Progress(), []
    for body in bodies:
        said, progress = replies.say(progress, asked(body), body)
        heard.append(said)
    return heard, progress


def rules(folder: Path, text: str | list[Any]) -> Replies:
    file = folder / "rules.json"
    file.write_text(text if isinstance(text, str) else json.dumps(text))
    return load_replies([str(file)])


# ------------------------------------------------------------------------------------------------- rules


def test_without_rules_the_default_is_said_and_counted() -> None:
    heard, progress = hear(Replies(), chat("a"), chat("a"), chat("b"))
    assert [said.reply for said in heard] == [Reply("Done.")] * 3
    assert progress.unmatched == 3
    assert Progress().unmatched == 0, "the progress of one run is not that of the next"


def test_the_first_rule_that_matches_speaks(tmp_path: Path) -> None:
    found = rules(
        tmp_path,
        [
            {"when": {"said": "plan", "turn": 1}, "text": "Go to Oslo.", "usage": {"output": 20}},
            {"when": {"said": {"regex": "^Where.*Ö$"}}, "calls": [{"name": "plan", "arguments": {"city": "Oslo"}}]},
            {"when": {"system": "critic", "model": {"regex": "^m$"}}, "text": "No."},
            {"when": {"tool": "plan"}, "text": "tool"},
            {"when": {"said": "long"}, "truncated": True},
        ],
    )
    first, second = conversation("openai-chat", 0), conversation("openai-chat", 1)
    second["messages"][1]["content"] = "plan it"
    critic = {"model": "m", "messages": [{"role": "system", "content": "a critic"}, {"role": "user", "content": "x"}]}
    other = conversation("openai-chat", 2)
    other["messages"][1]["content"] = "x"
    heard, progress = hear(found, first, second, critic, other, chat("long"), chat("nothing"))
    assert [said.source for said in heard] == ["rule 2", "rule 1", "rule 3", "rule 4", "rule 5", "default"]
    assert heard[0].reply == Reply("", (ToolCall("plan", {"city": "Oslo"}),))
    assert heard[1].usage == Usage(input_tokens(asked(second)), 20)
    assert heard[4].reply == Reply("Done.", (), truncated=True)
    assert progress.unmatched == 1
    assert progress.used["rule 3"] == 1


def test_times_counts_equal_requests_and_no_others(tmp_path: Path) -> None:
    """Two agents that ask different things hear the same, whoever comes first."""
    found = rules(
        tmp_path, [{"text": "one", "times": 1}, {"text": "two", "times": 2}, {"when": {"said": "a"}, "text": "last"}]
    )
    a, b = chat("a"), chat("b")
    orders = [[a, a, b, a, b, a, a], [b, b, a, a, a, a, a]]
    for order in orders:
        heard, _ = hear(found, *order)
        said = [(body["messages"][0]["content"], one.reply.text) for body, one in zip(order, heard, strict=True)]
        assert [text for who, text in said if who == "a"] == ["one", "two", "two", "last", "last"]
        assert [text for who, text in said if who == "b"] == ["one", "two"]


def test_what_the_model_does_not_read_makes_no_other_request() -> None:
    plain = content("openai-chat", "m", chat("a"))
    assert plain == content("openai-chat", "m", chat("a", stream=True, user="u", metadata={"run": "7"}))
    assert plain != content("openai-chat", "m", chat("b"))
    assert plain != content("openai-chat", "other", chat("a"))


@pytest.mark.parametrize("name", TALKING)
def test_ids_are_numbered(name: str) -> None:
    body = conversation(name, 2)
    other = json.loads(json.dumps(body).replace('"call_0', '"x_0').replace('"toolu_1', '"a_1'))
    assert content(name, "m", body) == content(name, "m", other)
    changed = json.loads(json.dumps(body).replace("Oslo", "Rome"))
    assert content(name, "m", body) != content(name, "m", changed)


BAD_RULES: list[tuple[str | list[Any], str, int]] = [
    ("[\n{]", "is no JSON", 2),
    ("{}", "no list of rules", 1),
    ("[]", "no list of rules", 1),
    ('[\n{"text": "a"},\n\n  {"txt": "b"}]', "unknown key: txt", 4),
    ('[\n"a",\n3]', "rule 1 is no object", 2),
    ('[{"text": 3}]', "`text` is no text", 1),
    ('[{"when": {"sayd": "x"}}]', "cannot ask for sayd", 1),
    ('[{"when": {"said": {"regex": "("}}}]', "no regular expression", 1),
    ('[{"when": {"said": 3}}]', "neither a text nor an expression", 1),
    ('[{"when": {"turn": -1}}]', "`turn` is -1", 1),
    ('[{"times": 0}]', "`times` is 0", 1),
    ('[{"calls": [{"arguments": {}}]}]', "a call is", 1),
    ('[{"calls": [{"name": "a", "arguments": []}]}]', "arguments of a are no object", 1),
    ('[{"usage": {"in": 3}}]', "a usage has no in", 1),
    ('[{"usage": {"input": 1.5}}]', "`input` is 1.5", 1),
    ('[{"truncated": 1}]', "`truncated` is neither", 1),
]


@pytest.mark.parametrize(("text", "words", "line"), BAD_RULES)
def test_a_bad_rule_is_named_with_its_line(tmp_path: Path, text: str, words: str, line: int) -> None:
    with pytest.raises(BadReplies) as raised:
        rules(tmp_path, text)
    assert words in raised.value.message
    assert raised.value.where.endswith(f"rules.json:{line}")


def test_a_usage_that_contradicts_itself_is_named(tmp_path: Path) -> None:
    found = rules(tmp_path, [{"text": "x", "usage": {"input": 5, "cached": 6}}])
    with pytest.raises(BadReplies, match="rule 1 says a usage that contradicts itself: 6 cached"):
        hear(found, chat("a"))


@pytest.mark.parametrize("given", ["nothing.json", "nothing.py:f", "replies.py", "\0", ""])
def test_what_is_not_there(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CapsoundError) as raised:
        load_replies([given])
    assert raised.value.hint


# --------------------------------------------------------------------------------------------- recordings

REPLY = Reply("Let me look.", (ToolCall("plan", {"city": "Oslo"}),))


def record(folder: Path, name: str, stream: bool, file: str = "a.json", reply: Reply = REPLY, **change: Any) -> None:
    dialect, body = dialect_named(name), conversation(name)
    path = PATHS[name].replace(":generate", ":streamGenerate") if stream and name == "gemini" else PATHS[name]
    if stream and name != "gemini":
        body |= {"stream": True}
    if stream and name == "openai-chat":
        body |= {"stream_options": {"include_usage": True}}
    made = dialect.answer(dialect.asked(path, body), reply, USAGE, "recorded")
    chunks = [chunk.decode() for chunk in made.chunks]
    response = {"status": 200, **({"chunks": chunks} if stream else {"body": json.loads(chunks[0])}), **change}
    (folder / file).write_text(json.dumps({"request": {"path": path, "body": body}, "response": response}))


@pytest.mark.parametrize("name", TALKING)
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_a_recording_serves_both_forms(tmp_path: Path, name: str, recorded: bool, wanted: bool) -> None:
    record(tmp_path, name, recorded)
    body = conversation(name)
    path = PATHS[name]
    if wanted:
        path = path.replace(":generate", ":streamGenerate")
        body |= {} if name == "gemini" else {"stream": True}
        body |= {"stream_options": {"include_usage": True}} if name == "openai-chat" else {}
    request = dialect_named(name).asked(path, body)
    said, progress = load_replies([str(tmp_path)]).say(Progress(), request, body)
    assert said.reply == REPLY
    assert said.usage is not None
    assert (said.usage.input, said.usage.output) == (120, 30)
    assert (said.recorded is not None) == (recorded == wanted)
    assert progress.used == {"a.json": 1}


def test_recordings_of_one_request_follow_each_other(tmp_path: Path) -> None:
    record(tmp_path, "openai-chat", False, "1.json", Reply("one"))
    record(tmp_path, "openai-chat", False, "2.json", Reply("two"))
    body = conversation("openai-chat")
    heard, progress = hear(load_replies([str(tmp_path)]), body, body, body, chat("other"))
    assert [said.reply.text for said in heard] == ["one", "two", "two", "Done."]
    assert progress.unmatched == 1


def test_recordings_stand_before_rules_in_the_order_given(tmp_path: Path) -> None:
    record(tmp_path, "openai-chat", False)
    file = tmp_path / "rules.txt"
    file.write_text('[{"text": "rule"}]')
    for given, source in (([str(tmp_path), str(file)], "a.json"), ([str(file), str(tmp_path)], "rule 1")):
        assert hear(load_replies(given), conversation("openai-chat"))[0][0].source == source


BAD_RECORDINGS = [
    ("{", "is no JSON"),
    ("[]", "no `request`"),
    ('{"request": {"path": "/x", "body": {}}, "response": {"body": {}}}', "nobody speaks"),
    ('{"request": {"path": "/v1/messages", "body": 3}, "response": {"body": {}}}', "is no object"),
    ('{"request": {"path": "/v1/messages", "body": {}}, "response": {}}', "neither a body nor chunks"),
    (
        '{"request": {"path": "/v1/messages", "body": {}}, "response": {"status": 500, "body": {}}}',
        "has the status 500",
    ),
    ('{"request": {"path": "/v1/messages", "boddy": {}}, "response": {"body": {}}}', "unknown key: boddy"),
    (
        '{"request": {"path": "/v1/messages", "body": {}}, "response": {"body": {}}}',
        "no exchange in anthropic-messages",
    ),
]


@pytest.mark.parametrize(("text", "words"), BAD_RECORDINGS)
def test_a_bad_recording_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadReplies) as raised:
        load_replies([str(tmp_path)])
    assert words in raised.value.message
    assert "a.json" in raised.value.where


def test_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(BadReplies, match="holds no recording"):
        load_replies([str(tmp_path)])


# ---------------------------------------------------------------------------------------------- functions


@pytest.fixture
def function(tmp_path: Path) -> Iterator[Any]:
    made: list[Function] = []

    def write(code: str, seconds: float = 10.0) -> Replies:
        file = tmp_path / "said.py"
        file.write_text(code)
        one = Function(file, "answer", seconds)
        made.append(one)
        one.load()
        return Replies((one,))

    yield write
    for one in made:
        one.close()


def test_a_function_decides(function: Any) -> None:
    found = function(
        "import random\n"
        "print('loaded')\n"
        "def answer(asked, body):\n"
        "    print('called', flush=True)\n"
        "    if asked.said == 'random': return str(random.random())\n"
        "    if asked.said == 'none': return None\n"
        "    if asked.said == 'call': return {'calls': [{'name': 'plan'}], 'usage': {'input': 9, 'output': 4}}\n"
        "    return body['messages'][0]['content'].upper()\n"
    )
    heard, progress = hear(found, chat("a"), chat("random"), chat("random"), chat("none"), chat("call"))
    assert heard[0].reply == Reply("A")
    assert heard[0].source == "answer()"
    assert heard[1].reply == heard[2].reply, "what was said of a content is kept"
    assert hear(found, chat("random"))[0][0].reply == heard[1].reply, "in the next run too"
    assert heard[3].reply == Reply("Done.")
    assert (heard[4].reply.calls, heard[4].usage) == ((ToolCall("plan", {}),), Usage(9, 4))
    assert progress.unmatched == 1


def test_a_function_may_return_a_reply(function: Any) -> None:
    found = function(
        "from capsound_checker.wire.dialects.shapes import Reply, ToolCall\n"
        "def answer(asked, body):\n"
        "    return Reply('x', (ToolCall('plan', {'city': 'Oslo'}),), truncated=True)\n"
    )
    assert hear(found, chat("a"))[0][0].reply == Reply("x", (ToolCall("plan", {"city": "Oslo"}),), truncated=True)


HOSTILE = [
    ("def answer(asked, body):\n    return 1 / 0", "raised an error", "ZeroDivisionError", "said.py:2"),
    ("import sys\ndef answer(asked, body):\n    sys.exit(3)", "raised an error", "SystemExit", "said.py:3"),
    ("import os\ndef answer(asked, body):\n    os._exit(3)", "ended the process", "exit status 3", "said.py"),
    ("def answer(asked, body):\n    return object()", "raised an error, or returned", "TypeError", "said.py"),
    ("def answer(asked, body):\n    return 3", "which is no reply", "int", "said.py"),
    ("def answer(asked, body):\n    return {'txt': 'x'}", "unknown key: txt", "", "said.py"),
    ("def answer(asked, body):\n    return 'x' * (17 << 20)", "ended the process", "", "said.py"),
    ("def answer(asked):\n    return 'x'", "raised an error", "TypeError", "said.py"),
    ("def answer(asked, body):\n    return answer(asked, body)", "raised an error", "RecursionError", "said.py:2"),
]


@pytest.mark.parametrize(("code", "words", "cause", "where"), HOSTILE)
def test_a_function_that_misbehaves(function: Any, code: str, words: str, cause: str, where: str) -> None:
    found = function(code)
    for _ in range(2):
        with pytest.raises(BadReplies) as raised:
            hear(found, chat("a"))
        assert words in raised.value.message
        assert cause in raised.value.cause
        assert raised.value.where.endswith(where)


def test_a_function_that_hangs(function: Any) -> None:
    found = function("def answer(asked, body):\n    while True: pass", 0.5)
    with pytest.raises(BadReplies, match=r"did not return within 0.5 s"):
        hear(found, chat("a"))


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("x = ", "SyntaxError"),
        ("import nothing_such", "ModuleNotFoundError"),
        ("y = 1", "no function answer"),
        ("answer = 3", "no function answer"),
        ("import sys; sys.exit(0)", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_loaded(function: Any, code: str, cause: str) -> None:
    with pytest.raises(BadReplies) as raised:
        function(code)
    assert "cannot be loaded" in raised.value.message
    assert cause in raised.value.cause


def test_a_name_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "said.py").write_text("def answer(asked, body): pass")
    with pytest.raises(BadReplies, match="no name of a function"):
        load_replies([f"{tmp_path / 'said.py'}:an-swer"])
    found = load_replies([f"{tmp_path / 'said.py'}:answer"])
    assert hear(found, chat("a"))[1].unmatched == 1
    found.close()


# ------------------------------------------------------------------------------- what docs/wire-dialects.md shows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "replies"


def test_the_rules_of_the_page() -> None:
    found = load_replies([str(EXAMPLES / "rules.json")])
    first, second = conversation("openai-chat", 0), conversation("openai-chat", 1)
    for body in (first, second):
        body["messages"][1]["content"] = "Please plan a trip"
    vote = {"type": "function", "function": {"name": "vote", "parameters": {}}}
    talk = [{"role": "system", "content": "You are the critic."}, {"role": "user", "content": "Yes?"}]
    critic = {"model": "m", "messages": talk, "tools": [vote]}
    heard, _ = hear(found, first, second, critic, critic)
    assert [said.source for said in heard] == ["rule 1", "rule 2", "rule 3", "default"]
    assert heard[1].usage == Usage(input_tokens(asked(second)), 40, reasoning=25)


def test_the_function_of_the_page() -> None:
    found = load_replies([f"{EXAMPLES / 'said.py'}:answer"])
    search = {"type": "function", "function": {"name": "search", "parameters": {}}}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    heard, _ = hear(found, chat("hotels", tools=[search]), chat("hotels"), chat("x", response_format=shape))
    found.close()
    assert heard[0].reply.calls == (ToolCall("search", {"query": "hotels"}),)
    assert heard[1].reply.text == "m read 1 messages."
    assert heard[2].source == "default"


def test_the_recording_of_the_page() -> None:
    found = load_replies([str(EXAMPLES / "recordings")])
    body = json.loads((EXAMPLES / "recordings" / "first.json").read_text())["request"]["body"]
    said, _ = found.say(Progress(), ask("anthropic-messages", body), body)
    assert said.reply == Reply("To Oslo.")
    assert said.usage == Usage(11, 6)
    assert said.recorded is not None
    streamed = {**body, "stream": True}
    said, _ = found.say(Progress(), ask("anthropic-messages", streamed), streamed)
    assert said.recorded is None
    assert said.reply == Reply("To Oslo.")
