"""What it costs to be told of each instruction: ``sys.settrace`` beside ``sys.monitoring`` (CPython 3.12 and later).

    python benchmarks/instruction_events.py [--rounds 5]

Figures are nanoseconds of processor time for each instruction of a small function that reserves and settles. Nothing of
capsound is needed, so that any interpreter can be asked.
"""

from __future__ import annotations

import argparse
import dis
import sys
from statistics import median
from time import process_time
from types import CodeType, FrameType
from typing import Any

ROUNDS = 3_000
_LOCAL = {"COPY", "KW_NAMES", "LOAD_CONST", "LOAD_SMALL_INT", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "SWAP"}


class Purse:
    """A budget without a guard."""

    def __init__(self) -> None:
        self.spent, self.held = 0, 0

    def reserve(self, amount: int) -> bool:
        if self.spent + self.held + amount > 1_000_000:
            return False
        self.held += amount
        return True

    def settle(self, amount: int) -> None:
        self.held -= amount
        self.spent += amount


CODES = Purse.reserve.__code__, Purse.settle.__code__
WATCHED = {id(code) for code in CODES}  # to hash code is slow
LOCAL = {
    (id(code), step.offset)
    for code in CODES
    for step in dis.get_instructions(code)
    if step.opname in _LOCAL or step.opname.startswith("LOAD_FAST")
}
"""The instructions that only the thread itself can see: no place to stop at."""


def work() -> None:
    purse = Purse()
    for _ in range(ROUNDS):
        purse.reserve(2)
        purse.settle(1)


def traced() -> int:
    """Let ``settrace`` tell of each instruction; return how many it told of."""
    seen = 0

    def local(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if event == "opcode":
            seen += (id(frame.f_code), frame.f_lasti) not in LOCAL
        return local

    def begun(frame: FrameType, _event: str, _: object) -> Any:
        if id(frame.f_code) not in WATCHED:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        sys.settrace(begun)  # CPython 3.12 and later instrument code that is new to them only now
        return local

    sys.settrace(begun)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen


def monitored() -> int:
    """Let ``sys.monitoring`` tell of each instruction, but of those that nobody else can see only once."""
    seen = 0
    told: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]

    def instruction(code: CodeType, offset: int) -> Any:
        nonlocal seen
        if (id(code), offset) in LOCAL:
            return told.DISABLE
        seen += 1
        return None

    told.use_tool_id(4, "bench")
    told.register_callback(4, told.events.INSTRUCTION, instruction)
    for code in CODES:
        told.set_local_events(4, code, told.events.INSTRUCTION)
    try:
        work()
    finally:
        for code in CODES:
            told.set_local_events(4, code, 0)
        told.register_callback(4, told.events.INSTRUCTION, None)
        told.free_tool_id(4)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    ways = {"settrace": traced} | ({"sys.monitoring": monitored} if sys.version_info >= (3, 12) else {})
    took: dict[str, list[float]] = {name: [] for name in ways}
    traced()  # code that runs for the first time sends no events for its instructions on 3.12
    for _ in range(asked.rounds):
        for name, way in ways.items():
            begin = process_time()
            seen = way()
            if seen:  # CPython 3.13.0 tells settrace of nothing here
                took[name].append((process_time() - begin) * 1e9 / seen)
    for name, each in took.items():
        told = f"{median(each):6.0f} ns for each place" if each else "told of none"
        print(f"{sys.version.split()[0]:10} {name:16} {told}")


if __name__ == "__main__":
    main()
