"""Sound: merging locks both accounts, and all accounts of a root share one reentrant lock.

Looks like the budget that waits for itself. An account that is merged with itself is refused, and nothing has changed.
"""

import threading

from zoo_base import Account, Merging

ANOMALY = None
KEEPS = "overrun-bounded"
TWIN = "self_merge_deadlock"


class Locked(Account):
    def __init__(self, granted, parent=None):
        super().__init__(granted, parent)
        self.lock = threading.RLock() if parent is None else parent.lock

    def merge(self, source):
        with self.lock, source.lock:
            super().merge(source)


class Target(Merging):
    account = Locked
