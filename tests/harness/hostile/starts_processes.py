"""It starts a process that leaves the session, so that killing the group does not reach it."""

import subprocess
import sys

from hostile_base import Sound

VERDICT, EVIDENCE = "sound", ""
started = []


class Target(Sound):
    def open(self, cap):
        if not started:
            wait = "import time; time.sleep(600)  # left by a hostile target"
            started.append(subprocess.Popen([sys.executable, "-c", wait], start_new_session=True))
        return super().open(cap)
