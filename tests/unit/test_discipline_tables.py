"""The table ``[discipline]``: what it says, and what is said of one that cannot run: line, block, step and cure."""

from __future__ import annotations

import pytest

from capsound.disciplines import DISCIPLINES, Retry
from capsound.loading import BadScenario, parse_scenario
from capsound.machine import compile_scenario
from capsound.scenario import Scenario
from capsound.steps import STEPS
from capsound.wellformed import HOMES

REST = "[[agents]]\n[[calls]]\nestimate = 1\nbill = 1\n"


def read(table: str, rest: str = REST) -> Scenario:
    return parse_scenario(f"cap = 5\n[discipline]\n{table}\n{rest}", path="s.toml", known_disciplines=DISCIPLINES)


def test_a_table_is_the_discipline_of_its_scenario() -> None:
    scenario = read(
        'name = "mine"\nsays = "one at a time"\nslots = 1\nretry = "new hold"\n'
        'blocks = [["enter"], ["check", "reserve"], ["send"], ["settle", "leave"]]\n'
        'before-send = ["release", "leave"]\nafter-send = ["forfeit", "leave"]\non-refuse = ["leave"]'
    )
    assert scenario.discipline == "mine"
    table = compile_scenario(scenario).discipline
    assert str(table) == "[enter] [check, reserve] [send] [settle, leave]"
    assert (table.says, table.slots, table.retry) == ("one at a time", 1, Retry.NEW_HOLD)
    assert [step.name for step in table.delegate] == ["carve"]


def test_a_table_without_a_name_is_called_own() -> None:
    assert read('blocks = [["check"], ["send"]]').discipline == "own"


def test_how_many_slots_there_are_makes_another_step() -> None:
    blocks = 'blocks = [["enter"], ["check"], ["send"], ["debit", "leave"]]'
    one, two, again = (compile_scenario(read(f"{blocks}\nslots = {n}")).discipline for n in (1, 2, 1))
    assert one == again
    assert one.blocks != two.blocks


@pytest.mark.parametrize(
    ("table", "line", "column", "says", "cure"),
    [
        ('blocks = [["check"], ["sned"]]', 3, 23, 'there is no step "sned"', 'did you mean "send"?'),
        ('blocks = [["send"]]', 3, 10, "has 0 steps that admit the call", "list the blocks in order"),
        (
            'blocks = [["check"], ["check"], ["send"]]',
            3,
            23,
            "block 2 of blocks: the discipline has 2 steps",
            "in order",
        ),
        ('blocks = [["send"], ["check"]]', 3, 12, "block 1 of blocks: the discipline sends before", "late refusal"),
        ('blocks = [["reserve"], ["check"], ["send"]]', 3, 12, "reserves before it admits", "add, then look"),
        ('blocks = [["check"], ["send"], ["settle"]]', 3, 33, "'settle' in blocks, and nothing is held", "debit books"),
        (
            'blocks = [["check"], ["send"]]\non-refuse = ["release"]',
            4,
            14,
            "'release' in on-refuse",
            "take-back undoes",
        ),
        ('blocks = [["check"], ["send"]]\nbefore-send = ["lock"]', 4, 16, "cannot wait", "leave the step out"),
        ('blocks = [["add"], ["send"]]', 3, 10, "has 0 steps that admit", "in order"),
        ('blocks = [["add", "look"], ["send"]]', 3, 19, "guard after an effect", "cut the block in two"),
        ('blocks = [["look"], ["send"]]', 3, 12, "looks at what was never added", "put add"),
        ('blocks = [["check-seen"], ["send"]]', 3, 12, "what was not read before", "put see in front"),
        ('blocks = [["check"], ["send"], ["write"]]', 3, 33, "what was not read before", "put read in front"),
        ('blocks = [["check"], ["send"], ["debit", "debit"]]', 3, 42, "resolves the call twice", "leave one out"),
        ('blocks = [["check"], ["send"], []]', 3, 32, "has an empty block", "leave it out"),
        ('blocks = [["check"], ["carve"], ["send"]]', 3, 23, "'carve' in blocks, where", "belongs in delegate"),
        ('blocks = [["enter"], ["check"], ["send"]]', 3, 12, "a semaphore without slots", "add slots = 2"),
        ('slots = 2\nblocks = [["check"], ["send"]]', 3, 9, "has slots that nobody takes", "leave"),
        ('blocks = [["check"], ["send-stream"]]', 3, 23, "has 0 steps that bill the next chunk", "next-chunk"),
        (
            'blocks = [["check"], ["send"]]\nstream = [["next-chunk"]]',
            4,
            11,
            "has stream and does not stream",
            "send-stream",
        ),
        ('blocks = [["check"], ["send"]]\nbefore = ["forget"]', 4, 1, 'unknown key "before"', "before-send"),
        ('blocks = [["check"], ["send"]]\nname = "prepay"', 4, 8, "is there already", "a name of its own"),
        (
            'blocks = [["check"], ["send"]]\ndelegate = ["carve", "carve"]',
            4,
            22,
            "grants the slice twice",
            "leave one out",
        ),
        ('blocks = [["check"], ["send"]]\ndelegate = []', 4, 12, "has nothing in delegate", "carve"),
        ('blocks = [["check"], ["send"]]\ndelegate = ["inherit"]', 4, 13, "'inherit' in delegate", "what is left"),
        ('blocks = [["check"], ["send"]]\nclose = ["roll-up"]', 4, 10, "'roll-up' in close", "what is left"),
        ("blocks = []", 3, 10, "is empty", "at least"),
        ('says = "x"', 2, 2, '"blocks" is missing', "add blocks"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_where_it_stands(
    table: str, line: int, column: int, says: str, cure: str
) -> None:
    with pytest.raises(BadScenario) as caught:
        read(table)
    problem = caught.value.problems[0]
    assert says in problem.message
    assert cure in problem.hint
    assert (problem.line, problem.column) == (line, column)


def test_every_tag_that_has_a_home_is_carried_by_a_step() -> None:
    carried = {tag for step in STEPS.values() for tag in step.tags}
    assert set(HOMES) <= carried
    assert all(step.tags & set(HOMES) for step in STEPS.values())
