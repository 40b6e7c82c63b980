"""Theorem 9: one token a byte, of the bytes that are cut; and what makes these more than the payload."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import z3

from capsound_proofs.expansion import (
    STATED,
    TRANSFORMS,
    composition_grows,
    grows_out_of_place,
    largest_expansion,
    text_factor,
)
from capsound_proofs.terms import Term
from capsound_proofs.theorem import (
    Answer,
    Computation,
    Fact,
    Kind,
    Obligation,
    System,
    Theorem,
    Transition,
    Values,
    Witness,
    run,
)

FACTOR = int(text_factor("NFKC"))

# ------------------------------------------------------------------------------------------ merging bytes

CUT: dict[str, Term] = {name: z3.Int(name) for name in ("bytes", "pieces", "tokens", "merges")}
BYTES, PIECES, TOKENS, MERGES = CUT.values()
WHOLE = z3.Int("whole")

SPLIT = Transition(
    "the pre-tokenizer splits a piece",
    (Fact("the piece has two bytes", PIECES < TOKENS), Fact("nothing is merged yet", MERGES == 0)),
    {"pieces": PIECES + 1},
)
MERGE = Transition(
    "two neighbours in a piece are merged",
    (Fact("a piece has two tokens", PIECES < TOKENS),),
    {"tokens": TOKENS - 1, "merges": MERGES + 1},
)
KNOWN = Transition(
    "a piece that is in the vocabulary is taken whole",
    (Fact("the piece has so many tokens more than one", z3.And(WHOLE >= 0, WHOLE <= TOKENS - PIECES)),),
    {"tokens": TOKENS - WHOLE, "merges": MERGES + WHOLE},
)

MERGING = System(
    variables=CUT,
    start=(
        Fact("a token is a byte", TOKENS == BYTES),
        Fact("one piece, or no text", z3.If(BYTES >= 1, 1, 0) == PIECES),
        Fact("no merge", MERGES == 0),
    ),
    transitions=(SPLIT, MERGE, KNOWN),
    invariant=(
        Fact("a merge is a token less", TOKENS + MERGES == BYTES),
        Fact("a piece has a token", z3.And(PIECES <= TOKENS, z3.If(BYTES >= 1, 1, 0) <= PIECES)),
        Fact("merges are counted", MERGES >= 0),
    ),
    always=(Fact("bytes are not negative", BYTES >= 0),),
    goal=(
        Fact("there is at most one token a byte", TOKENS <= BYTES),
        Fact("a text that is not empty has a token", z3.Implies(BYTES >= 1, TOKENS >= 1)),
    ),
)
"""Byte-level BPE on one text (Sennrich et al. 2016; on bytes, Radford et al. 2019), whatever its merges are.

