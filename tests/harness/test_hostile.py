"""Names and titles that try to reach the terminal or the markup of the renderer: printed as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Any]
Solves = Callable[..., Any]

MARKUP = ["[bold]x[/]", "[/]", "[/nonsense]", "[red]", "[link=https://example.org]x[/link]", "\\[x]", "{x}"]
UNICODE = ["日本語 の 予算", "é and é", "μ€", "🤖" * 10, "מִבְחָן"]
LONGEST = "w" * 60


@pytest.fixture
def solve_with(tmp_path: Path, capsound: Runs, source: dict[str, str]) -> Solves:
    """Solve a quick scenario in which some texts are replaced."""

    def run(*arguments: object, base: str = "handles", file: str = "x.toml", **replaced: str) -> Any:
        text = source[base]
        for old, new in replaced.items():
            pattern = {"title": r'(?m)^title = ".*"$', "unit": r"(?m)^cap = ", "agent": r'name = "\w+"'}[old]
            quoted = '"' + new.replace("\\", "\\\\") + '"'
            line = {"title": f"title = {quoted}", "unit": f"unit = {quoted}\ncap = ", "agent": f"name = {quoted}"}[old]
            text, count = re.subn(pattern, lambda _, line=line: line, text)
            assert count == 1
        (tmp_path / file).write_text(text, encoding="utf-8")
        return capsound("solve", file, *arguments, cwd=tmp_path)

    return run


@pytest.mark.parametrize("text", [*MARKUP, *UNICODE, "t" * 110])
def test_title_and_unit_are_printed_as_they_are(text: str, solve_with: Solves) -> None:
    ran = solve_with(title=text, unit=text[:30])
    assert ran.status == 1
    assert ran.out.splitlines()[0] == text
    assert f"x.toml: cap 60 {text[:30]} · 1 agent on root" in ran.out


@pytest.mark.parametrize("text", ["[bold]x[/]", "[/nonsense]"])
def test_the_unit_is_printed_as_it_is_beside_the_overshoot(text: str, solve_with: Solves) -> None:
    ran = solve_with(base="quick", unit=text)
    assert ran.status == 1
    assert f" 10 {text}" in ran.out


def test_names_of_60_letters_stay_whole_in_the_argument_and_the_data(solve_with: Solves) -> None:
    ran = solve_with(base="quick", agent=LONGEST)
    assert ran.status == 1
    joined = "".join(ran.out.split())
    assert f"R1=31for{LONGEST}." in joined
    assert max(map(len, ran.out.splitlines())) <= 110


def test_names_of_61_letters_are_refused(solve_with: Solves) -> None:
    ran = solve_with(agent=LONGEST + "w")
    assert ran.status == 65
    assert "x.toml:8:8" in ran.err


@pytest.mark.parametrize("sign", ["\\u001b[31mred", "\\u009b31m", "\\u0007", "\\n", "\\u0000"])
@pytest.mark.parametrize("key", ["title", "unit"])
def test_control_characters_are_refused_and_not_printed(
    sign: str, key: str, tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    text = re.sub(r"(?m)^title = .*$", lambda _: f'{key} = "{sign}"', source["handles"])
    (tmp_path / "x.toml").write_text(text)
    ran = capsound("solve", "x.toml", cwd=tmp_path)
    assert ran.status == 65
    assert f'x.toml:2:{len(key) + 4}: "{key}" is ' in ran.err
    assert all(character.isprintable() or character == "\n" for character in ran.err)


@pytest.mark.parametrize("sign", ["\u202e", "\u2066"], ids=["right to left", "isolate"])
def test_signs_that_reorder_text_are_refused(sign: str, solve_with: Solves) -> None:
    assert solve_with(title=f"spent {sign}06 of 60").status == 65


NAMES = ["[bold]n[x].toml", "[red].toml", "sp ace.toml", "日本.toml", "-dash.toml"]


@pytest.mark.parametrize("name", NAMES)
def test_file_names_are_printed_as_they_are(name: str, tmp_path: Path, capsound: Runs, source: dict[str, str]) -> None:
    (tmp_path / name).write_text(source["handles"])
    ran = capsound("solve", "--", name, cwd=tmp_path)
    assert ran.status == 1
    assert f"\n{name}: cap 60 units" in ran.out


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
        )
        for name in NAMES
    ],
)
def test_file_names_are_printed_as_they_are_in_the_summary(
    name: str, tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    (tmp_path / name).write_text(source["handles"])
    ran = capsound("solve", "--expect", "--", name, cwd=tmp_path)
    assert ran.status == 0
    assert f"\nviolated  {name}  " in ran.out


def test_a_broken_file_is_printed_as_it_is_in_the_summary(
    tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    for name in ("[bold]n[x].toml", "[red]y.toml"):
        (tmp_path / name).write_text(source["bad"])
    ran = capsound("solve", ".", "--workers", 1, cwd=tmp_path)
    assert ran.status == 65
    assert re.findall(r"(?m)^error +(\S+)", ran.out) == ["[bold]n[x].toml", "[red]y.toml"]


@pytest.mark.parametrize("name", ["\x1b[31mred.toml", "bell\x07.toml"])
@pytest.mark.parametrize("broken", [False, True], ids=["solved", "broken"])
def test_control_characters_of_a_file_name_never_reach_the_terminal(
    name: str, broken: bool, tmp_path: Path, capsound: Runs, source: dict[str, str]
) -> None:
    (tmp_path / name).write_text(source["bad" if broken else "handles"])
    ran = capsound("solve", name, cwd=tmp_path)
    assert ran.status == (65 if broken else 1)
    text = ran.out + ran.err
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_line_break_in_a_file_name_breaks_no_line(tmp_path: Path, capsound: Runs, source: dict[str, str]) -> None:
    (tmp_path / "new\nline.toml").write_text(source["handles"])
    assert "\nline.toml" not in capsound("solve", "new\nline.toml", cwd=tmp_path).out


def test_emoji_codes_are_printed_as_they_are(solve_with: Solves) -> None:
    assert "cap 60 :smile: " in solve_with(unit=":smile:").out


@pytest.mark.parametrize(
    "command",
    [
        ("solve", "\x1b[31m"),
        ("solve", "nowhere/\x1b[31m.toml"),
        ("replay", "race.toml", "\x1b[31m"),
        ("replay", "race.toml", "cs1:60/\x1b[31m"),
        ("explain", "\x1b[31m"),
        ("new", "scenario", "nowhere/\x1b[31m.toml"),
        ("replay", "race.toml", "cs1:60/0", "--itf", "nowhere/\x1b[31m.json"),
        ("\x1b[31m",),
        ("solve", "--\x1b[31m"),
    ],
    ids=lambda command: " ".join(command).replace("\x1b", "ESC"),
)
def test_messages_quote_control_characters(
    command: tuple[str, ...], tmp_path: Path, capsound: Runs, source: Any
) -> None:
    (tmp_path / "race.toml").write_text(source["race"])
    (tmp_path / "\x1b[31m").mkdir()
    ran = capsound(*command, cwd=tmp_path)
    assert ran.status in (64, 65)
    assert "\x1b" not in ran.out + ran.err
