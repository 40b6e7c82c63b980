"""``capsound wire``: an application in, whether its cap holds on the wire, and the schedule that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from capsound_checker.commands.pages import check_pages, html, markdown, pages
from capsound_checker.commands.shared import (
    VERDICTS,
    Span,
    as_json,
    colour,
    completing,
    echo_json,
    exits,
    guarantees,
    no_color,
    reader_may_leave,
    say,
    with_values,
    written,
)


def _acts() -> dict[str, str]:
    from capsound_checker.wire.schedule import ACTS

    return dict(ACTS)


@click.command(
    "wire",
    cls=with_values(Guarantees=guarantees, What_can_happen_to_a_request=_acts),
    epilog=exits({**VERDICTS, 0: "sound (or --require is kept)"}, 65, 130),
)
@click.argument("command", nargs=-1)
@click.option("--inside", help="Run a coroutine function inside instead: app.py:main.")
@click.option("--elsewhere", is_flag=True, help="What it asks of other hosts costs nothing, and is no doubt.")
@click.option("--overruns", is_flag=True, help="Also bill requests above what they permit (A1 switched off).")
@click.option("--cancel", is_flag=True, help="Inside: cancel tasks that wait for a request, too.")
@click.option("--cap", help="The cap: 0.60usd, 20000tokens or 10requests.")
@click.option("--caps", type=click.Path(path_type=Path), help="Several caps: a TOML file, as `audit --caps` reads it.")
@click.option("--price", "prices", multiple=True, help="MODEL=IN/OUT[/CACHED], dollars a million tokens; repeat.")
@click.option("--replies", multiple=True, help="What the model says: rules.json, a folder, or file.py:function.")
@click.option("--output", type=click.IntRange(1), default=100, show_default=True, help="Tokens of an unlimited answer.")
@click.option("--runs", type=click.IntRange(1), help="How often to run it, at most: 40, or 20000 inside.")
@click.option("--budget", type=Span(), help="How long to search, in all (default: as long as the runs take).")
@click.option("--requests", type=click.IntRange(1), default=200, show_default=True, help="Requests of one run.")
@click.option("--patience", type=Span(), default="10s", show_default=True, help="How long it may do nothing.")
@click.option("--quiet", type=Span(), help="Quiet to wait for where it talks to others than capsound.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other schedules.")
@click.option("--through", help="COMMAND is a gateway that listens here, such as http://127.0.0.1:4000/v1.")
@click.option("--clients", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Clients of the gateway.")
@click.option("--calls", type=click.IntRange(1), default=2, show_default=True, help="Calls of each client.")
@click.option("--header", "headers", multiple=True, help="'NAME: TEXT' of each call; {run} and {client} are replaced.")
@click.option("--model", default="gpt-4o-mini", show_default=True, help="The model that the clients ask for.")
@click.option("--max-tokens", type=click.IntRange(1), default=250, show_default=True, help="The limit of each call.")
@click.option("--before", default="", help="A command to run before each run of the gateway; {run} is replaced.")
@click.option("--env", "variables", multiple=True, help="NAME of a variable that leads to the provider; repeat.")
@click.option(
    "--require",
    default="fault-tolerant",
    show_default=True,
    shell_complete=completing(guarantees),
    help="Exit 0 if this guarantee is kept. Listed below, weakest first.",
)
@click.option("--replay", "replayed", help="Run one schedule only, by the token of a check with the same options.")
@click.option("--save", type=click.Path(path_type=Path), help="Write every run that breaks the cap into this folder.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write the verdict as JUnit XML.")
@click.option("--log", type=click.Path(path_type=Path), help="Write the events of the run that is shown, for audit.")
@as_json
@html
@markdown
@no_color
def command(
    command: tuple[str, ...],
    inside: str | None,
    elsewhere: bool,
    overruns: bool,
    cancel: bool,
    cap: str | None,
    caps: Path | None,
    prices: tuple[str, ...],
    replies: tuple[str, ...],
    output: int,
    runs: int | None,
    budget: float | None,
    requests: int,
    patience: float,
    quiet: float | None,
    seed: int,
    through: str | None,
    clients: int,
    calls: int,
    headers: tuple[str, ...],
    model: str,
    max_tokens: int,
    before: str,
    variables: tuple[str, ...],
    require: str,
    replayed: str | None,
    save: Path | None,
    junit: Path | None,
    log: Path | None,
    as_json: bool,
    html: Path | None,
    markdown: Path | None,
    no_color: bool,
) -> int:
    """Test an application: capsound is its provider.

    COMMAND, after --, is any program in any language: `capsound wire --cap 0.60usd -- python my_agents.py`. It is
    started with OPENAI_BASE_URL, ANTHROPIC_BASE_URL, GOOGLE_GEMINI_BASE_URL and keys that open nothing. Each request is
    held until the program can only wait; then capsound chooses which one is answered, and how. It is run again for
    each schedule. With --inside, a coroutine function that uses httpx runs in this way thousands of times, without
    sockets and in virtual time.

    With --through, COMMAND is a gateway. It is started once, and capsound is its clients too: `capsound wire --through
    http://127.0.0.1:4000/v1 --clients 5 --cap 1usd -- litellm --config config.yaml`.
    """
    if (inside is None) == (not command):
        raise click.UsageError("give a command after --, or a coroutine function with --inside")
    if inside is not None and through is not None:
        raise click.UsageError("--through is for a gateway, which is a command: it cannot be run --inside")
    if (cap is None) == (caps is None):
        raise click.UsageError("give the cap with --cap, or several in a file with --caps")
    if caps is not None and replayed is not None:
        raise click.UsageError("--replay runs one schedule under one cap: give it with --cap")
    launched = None
    if inside is not None:
        from capsound_checker.wire.inside.launching import launch

        launched = launch(variables)  # it loads its clients while we load the rest
        click.get_current_context().call_on_close(launched.end)
    from dataclasses import replace

    from capsound_checker.check.plan import guarantee_named
    from capsound_checker.commands.wirecaps import WireCap, wire_caps
    from capsound_checker.display.files import make_folder, write_json, write_text
    from capsound_checker.display.terminal import rendered, status
    from capsound_checker.wire import reports, verdicts
    from capsound_checker.wire.checking import check, replay
    from capsound_checker.wire.inside.checking import target
    from capsound_checker.wire.judge import Judged
    from capsound_checker.wire.money import parse_cap
    from capsound_checker.wire.setting import Setting
    from capsound_checker.wire.stepping import Limits
    from capsound_checker.wire.tokens import parse_token
    from capsound_checker.wire.traffic import Traffic, parse_header

    check_pages(log, junit, html, markdown)
    if save is not None:
        make_folder(save)
    only = None if replayed is None else parse_token(replayed).schedule
    sent = tuple(map(parse_header, headers))
    traffic = None if through is None else Traffic(through, clients, calls, sent, model, max_tokens, before)
    several: list[WireCap] = [] if caps is None else list(wire_caps(caps))
    if inside is not None and any(one.models for one in several):
        raise click.UsageError("caps of single models cannot be judged --inside: run it as a command")
    if inside is not None and any(one.words for one in several):
        raise click.UsageError(
            "caps with a window cannot be judged --inside, where no time passes: run it as a command"
        )
    setting = Setting(
        command if inside is None else (target(inside),),
        parse_cap(cap) if cap is not None else several[0].cap,
        prices,
        output,
        Limits(requests, patience, quiet or 0.0, elsewhere),
        variables,
        guarantee_named(require),
        runs if runs is not None else 40 if inside is None else 20_000,
        seed,
        replies=replies,
        traffic=traffic,
        seconds=budget,
        inside=inside is not None,
        overruns=overruns,
        cancels=cancel,
    )

    settings = [
        replace(setting, cap=one.cap, name=one.name, models=one.models, window=one.window, words=one.words)
        for one in several
    ] or [setting]

    def at_once(asked: Setting, judged: Judged) -> None:
        with reader_may_leave():
            say(verdicts.first_found(asked, judged), err=True)

    found: list[verdicts.Wired] = []
    with status("running", plain=no_color) as tell:
        for asked in settings:  # each has a search of its own, so that each is approached
            first = launched if not found else None
            found.append(check(asked, tell, first, partial(at_once, asked)) if only is None else replay(asked, only))
            if found[-1].searched.interrupted:
                break
    wired = verdicts.worst(found)

    def document() -> dict[str, Any]:
        return verdicts.data_of_several(found) if several else verdicts.data(wired)

    with reader_may_leave():
        if as_json:
            echo_json(document())
        else:
            for one in found:
                told = rendered(partial(verdicts.render, wired=one), colour(no_color))
                say(told, nl=False, colour=colour(no_color))
    writes: list[Callable[[], object]] = pages(html, markdown, document)
    if log is not None and (shown := verdicts.shown(wired)) is not None:
        writes.append(partial(write_text, log, verdicts.log_of(shown)))
    if junit is not None:
        writes.append(partial(write_text, junit, reports.junit(wired)))
    if save is not None:
        writes += [partial(write_json, save / name, held) for name, held in reports.saved(wired).items()]
    interrupted = any(one.searched.interrupted for one in found)
    return written(*writes) or (130 if interrupted else wired.verdict.exit_status)
