"""It takes a lock that it has."""

import threading

from hostile_base import Sound

VERDICT, EVIDENCE = "violated", "hang"


class Target(Sound):
    lock = threading.Lock()

    def settle(self, hold, actual):
        with self.lock, self.lock:
            super().settle(hold, actual)
