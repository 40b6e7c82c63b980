"""The accounts of a scenario with its numbers, from the leaves to the root: each by itself, alike ones once.

An account becomes a scenario of its own: its cap is what it is granted, its agents are those that charge it, and what
is below it is known by its promises (``promises``). Slices that agents take for themselves are alike, and so are slices
of one grant that are used alike: there is one proof for a thousand of them. Nothing but its promise is known of what is
below an account. So in a chain of slices of one grant each is alike to the next, from where they promise the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from capsound.costs import costs_of
from capsound.machine import TOLD_APART, compile_scenario
from capsound.scenario import ROOT, Agents, CallKind, Interval, Plain, Request, Scenario, Stream
from capsound_proofs.aggregate import Abstraction, Options, calls_started
from capsound_proofs.building import all_of, implies
from capsound_proofs.calls import Fact
from capsound_proofs.children import FAULTS, PROMISED, Children, candidates, opens_as_granted
from capsound_proofs.conclusions import small_part
from capsound_proofs.distance import admits_by_balance
from capsound_proofs.excesses import with_excesses
from capsound_proofs.invariants import PROVE, Invariant, below, find, largest_lost, total_billed
from capsound_proofs.problem import Problem
from capsound_proofs.promises import Account, promise_of
from capsound_proofs.ranges import cost_ranges, largest_bill
from capsound_proofs.second import confirm_all
from capsound_proofs.work import Ceiling, Work
from capsound_proofs.worst import largest_above, upper_bound

Kind = Hashable
"""What accounts that are alike have in common: what they are granted, how they are used, and what is known below."""


def accounts_of(problem: Problem, *, excesses: bool = False) -> list[Account] | None:
    """Return the accounts of a scenario, each kind proved once, the root last; None where this way cannot be gone.

    With ``excesses``, an account also promises by how much at most it is billed more than it has kept of its grant.
    Programs of handles are left out: they use what is below an account after they have closed it.
    """
    scenario, machine = problem.scenario, problem.machine
    programs = any(agents.program for agents in scenario.agents)
    if (
        programs
        or machine.alone
        or any(agents.inherits for agents in scenario.agents)
        or len(machine.accounts) == 1
        or not opens_as_granted(machine.discipline)
    ):
        return None
    tree = _Tree(problem, excesses=excesses)
    tree.account(ROOT, scenario.cap)
    found = [replace(account, owners=tuple(tree.owners.get(kind, ()))) for kind, account in tree.proved]
    return found if tree.finished else None


class _Tree:
    """The proofs so far, in the order in which they were found, and by what accounts that are alike have in common."""

    def __init__(self, problem: Problem, *, excesses: bool) -> None:
        self.excesses = excesses
        self.problem = problem
        self.scenario = summed_costs(problem)
        self.proved: list[tuple[Kind, Account]] = []
        self.owners: dict[Kind, list[int]] = {}
        self.known: dict[Kind, Known] = {}
        self.finished = True
        self.faults = sum(problem.machine.faults)
        self.names = (*PROMISED, FAULTS) if self.faults else PROMISED
        self.work = Work(PROVE, problem.ceiling)

    def account(self, name: str, grant: Interval) -> Known:
        """Prove the account of that name, and before it all that are below it; return what those above know of it."""
        below: dict[Known, int | None] = {}
        entries = [(entry, agents) for entry, agents in enumerate(self.scenario.agents) if agents.account == name]
        own = [agents for _, agents in entries]
        for entry, agents in entries:
            if agents.own_slice is not None:
                alone = replace(agents, own_slice=None, count=1, account=ROOT)
                known = self._prove(agents.own_slice, (alone,), {}, f"the slice of each {agents.name}", owner=entry)
                _add(below, known, agents.count)
        for piece in self.scenario.slices:
            if piece.parent == name:
                _add(below, self.account(piece.name, piece.grant), 1)
        callers = tuple(replace(agents, account=ROOT) for agents in own if agents.own_slice is None)
        return self._prove(grant, callers, below, name, is_root=name == ROOT)

    def _prove(
        self,
        grant: Interval,
        callers: tuple[Agents, ...],
        below: dict[Known, int | None],
        label: str,
        *,
        is_root: bool = False,
        owner: int | None = None,
    ) -> Known:
        uses = tuple((a.count, a.calls, self.scenario.call(a.call).cost) for a in callers)
        kind = (is_root, grant, uses, tuple(below.items()))
        if owner is not None:
            self.owners.setdefault(kind, []).append(owner)
        if not self.finished:
            return Known(grant, (), None)
        if kind in self.known:
            return self.known[kind]
        assume = self.scenario.assume
        ratio = assume.shortfall if assume.a1 is not True else None
        spent = self.scenario.spent if is_root else 0
        scenario = replace(self.scenario, cap=grant, agents=callers, slices=(), spent=spent)
        machine = compile_scenario(scenario, limit=1)
        children = tuple(
            Children(f"slices{number}", known.grant, most, known.promise, names=self.names)
            for number, (known, most) in enumerate(below.items())
        )
        agents = {entry: agents.count for entry, agents in enumerate(callers) if agents.count is not None}
        counts = calls_started(scenario, machine)
        options = Options(
            children=children,
            slice=not is_root,
            counts=counts,
            agents=agents,
            shortfall=ratio,
            faults=self.faults or None,
        )
        invariant = find(Abstraction(machine, options), self.problem.ceiling, self.work)
        self.finished = invariant.finished
        if self.excesses and self.finished:
            invariant = with_excesses(invariant, self.problem.ceiling)
        bills = self._bills(callers, below)
        # What a fault can lose of an account is what it can lose on it or below it.
        most = largest_lost(invariant.abstraction, invariant.abstraction.spots) if self.faults else (None, None)
        lost, bill = (_at_least(top, [known.lost[n] for known in below]) for n, top in enumerate(most))
        guesses = candidates(grant, ratio, bills, a1=assume.a1 is True, lost=lost)
        promise = () if is_root else promise_of(invariant, guesses)
        if self.excesses and self.finished and not is_root:
            promise += _least_excess(invariant, bill, self.problem.ceiling)
        known = self.known[kind] = Known(grant, promise, bills, (lost, bill))
        self.proved.append((kind, Account(f"{label}: ", invariant, promise)))
        return known

    def _bills(self, callers: tuple[Agents, ...], below: dict[Known, int | None]) -> int | None:
        """Return what all calls of an account and below it are billed at most, if each is billed once."""
        total = 0
        tops = [(agents.count, largest_bill(costs_of(self.scenario, agents.call)), agents.calls) for agents in callers]
        tops += [(most, known.bills, 1) for known, most in below.items()]
        for count, top, calls in tops:
            if count is None or top is None:
                return None
            total += count * top * calls
        return total


@dataclass(frozen=True, slots=True)
class Known:
    """All that an account is known by to those above it.

    ``bills``: what it is billed at most, if each of its calls is billed once; ``lost``: the largest estimate and the
    largest bill that a fault can lose, of it and of what is below it. None where there is no end.
    """

    grant: Interval
    promise: tuple[Fact, ...]
    bills: int | None
    lost: tuple[int | None, int | None] = (None, None)


def _at_least(amount: int | None, others: list[int | None]) -> int | None:
    known = [other for other in (amount, *others) if other is not None]
    return max(known) if len(known) == len(others) + 1 else None


def _add(below: dict[Known, int | None], known: Known, count: int | None) -> None:
    so_far = below.get(known, 0)
    below[known] = None if so_far is None or count is None else so_far + count


def _least_excess(invariant: Invariant, bill: int | None, ceiling: Ceiling | None) -> tuple[Fact, ...]:
    """Return by how much an account is billed more than it keeps of its grant at most, and what it is billed at most.

    Beside that, each fault may lose ``bill``, where faults are counted.
    One does not follow from the other: what is given back may be less than nothing, where an account is in debt.
    """
    abstraction = invariant.abstraction
    account, billed = abstraction.ledgers[0], total_billed(abstraction)
    lost: tuple[tuple[str, int], ...] = ()
    if abstraction.faults is not None and bill is not None:
        billed = billed - (abstraction.faults + below(abstraction, FAULTS)) * bill
        lost = ((FAULTS, bill),)
    above = largest_above(invariant, billed - account.granted + account.returned, ceiling)
    most = None if above is None else largest_above(invariant, billed, ceiling)
    kept = () if above is None else (Fact((("net", 1), ("billed", -1), *lost), above),)
    return kept if most is None else (*kept, Fact((("billed", -1), *lost), most))


def bound_by_accounts(
    accounts: list[Account], most: int, ceiling: Ceiling | None, cap: int, *, within: bool = False
) -> bool:
    """Return whether the root is billed at most so much more than its cap, once the second solver has agreed.

    With ``within`` it is proved besides that no account has more available than the cap (``at_cap``). Raises
    ``Disagreement`` where the second solver finds otherwise.
    """
    root = accounts[-1].invariant.abstraction
    parts = [account.promised for account in accounts[:-1]]
    parts.append(implies(root.ledgers[0].granted == cap, total_billed(root) - root.ledgers[0].granted <= most))
    kept = [account.invariant.abstraction.ledgers[0].available <= cap for account in accounts]
    wanted = [all_of(part, bound) for part, bound in zip(parts, kept, strict=True)] if within else parts
    if not all(a.invariant.implies(goal) for a, goal in zip(accounts, wanted, strict=True)):
        return False
    proofs = [(small_part(a.invariant, goal), goal) for a, goal in zip(accounts, wanted, strict=True)]
    confirm_all(proofs, ceiling)
    return True


@dataclass(frozen=True, slots=True)
class Bounded:
    """Accounts that promise what they are billed at most, and by how much the cap is exceeded at most: proved twice."""

    accounts: list[Account]
    most: int


def bounded_by_account(problem: Problem, cap: int) -> Bounded | None:
    """Return what bounds the bills of each account at a cap, found once; None where nothing does."""
    if cap not in problem.bounded:
        problem.bounded[cap] = _bounded(problem, cap)
    return problem.bounded[cap]


def _bounded(problem: Problem, cap: int) -> Bounded | None:
    here = at_cap(problem, cap)
    accounts = accounts_of(here, excesses=True)
    if accounts is None or not all(account.invariant.finished for account in accounts):
        return None
    most = upper_bound(accounts[-1].invariant, cap, problem.ceiling)
    if most is None or not bound_by_accounts(accounts, most, problem.ceiling, cap, within=here is not problem):
        return None
    return Bounded(accounts, most)


def most_of_owners(accounts: list[Account]) -> dict[int, int]:
    """Return what the own slice of an agent of each entry is billed at most, where that is promised."""
    found: dict[int, int] = {}
    for account in accounts:
        tops = [fact.constant for fact in account.promise if fact.weights == (("billed", -1),)]
        found |= dict.fromkeys(account.owners, min(tops)) if tops else {}
    return found


def at_cap(problem: Problem, cap: int) -> Problem:
    """Return the problem at one cap; what is estimated at more than the cap is never admitted, and left out.

    So it is where calls are admitted by the balance, as long as that is never above the cap: the first call, or grant,
    of more would be admitted in a state of a run in which all were of less (``bound_by_accounts`` asks for that).
    """
    scenario = problem.machine.scenario
    if scenario.cap.fixed:
        return problem
    calls, slices = scenario.calls, scenario.slices
    if admits_by_balance(problem.machine.discipline):
        calls = tuple(
            replace(kind, cost=replace(kind.cost, estimate=_at_most(kind.cost.estimate, cap)))
            if isinstance(kind.cost, Plain)
            else kind
            for kind in calls
        )
    if all(step.guard is not None for step in problem.machine.discipline.delegate[:1]):
        slices = tuple(replace(piece, grant=_at_most(piece.grant, cap)) for piece in slices)
    here = replace(scenario, cap=Interval.exactly(cap), calls=calls, slices=slices)
    assumed = replace(here, assume=problem.scenario.assume)
    return replace(problem, scenario=assumed, machine=compile_scenario(here, limit=TOLD_APART), numbers=None)


def _at_most(amounts: Interval, most: int) -> Interval:
    top = most if amounts.hi is None else min(amounts.hi, most)
    return amounts if top < amounts.lo else Interval(amounts.lo, top)


def summed_costs(problem: Problem) -> Scenario:
    """Return the scenario with an estimate and a bill for every request, from the smallest to the largest possible.

    What the estimator has earned holds of them, as it holds of the requests; how they depend on each other otherwise,
    and on how many calls there were before, is forgotten. So all calls of an agent are alike.
    """
    scenario = problem.scenario
    if not any(isinstance(kind.cost, Request) for kind in scenario.calls):
        return scenario
    most: dict[str, int] = {}
    for agents in scenario.agents:
        most[agents.call] = max(agents.calls, most.get(agents.call, 1))
    kinds = tuple(_ranges(problem.machine.scenario, kind, most.get(kind.name, 1)) for kind in scenario.calls)
    # The ranges have in them by how much a price may rise, and how often a bill may be repeated.
    return replace(scenario, calls=kinds, assume=replace(scenario.assume, a8=True, a10=True))


def _ranges(scenario: Scenario, kind: CallKind, calls: int) -> CallKind:
    if isinstance(kind.cost, Stream):
        return kind
    first, last = (cost_ranges(costs_of(scenario, kind.name, earlier)) for earlier in (0, calls - 1))
    estimate, bill = (Interval(low.lo, high.hi) for low, high in zip(first, last, strict=True))
    return CallKind(kind.name, Plain(estimate, bill))
