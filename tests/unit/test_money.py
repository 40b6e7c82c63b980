"""Money in the unit of the file: quoted decimals in, exact integers inside, and decimals again for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from capsound.costs import costs_of
from capsound.disciplines import DISCIPLINES
from capsound.loading import BadScenario, load_scenario, parse_scenario
from capsound.scenario import Interval, Scenario, decimal
from capsound_checker.display.data import outcome_to_dict
from capsound_checker.display.render import render_outcome
from capsound_checker.display.terminal import rendered
from capsound_checker.solve.replaying import replay_token
from capsound_proofs.ranges import cost_ranges
from capsound_proofs.solve import solve

REST = "discipline = 'racy-counter'\n[[agents]]\ncount = 3\n"
CALL = '[[calls]]\nestimate = "31"\nbill = { min = "23.125", max = 31 }\n'


def read(text: str) -> Scenario:
    return parse_scenario(text, path="s.toml", known_disciplines=DISCIPLINES)


def test_one_scale_for_the_file_the_smallest_that_is_exact() -> None:
    scenario = read(f'unit = "USD"\ncap = "50.00"\nspent = "1.5"\n{REST}{CALL}[expect]\novershoot = "44.5"\n')
    assert (scenario.digits, scenario.places) == (3, 3)
    assert (scenario.cap, scenario.spent) == (Interval.exactly(50_000), 1_500)
    assert cost_ranges(costs_of(scenario, "call"))[0] == Interval.exactly(31_000)
    assert scenario.expect.overshoot == 44_500
    assert scenario.told(scenario.cap) == "50.000"
    assert scenario.told(Interval(0, None)) == "0.000..any"


def test_decimals_that_are_whole_keep_the_amounts_and_the_writing() -> None:
    scenario = read(f'cap = "50.00"\n{REST}[[calls]]\nestimate = 31\nbill = 31\n')
    assert (scenario.cap, scenario.digits) == (Interval.exactly(50), 0)
    assert scenario.told(31) == "31.00"


def test_a_file_without_decimals_is_as_it_is_written() -> None:
    scenario = read(f"cap = 50\n{REST}[[calls]]\nestimate = 31\nbill = 31\n[prices]\nper = 3\n")
    assert (scenario.cap, scenario.digits, scenario.prices.per) == (Interval.exactly(50), 0, 3)
    assert scenario.in_unit("R1 = 31 for agent-1") == "R1 = 31 for agent-1"


def test_prices_of_a_million_tokens_are_exact_for_one() -> None:
    scenario = read(
        f'cap = "0.05"\n{REST}[[calls]]\nbytes = 1\nmax_output = 7\n[prices]\nper = 1_000_000\ninput = "2.50"\noutput = 10\n'
    )
    # 2.50 for a million is 0.0000025 for one: seven decimals.
    assert scenario.digits == 7
    assert (scenario.prices.input, scenario.prices.output, scenario.prices.per) == (25, 100, 1)
    assert cost_ranges(costs_of(scenario, "call"))[0] == Interval.exactly(25 + 700)
    assert scenario.told(725) == "0.0000725"


def test_slices_programs_and_defaults_are_counted_too() -> None:
    scenario = read(
        'cap = 5\ndiscipline = "reserve-settle"\n[[slices]]\nname = "s"\ngrant = "0.5"\n'
        '[[agents]]\nprogram = ["delegate root 1.25 -> mine", "call mine"]\n[[calls]]\nbytes = 2\n'
    )
    assert scenario.cap == Interval.exactly(500)
    assert scenario.slices[0].grant == Interval.exactly(50)
    assert scenario.agents[0].program[0] == "delegate root 125 -> mine"
    assert scenario.prices.input == 100  # one unit of the file a token, as where nothing is said


@pytest.mark.parametrize(
    ("line", "says", "cure"),
    [
        ("cap = 0.5", '"cap" is 0.5, a float', 'quote it, as in cap = "0.5"'),
        ('cap = "-5"', '"cap" is "-5", which is negative', "at least 0"),
        ('cap = "$50"', '"cap" is "$50", which is no amount', 'cap = "50"'),
        ('cap = "1e3"', '"cap" is "1e3", which is no amount', 'one point, as in cap = "50.00"'),
        ('cap = "60,00"', '"cap" is "60,00", which is no amount', 'cap = "60.00"'),
        ('cap = "1.234,5 EUR"', '"cap" is "1.234,5 EUR", which is no amount', 'cap = "1234.5"'),
        ('cap = "$1,234.50"', '"cap" is "$1,234.50", which is no amount', 'cap = "1234.50"'),
        ('cap = "1,000 USD"', '"cap" is "1,000 USD", which is no amount', 'cap = "1000"'),
        ('cap = "0.1234567890123456789"', '"cap" has too many digits', "18 on each side"),
        ('cap = "1000000.0000000000001"', '"cap" has too many digits: 13 decimals', "fewer decimals"),
        ('cap = "0.0"', '"cap" is 0, less than 1', "at least 1"),
        ('cap = "lots"', '"cap" is "lots"', "a whole number"),
    ],
)
def test_what_is_no_amount_is_refused_with_the_cure(line: str, says: str, cure: str) -> None:
    with pytest.raises(BadScenario) as caught:
        read(f"{line}\n{REST}[[calls]]\nestimate = 1\nbill = 1\n")
    problem = caught.value.problems[0]
    assert says in problem.message
    assert cure in problem.hint
    assert problem.line == 1


def test_a_price_that_never_ends_is_refused() -> None:
    with pytest.raises(BadScenario, match="no finite decimal"):
        read(f'cap = "0.5"\n{REST}[[calls]]\nbytes = 1\n[prices]\nper = 3\ninput = 1\n')


def test_messages_about_amounts_are_in_the_unit_of_the_file() -> None:
    with pytest.raises(BadScenario, match=r"1\.50 is already spent of a cap of 1\.25"):
        read(f'cap = "1.25"\nspent = "1.50"\n{REST}[[calls]]\nestimate = 1\nbill = 1\n')


@pytest.mark.parametrize(
    ("amount", "digits", "places", "text"),
    [(5, 0, 0, "5"), (5, 2, 0, "0.05"), (50, 2, 0, "0.5"), (50, 2, 2, "0.50"), (-125, 2, 0, "-1.25"), (100, 2, 0, "1")],
)
def test_amounts_for_people(amount: int, digits: int, places: int, text: str) -> None:
    assert decimal(amount, digits, places) == text


def test_only_what_stands_alone_is_an_amount() -> None:
    scenario = read(f'cap = "0.60"\n{REST}[[calls]]\nestimate = "0.31"\nbill = "0.31"\n')
    text = "agent-1: R2 on team.7 was billed 31 of 60: 1,200 over, while 2 of its holds were open"
    assert scenario.in_unit(text) == (
        "agent-1: R2 on team.7 was billed 0.31 of 0.60: 12.00 over, while 2 of its holds were open"
    )


def test_reports_are_in_the_unit_and_json_is_exact(tmp_path: Path) -> None:
    file = tmp_path / "usd.toml"
    file.write_text(f'unit = "USD"\ncap = "0.60"\n{REST}[[calls]]\nestimate = "0.31"\nbill = "0.31"\n')
    outcome = solve(load_scenario(file, known_disciplines=DISCIPLINES))
    text = rendered(lambda console: render_outcome(console, outcome), False)
    for said in (
        "cap 0.60 USD",
        "does 0.31 fit? yes, 0.60 free",
        "0.02 over (overshoot)",
        "overshoot: 0.33 USD (exact",
    ):
        assert said in text, text
    data = outcome_to_dict(outcome)
    assert (data["unit"], data["scale"]) == ("USD", 100)
    assert data["largest_overshoot"]["attained"] == 33
    (cap,) = [p for p in data["properties"] if p["property"] == "cap"]
    assert {"billed": 62, "granted": 60}.items() <= cap["findings"][-1]["numbers"].items()
    assert "0.62" in cap["findings"][-1]["sentence"]
    again = replay_token(file, cap["token"], colour=False)
    assert "was billed 0.62 of a cap of 0.60: 0.02 over" in again.text
    assert again.data["scale"] == 100
