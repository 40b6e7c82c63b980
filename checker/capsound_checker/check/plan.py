"""What a check is asked for: the target, the drivers, how long, and the guarantee that is required.

Nothing heavy is imported, since the help of ``capsound check`` lists what is defined here.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsound.errors import EXIT_USAGE, CapsoundError, nearest
from capsound.guarantees import Guarantee

DRIVERS = {
    "programs": "random sequences of operations, every handle used once",
    "misuse": "handles used twice or copied, invalid amounts",
    "threads": "two operations in two threads, every pair, switched at each place",
    "handlers": "one operation inside another, as in a signal handler",
    "history": "real threads, recorded; some order must explain the recording",
    "asyncio": "coroutines on an event loop that tries every order of wake-ups",
    "precision": "realistic workloads: how much is refused or reserved in vain",
}
"""Who chooses the schedule, by name, with what it tries."""


_PROFILES = {
    "stops": Guarantee.STOPS,
    "sequential": Guarantee.SEQUENTIAL,
    "concurrent": Guarantee.CONCURRENT,
    "streaming": Guarantee.CONCURRENT,
    "delegated": Guarantee.DELEGATED,
    "deep slices": Guarantee.DELEGATED,
    "faults": Guarantee.FAULT_TOLERANT,
    "overruns": Guarantee.OVERRUN_BOUNDED,
    "windows, stops": Guarantee.STOPS,
    "windows, sequential": Guarantee.SEQUENTIAL,
    "windows, concurrent": Guarantee.CONCURRENT,
    "windows, faults": Guarantee.FAULT_TOLERANT,
    "windows, overruns": Guarantee.OVERRUN_BOUNDED,
    "ceilings, sequential": Guarantee.SEQUENTIAL,
    "ceilings, concurrent": Guarantee.CONCURRENT,
    "ceilings, faults": Guarantee.FAULT_TOLERANT,
    "ceilings, overruns": Guarantee.OVERRUN_BOUNDED,
    "misuse": Guarantee.SEQUENTIAL,
    "bad amounts": Guarantee.SEQUENTIAL,
}


def guarantee_of_profile(name: str) -> Guarantee:
    """Return the weakest guarantee that the programs of a profile are there to refute: any, where it is not listed."""
    return _PROFILES.get(name.removeprefix("proper "), Guarantee.STOPS)


GUARANTEE_OF_JOB = {
    "programs": Guarantee.STOPS,
    "misuse": Guarantee.SEQUENTIAL,
    "threads": Guarantee.CONCURRENT,
    "handlers": Guarantee.CONCURRENT,
    "history": Guarantee.CONCURRENT,
    "asyncio": Guarantee.CONCURRENT,
}
"""The weakest guarantee that each driver is there to refute; ``precision`` refutes none."""


class BadGuarantee(CapsoundError):
    """A guarantee was required that does not exist."""

    name = "bad-guarantee"
    exit_status = EXIT_USAGE


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be checked, how long, and in how many processes."""

    target: str
    programs: int = 1_000
    seconds: float = 60.0
    seed: int = 0
    workers: int = 1
    memory: int = 2_048
    silence: float = 6.0
    load_seconds: float = 60.0
    """How long the target may take to load, in seconds of its own time."""
    require: Guarantee = Guarantee.OVERRUN_BOUNDED
    python: str = ""
    """The interpreter in whose environment the adapter is loaded; this one where it is empty."""
    drivers: tuple[str, ...] = ()
    """Which of ``DRIVERS`` to use; all that apply where it is empty."""
    environment: str = ""
    """The virtual environment in which the drivers run, beside the adapter; that of this process where it is empty."""
    schedules: int | None = None
    """How many schedules to run at most, of each driver that runs schedules; None for no bound but time."""


def guarantee_named(name: str) -> Guarantee:
    """Return a guarantee by its label; raises ``BadGuarantee``."""
    known = {guarantee.label: guarantee for guarantee in Guarantee}
    if name not in known:
        raise BadGuarantee(f"there is no guarantee {name!r}", hint=nearest(name, known))
    return known[name]
