"""``capsound replay``: a token in, the run that it names out, judged once more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from capsound_checker.commands.pages import check_pages, html, markdown, pages
from capsound_checker.commands.shared import (
    VERDICTS,
    colour,
    echo_json,
    environment,
    exits,
    load_timeout,
    reader_may_leave,
    say,
    written,
)


@click.command("replay", epilog=exits(VERDICTS, 65, 130))
@click.argument("path")
@click.argument("token")
@click.option("--json", "as_json", is_flag=True, help="Print the events and the findings as JSON.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the run as an ITF trace (scenarios only).")
@html
@markdown
@click.option("--python", default="", help="Load the adapter with this interpreter, as for `check`.")
@environment
@load_timeout
def command(
    path: str,
    token: str,
    as_json: bool,
    itf: Path | None,
    html: Path | None,
    markdown: Path | None,
    python: str,
    environment: str,
    load_timeout: float,
) -> int:
    """Run a counterexample again.

    TOKEN is what `solve`, `check` or `wire` printed, or a file that `check --save` wrote; PATH is the scenario, the
    target or the command (in quotation marks) that it was printed for. A recording of real threads cannot be run
    again: the recording is judged again.
    """
    from capsound_checker.check.tokens import ASYNC_PREFIX, PREFIX, RACE_PREFIX, saved_in
    from capsound_checker.wire.tokens import is_token

    check_pages(html, markdown)
    if token.endswith(".json"):
        saved = token
        token, recorded = saved_in(Path(saved))
        if recorded:
            from capsound_checker.histories.history import History, check
            from capsound_checker.histories.telling import data, text

            found = check(History.read(recorded, saved))
            with reader_may_leave():
                echo_json(data(found)) if as_json else say(text(found))
            return written(*pages(html, markdown, lambda: data(found), saved)) or found.exit_status
    if is_token(token):
        if itf is not None:
            raise click.UsageError("--itf works only with tokens of `solve`")
        return _application(path, token, as_json=as_json, html=html, markdown=markdown)
    if not token.startswith((PREFIX, ASYNC_PREFIX, RACE_PREFIX)):
        return _scenario(Path(path), token, as_json=as_json, itf=itf, html=html, markdown=markdown)
    if itf is not None:
        raise click.UsageError("--itf works only with tokens of `solve`")
    from capsound_checker.check.plan import Plan
    from capsound_checker.check.replaying import replay_target
    from capsound_checker.display import terminal

    with terminal.status("replaying", plain=False) as tell:
        again = replay_target(
            Plan(path, python=python, environment=environment, load_seconds=load_timeout), token, tell
        )
    with reader_may_leave():
        echo_json(again.data) if as_json else say(again.text, nl=False)
    return written(*pages(html, markdown, lambda: again.data, path)) or again.exit_status


def _scenario(
    path: Path, token: str, *, as_json: bool, itf: Path | None, html: Path | None, markdown: Path | None
) -> int:
    from capsound_checker.display.files import write_itf
    from capsound_checker.solve.replaying import replay_token

    check_pages(itf)
    coloured = colour(False)
    again = replay_token(path, token, colour=coloured)
    with reader_may_leave():
        echo_json(again.data) if as_json else say(again.text, nl=False, colour=coloured)
    failed = written(partial(write_itf, itf, again.itf)) if itf is not None else 0
    failed = written(*pages(html, markdown, lambda: again.data, str(path))) or failed
    return failed or again.verdict.exit_status


def _application(
    command: str, token: str, *, as_json: bool, html: Path | None = None, markdown: Path | None = None
) -> int:
    from capsound_checker.display.terminal import rendered
    from capsound_checker.wire import verdicts
    from capsound_checker.wire.checking import command_of, replay
    from capsound_checker.wire.inside.checking import is_target
    from capsound_checker.wire.setting import Setting
    from capsound_checker.wire.tokens import parse_token

    kept = parse_token(token)
    inside = is_target(command)
    words = (command,) if inside else command_of(command)
    setting = Setting(words, kept.cap, kept.prices, kept.output, inside=inside)
    wired = replay(setting, kept.schedule)
    with reader_may_leave():
        if as_json:
            echo_json(verdicts.data(wired))
        else:
            draw = partial(verdicts.render, wired=wired)
            say(rendered(draw, colour(False)), nl=False, colour=colour(False))
    failed = written(*pages(html, markdown, lambda: verdicts.data(wired)))
    return failed or wired.verdict.exit_status
