"""Merging locks both accounts, and no lock is reentrant: an account merged with itself waits for ever.

Known from published budgets with a lock for each account. Nothing is wrong with its books.
"""

import threading

from zoo_base import Account, Merging

ANOMALY = "hang"
KEEPS = "delegated"


class Locked(Account):
    def __init__(self, granted, parent=None):
        super().__init__(granted, parent)
        self.lock = threading.Lock()

    def merge(self, source):
        with self.lock, source.lock:  # the second is the first
            super().merge(source)


class Target(Merging):
    account = Locked
