"""The state of everything that decides how a run can go on: two schedules that reach the same one are merged."""

from __future__ import annotations

from capsound_checker.programs.record import Record, hold_id
from capsound_checker.schedules.objects import Reader, World
from capsound_checker.schedules.runstate import Agent, RunState


def state_key(run: RunState, world: World) -> object:
    """Return the state of a run; agents that are alike in any order. Raises ``Opaque`` where it cannot be read."""
    record, loop, agent_of_task = run.record, run.loop, run.agent_of_task
    reader = Reader(world, loop)
    shared = (reader.variables(), reader.read(record.adapter), reader.read(record.scopes))
    order = _in_order(run, reader)
    agents = [_agent(run, agent, reader) for agent in order]
    places = {agent.number: at for at, agent in enumerate(order)}
    tasks = [
        (places.get(agent_of_task[t].number) if t in agent_of_task else -1, reader.read(t))
        for t in loop.tasks
        if not t.done()
    ]
    tasks.sort(key=repr)
    timers = [reader.read(handle) for _, _, handle in sorted(loop.timers, key=lambda x: x[:2])]
    queue = [reader.read(handle) for handle in loop.ready] if loop.fifo else None
    return shared, agents, tasks, timers, queue, _books(record), run.cancels_left, run.idle_moves > 0


def _in_order(run: RunState, reader: Reader) -> list[Agent]:
    """Return the agents in the order of what they look like, each for itself.

    Where an agent is costs little to say, and tells most of them apart: only those that are at the same place are read.
    """
    at: dict[str, list[Agent]] = {}
    for agent in run.agents:
        at.setdefault(repr(_place(agent)), []).append(agent)
    order: list[Agent] = []
    for place in sorted(at):
        alike = at[place]
        if len(alike) > 1:
            alike.sort(key=lambda agent: repr(_agent(run, agent, reader.fork())))
        order += alike
    return order


def _place(agent: Agent) -> tuple[object, ...]:
    """Return how far an agent is."""
    return agent.calls[agent.next_call :], agent.account, agent.task is not None, agent.ended, agent.cancelled


def _agent(run: RunState, agent: Agent, reader: Reader) -> object:
    record, owners = run.record, run.agent_of_task
    made = agent.library_call
    call: object = None
    if made is not None:
        early = made.observed_at_begin if made.place == "waiting" else None
        moved = run.moved_by_call.get(made.hold)
        call = (made.place, made.outcome, made.hold_seen, made.suspended, early, moved)
    waits = [r.call for r in run.requests if r.agent is agent]
    ready = [reader.read(h) for h in run.loop.ready if h.task is not None and owners.get(h.task) is agent]
    handles = [reader.read(record.handles.get(n)) for n in agent.holds]
    return (
        _place(agent),
        (agent.awaits, run.least_available.get(agent.number), call, waits),
        [_hold(record, n) for n in agent.holds],
        handles,
        ready,
        reader.read(agent.task) if agent.task is not None else None,
    )


def _hold(record: Record, number: int) -> object:
    holds = record.state.holds
    name = hold_id(number)
    known = [h for n in (name, f"{name}+") if (h := holds.get(n)) is not None]  # type: ignore[call-overload]
    made = record.calls.get(number)
    return [(h.account, h.amount, h.state, h.billed) for h in known], made is not None and (
        made.outcome,
        made.hold_seen,
    )


def _books(record: Record) -> object:
    anomalies = sorted({finding.anomaly for finding in record.findings})
    return tuple(record.state.accounts.values()), record.monitor.fingerprint(), anomalies
