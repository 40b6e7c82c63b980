"""The adapters over published libraries, without the libraries: against small fakes that answer as these do.

The fakes are held to the libraries by the doctests of the adapters: `examples/adapters/check_all.py` runs them on the real
ones, and here they run on the fakes. What a fake shows is then what the page says of the library.
"""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from capsound.adapter import Adapter, Gate, Kind, ask, offers
from capsound.anomalies import ANOMALIES
from capsound.guarantees import Guarantee
from capsound_checker.check.judging import judge
from capsound_checker.programs.lockstep import Lockstep
from capsound_checker.programs.modules import run_file
from capsound_checker.programs.program import AMOUNTS, FIELDS, MISUSE, PROFILES, Step
from capsound_checker.schedules.threads import pairs, race

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "adapters"
PAGE = ROOT / "docs" / "published.md"


check_all = run_file(FOLDER / "check_all.py", "example_check_all")
TARGETS: dict[str, Any] = check_all.load_targets()
targets = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
files = pytest.mark.parametrize("file", sorted({t.file for t in TARGETS.values()}), ids=lambda f: f.stem)


# ------------------------------------------------------------------------------------- breakerbox: its ledger


class InsufficientBudget(Exception):
    def __init__(self, node: str, requested: int, available: int) -> None:
        super().__init__(f"node {node!r}: need {requested} microUSD but only {available} available")


@dataclass
class NodeAccount:
    parent: str | None
    allocation: int
    spent: int = 0
    reserved_microusd: int = 0
    children: int = 0

    def remaining(self) -> int:
        return self.allocation - self.spent - self.reserved_microusd - self.children


class Ledger:
    """A tree of accounts: what is reserved or allocated is taken off at once, what is reconciled is counted in full."""

    def __init__(self) -> None:
        self._accounts: dict[str, NodeAccount] = {}
        self._reservations: dict[int, tuple[str, int]] = {}
        self._next = 1
        self._lock = threading.Lock()

    def open_account(self, node: str, parent: str | None, allocation: int) -> None:
        if allocation < 0:
            raise ValueError("allocation must be >= 0")
        with self._lock:
            if parent is not None:
                self._fits(parent, allocation)
                self._accounts[parent].children += allocation
            self._accounts[node] = NodeAccount(parent, allocation)

    def _fits(self, node: str, amount: int) -> None:
        if self._accounts[node].remaining() < amount:
            raise InsufficientBudget(node, amount, self._accounts[node].remaining())

    def reserve(self, node: str, estimate: int) -> int:
        if estimate < 0:
            raise ValueError("estimate must be >= 0")
        with self._lock:
            self._fits(node, estimate)
            self._accounts[node].reserved_microusd += estimate
            self._next += 1
            self._reservations[self._next] = (node, estimate)
            return self._next

    def reconcile(self, number: int, actual: int) -> None:
        if actual < 0:
            raise ValueError("actual must be >= 0")
        with self._lock:
            node, estimate = self._reservations.pop(number)
            self._accounts[node].reserved_microusd -= estimate
            self._accounts[node].spent += actual

    def release(self, number: int) -> None:
        with self._lock:
            node, estimate = self._reservations.pop(number)
            self._accounts[node].reserved_microusd -= estimate

    def remaining(self, node: str) -> int:
        return self._accounts[node].remaining()

    def spent(self, node: str) -> int:
        return self._accounts[node].spent

    def total_spent(self) -> int:
        return sum(account.spent for account in self._accounts.values())

    def root_allocation(self) -> int:
        return self._accounts["root"].allocation


# ------------------------------------------------------------------------------------------- token-budget-py


class BudgetExceeded(Exception):
    pass


