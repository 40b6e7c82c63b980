"""Checking an application: run it under schedule after schedule, and judge what was billed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from capsound.errors import BadToken
from capsound_checker.remote.process import words_of
from capsound_checker.wire.billing import Billing
from capsound_checker.wire.inside.checking import check_inside, replay_inside
from capsound_checker.wire.inside.launching import Launched
from capsound_checker.wire.judge import Judged, judge
from capsound_checker.wire.replies_loading import load_replies
from capsound_checker.wire.schedule import FAULTS, Schedule
from capsound_checker.wire.searching import Search
from capsound_checker.wire.setting import Setting
from capsound_checker.wire.verdicts import Wired


def check(
    setting: Setting,
    tell: Callable[[str], None] = lambda _: None,
    launched: Launched | None = None,
    found: Callable[[Judged], None] = lambda _: None,
) -> Wired:
    """Look for a schedule that breaks the cap of an application or a gateway; ``tell`` hears of the progress.

    ``found`` hears of the first run that breaks it, which is not shortened yet (not inside, where that is quick).
    ``launched`` is a process for an application inside that was started before. Raises ``BadPrice``, ``CannotRun`` and
    ``NotReached``. Ctrl-C ends the search, and what is known then is returned.
    """
    if setting.inside:
        return check_inside(setting, tell, launched)
    billing = setting.billing()
    faults = FAULTS + ("cancel",) * (setting.traffic is not None) + ("over",) * setting.overruns
    with _runner(setting, billing) as runner:
        search = Search(
            runner,
            setting.runs,
            setting.seed,
            tell,
            found,
            decided=bool(setting.replies),
            faults=faults,
            can=billing.priced,
        )
        return Wired(setting, search.search())


def replay(setting: Setting, schedule: Schedule) -> Wired:
    """Run an application or a gateway once, under one schedule. Raises as ``check``, and ``BadToken``."""
    if setting.inside:
        return replay_inside(setting, schedule)
    if setting.traffic is None and any(choice.act == "cancel" for _, choice in schedule.departures):
        raise BadToken(
            "the token is of a run in which a client of a gateway left, or of one inside",
            hint="capsound wire --replay TOKEN, with the options and the command of the check",
        )
    with _runner(setting, setting.billing()) as runner:
        return Wired(setting, Search(runner, 1).replay(schedule))


def command_of(text: str) -> tuple[str, ...]:
    """Return the words of a command that was given as one text. Raises ``BadAddress``."""
    return words_of(text)


@contextmanager
def _runner(setting: Setting, billing: Billing) -> Iterator[Callable[[Schedule], Judged]]:
    until = setting.until()
    limits, more = setting.limits, setting.variables
    with closing(load_replies(setting.replies)) as replies:
        if setting.traffic is None:
            from capsound_checker.wire.running import run

            yield lambda schedule: judge(
                run(setting.command, schedule, billing, limits, more, until=until, replies=replies),
                setting.cap,
                setting.models,
                setting.window,
            )
            return
        from capsound_checker.wire.gateway import Gateway

        with Gateway(setting.command, setting.traffic, billing, limits, more, until, replies) as gateway:
            yield lambda schedule: judge(gateway.run(schedule), setting.cap, setting.models, setting.window)
