"""``capsound completion``: the name of a shell in, what that shell has to source out."""

from __future__ import annotations

import click

from capsound_checker.commands.shared import exits, reader_may_leave

HELP = """Print the tab completion of a shell.

Install it once, then open a new terminal:

\b
  bash  capsound completion bash > ~/.capsound-completion.bash
        echo '. ~/.capsound-completion.bash' >> ~/.bashrc
  zsh   capsound completion zsh > ~/.capsound-completion.zsh
        echo '. ~/.capsound-completion.zsh' >> ~/.zshrc
  fish  capsound completion fish > ~/.config/fish/completions/capsound.fish
"""


@click.command("completion", help=HELP, epilog=exits({0: "printed"}))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the tab completion of a shell; ``HELP`` says how to install it."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    with reader_may_leave():
        click.echo(kind(ctx.find_root().command, {}, "capsound", "_CAPSOUND_COMPLETE").source())
