"""``capsound``: the command line. What each command does is in its help; exit statuses are in ``EPILOG``."""

from __future__ import annotations

import json
import os
import sys
import traceback

import click

from capsound.errors import EXIT_OUR_BUG, EXIT_USAGE, CapsoundError
from capsound_checker.commands import cli
from capsound_checker.display.telling import OUR_BUG, error_data, error_text


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    try:
        status = cli.main(args=arguments, prog_name="capsound", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        # click's own status for usage errors is 2, which here means "unknown".
        error.show()
        return EXIT_USAGE
    except CapsoundError as error:
        click.echo(error_text(error), err=True)
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            click.echo(json.dumps({"error": error_data(error)}, indent=2, sort_keys=True))
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except SystemExit as leaving:
        # click leaves with 1 when the reader of a help text has left, and 1 is a verdict here.
        return 0 if leaving.code == 1 else int(leaving.code or 0)
    except BrokenPipeError:
        # The reader has left (`capsound ... | head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        click.echo(f"error: cannot write the output: {error.strerror}", err=True)
        return EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours, with its own status
        if os.environ.get("CAPSOUND_DEBUG"):
            traceback.print_exc()
        click.echo(f"capsound failed: {type(error).__name__}: {error}", err=True)
        click.echo(OUR_BUG, err=True)
        return EXIT_OUR_BUG
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    main()
