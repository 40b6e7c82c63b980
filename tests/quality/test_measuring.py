"""Clients whose retries are known, measured: the count is what they send, whatever the fault."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import pytest

from capsound.clients import FAULTS
from capsound_checker.wire import measuring
from capsound_checker.wire.measuring import DRIVERS, Driver, NotMeasured, client_of, driver, measure

TRIES = """
import json, os, sys, time, urllib.request
print("version", "1.2.3", flush=True)
body = {"model": "m", "max_tokens": 9, "stream": sys.argv[1] == "stream", "messages": [{"role": "user", "content": "x"}]}
ask = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
)
for _ in range(TIMES):
    try:
        answer = urllib.request.urlopen(ask, timeout=0.2)
        for line in answer:
            pass
        if answer.length:
            raise EOFError
        print("saw returns")
        break
    except Exception as error:
        print("saw", type(error).__name__)
"""


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr(Driver, "script", property(lambda self: TRIES.replace("TIMES", self.call)))
    return Driver("fake", "fake", "PyPI", "4")


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "cut-stream"])
def test_each_fault_is_given_to_every_request(tries: Driver, fault: str) -> None:
    (met,) = measure(tries, sys.executable, Path(), [fault])
    assert met.ended
    assert met.requests == 4
    assert met.version == "1.2.3"


def test_a_cut_stream_is_seen_by_a_client_that_looks(tries: Driver) -> None:
    (met,) = measure(tries, sys.executable, Path(), ["cut-stream"])
    assert met.ended
    assert met.requests >= 1


def test_a_call_that_does_not_end_in_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "script", property(lambda _: TRIES.replace("TIMES", "1") + "\ntime.sleep(60)\n"))
    one = Driver("fake", "fake", "PyPI", "1")
    met = measure(one, sys.executable, Path(), ["500"], seconds=2.0)
    assert not met[0].ended
    assert client_of(one, met, date(2026, 11, 28)).requests == {}


def test_a_client_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotMeasured, match="sent no request") as failed:
        measure(driver("autogen"), sys.executable, Path(), ["500"])
    assert "autogen" in failed.value.hint
    with pytest.raises(NotMeasured, match="no client is called"):
        driver("openai")
    with pytest.raises(NotMeasured):
        measure(driver("autogen"), str(tmp_path / "no-python"), Path(), ["500"])


@pytest.mark.parametrize("one", DRIVERS.values(), ids=DRIVERS)
def test_every_driver_has_its_script(one: Driver) -> None:
    assert "drive(" in one.script.partition("\n\n")[2]
    if not one.node:
        compile(one.script, one.name, "exec")


def test_no_script_is_left_over() -> None:
    folder = Path(measuring.__file__).parent / "drivers"
    names = {path.name.partition(".")[0] for path in folder.iterdir()}
    assert names == {"prelude", *DRIVERS}
