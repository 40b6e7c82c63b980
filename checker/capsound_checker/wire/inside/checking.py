"""Checking an application inside: its coroutine function instead of a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from capsound.errors import EXIT_BAD_INPUT, CapsoundError
from capsound_checker.intake.limits import cut
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.inside.driver import Inside, of_command
from capsound_checker.wire.inside.launching import Launched
from capsound_checker.wire.inside.searching import InsideSearch
from capsound_checker.wire.inside.session import Bounds
from capsound_checker.wire.judge import Judged, judge
from capsound_checker.wire.replies_loading import load_replies
from capsound_checker.wire.schedule import Schedule
from capsound_checker.wire.setting import Setting
from capsound_checker.wire.stepping import Run
from capsound_checker.wire.verdicts import Wired


def check_inside(
    setting: Setting, tell: Callable[[str], None] = lambda _: None, launched: Launched | None = None
) -> Wired:
    """Look for a schedule that breaks the cap of a coroutine function, in a process that may have been started before.

    Raises ``BadPrice``, ``BadReplies`` and ``CannotRunInside``.
    """
    billing = setting.billing()
    load_replies(setting.replies).close()  # what is wrong with them is told here
    with application(setting, billing, launched) as inside:
        return Wired(setting, search_of(setting, billing, inside, tell).search())


def replay_inside(setting: Setting, schedule: Schedule) -> Wired:
    """Run a coroutine function once, under one schedule. Raises as ``check_inside``."""
    billing = setting.billing()
    with application(setting, billing) as inside:
        return Wired(setting, search_of(setting, billing, inside).replay(schedule))


class BadPlace(CapsoundError):
    """What is named is no file or module with a function in it."""

    name = "bad-target"
    exit_status = EXIT_BAD_INPUT


def target(text: str) -> str:
    """Return the name of a coroutine function, ``app.py:main`` or ``package.module:main``. Raises ``BadPlace``."""
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise BadPlace(f"{cut(text)!r} does not name a coroutine function", hint="write app.py:main")
    if place.endswith(".py") and not Path(place).is_file():
        raise BadPlace(f"there is no file {cut(place)}", hint="name the file that holds the coroutine function")
    return text


def is_target(text: str) -> bool:
    """Whether a text names a coroutine function rather than a command."""
    place, _, name = text.rpartition(":")
    if place.endswith(".py"):
        return name.isidentifier() and (Path(place).is_file() or len(place.split()) == 1)
    return name.isidentifier() and all(part.isidentifier() for part in place.split("."))


def application(setting: Setting, billing: Billing, launched: Launched | None = None) -> Inside:
    """Return the application that a check names, to be entered."""
    place, _, name = setting.command[0].rpartition(":")
    return of_command(
        place,
        name,
        billing,
        setting.prices,
        bounds=Bounds(setting.limits.requests),
        patience=setting.limits.patience,
        variables=setting.variables,
        replies=setting.replies,
        until=setting.until(),
        launched=launched,
    )


def search_of(
    setting: Setting, billing: Billing, inside: Inside, tell: Callable[[str], None] = lambda _: None
) -> InsideSearch:
    """Return the search of a check."""

    def judging(run: Run) -> Judged:
        return judge(run, setting.cap)

    def runner(schedule: Schedule) -> Judged:
        return judging(inside.run(schedule).run)

    return InsideSearch(
        runner,
        setting.runs,
        setting.seed,
        tell,
        decided=bool(setting.replies),
        can=billing.priced,
        inside=inside,
        judging=judging,
        cancels=setting.cancels,
    )
