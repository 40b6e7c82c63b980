"""How large a scenario may be, and what to do about one that is larger."""

from __future__ import annotations

MAX_FILE = 1024 * 1024
"""The largest scenario file, in bytes."""

MAX_NUMBER = 10**18
"""The largest number that a scenario may hold."""

MAX_ITEMS = 1000
"""The most entries of one array or table; the schema is stricter where it can say why."""

MAX_OWN_SLICES = 1000
"""The most agents that may take a slice of their own: each is an account in every state of the search."""

DEPTH_CURE = "a scenario needs a depth of four at most"
TOO_LARGE = "no number of a scenario is above 10^18"
LARGE_CURE = "count in a larger unit"
"""The cures, in the words that messages share."""
