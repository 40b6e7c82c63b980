"""Random tables ``[discipline]`` that can run, as a scenario file has them, for the tests of both engines."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from capsound.disciplines import Discipline
from capsound.steps import STEPS
from capsound.stores import enter, flush
from capsound.wellformed import LISTS, PARTS, Block, flaws

ADMISSIONS = (
    ["check"],
    ["check"],
    ["check-spent"],
    ["admit"],
    ["check-or-admit"],
    ["check-or-refuse"],
    ["add", "look"],
    ["add", "look"],
    ["see", "check-seen"],
    ["see", "unchanged", "check-seen"],
    ["check-local"],
    ["check-local", "keep"],
)
RESOLUTIONS = (["settle"], ["settle-capped"], ["forfeit"], ["debit"], ["read", "write"], ["release"], ["forget"], [])
HANDLERS = ([], ["drop"], ["release"], ["forfeit"], ["forget"], ["debit"])


def table(random: Random) -> dict[str, Any]:
    """Return a table that can run: of those that are drawn, the first without a flaw."""
    while True:
        found = _drawn(random)
        same = found.get("retry") == "same hold"
        numbers = {key: found[key] for key in ("slots", "lag", "turn") if key in found}
        if not any(flaws(_parts(found), same_hold=same, **numbers)):
            return found


def as_toml(found: dict[str, Any]) -> str:
    """Return a table as a scenario file writes it."""
    return "[discipline]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in found.items())


def written(d: Discipline, name: str) -> str:
    """Return a discipline as a table of a scenario file, everything spelt out."""
    out: dict[str, Any] = {"name": name}
    for part, blocks in d.parts.items():
        names = [[step.name for step in block] for block in blocks]
        out[part] = names if part in LISTS else names[0] if names else []
    out |= {"retry": d.retry.value, "affine": d.affine}
    return as_toml(out | ({"slots": d.slots} if d.slots else {}) | ({"lag": d.lag} if d.lag else {}) | {"turn": d.turn})


def _drawn(random: Random) -> dict[str, Any]:
    admission = random.choice(ADMISSIONS)
    steps = [*admission]
    local = "check-local" in admission
    if "add" not in admission and not local and random.random() < 0.6:
        steps.append("reserve")
    steps += ["send", *random.choice((["note"], ["correct"], ["note"]) if local else RESOLUTIONS)]
    if local and random.random() < 0.8:
        steps.insert(random.randrange(len(admission), len(steps) + 1), "flush")
    locked = random.random() < 0.35
    take, free = random.choice((("lock", "unlock"), ("enter", "leave"))) if locked else ("", "")
    if locked:
        first = random.randrange(len(steps))
        steps.insert(first, take)
        if random.random() < 0.9:
            steps.insert(random.randint(first + 1, len(steps)), free)
    blocks: list[list[str]] = [[]]
    for step in steps:
        if blocks[-1] and random.random() < 0.6:
            blocks.append([])
        blocks[-1].append(step)
    found: dict[str, Any] = {"blocks": blocks}
    freed = [free] if locked and random.random() < 0.8 else []
    for part in ("before-send", "after-send"):
        found[part] = [*random.choice(HANDLERS), *freed]
    taken = ["take-back"] if "add" in admission and random.random() < 0.8 else []
    found["on-refuse"] = [*taken, *([free] if locked and random.random() < 0.8 else [])]
    found |= {"delegate": ["carve"], "move": ["move-all"]}
    if "flush" in steps:
        found["lag"] = random.randint(0, 2)
    if take == "enter":
        found["slots"] = random.randint(1, 2)
    if random.random() < 0.15:
        found["retry"] = random.choice(("same hold", "new hold"))
    if random.random() < 0.2:
        found["turn"] = 2
    if random.random() < 0.1:
        found["delegate"] = ["copy"]
    if random.random() < 0.15:
        found["close"] = ["give-back"]
    return found


def _parts(found: dict[str, Any]) -> dict[str, tuple[Block, ...]]:
    parts: dict[str, tuple[Block, ...]] = {}
    for part in PARTS:
        listed = found.get(part, [])
        blocks = listed if part in LISTS else [listed] if listed else []
        made = {"enter": enter(found.get("slots", 1)), "flush": flush(found.get("lag", 0))}
        parts[part] = tuple(tuple(made.get(name, STEPS[name]) for name in block) for block in blocks)
    return parts
