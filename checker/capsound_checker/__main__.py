"""``capsound``: the command line. What each command does is in its help; exit statuses are in ``EPILOG``."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

import click

from capsound.errors import EXIT_BAD_INPUT, EXIT_OUR_BUG, EXIT_UNKNOWN, EXIT_USAGE, CapsoundError
from capsound_checker.commands import cli
from capsound_checker.commands.shared import echo_json, forget_output, reader_may_leave
from capsound_checker.display.files import CannotWrite
from capsound_checker.display.printing import printable, screen
from capsound_checker.display.telling import OUR_BUG, error_data, error_text


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented status."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    with_streams()
    try:
        status = cli.main(args=arguments, prog_name="capsound", standalone_mode=False)
        with reader_may_leave():
            pass
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        # click's own status for usage errors is 2, which here means "unknown".
        told = io.StringIO()
        error.show(told)
        _tell(screen(told.getvalue().rstrip("\n")))
        return EXIT_USAGE
    except CapsoundError as error:
        _tell(error_text(error))
        if "--json" in (sys.argv[1:] if arguments is None else arguments):
            with suppress(CannotWrite), reader_may_leave():
                echo_json({"format": "capsound.error/1", "error": error_data(error)})
        return error.exit_status
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except SystemExit as leaving:
        # click leaves with 1 where a pipe is broken. Of our output that is no fault, and 1 is a verdict here; any other
        # pipe leads to a part of ours.
        if leaving.code == 1 and not _reader_left():
            return _our_bug("a pipe between two parts of capsound broke")
        return 0 if leaving.code == 1 else int(leaving.code or 0)
    except MemoryError:
        _tell("error: out of memory\n  cure: give it a smaller input, or a machine with more memory")
        return EXIT_UNKNOWN
    except OSError as error:
        # Every writer of output says so itself: this is something to be read, or a limit of the system.
        place = f"{error.filename}: " if error.filename is not None else ""
        _tell(screen(printable(f"error: {place}{error.strerror or error}")))
        return EXIT_BAD_INPUT
    except Exception as error:  # noqa: BLE001 - the last resort: a bug of ours, with its own status
        if os.environ.get("CAPSOUND_DEBUG"):
            import traceback

            traceback.print_exc()
        return _our_bug(f"{type(error).__name__}: {error}")
    return status if isinstance(status, int) else 0


def with_streams() -> None:
    """Let closed streams lead nowhere. Else a file that is opened later would be the output, and a pipe the input."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = os.O_RDONLY if number == 0 else os.O_WRONLY
            if (opened := os.open(os.devnull, mode)) != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115


def _tell(text: str) -> None:
    with suppress(OSError):  # nobody is left to hear it
        click.echo(text, err=True)


def _our_bug(what: str) -> int:
    _tell(screen(printable(f"capsound failed: {what}")))
    _tell(OUR_BUG)
    return EXIT_OUR_BUG


def _reader_left() -> bool:
    """Whether the pipe that standard output leads to has no reader any more."""
    import select

    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no such thing here: then the reader has left, as it usually has
        return True
    finally:
        forget_output()


if __name__ == "__main__":
    main()
