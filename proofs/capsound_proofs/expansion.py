"""By how much a text can grow before it is cut into tokens: normalisation, case mapping, escaping.

Factors are bytes of UTF-8 after, by bytes before, the largest over every Unicode scalar value. They are computed and
not quoted. For a map that treats characters one by one, the largest factor of one character is that of every text.
Normalisation composes across characters, and there it takes an argument (``composition_grows``):

* decomposed normalisation of a text is that of its characters, put in another order: bytes add up;
* composition replaces a character and a mark by one character that is never longer than the two;
* so NFC and NFKC of a text have at most the bytes of its NFD and NFKD, and factors of single characters bound both.

The detour is needed: NFC of a text can be longer than the NFC of its characters together (``REORDERED``).

Which characters exist depends on the Unicode version of the Python that runs (``unicodedata.unidata_version``).
A later version can only add characters: the normalisation stability policy (Unicode Standard Annex 15, section 3)
fixes the results for all those that are assigned.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from json.encoder import encode_basestring_ascii
from string import ascii_letters, digits
from types import MappingProxyType

Transform = Callable[[str], str]

SURROGATES = range(0xD800, 0xE000)

REORDERED = "\u00e1\u0323"
"""An a with an acute accent, and a dot below: 4 bytes in NFC one by one, 5 bytes in NFC together."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """The largest growth under one map: ``after`` bytes (or characters) from the ``before`` bytes of ``character``.

    Of several characters that attain the largest factor it is the first.
    """

    character: str
    before: int
    after: int

    @property
    def factor(self) -> Fraction:
        """Bytes (or characters) after, by bytes before."""
        return Fraction(self.after, self.before)


def utf8(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text.encode())


def escape_json(text: str) -> str:
    """Return the text as it stands between the quotes of a JSON string that is pure ASCII."""
    return encode_basestring_ascii(text)[1:-1]


def escape_json_twice(text: str) -> str:
    """Return the text as it stands in a JSON document that is a string in another one (arguments of a tool call)."""
    return escape_json(escape_json(text))


def percent_encode(text: str) -> str:
    """Return the text with every byte that is not unreserved written as ``%XX`` (RFC 3986)."""
    return "".join(map(_PERCENT.__getitem__, text.encode()))


_UNRESERVED = frozenset((ascii_letters + digits + "-._~").encode())
_PERCENT = tuple(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256))


def _form(name: str) -> Transform:
    return lambda text: unicodedata.normalize(name, text)  # type: ignore[arg-type]


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        "NFC": _form("NFC"),
        "NFD": _form("NFD"),
        "NFKC": _form("NFKC"),
        "NFKD": _form("NFKD"),
        "lower case": str.lower,
        "upper case": str.upper,
        "case folding": str.casefold,
        "JSON escaping": escape_json,
        "JSON escaping, twice": escape_json_twice,
        "HTML escaping": html.escape,
        "percent-encoding": percent_encode,
    }
)
"""The maps that stand between a program and a tokenizer, by name."""

STATED: Mapping[str, Expansion] = MappingProxyType(
    {
        "NFC": Expansion("\U0001d160", 4, 12),
        "NFD": Expansion("\u0390", 2, 6),
        "NFKC": Expansion("\ufdfa", 3, 33),
        "NFKD": Expansion("\ufdfa", 3, 33),
        "lower case": Expansion("\u0130", 2, 3),
        "upper case": Expansion("\u0390", 2, 6),
        "case folding": Expansion("\u0390", 2, 6),
        "JSON escaping": Expansion("\x00", 1, 6),
        "JSON escaping, twice": Expansion("\x00", 1, 7),
        "HTML escaping": Expansion('"', 1, 6),
        "percent-encoding": Expansion("\x00", 1, 3),
    }
)
"""What the computation gives, the same from Unicode 14.0 to 15.1; NFKC is the same in Unicode 3.2 already."""

COMPOSED = MappingProxyType({"NFC": "NFD", "NFKC": "NFKD"})
"""The forms that compose, with the form whose factor bounds theirs on every text."""


@cache
def scalars() -> tuple[str, ...]:
    """Return every Unicode scalar value as a character: all code points but the surrogates."""
    return tuple(chr(code) for code in range(0x110000) if code not in SURROGATES)


def largest_expansion(transform: Transform, measure: Callable[[str], int] = utf8) -> Expansion:
    """Return the largest growth of one character under ``transform``, over all of Unicode.

    ``measure`` counts what the result is made of: bytes, or characters (``len``) where a tokenizer never splits one.
    Where no character grows, the answer is U+0000, one byte before and after. ``transform`` is a normal form or treats
    characters one by one, and makes no character nothing: so a run of characters that stays as it is has none that
    does not (a part of a normal text is normal), and most of Unicode is passed over a run at a time.
    """
    best = Expansion("\x00", 1, 1)
    for characters in _runs():
        if transform(characters) == characters:
            continue
        for character in characters:
            result = transform(character)
            if result != character:
                before, after = utf8(character), measure(result)
                if after * best.before > best.after * before:
                    best = Expansion(character, before, after)
    return best


@cache
def _runs() -> tuple[str, ...]:
    everything = "".join(scalars())
    return tuple(everything[at : at + 256] for at in range(0, len(everything), 256))


def composition_grows() -> tuple[str, ...]:
    """Return the characters that are longer than the two that they are composed of; there are none.

    All canonical decompositions into two characters are looked at, those included that are never composed again.
    A Hangul syllable is 3 bytes, and is composed of two characters of 3 bytes.
    """
    grown = []
    for character in scalars():
        parts = unicodedata.decomposition(character).split()
        if len(parts) != 2 or parts[0].startswith("<"):
            continue
        if utf8(character) > sum(utf8(chr(int(part, 16))) for part in parts):
            grown.append(character)
    return tuple(grown)


def grows_out_of_place() -> bool:
    """Return whether NFC of ``REORDERED`` is longer than the NFC of its characters together."""
    normal = TRANSFORMS["NFC"]
    return utf8(normal(REORDERED)) > sum(utf8(normal(character)) for character in REORDERED)


def text_factor(name: str) -> Fraction:
    """Return the stated bound on bytes after by bytes before, for every text under the map ``name``."""
    return STATED[COMPOSED.get(name, name)].factor
