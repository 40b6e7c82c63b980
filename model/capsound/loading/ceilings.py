"""Windows and ``[[ceilings]]``: limits with roll-up, several over one call, and what a reset does."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from capsound.loading.values import Values
from capsound.loading.words import show
from capsound.positions import KeyPath
from capsound.scenario import BUCKET, FIRST, MONEY, ROOT, SETTLED, Ceiling, Interval, Scenario, Window
from capsound.windows import Sliding, in_steps, in_words
from capsound.windows import Window as Moments

_EVERY = re.compile(r"every\s+[1-9][0-9]{0,8}\s*(?:s|min|h|d)")
_CURE = 'write "day", "week", "month" or "every 6 h", or leave it out'


def read_window(values: Values) -> Window | None:
    """Return the window of the root, None where the file gives it none."""
    return _window(values, ())


def _window(values: Values, path: KeyPath) -> Window | None:
    written = values.get((*path, "window"))
    for key in ("forgets", "buckets") if not str(written).startswith("sliding") else ():
        if values.get((*path, key)) is not None and (path or key == "buckets" or not _windows_below(values)):
            message = f"{show(key)} has no meaning: there is no window that slides"
            values.notes.key((*path, key), message, 'write window = "sliding 24 h"')
    for key in ("in_flight", "resets") if written is None else ():
        # What the root says holds of every ceiling with a window.
        if values.get((*path, key)) is not None and (path or not _windows_below(values)):
            message = f"{show(key)} has no meaning: there is no window that begins anew"
            values.notes.key((*path, key), message, 'add window = "day", or leave it out')
    if written is None:
        return None
    in_flight = values.get((*path, "in_flight"), values.get(("in_flight",), "kept"))
    if str(written).startswith("sliding"):
        return _sliding(values, path, written, in_flight == "kept")
    if written not in ("day", "week", "month") and not _EVERY.fullmatch(written):
        values.notes.value((*path, "window"), f"there is no window {show(written)}", _CURE)
    resets = values.get((*path, "resets"), values.get(("resets",)))
    return Window(written, in_flight == "kept", None if resets == "any" else resets)


def _sliding(values: Values, path: KeyPath, written: str, keeps: bool) -> Window:
    """Return a window that slides; blame a length that is none, and what has no meaning for it."""
    window = _in_words(written)
    if not isinstance(window, Sliding):
        values.notes.value((*path, "window"), f"there is no window {show(written)}", 'such as "sliding 24 h"')
    if path and values.get((*path, "resets")) is not None:
        message = "resets has no meaning: a window that slides never begins anew"
        values.notes.key((*path, "resets"), message, "leave it out")
    forgets = values.get((*path, "forgets"), values.get(("forgets",), SETTLED))
    buckets: int = values.get((*path, "buckets"), 0)
    if buckets and isinstance(window, Sliding) and in_steps(window, buckets) is None:
        values.notes.value((*path, "buckets"), f"{buckets} does not divide {written!r}", "such as 24 for sliding 24 h")
    elif buckets and forgets in (BUCKET, FIRST):
        message = "with buckets, the cap itself is one over whole buckets, and the ledger forgets one after the other"
        values.notes.key((*path, "buckets"), message, "leave it out, or forgets")
    return Window(written, keeps, None, slides=True, forgets=forgets, buckets=buckets)


def _in_words(written: str) -> Moments | None:
    """Return the window of time that a word names, None where it names none."""
    try:
        return in_words(written)
    except ValueError:  # it has no length
        return None


def read_spans(values: Values, scenario: Scenario) -> None:
    """Blame windows that do not go with one that slides: nobody says how long a scenario takes."""
    places: list[tuple[KeyPath, Window | None]] = [((), scenario.window)]
    places += [(("ceilings", number), ceiling.window) for number, ceiling in enumerate(scenario.ceilings)]
    found = [(path, window) for path, window in places if window is not None]
    sliding = [window for _, window in found if window.slides]
    for path, window in found if sliding else ():
        if not window.slides:
            message = f"a window that begins anew does not go together with one that slides ({sliding[0].written}) yet"
            values.notes.value((*path, "window"), message, "ask about each in a scenario of its own")
        elif (_in_words(window.written), window.buckets) != (_in_words(sliding[0].written), sliding[0].buckets):
            message = f"sliding windows of two kinds do not go together yet, and another is {sliding[0].written!r}"
            values.notes.value((*path, "window"), message, "ask about each length in a scenario of its own")
    if sliding and scenario.faults.expire:
        message = "expire does not go together with a window that slides yet"
        cure = 'in_flight = "forgotten" lets go of a hold when it is as old as the window'
        values.notes.key(("faults", "expire"), message, cure)


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
