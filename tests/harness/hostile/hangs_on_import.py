"""It cannot be loaded: its import waits for ever."""

import threading

VERDICT, EVIDENCE = "error", "was not loaded within 15 s"

threading.Event().wait()
