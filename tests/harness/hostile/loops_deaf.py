"""It goes round for ever, and swallows whatever interrupts it."""

import contextlib
import time

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "did not come back, and could not be interrupted, in the last step of: "


class Target(Sound):
    def settle(self, hold, actual):
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(0.05)
