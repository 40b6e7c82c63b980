"""``capsound replay``: a token in, the run that it names out, judged once more."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from capsound_checker.commands.shared import VERDICTS, colour, echo_json, exits, reader_may_leave, say, written


@click.command("replay", epilog=exits(VERDICTS, 65, 130))
@click.argument("path")
@click.argument("token")
@click.option("--json", "as_json", is_flag=True, help="Print the events and the findings as JSON.")
@click.option("--itf", type=click.Path(path_type=Path), help="Write the run as an ITF trace (scenarios only).")
@click.option("--python", default="", help="Load the adapter with this interpreter, as for `check`.")
def command(path: str, token: str, as_json: bool, itf: Path | None, python: str) -> int:
    """Run a counterexample again.

    TOKEN is what `solve` or `check` printed, or a file that `check --save` wrote; PATH is the scenario or the target
    it was printed for. A recording of real threads cannot be run again: the recording is judged again.
    """
    from capsound_checker.check.tokens import ASYNC_PREFIX, PREFIX, RACE_PREFIX, saved_in

    if token.endswith(".json"):
        file = token
        token, recorded = saved_in(Path(file))
        if recorded:
            from capsound_checker.histories.telling import judged

            told, status = judged(recorded, file, as_json=as_json)
            with reader_may_leave():
                click.echo(told) if as_json else say(told)
            return status
    if not token.startswith((PREFIX, ASYNC_PREFIX, RACE_PREFIX)):
        return _scenario(Path(path), token, as_json=as_json, itf=itf)
    if itf is not None:
        raise click.UsageError("--itf works only with tokens of `solve`")
    from capsound_checker.check.replaying import replay_target

    again = replay_target(path, token, python=python)
    with reader_may_leave():
        echo_json(again.data) if as_json else say(again.text, nl=False)
    return again.verdict.exit_status


def _scenario(path: Path, token: str, *, as_json: bool, itf: Path | None) -> int:
    from capsound_checker.display.files import check_writable, write_itf
    from capsound_checker.solve.replaying import replay_token

    if itf is not None:
        check_writable(itf)
    coloured = colour(False)
    again = replay_token(path, token, colour=coloured)
    with reader_may_leave():
        echo_json(again.data) if as_json else say(again.text, nl=False, colour=coloured)
    failed = written(partial(write_itf, itf, again.itf)) if itf is not None else 0
    return failed or again.verdict.exit_status
