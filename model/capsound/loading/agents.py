"""The section ``[[agents]]``: who calls, on which account, with which program."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from capsound.affine import BadProgram, parse_program
from capsound.loading.ceilings import read_charged
from capsound.loading.limits import LARGE_CURE, MAX_NUMBER, MAX_OWN_SLICES, TOO_LARGE
from capsound.loading.order import read_order
from capsound.loading.slices import fits
from capsound.loading.values import Accounts, Values
from capsound.loading.words import show, within
from capsound.positions import KeyPath
from capsound.scenario import ROOT, Agents, CallKind, Ceiling


def read_agents(
    values: Values, calls: Sequence[CallKind], accounts: Accounts, ceilings: Sequence[Ceiling] = ()
) -> tuple[Agents, ...]:
    """Return the entries of agents, which make these calls on these accounts, or under these ceilings."""
    limits = {ceiling.name: ceiling.cap for ceiling in ceilings}
    many = range(len(values.data["agents"]))
    agents = tuple(_agents(values, number, calls, {**accounts, **limits}, limits) for number in many)
    values.names("agents", [group.name for group in agents])
    _told_apart(values, agents)
    _own_slices(values, agents)
    read_order(values, agents)
    return agents


def _agents(values: Values, number: int, calls: Sequence[CallKind], accounts: Accounts, ceilings: Accounts) -> Agents:
    here = ("agents", number)
    table = values.get(here)
    name, account = table.get("name", "agent"), table.get("account", ROOT)
    kinds = [kind.name for kind in calls]
    if account not in accounts:
        values.unknown((*here, "account"), "account", accounts)
    if "call" in table and table["call"] not in kinds:
        values.unknown((*here, "call"), "kind of call", kinds)
    if "call" not in table and len(set(kinds)) > 1:
        names = ", ".join(map(show, dict.fromkeys(kinds)))
        values.notes.key(here, f"which calls does {show(name)} make? There are {names}", "add call = ...")
    inherits = table.get("slice") == "what is left"
    own = None if inherits else values.interval_if_given((*here, "slice"))
    if own is not None and account in accounts:
        fits(values, (*here, "slice"), own, f"each of {show(name)}", account, accounts)
    _program(values, (*here, "program"), table, accounts)
    count = table.get("count", 1)
    return Agents(
        name=name,
        count=None if count == "any" else count,
        account=account,
        call=table.get("call", kinds[0]),
        calls=int(str(table.get("calls", 1)).removeprefix("up to ")),
        own_slice=own,
        program=tuple(table.get("program", ())),
        ceilings=read_charged(values, here, ceilings),
        inherits=inherits,
        after=tuple(table.get("after", ())),
        up_to=isinstance(table.get("calls"), str),
        affordable=table.get("affordable", False),
    )


def _program(values: Values, path: KeyPath, table: Mapping[str, Any], accounts: Collection[str]) -> None:
    """Blame the first line of a program that is no operation."""
    lines = table.get("program", [])
    here = path[:-1]
    cures = {"calls": "leave it out", "slice": 'begin the program with "delegate ACCOUNT 20 -> mine"'}
    for key, cure in cures.items():
        if lines and key in table:
            message = f"{show(key)} has no meaning{within(here)}: its program says it all"
            values.notes.key((*here, key), message, cure)
    for length in range(1, len(lines) + 1):
        try:
            amount = parse_program(lines[:length], accounts)[-1].amount
        except BadProgram as error:
            values.notes.value((*path, length - 1), error.message, error.hint)
            return
        if amount is not None and amount > MAX_NUMBER:
            message = f"the amount in line {length} of the program is too large: {TOO_LARGE}"
            values.notes.value((*path, length - 1), message, LARGE_CURE)
            return


def _told_apart(values: Values, agents: Sequence[Agents]) -> None:
    """Blame an entry whose name is also that of one of several agents: replays and reports call them by their names."""
    several = {group.name: (number, group.count) for number, group in enumerate(agents) if group.count != 1}
    for number, group in enumerate(agents):
        name, _, digits = group.name.rpartition("-")
        if group.count != 1 or name not in several or not digits.isdecimal() or digits.startswith("0"):
            continue
        other, count = several[name]
        if count is None or int(digits) <= count:
            many = "agents" if count is None else f"{count} agents"
            names = f'"{name}-1", "{name}-2" and so on' if count is None else f'"{name}-1" to "{name}-{count}"'
            here, there = (values.notes.places.value(("agents", n, "name")).line for n in (number, other))
            values.notes.value(
                ("agents", number, "name"),
                f"two agents are called {show(group.name)}: the one of line {here}, and number {digits} of "
                f"the {many} that line {there} calls {show(name)}",
                f"rename one of the two entries: the agents of {show(name)} are called {names}",
            )


def _own_slices(values: Values, agents: Sequence[Agents]) -> None:
    total = 0
    for number, group in enumerate(agents):
        before, total = total, total + (group.count or 1 if group.own_slice is not None else 0)
        if before <= MAX_OWN_SLICES < total:
            values.notes.value(
                ("agents", number, "slice"),
                f"{total} agents take a slice of their own; {MAX_OWN_SLICES} are the most",
                'lower the count, or ask about every number with count = "any"',
            )
