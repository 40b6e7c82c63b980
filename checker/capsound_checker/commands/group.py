"""The group ``capsound``: its help, its version, and the exit statuses of all commands."""

from __future__ import annotations

import click

from capsound import __version__
from capsound_checker.commands.shared import exits


@click.group(
    epilog=exits({0: "sound", 1: "violated", 2: "unknown"}, 65, 130),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="capsound")
def cli() -> None:
    """Find out whether your agents can ever be billed more than their budget.

    Start with `capsound new scenario my.toml`, then `capsound solve my.toml`.
    """
