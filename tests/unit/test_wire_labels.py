"""Names of requests: the same in every run, and a repeat is told from a second request."""

from __future__ import annotations

import itertools
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from capsound_checker.wire.dialects import openai_chat
from capsound_checker.wire.held import Held
from capsound_checker.wire.labels import Named, Names, fingerprint

PATH = "/v1/chat/completions"


def body(text: str = "Plan the trip!", **more: object) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


def arrive(names: Names, text: str = "Plan the trip!", retry: str = "0") -> Named:
    headers = {"x-stainless-retry-count": retry}
    return names.name(PATH, body(text), openai_chat.asked(PATH, body(text)), headers)


def test_a_name_begins_with_what_is_said() -> None:
    assert arrive(Names()).label == f"plan-the-trip.{fingerprint(PATH, body())[:8]}"


def test_many_that_begin_alike_have_names_and_ids_of_their_own() -> None:
    names = Names()
    named = [arrive(names, f"You are a helpful assistant. Read page {page}.") for page in range(1_000)]
    named += [arrive(names) for _ in range(3)]
    named[-1].failed = True
    named += [arrive(names)]
    assert (named[-2].label[-2:], named[-1].label[-2:]) == ("#3", "~1")
    held = [Held(1, one, cast("Any", None), openai_chat.asked(PATH, body()), PATH, {}, 0) for one in named]
    assert len({one.label for one in held}) == len({one.ident for one in held}) == len(named)


def test_what_says_nothing_is_called_after_its_dialect() -> None:
    assert arrive(Names(), "¿…?").label.startswith("openai-chat.")


def test_equal_bodies_in_flight_are_two_requests() -> None:
    names = Names()
    first, second = arrive(names), arrive(names)
    assert (first.repeats, second.repeats) == (None, None)
    assert second.label == f"{first.label}#2"


def test_an_equal_body_after_an_answer_is_another_request() -> None:
    names = Names()
    arrive(names)  # answered: nothing failed
    assert arrive(names).repeats is None


def test_an_equal_body_after_an_error_or_a_disconnect_repeats_it() -> None:
    names = Names()
    first = arrive(names)
    first.failed = True  # said of an error, of a broken body, and where the client has left
    second = arrive(names)
    assert second.repeats is first
    assert second.label == f"{first.label}~1"
    second.failed = True
    third = arrive(names)
    assert third.repeats is second
    assert third.label == f"{first.label}~2"


def test_one_failure_is_repeated_once() -> None:
    names = Names()
    first, other = arrive(names), arrive(names)
    first.failed = True
    assert arrive(names).repeats is first
    assert arrive(names).repeats is None
    assert other.repeats is None


def test_another_body_repeats_nothing() -> None:
    names = Names()
    arrive(names).failed = True
    assert arrive(names, "Plan another trip").repeats is None


def test_the_count_of_a_client_tells_a_repeat_where_no_failure_was_seen() -> None:
    names = Names()
    first = arrive(names)
    assert arrive(names, retry="1").repeats is first
    assert arrive(Names(), retry="1").repeats is None  # nothing to repeat


@given(st.permutations(["model", "messages", "max_tokens", "user"]))
def test_the_order_of_keys_means_nothing(order: list[str]) -> None:
    full = body(max_tokens=5, user="u")
    assert fingerprint(PATH, {key: full[key] for key in order}) == fingerprint(PATH, full)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6))
def test_the_order_of_arrival_means_nothing(texts: list[str]) -> None:
    orders = itertools.islice(itertools.permutations(texts), 20)
    seen = set()
    for order in orders:
        names = Names()
        seen.add(tuple(sorted(arrive(names, text).label for text in order)))
    assert len(seen) == 1
