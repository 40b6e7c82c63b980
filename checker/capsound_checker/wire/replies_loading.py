"""``--replies``: a file of rules, a directory of recordings, or a function of Python, told by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from capsound_checker.intake.limits import cut
from capsound_checker.wire.replies import BadReplies, Replies, Source
from capsound_checker.wire.replies_cassettes import load_cassettes
from capsound_checker.wire.replies_function import Function
from capsound_checker.wire.replies_rules import load_rules

_HINT = "give rules.json, a directory of recordings, or file.py:function"


def load_replies(given: Sequence[str]) -> Replies:
    """Return who decides the replies, in the order of the arguments. Raises ``BadReplies`` and ``CannotRead``.

    ``close`` ends the processes that it holds.
    """
    sources: list[Source] = []
    try:
        for one in given:
            sources.append(_source(one))  # noqa: PERF401  those before one that fails have to be closed
    except BaseException:
        Replies(tuple(sources)).close()
        raise
    return Replies(tuple(sources))


def _source(given: str) -> Source:
    try:
        if Path(given).is_dir():
            return load_cassettes(Path(given))
        path, _, name = given.rpartition(":")
        if path.endswith(".py"):
            if not Path(path).is_file():
                raise BadReplies(f"there is no file {cut(path)}", hint=_HINT)
            if not name.isidentifier():
                raise BadReplies(f"{cut(name)} is no name of a function", hint=_HINT)
            function = Function(Path(path), name)
            try:
                function.load()
            except BaseException:
                function.close()
                raise
            return function
    except (OSError, ValueError) as problem:
        raise BadReplies(f"cannot read {cut(given)}: {problem}", hint=_HINT) from None
    if given.endswith(".py"):
        raise BadReplies(f"{cut(given)} names no function", hint=f"{_HINT}: {cut(given)}:answer")
    return load_rules(Path(given))