A test runs the merge loop on random merges, and on a vocabulary that is used, and compares it step by step.
"""

# ----------------------------------------------------------------------------------------- growing before

NORMAL: dict[str, Term] = {name: z3.Int(name) for name in ("raw", "decomposed", "composed")}
RAW, DECOMPOSED, COMPOSED = NORMAL.values()
BEFORE, AFTER, LONE, PAIR = z3.Ints("before after lone pair")

APPEND = Transition(
    "one more character is decomposed",
    (
        Fact("a character has a byte", BEFORE >= 1),
        Fact("no character decomposes into more than the factor (computed)", AFTER <= FACTOR * BEFORE),
    ),
    {"raw": RAW + BEFORE, "decomposed": DECOMPOSED + AFTER, "composed": COMPOSED + AFTER},
)
COMPOSE = Transition(
    "a character and a mark are composed",
    (Fact("no composed character is longer than the two (computed)", LONE <= PAIR),),
    {"composed": COMPOSED - PAIR + LONE},
)

NORMALISING = System(
    variables=NORMAL,
    start=(Fact("no text", z3.And(RAW == 0, DECOMPOSED == 0, COMPOSED == 0)),),
    transitions=(APPEND, COMPOSE),
    invariant=(
        Fact("composition only shrinks", COMPOSED <= DECOMPOSED),
        Fact("decomposition is bounded by the factor", DECOMPOSED <= FACTOR * RAW),
    ),
    goal=(Fact("the factor of single characters is that of every text", COMPOSED <= FACTOR * RAW),),
)

# ------------------------------------------------------------------------------------------- the estimate

PAYLOAD, MARGIN, RESERVED, OVERHEAD, BILL, MORE = z3.Ints("payload margin reserved overhead bill more")
ESTIMATE = z3.Function("estimate", z3.IntSort(), z3.IntSort())

NOT_EMPTY = Fact("the payload is not empty", PAYLOAD >= 1)
ADDITIVE = Fact("the template is billed beside the payload", BILL == PAYLOAD + OVERHEAD)
FEW = Fact("the margin above one, on the payload, is below the overhead", MORE * PAYLOAD < OVERHEAD)
ENOUGH = Fact("the margin above one, on the payload, is the overhead at least", MORE * PAYLOAD >= OVERHEAD)
ON_BYTES = Fact("the estimate is a margin on bytes", RESERVED == PAYLOAD + MORE * PAYLOAD)


def short_call(name: str, reserved: int, bill: int) -> Witness:
    """Return the run of one call whose bill is above its hold, at the largest cap that it overshoots."""
    cap = bill - 1
    events = run(
        ("open", "root", cap),
        ("reserve", "root", "R1", reserved),
        ("send", "R1", "C1"),
        ("bill", "C1", bill),
        ("settle", "R1", bill),
    )
    return Witness(name, events, ("overshoot",), {"root": 1})


def _normalised(value: Values) -> Witness:
    return short_call("one token a byte is reserved, and the text is normalised", value(RAW), value(BILL))


def _templated(value: Values) -> Witness:
    return short_call("the estimate sees bytes only, and there is a template", value(RESERVED), value(BILL))


def _build() -> tuple[Obligation, ...]:
    return (
        Obligation(
            "an estimate of one token a byte is exceeded where the text is normalised before it is cut",
            (
                Fact("the worst character", z3.And(STATED["NFKC"].before == RAW, STATED["NFKC"].after == COMPOSED)),
                Fact("at most one token a byte of what is cut", z3.And(BILL >= 1, BILL <= COMPOSED)),
                Fact("one token a byte is reserved", BILL > RAW),
            ),
            wanted=Answer.SAT,
            shown=_normalised,
            cures=(
                Fact("the text is cut as it is", COMPOSED == RAW),
                Fact("the factor is reserved", BILL > FACTOR * RAW),
            ),
        ),
        Obligation(
            "with the factor, no text that is normalised is above its estimate",
            (
                Fact("composed is within the factor", COMPOSED <= FACTOR * RAW),
                Fact("at most one token a byte of what is cut", BILL <= COMPOSED),
            ),
            BILL <= FACTOR * RAW,
        ),
        Obligation(
            "a template defeats every margin on an empty payload",
            (
                Fact("the payload is empty", PAYLOAD == 0),
                Fact("the estimate is a margin on bytes", RESERVED == MARGIN * PAYLOAD),
                Fact("the template has a token", OVERHEAD >= 1),
                ADDITIVE,
            ),
            BILL > RESERVED,
            logic="QF_NIA",
        ),
        Obligation(
            "a template defeats a margin on every payload below overhead / (margin - 1) bytes",
            (ON_BYTES, ADDITIVE, FEW),
            BILL > RESERVED,
            logic="QF_NIA",
        ),
        Obligation(
            "and on no other",
            (ON_BYTES, ADDITIVE, ENOUGH),
            BILL <= RESERVED,
            logic="QF_NIA",
        ),
        Obligation(
            "a template defeats every function of the bytes",
            (
                NOT_EMPTY,
                Fact("the estimate is a function of the bytes", ESTIMATE(PAYLOAD) == RESERVED),
                Fact("an estimate is not negative", RESERVED >= 0),
                Fact("the template is not bounded by the payload", z3.And(OVERHEAD >= 2, OVERHEAD > RESERVED)),
                ADDITIVE,
            ),
            wanted=Answer.SAT,
            logic="QF_UFLIA",
            shown=_templated,
            cures=(Fact("the estimate counts the template", RESERVED >= PAYLOAD + OVERHEAD),),
        ),
    )


SMALL = ((0, 1000, 3), (1, 1, 4), (1, 3, 4), (13, 2, 600), (13, 46, 600))
"""Bytes, a margin on them, and tokens billed: a chat template of 3 tokens, and the tools of arXiv 2606.04056."""


def _witnesses() -> tuple[Witness, ...]:
    return tuple(
        short_call(f"{size} bytes at a margin of {margin}, and {bill} tokens billed", size * margin, bill)
        for size, margin, bill in SMALL
    )


def compute_expansions() -> str:
    """Compute the largest growth under each map over all of Unicode; return what differs from the table."""
    return "; ".join(_differences())


def _differences() -> Iterator[str]:
    version = f"Unicode {unicodedata.unidata_version}"
    for name, transform in TRANSFORMS.items():
        found = largest_expansion(transform)
        if found != STATED[name]:
            yield f"{name}: {found.character!r} grows from {found.before} to {found.after} bytes in {version}"
    if grown := composition_grows():
        yield f"composition grows to {grown[0]!r} in {version}"
    if not grows_out_of_place():
        yield f"NFC of a text is no longer than that of its characters in {version}"


THEOREM = Theorem(
    number=9,
    name="tokens-per-byte",
    kind=Kind.PROVED,
    statement="Byte-level BPE makes at most one token of a byte that it cuts, but normalising and escaping make more "
    "bytes and a template adds tokens, so no factor on the payload is safe for small payloads.",
    mathematics=f"tokens(s) <= |s|; tokens(NFKC(s)) <= {FACTOR} |s|, attained by NFKC at U+FDFA; "
    "for every margin m and overhead h >= 1: |s| + h > m |s| <=> (m - 1) |s| < h",
    assumptions=("merges never cross pieces", "the template is additive"),
    bound="all texts, vocabularies, merges, margins and overheads; the factor is computed over all of Unicode",
    idea="Each merge replaces two tokens by one and a split adds none, so tokens and merges add up to the bytes. The "
    "factor is computed for single characters; decomposition adds up and composition only shrinks, so it holds for "
    "texts. What does not shrink with the payload defeats every factor on it.",
    build=_build,
    systems=lambda: (MERGING, NORMALISING),
    witnesses=_witnesses,
    computations=(Computation("the table of expansions", compute_expansions),),
    equivalent={
        "the pre-tokenizer*, without: nothing is merged yet": "a split adds no token, whenever it is done",
        "the pre-tokenizer*, pieces not updated": "pieces only say where merging ends at the latest",
        "*, without: a character has a byte": "a character of no bytes would decompose into none",
        "one more character*, raw one more": "a payload that is larger than thought only weakens the bound",
        "a character and a mark*, composed not updated": "it is the text that was not composed, which is no shorter",
    },
)
