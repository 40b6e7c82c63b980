"""It takes the alarm away and then hangs."""

import signal
import time

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "did not come back"


class Target(Sound):
    def settle(self, hold, actual):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        while True:
            time.sleep(0.05)
