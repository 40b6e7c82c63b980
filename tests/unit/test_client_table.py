"""Clients as data: the table that ships, what a scenario makes of a name, and what is explained."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from capsound.clients import FAULTS, Client, known_clients, read_clients, write_clients
from capsound.disciplines import DISCIPLINES
from capsound.errors import CapsoundError
from capsound.loading import parse_scenario
from capsound.scenario import Scenario
from capsound_checker.display.explaining import explain_name

CLIENTS = known_clients()

SCENARIO = """\
title = "a client"
cap = 60
discipline = "reserve-settle"
[[calls]]
estimate = 20
bill = 20
[[agents]]
name = "worker"
[assume]
"""


def scenario(more: str) -> Scenario:
    return parse_scenario(SCENARIO + more, known_disciplines=DISCIPLINES)


def test_some_twenty_clients_ship_and_most_are_measured_by_the_command() -> None:
    assert len(CLIENTS) >= 20
    assert sum(one.measured for one in CLIENTS.values()) >= 10


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_a_row_says_what_it_is_about(client: Client) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", client.name)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", client.version)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", client.date)
    assert client.registry in ("PyPI", "npm")
    assert client.requests
    assert all(fault in FAULTS and number >= 1 for fault, number in client.requests.items())


def test_what_is_written_is_read_again() -> None:
    assert read_clients(write_clients(CLIENTS)) == dict(CLIENTS)


def test_hidden_retries_are_those_after_faults_that_may_be_billed() -> None:
    one = replace(CLIENTS["openai-python"], requests={"500": 2, "429": 9, "half": 4})
    assert one.hidden_retries == 3
    assert one.worst == ("half",)
    never = replace(one, requests={"500": 1, "429": 9})
    assert never.hidden_retries == 0
    assert never.worst == ()


def test_a_scenario_takes_the_hidden_retries_of_its_client() -> None:
    assume = scenario('client = "openai-python"\n').assume
    assert (assume.a10, assume.hidden_retries, assume.client) == (False, 2, "openai-python")
    assume = scenario('client = "google-genai"\n').assume
    assert (assume.a10, assume.hidden_retries, assume.client) == (True, None, "google-genai")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('client = "openai-pyton"\n', 'did you mean "openai-python"'),
        ('client = "openai-python"\nA10 = true\n', "A10 follows from the client"),
        ('client = "openai-python"\nhidden_retries = 5\n', "hidden_retries follows from the client"),
    ],
)
def test_what_makes_no_sense_beside_a_client_is_refused(more: str, message: str) -> None:
    with pytest.raises(CapsoundError) as failed:
        scenario(more)
    assert message in str(failed.value) + failed.value.hint + failed.value.cause


def test_a_client_is_explained() -> None:
    said = explain_name("openai-python")
    assert "hidden retries: 2, on 500" in said
    assert 'client = "openai-python" in [assume]' in said
    assert "hidden retries: 0\n" in explain_name("google-genai")
