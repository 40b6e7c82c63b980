"""``capsound ratio``: a workload in, what each strategy of reserving costs and risks on it out."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from capsound_checker.commands.shared import as_json, echo_json, exits, reader_may_leave, say, written


@click.command("ratio", epilog=exits({0: "measured"}, 65, 130))
@click.argument("workload")
@click.option("--strategy", "strategies", multiple=True, help="NAME or NAME:PARAMETER; repeatable; all by default.")
@click.option("--cap", type=click.IntRange(0), help="The cap, in the unit of the workload (default: none).")
@click.option("--spent", type=click.IntRange(0), default=0, show_default=True, help="What of the cap is already gone.")
@click.option("--agents", type=click.IntRange(1, 1_000), default=1, show_default=True, help="Agents under one cap.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of generators and of intervals.")
@click.option("--sessions", type=click.IntRange(1, 100_000), default=200, show_default=True, help="To generate.")
@click.option("--resamples", type=click.IntRange(0, 100_000), default=400, show_default=True, help="For the intervals.")
@click.option("--where", multiple=True, help="Keep the rows with COLUMN=VALUE, or COLUMN!=VALUE.")
@click.option("--max-output", type=click.IntRange(0), help="Output limit of calls where the file names none.")
@click.option("--price-in", help="Money per input token where the file names no price.")
@click.option("--price-out", help="Money per output token where the file names no price.")
@click.option("--bytes-per-token", type=click.IntRange(1), default=4, show_default=True, help="Where bytes are absent.")
@click.option("--exact-counts", is_flag=True, help="Assume that the token counter agrees with the provider's bill.")
@click.option("--bound", "bounds", multiple=True, help="A bound on the provider: tokens_per_byte=1, template=16, ...")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw cost against risk as .png or .svg (capsound[plot])."
)
@as_json
def command(
    workload: str,
    strategies: tuple[str, ...],
    cap: int | None,
    spent: int,
    agents: int,
    seed: int,
    sessions: int,
    resamples: int,
    where: tuple[str, ...],
    max_output: int | None,
    price_in: str | None,
    price_out: str | None,
    bytes_per_token: int,
    exact_counts: bool,
    bounds: tuple[str, ...],
    plot: Path | None,
    as_json: bool,
) -> int:
    """Measure what a cap costs.

    WORKLOAD is a CSV file of calls or sessions, or gen:NAME. Each strategy runs it, reserving money for every call
    before the bill is known. The report compares money reserved in vain, calls refused in vain, and overshoot.
    """
    from capsound_checker.costs import ratio as lab
    from capsound_checker.costs.workloads import Reading
    from capsound_checker.display.terminal import status

    if plot is not None:
        from capsound_checker.display.plotting import check_plot

        check_plot(plot)
    with status("measuring", plain=False) as tell:
        measured = lab.run_lab(
            workload,
            strategies,
            cap=cap,
            spent=spent,
            agents=agents,
            seed=seed,
            sessions=sessions,
            reading=Reading(lab.parse_where(where), max_output, price_in, price_out, bytes_per_token, exact_counts),
            bounds=bounds,
            resamples=resamples,
            tell=tell,
        )
    with reader_may_leave():
        if as_json:
            echo_json(lab.data_of(measured))
        else:
            say(lab.text_of(measured), nl=False)
    failed = written(partial(lab.write_frontier, measured, plot)) if plot is not None else 0
    return failed or (130 if measured.unmeasured else 0)
