"""``make matrix``: every test in a fresh environment of each CPython that ``pyproject.toml`` names and this machine has.

    python tests/support/matrix.py
    python tests/support/matrix.py --only 3.12 --only 3.13 -- tests/unit

An interpreter is found on the path, or where pyenv keeps its own. What stands behind ``--`` goes to pytest. The status is
1 if a version fails, 2 if one is not here: what was not run has not passed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


@dataclass(frozen=True)
class Ran:
    """What became of one version: the last word of pytest, or why there was none."""

    version: str
    status: int
    said: str


def versions() -> list[str]:
    """Return the versions of Python that the package claims to work with, oldest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.findall(r"Python :: (3\.\d+)\b", "\n".join(project["classifiers"]))
    return sorted(found, key=lambda version: int(version.partition(".")[2]))


def interpreter(version: str) -> str | None:
    """Return where an interpreter of this version is, None where there is none that starts and can make environments."""
    patches = sorted(
        PYENV.glob(f"{version}.*/bin/python"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.parts[-3])]
    )
    for python in [shutil.which(f"python{version}"), *map(str, reversed(patches))]:
        if python is None:
            continue
        ask = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
        said = subprocess.run(
            [python, "-c", ask], capture_output=True, text=True, check=False
        )  # a shim may lead nowhere
        if said.returncode == 0 and said.stdout.split() == [version, "cpython"]:
            return python
    return None


def run(version: str, python: str, tests: Iterable[str]) -> Ran:
    """Make the environment anew, and run the tests in it."""
    folder = ROOT / ".venv-matrix" / version
    shutil.rmtree(folder, ignore_errors=True)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "VIRTUAL_ENV", "PYTHON"))
    }
    command = ["make", "test", f"PYTHON={python}", f"VENV={folder.relative_to(ROOT)}", f"ONLY={' '.join(tests)}"]
    last = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as made:
        assert made.stdout is not None
        for line in made.stdout:
            sys.stdout.write(f"{version}  {line}")
            sys.stdout.flush()
            last = line.strip(" =\n") if re.search(r"\d+ (passed|failed|error)", line) else last
    return Ran(version, made.returncode, last or "no test was run")


def main(words: list[str]) -> int:
    """Run the versions that are asked for, and say what became of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", metavar="3.X", choices=versions(), help="this version, again for more"
    )
    parser.add_argument("tests", nargs="*", help="what pytest is given; everything without")
    asked = parser.parse_args(words)
    told = []
    for version in asked.only or versions():
        python = interpreter(version)
        told.append(Ran(version, 2, "not here") if python is None else run(version, python, asked.tests))
    for ran in told:
        word = "passed" if not ran.status else "not run" if ran.said == "not here" else "FAILED"
        sys.stdout.write(f"Python {ran.version}: {word} ({ran.said})\n")
    failed = any(ran.status and ran.said != "not here" for ran in told)
    return 1 if failed else 2 if any(ran.status for ran in told) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
