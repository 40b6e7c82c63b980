"""Every reference leads somewhere: sections of the design, links outside the book, names to explain, files, code.

``test_docs.py`` follows the links of the book, the README and the changelog; here are those of all other pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
from book import PAGES, ROOT, label

from capsound_checker.display.explaining import explain_name, names_by_kind

ROOTS = ("model", "proofs", "checker", "reference_impl", "scenarios", "docs", "tests", "benchmarks", "examples")
TEXT = {".py", ".md", ".toml", ".json", ".txt"}
DESIGN = ROOT / "docs/design.md"

SECTION = re.compile(r"(?i)\bdesign,? section (\d+)")
NAMES = sorted({name for names in names_by_kind().values() for name in names})

CROSS = re.compile(
    r"^  (?:see|includes|broken by|and so to|used by|breaking it is called): (?P<all>.*)$"
    r"|^  (?:breaks|leads to|rules out): (?P<one>[\w-]+)",
    flags=re.MULTILINE,
)
"""Where the text of ``explain`` names other things that it explains."""

NOTHING = {"nothing", "delegation and faults only", "tables of your own"}
"""What stands in the place of a list of names that is empty."""


def files() -> Iterator[Path]:
    """Yield every text file of the tree that we write."""
    yield from (ROOT / name for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml"))
    for root in ROOTS:
        for path in sorted((ROOT / root).rglob("*")):
            if path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path


FILES = list(files())
OTHER_PAGES = [path for path in FILES if path.suffix == ".md" and path not in PAGES]


def headings(page: Path) -> list[str]:
    """Return the headings of a page, those in code blocks left out."""
    prose = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", page.read_text())
    return re.findall(r"^#+ (.*)$", prose, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """Return the anchor of a heading, as it is made from the text."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


# ------------------------------------------------------------------------------------------- the design


def test_every_section_of_the_design_that_is_cited_exists() -> None:
    sections = {number[1] for heading in headings(DESIGN) if (number := re.match(r"(\d+)\. ", heading))}
    cited: dict[str, set[str]] = {}
    for path in FILES:
        for number in SECTION.findall(path.read_text()):
            cited.setdefault(number, set()).add(path.relative_to(ROOT).as_posix())
    assert {"1", "2", "6"} <= set(cited)  # the search finds what is there
    assert {number: paths for number, paths in cited.items() if number not in sections} == {}


def test_the_sections_of_the_design_are_numbered_in_order() -> None:
    numbers = [int(found[1]) for heading in headings(DESIGN) if (found := re.match(r"(\d+)\. ", heading))]
    assert numbers == list(range(1, 8))


# --------------------------------------------------------------------------------------------- the links


@pytest.mark.parametrize("page", OTHER_PAGES, ids=label)
def test_every_relative_link_of_a_page_outside_the_book_resolves(page: Path) -> None:
    for target, fragment in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if target.startswith("http"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{label(page)}: {target}"
        assert there.is_relative_to(ROOT), f"{label(page)}: {target} leaves the repository"
        if fragment:
            assert fragment in map(anchor, headings(there)), f"{label(page)}: {target}#{fragment}"


def test_no_page_links_out_of_the_repository() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).resolve().is_relative_to(ROOT), f"{label(page)}: {target}"


# ----------------------------------------------------------------------------------------- names to explain


def test_every_name_after_explain_can_be_explained() -> None:
    found = set()
    for path in FILES:
        if path.suffix == ".md":
            for name in re.findall(r"capsound explain ([a-zA-Z][\w-]*)", path.read_text()):
                found.add((label(path), name))
    known = {name.lower() for name in NAMES}
    misspelt = {("docs/exit-codes.md", "overshot")}  # it is there to show the error
    assert misspelt <= found
    placeholders = {"NAME", "WORD"}
    assert [
        pair for pair in sorted(found - misspelt) if pair[1].lower() not in known and pair[1] not in placeholders
    ] == []


def cross_references(text: str) -> list[str]:
    """Return the names that an explanation points to."""
    found: list[str] = []
    for match in CROSS.finditer(text):
        found += [match["one"]] if match["one"] else match["all"].split(", ")
    return [name for name in found if name not in NOTHING]


@pytest.mark.parametrize("name", NAMES)
def test_what_an_explanation_points_to_can_be_explained(name: str) -> None:
    known = {other.lower() for other in NAMES}
    for other in cross_references(explain_name(name)):
        assert other.lower() in known, f"explain {name}: {other}"


def test_explanations_do_point_to_others() -> None:
    """The words that introduce a reference are those that the program prints."""
    assert {"sequential", "stops"} <= set(cross_references(explain_name("concurrent")))
    assert {"admission", "stale-admit", "overshoot"} <= set(cross_references(explain_name("refund-after-send")))
    assert {"reserve", "settle"} <= set(cross_references(explain_name("hold")))
    assert "overshoot" in cross_references(explain_name("cap"))
    assert "ledger-drift" in cross_references(explain_name("R9"))
    assert "two-phase" in cross_references(explain_name("reserve"))


# ------------------------------------------------------------------------------- files and names of the code


CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FILE = re.compile(r"(?:[\w.-]+/)+[\w.-]+\.(?:py|toml|js|json|md)")
NAME = re.compile(r"capsound(?:_checker|_proofs|_reference)?(?:\.\w+)+")
HOMES = ("", "checker/", "model/", "proofs/", "reference_impl/")


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES], ids=label)
def test_every_file_and_every_name_of_the_code_in_a_page_exists(page: Path) -> None:
    for word in CODE.findall(page.read_text()):
        if FILE.fullmatch(word):
            assert any((ROOT / home / word).exists() for home in HOMES) or (page.parent / word).exists(), word
        if NAME.fullmatch(word):
            resolve_name(word)
