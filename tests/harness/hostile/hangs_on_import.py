"""It cannot be loaded: its import waits for ever."""

import threading

VERDICT, EVIDENCE = "error", "did not come back"

threading.Event().wait()
