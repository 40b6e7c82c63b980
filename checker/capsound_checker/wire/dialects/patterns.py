"""The shortest text that a regular expression matches, for the expressions that schemas hold.

Literals, classes, groups, alternatives and counts are read; whoever looks around or back is refused. Nothing is
searched for: a text is written from left to right, so that no expression can make it take long.
"""

from __future__ import annotations

from collections.abc import Iterator

LONGEST = 1_000
"""The longest text that is written, and the longest expression that is read."""

_ESCAPES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_LIKELY = "a0A-_ .@"


class NotRead(ValueError):
    """An expression that is not read here; the text says why."""


def shortest(pattern: str) -> str:
    """Return a short text that ``pattern`` matches, for ``re`` to confirm. Raises ``NotRead``."""
    if len(pattern) > LONGEST:
        raise NotRead("the pattern is too long")
    reader = _Reader(pattern)
    text = reader.alternatives(0)
    # `re` has the last word, and must not take for ever: what loops in loops is tried on a short text only.
    if len(text) > (LONGEST if reader.loops < 2 else 200 if reader.loops == 2 and not reader.nested else 20):
        raise NotRead("the pattern loops too often for a text of that length")
    if reader.at < len(pattern):
        raise NotRead("a bracket of the pattern is closed that was not opened")
    return text


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.loops = 0
        self.nested = False

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        if self.at >= len(self.pattern):
            raise NotRead("the pattern ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def alternatives(self, depth: int) -> str:
        if depth > 20:
            raise NotRead("the pattern is nested too deeply")
        found = [self.sequence(depth)]
        while self.peek() == "|":
            self.take()
            found.append(self.sequence(depth))
        return min(found, key=len)

    def sequence(self, depth: int) -> str:
        text = ""
        while self.peek() not in ("", "|", ")"):
            loops = self.loops
            one = self.atom(depth)
            inner = self.loops > loops
            loops = self.loops
            text += one * self.count()
            self.nested = self.nested or (inner and self.loops > loops)
            if len(text) > LONGEST:
                raise NotRead("what the pattern demands is too long")
        return text

    def atom(self, depth: int) -> str:
        char = self.take()
        if char in "^$":
            return ""
        if char == ".":
            return "a"
        if char == "[":
            return self.among()
        if char == "\\":
            return self.escaped()
        if char == "(":
            if self.peek() == "?":
                self.group()
            text = self.alternatives(depth + 1)
            if self.take() != ")":
                raise NotRead("a bracket of the pattern is not closed")
            return text
        return char

    def group(self) -> None:
        """Step over what names a group; what looks around is not read."""
        for start in ("?:", "?P<", "?<"):
            if self.pattern.startswith(start, self.at) and self.pattern[self.at + 2 : self.at + 3] not in ("=", "!"):
                end = self.at + 2 if start == "?:" else self.pattern.find(">", self.at) + 1
                if end > 0:
                    self.at = end
                    return
        raise NotRead("the pattern looks ahead or behind, or sets a flag")

    def escaped(self) -> str:
        char = self.take()
        if char in "bBAZz":
            return ""
        if char in "xu":
            digits = "".join(self.take() for _ in range(2 if char == "x" else 4))
            try:
                return chr(int(digits, 16))
            except ValueError:
                raise NotRead("the pattern has a code that is none") from None
        if char.isdigit() or char in "pPk":
            raise NotRead("the pattern refers back, or to a property of letters")
        return _ESCAPES.get(char, char)

    def among(self) -> str:
        """Read a class, and return one of its members."""
        negated = self.peek() == "^"
        if negated:
            self.take()
        spans: list[tuple[str, str]] = []
        while self.peek() != "]" or not spans:
            low = self.member()
            high = low
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] != "]":
                self.take()
                high = self.member()
            spans.append((low, high))
        self.take()
        if not negated:
            return spans[0][0]
        for char in _LIKELY + "".join(map(chr, range(33, 127))):
            if not any(low <= char <= high for low, high in spans):
                return char
        raise NotRead("a class of the pattern leaves nothing that can be printed")

    def member(self) -> str:
        char = self.take()
        return self.escaped() or "\b" if char == "\\" else char

    def count(self) -> int:
        """Return how often the last part has to come at least."""
        char = self.peek()
        if char in ("*", "?", "+"):
            self.take()
            least = 1 if char == "+" else 0
            self.loops += char != "?"
        elif char == "{" and (found := self.braces()) is not None:
            least = found
        else:
            return 1
        if self.peek() in ("?", "+"):
            self.take()
        return least

    def braces(self) -> int | None:
        end = self.pattern.find("}", self.at)
        parts = self.pattern[self.at + 1 : end].split(",") if end > 0 else []
        if not parts or len(parts) > 2 or not all(_digits(parts)):
            return None
        self.at = end + 1
        self.loops += len(parts) == 2
        least = int(parts[0] or 0)
        if least > LONGEST:
            raise NotRead("what the pattern demands is too long")
        return least


def _digits(parts: list[str]) -> Iterator[bool]:
    for part in parts:
        yield part == "" or (part.isascii() and part.isdecimal() and len(part) < 6)
