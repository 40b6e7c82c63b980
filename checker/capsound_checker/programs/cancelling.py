"""The exception by which asyncio cancels; asyncio, a tenth of the start of a child, is loaded where it is needed."""

from __future__ import annotations

import sys


def cancelled_error() -> type[BaseException]:
    """Return ``asyncio.CancelledError``."""
    from asyncio import CancelledError

    return CancelledError


def is_cancelled(error: BaseException) -> bool:
    """Whether an error is a cancellation: nobody has one who has not loaded asyncio."""
    return "asyncio" in sys.modules and isinstance(error, cancelled_error())
