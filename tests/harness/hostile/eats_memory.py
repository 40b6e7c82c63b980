"""It allocates without end."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "MemoryError"
eaten = []


class Target(Sound):
    def settle(self, hold, actual):
        while True:
            eaten.append(bytearray(1 << 24))
