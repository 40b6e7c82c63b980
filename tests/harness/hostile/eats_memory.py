"""It allocates without end."""

from hostile_base import Sound

VERDICT, EVIDENCE = "unknown", "MemoryError"
eaten = []


class Target(Sound):
    def settle(self, hold, actual):
        while True:
            eaten.append(bytes(1 << 24))  # zeros that nobody wrote: the limit is met before the time is up
