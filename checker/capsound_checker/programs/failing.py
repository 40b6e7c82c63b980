"""The error for an adapter of which nothing can be said."""

from __future__ import annotations

from capsound.errors import EXIT_BAD_INPUT, CapsoundError


class AdapterFailed(CapsoundError):
    """An adapter let an exception out that it does not classify, or says of itself what cannot be.

    Nothing can be said of the implementation.
    """

    name = "adapter-failed"
    exit_status = EXIT_BAD_INPUT
