"""Windows and ``[[ceilings]]``: limits with roll-up, several over one call, and what a reset does."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.positions import KeyPath
from capsound.scenario import MONEY, ROOT, Ceiling, Interval, Window

_EVERY = re.compile(r"every\s+[1-9][0-9]{0,8}\s*(?:s|min|h|d)")
_CURE = 'write "day", "week", "month" or "every 6 h", or leave it out'


def read_window(values: Values) -> Window | None:
    """Return the window of the root, None where the file gives it none."""
    return _window(values, ())


def _window(values: Values, path: KeyPath) -> Window | None:
    written = values.get((*path, "window"))
    for key in ("in_flight", "resets") if written is None else ():
        # What the root says holds of every ceiling with a window.
        if values.get((*path, key)) is not None and (path or not _windows_below(values)):
            message = f"{show(key)} has no meaning: there is no window that begins anew"
            values.notes.key((*path, key), message, 'add window = "day", or leave it out')
    if written is None:
        return None
    if str(written).startswith("sliding"):
        values.notes.value(
            (*path, "window"),
            "a window that slides has no moment at which it begins anew, and capsound solves none yet",
            'for a fixed one write "day" or "every 24 h"; `capsound audit --caps` judges logs by sliding windows',
        )
    elif written not in ("day", "week", "month") and not _EVERY.fullmatch(written):
        values.notes.value((*path, "window"), f"there is no window {show(written)}", _CURE)
    in_flight = values.get((*path, "in_flight"), values.get(("in_flight",), "kept"))
    resets = values.get((*path, "resets"), values.get(("resets",)))
    return Window(written, in_flight == "kept", None if resets == "any" else resets)


def _windows_below(values: Values) -> bool:
    return any("window" in ceiling for ceiling in values.data.get("ceilings", []))


def read_ceilings(values: Values) -> tuple[Ceiling, ...]:
    """Return the ceilings below the root."""
    tables = values.data.get("ceilings", [])
    found = tuple(_ceiling(values, number) for number in range(len(tables)))
    names = [ceiling.name for ceiling in found]
    once = values.names("ceilings", names, taken=(ROOT,))
    known = True
    for number, ceiling in enumerate(found):
        if ceiling.parent not in (ROOT, *names):
            values.unknown(("ceilings", number, "parent"), "ceiling", (ROOT, *names))
            known = False
    if once and known:
        _lead_up(values, found)
    if found:
        _alone(values)
    return found


def _ceiling(values: Values, number: int) -> Ceiling:
    here = ("ceilings", number)
    table = values.get(here)
    return Ceiling(
        name=table["name"],
        parent=table.get("parent", ROOT),
        cap=Interval.exactly(table["cap"]),
        dimension=table.get("dimension", MONEY),
        window=_window(values, here),
    )


def _lead_up(values: Values, ceilings: Sequence[Ceiling]) -> None:
    """Blame ceilings that are their own parents."""
    parents = {ceiling.name: ceiling.parent for ceiling in ceilings}
    for number, ceiling in enumerate(ceilings):
        seen = [ceiling.name]
        while seen[-1] != ROOT and parents[seen[-1]] not in seen:
            seen.append(parents[seen[-1]])
        if seen[-1] != ROOT and parents[seen[-1]] == ceiling.name and ceiling.name == min(seen):
            values.notes.value(
                ("ceilings", number, "parent"),
                f"the ceilings form a cycle: {' -> '.join([*seen, ceiling.name])}",
                'every ceiling must lead up to the root: give one of them parent = "root"',
            )


def _alone(values: Values) -> None:
    """Blame slices beside ceilings: a slice takes money away, a ceiling only counts."""
    if "slices" in values.data:
        values.notes.key(
            ("slices",),
            "slices do not go together with ceilings: one takes money away, the other counts it",
            "make them [[ceilings]] with a cap, or leave the ceilings out",
        )


def read_charged(values: Values, path: KeyPath, ceilings: Collection[str]) -> tuple[str, ...]:
    """Return the several ceilings over the calls of an entry of agents; blame what is none."""
    names: list[str] = values.get((*path, "ceilings"), [])
    values.unique((*path, "ceilings"), names)
    for number, name in enumerate(names):
        if name not in ceilings:
            values.unknown((*path, "ceilings", number), "ceiling", ceilings)
    if names and values.get((*path, "account")) is not None:
        values.notes.key(
            (*path, "account"),
            "an agent charges an account or several ceilings, and here it has both",
            f"leave account out, or ceilings: with ceilings = {show([*names])} all of them are asked",
        )
    return tuple(names)