class BudgetPool:
    """Two counters behind one lock. A commit gives its reservation back first, and forgets a bill that does not fit."""

    def __init__(self, token_cap: int | None = None, usd_cap: float | None = None) -> None:
        if (token_cap or 0) < 0 or (usd_cap or 0) < 0:
            raise ValueError("a cap must be >= 0 or None")
        self._cap, self._usd_cap = token_cap, usd_cap
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self._used, self._tokens_reserved, self._usd, self._usd_reserved = 0, 0, 0.0, 0.0

    def _check(self, tokens: int, usd: float) -> None:
        attempted, dollars = self._used + self._tokens_reserved + tokens, self._usd + self._usd_reserved + usd
        for axis, value, cap in (("tokens", attempted, self._cap), ("usd", dollars, self._usd_cap)):
            if cap is not None and value > cap:
                raise BudgetExceeded(f"budget exceeded on {axis}: attempted {value:.6g} > cap {cap:.6g}")

    def _add(self, tokens: int, usd: float) -> None:
        self._check(tokens, usd)
        self._used += tokens
        self._usd += usd

    def record(self, *, tokens: int = 0, usd: float = 0.0) -> None:
        with self._lock:
            self._add(tokens, usd)

    def try_reserve(self, *, tokens: int = 0, usd: float = 0.0) -> Reservation:
        if tokens < 0 or usd < 0:
            raise ValueError("reserve amounts must be non-negative")
        with self._lock:
            self._check(tokens, usd)
            self._tokens_reserved += tokens
            self._usd_reserved += usd
        return Reservation(self, tokens, usd)

    @contextmanager
    def reserve(self, *, tokens: int = 0, usd: float = 0.0) -> Iterator[Reservation]:
        hold = self.try_reserve(tokens=tokens, usd=usd)
        try:
            yield hold
        finally:
            hold.release()

    def snapshot(self) -> SimpleNamespace:
        return SimpleNamespace(
            tokens_used=self._used,
            usd_used=self._usd,
            tokens_remaining=None if self._cap is None else self._cap - self._used - self._tokens_reserved,
            usd_remaining=None if self._usd_cap is None else self._usd_cap - self._usd - self._usd_reserved,
        )


class Reservation:
    def __init__(self, pool: BudgetPool, tokens: int, usd: float) -> None:
        self._pool, self._tokens, self._usd, self._completed = pool, tokens, usd, False

    def _back(self) -> None:
        self._pool._tokens_reserved -= self._tokens
        self._pool._usd_reserved -= self._usd
        self._completed = True

    def commit(self, *, tokens: int | None = None, usd: float | None = None) -> None:
        if self._completed:
            raise RuntimeError("reservation already committed or released")
        tokens, usd = self._tokens if tokens is None else tokens, self._usd if usd is None else usd
        if tokens < 0 or usd < 0:
            raise ValueError("actual amounts must be non-negative")
        with self._pool._lock:
            self._back()
            self._pool._add(tokens, usd)

    def release(self) -> None:
        if self._completed:
            return
        with self._pool._lock:
            self._back()


# --------------------------------------------------------------------------------------- budget-guard-agents


class GuardExceeded(Exception):
    pass


@dataclass(frozen=True)
class BudgetPolicy:
    max_tokens: int

    def __post_init__(self) -> None:
        if self.max_tokens <= 0:
            raise ValueError(f"max_tokens must be positive, got {self.max_tokens!r}")


class BudgetGuard:
    """A counter that is compared with the cap before a call, and added to after it."""

    def open(self, task: str, policy: BudgetPolicy) -> None:
        self.cap, self.tokens, self.lock = policy.max_tokens, 0, threading.Lock()

    def _number(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"must be a finite number, got {value!r}")
        return value

    def check(self, task: str, *, est_input_tokens: int, enforce: bool = True) -> SimpleNamespace:
        projected = self.tokens + self._number(est_input_tokens)
        reason = f"token cap exceeded ({projected} > {self.cap})" if projected > self.cap else None
        if enforce and reason:
            raise GuardExceeded(reason)
        return SimpleNamespace(allowed=reason is None, reason=reason)

    def record(self, task: str, *, input_tokens: int) -> BudgetGuard:
        with self.lock:
            self.tokens += self._number(input_tokens)
        return self

    def status(self, task: str) -> dict[str, Any]:
        return {"tokens": self.tokens, "remaining": {"tokens": self.cap - self.tokens}}


# ------------------------------------------------------------------------------------------ pydantic-ai-slim


class UsageLimitExceeded(Exception):
    pass


@dataclass
class RequestUsage:
    input_tokens: int = 0


@dataclass
class RunUsage(RequestUsage):
    def incr(self, usage: RequestUsage) -> None:
        self.input_tokens += usage.input_tokens

    @property
    def total_tokens(self) -> int:
        return self.input_tokens


@dataclass
class UsageLimits:
    """Compares what was used with the limits, before a request and after it; what is at the limit passes."""

    total_tokens_limit: int | None = None
    input_tokens_limit: int | None = None
    request_limit: int | None = 50
    count_tokens_before_request: bool = False

    def check_tokens(self, usage: RunUsage) -> None:
        for name in ("input_tokens", "total_tokens"):
            limit, used = getattr(self, f"{name}_limit"), getattr(usage, name)
            if limit is not None and used > limit:
                raise UsageLimitExceeded(f"Exceeded the {name}_limit of {limit} ({name}={used}). See the docs.")

    check_before_request = check_tokens


