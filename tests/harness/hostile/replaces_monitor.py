"""It takes more than there is, and makes the monitor deaf."""

from hostile_base import Sound

from capsound.monitor import Monitor

VERDICT, EVIDENCE = "unknown", "replaces parts of capsound"
Monitor.feed = lambda self, event: ()


class Target(Sound):
    pass
