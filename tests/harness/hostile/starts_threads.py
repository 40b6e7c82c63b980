"""It starts threads that never end, and that are no daemons."""

import threading

from hostile_base import Sound

VERDICT, EVIDENCE = "sound", ""
started = []


class Target(Sound):
    def open(self, cap):
        if len(started) < 20:
            started.append(threading.Thread(target=threading.Event().wait))
            started[-1].start()
        return super().open(cap)
