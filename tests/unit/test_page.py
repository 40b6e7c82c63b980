"""Pages of HTML: they are what the document says, need nothing else, and whatever a name has in it is only shown."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from page_documents import DOCUMENTS, HOSTILE, OVER, RACE, audited, checked, history, long_run, replayed, solved, wired
from selectolax.lexbor import LexborHTMLParser

from capsound.anomalies import ANOMALIES
from capsound_checker.page.badge import badge
from capsound_checker.page.documents import runs_of
from capsound_checker.page.markdown import diagram, markdown
from capsound_checker.page.rendering import page
from capsound_checker.page.words import sentence, teller


def tags(text: str) -> list[str]:
    """Return the elements of a page, as a browser finds them."""
    return [node.tag for node in LexborHTMLParser(text).css("*")]


def embedded(text: str, name: str) -> Any:
    """Return what a page has embedded under a name."""
    return json.loads(LexborHTMLParser(text).css_first(f"script#{name}").text())


def code(text: str) -> str:
    """Return the script of a page."""
    return LexborHTMLParser(text).css("script")[-1].text()


@pytest.mark.parametrize("command", DOCUMENTS)
def test_the_document_is_in_its_page(command: str) -> None:
    for document in DOCUMENTS[command]:
        text = page(document, "my.toml")
        assert embedded(text, "document") == document
        assert embedded(text, "shown")["runs"]


def test_each_step_has_the_balances_before_and_after_it() -> None:
    (run,) = runs_of(replayed(RACE), "my.toml")
    assert [step.actor for step in run.steps] == ["", "a", "a", "a", "b", "b", "b", "a"]
    assert [step.number for step in run.steps] == list(range(8))
    assert run.steps[4].changes == (("team", "available", 29, -2), ("team", "held", 31, 62))
    assert run.steps[6].changes == (("team", "billed", 23, 69),)
    assert run.steps[6].found == (("overshoot", OVER),)
    assert run.steps[7].changes == (("team", "available", -2, 6), ("team", "held", 62, 31), ("team", "charged", 0, 23))
    assert run.steps[7].says == "R1 is settled at 23"  # what the account says of itself comes with it, and is no step
    assert run.replay == "capsound replay my.toml cs1:x"


def test_bills_add_up_and_holds_last_until_they_end() -> None:
    (run,) = runs_of(replayed(RACE), "my.toml")
    (pane,) = run.panes
    assert [(b.root, b.step, b.amount, b.total, b.row) for b in pane.bills] == [
        ("team", 3, 23, 23, "a"),
        ("team", 6, 46, 69, "b"),
    ]
    assert [(b.name, b.row, b.begin, b.end) for b in pane.bars] == [("R1", "a", 1, 7), ("R2", "b", 4, None)]
    assert pane.caps == (("team", 60),)


def test_a_twin_stands_beside_its_counterexample() -> None:
    (run,) = runs_of([solved()])
    broken, cured = run.panes
    assert (broken.verdict, cured.verdict) == ("violated", "sound")
    assert cured.steps[1].says == "nothing left to do"
    assert run.cure.startswith("the discipline sound, [check, reserve] [send] [settle], keeps it")
    assert run.over == "the cap of 0.6 USD can be exceeded by 0.3 USD, and by no more"
    assert [len(run.panes) for run in runs_of([solved(twin=False)])] == [1]


def test_an_excerpt_begins_with_the_books_as_they_were() -> None:
    (run,) = runs_of(audited(RACE))
    (pane,) = run.panes
    assert pane.data()["begin"] == {"team": 10}
    assert ["team", "available", "50"] in pane.data()["opening"]
    assert [step.number for step in run.steps][:3] == [102, 103, 104]
    assert pane.bills[0].total == 33
    assert run.steps[5].found == (("overshoot", OVER),)
    assert "101 earlier events" in pane.note


def test_a_history_has_a_row_for_each_client_and_a_bar_for_each_operation() -> None:
    (run,) = runs_of(history(), "h.jsonl")
    (pane,) = run.panes
    assert pane.rows == ("client 1", "client 2", "client 3")
    assert [(bar.begin, bar.end, bar.wrong) for bar in pane.bars] == [(0, 3, False), (1, 4, True), (2, None, False)]
    assert run.steps[-1].found[0][0] == "stale-admit"
    assert run.steps[0].says == "calls reserve(a0, 5)"


def test_a_run_without_events_is_told_as_it_was() -> None:
    runs = runs_of(checked(RACE))
    assert [bool(run.panes) for run in runs] == [True, False]
    assert runs[1].argument == ("thread 1: settle", "thread 2: settle")
    assert runs[1].hence == "only when misused: a race of threads"


def test_requests_of_the_wire_have_a_row_each_and_the_bill_that_crosses_is_marked() -> None:
    events = [{key: value for key, value in event.items() if key != "agent"} for event in RACE]
    (run,) = runs_of(wired(events))
    assert run.panes[0].rows == ("R1", "R2")
    assert [step.number for step in run.steps if step.found] == [5, 6]
    assert run.steps[6].found[0][0] == "check-then-act"


@pytest.mark.parametrize("command", DOCUMENTS)
def test_a_page_needs_nothing_else(command: str) -> None:
    text = page(DOCUMENTS[command][0], "my.toml")
    parsed = LexborHTMLParser(text)
    assert [node.attributes.get("href") for node in parsed.css("[href]")] == ["data:,"]
    assert not parsed.css("[src], form, iframe, object, embed, base")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "default-src 'none'" in text
    assert "fetch(" not in text
    assert "XMLHttpRequest" not in text


@pytest.mark.parametrize("command", DOCUMENTS)
def test_names_are_shown_and_do_nothing(command: str) -> None:
    calm, wild = (page(document, "my.toml") for document in DOCUMENTS[command])
    assert tags(wild) == tags(calm)
    assert code(wild) == code(calm)
    assert wild.count("</script") == calm.count("</script") == 3
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", wild)
    assert "alert(1)" in str(embedded(wild, "shown"))


def test_amounts_are_exact() -> None:
    large = 2**60 + 1
    (run,) = runs_of(replayed([{"event": "open", "root": "r", "cap": large}]), "")
    (pane,) = run.data()["panes"]
    assert pane["caps"] == [["r", large, f"{large:,}"]]
    assert pane["steps"][0][4] == [["r", "available", "0", f"{large:,}"]]


@pytest.mark.parametrize(
    ("unit", "scale", "amount", "told"),
    [("units", 1, 12_345, "12,345"), ("USD", 100, 5, "0.05"), ("USD", 100, -1_230, "-12.3"), ("usd", 1, 690_000_000_000, "$0.69"), ("pico-USD", 1, 10**12, "$1.00")],
)  # fmt: skip
def test_amounts_are_written_in_the_unit_of_the_document(unit: str, scale: int, amount: int, told: str) -> None:
    assert teller(unit, scale)(amount) == told


def test_an_event_that_is_not_known_is_told_by_its_fields() -> None:
    assert sentence({"event": "bill", "call": "C"}) == "bill call C"
    assert sentence({"event": "teleport", "to": ["a", "b"]}) == "teleport to a, b"


def test_five_hundred_events_are_below_400_kilobytes() -> None:
    events = long_run(125)
    assert len(events) > 500
    for document in (replayed(events), wired(events)):
        assert len(page(document, "my.toml").encode()) < 400_000


def test_many_names_share_one_row() -> None:
    events = [{key: value for key, value in event.items() if key != "agent"} for event in long_run(30)]
    (run,) = runs_of(replayed(events), "")
    assert run.panes[0].rows == ()
    assert {bar[1] for bar in run.panes[0].data()["bars"]} == {-1}


def test_a_design_that_is_sound_has_no_run() -> None:
    document = {"format": "capsound.solve/1", "verdict": "sound", "scenario": "mine", "properties": [{"property": "cap", "verdict": "sound", "bound": "all"}]}  # fmt: skip
    text = page([document])
    assert "No run to show" in text
    assert embedded(text, "shown")["runs"] == []
    assert embedded(text, "shown")["tables"][0][2] == [["cap", "sound", "all"]]
    assert markdown([document]) == "**sound**: mine\n\n* cap: **sound**, all\n"


# ------------------------------------------------------------------------------------------ markdown and badges


def test_markdown_tells_what_it_costs_what_it_rests_on_the_cure_and_the_replay() -> None:
    text = markdown([solved()])
    head, _, rest = text.partition("```mermaid")
    assert head.splitlines() == [
        "**violated**: mine: cap (`overshoot`)",
        "",
        "* The cap of 0.6 USD can be exceeded by 0.3 USD, and by no more. Seen: root was billed 90.",
        "* It happens although no bill exceeds its hold (A1); shortest; search.",
        "* The likely cure: the discipline sound, &#91;check, reserve&#93; &#91;send&#93; &#91;settle&#93;, keeps it: proved.",
        "* Run it again: `capsound replay my.toml cs1:60/0`",
        "",
    ]
    assert "    a0->>p: C1 under R1" in rest
    assert rest.rstrip().endswith("* truth: **sound**, all")
    plain = markdown(replayed(RACE), "my.toml")
    assert ANOMALIES["overshoot"].cure in plain
    assert "    p-->>a1: C2 is billed 46" in plain


@pytest.mark.parametrize("command", DOCUMENTS)
def test_names_are_no_markdown_and_no_mermaid(command: str) -> None:
    text = markdown(DOCUMENTS[command][1], f"my{HOSTILE}.toml")
    parts = text.split("```")
    outside = re.sub(r"&#\d+;", "", re.sub(r"(`+)[^`]*\1", "", "".join(parts[::2])))
    assert not set(outside) & set("<>[]|~\x1b\u202e")
    for part in parts[1::2]:
        for line in part.splitlines()[2:]:
            allowed = r"    (participant \w+ as |Note over b: |\w+--?>>\w+: )([A-Za-z0-9 _.,()/\-]|#\d+;)+"
            assert re.fullmatch(allowed, line), line
            assert not re.search(r"\bend\b", line, re.IGNORECASE)


def test_a_long_run_has_a_short_diagram() -> None:
    (run,) = runs_of(replayed(RACE[:1] + RACE[1:4] * 30))
    lines = list(diagram(run))
    assert len(lines) < 60
    assert any("52 lines are left out here" in line for line in lines)


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [(["sound"], "proved"), (["sound", "violated"], "violated"), (["sound", "unknown"], "unknown"), ([], "unknown")],
)
def test_a_badge_says_sound_only_where_all_are(verdicts: list[str], said: str) -> None:
    text = badge([{"verdict": verdict} for verdict in verdicts])
    assert ET.fromstring(text).attrib["aria-label"] == f"cap-sound: {said}"
    assert badge([{"verdict": "sound"}, {"error": {}}]) == badge([{"verdict": "unknown"}])


@pytest.mark.parametrize(
    ("verdict", "strongest", "required", "said", "colour"),
    [
        ("violated", "sequential", "overrun-bounded", "sequential", "#b42318"),
        ("violated", "concurrent", "concurrent", "concurrent", "#1a7f37"),
        ("unknown", "sequential", "concurrent", "sequential", "#57606a"),
        ("sound", "overrun-bounded", "overrun-bounded", "overrun-bounded", "#1a7f37"),
        ("violated", "none", "stops", "violated", "#b42318"),
        ("unknown", "none", "stops", "unknown", "#57606a"),
    ],
)
def test_a_badge_of_a_library_names_the_guarantee_that_is_kept(
    verdict: str, strongest: str, required: str, said: str, colour: str
) -> None:
    names = ("stops", "sequential", "concurrent", "overrun-bounded")
    document = {
        "verdict": verdict,
        "strongest": strongest,
        "required": required,
        "guarantees": [{"name": n} for n in names],
    }
    text = badge(document)
    assert ET.fromstring(text).attrib["aria-label"] == f"cap-sound: {said}"
    assert colour in text
