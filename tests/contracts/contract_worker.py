"""Check contracts in a process of its own: CrossHair traces every instruction, which no test runner should share.

    python tests/contracts/contract_worker.py MODULE [-t SECONDS] [-f] CONTRACT ...

MODULE is ``contracts_model`` or ``contracts_reference``; with ``-f``, each contract is checked once for each of its
faults in ``contract_faults``, with that fault planted. One line of JSON for each check: ``verdict`` is

    confirmed   CrossHair went through all paths
    bounded     no counterexample within the time, but not all paths
    refuted     ``inputs`` break it; ``replayed`` says that they do so without CrossHair, too
    error       the contract could not be checked

Seconds are those of the processor, so that a busy machine does not change what is found.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import json
import linecache
import os
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from contract_faults import FAULTS, MODULES, Fault

REPOSITORY = Path(__file__).resolve().parents[2]
if importlib.util.find_spec("capsound") is None:  # a bare checkout
    sys.path[:0] = [str(REPOSITORY / root) for root in ("model", "reference_impl")]


@dataclass(frozen=True)
class Finding:
    """What CrossHair says of one contract."""

    contract: str
    fault: int | None
    verdict: str
    paths: int
    seconds: float
    message: str
    inputs: tuple[int, ...] | None = None
    replayed: bool | None = None


class Planted(SourceFileLoader):
    """Loads a module with a fault in it."""

    fault: Fault

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8")
        if source.count(self.fault.old) != 1:
            raise LookupError(f"the fault no longer applies, bring it up to date: {self.fault.says}")
        changed = source.replace(self.fault.old, self.fault.new)
        # CrossHair reads the source of what is called: it must see the lines that run. No time: never read again.
        linecache.cache[self.path] = (len(changed), None, changed.splitlines(keepends=True), self.path)
        return compile(changed, self.path, "exec")


class Planter(MetaPathFinder):
    """Finds one module, and has it loaded with a fault in it."""

    def __init__(self, module: str, fault: Fault) -> None:
        self.module, self.fault = module, fault

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = Planted(fullname, spec.origin)
        spec.loader.fault = self.fault
        return spec


def leave_out_words() -> None:
    """Take the numbers out of the sentences of refusals.

    A number in words is a string for each of its values: no search would come to an end. What is said of a breach is
    tested elsewhere; here it matters which rules are broken.
    """
    from capsound.accounts import RULES

    RULES.update({name: replace(rule, told=rule.says) for name, rule in RULES.items()})


def check(module: str, name: str, seconds: float, fault: int | None = None) -> Finding:
    """Check one contract; with a fault, its module must not have been imported yet."""
    from crosshair.core_and_libs import analyze_function, run_checkables
    from crosshair.options import AnalysisKind, AnalysisOptionSet
    from crosshair.statespace import MessageType

    from capsound.errors import CapsoundError

    if fault is not None:
        sys.meta_path.insert(0, Planter(MODULES[module], FAULTS[name][fault]))
    contract = getattr(importlib.import_module(module), name)
    leave_out_words()
    stats: Counter[str] = Counter()
    options = AnalysisOptionSet(
        analysis_kind=[AnalysisKind.asserts], per_condition_timeout=seconds, report_all=True, stats=stats
    )
    started = time.process_time()
    messages = run_checkables(analyze_function(contract, options))
    took = round(time.process_time() - started, 2)
    if len(messages) != 1:
        return Finding(name, fault, "error", stats["num_paths"], took, f"{len(messages)} messages: {messages}")
    verdict = {
        MessageType.CONFIRMED: "confirmed",
        MessageType.CANNOT_CONFIRM: "bounded",
        MessageType.EXEC_ERR: "refuted",
        MessageType.POST_ERR: "refuted",
        MessageType.POST_FAIL: "refuted",
    }.get(messages[0].state, "error")
    finding = Finding(name, fault, verdict, stats["num_paths"], took, messages[0].message)
    if verdict != "refuted":
        return finding
    call = re.search(rf"when calling {name}\(([^)]*)\)", finding.message)
    if call is None:
        return replace(finding, verdict="error")
    inputs = ast.literal_eval(f"({call[1]},)")
    try:
        contract(*inputs)
    except (AssertionError, CapsoundError):
        return replace(finding, inputs=inputs, replayed=True)
    return replace(finding, inputs=inputs, replayed=False)


def in_child(module: str, name: str, seconds: float, fault: int) -> None:
    """Check with a fault in a fork of this process, which has CrossHair loaded and neither module."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        tell(check(module, name, seconds, fault))
    except Exception:  # noqa: BLE001 whatever it is, the other checks go on, and the test shows it
        tell(Finding(name, fault, "error", 0, 0.0, traceback.format_exc()))
    finally:
        os._exit(0)


def tell(finding: Finding) -> None:
    sys.stdout.write(json.dumps(asdict(finding)) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("module", choices=MODULES)
    parser.add_argument("-t", "--seconds", type=float, default=30)
    parser.add_argument("-f", "--faults", action="store_true")
    parser.add_argument("contracts", nargs="+")
    given = parser.parse_args()
    importlib.import_module("crosshair.core_and_libs")
    for name in given.contracts:
        if given.faults:
            for fault in range(len(FAULTS[name])):
                in_child(given.module, name, given.seconds, fault)
        else:
            tell(check(given.module, name, given.seconds))


if __name__ == "__main__":
    main()
