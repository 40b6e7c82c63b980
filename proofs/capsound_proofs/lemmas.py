"""A proved invariant as facts about every state of a machine in which agents are told apart.

Sums over the calls at a place become sums over the agents that are there. Without such facts a bounded search that
has to fail takes minutes, with them a tenth of a second.
"""

from __future__ import annotations

import z3

from capsound.disciplines import Retry
from capsound.machine import LEDGER_FIELDS, Config, Machine
from capsound.scenario import Scenario
from capsound_proofs.calls import LOCALS
from capsound_proofs.invariants import Invariant
from capsound_proofs.terms import Term, integer
from capsound_proofs.unrolling import Lemma


def lemma_of(scenario: Scenario, invariant: Invariant, machine: Machine) -> Lemma | None:
    """Return the invariant as facts about the states of a machine in which agents are told apart.

    Its sums become sums over the agents that are at a place, so it may be asserted at every step.
    """
    if not invariant.finished:
        return None
    abstraction = invariant.abstraction
    # The two machines may number their processes differently: an agent fewer of one entry moves all that follow.
    families = [process.family for process in abstraction.machine.processes]
    here_at = {process.identity: index for index, process in enumerate(machine.processes)}
    slice_at = {
        here_at[abstraction.machine.processes[index].identity]: variable
        for index, variable in abstraction.slice_at.items()
    }
    members_of = {
        family: [i for i, process in enumerate(machine.processes) if process.family == family] for family in families
    }
    uncounted = machine.discipline.retry is not Retry.NEVER and scenario.faults.timeout > 0

    def facts(config: Config) -> list[Term]:
        pairs: list[tuple[Term, Term]] = []
        for ledger, mine in zip(config.ledgers, abstraction.ledgers, strict=True):
            pairs += [(getattr(mine, name), integer(getattr(ledger, name))) for name in LEDGER_FIELDS]
        for spot, sums in abstraction.spots.items():
            members = members_of[families[spot.process]]
            place = -1 - spot.at if spot.dead else spot.at
            here = [config.running[i].at == place for i in members]
            pairs.append((sums.count, _sum([_if(h, 1) for h in here])))
            for name in LOCALS:
                values = [_local(config, i, name) for i in members]
                pairs.append((sums.of[name], _sum([_if(h, v) for h, v in zip(here, values, strict=True)])))
        for index, variable in abstraction.started.items():
            pairs.append((variable, _started(machine, config, members_of[families[index]])))
        for index, variable in slice_at.items():
            pairs.append((variable, _slice_position(machine, config, index)))
        kept = [c for c in invariant.kept if not (uncounted and "calls sent" in c.text)]
        return [z3.substitute(c.formula, *pairs) for c in kept]

    return facts


def _if(condition: Term, value: Term) -> Term:
    if isinstance(condition, bool):
        return integer(value if condition else 0)
    return z3.If(condition, integer(value), z3.IntVal(0))


def _sum(terms: list[Term]) -> Term:
    total: Term = z3.IntVal(0)
    for term in terms:
        total = total + term
    return total


def _local(config: Config, index: int, name: str) -> Term:
    call = config.running[index].call
    if name != "over":
        return getattr(call, name)
    over = call.bill - call.cover
    condition = call.bill > call.cover
    if isinstance(condition, bool):
        return over if condition else 0
    return z3.If(condition, integer(over), z3.IntVal(0))


def _started(machine: Machine, config: Config, members: list[int]) -> Term:
    total: Term = z3.IntVal(0)
    for index in members:
        position = _position(config.running[index].at)
        for at, place in enumerate(machine.processes[index].places):
            if place.kind == "call" and place.draws_size:
                total = total + _if(position > at, 1)
    return total


def _slice_position(machine: Machine, config: Config, index: int) -> Term:
    position = _position(config.running[index].at)
    others = [at for at, p in enumerate(machine.processes[index].places) if p.kind != "call"]
    return _sum([_if(position > at, 1) for at in others])


def _position(at: Term) -> Term:
    if isinstance(at, int):
        return at if at >= 0 else -1 - at
    return z3.If(at >= 0, at, -1 - at)
