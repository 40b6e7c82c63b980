"""A proved invariant as facts about every state of a machine in which agents are told apart.

Sums over the calls at a place become sums over the agents that are there. Without such facts a bounded search that
has to fail takes minutes, with them a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping

from capsound.ceilings import calls_of
from capsound.disciplines import Retry
from capsound.machine import LEDGER_FIELDS, Config, Machine, dead_at
from capsound.scenario import Scenario
from capsound_proofs.building import all_of, choice, constant, put
from capsound_proofs.calls import LOCALS
from capsound_proofs.folding import folded
from capsound_proofs.invariants import Invariant
from capsound_proofs.relation import Lemma
from capsound_proofs.terms import Term, disj, integer


def lemma_of_each(scenario: Scenario, each: Mapping[int, Invariant], machine: Machine) -> Lemma | None:
    """Return what was proved of each of several ceilings, by their numbers, as facts about the machine of all."""
    found = [lemma_of(scenario, invariant, machine, index) for index, invariant in each.items()]
    lemmas = [lemma for lemma in found if lemma is not None]
    return (lambda config: [fact for lemma in lemmas for fact in lemma(config)]) if lemmas else None


def lemma_of(scenario: Scenario, invariant: Invariant, machine: Machine, ceiling: int | None = None) -> Lemma | None:
    """Return the invariant as facts about the states of a machine in which agents are told apart.

    Its sums become sums over the agents that are at a place, so it may be asserted at every step. With ``ceiling`` it
    is an invariant of that ledger alone, as it counts the calls.
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
    folds = {
        index: folded(abstraction.machine.processes[index].places) for index in {s.process for s in abstraction.spots}
    }
    view = 0 if ceiling is None else machine.accounts[ceiling].view
    uncounted = machine.discipline.retry is not Retry.NEVER and scenario.faults.timeout > 0

    def facts(config: Config) -> list[Term]:
        pairs: list[tuple[Term, Term]] = []
        ledgers = config.ledgers if ceiling is None else [config.ledgers[ceiling]]
        for ledger, mine in zip(ledgers, abstraction.ledgers, strict=True):
            pairs += [(getattr(mine, name), integer(getattr(ledger, name))) for name in LEDGER_FIELDS]
        for spot, sums in abstraction.spots.items():
            members = members_of[families[spot.process]]
            places = [at for at, to in enumerate(folds[spot.process]) if to == spot.at]
            here = [disj([config.running[i].at == (dead_at(p) if spot.dead else p) for p in places]) for i in members]
            pairs.append((sums.count, _sum([_if(h, 1) for h in here])))
            for name in LOCALS:
                values = [_local(config, i, name, view) for i in members]
                pairs.append((sums.of[name], _sum([_if(h, v) for h, v in zip(here, values, strict=True)])))
        for index, variable in abstraction.started.items():
            pairs.append((variable, _started(machine, config, members_of[families[index]])))
        for index, variable in slice_at.items():
            pairs.append((variable, _slice_position(machine, config, index)))
        kept = [c for c in invariant.kept if not (uncounted and "calls sent" in c.text)]
        return [put(all_of(*[c.formula for c in kept]), pairs)] if kept else []

    return facts


def _if(condition: Term, value: Term) -> Term:
    if isinstance(condition, bool):
        return integer(value if condition else 0)
    return choice(condition, integer(value), constant(0))


def _sum(terms: list[Term]) -> Term:
    total: Term = constant(0)
    for term in terms:
        total = total + term
    return total


def _local(config: Config, index: int, name: str, view: int) -> Term:
    call = calls_of(config.running[index])[view]
    if name != "over":
        return getattr(call, name)
    over = call.bill - call.cover
    condition = call.bill > call.cover
    if isinstance(condition, bool):
        return over if condition else 0
    return choice(condition, integer(over), constant(0))


def _started(machine: Machine, config: Config, members: list[int]) -> Term:
    total: Term = constant(0)
    for index in members:
        position = _position(config.running[index].at)
        for at, place in enumerate(machine.processes[index].places):
            if place.kind == "call" and place.draws_size:
                total = total + _if(position > at, 1)
    return total


def _slice_position(machine: Machine, config: Config, index: int) -> Term:
    position = _position(config.running[index].at)
    others = [at for at, p in enumerate(machine.processes[index].places) if p.kind not in ("call", "more")]
    return _sum([_if(position > at, 1) for at in others])


def _position(at: Term) -> Term:
    if isinstance(at, int):
        return at if at >= 0 else -1 - at
    return choice(at >= 0, at, -1 - at)
