"""``python -m capsound``: the same as the command ``capsound``.

The command line lives in the checker, which imports the model; the model imports nothing above it. So the checker is
looked up by name when the program starts, as an entry point would be, and is no import of this package. It also works
on a checkout that is not installed.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys

CHECKER = "capsound_checker"


def main() -> None:
    """Hand over to the command line; exit with 64 and the cure where only the model is installed."""
    if importlib.util.find_spec(CHECKER) is None:
        print(  # noqa: T201 - the command line, which prints everything else, is what is missing
            "error: the command line of capsound is not installed: only its model is\n"
            "  cure: pip install . in a checkout of capsound, or add its folder checker/ to PYTHONPATH",
            file=sys.stderr,
        )
        raise SystemExit(64)
    runpy.run_module(CHECKER, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
