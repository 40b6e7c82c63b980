"""It reads where no memory is."""

import ctypes

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "killed by SIGSEGV"


class Target(Sound):
    def settle(self, hold, actual):
        ctypes.string_at(0)