FAKES: dict[str, dict[str, dict[str, Any]]] = {
    "breakerbox_ledger": {
        "breakerbox.ledger": {"Ledger": Ledger, "InsufficientBudget": InsufficientBudget, "ReservationId": int}
    },
    "token_budget_pool": {
        name: {"BudgetPool": BudgetPool, "BudgetExceeded": BudgetExceeded, "Reservation": Reservation}
        for name in ("token_budget", "token_budget.pool")
    },
    "budget_guard": {
        name: {"BudgetGuard": BudgetGuard, "BudgetPolicy": BudgetPolicy, "BudgetExceeded": GuardExceeded}
        for name in ("budgetguard", "budgetguard.guard")
    },
    "pydantic_ai_limits": {
        "pydantic_ai.usage": {"UsageLimits": UsageLimits, "RunUsage": RunUsage, "RequestUsage": RequestUsage},
        "pydantic_ai.exceptions": {"UsageLimitExceeded": UsageLimitExceeded},
    },
}
"""What each adapter imports of its library, by module."""


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fakes in the place of the libraries, installed or not."""
    for modules in FAKES.values():
        for name, content in modules.items():
            top, _, rest = name.partition(".")
            module = ModuleType(name)
            module.__dict__.update(content, __file__=__file__)
            monkeypatch.setitem(sys.modules, name, module)
            if rest and top not in modules:
                monkeypatch.setitem(sys.modules, top, sys.modules.get(top, ModuleType(top)))
            if rest:
                monkeypatch.setattr(sys.modules[top], rest, module, raising=False)


def adapter(target: Any) -> type[Adapter]:
    found: type[Adapter] = getattr(
        run_file(target.file, f"example_{target.file.stem}"), target.adapter.partition(":")[2]
    )
    return found


# ------------------------------------------------------------------------------------------ files and names


@files
def test_an_adapter_imports_its_library_and_the_adapter_module_only(file: Path) -> None:
    tree = ast.parse(file.read_text())
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    theirs = {name.partition(".")[0] for name in FAKES[file.stem]}
    others = {name for name in imported if name.partition(".")[0] not in theirs | sys.stdlib_module_names}
    assert others == {"capsound.adapter"}


def test_every_adapter_of_the_folder_is_a_target() -> None:
    classes = {
        f"{file.name}:{node.name}"
        for file in FOLDER.glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Adapter")
    }
    assert classes == {target.adapter for target in TARGETS.values()}


@targets
def test_a_target_names_what_exists(target: Any) -> None:
    assert re.fullmatch(r"\d+(\.\d+)+", target.version)
    assert (ast.get_docstring(ast.parse(target.file.read_text())) or "").startswith(
        f"{target.package} {target.version}: "
    )
    assert target.strongest in {g.label for g in Guarantee}
    assert {*target.calls, *target.may, *target.misuse, *target.threads} <= set(ANOMALIES)
    assert not set(target.calls) & set(target.may)
    assert len(target.promise.split()) <= 12
    assert target.source


def test_the_page_says_what_the_targets_say() -> None:
    def code(names: tuple[str, ...]) -> str:
        return ", ".join(f"`{name}`" for name in names) or "-"

    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{t.name}` | {t.package} {t.version} | `{t.strongest}` | {code(t.calls)} | {code(t.misuse)} "
        f"| {code(t.threads)} |"
        for t in TARGETS.values()
    ]


@targets
def test_the_page_quotes_the_promise_and_gives_the_command(target: Any) -> None:
    text = PAGE.read_text()
    assert f'"{target.promise.rstrip(".")}' in " ".join(text.split())
    assert f"python examples/adapters/check_all.py --only {target.name}\n" in text


# ----------------------------------------------------------------------------------- the fakes, and on them


@files
def test_the_doctests_hold_for_the_fake(file: Path, libraries: None) -> None:
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    head, *parts = re.split(r"\n\n(?=\*)", text)
    kept = "\n\n".join([head, *(part for part in parts if "import Agent" not in part)])
    test = doctest.DocTestParser().get_doctest(kept, {}, file.name, str(file), 0)
    assert len(test.examples) > 5
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@targets
def test_the_check_says_of_the_fake_what_is_expected_of_the_library(target: Any, libraries: None) -> None:
    cls = adapter(target)
    usual = judge(cls, programs=100, enough=6, profiles=[p for p in PROFILES.values() if p not in (AMOUNTS, MISUSE)])
    misuse = judge(cls, programs=100, profiles=[AMOUNTS]).found | judge(cls, programs=100, profiles=[MISUSE]).found
    threads = {
        found.anomaly
        for before, one, two in (pairs(cls) if cls.threads else ())
        if one.do == two.do and (found := race(cls, before, one, two)[0])
    }
    strongest = min(usual.strongest, Guarantee.SEQUENTIAL) if threads else usual.strongest
    verdict = {"strongest": strongest.label, "calls": usual.found, "misuse": misuse, "threads": threads}
    assert target.differs(verdict) == []


@dataclass(frozen=True)
class Story:
    target: str
    text: str

    @property
    def program(self) -> list[Step]:
        """The steps of the story, read from its lines ``[n] name(field=number)``."""
        steps = []
        for do, inner in re.findall(r"^\[\d+\] (\w+)\((.*)\)$", self.text, flags=re.MULTILINE):
            assert do in FIELDS
            steps.append(Step(do, **{key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", inner)}))
        return steps


def stories() -> list[Story]:
    found = re.findall(r"<!-- shows: (\S+) -->\n```text\n(.*?)\n```", PAGE.read_text(), flags=re.DOTALL)
    return [Story(*pair) for pair in found]


@pytest.mark.parametrize("story", stories(), ids=lambda s: s.target)
def test_the_page_prints_what_happens(story: Story, libraries: None) -> None:
    run = Lockstep(adapter(TARGETS[story.target])()).run(story.program)
    assert run.story() == story.text


def test_the_page_shows_every_target_that_breaks_something() -> None:
    assert {story.target for story in stories()} == set(TARGETS)


def test_outcomes_of_the_ledger_are_told_apart(libraries: None) -> None:
    ledger: Any = adapter(TARGETS["breakerbox"])()
    root = ledger.open(5)
    hold = ask(ledger, "reserve", root, 3).value
    child = ask(ledger, "delegate", root, 2).value
    kinds = [
        ask(ledger, "reserve", root, 1).kind,
        ask(ledger, "delegate", child, 3).kind,
        ask(ledger, "settle", hold, -1).kind,
        ask(ledger, "settle", hold, 4).kind,
        ask(ledger, "settle", hold, 4).kind,
        ask(ledger, "release", hold).kind,
    ]
    assert kinds == [Kind.REFUSED, Kind.REFUSED, Kind.REJECTED, Kind.DONE, Kind.STALE, Kind.STALE]
    assert ledger.observe(root) == (4, 0, -1)
    assert ledger.observe(child) == (0, 0, 2)
    grandchild = ledger.delegate(child, 1)
    assert len({scope.node for scope in (root, child, grandchild)}) == 3


def test_outcomes_of_the_pool_are_told_apart(libraries: None) -> None:
    for name in ("token-budget-py", "token-budget-py-dollars"):
        pool: Any = adapter(TARGETS[name])()
        scope = pool.open(5)
        hold = ask(pool, "reserve", scope, 4).value
        kinds = [
            ask(pool, "reserve", scope, 2).kind,
            ask(pool, "reserve", scope, -2).kind,
            ask(pool, "settle", hold, 3).kind,
            ask(pool, "settle", hold, 3).kind,
            ask(pool, "release", hold).kind,
        ]
        assert kinds == [Kind.REFUSED, Kind.REJECTED, Kind.DONE, Kind.STALE, Kind.DONE]
        assert pool.observe(scope) == (3, 0, 2)


def test_outcomes_of_the_guard_are_told_apart(libraries: None) -> None:
    guard: Any = adapter(TARGETS["budget-guard-agents"])()
    assert ask(guard, "open", 0).kind is Kind.REJECTED
    task = guard.open(5)
    kinds = [
        ask(guard, "check", task, 6).kind,
        ask(guard, "check", task, True).kind,
        ask(guard, "check", task, 5).kind,
        ask(guard, "record", task, 7).kind,
    ]
    assert kinds == [Kind.REFUSED, Kind.REJECTED, Kind.DONE, Kind.DONE]
    assert guard.observe(task) == (7, None, -2)


def test_outcomes_of_the_limits_are_told_apart(libraries: None) -> None:
    for name, before in (("pydantic-ai-slim", Kind.DONE), ("pydantic-ai-slim-counted", Kind.REFUSED)):
        limits: Any = adapter(TARGETS[name])()
        shared = limits.open(5)
        assert ask(limits, "record", shared, 5).kind is Kind.DONE
        assert ask(limits, "check", shared, 1).kind is before
        assert ask(limits, "record", shared, 1).kind is Kind.REFUSED
        assert limits.observe(shared) == (6, None, -1), "what is refused afterwards is counted all the same"
        assert ask(limits, "check", shared, 0).kind is Kind.REFUSED


@targets
def test_no_adapter_claims_more_than_its_library(target: Any, libraries: None) -> None:
    cls = adapter(target)
    assert not cls.strict
    assert not cls.complete
    assert not cls.handlers
    assert not offers(cls) & {"sent", "forfeit", "extend", "close", "merge", "journal", "balances"}
    assert ("call" in offers(cls)) == (cls.gate is Gate.CALL) == target.name.endswith("-call")


# --------------------------------------------------------------------------------------------- check_all.py


def verdict(target: Any, **changes: Any) -> dict[str, Any]:
    same = {part: dict.fromkeys(getattr(target, part), "a story") for part in check_all.LISTS}
    return {"strongest": target.strongest, "refutation": None, **same, **changes}


def test_what_is_not_as_expected_is_said() -> None:
    target = TARGETS["token-budget-py"]
    assert target.differs(verdict(target)) == []
    calls = dict.fromkeys([*target.calls, "stale-admit"], "")
    assert target.differs(verdict(target, calls=calls)) == [], "it may be shown, and need not"
    assert target.differs(verdict(target, strongest="none")) == ["strongest is none, not sequential"]
    assert target.differs(verdict(target, threads={})) == ["threads: double-settle was not shown"]
    calls = dict.fromkeys([*target.calls, "hang"], "")
    assert target.differs(verdict(target, calls=calls)) == ["calls: hang was not expected"]
    misuse = dict.fromkeys([*target.misuse, "vanished"], "")
    assert target.differs(verdict(target, misuse=misuse)) == [], "what else a misuse breaks is not compared"


@pytest.fixture
def nothing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_all, "environment", lambda folder, package, version: Path(sys.executable))
    monkeypatch.setattr(check_all, "reproduced", lambda python, file: True)
    known = {target.adapter: target for target in TARGETS.values()}
    monkeypatch.setattr(check_all, "judged", lambda python, name: verdict(known[name]))


def test_it_ends_with_0_when_all_is_as_expected(
    nothing_run: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert check_all.main([str(tmp_path)]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(TARGETS)
    assert all(row.endswith(" yes") for row in rows)


def test_it_ends_with_1_when_a_verdict_or_a_doctest_differs(
    nothing_run: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(check_all, "reproduced", lambda python, file: file.stem != "budget_guard")
    assert check_all.main([str(tmp_path), "--only", "breakerbox-call"]) == 0
    assert "# overshoot (calls), refund-after-send (calls), slice-overshoot (calls)\na story" in capsys.readouterr().out
    assert check_all.main([str(tmp_path)]) == 1
    assert "the doctests of budget_guard.py fail" in capsys.readouterr().out


def test_a_package_that_cannot_be_installed_ends_with_65_and_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        said = "WARNING: a hint\nERROR: No matching distribution found\nnotice: a new release\n"
        return subprocess.CompletedProcess(command, int("pip" in command), "", said)

    monkeypatch.setattr(check_all, "_ran", run)
    assert check_all.main([str(tmp_path), "--only", "breakerbox"]) == 65
    name, cause, hint = capsys.readouterr().err.splitlines()
    assert name.startswith("cannot-install: breakerbox==1.0.0 could not be installed into ")
    assert cause == "ERROR: No matching distribution found"
    assert "PIP_INDEX_URL" in hint


def test_an_unknown_target_ends_with_65_and_the_nearest_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert check_all.main([str(tmp_path), "--only", "breakerbax"]) == 65
    assert "breakerbox" in capsys.readouterr().err


def test_an_adapter_is_judged_by_another_interpreter() -> None:
    target = ROOT / "tests" / "docs" / "desk" / "counter_adapter.py"
    said = check_all.judged(Path(sys.executable), f"{target}:CounterAdapter")
    assert said["strongest"] == "sequential"
    assert {"stale-admit", "overshoot"} <= set(said["calls"])
    assert "bad-amount" in said["misuse"]
    assert said["calls"]["stale-admit"].startswith("[1] open(new=0, amount=1)")
    with pytest.raises(check_all.CapsoundError, match="was not judged") as failed:
        check_all.judged(Path(sys.executable), f"{target}:NoAdapter")
    assert "NoAdapter" in failed.value.cause


def test_doctests_that_fail_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "some_adapter.py"
    file.write_text('""">>> 1 + 1\n2\n"""\n')
    assert check_all.reproduced(Path(sys.executable), file)
    other = (
        tmp_path / "other_adapter.py"
    )  # of the same size, written in the same second: bytecode would be taken for it
    other.write_text('""">>> 1 + 1\n3\n"""\n')
    assert not check_all.reproduced(Path(sys.executable), other)
