"""The key ``discipline``: the name of one, or a table ``[discipline]`` that writes one down in blocks of steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from capsound.disciplines import Discipline, Retry
from capsound.frames import Step
from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.positions import KeyPath
from capsound.steps import STEPS
from capsound.stores import enter, flush
from capsound.wellformed import LISTS, PARTS, Block, Flaw, flaws

OWN = "own"
"""What a table is called that has no name."""

_DEFAULTS: Mapping[str, list[str]] = {"delegate": ["carve"], "move": ["move-all"]}


def read_discipline(values: Values, known: Collection[str]) -> tuple[str, Discipline | None]:
    """Return the name of the discipline, and the discipline itself where the file writes it down."""
    said = values.data["discipline"]
    if isinstance(said, str):
        if said not in known:
            values.unknown(("discipline",), "discipline", known)
        return said, None
    name = said.get("name", OWN)
    if name in known:
        message = f"{show(name)} is the name of a discipline that is there already"
        values.notes.value(("discipline", "name"), message, "give the table a name of its own, or name it alone")
    parts = _parts(values, said)
    return name, None if parts is None else _checked(values, name, said, parts)


def _parts(values: Values, said: Mapping[str, Any]) -> dict[str, tuple[Block, ...]] | None:
    """Return the blocks of each part, None where some step is not known."""
    found: dict[str, tuple[Block, ...]] = {}
    complete = True
    for part in PARTS:
        listed = said.get(part, _DEFAULTS.get(part, []))
        blocks = listed if part in LISTS else [listed] if listed else []
        steps = [
            [_step(values, said, part, b, s, name) for s, name in enumerate(block)] for b, block in enumerate(blocks)
        ]
        complete = complete and all(step is not None for block in steps for step in block)
        found[part] = tuple(tuple(step for step in block if step is not None) for block in steps)
    return found if complete else None


def _step(values: Values, said: Mapping[str, Any], part: str, block: int, step: int, name: str) -> Step | None:
    if name == "enter":
        return enter(said.get("slots", 1))
    if name == "flush":
        return flush(said.get("lag", 0))
    if name not in STEPS:
        values.unknown(path_of(part, block, step), "step", STEPS)
        return None
    return STEPS[name]


def path_of(part: str, block: int | None = None, step: int | None = None) -> KeyPath:
    """Return where a step of a part is in the file, or its block, or the part."""
    path: tuple[str | int, ...] = ("discipline", part)
    if block is not None and part in LISTS:
        path = (*path, block)
    return path if step is None else (*path, step)


def _checked(
    values: Values, name: str, said: Mapping[str, Any], parts: Mapping[str, tuple[Block, ...]]
) -> Discipline | None:
    """Return the discipline, or blame what keeps it from running."""
    retry, slots = Retry(said.get("retry", "never")), said.get("slots", 0)
    numbers = {"slots": slots, "lag": said.get("lag", 0), "turn": said.get("turn", 1)}
    one_by_one = said.get("ceilings", "at once") == "one by one"
    found = list(flaws(parts, same_hold=retry is Retry.SAME_HOLD, one_by_one=one_by_one, **numbers))
    for flaw in found:
        values.notes.value(path_of(flaw.part, flaw.block, flaw.step), _sentence(flaw), _cure(flaw))
    if found:
        return None

    def one(part: str) -> Block:
        return parts[part][0] if parts[part] else ()

    return Discipline(
        name,
        said.get("says", ""),
        parts["blocks"],
        before_send=one("before-send"),
        after_send=one("after-send"),
        on_refuse=one("on-refuse"),
        stream=parts["stream"],
        on_abort=one("on-abort"),
        delegate=one("delegate"),
        move=one("move"),
        close=one("close"),
        retry=retry,
        affine=said.get("affine", False),
        slots=slots,
        lag=said.get("lag", 0),
        turn=said.get("turn", 1),
        one_by_one=one_by_one,
    )


def _sentence(flaw: Flaw) -> str:
    where = "" if flaw.block is None or flaw.part not in LISTS else f"{flaw.where}: "
    cause = f" ({flaw.cause})" if flaw.cause else ""
    return f"{where}the discipline {flaw.says}{cause}"


def _cure(flaw: Flaw) -> str:
    """Return the cure, as it is written in a file."""
    return flaw.hint.lower() if "RESERVE" in flaw.hint or "SEND" in flaw.hint else flaw.hint
