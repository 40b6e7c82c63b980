"""The journal of a root: one JSON line per change, in the order of the changes, in the vocabulary of capsound."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

from capsound_reference.errors import JournalFailed


class Journal(deque[dict[str, object]]):
    """Events that have happened and are not written yet; used only under the lock of the root.

    A change is followed at once by ``append``, which is one call into C, and then by ``flush``. Between the two an
    interrupt may come, or a signal handler that itself uses the budget: the event then waits for the next
    ``flush``, and is still written before whatever happened after it.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__()
        self.write = write
        self.busy = False
        self.failure: BaseException | None = None

    def flush(self, account: str) -> None:
        """Write what waits. Once ``write`` has raised, a line may be missing: then nothing is ever written again."""
        if self.failure is not None:
            self.clear()
        if self.busy or not self:
            return
        self.busy = True
        writing = False
        try:
            while self:
                line = json.dumps(self[0]) + "\n"
                writing = True
                self.write(line)
                self.popleft()
                writing = False
        except Exception as error:
            self.failure = error
            raise self.failed("the change is made, but its line could not be written", None, account) from error
        except BaseException as error:  # a Ctrl-C is not the journal's fault, and yet may have cut a line in two
            if writing:
                self.failure = error
            raise
        finally:
            self.busy = False

    def require(self, amount: int, account: str, verb: str) -> None:
        """Raise if a line is missing: what is not written down is not admitted."""
        if self.failure is not None:
            message = f"{account} cannot {verb}: its journal has failed"
            raise self.failed(message, amount, account) from self.failure

    def failed(self, message: str, amount: int | None, account: str) -> JournalFailed:
        """Return the error that says what failed."""
        cure = "resolve what is held, and go on with a new root that has a journal that works"
        return JournalFailed(f"{message} ({self.failure!r})", amount, account, cure)
