"""``capsound explain`` and the glossary: every word is defined once, and a misspelt one finds its neighbour."""

from __future__ import annotations

import re

import pytest

from capsound.anomalies import UnknownName
from capsound.glossary import TERMS, Term
from capsound_checker.display.explaining import explain_name, list_names, names_by_kind

terms = pytest.mark.parametrize("term", TERMS.values(), ids=lambda term: term.name)


@terms
def test_a_term_has_one_sentence_and_points_elsewhere(term: Term) -> None:
    assert re.fullmatch(r"[A-Z][^.]*\.", term.meaning), "one sentence"
    assert term.name in term.meaning.lower().replace("in flight", "in-flight"), "it says what it defines"
    assert term.example.strip() == term.example != ""
    assert term.see
    assert term.name not in term.see or term.name in names_by_kind()["properties"]


@terms
def test_explain_prints_the_term(term: Term) -> None:
    text = explain_name(term.name)
    assert f"{term.name} (term): {term.meaning}\n  example: {term.example}" in text
    assert f"  see: {', '.join(term.see)}" in text


def test_thirty_words_in_the_order_of_the_alphabet() -> None:
    assert len(TERMS) >= 30
    assert list(TERMS) == sorted(TERMS)


@pytest.mark.parametrize(
    "name", ["hold", "settle", "bill", "slice", "discipline", "handle", "guarantee", "schedule", "program"]
)
def test_the_words_that_messages_use_are_defined(name: str) -> None:
    assert f"{name} (term): " in explain_name(name)


def test_a_name_with_several_meanings_gets_all_of_them() -> None:
    text = explain_name("reserve")
    assert text.index("reserve (step)") < text.index("reserve (term)")
    text = explain_name("slice")
    assert text.index("slice (property)") < text.index("slice (term)")


def test_the_case_of_a_term_does_not_matter() -> None:
    assert explain_name("Hold") == explain_name("hold")


def test_every_name_of_the_list_is_explained_as_what_it_is() -> None:
    singular = {"properties": "property", "anomalies": "anomaly"}
    listed = list_names()
    for kind, names in names_by_kind().items():
        for name in names:
            assert f"{name} ({singular.get(kind, kind.removesuffix('s'))})" in explain_name(name)
            assert name in listed


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("overshot", "overshoot"),
        ("concurent", "concurrent"),
        ("racy-count", "racy-counter"),
        ("handel", "handle"),
        ("slices", "slice"),
        ("Scheduel", "schedule"),
        ("extends", "extend"),
        ("r99", "R9"),
        ("a11", "A1"),
        ("conservaton", "conservation"),
    ],
)
def test_an_unknown_name_suggests_the_nearest_of_any_kind(word: str, near: str) -> None:
    with pytest.raises(UnknownName) as raised:
        explain_name(word)
    assert raised.value.hint == f"did you mean {near!r}?"


def test_a_name_that_is_near_to_none_is_told_where_all_are() -> None:
    with pytest.raises(UnknownName) as raised:
        explain_name("zzzzzz")
    assert raised.value.hint == "`capsound explain` lists all names"
