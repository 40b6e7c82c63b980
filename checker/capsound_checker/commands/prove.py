"""``capsound prove``: names of theorems in, what two solvers say of each out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from capsound_checker.commands.shared import as_json, colour, echo_json, exits, no_color, reader_may_leave, say, written


@click.command(
    "prove",
    epilog=exits({0: "every theorem holds as stated", 1: "one does not", 2: "one was not decided"}, 65, 130),
)
@click.argument("names", nargs=-1)
@as_json
@click.option("--smt2", type=click.Path(path_type=Path), help="Write what was decided into this folder as SMT-LIB 2.")
@click.option("--list", "only_list", is_flag=True, help="List the theorems without proving them.")
@click.option("--no-times", is_flag=True, help="Leave out timings, so that the text is the same every time.")
@click.option("-v", "--verbose", is_flag=True, help="Show symbols, idea, obligations and runs of each theorem.")
@no_color
def command(
    names: tuple[str, ...],
    as_json: bool,
    smt2: Path | None,
    only_list: bool,
    no_times: bool,
    verbose: bool,
    no_color: bool,
) -> int:
    """Prove the theorems behind `solve` again.

    z3 and cvc5 decide every obligation; the monitor replays every run that refutes something.

    NAMES are names or numbers of theorems; without any, all are proved.
    """
    from capsound_checker.display.files import make_folder
    from capsound_checker.display.terminal import rendered, status
    from capsound_checker.solve import proving

    theorems = proving.find_theorems(names)
    if only_list:
        with reader_may_leave():
            click.echo(proving.listing(theorems), nl=False)
        return 0
    if smt2 is not None:
        make_folder(smt2)
    with status("proving", plain=no_color) as tell:
        proved = proving.prove(theorems, tell)
    with reader_may_leave():
        if as_json:
            echo_json(proved.data())
        else:
            draw = partial(proving.render, proved=proved, verbose=verbose, times=not no_times)
            say(rendered(draw, colour(no_color)), nl=False, colour=colour(no_color))
    if smt2 is None:
        return proved.exit_status
    return written(partial(proving.write_obligations, proved.theorems, smt2)) or proved.exit_status
