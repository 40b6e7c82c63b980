"""Real tokenizers on hostile text: no prompt is above what is claimed, and the worst one found is in the book.

The vocabularies are inside packages of the extra ``tokenizers``; a tokenizer whose package is not installed is skipped
by name. Every hunt is without chance: the same text, the same worst prompt.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings, target
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from tokenizers_offline import OFFLINE, Counter, Offline, chat_template

from capsound_proofs.expansion import STATED, TRANSFORMS, largest_expansion, scalars, text_factor, utf8

BOOK = Path(__file__).resolve().parent.parent.parent / "docs/tokenizers.md"

each = pytest.mark.parametrize("offline", OFFLINE, ids=lambda offline: offline.name)


def counter(offline: Offline) -> Counter:
    if offline.missing:
        pytest.skip(f"{offline.name} needs {', '.join(offline.missing)}: pip install -e '.[tokenizers]'")
    return offline.load()


# ------------------------------------------------------------------------------------- what is looked at


@cache
def growing() -> list[str]:
    """Return the characters that NFKC makes longer, those that grow most first."""
    normal = TRANSFORMS["NFKC"]
    grown = [(Fraction(utf8(normal(c)), utf8(c)), c) for c in scalars() if utf8(normal(c)) > utf8(c)]
    return [c for _, c in sorted(grown, key=lambda pair: (-pair[0], pair[1]))]


@cache
def marks() -> list[str]:
    """Return the combining marks, of which any number may follow one letter."""
    return [c for c in scalars() if unicodedata.category(c) == "Mn"]


@cache
def prompts() -> st.SearchStrategy[str]:
    """Text of any characters, or of one kind that troubles tokenizers, or of all of these mixed."""
    kinds = (
        st.characters(codec="utf-8"),
        st.sampled_from("0123456789.,:;+-*/=<>(){}[]'\"\\_~|"),
        st.sampled_from(" \t\n\r\x00\u00a0\u2003\u200b\u2581"),
        st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        st.sampled_from(marks()),
        st.sampled_from(growing()),
    )
    return st.one_of(*(st.text(kind, max_size=8) for kind in kinds), st.text(st.one_of(*kinds), max_size=16))


def steadily(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate, Phase.target, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


# ------------------------------------------------------------------------------------------- the claims


@each
def test_no_prompt_is_above_the_claimed_bound(offline: Offline) -> None:
    count = counter(offline)

    @steadily(settings.default.max_examples * 3)
    @given(prompts())
    def hunt(prompt: str) -> None:
        size, tokens = utf8(prompt), count(prompt)
        target(tokens / max(1, size), label="tokens per byte")
        target(float(tokens - size), label="tokens above bytes")
        assert tokens <= offline.most(size)

    hunt()


def above(offline: Offline, characters: Iterable[str]) -> list[str]:
    count = counter(offline)
    return [c for c in characters if count(c) > offline.most(utf8(c))]


@each
def test_no_character_that_is_short_or_grows_or_is_a_mark_is_above_the_claimed_bound(offline: Offline) -> None:
    assert above(offline, [*map(chr, range(0x3000)), *growing(), *marks()]) == []


@pytest.mark.deep
@each
def test_no_character_at_all_is_above_the_claimed_bound(offline: Offline) -> None:
    assert above(offline, scalars()) == []


def without_marks(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in plain if unicodedata.category(c) != "Mn")


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("claude-2", lambda: text_factor("NFKC")),  # each looks through all of Unicode: not while tests are collected
        ("bert-uncased", lambda: largest_expansion(without_marks, len).factor),
        ("xlm-roberta", lambda: largest_expansion(TRANSFORMS["NFKC"], len).factor),
    ],
)
def test_the_claimed_factor_is_that_of_the_normalisation(name: str, factor: Callable[[], Fraction]) -> None:
    assert next(offline.factor for offline in OFFLINE if offline.name == name) == factor()


def test_byte_level_bpe_is_its_own_merges() -> None:
    """The merge loop of the theorem, on the vocabulary that is shipped, gives what the tokenizer gives."""
    tekken = next(offline for offline in OFFLINE if offline.name == "tekken")
    count = counter(tekken)
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    ranks = Tekkenizer.from_file(tekken_file())._model._mergeable_ranks

    @steadily(100)
    @given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=24))
    def merged(word: str) -> None:
        tokens = [bytes([byte]) for byte in word.encode()]
        merges = 0
        while True:
            found = [(ranks.get(a + b), at) for at, (a, b) in enumerate(pairwise(tokens))]
            known = [(rank, at) for rank, at in found if rank is not None]
            if not known:
                break
            _, at = min(known)
            tokens[at : at + 2] = [tokens[at] + tokens[at + 1]]
            merges += 1
            assert len(tokens) + merges == len(word.encode())
        assert len(tokens) == count(word)

    merged()


def tekken_file() -> str:
    from importlib import resources

    return str(resources.files("mistral_common") / "data/tekken_240911.json")


# ------------------------------------------------------------------------------------- the worst prompts


@dataclass(frozen=True)
class Worst:
    """A prompt with the largest ratio of tokens to bytes that was found, as small as it could be made."""

    prompt: str
    size: int
    tokens: int

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.tokens, self.size)


def climb(count: Counter, examples: int) -> Worst:
    """Find and shrink a prompt worse than the last one, until none is found."""
    worst: Worst | None = None
    while True:
        least = worst.ratio if worst else Fraction(0)

        def worse(prompt: str, least: Fraction = least) -> bool:
            if not prompt:
                return False
            ratio = Fraction(count(prompt), utf8(prompt))
            target(float(ratio))
            return ratio > least

        try:
            prompt = find(prompts(), worse, settings=steadily(examples))
        except NoSuchExample:
            assert worst is not None
            return worst
        worst = Worst(prompt, utf8(prompt), count(prompt))


def recorded() -> dict[str, tuple[str, int, int, str]]:
    """Return the table of the book: by tokenizer the prompt, its bytes, its tokens and the claim."""
    rows = {}
    for line in BOOK.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 6:
            rows[cells[0].strip("`")] = (ast.literal_eval(cells[3].strip("`")), int(cells[4]), int(cells[5]), cells[2])
    return rows


@each
def test_the_worst_prompt_found_is_the_one_in_the_book(offline: Offline) -> None:
    count = counter(offline)
    prompt, size, tokens, claim = recorded()[offline.name]
    assert (utf8(prompt), count(prompt)) == (size, tokens)
    found = climb(count, settings.default.max_examples * 2)
    assert found.ratio == Fraction(tokens, size), f"write it down: {found}"
    assert found.size <= size, f"a smaller one is as bad: {found}"
    factor = f"{offline.factor} x bytes" if offline.factor != 1 else "bytes"
    assert claim == (f"{factor} + {offline.extra}" if offline.extra else factor)


def test_the_book_names_every_tokenizer_and_no_other() -> None:
    assert list(recorded()) == [offline.name for offline in OFFLINE]


def test_one_token_a_byte_is_exceeded_where_a_text_is_changed_before_it_is_cut() -> None:
    exceeded = {name: tokens > size for name, (_, size, tokens, _) in recorded().items()}
    assert exceeded == {
        "tekken": False,
        "mistral-v3": True,
        "claude-2": True,
        "bert-uncased": False,
        "xlm-roberta": True,
    }


@each
def test_the_excess_over_one_token_a_byte_grows_with_the_text_only_under_nfkc(offline: Offline) -> None:
    """An additive excess is paid once, a factor with every character."""
    count = counter(offline)
    prompt = recorded()[offline.name][0]
    once, often = (count(prompt * n) - utf8(prompt * n) for n in (1, 64))
    if offline.name == "claude-2":
        assert often == 64 * once
    else:
        assert often <= max(0, once)


# ------------------------------------------------------------------------------------------ the template


@pytest.mark.parametrize("margin", [Fraction(1), Fraction(21, 20), Fraction(11, 10), Fraction(2), Fraction(10)])
@pytest.mark.parametrize("tools", [0, 1, 3])
def test_a_chat_template_defeats_every_margin_on_a_small_payload(margin: Fraction, tools: int) -> None:
    counter(OFFLINE[0])
    billed = chat_template(tools)("")
    assert billed > 0
    assert int(margin * utf8("")) < billed
    if margin * 2 < billed:
        assert chat_template(tools)("hi") > int(margin * 2)


OVERHEAD = {0: 3, 1: 95, 3: 273}
"""Tokens of the template by how many tools are offered, as the book says them."""


def test_the_overhead_of_a_template_does_not_depend_on_the_payload() -> None:
    count = counter(OFFLINE[0])
    templates = {tools: chat_template(tools) for tools in (0, 1, 3)}

    @steadily(50)
    @given(prompts())
    def additive(prompt: str) -> None:
        assert {tools: template(prompt) - count(prompt) for tools, template in templates.items()} == OVERHEAD

    additive()


def test_the_stated_worst_character_of_nfkc_is_what_breaks_the_claude_tokenizer() -> None:
    assert recorded()["claude-2"][0] == STATED["NFKC"].character


def test_the_book_has_every_expansion_as_it_is_stated() -> None:
    rows = [
        f"| {name} | {e.factor} | U+{ord(e.character):04X} | {e.before} | {e.after} |" for name, e in STATED.items()
    ]
    assert "\n".join(rows) in BOOK.read_text()
