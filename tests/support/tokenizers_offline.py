"""Real tokenizers whose vocabulary is shipped inside a package: nothing is downloaded, at test time or ever.

Each comes with what is claimed of it: the most tokens that it makes of a text of so many bytes. The claim is derived
from how the tokenizer works and not from trying it out; ``tests/quality/test_tokenizers.py`` hunts for a text above it.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

Counter = Callable[[str], int]
"""How many tokens a text is."""


@dataclass(frozen=True, slots=True)
class Offline:
    """One tokenizer: at most ``floor(factor x bytes) + extra`` tokens, because ``why``.

    ``packages`` are the importable names that it needs. ``through`` names the normalisation that it applies first.
    """

    name: str
    kind: str
    packages: tuple[str, ...]
    through: str
    factor: Fraction
    extra: int
    why: str
    load: Callable[[], Counter]

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)

    def most(self, size: int) -> int:
        """Return the most tokens that are claimed of a text of ``size`` bytes."""
        return int(self.factor * size) + self.extra


def _file(package: str, name: str) -> Path:
    return Path(str(resources.files(package) / name))


def _quietly(name: str) -> Any:
    """Import an extension whose generated code warns on newer Pythons."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(name)


@cache
def load_tekken() -> Counter:
    """Return the counter of Mistral's byte-level BPE; the merging is done by ``tiktoken``."""
    tekken = _quietly("mistral_common.tokens.tokenizers.tekken")
    made = tekken.Tekkenizer.from_file(_file("mistral_common", "data/tekken_240911.json"))
    return lambda text: len(made.encode(text, bos=False, eos=False))


@cache
def load_sentencepiece() -> Counter:
    """Return the counter of Mistral's SentencePiece BPE, which writes unknown characters as bytes."""
    made = _quietly("sentencepiece").SentencePieceProcessor(
        model_file=str(_file("mistral_common", "data/mistral_instruct_tokenizer_240323.model.v3"))
    )
    return lambda text: len(made.encode(text))


@cache
def load_claude() -> Counter:
    """Return the counter that ``anthropic`` shipped until version 0.38: NFKC, then byte-level BPE."""
    made = _quietly("tokenizers").Tokenizer.from_file(str(_file("anthropic", "tokenizer.json")))
    return lambda text: len(made.encode(text, add_special_tokens=False).ids)


def _load_blingfire(model: str) -> Counter:
    fire = _quietly("blingfire")
    handle = fire.load_model(str(_file("blingfire", model)))

    def count(text: str) -> int:
        room = 8 * len(text.encode()) + 8
        found = len(fire.text_to_ids(handle, text, room, 0, True))
        assert found < room, "the buffer was too small to count in"
        return found

    return count


@cache
def load_bert() -> Counter:
    """Return the counter of BERT's WordPiece (base, uncased), without its two marks around a text."""
    return _load_blingfire("bert_base_tok.bin")


@cache
def load_xlm_roberta() -> Counter:
    """Return the counter of XLM-RoBERTa's SentencePiece unigram model, without its two marks around a text."""
    return _load_blingfire("xlm_roberta_base.bin")


OFFLINE = (
    Offline(
        "tekken",
        "byte-level BPE",
        ("mistral_common", "tiktoken"),
        "",
        Fraction(1),
        0,
        "it starts from one token a byte, and merging only makes them fewer",
        load_tekken,
    ),
    Offline(
        "mistral-v3",
        "SentencePiece BPE, unknown characters as bytes",
        ("mistral_common", "sentencepiece"),
        "",
        Fraction(1),
        1,
        "a space is put before the text, which may stay a token of its own",
        load_sentencepiece,
    ),
    Offline(
        "claude-2",
        "byte-level BPE after NFKC",
        ("anthropic", "tokenizers"),
        "NFKC",
        Fraction(11),
        0,
        "at most one token a byte of the normalised text, which has up to 11 bytes for one",
        load_claude,
    ),
    Offline(
        "bert-uncased",
        "WordPiece after lower case and NFD, without marks",
        ("blingfire",),
        "unmarked",
        Fraction(1),
        0,
        "a token covers a character that is left, and of one byte at most one is left",
        load_bert,
    ),
    Offline(
        "xlm-roberta",
        "SentencePiece unigram after NFKC",
        ("blingfire",),
        "NFKC",
        Fraction(6),
        1,
        "a token covers a character of the normalised text, up to 18 of 3 bytes, and a space is put before it",
        load_xlm_roberta,
    ),
)
"""Five tokenizers of four families."""


@cache
def chat_template(tools: int) -> Counter:
    """Return how many tokens a user message is as Mistral's current chat template sends it, with so many tools."""
    mistral = _quietly("mistral_common.tokens.tokenizers.mistral")
    instruct = "mistral_common.protocol.instruct"
    messages, request, calls = (_quietly(f"{instruct}.{name}") for name in ("messages", "request", "tool_calls"))
    made = mistral.MistralTokenizer.v3(is_tekken=True)
    offered = [calls.Tool(function=calls.Function(name=f"weather_{n}", **TOOL)) for n in range(tools)] or None

    def count(text: str) -> int:
        asked = request.ChatCompletionRequest(messages=[messages.UserMessage(content=text)], tools=offered)
        return len(made.encode_chat_completion(asked).tokens)

    return count


TOOL: dict[str, Any] = {
    "description": "Tell the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The name of the city."},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
}
"""A tool of ordinary size, as a program offers it to a model."""
